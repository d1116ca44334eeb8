"""Figures of mechanism calls: the confusion matrix, and the accuracy beside its baselines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.report.figures.theme import CATEGORICAL, NEUTRAL, SEQUENTIAL, blank_figure, finish, plain

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["baseline_bars", "confusion"]


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


def baseline_bars(
    names: Sequence[str],
    values: Sequence[float],
    *,
    low: Sequence[float | None] | None = None,
    high: Sequence[float | None] | None = None,
    lead: str | None = None,
) -> go.Figure:
    """Draw a score beside its baselines as horizontal bars with intervals.

    Parameters
    ----------
    names, values
        What was scored, and its score between 0 and 1.
    low, high
        Ends of the interval of each score; None where there is none.
    lead
        The name drawn in colour; the others are grey.

    Examples
    --------
    >>> baseline_bars(["profiles", "cell count alone"], [0.9, 0.2]).data[0].x
    (0.9, 0.2)
    """
    import plotly.graph_objects as go

    def arm(ends: Sequence[float | None] | None, sign: int) -> list[float]:
        given = ends or [None] * len(values)
        return [
            0.0 if end is None else max(0.0, sign * (end - value)) for end, value in zip(given, values, strict=True)
        ]

    figure = blank_figure()
    figure.add_trace(
        go.Bar(
            x=[float(v) for v in values],
            y=[plain(name) for name in names],
            orientation="h",
            width=0.62,
            marker={"color": [CATEGORICAL[2] if name == lead else NEUTRAL for name in names]},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": arm(high, 1),
                "arrayminus": arm(low, -1),
                "thickness": 1.4,
                "color": NEUTRAL,
                "visible": low is not None,
            },
            text=[f" {v:.0%}" for v in values],
            textposition="inside",
            insidetextanchor="start",
            hovertemplate="<b>%{y}</b> %{x:.1%}<extra></extra>",
        )
    )
    return finish(
        figure,
        height=90 + 42 * len(names),
        showlegend=False,
        xaxis={"range": [0, 1], "tickformat": ".0%"},
        yaxis={"autorange": "reversed", "showgrid": False, "type": "category"},
    )
