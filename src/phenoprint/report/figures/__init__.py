"""Figures of a screen as plotly objects: pure functions of a frame, for the report and for notebooks."""

from __future__ import annotations

from phenoprint.report.figures.controls import activity_scatter, control_separation, separation_matrix
from phenoprint.report.figures.doses import dose_response
from phenoprint.report.figures.hits import hit_volcano
from phenoprint.report.figures.losses import feature_survival, ledger_waterfall
from phenoprint.report.figures.plates import plate_grid, plate_heatmap
from phenoprint.report.figures.profiles import replicate_histogram, resampling_curve, umap_scatter
from phenoprint.report.figures.recovery import confusion, score_dots
from phenoprint.report.figures.steps import STEP_SCORE_NAMES, step_scores

__all__ = [
    "STEP_SCORE_NAMES",
    "activity_scatter",
    "confusion",
    "control_separation",
    "dose_response",
    "feature_survival",
    "hit_volcano",
    "ledger_waterfall",
    "plate_grid",
    "plate_heatmap",
    "replicate_histogram",
    "resampling_curve",
    "score_dots",
    "separation_matrix",
    "step_scores",
    "umap_scatter",
]
