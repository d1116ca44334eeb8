"""Figure of hits: how far each treatment is from the controls, and how sure that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.report.figures.theme import NEUTRAL, blank_figure, finish, plain

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["hit_volcano"]

_GROUPS = (
    ("no hit", False, False, NEUTRAL, "circle-open"),
    ("no hit, toxic", False, True, "#d55e00", "x-open"),
    ("hit", True, False, "#009e73", "circle"),
    ("hit, toxic", True, True, "#d55e00", "x"),
)


def hit_volcano(
    frame: pl.DataFrame, *, name: str = "treatment", q: str = "q_value", threshold: float | None = 0.05
) -> go.Figure:
    """Draw the effect size of each treatment against its corrected p value.

    Parameters
    ----------
    frame
        Rows of table ``hit`` with the name of the treatment; those without a distance are left out.
    name, q
        Columns of the name and of the corrected p value.
    threshold
        Corrected p value that is drawn as a line; None for no line.

    Examples
    --------
    >>> rows = {"treatment": ["a", "b"], "effect": [3.0, 0.0], "q_value": [0.001, 0.9], "is_hit": [True, False]}
    >>> figure = hit_volcano(pl.DataFrame(rows).with_columns(is_toxic=pl.Series([True, None])))
    >>> [trace.name for trace in figure.data]
    ['no hit (1)', 'hit, toxic (1)']
    """
    import plotly.graph_objects as go

    figure = blank_figure()
    known = frame.drop_nulls(["effect", q]).sort(name)
    is_hit = pl.col("is_hit").fill_null(value=False)
    is_toxic = pl.col("is_toxic").fill_null(value=False)
    for group, hit, toxic, colour, symbol in _GROUPS:
        part = known.filter((is_hit == hit) & (is_toxic == toxic))
        if part.is_empty():
            continue
        figure.add_trace(
            go.Scatter(
                x=part["effect"].to_list(),
                y=(-part[q].clip(1e-12).log10()).to_list(),
                text=[plain(text) for text in part[name].to_list()],
                customdata=part[q].to_list(),
                mode="markers",
                name=f"{group} ({part.height})",
                marker={"color": colour, "symbol": symbol, "size": 8, "opacity": 0.8},
                hovertemplate="<b>%{text}</b><br>effect %{x:.2f}<br>q %{customdata:.2g}<extra></extra>",
            )
        )
    if threshold is not None:
        figure.add_hline(y=-np.log10(threshold), line={"dash": "dot", "width": 1, "color": NEUTRAL})
    return finish(
        figure,
        height=470,
        xaxis={"title": {"text": "effect size (1: as far as the noise of one well)"}, "rangemode": "tozero"},
        yaxis={"title": {"text": "-log10 q"}, "rangemode": "tozero"},
    )
