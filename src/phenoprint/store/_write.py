"""Write whole tables, or the rows of whole plates, into a screen folder."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from phenoprint.errors import SchemaError, UsageError
from phenoprint.store.layout import partition, table_folder
from phenoprint.store.parquet import write_parquet
from phenoprint.store.parts import wells_footer
from phenoprint.tables import PLATE, conform, get_table

__all__ = ["write_table"]


def write_table(
    folder: Path, table: str, frame: pl.DataFrame, plate: str | None = None, *, part: str | None = None
) -> list[Path]:
    """Replace the rows that a table has of a screen or of some plates; see `Screen.write`."""
    declared = get_table(table)
    if plate is not None and not declared.per_plate:
        raise UsageError(f"table {table!r} has one file for the whole screen; write it without a plate")
    if plate is not None and PLATE not in frame.columns:
        frame = frame.with_columns(pl.lit(plate, dtype=pl.String).alias(PLATE))
    rows = conform(frame, table)
    name = f"{part or table}.parquet"
    if not declared.per_plate:
        path = table_folder(folder, table) / name
        write_parquet(rows, path, sort_by=declared.sort_by)
        return [path]
    if plate is not None and (others := rows.filter(pl.col(PLATE).ne_missing(plate))[PLATE].unique().to_list()):
        raise SchemaError(f"table {table!r}, plate {plate!r}: the frame holds rows of plates {others}")
    split = rows.partition_by(PLATE, as_dict=True, maintain_order=True)
    groups = {key[0]: group for key, group in split.items()} if plate is None else {plate: rows}
    written = []
    for found, group in groups.items():
        path = partition(folder, table, found) / name
        footer = wells_footer(group) if declared.by_well else None
        write_parquet(group, path, sort_by=declared.sort_by, metadata=footer)
        written.append(path)
    return written
