"""State shared by the sections: the screen, its wells, and the figures and data on the page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import polars as pl

from phenoprint.report.html import Html, data_island, join, tag
from phenoprint.report.source import ReportSource, Tables
from phenoprint.report.summaries.flags import flagged_wells
from phenoprint.report.summaries.wells import WellMeasure, well_annotations, well_measures, well_readouts
from phenoprint.tables import WELL_KEY

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["Page", "Section", "coded"]

EMPTY = Html()
# number of well values on the page, about 7 bytes each
MOST_VALUES = 420_000
# bytes of pictures before base64: of whole fields per well, and of single cells
THUMBNAIL_BYTES, CROP_BYTES = 1_900_000, 1_900_000


@dataclass(frozen=True)
class Section:
    """Content of one section of the page.

    Attributes
    ----------
    lead
        One sentence under the heading: the answer of the section, with its number.
    body
        The markup; empty where there is nothing to show. `lead` then gives the reason, and the page shows one line.
    title, nav
        Heading and short name for the navigation, in place of those in ``SECTIONS``.
    """

    lead: str | Html
    body: Html = EMPTY
    title: str = ""
    nav: str = ""


@dataclass
class Page:
    """A screen as the sections read it, and the figures and data that they add to the page."""

    source: ReportSource
    figures: dict[str, Any] = field(default_factory=dict)
    islands: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def tables(self) -> Tables:
        """The screen's tables, each read at most once."""
        return Tables(self.source)

    @cached_property
    def wells(self) -> pl.DataFrame:
        """All wells with their annotation, sorted by plate and well; the row number identifies the well on the page."""
        return well_annotations(self.tables).with_row_index("row")

    @cached_property
    def profiled(self) -> pl.DataFrame | None:
        """Plate and well of the wells with a profile (wells without cells have none); None before profiles exist."""
        for name in ("profile_well", "profile_normalized", "profile_selected"):
            rows = self.tables.columns(name, [*WELL_KEY, "Metadata_Object_Count"])
            if rows is not None and rows.height and {"Metadata_Plate", "Metadata_Well"} <= set(rows.columns):
                if "Metadata_Object_Count" in rows.columns:
                    rows = rows.filter(pl.col("Metadata_Object_Count").fill_null(1) > 0)
                return rows.select(WELL_KEY).unique()
        return None

    @cached_property
    def plates(self) -> list[str]:
        """Names of the plates, sorted."""
        known = set(self.wells["Metadata_Plate"].to_list())
        plate = self.tables.columns("plate", ["Metadata_Plate"])
        return sorted(known | set(plate["Metadata_Plate"].drop_nulls().to_list() if plate is not None else []))

    @cached_property
    def measured(self) -> tuple[list[WellMeasure], pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """Measures for the plate maps, their values, and the statistics of the controls; see `well_measures`."""
        room = MOST_VALUES // max(1, self.wells.height)
        features = max(6, min(40, room // 4))
        return well_measures(self.tables, most_features=features, quality=room > 200)

    @cached_property
    def readouts(self) -> pl.DataFrame | None:
        """Readouts of the configuration, one column each, with the annotation of each well; None without any."""
        wide = well_readouts(self.tables)
        if wide is None:
            return None
        return wide.join(self.wells.drop("row"), on=WELL_KEY, how="left")

    @cached_property
    def flags(self) -> pl.DataFrame:
        """Flagged wells with reasons: Metadata_Plate, Metadata_Well, reasons."""
        return flagged_wells(self.tables)

    def figure(self, figure: go.Figure, alt: str, *, caption: object = None) -> Html:
        """Add a figure to the page; the browser draws it when it scrolls into view."""
        drawn = json.loads(figure.to_json())
        drawn["layout"].pop("template", None)
        return self.place(drawn, alt, caption=caption, height=drawn["layout"].get("height", 380))

    def place(self, drawn: Any, alt: str, *, caption: object = None, height: int = 380) -> Html:
        """Add the data and layout of a figure to the page."""
        name = f"f{len(self.figures)}"
        self.figures[name] = drawn
        plot = tag("div", class_="plot", data_figure=name, role="img", aria_label=alt, style=f"min-height:{height}px")
        return tag("figure", plot, tag("figcaption", caption) if caption else None)

    def tabs(self, label: str, panels: Sequence[tuple[str, object]]) -> Html:
        """Write panels of which one is visible at a time; a single panel has no tabs."""
        if len(panels) == 1:
            return Html(join([panels[0][1]]))
        stem = f"t{len(self.islands)}-{len(self.figures)}"
        buttons = (
            tag(
                "button",
                name,
                role="tab",
                type="button",
                id=f"{stem}-b{i}",
                aria_controls=f"{stem}-p{i}",
                aria_selected="true" if i == 0 else "false",
                tabindex="0" if i == 0 else "-1",
            )
            for i, (name, _) in enumerate(panels)
        )
        shown = (
            tag("div", body, role="tabpanel", id=f"{stem}-p{i}", aria_labelledby=f"{stem}-b{i}", hidden=i > 0)
            for i, (_, body) in enumerate(panels)
        )
        return tag(
            "div",
            tag("div", *buttons, class_="tablist", role="tablist", aria_label=label),
            *shown,
            class_="tabs",
        )

    def data(self) -> Html:
        """Write all data that the page's script reads."""
        islands: list[Html] = [data_island("figures", self.figures)]
        islands += [data_island(name, value) for name, value in self.islands.items()]
        return join(islands, "\n")


def coded(values: pl.Series) -> dict[str, Any]:
    """Dictionary-encode text for the page: the levels, and one code per row (-1 where missing).

    Examples
    --------
    >>> coded(pl.Series(["b", None, "a", "b"]))
    {'levels': ['a', 'b'], 'codes': [1, -1, 0, 1]}
    """
    levels = sorted(values.drop_nulls().unique().to_list())
    code: dict[Any, int] = {level: i for i, level in enumerate(levels)}
    return {"levels": [str(level) for level in levels], "codes": [code.get(v, -1) for v in values.to_list()]}
