"""Do the controls stand apart, and do treatments beat the null? Figures on single readouts and on activity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.report.figures.theme import (
    NEUTRAL,
    ROLE_COLOURS,
    ROLE_NAMES,
    blank_figure,
    category_styles,
    finish,
    plain,
)

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["activity_scatter", "control_separation", "separation_matrix"]


def control_separation(
    frame: pl.DataFrame,
    value: str,
    *,
    plate: str = "Metadata_Plate",
    role: str = "Metadata_pert_type",
    roles: tuple[str, ...] = ("negcon", "poscon"),
    well: str = "Metadata_Well",
    split: str | None = None,
    title: str | None = None,
) -> go.Figure:
    """Draw the wells of the controls plate by plate for one readout.

    Parameters
    ----------
    frame
        One row per well.
    value
        The readout.
    plate, role, well
        Columns of the plate, of the kind of well and of its name.
    roles
        Kinds of wells shown, side by side in a plate.
    split
        Column whose levels get a box each among the positive controls, such as their compound.
    title
        Title of the figure.

    Returns
    -------
    plotly.graph_objects.Figure
        A box a plate and kind, with every well as a point.
    """
    import plotly.graph_objects as go

    figure = blank_figure()
    for kind, label, keep, colour in _boxes(frame, roles, role=role, split=split):
        part = frame.filter(keep & pl.col(value).is_not_null()).sort(plate, well)
        figure.add_trace(
            go.Box(
                x=[plain(name) for name in part[plate].to_list()],
                y=part[value].cast(pl.Float64).to_list(),
                text=[plain(name) for name in part[well].to_list()] if well in part.columns else None,
                name=plain(label),
                offsetgroup=f"{kind} {label}",
                marker={"color": colour, "size": 5, "opacity": 0.75},
                line={"color": colour, "width": 1.4},
                fillcolor="rgba(0,0,0,0)",
                boxpoints="all",
                jitter=0.55,
                pointpos=0,
                hovertemplate="<b>%{text}</b> %{x}<br>%{y:.4g}<extra>%{fullData.name}</extra>",
            )
        )
    return finish(
        figure,
        title=title,
        boxmode="group",
        height=340,
        yaxis={"title": {"text": plain(value)}},
        xaxis={"type": "category", "showgrid": False},
    )


def _boxes(
    frame: pl.DataFrame, roles: tuple[str, ...], *, role: str, split: str | None
) -> list[tuple[str, str, pl.Expr, str]]:
    """Kind, name, condition and colour of each row of boxes."""
    boxes: list[tuple[str, str, pl.Expr, str]] = []
    for kind in roles:
        label, colour, own = ROLE_NAMES.get(kind, kind), ROLE_COLOURS.get(kind, NEUTRAL), pl.col(role) == kind
        levels = frame.filter(own)[split].cast(pl.String).unique().sort().to_list() if split is not None else []
        if kind != "poscon" or split is None or not levels:
            boxes.append((kind, label, own, colour))
            continue
        hues = [colour] if len(levels) == 1 else [hue for hue, _ in category_styles(levels)]
        boxes += [
            (kind, level or label, own & pl.col(split).cast(pl.String).eq_missing(pl.lit(level, dtype=pl.String)), hue)
            for level, hue in zip(levels, hues, strict=True)
        ]
    return boxes


def separation_matrix(
    frame: pl.DataFrame,
    *,
    value: str = "robust_z_prime",
    feature: str = "feature",
    plate: str = "Metadata_Plate",
    title: str | None = None,
) -> go.Figure:
    """Draw how well each readout separates the controls on each plate.

    Parameters
    ----------
    frame
        One row per plate and feature; features keep the order of their first row.
    value, feature, plate
        Columns of the score, the readout and the plate.
    title
        Title of the figure.

    Returns
    -------
    plotly.graph_objects.Figure
        A heat map, features downwards and plates across; the scale runs from -1 to 1 (Z' of 0.5 is the usual bar).
    """
    import plotly.graph_objects as go

    features = frame[feature].unique(maintain_order=True).to_list()
    plates = sorted(frame[plate].unique().to_list())
    grid = np.full((len(features), len(plates)), np.nan)
    rows = [features.index(name) for name in frame[feature].to_list()]
    columns = [plates.index(name) for name in frame[plate].to_list()]
    grid[rows, columns] = frame[value].cast(pl.Float64).fill_null(np.nan).to_numpy()
    shown = [["" if np.isnan(v) else f"{v:.2f}" for v in row] for row in grid]
    figure = blank_figure()
    figure.add_trace(
        go.Heatmap(
            z=grid,
            x=[plain(name) for name in plates],
            y=[plain(name) for name in features],
            zmin=-1,
            zmax=1,
            colorscale="Cividis",
            text=shown,
            texttemplate="%{text}" if len(plates) <= 8 else None,
            hovertemplate="<b>%{y}</b><br>%{x}: %{z:.3f}<extra></extra>",
            xgap=2,
            ygap=2,
            colorbar={"thickness": 10, "outlinewidth": 0},
        )
    )
    return finish(
        figure,
        title=title,
        height=90 + 27 * len(features),
        xaxis={"type": "category", "showgrid": False},
        yaxis={"autorange": "reversed", "showgrid": False, "type": "category"},
    )


def activity_scatter(
    frame: pl.DataFrame,
    *,
    score: str,
    p: str,
    name: str,
    threshold: float = 0.05,
    label: str = "mean average precision against negative controls",
    title: str | None = None,
) -> go.Figure:
    """Draw activity against its corrected p-value, a point a treatment.

    Parameters
    ----------
    frame
        One row per treatment.
    score, p, name
        Columns of the (normalized) mean average precision, of the corrected p-value and of the treatment.
    threshold
        Corrected p below which a treatment counts as active; drawn as a line.
    label
        Name of the score for the axis.
    title
        Title of the figure.
    """
    import plotly.graph_objects as go

    figure = blank_figure()
    known = frame.drop_nulls([score, p]).sort(name)
    for group, keep, colour, symbol in (
        ("not told apart from controls", pl.col(p) > threshold, NEUTRAL, "circle-open"),
        ("active", pl.col(p) <= threshold, "#009e73", "circle"),
    ):
        part = known.filter(keep)
        figure.add_trace(
            go.Scatter(
                x=part[score].cast(pl.Float64).to_list(),
                y=(-part[p].cast(pl.Float64).clip(1e-12).log10()).to_list(),
                text=[plain(text) for text in part[name].to_list()],
                customdata=part[p].to_list(),
                mode="markers",
                name=f"{group} ({part.height})",
                marker={"color": colour, "symbol": symbol, "size": 8, "opacity": 0.8},
                hovertemplate="<b>%{text}</b><br>score %{x:.3f}<br>corrected p %{customdata:.2g}<extra></extra>",
            )
        )
    figure.add_hline(y=-np.log10(threshold), line={"dash": "dot", "width": 1, "color": NEUTRAL})
    return finish(
        figure,
        title=title,
        height=470,
        xaxis={"title": {"text": plain(label)}},
        yaxis={"title": {"text": "-log10 corrected p"}, "rangemode": "tozero"},
    )
