"""Scores and their baselines: retrieval, reproducibility, mechanisms, assay quality, plate acceptance."""

from phenoprint.evaluation.acceptance import plate_acceptance
from phenoprint.evaluation.activity import ACTIVITY_STATUSES, activity
from phenoprint.evaluation.activity_baselines import activity_beside_baselines
from phenoprint.evaluation.agreement import replicate_agreement
from phenoprint.evaluation.assay import cliffs_delta, ssmd, z_prime
from phenoprint.evaluation.baselines import baseline_profiles
from phenoprint.evaluation.calibration import CALIBRATION_VARIANTS, calibration, calibration_plates
from phenoprint.evaluation.column_gain import column_gain
from phenoprint.evaluation.comparison import SCORES, Comparison, compare
from phenoprint.evaluation.consistency import mechanism_consistency
from phenoprint.evaluation.controls import best_readouts, control_statistics, ranked_readouts
from phenoprint.evaluation.distances import energy_distance
from phenoprint.evaluation.fold_distances import FoldControls, FoldDistance
from phenoprint.evaluation.fold_profiles import also_controls, treated_wells
from phenoprint.evaluation.grit import grit
from phenoprint.evaluation.headlines import LEAST_TREATMENTS, based_on, is_headline
from phenoprint.evaluation.hits import HitLimits, describe_treated, find_hits, rank_hits
from phenoprint.evaluation.mechanism_labels import SEPARATOR
from phenoprint.evaluation.mechanism_scores import (
    MECHANISM_PROTOCOLS,
    MechanismProtocol,
    MechanismScores,
    mechanism_scores,
)
from phenoprint.evaluation.mechanisms import MoaAccuracy, moa_accuracy
from phenoprint.evaluation.mixing import BatchMixing, batch_mixing, position_leakage
from phenoprint.evaluation.moa_calls import CALL_STATUSES, call_scores, moa_calls, treatments_of, with_shuffled_labels
from phenoprint.evaluation.nulls import known, null_counts
from phenoprint.evaluation.plate_check import AcceptanceLimits
from phenoprint.evaluation.power import ControlNoise, PowerStudy, power_study, smallest_effects
from phenoprint.evaluation.relative_counts import relative_counts
from phenoprint.evaluation.replicates import ReplicateReproducibility, replicate_reproducibility
from phenoprint.evaluation.retrieval import average_precision
from phenoprint.evaluation.scores import BASELINES, PROFILES, cluster_interval, score_rows
from phenoprint.evaluation.significance import mean_average_precision
from phenoprint.evaluation.similarities import (
    METRICS,
    Vectors,
    block_rows,
    blocks_to_vectors,
    similarity_block,
    to_vectors,
)
from phenoprint.evaluation.step_profiles import drawn_plates
from phenoprint.evaluation.step_scores import STEP_SCORES, TREATMENT_SCORES, score_steps

__all__ = [
    "ACTIVITY_STATUSES",
    "BASELINES",
    "CALIBRATION_VARIANTS",
    "CALL_STATUSES",
    "LEAST_TREATMENTS",
    "MECHANISM_PROTOCOLS",
    "METRICS",
    "PROFILES",
    "SCORES",
    "SEPARATOR",
    "STEP_SCORES",
    "TREATMENT_SCORES",
    "AcceptanceLimits",
    "BatchMixing",
    "Comparison",
    "ControlNoise",
    "FoldControls",
    "FoldDistance",
    "HitLimits",
    "MechanismProtocol",
    "MechanismScores",
    "MoaAccuracy",
    "PowerStudy",
    "ReplicateReproducibility",
    "Vectors",
    "activity",
    "activity_beside_baselines",
    "also_controls",
    "average_precision",
    "based_on",
    "baseline_profiles",
    "batch_mixing",
    "best_readouts",
    "block_rows",
    "blocks_to_vectors",
    "calibration",
    "calibration_plates",
    "call_scores",
    "cliffs_delta",
    "cluster_interval",
    "column_gain",
    "compare",
    "control_statistics",
    "describe_treated",
    "drawn_plates",
    "energy_distance",
    "find_hits",
    "grit",
    "is_headline",
    "known",
    "mean_average_precision",
    "mechanism_consistency",
    "mechanism_scores",
    "moa_accuracy",
    "moa_calls",
    "null_counts",
    "plate_acceptance",
    "position_leakage",
    "power_study",
    "rank_hits",
    "ranked_readouts",
    "relative_counts",
    "replicate_agreement",
    "replicate_reproducibility",
    "score_rows",
    "score_steps",
    "similarity_block",
    "smallest_effects",
    "ssmd",
    "to_vectors",
    "treated_wells",
    "treatments_of",
    "with_shuffled_labels",
    "z_prime",
]
