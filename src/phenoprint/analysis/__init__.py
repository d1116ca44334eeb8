"""Questions to profiles: projection, clusters, neighbours, feature effects, readouts, dose-response, typical cells."""

from phenoprint.analysis.clustering import CLUSTERINGS, Clustering, cluster_profiles
from phenoprint.analysis.dose_response import HillFit, dose_curves, fit_hill, hill_response
from phenoprint.analysis.effects import FEWEST_CONTROLS, Controls, feature_effects, fit_controls, has_profile
from phenoprint.analysis.enrichment import cluster_enrichment, technical_labels
from phenoprint.analysis.projection import PROJECTIONS, leading_components, project, project_with_status
from phenoprint.analysis.readouts import DEFAULT_READOUTS, default_readouts
from phenoprint.analysis.search import FEWEST_UNRELATED, Search, nearest_profiles, similarity_matrix, unrelated_p
from phenoprint.analysis.signatures import cluster_signatures, compare_clusters, rank_signatures
from phenoprint.analysis.typical import choose_treatments, look_features, typical_cells

__all__ = [
    "CLUSTERINGS",
    "DEFAULT_READOUTS",
    "FEWEST_CONTROLS",
    "FEWEST_UNRELATED",
    "PROJECTIONS",
    "Clustering",
    "Controls",
    "HillFit",
    "Search",
    "choose_treatments",
    "cluster_enrichment",
    "cluster_profiles",
    "cluster_signatures",
    "compare_clusters",
    "default_readouts",
    "dose_curves",
    "feature_effects",
    "fit_controls",
    "fit_hill",
    "has_profile",
    "hill_response",
    "leading_components",
    "look_features",
    "nearest_profiles",
    "project",
    "project_with_status",
    "rank_signatures",
    "similarity_matrix",
    "technical_labels",
    "typical_cells",
    "unrelated_p",
]
