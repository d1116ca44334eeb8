"""Records of an import: ledger, problems, receipts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import polars as pl

from phenoprint.exchange.annotation.treatments import Treatments
from phenoprint.exchange.ledgers import add_up, balanced_ledger
from phenoprint.exchange.sources.cellprofiler import image_files
from phenoprint.exchange.sources.files import Source
from phenoprint.exchange.writers.job import ImportJob
from phenoprint.store import (
    TABLE,
    Receipt,
    hash_key,
    load_receipts,
    receipt_steps,
    record_outputs,
    record_table,
    table_files,
    table_folder,
    tables_on_disk,
    write_receipt,
)
from phenoprint.tables import PLATE
from phenoprint.version import __version__

__all__ = ["hash_of", "write_records"]


def write_records(
    job: ImportJob,
    sources: Sequence[Source],
    plates: Mapping[str, Mapping[str, Path]],
    *,
    parameters: Mapping[str, object],
    begun: datetime,
    seconds: float,
) -> pl.DataFrame:
    """Write ledger, problems and one receipt per plate and table; return the ledger of the whole import.

    Parameters
    ----------
    sources
        Their contents are hashed.
    plates
        File of every plate, by table.
    parameters
        The user's options.
    begun, seconds
        Start and duration of the import.
    """
    if job.losses:
        job.ledgers.setdefault("cell", []).append(balanced_ledger(pl.concat(job.losses)))
    whole = []
    hashes = {str(source.path): _hash(source) for source in sources}
    for table, ledgers in job.ledgers.items():
        ledger = add_up(ledgers)
        whole.append(ledger)
        for (plate,), rows in ledger.partition_by(PLATE, as_dict=True, maintain_order=True).items():
            job.screen.write("ledger", rows, part=f"import_{table}")
            used = {name: hashes[name] for name in job.inputs.get((table, str(plate)), hashes)}
            file = plates.get(table, {}).get(str(plate))
            receipt = Receipt(
                step="import",
                unit=table,
                plate=plate,
                key=hash_key(used, dict(parameters)),
                started=begun.isoformat(timespec="milliseconds"),
                seconds=round(seconds, 3),
                parameters=dict(parameters),
                inputs=used,
                outputs=record_outputs(job.screen.path, [] if file is None else [file]),
                ledger=tuple(rows.to_dicts()),
                software=__version__,
            )
            write_receipt(job.screen.path, receipt)
    _write_problems(job)
    _record_beside(job.screen.path)
    return add_up(whole)


def _record_beside(folder: Path) -> None:
    """Write the receipt of the tables that accompany imported rows, of this import and of earlier ones."""
    others = [receipt for step in receipt_steps(folder) for receipt in load_receipts(folder, step).values()]
    others += [receipt for (_, unit), receipt in load_receipts(folder, TABLE).items() if unit != "import"]
    recorded = {name for receipt in others for name in receipt.outputs}
    files = (file for table in tables_on_disk(folder) for file in table_files(folder, table))
    record_table(folder, "import", (file for file in files if file.relative_to(folder).as_posix() not in recorded))


def _write_problems(job: ImportJob) -> None:
    """Add notes and differences to table ``problem``, beside those of earlier imports."""
    # One row per kind of note with the first few names; derived columns have one row each.
    own = pl.when(pl.col("kind") == "derived_column").then(pl.col("column"))
    more = pl.when(pl.col("names") > 5).then(pl.format(" and {} more", pl.col("names") - 5)).otherwise(pl.lit(""))
    notes = (
        job.findings.notes()
        .group_by("kind", own.alias("own"), maintain_order=True)
        .agg(
            pl.col("column").count().alias("names"),
            pl.col("column").drop_nulls().head(5).str.join(", ").alias("first"),
            pl.col("n").sum(),
            pl.col("detail").first(),
        )
        .select(
            kind="kind",
            detail=pl.when(pl.col("names") == 0)
            .then(pl.format("{}: {}", "n", "detail"))
            .otherwise(pl.format("{} ({}{}): {}", "n", "first", more, "detail")),
        )
    )
    differences = job.findings.differences().select(
        kind=pl.lit("column_") + pl.col("kind"),
        detail=pl.format("{}: missing in {} of {} sources ({})", "column", "n_without", "n_sources", "without"),
    )
    rows = pl.concat([notes, differences])
    path = table_folder(job.screen.path, "problem") / "import.parquet"
    if path.exists():
        rows = pl.concat([pl.read_parquet(path).select("kind", "detail"), rows]).unique(maintain_order=True)
    job.screen.write("problem", rows, part="import")


def _hash(source: Source) -> str:
    """Hash the content of a source: a file, or all the tables of a folder."""
    digest = hashlib.blake2b(digest_size=16)
    files = [source.path]
    if source.path.is_dir():
        folders = {file.parent for file in image_files(source.path)}
        files = sorted(f for folder in folders for f in folder.glob("*.csv*")) or sorted(source.path.rglob("*.npz"))
    for file in files:
        if source.path.is_dir():
            digest.update(f"{file.relative_to(source.path).as_posix()}\0".encode())
        with file.open("rb") as handle:
            while chunk := handle.read(2**20):
                digest.update(chunk)
    return digest.hexdigest()


def hash_of(given: pl.DataFrame | Treatments | None) -> str | None:
    """Hash a plate map or a table of treatments for the receipt; None if there is none."""
    if given is None:
        return None
    frame = given if isinstance(given, pl.DataFrame) else given.frame
    return hashlib.blake2b(frame.write_csv().encode(), digest_size=16).hexdigest()
