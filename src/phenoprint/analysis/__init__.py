"""Questions to profiles: projection, clusters, neighbours, feature effects, readouts, dose-response, typical cells."""

from phenoprint.analysis.clustering import CLUSTERINGS, Clustering, cluster_profiles
from phenoprint.analysis.dose_band import curve_band
from phenoprint.analysis.dose_fit import BENCHMARK, HIT_CALL, DoseFit, curve_response, fit_dose_response
from phenoprint.analysis.dose_groups import GLOBAL, feature_groups, group_distances
from phenoprint.analysis.dose_response import dose_curves, dose_points, dosed_wells, relative_to_controls
from phenoprint.analysis.dose_summary import dose_summary
from phenoprint.analysis.effects import FEWEST_CONTROLS, Controls, feature_effects, fit_controls, has_profile
from phenoprint.analysis.enrichment import cluster_enrichment, technical_labels
from phenoprint.analysis.projection import PROJECTIONS, leading_components, project, project_with_status
from phenoprint.analysis.readouts import DEFAULT_READOUTS, default_readouts
from phenoprint.analysis.search import FEWEST_UNRELATED, Search, nearest_profiles, similarity_matrix, unrelated_p
from phenoprint.analysis.signatures import cluster_signatures, compare_clusters, rank_signatures
from phenoprint.analysis.typical import choose_treatments, look_features, typical_cells

__all__ = [
    "BENCHMARK",
    "CLUSTERINGS",
    "DEFAULT_READOUTS",
    "FEWEST_CONTROLS",
    "FEWEST_UNRELATED",
    "GLOBAL",
    "HIT_CALL",
    "PROJECTIONS",
    "Clustering",
    "Controls",
    "DoseFit",
    "Search",
    "choose_treatments",
    "cluster_enrichment",
    "cluster_profiles",
    "cluster_signatures",
    "compare_clusters",
    "curve_band",
    "curve_response",
    "default_readouts",
    "dose_curves",
    "dose_points",
    "dose_summary",
    "dosed_wells",
    "feature_effects",
    "feature_groups",
    "fit_controls",
    "fit_dose_response",
    "group_distances",
    "has_profile",
    "leading_components",
    "look_features",
    "nearest_profiles",
    "project",
    "project_with_status",
    "rank_signatures",
    "relative_to_controls",
    "similarity_matrix",
    "technical_labels",
    "typical_cells",
    "unrelated_p",
]
