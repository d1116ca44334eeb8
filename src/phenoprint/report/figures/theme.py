"""Colours and layout that every figure shares.

The categorical colours follow Okabe and Ito (2008). Blue is shifted, and yellow and black are replaced, so that each
colour is legible on a white and on a near-black page and all differ for readers with red-green colour blindness. Marker
symbols repeat the distinction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = [
    "CATEGORICAL",
    "ROLE_COLOURS",
    "ROLE_NAMES",
    "SEQUENTIAL",
    "SYMBOLS",
    "blank_figure",
    "category_styles",
    "finish",
    "plain",
]

CATEGORICAL = ("#2f83c9", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#9c2540", "#6a40f0")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star", "hexagon", "triangle-down")
SEQUENTIAL = "Viridis"
ROLE_COLOURS = {"negcon": "#8a939c", "poscon": "#d55e00", "trt": "#2f83c9", "empty": "#c3c8cd"}
ROLE_NAMES = {
    "negcon": "negative control",
    "poscon": "positive control",
    "trt": "treatment",
    "empty": "empty",
}
NEUTRAL = "#8a939c"

FONT = "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def category_styles(levels: Sequence[str]) -> list[tuple[str, str]]:
    """Return a colour and a marker symbol for each level; up to 64 levels no two share both.

    Examples
    --------
    >>> category_styles(["a", "b"])
    [('#2f83c9', 'circle'), ('#e69f00', 'circle')]
    >>> len(set(category_styles([str(i) for i in range(64)])))
    64
    """
    n = len(CATEGORICAL)
    return [(CATEGORICAL[i % n], SYMBOLS[(i // n) % len(SYMBOLS)]) for i in range(len(levels))]


def plain(text: object) -> str:
    """Escape a text for plotly, which reads ``<b>`` or ``<a href>`` in names as markup.

    Examples
    --------
    >>> plain("<i>p</i>53 & co")
    '&lt;i>p&lt;/i>53 &amp; co'
    """
    return str(text).replace("&", "&amp;").replace("<", "&lt;")


def blank_figure() -> go.Figure:
    """Return an empty figure without plotly's default template, which would triple the size of a small figure."""
    import plotly.graph_objects as go

    return go.Figure(layout={"template": None})


def finish(figure: go.Figure, *, title: str | None = None, height: int = 380, **layout: Any) -> go.Figure:
    """Apply the shared layout to a figure and return it.

    Parameters
    ----------
    figure
        A figure just made.
    title
        Short title, or None.
    height
        Height in CSS pixels.
    **layout
        Further plotly layout keys.
    """
    quiet = {
        "showgrid": True,
        "gridcolor": "rgba(128,140,150,0.18)",
        "zeroline": False,
        "automargin": True,
        "ticks": "",
        "title": {"standoff": 8},  # makes the margin include the title, so that long tick labels push it outwards
    }
    figure.update_layout(
        height=height,
        font={"family": FONT, "size": 12.5, "color": "#4b5661"},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        colorway=list(CATEGORICAL),
        margin={"l": 56, "r": 18, "t": 60 if title else 34, "b": 48},
        title={"text": title, "x": 0, "xanchor": "left", "font": {"size": 14.5}} if title else None,
        hoverlabel={"align": "left", "font": {"family": FONT, "size": 12.5}},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "font": {"size": 12}},
        hovermode="closest",
    )
    figure.update_xaxes(**quiet)
    figure.update_yaxes(**quiet)
    figure.update_layout(**layout)
    return figure
