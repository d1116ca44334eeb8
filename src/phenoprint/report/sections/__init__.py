"""The sections of the page in reading order: plate quality, hits, then the evidence.

A section is a function from the `Page` to a `Section`. It raises `AbsentError` when a table that it needs is absent;
the page then shows the message instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from phenoprint.report.context import Page, Section
from phenoprint.report.sections.calibration import calibration
from phenoprint.report.sections.cells import cells
from phenoprint.report.sections.clusters import clusters
from phenoprint.report.sections.controls import controls
from phenoprint.report.sections.doses import doses
from phenoprint.report.sections.effects import effects
from phenoprint.report.sections.features import features
from phenoprint.report.sections.heterogeneity import heterogeneity
from phenoprint.report.sections.hits import hits
from phenoprint.report.sections.losses import losses
from phenoprint.report.sections.making import making
from phenoprint.report.sections.mechanisms import mechanisms
from phenoprint.report.sections.plates import plates
from phenoprint.report.sections.projection import projection
from phenoprint.report.sections.replicates import replicates
from phenoprint.report.sections.steps import steps
from phenoprint.report.sections.verdict import verdict

__all__ = ["SECTIONS", "Entry"]


class Entry(NamedTuple):
    """A section of the page: anchor, heading, short name for the navigation, and the function that builds it."""

    id: str
    title: str
    nav: str
    build: Callable[[Page], Section]


SECTIONS: tuple[Entry, ...] = (
    Entry("verdict", "Is the plate good?", "Verdict", verdict),
    Entry("hits", "What are the hits?", "Hits", hits),
    Entry("calibration", "Do the p-values hold?", "P-values", calibration),
    Entry("effects", "What do the hits do?", "Effects", effects),
    Entry("plates", "The plates", "Plates", plates),
    Entry("controls", "Are the controls separated?", "Controls", controls),
    Entry("replicates", "Do replicates agree?", "Replicates", replicates),
    Entry("projection", "Map of the wells", "Map", projection),
    Entry("clusters", "Which treatments belong together?", "Clusters", clusters),
    Entry("mechanisms", "Are mechanisms recovered?", "Mechanisms", mechanisms),
    Entry("doses", "Response over dose", "Doses", doses),
    Entry("heterogeneity", "Do the cells of a well differ?", "Heterogeneity", heterogeneity),
    Entry("cells", "The cells themselves", "Cells", cells),
    Entry("steps", "What did each step do?", "Steps", steps),
    Entry("losses", "What was lost, and where", "Losses", losses),
    Entry("features", "What became of the features", "Features", features),
    Entry("making", "How it was made", "Made how", making),
)
