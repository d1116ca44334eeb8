"""Flagged wells with their reasons."""

from __future__ import annotations

import polars as pl

from phenoprint.report.source import Tables
from phenoprint.tables import WELL_KEY

__all__ = ["flagged_wells"]

_SCHEMA = dict.fromkeys([*WELL_KEY, "kind", "reason"], pl.String)


def flagged_wells(tables: Tables) -> pl.DataFrame:
    """Return every well with a flag of image quality, an exclusion, a failed site or missing images.

    Returns
    -------
    pl.DataFrame
        ``Metadata_Plate``, ``Metadata_Well``, ``kind`` ("excluded", "images", "failed", "no images", most severe
        first), ``reasons`` (one per line); sorted by plate and well.
    """
    parts = [
        pl.DataFrame(schema=_SCHEMA),
        _exclusions(tables),
        _failed_plates(tables),
        _failed(tables),
        _imageless(tables),
        _quality(tables),
    ]
    rows = pl.concat([part.select(list(_SCHEMA)) for part in parts if part is not None])
    return (
        rows.group_by(WELL_KEY, maintain_order=True)
        .agg(
            pl.col("kind").first(),
            pl.col("reason").unique(maintain_order=True).str.join("\n").alias("reasons"),
        )
        .sort(WELL_KEY)
    )


def _quality(tables: Tables) -> pl.DataFrame | None:
    frame = tables.find("image_quality")
    if frame is None or not {*WELL_KEY, "Metadata_Channel", "is_flagged", "reasons"} <= set(frame.columns):
        return None
    return (
        frame.filter(pl.col("is_flagged"))
        .with_columns(pl.col("reasons").str.split("\n"))
        .explode("reasons", empty_as_null=True, keep_nulls=True)
        .group_by([*WELL_KEY, "reasons"])
        .agg(
            pl.col("Metadata_Channel").unique().sort().str.join(", "),
            pl.struct(_site(frame)).n_unique().alias("n"),
        )
        .sort([*WELL_KEY, "reasons"])
        .select(
            *WELL_KEY,
            pl.lit("images").alias("kind"),
            pl.format(
                "{} ({}; {})",
                pl.col("reasons").fill_null("flagged"),
                pl.col("Metadata_Channel"),
                pl.when(pl.col("n") == 1).then(pl.lit("1 site")).otherwise(pl.format("{} sites", "n")),
            ).alias("reason"),
        )
    )


def _site(frame: pl.DataFrame) -> str:
    return "Metadata_Site" if "Metadata_Site" in frame.columns else "Metadata_Well"


def _exclusions(tables: Tables) -> pl.DataFrame | None:
    frame = tables.find("exclusion")
    if frame is None or not {*WELL_KEY, "scope", "reason"} <= set(frame.columns):
        return None
    site = pl.col("Metadata_Site").cast(pl.String) if "Metadata_Site" in frame.columns else pl.lit(None)
    wells = tables.columns("well", WELL_KEY)
    if wells is not None:
        whole = frame.filter(pl.col("scope") == "plate").drop("Metadata_Well")
        of_plates = wells.join(whole, on="Metadata_Plate").with_columns(scope=pl.lit("well"))
        frame = pl.concat([frame, of_plates.select(frame.columns)])
    return frame.filter(pl.col("scope").is_in(["well", "site"]) & pl.col("Metadata_Well").is_not_null()).select(
        *WELL_KEY,
        pl.lit("excluded").alias("kind"),
        pl.when(pl.col("scope") == "site")
        .then(pl.format("site {} excluded: {}", site.fill_null("?"), pl.col("reason").fill_null("no reason given")))
        .otherwise(pl.format("excluded: {}", pl.col("reason").fill_null("no reason given")))
        .alias("reason"),
    )


def _failed_plates(tables: Tables) -> pl.DataFrame | None:
    checks, wells = tables.find("plate_acceptance"), tables.columns("well", WELL_KEY)
    if checks is None or wells is None or "is_excluded" not in checks.columns:
        return None
    named = pl.col("criterion").sort().str.join(", ")
    failed = checks.filter(pl.col("is_excluded").fill_null(value=False)).group_by("Metadata_Plate").agg(named)
    reason = pl.format("excluded: plate acceptance failed ({})", "criterion").alias("reason")
    return wells.join(failed, on="Metadata_Plate").select(*WELL_KEY, pl.lit("excluded").alias("kind"), reason)


def _failed(tables: Tables) -> pl.DataFrame | None:
    frame = tables.find("site")
    if frame is None or not {*WELL_KEY, "Metadata_Site", "status"} <= set(frame.columns):
        return None
    why = pl.col("reason") if "reason" in frame.columns else pl.lit(None, dtype=pl.String)
    return (
        frame.filter(pl.col("status") != "ok")
        .sort([*WELL_KEY, "Metadata_Site"])
        .select(
            *WELL_KEY,
            pl.lit("failed").alias("kind"),
            pl.format("site {}: {}", "Metadata_Site", pl.coalesce(why, pl.col("status"))).alias("reason"),
        )
    )


def _imageless(tables: Tables) -> pl.DataFrame | None:
    frame = tables.columns("well", [*WELL_KEY, "has_images", "is_annotated"])
    if frame is None or not {*WELL_KEY, "has_images", "is_annotated"} <= set(frame.columns):
        return None
    missing = frame.filter(pl.col("has_images").not_() & pl.col("is_annotated")).select(
        *WELL_KEY, pl.lit("no images").alias("kind"), pl.lit("in the plate map but without images").alias("reason")
    )
    strange = frame.filter(pl.col("is_annotated").not_() & pl.col("has_images")).select(
        *WELL_KEY,
        pl.lit("not annotated").alias("kind"),
        pl.lit("has images but is not in the plate map").alias("reason"),
    )
    return pl.concat([missing, strange])
