"""Engineered features of cells with CellProfiler's names and values: families, presets, dictionary."""

from phenoprint.features._field import Field, Objects
from phenoprint.features.dictionary import feature_dictionary
from phenoprint.features.family import FAMILIES, Definition, FeatureFamily
from phenoprint.features.measurement import measure, measure_field, warm_up
from phenoprint.features.objects import object_table
from phenoprint.features.presets import chosen_families, presets

__all__ = [
    "FAMILIES",
    "Definition",
    "FeatureFamily",
    "Field",
    "Objects",
    "chosen_families",
    "feature_dictionary",
    "measure",
    "measure_field",
    "object_table",
    "presets",
    "warm_up",
]
