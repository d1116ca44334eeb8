"""The plate browser: any measure on any plate, with details of each well on click."""

from __future__ import annotations

import base64
import json
from typing import Any

import polars as pl

from phenoprint.errors import ImageError
from phenoprint.plates import PlateFormat, Well
from phenoprint.report.context import THUMBNAIL_BYTES, Page, Section, coded
from phenoprint.report.figures import plate_heatmap
from phenoprint.report.figures.theme import ROLE_NAMES
from phenoprint.report.html import Html, join, number, sql_hint, tag
from phenoprint.report.pictures import read_bytes, shrink
from phenoprint.report.sections.few_wells import MOST_LISTED, few_wells
from phenoprint.report.source import AbsentError
from phenoprint.report.summaries.ledger import ledger_wells
from phenoprint.tables import WELL_KEY

__all__ = ["plates"]

WHY = "Wells are listed once images are indexed or a plate map is read."
MOST_PICTURES = 1600


def plates(page: Page) -> Section:
    """Draw the selector and add the values of all wells to the page."""
    if page.wells.is_empty():
        raise AbsentError(f"No table of this screen lists a well. {WHY}")
    measures, raw, normalized, _ = page.measured
    if not measures:
        raise AbsentError(
            "There is nothing to colour the plates by: no counts, image quality or profiles are in this screen yet."
        )
    if page.wells.height <= MOST_LISTED:
        return few_wells(page, measures, raw)
    layouts = _layouts(page)
    thumbnails, note = _thumbnails(page)
    page.islands["wells"] = _wells(page, layouts)
    page.islands["thumbnails"] = thumbnails
    page.islands["measures"] = [
        {
            "label": m.label,
            "group": m.group,
            "about": m.about,
            "raw": _values(raw, m.key) if m.raw else None,
            "norm": _values(normalized, m.key) if m.normalized else None,
        }
        for m in measures
    ]
    page.islands["plate_figures"] = {
        name: _skeleton(n) for name, n in {str(layout["n"]): layout["n"] for layout in layouts}.items()
    }
    body = join(
        [
            _controls(page, measures_groups=_grouped(measures), has_pictures=bool(thumbnails)),
            tag(
                "div",
                tag("div", id="plate-maps", class_="plate-maps"),
                tag(
                    "aside",
                    tag("p", "Click a well to see what is in it.", class_="quiet"),
                    id="well-card",
                    aria_live="polite",
                ),
                class_="plate-browser",
            ),
            tag(
                "p",
                tag("span", class_="key negcon"),
                "negative control ",
                tag("span", class_="key poscon"),
                "positive control ",
                tag("span", "×", class_="key flagged"),
                "flagged",
                class_="legend quiet",
            ),
            tag("p", note, class_="quiet") if note else None,
            tag(
                "noscript",
                tag(
                    "p",
                    "The plate maps are drawn by a script in this page; allow it to see them.",
                    class_="notice",
                ),
            ),
            sql_hint(
                "SELECT Metadata_Plate, Metadata_Well, Metadata_Object_Count FROM profile_well\n"
                "ORDER BY Metadata_Object_Count LIMIT 20"
            ),
        ]
    )
    n = len(page.plates)
    lead = (
        f"{number(page.wells.height)} wells on {n} plate{'s' if n != 1 else ''}, "
        f"coloured by any of {len(measures)} measures. "
        "Stripes, gradients and bright edges are artefacts, not biology."
    )
    return Section(lead, body)


def _values(frame: pl.DataFrame, key: str) -> list[float | None]:
    series = frame[key].cast(pl.Float64).fill_nan(None).round_sig_figs(4)
    return [None if v is None else int(v) if v.is_integer() and abs(v) < 1e9 else v for v in series.to_list()]


def _layouts(page: Page) -> list[dict[str, Any]]:
    stated = page.tables.columns("plate", ["Metadata_Plate", "plate_format"])
    formats: dict[str, int] = {}
    if stated is not None and stated.width == 2:
        formats = dict(stated.drop_nulls().rows())
    layouts = []
    for name in page.plates:
        names = page.wells.filter(pl.col("Metadata_Plate") == name)["Metadata_Well"].to_list()
        wells = [Well.parse(text) for text in names]
        shape = PlateFormat.infer(wells)
        if name in formats:
            declared = PlateFormat.of(formats[name])
            shape = declared if all(well in declared for well in wells) else shape
        layouts.append({"name": name, "rows": shape.rows, "columns": shape.columns, "n": shape.n_wells})
    return layouts


def _skeleton(n: int) -> Any:
    """Return the plate heat map without values, which the page's script adds."""
    empty = pl.DataFrame({"Metadata_Well": ["A01"], "value": [None]}, schema_overrides={"value": pl.Float64})
    figure = json.loads(plate_heatmap(empty, "value", plate_format=n).to_json())
    trace = figure["data"][0]
    for key in ("z", "text"):
        trace.pop(key)
    figure["layout"].pop("template", None)
    return figure


def _wells(page: Page, layouts: list[dict[str, Any]]) -> dict[str, Any]:
    wells = page.wells
    by_name = {layout["name"]: i for i, layout in enumerate(layouts)}
    columns = [layout["columns"] for layout in layouts]
    plate = [by_name[name] for name in wells["Metadata_Plate"].to_list()]
    at = [Well.parse(name) for name in wells["Metadata_Well"].to_list()]
    flags = wells.join(page.flags, on=WELL_KEY, how="left", maintain_order="left")
    fields = [
        ("Treatment", wells["treatment"]),
        ("Mechanism", wells["Metadata_moa"]),
        ("Kind", wells["Metadata_pert_type"].replace(ROLE_NAMES)),
        ("Batch", wells["Metadata_Batch"]),
    ]
    ledger = page.tables.find("ledger")
    if ledger is not None:
        lost = wells.join(ledger_wells(ledger), on=WELL_KEY, how="left", maintain_order="left")
        fields.append(("Cells lost", lost["reasons"]))
    return {
        "plates": layouts,
        "plate": plate,
        "well": wells["Metadata_Well"].to_list(),
        "at": [well.row * columns[p] + well.col for well, p in zip(at, plate, strict=True)],
        "fields": [{"label": label, **coded(values)} for label, values in fields if values.null_count() < values.len()],
        "role": coded(wells["Metadata_pert_type"]),
        "flag": coded(flags["reasons"]),
    }


def _thumbnails(page: Page) -> tuple[dict[str, str], str]:
    """Return pictures of wells by row number and a note; flagged wells and controls first if not all fit."""
    from phenoprint.store import encode_name

    folder = page.source.path / "thumbnails"
    if not folder.is_dir():
        return {}, "No pictures of wells: the screen folder has no 'thumbnails'."
    flagged = page.flags.select(WELL_KEY).with_columns(pl.lit(0).alias("first"))
    order = (
        page.wells.join(flagged, on=WELL_KEY, how="left")
        .with_columns(
            pl.coalesce(
                "first",
                pl.when(pl.col("Metadata_pert_type").is_in(["negcon", "poscon"])).then(1).otherwise(2),
            )
        )
        .sort("first", "row")
    )
    files = []
    for row, plate, well in order.select("row", "Metadata_Plate", "Metadata_Well").iter_rows():
        path = folder / encode_name(plate) / f"{well}.jpg"
        if path.is_file():
            files.append((row, path))
    chosen = files[:MOST_PICTURES]
    most = THUMBNAIL_BYTES // max(1, len(chosen))
    side = 128 if most > 4500 else 96 if most > 2000 else 64
    pictures: dict[str, str] = {}
    spent = broken = 0
    for row, path in chosen:
        content = read_bytes(path)
        try:
            small = shrink(content or b"", side=side, quality=72, most=most)
        except ImageError:
            broken += 1
            continue
        if spent + len(small) > THUMBNAIL_BYTES:
            break
        spent += len(small)
        pictures[str(row)] = base64.b64encode(small).decode("ascii")
    notes = []
    if len(pictures) + broken < len(files):
        notes.append(
            f"To keep the page small, it shows pictures of {len(pictures)} of {len(files)} wells, "
            "flagged wells and controls first."
        )
    if broken:
        notes.append(f"{broken} pictures in 'thumbnails' cannot be read.")
    return pictures, " ".join(notes)


def _grouped(measures: list[Any]) -> list[tuple[str, list[tuple[int, str]]]]:
    groups: dict[str, list[tuple[int, str]]] = {}
    for i, measure in enumerate(measures):
        groups.setdefault(measure.group, []).append((i, measure.label))
    return list(groups.items())


def _controls(page: Page, *, measures_groups: list[tuple[str, list[tuple[int, str]]]], has_pictures: bool) -> Html:
    options = [
        tag("optgroup", *(tag("option", label, value=i) for i, label in entries), label=group)
        for group, entries in measures_groups
    ]
    plate_options = [tag("option", name, value=i) for i, name in enumerate(page.plates)]
    if len(page.plates) > 1:
        plate_options.insert(0, tag("option", "all plates side by side", value="all"))
        plate_options[1] = tag("option", page.plates[0], value=0, selected=True)
    kinds = [("raw", "Raw"), ("norm", "Normalized")] + ([("pictures", "Images")] if has_pictures else [])
    segment = (
        tag("button", label, type="button", data_kind=kind, aria_pressed="true" if kind == "raw" else "false")
        for kind, label in kinds
    )
    return tag(
        "div",
        tag("label", "Measure", tag("select", *options, id="plate-measure")),
        tag("label", "Plate", tag("select", *plate_options, id="plate-plate")),
        tag("div", *segment, class_="segment", id="plate-kind", role="group", aria_label="What is shown"),
        tag(
            "label",
            tag("input", type="checkbox", id="plate-shared", checked=True),
            " same colours on all plates",
            class_="check",
        )
        if len(page.plates) > 1
        else None,
        tag(
            "label",
            tag("input", type="checkbox", id="plate-marks", checked=True),
            " mark controls and flags",
            class_="check",
        ),
        tag("p", id="plate-about", class_="quiet"),
        class_="controls",
    )
