"""Look at profiles: projection, clusters, neighbours, dose-response."""

from phenoprint.analysis.clustering import CLUSTERINGS, cluster_profiles
from phenoprint.analysis.dose_response import HillFit, fit_hill
from phenoprint.analysis.neighbours import similarity, similarity_matrix
from phenoprint.analysis.projection import PROJECTIONS, project, project_with_status

__all__ = [
    "CLUSTERINGS",
    "PROJECTIONS",
    "HillFit",
    "cluster_profiles",
    "fit_hill",
    "project",
    "project_with_status",
    "similarity",
    "similarity_matrix",
]
