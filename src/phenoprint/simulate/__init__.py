"""A simulated Cell Painting screen with known truth: cells, effects, mechanisms and the plate's vices."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from phenoprint.simulate.conditions import field_truth, well_truth
from phenoprint.simulate.design import CHANNELS, ScreenDesign, demo_design, tiny_design
from phenoprint.simulate.drawing import SimulatedField, draw_field
from phenoprint.simulate.library import compound_truth, hill_effect
from phenoprint.simulate.mechanisms import MECHANISMS, Mechanism, mechanism_names
from phenoprint.simulate.platelayout import layout
from phenoprint.simulate.vices import Vices

__all__ = [
    "CHANNELS",
    "MECHANISMS",
    "Mechanism",
    "ScreenDesign",
    "SimulatedField",
    "Vices",
    "compound_truth",
    "demo_design",
    "draw_field",
    "field_truth",
    "hill_effect",
    "layout",
    "mechanism_names",
    "tiny_design",
    "well_truth",
]


class _CallablePackage(ModuleType):
    """Lets the public function `phenoprint.simulate` and the package of that name share it.

    The function writes to disk and so belongs to a higher layer; it is looked up when it is called.
    """

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return import_module("phenoprint._api").simulate(*arguments, **options)


sys.modules[__name__].__class__ = _CallablePackage
