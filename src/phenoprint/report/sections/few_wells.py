"""Screens of a few wells, shown as a list instead of a plate map."""

from __future__ import annotations

import polars as pl

from phenoprint.report.context import Page, Section
from phenoprint.report.html import Html, join, number, sql_hint, table, tag
from phenoprint.report.pictures import data_uri, read_bytes, shrink
from phenoprint.report.summaries.wells import WellMeasure
from phenoprint.tables import WELL_KEY

__all__ = ["MOST_LISTED", "few_wells"]

MOST_LISTED = 12
"""Screens with at most this many wells are listed."""

SIDE = 96
GROUPS = ("Cells", "Readouts")


def few_wells(page: Page, measures: list[WellMeasure], raw: pl.DataFrame) -> Section:
    """List the wells with picture, counts and readouts.

    Parameters
    ----------
    page
        The page of a screen with at most `MOST_LISTED` wells.
    measures, raw
        From `well_measures`.
    """
    chosen = [measure for measure in measures if measure.group in GROUPS and measure.raw]
    pictures = _pictures(page)
    flags = page.wells.join(page.flags, on=WELL_KEY, how="left", maintain_order="left")
    has_treatment = bool((page.wells["treatment"] != "–").any())
    has_moa = page.wells["Metadata_moa"].null_count() < page.wells.height
    values = raw.select(measure.key for measure in chosen).rows()
    rows = [
        (
            well["Metadata_Well"],
            *([well["Metadata_Plate"]] if len(page.plates) > 1 else []),
            pictures.get(well["row"], "") if pictures else None,
            *([well["treatment"]] if has_treatment else []),
            *([well["Metadata_moa"]] if has_moa else []),
            *measured,
            well["reasons"] or "",
        )
        for well, measured in zip(flags.iter_rows(named=True), values, strict=True)
    ]
    header = [
        "Well",
        *(["Plate"] if len(page.plates) > 1 else []),
        "Picture",
        *(["Treatment"] if has_treatment else []),
        *(["Mechanism"] if has_moa else []),
        *(measure.label for measure in chosen),
        "Flagged",
    ]
    if not pictures:
        at = header.index("Picture")
        header.pop(at)
        rows = [(*row[:at], *row[at + 1 :]) for row in rows]
    first = header.index(chosen[0].label) if chosen else len(header)
    numeric = range(first, first + len(chosen))
    n, plates = page.wells.height, len(page.plates)
    where = f"plate {page.plates[0]}" if plates == 1 else f"{plates} plates"
    lead = f"{number(n)} wells of {where}, listed because a map would be nearly empty."
    body = join(
        [
            table(header, rows, numeric=numeric, class_="few", caption="The wells of the screen"),
            sql_hint("SELECT * FROM profile_well ORDER BY Metadata_Plate, Metadata_Well"),
        ]
    )
    return Section(lead, body, title="The wells", nav="Wells")


def _pictures(page: Page) -> dict[int, Html]:
    """Return pictures of the wells by row number; unreadable ones are left out."""
    from phenoprint.errors import ImageError
    from phenoprint.store import encode_name

    folder = page.source.path / "thumbnails"
    found: dict[int, Html] = {}
    for row, plate, well in page.wells.select("row", "Metadata_Plate", "Metadata_Well").iter_rows():
        path = folder / encode_name(plate) / f"{well}.jpg"
        if not path.is_file():
            continue
        try:
            small = shrink(read_bytes(path) or b"", side=2 * SIDE, quality=80, most=16_000)
        except ImageError:
            continue
        found[row] = tag("img", src=data_uri(small), alt=f"well {well}", loading="lazy")
    return found
