"""Shared by all packages that work on images: scaling of pixels, label images, distances."""

from __future__ import annotations

from phenoprint.pixels.distance import squared_distance
from phenoprint.pixels.labels import check_labels, cytoplasm, fill_holes, keep_labels, touching_border
from phenoprint.pixels.scaling import check_field, to_unit

__all__ = [
    "check_field",
    "check_labels",
    "cytoplasm",
    "fill_holes",
    "keep_labels",
    "squared_distance",
    "to_unit",
    "touching_border",
]
