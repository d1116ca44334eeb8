"""From cells to profiles: cell quality, aggregation, normalization, correction, selection, consensus."""

from phenoprint.profiles.aggregation import aggregate, aggregate_with_status, consensus
from phenoprint.profiles.batch import correct_batch
from phenoprint.profiles.cell_quality import DEFAULT_CELL_RULES, CellRule, Limit, cell_quality
from phenoprint.profiles.frames import feature_columns
from phenoprint.profiles.limits import limit_values_with_status
from phenoprint.profiles.normalization import normalize, normalize_with_status
from phenoprint.profiles.normalizers import NORMALIZERS, MadRobust, Normalizer, Robust, Standardize
from phenoprint.profiles.selection import (
    DEFAULT_OPERATIONS,
    OPERATIONS,
    select_features,
    select_features_with_status,
)
from phenoprint.profiles.statistics import STATISTICS
from phenoprint.profiles.status import FEATURE_STATUS_SCHEMA, WithStatus

__all__ = [
    "DEFAULT_CELL_RULES",
    "DEFAULT_OPERATIONS",
    "FEATURE_STATUS_SCHEMA",
    "NORMALIZERS",
    "OPERATIONS",
    "STATISTICS",
    "CellRule",
    "Limit",
    "MadRobust",
    "Normalizer",
    "Robust",
    "Standardize",
    "WithStatus",
    "aggregate",
    "aggregate_with_status",
    "cell_quality",
    "consensus",
    "correct_batch",
    "feature_columns",
    "limit_values_with_status",
    "normalize",
    "normalize_with_status",
    "select_features",
    "select_features_with_status",
]
