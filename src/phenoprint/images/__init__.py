"""Images: finding and reading them, illumination correction, image quality, crops."""

from __future__ import annotations

from phenoprint.images.crops import channel_limits, crop_cells, to_rgb
from phenoprint.images.detect import DetectedLayout, LayoutCandidate, detect_layout, no_match
from phenoprint.images.files import inspect_files
from phenoprint.images.foreign import ForeignFiles
from phenoprint.images.illumination import Illumination, estimate_illumination
from phenoprint.images.planes import read_field, read_plane, write_tiff
from phenoprint.images.quality import QUALITY_COLUMNS, image_quality
from phenoprint.images.quality_flags import QualityLimits, flag_image_quality, quality_thresholds
from phenoprint.images.readers import INDEX_SCHEMA, PATTERNS, READERS, Reader, checked_index
from phenoprint.images.readers.pattern_reader import list_files, name_kinds, rename_channels

__all__ = [
    "INDEX_SCHEMA",
    "PATTERNS",
    "QUALITY_COLUMNS",
    "READERS",
    "DetectedLayout",
    "ForeignFiles",
    "Illumination",
    "LayoutCandidate",
    "QualityLimits",
    "Reader",
    "channel_limits",
    "checked_index",
    "crop_cells",
    "detect_layout",
    "estimate_illumination",
    "flag_image_quality",
    "image_quality",
    "inspect_files",
    "list_files",
    "name_kinds",
    "no_match",
    "quality_thresholds",
    "read_field",
    "read_plane",
    "rename_channels",
    "to_rgb",
    "write_tiff",
]
