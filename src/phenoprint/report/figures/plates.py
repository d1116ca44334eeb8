"""Figures of whole plates, A01 at the top left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from phenoprint.errors import UsageError, first_few
from phenoprint.plates import PlateFormat, Well
from phenoprint.report.figures.theme import NEUTRAL, SEQUENTIAL, blank_figure, finish
from phenoprint.report.html import number

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from numpy.typing import NDArray

__all__ = ["plate_grid", "plate_heatmap", "robust_limits"]


def plate_grid(frame: pl.DataFrame, value: str, *, plate_format: int | None = None) -> NDArray[np.float64]:
    """Arrange the values of wells as the rows and columns of their plate.

    Parameters
    ----------
    frame
        One row per well of one plate, with ``Metadata_Well`` in any spelling that `phenoprint.plates.Well` reads.
    value
        Numeric column.
    plate_format
        Wells of the plate (96, 384, ...); None infers the smallest plate that holds the wells.

    Returns
    -------
    ndarray
        (rows, columns) float64; NaN where there is no well or no value.

    Raises
    ------
    UsageError
        A well occurs twice, or lies outside the plate.

    Examples
    --------
    >>> plate_grid(pl.DataFrame({"Metadata_Well": ["A01", "B03"], "v": [1.0, 2.0]}), "v", plate_format=6)
    array([[ 1., nan, nan],
           [nan, nan,  2.]])
    """
    names = frame["Metadata_Well"].to_list()
    wells = [Well.parse(name) for name in names]
    shape = PlateFormat.infer(wells) if plate_format is None else PlateFormat.of(plate_format)
    if len(set(wells)) < len(wells):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise UsageError(
            f"one row per well expected, more than one for {first_few(twice)}: take one plate, aggregate first"
        )
    outside = [str(w) for w in wells if w not in shape]
    if outside:
        raise UsageError(f"{first_few(outside)} lie outside a {shape} plate; give the right plate_format")
    grid = np.full((shape.rows, shape.columns), np.nan)
    grid[[w.row for w in wells], [w.col for w in wells]] = frame[value].cast(pl.Float64).fill_null(np.nan).to_numpy()
    return grid


def robust_limits(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 1st and 99th percentile, so that a few extreme wells do not stretch a colour scale.

    Parameters
    ----------
    values
        Any shape; NaN is left out.
    """
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return (0.0, 1.0)
    low, high = (float(q) for q in np.quantile(finite, (0.01, 0.99)))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def plate_heatmap(
    frame: pl.DataFrame,
    value: str,
    *,
    plate_format: int | None = None,
    limits: tuple[float, float] | None = None,
    label: str | None = None,
    title: str | None = None,
) -> go.Figure:
    """Draw one measure over one plate.

    Parameters
    ----------
    frame
        One row per well of one plate, with ``Metadata_Well``.
    value
        Numeric column to colour by.
    plate_format
        Wells of the plate; None infers it.
    limits
        Ends of the colour scale; None takes `robust_limits`.
    label
        Title of the colour bar; `value` when None.
    title
        Title of the figure.

    Returns
    -------
    plotly.graph_objects.Figure
        A heat map whose ``z`` is `plate_grid`; x is the column and y the row, from 1;
        rows run downwards from A.

    Examples
    --------
    >>> wells = pl.DataFrame({"Metadata_Well": ["A01", "B02"], "cells": [120, 80]})
    >>> plate_heatmap(wells, "cells", plate_format=96).data[0].z.shape
    (8, 12)
    """
    import plotly.graph_objects as go

    grid = plate_grid(frame, value, plate_format=plate_format)
    low, high = limits or robust_limits(grid)
    rows, columns = grid.shape
    text = [
        [f"<b>{Well(row, col)}</b><br>{number(grid[row, col], digits=4)}" for col in range(columns)]
        for row in range(rows)
    ]
    figure = blank_figure()
    figure.add_trace(
        go.Heatmap(
            z=grid,
            x=list(range(1, columns + 1)),
            y=list(range(1, rows + 1)),
            text=text,
            hovertemplate="%{text}<extra></extra>",
            hoverongaps=False,
            zmin=low,
            zmax=high,
            colorscale=SEQUENTIAL,
            xgap=1 if rows <= 16 else 0.5,
            ygap=1 if rows <= 16 else 0.5,
            colorbar={
                "title": {"text": label or value, "side": "right"},
                "thickness": 10,
                "outlinewidth": 0,
                "len": 0.9,
            },
        )
    )
    return finish(figure, title=title, height=_height(rows), **_plate_axes(rows, columns))


def _height(rows: int) -> int:
    # keeps the wells nearly square on a page about 900 pixels wide
    return int(np.clip(60 + (46 if rows <= 8 else 36) * rows, 260, 640))


def _plate_axes(rows: int, columns: int) -> dict[str, Any]:
    every = 1 if columns <= 24 else 2
    return {
        "xaxis": {
            "side": "top",
            "automargin": False,
            "dtick": every,
            "tick0": 1,
            "range": [0.5, columns + 0.5],
            "showgrid": False,
            "constrain": "domain",
            "tickfont": {"size": 10.5, "color": NEUTRAL},
            "fixedrange": True,
        },
        "yaxis": {
            "autorange": False,
            "automargin": False,
            "range": [rows + 0.5, 0.5],
            "showgrid": False,
            "scaleanchor": "x",
            "constrain": "domain",
            "tickfont": {"size": 10.5, "color": NEUTRAL},
            "tickvals": list(range(1, rows + 1, 1 if rows <= 16 else 2)),
            "ticktext": [str(Well(row, 0))[:-2] for row in range(0, rows, 1 if rows <= 16 else 2)],
            "fixedrange": True,
        },
        "margin": {"l": 34, "r": 8, "t": 30, "b": 10},
    }
