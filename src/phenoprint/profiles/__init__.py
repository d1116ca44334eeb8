"""From cells to profiles: cell quality, aggregation, normalization, correction, selection, consensus."""

from phenoprint.profiles.aggregation import (
    aggregate,
    aggregate_with_status,
    consensus,
    consensus_blocks,
    consensus_with_status,
)
from phenoprint.profiles.batch import BATCH_METHODS, correct_batch, correct_batch_with_status
from phenoprint.profiles.cell_quality import DEFAULT_CELL_RULES, CellRule, Limit, cell_quality, preview_cell_quality
from phenoprint.profiles.cell_rules import judge_cell_rules
from phenoprint.profiles.cell_states import CellStates, learn_cell_states, stable_cell_states
from phenoprint.profiles.control_distributions import (
    ASPECTS,
    FEWEST_CELLS,
    FEWEST_CONTROL_WELLS,
    FEWEST_PER_WELL,
    ControlDistributions,
)
from phenoprint.profiles.cross_fit import CrossFitted, cross_fit, cross_fit_plates, cross_fit_with_status
from phenoprint.profiles.distribution_profiles import distribution_profiles
from phenoprint.profiles.distributions import DISTRIBUTION_MEASURES
from phenoprint.profiles.fitted import FittedNormalization
from phenoprint.profiles.folds import Folds, plan_folds
from phenoprint.profiles.limits import EXTREME, extreme_features, limit_values_with_status
from phenoprint.profiles.normalization import fit_normalization, fit_plates, normalize, normalize_with_status
from phenoprint.profiles.normalizers import NORMALIZERS, Fit, MadRobust, Normalizer, Robust, Standardize, learned
from phenoprint.profiles.nuisance import NUISANCE, nuisance_features
from phenoprint.profiles.operations import STEP_OPERATIONS, Fitted
from phenoprint.profiles.position import POSITION_METHODS, correct_count, correct_position
from phenoprint.profiles.ranks import Percentile, Rank
from phenoprint.profiles.recipes import (
    RECIPES,
    Recipe,
    RecipeLike,
    RecipeStep,
    apply_recipe,
    recipe_named,
    run_recipe,
)
from phenoprint.profiles.reference_wells import ENOUGH_CELLS, FEWEST_REFERENCE, reference_of
from phenoprint.profiles.responders import Responders, responding_share
from phenoprint.profiles.selection import (
    DEFAULT_OPERATIONS,
    OPERATIONS,
    FeatureChoice,
    select_features,
    select_features_with_status,
    select_plates,
)
from phenoprint.profiles.sphering import Sphering, Tvn
from phenoprint.profiles.surfaces import position_share

__all__ = [
    "ASPECTS",
    "BATCH_METHODS",
    "DEFAULT_CELL_RULES",
    "DEFAULT_OPERATIONS",
    "DISTRIBUTION_MEASURES",
    "ENOUGH_CELLS",
    "EXTREME",
    "FEWEST_CELLS",
    "FEWEST_CONTROL_WELLS",
    "FEWEST_PER_WELL",
    "FEWEST_REFERENCE",
    "NORMALIZERS",
    "NUISANCE",
    "OPERATIONS",
    "POSITION_METHODS",
    "RECIPES",
    "STEP_OPERATIONS",
    "CellRule",
    "CellStates",
    "ControlDistributions",
    "CrossFitted",
    "FeatureChoice",
    "Fit",
    "Fitted",
    "FittedNormalization",
    "Folds",
    "Limit",
    "MadRobust",
    "Normalizer",
    "Percentile",
    "Rank",
    "Recipe",
    "RecipeLike",
    "RecipeStep",
    "Responders",
    "Robust",
    "Sphering",
    "Standardize",
    "Tvn",
    "aggregate",
    "aggregate_with_status",
    "apply_recipe",
    "cell_quality",
    "consensus",
    "consensus_blocks",
    "consensus_with_status",
    "correct_batch",
    "correct_batch_with_status",
    "correct_count",
    "correct_position",
    "cross_fit",
    "cross_fit_plates",
    "cross_fit_with_status",
    "distribution_profiles",
    "extreme_features",
    "fit_normalization",
    "fit_plates",
    "judge_cell_rules",
    "learn_cell_states",
    "learned",
    "limit_values_with_status",
    "normalize",
    "normalize_with_status",
    "nuisance_features",
    "plan_folds",
    "position_share",
    "preview_cell_quality",
    "recipe_named",
    "reference_of",
    "responding_share",
    "run_recipe",
    "select_features",
    "select_features_with_status",
    "select_plates",
    "stable_cell_states",
]
