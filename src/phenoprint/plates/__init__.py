"""Wells, plate formats, plate maps and their reconciliation with the images."""

from __future__ import annotations

from phenoprint.plates.barcodes import assign_plate_maps, is_barcode_platemap, parse_barcode_platemap
from phenoprint.plates.content import MAP_ENDINGS, Part, decode, read_parts
from phenoprint.plates.doses import Dose, canonical_unit, parse_dose
from phenoprint.plates.draw import draw_plate
from phenoprint.plates.lists import as_list
from phenoprint.plates.pert_types import PERT_TYPES, canonical_pert_type, infer_pert_type
from phenoprint.plates.platemap import (
    PLATE_MAP_SCHEMA,
    READING_SCHEMA,
    PlateMap,
    parse_plate_map,
    read_plate_map,
    unsaid_words,
)
from phenoprint.plates.reconcile import PROBLEM_KINDS, Reconciliation, reconcile
from phenoprint.plates.text_table import LINE, Problems, Rows, read_rows, text_table
from phenoprint.plates.vocabulary import COLUMNS, column_key, match_columns
from phenoprint.plates.well import PlateFormat, Well, normalize_wells
from phenoprint.plates.well_table import expand_plate_map, perturbation_id, perturbation_table, well_table
from phenoprint.plates.workbook import is_workbook, read_workbook

__all__ = [
    "COLUMNS",
    "LINE",
    "MAP_ENDINGS",
    "PERT_TYPES",
    "PLATE_MAP_SCHEMA",
    "PROBLEM_KINDS",
    "READING_SCHEMA",
    "Dose",
    "Part",
    "PlateFormat",
    "PlateMap",
    "Problems",
    "Reconciliation",
    "Rows",
    "Well",
    "as_list",
    "assign_plate_maps",
    "canonical_pert_type",
    "canonical_unit",
    "column_key",
    "decode",
    "draw_plate",
    "expand_plate_map",
    "infer_pert_type",
    "is_barcode_platemap",
    "is_workbook",
    "match_columns",
    "normalize_wells",
    "parse_barcode_platemap",
    "parse_dose",
    "parse_plate_map",
    "perturbation_id",
    "perturbation_table",
    "read_parts",
    "read_plate_map",
    "read_rows",
    "read_workbook",
    "reconcile",
    "text_table",
    "unsaid_words",
    "well_table",
]
