"""Figures of mechanism calls: the confusion matrix, and scores beside their baselines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.report.figures.theme import CATEGORICAL, NEUTRAL, SEQUENTIAL, blank_figure, finish, plain

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["confusion", "score_dots"]


def confusion(frame: pl.DataFrame) -> go.Figure:
    """Draw the confusion matrix of mechanism calls.

    Parameters
    ----------
    frame
        One row per prediction: ``Metadata_moa`` (rows without it are left out) and ``predicted`` (NULL counts as "no
        call").

    Returns
    -------
    plotly.graph_objects.Figure
        A heat map of shares of each annotated mechanism (rows add up to 1); ``customdata`` holds the counts.

    Examples
    --------
    >>> calls = pl.DataFrame({"Metadata_moa": ["tubulin", "actin"], "predicted": ["tubulin", "tubulin"]})
    >>> confusion(calls).data[0].customdata.tolist()
    [[0, 1], [0, 1]]
    """
    import plotly.graph_objects as go

    known = frame.filter(pl.col("Metadata_moa").is_not_null()).select(
        pl.col("Metadata_moa").cast(pl.String).alias("t"),
        pl.col("predicted").cast(pl.String).fill_null("no call").alias("p"),
    )
    rows = sorted(known["t"].unique().to_list())
    extra = sorted(set(known["p"].unique().to_list()) - set(rows))
    columns = rows + extra
    counts = np.zeros((len(rows), len(columns)), dtype=np.int64)
    row_of = {name: i for i, name in enumerate(rows)}
    column_of = {name: i for i, name in enumerate(columns)}
    pairs = known.group_by("t", "p").len()
    for t, p, n in pairs.iter_rows():
        counts[row_of[t], column_of[p]] = n
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = blank_figure()
    figure.add_trace(
        go.Heatmap(
            z=share,
            x=[plain(name) for name in columns],
            y=[plain(name) for name in rows],
            customdata=counts,
            zmin=0,
            zmax=1,
            colorscale=SEQUENTIAL,
            text=[[str(v) if v else "" for v in row] for row in counts.tolist()],
            texttemplate="%{text}",
            hovertemplate="is <b>%{y}</b><br>called <b>%{x}</b><br>%{customdata} (%{z:.0%})<extra></extra>",
            xgap=1.5,
            ygap=1.5,
            colorbar={"thickness": 10, "outlinewidth": 0, "tickformat": ".0%"},
        )
    )
    return finish(
        figure,
        height=170 + 25 * len(rows),
        xaxis={"title": {"text": "called"}, "tickangle": -40, "showgrid": False, "type": "category"},
        yaxis={
            "title": {"text": "annotated"},
            "autorange": "reversed",
            "showgrid": False,
            "type": "category",
        },
    )


def score_dots(scores: pl.DataFrame, order: Sequence[str]) -> go.Figure:
    """Draw scores beside their baselines, a line per score, with intervals.

    Parameters
    ----------
    scores
        One row per score and baseline: ``name`` (of the score, as shown), ``baseline``, ``value`` and, where known,
        ``low`` and ``high``; between 0 and 1.
    order
        What ``baseline`` may be, as shown; the first is drawn in colour.

    Examples
    --------
    >>> rows = pl.DataFrame({"name": ["accuracy"] * 2, "baseline": ["profiles", "plate alone"], "value": [0.9, 0.1]})
    >>> [trace.name for trace in score_dots(rows, ["profiles", "plate alone"]).data]
    ['profiles', 'plate alone']
    """
    import plotly.graph_objects as go

    figure = blank_figure()
    names = scores["name"].unique(maintain_order=True).to_list()
    symbols = ("circle", "diamond-open", "square-open", "triangle-up-open", "x-thin-open")
    for number, label in enumerate(order):
        part = scores.filter(baseline=label)
        if part.is_empty():
            continue
        value = part["value"].to_numpy()
        ends = [
            part[name].fill_null(pl.Series(value)).to_numpy() if name in part.columns else value
            for name in ("low", "high")
        ]
        is_lead = number == 0
        figure.add_trace(
            go.Scatter(
                x=value.tolist(),
                y=[plain(name) for name in part["name"]],
                name=plain(label),
                mode="markers",
                marker={
                    "color": CATEGORICAL[2] if is_lead else NEUTRAL,
                    "size": 11 if is_lead else 8,
                    "symbol": symbols[number % len(symbols)],
                },
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": np.maximum(ends[1] - value, 0).tolist(),
                    "arrayminus": np.maximum(value - ends[0], 0).tolist(),
                    "thickness": 1.6 if is_lead else 0.8,
                    "width": 3,
                    "color": CATEGORICAL[2] if is_lead else NEUTRAL,
                },
                hovertemplate=f"{plain(label)} <b>%{{y}}</b> %{{x:.1%}}<extra></extra>",
            )
        )
    return finish(
        figure,
        height=150 + 38 * len(names),
        xaxis={"range": [-0.02, 1.02], "tickformat": ".0%"},
        yaxis={
            "autorange": "reversed",
            "type": "category",
            "categoryorder": "array",
            "categoryarray": [plain(name) for name in names],
        },
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )
