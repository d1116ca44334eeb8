"""Engineered features of cells with CellProfiler's names and values: families, presets, dictionary."""

from phenoprint.features.dictionary import feature_dictionary
from phenoprint.features.family import Definition, FeatureFamily, families, get_family, register_family
from phenoprint.features.measurement import measure, measure_field, measure_image, warm_up
from phenoprint.features.objects import object_table
from phenoprint.features.presets import preset_families, presets

__all__ = [
    "Definition",
    "FeatureFamily",
    "families",
    "feature_dictionary",
    "get_family",
    "measure",
    "measure_field",
    "measure_image",
    "object_table",
    "preset_families",
    "presets",
    "register_family",
    "warm_up",
]
