"""Figures of whole profiles: maps, the choice of clusters, and the agreement of replicates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.report.figures.theme import (
    CATEGORICAL,
    NEUTRAL,
    ROLE_COLOURS,
    ROLE_NAMES,
    SEQUENTIAL,
    blank_figure,
    category_styles,
    finish,
    plain,
)
from phenoprint.tables import WELL_KEY

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["replicate_histogram", "resampling_curve", "umap_scatter"]

OTHER = "other"
MISSING = "not annotated"


def umap_scatter(
    frame: pl.DataFrame,
    colour: str,
    *,
    hover: Sequence[str] = WELL_KEY,
    quiet: Sequence[str] = (),
    most: int = 24,
    logarithmic: bool = False,
    missing: str = MISSING,
    title: str | None = None,
) -> go.Figure:
    """Draw a two-dimensional projection of wells, coloured by one column.

    Parameters
    ----------
    frame
        One row per well, with the coordinates ``x`` and ``y``.
    colour
        Column to colour by: viridis for numbers; a colour and a marker symbol per level for text.
    hover
        Columns shown on hover.
    quiet
        Levels of `colour` drawn in grey beneath the others, such as the name of the negative control.
    most
        Number of levels with a colour of their own, the most frequent first; the rest is grey and named "other".
    logarithmic
        Colour by the decimal logarithm of the numbers (doses).
    missing
        Label of the points without a value.
    title
        Title of the figure.

    Returns
    -------
    plotly.graph_objects.Figure
        One trace per level. ``customdata`` holds the row number in `frame` of each point.

    Examples
    --------
    >>> wells = pl.DataFrame({"x": [0.0, 1.0], "y": [0.0, 1.0], "Metadata_moa": ["tubulin", "actin"]})
    >>> sorted(trace.name for trace in umap_scatter(wells, "Metadata_moa").data)
    ['actin', 'tubulin']
    """
    import plotly.graph_objects as go

    rows = frame.with_row_index("__row")
    text = _hover_text(rows, hover)
    rows = rows.with_columns(pl.Series("__text", text, dtype=pl.String))
    figure = blank_figure()

    def add(part: pl.DataFrame, name: str, marker: dict[str, object]) -> None:
        figure.add_trace(
            go.Scatter(
                x=part["x"].cast(pl.Float64).to_list(),
                y=part["y"].cast(pl.Float64).to_list(),
                text=part["__text"].to_list(),
                customdata=part["__row"].to_list(),
                mode="markers",
                name=plain(name),
                marker={
                    "size": _point_size(frame.height),
                    "line": {"width": 0.5, "color": "rgba(255,255,255,0.55)"},
                    **marker,
                },
                hovertemplate="%{text}<extra></extra>",
            )
        )

    legend = True
    named = ROLE_COLOURS | {name: ROLE_COLOURS[kind] for kind, name in ROLE_NAMES.items()}
    if frame[colour].dtype.is_numeric():
        value = pl.col(colour).cast(pl.Float64)
        known = value.is_not_null() & (value > 0) if logarithmic else value.is_not_null()
        add(rows.filter(known.not_().fill_null(value=True)), missing, {"color": NEUTRAL, "opacity": 0.35})
        part = rows.filter(known)
        shown = part[colour].cast(pl.Float64)
        bar: dict[str, object] = {
            "thickness": 10,
            "outlinewidth": 0,
            "title": {"text": plain(colour.removeprefix("Metadata_"))},
        }
        if logarithmic and part.height:
            shown = shown.log10()
            low, high = int(np.floor(shown.min())), int(np.ceil(shown.max()))  # type: ignore[arg-type]
            bar |= {
                "tickvals": list(range(low, high + 1)),
                "ticktext": [f"{10.0**k:g}" for k in range(low, high + 1)],
            }
        add(
            part,
            colour,
            {
                "color": shown.to_list(),
                "colorscale": SEQUENTIAL,
                "showscale": True,
                "colorbar": bar,
                "opacity": 0.9,
            },
        )
        legend = False
    else:
        labels = rows[colour].cast(pl.String).fill_null(missing)
        rows = rows.with_columns(labels.alias("__level"))
        background = {missing, *quiet}
        counts = labels.value_counts(name="n").sort(["n", labels.name], descending=[True, False])
        ranked = [level for level in counts[labels.name].to_list() if level not in background]
        chosen = sorted(ranked[:most])
        rest = ranked[most:]
        hollow = {
            level: {"symbol": symbol, "line": {"width": 1.3}}
            for level, symbol in ((missing, "diamond-open"), (ROLE_NAMES["empty"], "circle-open"))
        }
        for level in sorted(background & set(labels.to_list())):
            add(
                rows.filter(pl.col("__level") == level),
                level,
                {"color": NEUTRAL, "opacity": 0.5} | hollow.get(level, {"symbol": "circle"}),
            )
        if rest:
            part = rows.filter(pl.col("__level").is_in(rest))
            add(
                part,
                f"{OTHER} ({len(rest)} more)",
                {"color": NEUTRAL, "opacity": 0.55, "symbol": "circle-open"},
            )
        for level, (hue, symbol) in zip(chosen, category_styles(chosen), strict=True):
            hue = named.get(level, hue)  # noqa: PLW2901 - controls keep their colour in every figure
            add(
                rows.filter(pl.col("__level") == level),
                level,
                {"color": hue, "symbol": symbol, "opacity": 0.9},
            )
    axis = {"showticklabels": False, "showgrid": False, "zeroline": False}
    return finish(
        figure,
        title=title,
        height=560,
        showlegend=legend,
        legend={
            "orientation": "v",
            "x": 1.01,
            "y": 0.95,
            "yanchor": "top",
            "font": {"size": 11.5},
            "itemsizing": "constant",
        },
        xaxis={**axis, "title": {"text": "UMAP 1"}},
        yaxis={**axis, "title": {"text": "UMAP 2"}, "scaleanchor": "x"},
    )


def _point_size(n: int) -> float:
    return 8.5 if n <= 800 else 6.5 if n <= 3000 else 4.5


def _hover_text(frame: pl.DataFrame, hover: Sequence[str]) -> list[str]:
    """Return one text of names and values per row, with the angle brackets of plotly's markup escaped."""
    parts = [
        pl.format("{}: {}", pl.lit(name.removeprefix("Metadata_")), pl.col(name).cast(pl.String).fill_null("–"))
        .str.replace_all("&", "&amp;", literal=True)
        .str.replace_all("<", "&lt;", literal=True)
        .str.replace_all("\n", "<br>", literal=True)
        for name in hover
        if name in frame.columns
    ]
    if not parts:
        return [""] * frame.height
    return frame.select(pl.concat_str(parts, separator="<br>")).to_series().to_list()


def replicate_histogram(
    replicates: Sequence[float],
    null: Sequence[float],
    *,
    threshold: float | None = None,
) -> go.Figure:
    """Draw the agreement of replicates and, behind it, that of random groups of the same sizes.

    Parameters
    ----------
    replicates
        Median pairwise correlation of each treatment's replicates.
    null
        The same for random groups of equal size, whose wells have different treatments.
    threshold
        Quantile of the null above which a treatment counts as replicating; drawn as a line.

    Examples
    --------
    >>> [trace.name for trace in replicate_histogram([0.8, 0.9], [0.0, 0.1, 0.2]).data]
    ['random groups (3)', 'replicates (2)']
    """
    import plotly.graph_objects as go

    figure = blank_figure()
    bins = {"start": -1.0, "end": 1.0 + 1e-9, "size": 0.04}
    for name, values, colour in (
        ("random groups", null, NEUTRAL),
        ("replicates", replicates, CATEGORICAL[0]),
    ):
        figure.add_trace(
            go.Histogram(
                x=[float(v) for v in values],
                name=f"{name} ({len(values):,})",
                histnorm="probability",
                xbins=bins,
                autobinx=False,
                marker={"color": colour, "line": {"width": 0}},
                opacity=0.62,
                hovertemplate="correlation %{x}<br>%{y:.1%}<extra>" + name + "</extra>",
            )
        )
    if threshold is not None:
        figure.add_vline(x=threshold, line={"dash": "dot", "width": 1.4, "color": NEUTRAL})
    return finish(
        figure,
        barmode="overlay",
        height=340,
        xaxis={"title": {"text": "median correlation of replicates"}, "range": [-1.02, 1.02]},
        yaxis={"title": {"text": "share of groups"}, "tickformat": ".0%"},
    )


def resampling_curve(choices: pl.DataFrame) -> go.Figure:
    """Draw how much of the clusters is found again in resamples, over their number.

    Parameters
    ----------
    choices
        Rows of table ``cluster_choice``.

    Examples
    --------
    >>> rows = {"n_clusters": [2, 8], "shared_information": [0.6, 1.4], "is_chosen": [False, True]}
    >>> [trace.name for trace in resampling_curve(pl.DataFrame(rows)).data]
    ['compared', 'chosen']
    """
    import plotly.graph_objects as go

    figure = blank_figure()
    for name, part, marker in (
        ("compared", choices.filter(~pl.col("is_chosen")), {"color": NEUTRAL, "size": 8}),
        ("chosen", choices.filter("is_chosen"), {"color": CATEGORICAL[0], "size": 13, "symbol": "diamond"}),
    ):
        figure.add_trace(
            go.Scatter(
                x=part["n_clusters"].to_list(),
                y=part["shared_information"].to_list(),
                mode="markers",
                name=name,
                marker=marker,
                hovertemplate="%{x} clusters<br>%{y:.2f} nats<extra>" + name + "</extra>",
            )
        )
    return finish(
        figure,
        height=320,
        xaxis={"title": {"text": "clusters of two or more"}, "rangemode": "tozero"},
        yaxis={"title": {"text": "shared information, nats"}, "rangemode": "tozero"},
    )
