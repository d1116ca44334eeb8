"""The tables that accompany imported rows: wells, plates, sites, treatments, features."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import polars as pl

from phenoprint.errors import PlateMapError
from phenoprint.exchange.annotation.wells import (
    annotate_treatments,
    merge_wells,
    metadata_of_wells,
    plate_row,
    well_rows,
)
from phenoprint.exchange.cleaning.features import imported_features, note_nuisance
from phenoprint.exchange.ledgers import counted
from phenoprint.exchange.names import measured_columns
from phenoprint.exchange.writers.job import ImportJob
from phenoprint.exchange.writers.plates import CellWriter, PlateWriter
from phenoprint.plates import perturbation_id, perturbation_table
from phenoprint.store import Screen
from phenoprint.tables import PLATE, SITE_KEY, get_table

__all__ = ["check_annotation", "write_images", "write_treatments", "write_wells"]


def write_wells(job: ImportJob, table: str, writer: PlateWriter | CellWriter) -> None:
    """Write the wells, plates and features of a table."""
    screen = job.screen
    held = screen.table("well").collect()
    failed = _failed_sites(job)
    plates = []
    for plate in writer.rows:
        if isinstance(writer, CellWriter):
            rows = metadata_of_wells(writer.described[plate], writer.sites[plate])
            fresh = well_rows(rows, job.plate_map, job.findings, source=f"plate {plate}", treatments=job.treatments)
            sites = sum(len(found) for found in writer.sites[plate].values())
            _write_sites(screen, plate, writer.sites[plate], failed)
        else:
            fresh, sites = writer.wells[plate], None
            if writer.status[plate].height:
                screen.write("feature_status", writer.status[plate], plate, part=f"import_{table}")
        wells = merge_wells(held.filter(pl.col(PLATE) == plate), fresh)
        screen.write("well", wells.with_columns(perturbation_id(wells)), plate)
        plates.append(plate_row(wells, sites))
    known = screen.table("plate").collect()
    others = known.filter(~pl.col(PLATE).is_in(list(writer.rows)))
    fresh_plates = pl.concat(plates).join(known.select(PLATE, pl.col("n_sites").alias("held")), on=PLATE, how="left")
    fresh_plates = fresh_plates.with_columns(pl.coalesce("n_sites", "held")).drop("held")
    screen.write("plate", pl.concat([others, fresh_plates], how="diagonal_relaxed"))
    _write_features(job, list(writer.features))
    if not isinstance(writer, CellWriter):
        note_nuisance(writer.features, job.findings, source=table)
    _write_perturbations(job)


def _failed_sites(job: ImportJob) -> pl.DataFrame:
    """Find the sites where cells were lost, and why."""
    schema = get_table("site").schema_of((*SITE_KEY, "status", "reason"))
    if not job.losses:
        return pl.DataFrame(schema=schema)
    lost = pl.concat(job.losses).filter((pl.col("unit_of_count") == "cells") & (pl.col("n_lost") > 0))
    reasons = lost.drop_nulls(SITE_KEY).group_by(SITE_KEY).agg(pl.col("reason").first())
    return reasons.with_columns(status=pl.lit("failed")).select(list(schema))


def _write_sites(screen: Screen, plate: str, sites: Mapping[str, Sequence[str]], failed: pl.DataFrame) -> None:
    """Write the sites of a plate, those whose cells are absent included."""
    found = pl.DataFrame(
        [(plate, well, site) for well, names in sites.items() for site in names],
        schema=dict.fromkeys(SITE_KEY, pl.String),
        orient="row",
    ).with_columns(status=pl.lit("ok"), reason=pl.lit(None, pl.String))
    bad = failed.filter(pl.col(PLATE) == plate)
    screen.write("site", pl.concat([bad, found.join(bad, on=SITE_KEY, how="anti")]), plate)


def write_images(job: ImportJob) -> int:
    """Write measurements of images to table ``site_feature``; return the number of rows."""
    if not job.images:
        return 0
    whole = pl.concat(job.images, how="diagonal_relaxed")
    job.screen.write("site_feature", whole)
    _write_features(job, measured_columns(whole))
    return whole.height


def _write_features(job: ImportJob, names: Sequence[str]) -> None:
    """Add features that the dictionary lacks."""
    held = job.screen.table("feature").collect()
    known = set(held["feature"])
    fresh = imported_features([name for name in names if name not in known], job.findings.aliases)
    job.screen.write("feature", pl.concat([held, fresh]))


def _write_perturbations(job: ImportJob) -> None:
    """Rebuild table ``perturbation`` from all wells; without mechanisms if a treatment has two."""
    wells = job.screen.table("well").collect()
    try:
        table = perturbation_table(wells)
    except PlateMapError as error:
        job.findings.note("conflict", "Metadata_moa", 1, source="table well", detail=str(error))
        table = perturbation_table(wells.with_columns(pl.lit(None, pl.String).alias("Metadata_moa")))
    if table.height:
        job.screen.write("perturbation", table)


def check_annotation(job: ImportJob, plates: Collection[str]) -> None:
    """Refuse a plate map or a table of treatments that matches nothing of what was imported.

    Raises
    ------
    PlateMapError
        If it names none of the wells or treatments.
    """
    if job.plate_map is not None and plates:
        annotated = job.screen.table("well").filter(pl.col(PLATE).is_in(list(plates)), pl.col("is_annotated")).collect()
        if annotated.is_empty():
            named = job.plate_map[PLATE].drop_nulls().unique().sort()
            raise PlateMapError(
                f"the plate map names none of the plates: it has {', '.join(named.head(3)) or 'no plates'}, the tables "
                f"have {', '.join(sorted(plates)[:3])}; plates must be spelled alike on both sides"
            )
    if job.treatments is not None and not job.findings.has("treatments_joined"):
        found = job.findings.detail("treatment_unknown") or "the wells are not annotated"
        raise PlateMapError(f"{job.treatments.source}: it names none of the treatments; {found}")


def write_treatments(job: ImportJob, frames: Sequence[pl.DataFrame]) -> int:
    """Write level 5, one table for the whole screen; return the number of rows."""
    whole = pl.concat(frames, how="diagonal_relaxed")
    named = annotate_treatments(whole, job.findings, source="level 5", treatments=job.treatments)
    job.screen.write("profile_consensus", named)
    entry = counted(whole.select(), "treatments", n=whole.height, step="import profile_consensus")
    job.ledgers.setdefault("profile_consensus", []).append(entry)
    _write_features(job, measured_columns(named))
    return named.height
