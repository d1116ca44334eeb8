"""Segmentation of nuclei and cells."""

from __future__ import annotations

from phenoprint.segmentation.classical import ClassicalSegmenter
from phenoprint.segmentation.diameter import estimate_nucleus_diameter
from phenoprint.segmentation.inputs import cell_channels, nucleus_channel
from phenoprint.segmentation.protocol import SEGMENTERS, Segmenter
from phenoprint.segmentation.segment import segment

__all__ = [
    "SEGMENTERS",
    "ClassicalSegmenter",
    "Segmenter",
    "cell_channels",
    "estimate_nucleus_diameter",
    "nucleus_channel",
    "segment",
]
