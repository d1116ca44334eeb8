"""Figures of the ledger and of the features that were kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.report.figures.theme import CATEGORICAL, NEUTRAL, SEQUENTIAL, blank_figure, finish, plain
from phenoprint.report.summaries.ledger import ledger_steps

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["feature_survival", "ledger_waterfall"]

MOST_REASONS = 7


def ledger_waterfall(ledger: pl.DataFrame, *, order: Sequence[str] = ()) -> go.Figure:
    """Draw the share that each step lost of its input, by reason.

    Parameters
    ----------
    ledger
        The table ``ledger``: Metadata_Plate, Metadata_Well, step, unit_of_count, n_in, n_out, n_lost, reason.
    order
        Steps in the order in which they run; others follow in the order of the ledger's rows.

    Returns
    -------
    plotly.graph_objects.Figure
        One stacked horizontal bar per step, in percent of its input. The most frequent reasons have a colour each;
        the others are grey and named "other reasons".
    """
    import plotly.graph_objects as go

    steps = ledger_steps(ledger, order=order)
    labels = [
        plain(f"{step} ({unit})")
        for step, unit in steps.select("step", "unit_of_count").unique(maintain_order=True).iter_rows()
    ]
    lost = steps.filter(pl.col("n_lost") > 0)
    ranked = (
        lost.group_by("reason")
        .agg(pl.col("n_lost").sum())
        .sort(["n_lost", "reason"], descending=[True, False])["reason"]
        .to_list()
    )
    named = ranked[:MOST_REASONS]
    figure = blank_figure()
    for reason, colour in [*zip(named, CATEGORICAL, strict=False), ("other reasons", NEUTRAL)]:
        keep = (
            pl.col("reason").is_in(ranked[MOST_REASONS:]) if reason == "other reasons" else pl.col("reason") == reason
        )
        part = (
            lost.filter(keep)
            .group_by("step", "unit_of_count", maintain_order=True)
            .agg(pl.col("n_lost").sum(), pl.col("n_in").first())
        )
        if part.is_empty():
            continue
        figure.add_trace(
            go.Bar(
                y=[plain(f"{step} ({unit})") for step, unit in part.select("step", "unit_of_count").iter_rows()],
                x=(100 * part["n_lost"] / part["n_in"]).to_list(),
                customdata=part.select("n_lost", "n_in").to_numpy(),
                orientation="h",
                name=plain(reason),
                marker={"color": colour},
                hovertemplate=(
                    "<b>%{customdata[0]:,}</b> of %{customdata[1]:,} (%{x:.2f} %)<extra>%{fullData.name}</extra>"
                ),
            )
        )
    return finish(
        figure,
        barmode="stack",
        height=110 + 30 * len(labels),
        xaxis={"title": {"text": "lost, percent of the input"}, "rangemode": "tozero", "ticksuffix": " %"},
        yaxis={
            "categoryorder": "array",
            "categoryarray": labels[::-1],
            "range": [-0.6, len(labels) - 0.4],
            "showgrid": False,
            "type": "category",
        },
        showlegend=True,
    )


def feature_survival(frame: pl.DataFrame) -> go.Figure:
    """Draw how many features of each family and channel were kept for the final profiles.

    Parameters
    ----------
    frame
        Columns ``family``, ``channel``, ``n`` and ``n_kept``, one row per family and channel.

    Returns
    -------
    plotly.graph_objects.Figure
        A heat map of the share kept; each cell shows how many features were kept of how many.

    Examples
    --------
    >>> counts = pl.DataFrame({"family": ["Texture"], "channel": ["DNA"], "n": [4], "n_kept": [3]})
    >>> feature_survival(counts).data[0].text
    (['3/4'],)
    """
    import plotly.graph_objects as go

    families = sorted(frame["family"].unique().to_list())
    channels = sorted(frame["channel"].unique().to_list(), key=lambda name: (name == "–", "," in name, name))
    share = np.full((len(families), len(channels)), np.nan)
    text = [["" for _ in channels] for _ in families]
    for family, channel, n, kept in frame.select("family", "channel", "n", "n_kept").iter_rows():
        i, j = families.index(family), channels.index(channel)
        share[i, j] = kept / n if n else np.nan
        text[i][j] = f"{kept}/{n}"
    figure = blank_figure()
    figure.add_trace(
        go.Heatmap(
            z=share,
            x=[plain(name) for name in channels],
            y=[plain(name) for name in families],
            text=text,
            texttemplate="%{text}",
            zmin=0,
            zmax=1,
            colorscale=SEQUENTIAL,
            hoverongaps=False,
            hovertemplate="<b>%{y}</b> %{x}<br>kept %{text} (%{z:.0%})<extra></extra>",
            xgap=2,
            ygap=2,
            colorbar={"thickness": 10, "outlinewidth": 0, "tickformat": ".0%"},
        )
    )
    return finish(
        figure,
        height=120 + 32 * len(families),
        xaxis={"showgrid": False, "type": "category", "tickangle": -30 if len(channels) > 8 else 0},
        yaxis={"autorange": "reversed", "showgrid": False, "type": "category"},
    )
