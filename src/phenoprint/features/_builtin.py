"""Imports the modules whose families register themselves."""

from phenoprint.features import (
    correlation,
    granularity,
    imagequality,
    intensity,
    location,
    neighbors,
    radial,
    shape,
    texture,
)

__all__ = [
    "correlation",
    "granularity",
    "imagequality",
    "intensity",
    "location",
    "neighbors",
    "radial",
    "shape",
    "texture",
]
