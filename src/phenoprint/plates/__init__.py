"""Wells, plate formats, plate maps and their reconciliation with the images."""

from __future__ import annotations

from phenoprint.plates.barcodes import assign_plate_maps, is_barcode_platemap, parse_barcode_platemap
from phenoprint.plates.content import MAP_ENDINGS, Part, one_row_per_well, read_parts, read_tables
from phenoprint.plates.doses import Dose, canonical_unit, molar_factor, parse_dose
from phenoprint.plates.draw import draw_plate
from phenoprint.plates.layout_quality import LayoutQuality, layout_quality
from phenoprint.plates.pert_types import PERT_TYPES, canonical_pert_type, infer_pert_type
from phenoprint.plates.platemap import (
    PLATE_MAP_SCHEMA,
    READING_SCHEMA,
    PlateMap,
    parse_plate_map,
    plate_map_of,
    unused_words,
)
from phenoprint.plates.randomize import LayoutPlan, plate_map_text, randomized_layout, with_doses
from phenoprint.plates.reconcile import PROBLEM_KINDS, Reconciliation, reconcile
from phenoprint.plates.text_table import Problems, TextTable
from phenoprint.plates.vocabulary import match_columns
from phenoprint.plates.well import PlateFormat, Well, normalize_wells, well_positions
from phenoprint.plates.well_table import expand_plate_map, perturbation_id, perturbation_table, well_table
from phenoprint.plates.workbook import is_workbook

__all__ = [
    "MAP_ENDINGS",
    "PERT_TYPES",
    "PLATE_MAP_SCHEMA",
    "PROBLEM_KINDS",
    "READING_SCHEMA",
    "Dose",
    "LayoutPlan",
    "LayoutQuality",
    "Part",
    "PlateFormat",
    "PlateMap",
    "Problems",
    "Reconciliation",
    "TextTable",
    "Well",
    "assign_plate_maps",
    "canonical_pert_type",
    "canonical_unit",
    "draw_plate",
    "expand_plate_map",
    "infer_pert_type",
    "is_barcode_platemap",
    "is_workbook",
    "layout_quality",
    "match_columns",
    "molar_factor",
    "normalize_wells",
    "one_row_per_well",
    "parse_barcode_platemap",
    "parse_dose",
    "parse_plate_map",
    "perturbation_id",
    "perturbation_table",
    "plate_map_of",
    "plate_map_text",
    "randomized_layout",
    "read_parts",
    "read_tables",
    "reconcile",
    "unused_words",
    "well_positions",
    "well_table",
    "with_doses",
]
