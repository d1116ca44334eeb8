"""Find damaged and missing files of a screen's tables."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from phenoprint.errors import first_few
from phenoprint.store.layout import table_files, tables_of, tables_on_disk
from phenoprint.store.receipts import read_receipt

__all__ = ["count_rows", "damaged_tables", "file_damage", "missing_files"]

_BATCH_ROWS = 4096
_WELL = re.compile(r"[A-Z]{1,2}\d\d")
# With a damaged header or footer, pyarrow may raise any of these.
_UNREADABLE = (pa.ArrowException, OSError, MemoryError, ValueError, TypeError, OverflowError)


def damaged_tables(folder: Path, tables: Iterable[str] | None = None, *, pages: bool = True) -> pl.DataFrame:
    """List the Parquet files of a screen that are missing, cannot be read or have pages that fail their checksums.

    A checksum covers the values of a page, not its header and not the footer of the file. Most damage there makes
    the file unreadable; the rest is detected by the hashes of whole files in receipts.

    Parameters
    ----------
    folder
        The screen folder.
    tables
        Tables to check; None: all that have files.
    pages
        Whether to read and check every page. False reads footers only, which is quick but detects little.

    Returns
    -------
    polars.DataFrame
        One row per damaged file: ``table``, ``path`` (relative to the folder, forward slashes), ``reason``; sorted.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     damaged_tables(Path(folder)).height
    0
    """
    missing = missing_files(folder)
    names = {*tables_on_disk(folder), *missing} if tables is None else set(tables)
    rows = [
        (table, file.relative_to(folder).as_posix(), reason)
        for table in names
        for file in table_files(folder, table)
        if (reason := file_damage(file, pages=pages)) is not None
    ]
    rows += [(table, path, "the file is missing") for table in names for path in missing.get(table, ())]
    return pl.DataFrame(sorted(rows), schema=dict.fromkeys(("table", "path", "reason"), pl.String), orient="row")


def missing_files(folder: Path) -> dict[str, list[str]]:
    """Find the Parquet files that receipts list and that do not exist.

    Parameters
    ----------
    folder
        The screen folder.

    Returns
    -------
    dict
        Paths relative to the folder, sorted, by table.
    """
    missing: dict[str, set[str]] = {}
    for path in (folder / "receipts").glob("*/*/*.json"):
        # The rows of a well are merged into the file of its plate, which has its own receipt.
        if _WELL.fullmatch(path.stem) is None and (receipt := read_receipt(path)) is not None:
            for name in receipt.outputs:
                if name.startswith("tables/") and not (folder / name).exists():
                    for table in tables_of(Path(name)):
                        missing.setdefault(table, set()).add(name)
    return {table: sorted(names) for table, names in missing.items()}


def file_damage(file: Path, *, pages: bool = True) -> str | None:
    """Return what is wrong with one Parquet file; None if nothing is found.

    Parameters
    ----------
    file
        The file.
    pages
        Whether to read every page and check it, or the footer only.
    """
    try:
        with pq.ParquetFile(file, page_checksum_verification=True, pre_buffer=False) as parquet:
            names = parquet.schema_arrow.names
            expected, found = parquet.metadata.num_rows, 0
            for batch in parquet.iter_batches(_BATCH_ROWS) if pages else ():
                found += batch.num_rows
    except _UNREADABLE as error:
        return " ".join(str(error).split()) or type(error).__name__
    if repeated := sorted({name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else ()):
        return f"several columns are called {first_few(repeated, 3)}"
    if pages and found != expected:
        return f"its footer counts {expected} rows, its pages hold {found}"
    return None


def count_rows(file: Path) -> int | None:
    """Return the number of rows of a Parquet file, from its footer; None if it cannot be read."""
    try:
        return int(pq.read_metadata(file).num_rows)
    except _UNREADABLE:
        return None
