"""Figure of the scores of each step of a recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from phenoprint.report.figures.theme import CATEGORICAL, SYMBOLS, blank_figure, finish, plain

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["STEP_SCORE_NAMES", "step_scores"]

STEP_SCORE_NAMES = {
    "replicate_retrieval": "replicates on other plates found",
    "control_retrieval": "treatments distinguished from controls",
    "reproducible_share": "treatments that replicate",
    "moa_consistency": "mechanisms found again",
    "moa_by_count": "mechanisms by cell count alone",
    "batch_mixing": "batches mixed",
    "plate_variance": "variance between plates",
    "batch_variance": "variance between batches",
    "treatment_variance": "variance between treatments",
    "position_leakage": "same position found",
    "position_variance": "variance by row and column",
    "n_features": "features",
}


def step_scores(scores: pl.DataFrame, *, only: tuple[str, ...] = (), title: str | None = None) -> go.Figure:
    """Draw scores over the steps of a recipe.

    Parameters
    ----------
    scores
        The table ``step_score``: step, number, score, value.
    only
        Scores to draw; default: all but the number of features.
    title
        Title of the figure.

    Returns
    -------
    plotly.graph_objects.Figure
        One line per score that has a value at some step; `phenoprint.evaluation.STEP_SCORES` describes the scores.

    Examples
    --------
    >>> rows = {"step": ["level3", "normalize"], "number": [0, 1], "score": ["batch_mixing"] * 2, "value": [0.2, 0.9]}
    >>> step_scores(pl.DataFrame(rows)).data[0].y
    (0.2, 0.9)
    """
    import plotly.graph_objects as go

    wanted = only or tuple(name for name in STEP_SCORE_NAMES if name != "n_features")
    steps = scores.select("number", "step").unique().sort("number")["step"].to_list()
    figure = blank_figure()
    for place, name in enumerate(wanted):
        part = scores.filter((pl.col("score") == name) & pl.col("value").is_not_null()).sort("number")
        if part.is_empty():
            continue
        figure.add_trace(
            go.Scatter(
                x=[plain(step) for step in part["step"].to_list()],
                y=part["value"].to_list(),
                mode="lines+markers",
                name=plain(STEP_SCORE_NAMES.get(name, name)),
                line={"color": CATEGORICAL[place % len(CATEGORICAL)], "dash": "solid" if place < 8 else "dot"},
                marker={"symbol": SYMBOLS[place % len(SYMBOLS)], "size": 8},
                hovertemplate="%{x}: <b>%{y:.3f}</b><extra>%{fullData.name}</extra>",
            )
        )
    return finish(
        figure,
        title=title,
        height=380,
        # beside the lines, the legend covers neither the title nor long step names
        showlegend=True,
        legend={"orientation": "v", "x": 1.01, "y": 1, "yanchor": "top"},
        xaxis={"type": "category", "categoryorder": "array", "categoryarray": [plain(step) for step in steps]},
        yaxis={"title": {"text": "score"}, "rangemode": "tozero"},
    )
