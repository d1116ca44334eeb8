"""Projection of the wells to two dimensions, coloured by annotation, plate, batch, cluster or flags."""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from phenoprint.report.context import Page, Section
from phenoprint.report.figures import umap_scatter
from phenoprint.report.figures.theme import ROLE_NAMES
from phenoprint.report.html import join, sql_hint, term
from phenoprint.report.sections.terms import UMAP
from phenoprint.report.summaries.doses import AXIS_DOSE, AXIS_UNIT, axis_units, with_axis_doses
from phenoprint.tables import WELL_KEY

__all__ = ["projection"]

WHY = "It is written when the selected profiles are projected, which needs 30 wells with profiles or more."


def projection(page: Page) -> Section:
    """Draw the projection once per colouring; all share one copy of the positions and the hover text."""
    frame = page.tables.need("projection", [*WELL_KEY, "x", "y"], why=WHY)
    methods = frame["method"].unique().sort().to_list() if "method" in frame.columns else ["umap"]
    method = "umap" if "umap" in methods else str(methods[0])
    if "method" in frame.columns:
        frame = frame.filter(pl.col("method") == method)
    key = WELL_KEY
    points = (
        frame.select(*key, "x", "y")
        .drop_nulls()
        .join(page.wells, on=key, how="left")
        .join(page.flags.with_columns(pl.lit("flagged").alias("flag")), on=key, how="left")
        .with_columns(pl.col("flag").fill_null("not flagged"), pl.col("treatment").fill_null("–"))
        .sort(key)
    )
    cluster = page.tables.columns("cluster", [*key, "cluster"])
    if cluster is not None and cluster.width == 3:
        points = (
            points.join(cluster.unique(key), on=key, how="left")
            .with_columns(pl.col("cluster").cast(pl.String))
            .sort(key)
        )
    points, dose = _described(points)
    negative = ROLE_NAMES["negcon"]
    compounds = points.filter(pl.col("Metadata_pert_type") == "negcon")["compound"].unique().to_list()
    # Negative controls are the background of every colouring.
    colourings: list[tuple[str, str, dict[str, Any]]] = [
        ("Mechanism", "mechanism", {"quiet": [negative, ROLE_NAMES["empty"]]}),
        ("Treatment", "compound", {"quiet": compounds, "most": 32}),
        ("Kind of well", "kind", {}),
        ("Dose", dose, {"logarithmic": True, "missing": "no dose"}),
        ("Plate", "Metadata_Plate", {}),
        ("Batch", "Metadata_Batch", {}),
        ("Cluster", "cluster", {}),
        ("Flags", "flag", {"quiet": ["not flagged"]}),
    ]
    hover = (*WELL_KEY, "treatment", "Metadata_moa", "reasons")
    pool: dict[str, Any] | None = None
    panels: list[tuple[str, object]] = []
    for label, column, options in colourings:
        if column not in points.columns or points[column].null_count() == points.height:
            continue
        if column == "Metadata_Batch" and points[column].n_unique() < 2:
            continue
        drawn = json.loads(umap_scatter(points, column, hover=hover, **options).to_json())
        drawn["layout"].pop("template", None)
        for axis, text in (("xaxis", f"{method.upper()} 1"), ("yaxis", f"{method.upper()} 2")):
            drawn["layout"][axis]["title"] = {"text": text}
        pool = pool or _pool(drawn, points.height)
        for trace in drawn["data"]:
            trace["rows"] = trace.pop("customdata")
            for shared in ("x", "y", "text"):
                trace.pop(shared)
        drawn["pool"] = "projection"
        panels.append((label, page.place(drawn, f"Wells in two dimensions, coloured by {label.lower()}", height=560)))
    page.islands["projection"] = pool
    lead = join(
        [
            f"{points.height:,} wells by ",
            term(method.upper(), UMAP) if method.lower() == "umap" else method,
            ". Groups should follow mechanisms; if they follow plates, batches or flags, correct for these first.",
        ]
    )
    body = join(
        [
            page.tabs("Colour by", panels),
            sql_hint("SELECT * FROM projection JOIN well USING (Metadata_Plate, Metadata_Well)"),
        ]
    )
    return Section(lead, body)


def _described(points: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """Add kind of well, mechanism, compound and dose in one unit; return the name of the dose column, too."""
    kind = pl.col("Metadata_pert_type").replace(ROLE_NAMES)
    named = pl.when(pl.col("Metadata_pert_type").is_in(["negcon", "poscon", "empty"])).then(kind)
    is_background = pl.col("Metadata_pert_type").is_in(["negcon", "empty"])
    points = points.with_columns(
        kind.alias("kind"),
        # Labels of controls such as "none" or "DMSO" are not mechanisms.
        pl.when(is_background).then(kind).otherwise(pl.coalesce("Metadata_moa", named)).alias("mechanism"),
        pl.coalesce("Metadata_compound", named).alias("compound"),
    )
    units = axis_units(points.filter(pl.col("Metadata_Concentration") > 0)["Metadata_Concentration_Unit"].to_list())
    points = with_axis_doses(points, units)
    given = points.filter(pl.col(AXIS_DOSE) > 0)[AXIS_UNIT]
    unit = str(given.mode().sort()[0]) if given.len() else ""
    column = f"dose, {unit}" if unit else "dose"
    # A colour scale has one unit; doses in other units have no colour.
    return points.with_columns(pl.when(pl.col(AXIS_UNIT) == unit).then(AXIS_DOSE).alias(column)), column


def _pool(drawn: Any, n: int) -> dict[str, Any]:
    """Collect positions and hover text of all points by row from the traces of one figure."""
    pool: dict[str, list[Any]] = {"x": [None] * n, "y": [None] * n, "text": [""] * n}
    for trace in drawn["data"]:
        for at, row in enumerate(trace["customdata"]):
            pool["x"][row] = round(trace["x"][at], 4)
            pool["y"][row] = round(trace["y"][at], 4)
            pool["text"][row] = trace["text"][at]
    return pool
