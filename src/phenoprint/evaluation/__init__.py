"""Scores and the baselines they must beat: retrieval, reproducibility, mechanisms, assay quality."""

from phenoprint.evaluation.acceptance import PLATE_ACCEPTANCE_SCHEMA, AcceptanceLimits, plate_acceptance
from phenoprint.evaluation.assay import cliffs_delta, ssmd, z_prime
from phenoprint.evaluation.mechanisms import MoaAccuracy, moa_accuracy
from phenoprint.evaluation.replicates import ReplicateReproducibility, replicate_reproducibility
from phenoprint.evaluation.retrieval import average_precision
from phenoprint.evaluation.significance import adjust_p_values, mean_average_precision
from phenoprint.evaluation.similarities import METRICS

__all__ = [
    "METRICS",
    "PLATE_ACCEPTANCE_SCHEMA",
    "AcceptanceLimits",
    "MoaAccuracy",
    "ReplicateReproducibility",
    "adjust_p_values",
    "average_precision",
    "cliffs_delta",
    "mean_average_precision",
    "moa_accuracy",
    "plate_acceptance",
    "replicate_reproducibility",
    "ssmd",
    "z_prime",
]
