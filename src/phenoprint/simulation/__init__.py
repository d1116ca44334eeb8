"""A simulated Cell Painting screen with known truth: cells, effects, mechanisms and plate artefacts."""

from __future__ import annotations

from phenoprint.simulation.conditions import field_truth, well_truth
from phenoprint.simulation.design import CHANNELS, DemoKind, ScreenDesign, demo_design, tiny_design
from phenoprint.simulation.drawing import SimulatedField, draw_field
from phenoprint.simulation.library import compound_truth, hill_effect
from phenoprint.simulation.mechanisms import MECHANISMS, Mechanism, mechanism_names
from phenoprint.simulation.plate_artefacts import PlateArtefacts
from phenoprint.simulation.platelayout import layout
from phenoprint.simulation.profile_design import PROFILE_DESIGNS, ProfileDesign
from phenoprint.simulation.profiles import SimulatedProfiles, simulate_profiles

__all__ = [
    "CHANNELS",
    "MECHANISMS",
    "PROFILE_DESIGNS",
    "DemoKind",
    "Mechanism",
    "PlateArtefacts",
    "ProfileDesign",
    "ScreenDesign",
    "SimulatedField",
    "SimulatedProfiles",
    "compound_truth",
    "demo_design",
    "draw_field",
    "field_truth",
    "hill_effect",
    "layout",
    "mechanism_names",
    "simulate_profiles",
    "tiny_design",
    "well_truth",
]
