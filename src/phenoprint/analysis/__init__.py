"""Look at profiles: projection, clusters and their signatures, neighbours, effects, readouts, dose-response."""

from phenoprint.analysis.clustering import CLUSTERINGS, cluster_profiles
from phenoprint.analysis.dose_response import HillFit, fit_hill
from phenoprint.analysis.effects import FEWEST_CONTROLS, Controls, feature_effects, fit_controls, has_profile
from phenoprint.analysis.neighbours import nearest, similarity, similarity_matrix
from phenoprint.analysis.projection import PROJECTIONS, project, project_with_status
from phenoprint.analysis.readouts import DEFAULT_READOUTS, default_readouts
from phenoprint.analysis.signatures import cluster_signatures, compare_clusters, rank_signatures

__all__ = [
    "CLUSTERINGS",
    "DEFAULT_READOUTS",
    "FEWEST_CONTROLS",
    "PROJECTIONS",
    "Controls",
    "HillFit",
    "cluster_profiles",
    "cluster_signatures",
    "compare_clusters",
    "default_readouts",
    "feature_effects",
    "fit_controls",
    "fit_hill",
    "has_profile",
    "nearest",
    "project",
    "project_with_status",
    "rank_signatures",
    "similarity",
    "similarity_matrix",
]
