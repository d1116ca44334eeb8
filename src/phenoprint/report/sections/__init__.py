"""The parts of the page, in reading order: is the plate good, what are the hits, then the evidence.

A section is a function from the shared context to a `Section`. It raises `AbsentError` when what it needs is not there;
the page then says so in its place.
"""

from __future__ import annotations

from collections.abc import Callable

from phenoprint.report.context import Page, Section
from phenoprint.report.sections.cells import cells
from phenoprint.report.sections.controls import controls
from phenoprint.report.sections.doses import doses
from phenoprint.report.sections.effects import effects
from phenoprint.report.sections.features import features
from phenoprint.report.sections.hits import hits
from phenoprint.report.sections.losses import losses
from phenoprint.report.sections.making import making
from phenoprint.report.sections.mechanisms import mechanisms
from phenoprint.report.sections.plates import plates
from phenoprint.report.sections.projection import projection
from phenoprint.report.sections.replicates import replicates
from phenoprint.report.sections.steps import steps
from phenoprint.report.sections.verdict import verdict

__all__ = ["SECTIONS"]

# identifier, title and short name stand here so that a section that cannot be drawn still has its place
SECTIONS: tuple[tuple[str, str, str, Callable[[Page], Section]], ...] = (
    ("verdict", "Is the plate good?", "Verdict", verdict),
    ("hits", "What are the hits?", "Hits", hits),
    ("effects", "What do the hits do?", "Effects", effects),
    ("plates", "The plates", "Plates", plates),
    ("controls", "Do the controls stand apart?", "Controls", controls),
    ("replicates", "Do replicates agree?", "Replicates", replicates),
    ("projection", "Where treatments lie", "Map", projection),
    ("mechanisms", "Are mechanisms found again?", "Mechanisms", mechanisms),
    ("doses", "Response over dose", "Doses", doses),
    ("cells", "The cells themselves", "Cells", cells),
    ("steps", "What did each step do?", "Steps", steps),
    ("losses", "What was lost where", "Losses", losses),
    ("features", "What became of the features", "Features", features),
    ("making", "How it was made", "Made how", making),
)
