"""Response over dose, well by well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from phenoprint.report.figures.theme import NEUTRAL, blank_figure, category_styles, finish, plain

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["dose_response"]


def dose_response(
    frame: pl.DataFrame,
    value: str,
    *,
    compound: str = "Metadata_compound",
    dose: str = "Metadata_Concentration",
    unit: str | None = None,
    label: str | None = None,
    reference: float | None = None,
    curves: pl.DataFrame | None = None,
    title: str | None = None,
) -> go.Figure:
    """Draw a readout over dose on a logarithmic axis, a line through the medians of each compound.

    Parameters
    ----------
    frame
        One row a well; wells without a positive dose or a value are left out.
    value
        The readout.
    compound, dose
        Columns of the compound and its dose.
    unit
        Unit of the dose, for the axis.
    label
        Name of the readout for the axis; `value` when None.
    reference
        Level of the negative controls, drawn as a dotted line.
    curves
        Fitted curves as points: columns `compound`, `dose` and `value`; drawn instead of the line of
        medians, which is dotted for compounds without a curve.
    title
        Title of the figure.
    """
    import plotly.graph_objects as go

    known = frame.filter((pl.col(dose) > 0) & pl.col(value).is_not_null() & pl.col(compound).is_not_null())
    names = sorted(known[compound].unique().to_list())
    figure = blank_figure()
    for name, (colour, symbol) in zip(names, category_styles(names), strict=True):
        part = known.filter(pl.col(compound) == name).sort(dose)
        fitted = curves.filter(pl.col(compound) == name).sort(dose) if curves is not None else None
        is_fitted = fitted is not None and fitted.height > 0
        if fitted is not None and is_fitted:
            line = fitted.select(dose, value)
        else:
            line = part.group_by(dose).agg(pl.col(value).median()).sort(dose)
        shared = {"legendgroup": plain(name), "name": plain(name)}
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
    if reference is not None:
        figure.add_hline(y=reference, line={"dash": "dot", "width": 1.2, "color": NEUTRAL})
    return finish(
        figure,
        title=title,
        height=400,
        showlegend=True,
        xaxis={
            "type": "log",
            "title": {"text": f"dose ({plain(unit)})" if unit else "dose"},
            "dtick": 1,
            "exponentformat": "power",
        },
        yaxis={"title": {"text": plain(label or value)}},
    )
