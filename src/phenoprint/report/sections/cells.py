"""Typical cells of each treatment, as pictures."""

from __future__ import annotations

import polars as pl

from phenoprint.errors import ImageError
from phenoprint.report.context import CROP_BYTES, Page, Section
from phenoprint.report.html import Html, join, sql_hint, tag
from phenoprint.report.pictures import data_uri, shrink
from phenoprint.report.source import AbsentError
from phenoprint.tables import WELL_KEY

__all__ = ["cells", "gallery_crops"]

WHY = "It is written by the last step of a run from images and masks, so imported tables have none."
SIDE = 88


def gallery_crops(
    gallery: pl.DataFrame, *, order: list[str], budget: int, each: int = 8
) -> dict[str, list[dict[str, object]]]:
    """Choose the crops that fit on the page: the best-ranked crops of each treatment, in the given order of treatments.

    Parameters
    ----------
    gallery
        The table ``gallery``: Metadata_Plate, Metadata_Well, Metadata_Site, Metadata_ObjectNumber,
        Metadata_perturbation, ``crop`` (bytes of a PNG or JPEG), ``rank`` (1 is the most typical cell).
    order
        Treatments by decreasing importance; others follow by name.
    budget
        Total bytes of all crops.
    each
        Maximum number of crops per treatment.

    Returns
    -------
    dict
        Records with ``uri``, ``plate``, ``well``, ``site``, ``object`` by treatment. Unreadable crops are left out.
    """
    names = gallery["Metadata_perturbation"].drop_nulls().unique().sort().to_list()
    place = {name: i for i, name in enumerate(dict.fromkeys([*order, *names]))}
    ranked = [name for name in place if name in set(names)]
    rows = gallery.sort("Metadata_perturbation", "rank", "Metadata_Plate", "Metadata_Well", "Metadata_ObjectNumber")
    parts = {key[0]: part.head(each) for key, part in rows.group_by(["Metadata_perturbation"], maintain_order=True)}
    shown: dict[str, list[dict[str, object]]] = {}
    spent = 0
    for name in ranked:
        pictures: list[dict[str, object]] = []
        for row in parts[name].iter_rows(named=True):
            try:
                small = shrink(row["crop"] or b"", side=SIDE, quality=82, most=4000)
            except ImageError:
                continue
            spent += len(small)
            pictures.append(
                {
                    "uri": data_uri(small),
                    "plate": row["Metadata_Plate"],
                    "well": row["Metadata_Well"],
                    "site": row["Metadata_Site"],
                    "object": row["Metadata_ObjectNumber"],
                }
            )
        if spent > budget:
            break
        if pictures:
            shown[name] = pictures
    return shown


def cells(page: Page) -> Section:
    """Show one strip of cells per treatment: controls first, then the most active treatments."""
    needed = [
        "Metadata_Plate",
        "Metadata_Well",
        "Metadata_Site",
        "Metadata_ObjectNumber",
        "Metadata_perturbation",
        "crop",
        "rank",
    ]
    gallery = page.tables.need("gallery", needed, why=WHY)
    about = _about(page, gallery)
    shown = gallery_crops(gallery, order=_order(page, about), budget=CROP_BYTES)
    if not shown:
        raise AbsentError("No crop in the table 'gallery' can be read as PNG or JPEG.")
    strips = [_strip(name, pictures, about.get(name, {})) for name, pictures in shown.items()]
    total = gallery["Metadata_perturbation"].n_unique()
    left = (
        f" {total - len(shown)} more are in the table 'gallery'; they are left out to keep the page small."
        if len(shown) < total
        else ""
    )
    find = tag(
        "label",
        "Find ",
        tag("input", type="search", placeholder="compound or mechanism", data_filter="#gallery"),
        class_="filter",
    )
    body = join(
        [
            find,
            tag("div", *strips, class_="gallery", id="gallery"),
            sql_hint(
                "SELECT Metadata_perturbation, Metadata_Plate, Metadata_Well, Metadata_ObjectNumber, rank\n"
                "FROM gallery ORDER BY ALL"
            ),
        ]
    )
    lead = f"Typical cells of {len(shown)} treatments, controls first. Hover over a cell to see its location.{left}"
    return Section(lead, body)


def _about(page: Page, gallery: pl.DataFrame) -> dict[str, dict[str, str | None]]:
    """Return label, mechanism and kind of each treatment, from the wells of its crops."""
    key = WELL_KEY
    joined = gallery.select(*key, "Metadata_perturbation").unique().join(page.wells, on=key, how="left").sort(key)
    firsts = joined.group_by("Metadata_perturbation", maintain_order=True).agg(
        pl.col("treatment").drop_nulls().first(),
        pl.col("Metadata_moa").drop_nulls().first(),
        pl.col("Metadata_pert_type").drop_nulls().first(),
    )
    return {
        row[0]: {"label": row[1], "moa": row[2], "kind": row[3]}
        for row in firsts.drop_nulls("Metadata_perturbation").iter_rows()
    }


def _order(page: Page, about: dict[str, dict[str, str | None]]) -> list[str]:
    """Order treatments: negative controls, positive controls, then by activity and by mechanism."""
    roles = {"negcon": 0, "poscon": 1}
    activity = page.tables.find("activity")
    score: dict[str, float] = {}
    if activity is not None and {"Metadata_perturbation", "mean_average_precision"} <= set(activity.columns):
        rows = activity.select("Metadata_perturbation", "mean_average_precision").drop_nulls().iter_rows()
        score = {str(name): float(value) for name, value in rows}
    return sorted(
        about,
        key=lambda name: (
            roles.get(about[name]["kind"] or "", 2),
            -score.get(name, -1.0),
            about[name]["moa"] or "~",
            name,
        ),
    )


def _strip(name: str, pictures: list[dict[str, object]], about: dict[str, str | None]) -> Html:
    images = (
        tag(
            "img",
            src=p["uri"],
            loading="lazy",
            alt=f"cell {p['object']} of {p['plate']} {p['well']}",
            title=f"{p['plate']} {p['well']} site {p['site']}, cell {p['object']}",
            width=SIDE,
            height=SIDE,
        )
        for p in pictures
    )
    kind = about.get("kind")
    chip = (
        tag("span", {"negcon": "negative control", "poscon": "positive control"}[kind], class_=f"chip {kind}")
        if kind in {"negcon", "poscon"}
        else None
    )
    return tag(
        "div",
        tag(
            "div",
            tag("b", about.get("label") or name),
            tag("span", about.get("moa")) if about.get("moa") else None,
            chip,
            class_="who",
        ),
        tag("div", *images, class_="crops"),
        class_="strip",
        data_row=True,
    )
