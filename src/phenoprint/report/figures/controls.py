"""Figures of the controls, readout by readout, and of the activity of treatments."""

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
from phenoprint.tables import PLATE, WELL

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["activity_scatter", "control_separation", "separation_matrix"]


def control_separation(
    frame: pl.DataFrame,
    value: str,
    *,
    split: str | None = None,
    title: str | None = None,
) -> go.Figure:
    """Draw the control wells of each plate for one readout.

    Parameters
    ----------
    frame
        One row per well: ``Metadata_Plate``, ``Metadata_Well``, ``Metadata_pert_type`` and the readout.
    value
        Column of the readout.
    split
        Column that splits the positive controls into one box per level, such as their compound.
    title
        Title of the figure.

    Returns
    -------
    plotly.graph_objects.Figure
        One box per plate and kind of control; every well is a point.

    Examples
    --------
    >>> wells = pl.DataFrame({"Metadata_Plate": ["p"] * 2, "Metadata_Well": ["A01", "A02"], "x": [0.0, 5.0]})
    >>> wells = wells.with_columns(Metadata_pert_type=pl.Series(["negcon", "poscon"]))
    >>> [box.name for box in control_separation(wells, "x").data]
    ['negative control', 'positive control']
    """
    import plotly.graph_objects as go

    figure = blank_figure()
    for kind, label, keep, colour in _boxes(frame, split=split):
        part = frame.filter(keep & pl.col(value).is_not_null()).sort(PLATE, WELL)
        figure.add_trace(
            go.Box(
                x=[plain(name) for name in part[PLATE].to_list()],
                y=part[value].cast(pl.Float64).to_list(),
                text=[plain(name) for name in part[WELL].to_list()],
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


def _boxes(frame: pl.DataFrame, *, split: str | None) -> list[tuple[str, str, pl.Expr, str]]:
    """Return kind, label, row filter and colour of each set of boxes."""
    boxes: list[tuple[str, str, pl.Expr, str]] = []
    for kind in ("negcon", "poscon"):
        label, colour, own = ROLE_NAMES[kind], ROLE_COLOURS[kind], pl.col("Metadata_pert_type") == kind
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


def separation_matrix(frame: pl.DataFrame, *, plate: str = PLATE) -> go.Figure:
    """Draw the robust Z' of each readout on each plate.

    Parameters
    ----------
    frame
        One row per plate and readout: ``feature``, ``robust_z_prime`` and the column `plate`. Readouts keep the order
        of their first row.
    plate
        Column that names the plate.

    Returns
    -------
    plotly.graph_objects.Figure
        A heat map with one row per readout and one column per plate. The scale runs from -1 to 1; a Z' of 0.5 is the
        usual threshold of an excellent assay.

    Examples
    --------
    >>> scores = pl.DataFrame({"Metadata_Plate": ["p", "q"], "feature": ["x", "x"], "robust_z_prime": [0.7, 0.4]})
    >>> separation_matrix(scores).data[0].z.tolist()
    [[0.7, 0.4]]
    """
    import plotly.graph_objects as go

    features = frame["feature"].unique(maintain_order=True).to_list()
    plates = sorted(frame[plate].unique().to_list())
    grid = np.full((len(features), len(plates)), np.nan)
    rows = [features.index(name) for name in frame["feature"].to_list()]
    columns = [plates.index(name) for name in frame[plate].to_list()]
    grid[rows, columns] = frame["robust_z_prime"].cast(pl.Float64).fill_null(np.nan).to_numpy()
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
) -> go.Figure:
    """Draw activity against its corrected p value, one point per treatment.

    Parameters
    ----------
    frame
        One row per treatment.
    score, p, name
        Columns of the (normalized) mean average precision, of the corrected p value and of the treatment.
    threshold
        Corrected p value up to which a treatment counts as active; drawn as a line.
    label
        Axis title of the score.
    """
    import plotly.graph_objects as go

    figure = blank_figure()
    known = frame.drop_nulls([score, p]).sort(name)
    for group, keep, colour, symbol in (
        ("not different from controls", pl.col(p) > threshold, NEUTRAL, "circle-open"),
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
        height=470,
        xaxis={"title": {"text": plain(label)}},
        yaxis={"title": {"text": "-log10 corrected p"}, "rangemode": "tozero"},
    )
