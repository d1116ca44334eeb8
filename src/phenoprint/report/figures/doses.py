"""Dose-response figures, one point per well."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import polars as pl

from phenoprint.report.figures.theme import NEUTRAL, blank_figure, category_styles, finish, plain
from phenoprint.tables import COMPOUND

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["dose_response", "dose_ticks"]


def dose_response(
    frame: pl.DataFrame,
    value: str,
    *,
    dose: str = "Metadata_Concentration",
    unit: str | None = None,
    label: str | None = None,
    reference: float | None = None,
    curves: pl.DataFrame | None = None,
    marks: pl.DataFrame | None = None,
) -> go.Figure:
    """Draw a readout against dose on a logarithmic axis, with a line through the medians of each compound.

    Parameters
    ----------
    frame
        One row per well, with ``Metadata_compound``; wells without a positive dose or without a value are left out.
    value
        The readout.
    dose
        Column of the dose.
    unit
        Unit of the dose, for the axis.
    label
        Name of the readout for the axis; `value` when None.
    reference
        Level of the negative controls, drawn as a dotted line.
    curves
        Fitted curves as points: ``Metadata_compound``, `dose` and `value`, with ``low`` and ``high`` for a band. They
        replace the line of medians, which is dotted for compounds without a curve.
    marks
        Doses to mark on the curves: ``Metadata_compound``, `dose`, `value`, ``low`` and ``high`` (ends of the interval
        of the dose), ``mark`` (its name) and ``symbol``.

    Examples
    --------
    >>> wells = pl.DataFrame({"Metadata_compound": ["a"] * 2, "Metadata_Concentration": [1.0, 10.0], "x": [0.1, 0.9]})
    >>> [trace.mode for trace in dose_response(wells, "x").data]
    ['lines', 'markers']
    """
    import plotly.graph_objects as go

    known = frame.filter((pl.col(dose) > 0) & pl.col(value).is_not_null() & pl.col(COMPOUND).is_not_null())
    names = sorted(known[COMPOUND].unique().to_list())
    figure = blank_figure()
    for name, (colour, symbol) in zip(names, category_styles(names), strict=True):
        part = known.filter(pl.col(COMPOUND) == name).sort(dose)
        fitted = curves.filter(pl.col(COMPOUND) == name).sort(dose) if curves is not None else None
        is_fitted = fitted is not None and fitted.height > 0
        if fitted is not None and is_fitted:
            line = fitted.select(dose, value)
        else:
            line = part.group_by(dose).agg(pl.col(value).median()).sort(dose)
        own_marks = None if marks is None else marks.filter(pl.col(COMPOUND) == name)
        shared = {"legendgroup": plain(name), "name": plain(name)}
        if fitted is not None and is_fitted and "low" in fitted.columns:
            figure.add_trace(
                go.Scatter(
                    x=[*fitted[dose], *fitted[dose].reverse()],
                    y=[*fitted["high"], *fitted["low"].reverse()],
                    fill="toself",
                    fillcolor=f"rgba{(*(int(colour[i : i + 2], 16) for i in (1, 3, 5)), 0.14)}",
                    mode="none",
                    hoverinfo="skip",
                    showlegend=False,
                    **shared,
                )
            )
        figure.add_trace(
            go.Scatter(
                x=line[dose].to_list(),
                y=line[value].to_list(),
                mode="lines",
                line={
                    "color": colour,
                    "width": 2.4 if is_fitted else 1.4,
                    "dash": "solid" if is_fitted or curves is None else "dot",
                },
                hoverinfo="skip",
                **shared,
            )
        )
        figure.add_trace(
            go.Scatter(
                x=part[dose].to_list(),
                y=part[value].to_list(),
                mode="markers",
                marker={"color": colour, "symbol": symbol, "size": 6, "opacity": 0.7},
                text=part["Metadata_Well"].to_list() if "Metadata_Well" in part.columns else None,
                hovertemplate="<b>%{text}</b> dose %{x:.4g}<br>%{y:.4g}<extra>%{fullData.name}</extra>",
                showlegend=False,
                **shared,
            )
        )
        for mark in [] if own_marks is None else own_marks.iter_rows(named=True):
            figure.add_trace(_mark(mark, dose, value, colour, shared))
    if reference is not None:
        figure.add_hline(y=reference, line={"dash": "dot", "width": 1.2, "color": NEUTRAL})
    return finish(
        figure,
        height=400,
        showlegend=True,
        xaxis={
            "type": "log",
            "title": {"text": f"dose ({plain(unit)})" if unit else "dose"},
            **dose_ticks(known[dose]),
        },
        yaxis={"title": {"text": plain(label or value)}},
    )


def _mark(mark: dict[str, Any], dose: str, value: str, colour: str, shared: dict[str, str]) -> go.Scatter:
    """Draw a dose on a curve with its interval; an end that is not known is not drawn."""
    import plotly.graph_objects as go

    low, high = (mark[dose] if mark[end] is None else mark[end] for end in ("low", "high"))
    return go.Scatter(
        x=[mark[dose]],
        y=[mark[value]],
        mode="markers",
        marker={"color": "white", "symbol": mark["symbol"], "size": 10, "line": {"color": colour, "width": 2}},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [high - mark[dose]],
            "arrayminus": [mark[dose] - low],
            "color": colour,
            "thickness": 2,
        },
        hovertemplate=f"<b>{plain(mark['mark'])}</b> {mark[dose]:.3g}<extra>%{{fullData.name}}</extra>",
        showlegend=False,
        **shared,
    )


def dose_ticks(doses: pl.Series) -> dict[str, list[float] | list[str]]:
    """Choose the ticks of a logarithmic dose axis, written all as decimals or all as powers of ten.

    Parameters
    ----------
    doses
        Positive doses.

    Returns
    -------
    dict
        ``tickvals`` and ``ticktext`` for plotly: every decade, with 2 and 5 in between for a narrow range of doses.

    Examples
    --------
    >>> dose_ticks(pl.Series([0.5, 80.0]))["ticktext"]
    ['0.5', '1', '2', '5', '10', '20', '50', '100']
    >>> dose_ticks(pl.Series([0.001, 100.0]))["ticktext"]
    ['0.001', '0.01', '0.1', '1', '10', '100']
    >>> dose_ticks(pl.Series([1e-6, 1.0]))["ticktext"][:2]
    ['10<sup>-6</sup>', '10<sup>-5</sup>']
    """
    positive = doses.filter(doses > 0).drop_nulls()
    if positive.is_empty():
        return {}
    low, high = math.log10(float(positive.min())), math.log10(float(positive.max()))  # type: ignore[arg-type]
    first, last = math.floor(low), math.ceil(high)
    decades = range(first, last + 1)
    if first < -4 or last > 4:
        return {"tickvals": [10.0**k for k in decades], "ticktext": [f"10<sup>{k}</sup>" for k in decades]}
    between = (1, 2, 5) if high - low < 3 else (1,)
    # formatting removes the rounding error of a product with a power of ten
    marks = [float(f"{step * 10.0**k:.6g}") for k in decades for step in between]
    nearest = max((mark for mark in marks if mark <= 10**low), default=marks[0])
    shown = [mark for mark in marks if nearest <= mark <= 10.0**last]
    return {"tickvals": shown, "ticktext": [f"{mark:g}" for mark in shown]}
