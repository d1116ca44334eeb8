"""Projection of the wells to two dimensions, coloured by annotation, plate, batch, cluster or flags."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import polars as pl

from phenoprint.report.context import Page, Section
from phenoprint.report.figures import umap_scatter
from phenoprint.report.figures.theme import ROLE_NAMES
from phenoprint.report.html import Html, join, sql_hint, term
from phenoprint.report.sections.terms import UMAP
from phenoprint.report.summaries.doses import AXIS_DOSE, AXIS_UNIT, axis_units, with_axis_doses
from phenoprint.tables import PERTURBATION, WELL_KEY

__all__ = ["by_treatment", "cluster_name", "described", "draw_map", "projection", "read_map", "with_clusters"]

WHY = "It is written when the selected profiles are projected, which needs 30 wells with profiles or more."


def projection(page: Page) -> Section:
    """Draw the projection of the wells once per colouring."""
    frame, method = read_map(page, "projection", WELL_KEY, why=WHY)
    points = (
        frame.join(page.wells, on=WELL_KEY, how="left")
        .join(page.flags.with_columns(pl.lit("flagged").alias("flag")), on=WELL_KEY, how="left")
        .with_columns(pl.col("flag").fill_null("not flagged"), pl.col("treatment").fill_null("–"))
        .sort(WELL_KEY)
    )
    points = with_clusters(page, points)
    points, dose = described(points)
    # Negative controls are the background of every colouring.
    colourings: list[tuple[str, str, dict[str, Any]]] = [
        *by_treatment(points, dose),
        ("Plate", "Metadata_Plate", {}),
        ("Batch", "Metadata_Batch", {}),
        ("Cluster", "cluster", {"missing": "no cluster"}),
        ("Flags", "flag", {"quiet": ["not flagged"]}),
    ]
    hover = (*WELL_KEY, "treatment", "Metadata_moa", "reasons")
    panels = draw_map(page, points, colourings, hover=hover, pool="projection", axes=method.upper(), of="Wells")
    lead = join(
        [
            f"{points.height:,} wells by ",
            term(method.upper(), UMAP) if method.lower() == "umap" else method,
            ". Groups should follow mechanisms; if they follow plates, batches or flags, correct for these first.",
        ]
    )
    hint = sql_hint("SELECT * FROM projection JOIN well USING (Metadata_Plate, Metadata_Well)")
    return Section(lead, join([panels, hint]))


def read_map(page: Page, table: str, key: Sequence[str], *, why: str) -> tuple[pl.DataFrame, str]:
    """Return the rows of a map by UMAP, else of another method, and the name of the method."""
    frame = page.tables.need(table, [*key, "x", "y"], why=why)
    methods = frame["method"].unique().sort().to_list() if "method" in frame.columns else ["umap"]
    method = "umap" if "umap" in methods else str(methods[0])
    if "method" in frame.columns:
        frame = frame.filter(pl.col("method") == method)
    return frame.select(*key, "x", "y").drop_nulls(), method


def with_clusters(page: Page, points: pl.DataFrame) -> pl.DataFrame:
    """Add the cluster of each well, or of its treatment, as text."""
    for table, key in (("well_cluster", list(WELL_KEY)), ("cluster", [PERTURBATION])):
        found = page.tables.columns(table, [*key, "cluster"])
        if found is not None and found.height and found.width == len(key) + 1 and set(key) <= set(points.columns):
            named = found.unique(key).with_columns(cluster_name(found["cluster"]))
            return points.join(named, on=key, how="left", maintain_order="left")
    return points


def cluster_name(numbers: pl.Series) -> pl.Expr:
    """Write the numbers of clusters so that their order as text is that of the numbers."""
    width = len(str(numbers.max() or 0))
    return pl.col("cluster").cast(pl.String).str.zfill(width)


def by_treatment(points: pl.DataFrame, dose: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Return the colourings by what `described` adds: label, column, options."""
    compounds = points.filter(pl.col("Metadata_pert_type") == "negcon")["compound"].unique().to_list()
    return [
        ("Mechanism", "mechanism", {"quiet": [ROLE_NAMES["negcon"], ROLE_NAMES["empty"]]}),
        ("Treatment", "compound", {"quiet": compounds, "most": 32}),
        ("Kind of well", "kind", {}),
        ("Dose", dose, {"logarithmic": True, "missing": "no dose"}),
    ]


def draw_map(
    page: Page,
    points: pl.DataFrame,
    colourings: Sequence[tuple[str, str, dict[str, Any]]],
    *,
    hover: Sequence[str],
    pool: str,
    axes: str,
    of: str,
) -> Html:
    """Draw points once per colouring; all share one copy of the positions and the hover text."""
    shared: dict[str, Any] | None = None
    panels: list[tuple[str, object]] = []
    for label, column, options in colourings:
        if column not in points.columns or points[column].null_count() == points.height:
            continue
        if column == "Metadata_Batch" and points[column].n_unique() < 2:
            continue
        drawn = json.loads(umap_scatter(points, column, hover=hover, **options).to_json())
        drawn["layout"].pop("template", None)
        for axis, text in (("xaxis", f"{axes} 1"), ("yaxis", f"{axes} 2")):
            drawn["layout"][axis]["title"] = {"text": text}
        shared = shared or _pool(drawn, points.height)
        for trace in drawn["data"]:
            trace["rows"] = trace.pop("customdata")
            for common in ("x", "y", "text"):
                trace.pop(common)
        drawn["pool"] = pool
        alt = f"{of} in two dimensions, coloured by {label.lower()}"
        panels.append((label, page.place(drawn, alt, height=560)))
    page.islands[pool] = shared
    return page.tabs("Colour by", panels)


def described(points: pl.DataFrame) -> tuple[pl.DataFrame, str]:
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
