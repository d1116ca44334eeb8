"""The state of a screen: its tables, steps, failures and lock."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from phenoprint.store import catalog, lock, receipts
from phenoprint.store._merge import PART_SUFFIX
from phenoprint.store.damage import count_rows, damaged_tables
from phenoprint.store.layout import plate_of, table_files, table_folder, tables_on_disk
from phenoprint.store.run_record import incomplete
from phenoprint.tables import PLATE

__all__ = ["ScreenStatus", "read_status"]


@dataclass(frozen=True, slots=True)
class ScreenStatus:
    """What a screen holds and how far its steps have run.

    Parameters
    ----------
    tables
        One row per table with Parquet: ``table``, ``rows`` (NULL where a file cannot be read), ``plates``, ``files``,
        ``bytes``, ``waiting_parts``.
    steps
        One row per step and plate with receipts: ``step``, ``Metadata_Plate``, ``done``, ``failed``, ``seconds``.
    failures
        One row per failed unit: ``step``, ``Metadata_Plate``, ``unit``, ``error``, ``message``.
    damaged
        One row per file of a table that is missing or cannot be read: ``table``, ``path``, ``reason``. Only footers
        are read; `damaged_tables` and ``phenoprint verify`` read every page.
    held_by
        The process that holds the lock of the screen; None if no process does.
    catalog_is_current
        Whether the catalog was built from the Parquet that is there now.
    incomplete
        Why the tables may not belong together (`phenoprint.store.incomplete`); None if they do.
    """

    tables: pl.DataFrame
    steps: pl.DataFrame
    failures: pl.DataFrame
    damaged: pl.DataFrame
    held_by: lock.LockHolder | None
    catalog_is_current: bool
    incomplete: str | None


def read_status(folder: Path) -> ScreenStatus:
    """Return what a screen holds, how far its steps have run, what failed, and which process holds its lock."""
    held = sorted(set(tables_on_disk(folder)) | set(_names(folder / "parts")))
    tables = pl.DataFrame(
        [_table_state(folder, name) for name in held],
        schema={"table": pl.String} | dict.fromkeys(("rows", "plates", "files", "bytes", "waiting_parts"), pl.Int64),
        orient="row",
    )
    units = [
        (step, plate, unit, receipt.status == "done", receipt.seconds, receipt.error or (None, None))
        for step in receipts.receipt_steps(folder)
        for (plate, unit), receipt in receipts.load_receipts(folder, step).items()
    ]
    frame = pl.DataFrame(
        [(*row[:5], *row[5]) for row in units],
        schema={"step": pl.String, PLATE: pl.String, "unit": pl.String, "is_done": pl.Boolean}
        | {"seconds": pl.Float64, "error": pl.String, "message": pl.String},
        orient="row",
    )
    steps = (
        frame.group_by("step", PLATE)
        .agg(
            done=pl.col("is_done").sum().cast(pl.Int64),
            failed=(~pl.col("is_done")).sum().cast(pl.Int64),
            seconds=pl.col("seconds").sum(),
        )
        .sort("step", PLATE, nulls_last=True)
    )
    failures = frame.filter(~pl.col("is_done")).select("step", PLATE, "unit", "error", "message")
    damaged = damaged_tables(folder, pages=False)
    is_current = catalog.is_current(folder)
    return ScreenStatus(tables, steps, failures, damaged, lock.holder(folder), is_current, incomplete(folder))


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []


def _table_state(folder: Path, table: str) -> tuple[str, int | None, int, int, int, int]:
    files = table_files(folder, table)
    plates = {plate_of(folder, file) for file in files if file.parent != table_folder(folder, table)}
    waiting = len(list((folder / "parts" / table).glob(f"*/*{PART_SUFFIX}")))
    counts = [count_rows(file) for file in files]
    rows = None if None in counts else sum(count or 0 for count in counts)
    return table, rows, len(plates), len(files), sum(file.stat().st_size for file in files), waiting
