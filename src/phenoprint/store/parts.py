"""Parts of a plate, written well by well during a run, and their merging into one file.

A unit of work writes ``parts/<table>/<plate>/<well>.arrow``. `compact` merges these parts with the rows that are
already in ``tables``: a part replaces the rows of its well, even if it is empty. The merged file is written beside the
earlier one; its receipt lists the new and the replaced file; then it is renamed into place and the parts are removed.
A run that was killed at any point can compact again with the same result. Memory is bounded by one row group.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import polars as pl

from phenoprint.errors import SchemaError, UsageError
from phenoprint.store._atomic import TEMPORARY_SUFFIX, remove_file, replace, sync_folder, write_error
from phenoprint.store._merge import (
    PART_SUFFIX,
    StoredWell,
    WellFile,
    merge,
    read_well_file,
    wells_metadata,
    write_well_file,
)
from phenoprint.store.layout import decode_name, encode_name, partition
from phenoprint.store.outputs import Scrutiny, check_outputs, observe
from phenoprint.store.receipts import TABLE, Receipt, read_receipt, receipt_path, write_receipt
from phenoprint.tables import PLATE, WELL, Table, conform, get_table

__all__ = ["compact", "pending_wells", "read_part", "stored_wells", "wells_footer", "write_part"]


def write_part(folder: Path, table: str, frame: pl.DataFrame, *, plate: str, well: str, key: str | None = None) -> Path:
    """Write the rows of one well of a table, which `compact` merges later.

    Parameters
    ----------
    folder
        The screen folder.
    table
        A table that has plate and well.
    frame
        The rows of the well; an empty frame means that the well has none.
    plate, well
        Plate and well of the rows; added as columns if the frame lacks them.
    key
        Key of the receipt of the unit that computed the rows; `stored_wells` returns it.

    Returns
    -------
    pathlib.Path
        The file written; `compact` removes it.

    Raises
    ------
    SchemaError
        If the frame does not fit the table or holds rows of another plate or well.
    ScreenError
        If the file cannot be written.
    """
    declared = _by_well(table)
    full = frame.with_columns(
        pl.lit(value, dtype=pl.String).alias(name)
        for name, value in ((PLATE, plate), (WELL, well))
        if name not in frame.columns
    )
    rows = conform(full, table)
    others = rows.filter(pl.col(PLATE).ne_missing(plate) | pl.col(WELL).ne_missing(well))
    if others.height:
        found = others.row(0, named=True)
        raise SchemaError(
            f"the part of plate {plate!r}, well {well!r} of table {table!r} holds {others.height} rows of "
            f"others, such as plate {found[PLATE]!r}, well {found[WELL]!r}"
        )
    path = _part(folder, table, plate, well)
    write_well_file(rows.sort(declared.sort_by), path, {well: StoredWell(rows.height, key)})
    return path


def read_part(folder: Path, table: str, *, plate: str, well: str) -> pl.DataFrame:
    """Return the rows of a well that `write_part` wrote and `compact` has not merged yet."""
    return pl.read_ipc(_part(folder, table, plate, well))


def pending_wells(folder: Path, table: str, plate: str) -> dict[str, StoredWell]:
    """Return the wells of a plate with a part that waits for `compact`."""
    return {well: read_well_file(path).wells[well] for well, path in _parts(folder, table, plate).items()}


def unreadable_parts(folder: Path, table: str, plate: str) -> dict[str, str]:
    """Return the waiting parts of a plate that cannot be read: reasons by path relative to the screen."""
    broken = {}
    for path in _parts(folder, table, plate).values():
        try:
            read_well_file(path)
        except SchemaError as error:
            broken[path.relative_to(folder).as_posix()] = f"cannot be read ({error})"
    return broken


def stored_wells(folder: Path, table: str, plate: str) -> dict[str, StoredWell]:
    """Return every well of a plate that a table holds, merged or as a waiting part, also those without rows.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     stored_wells(Path(folder), "cell", "P1")
    {}
    """
    merged = _merged(folder, table, plate)
    wells = dict(read_well_file(merged).wells) if merged.exists() else {}
    return dict(sorted((wells | pending_wells(folder, table, plate)).items()))


def compact(folder: Path, table: str, plate: str, *, drop: Collection[str] = ()) -> Path | None:
    """Merge the waiting parts of a plate into one file.

    Parameters
    ----------
    folder
        The screen folder.
    table
        A table that has plate and well.
    plate
        The plate.
    drop
        Wells to leave out, such as those that no longer exist; merged or waiting.

    Returns
    -------
    pathlib.Path or None
        The merged file, sorted by the key of the table; None if the plate has no file and no parts.

    Raises
    ------
    LostRowsError
        If the merged file does not hold exactly the rows of its sources; the earlier file is kept.
    ScreenError
        If the file cannot be written; the earlier file and the parts are kept.
    """
    _by_well(table)
    merged = _merged(folder, table, plate)
    parts = _parts(folder, table, plate)
    stamps = {path: _stamp(path) for path in parts.values()}
    earlier = read_well_file(merged) if merged.exists() else None
    if not parts and not (earlier and set(drop) & set(earlier.wells)):
        return merged if earlier else None
    sources: dict[str, WellFile] = {}
    schema = None
    for well, path in parts.items():
        sources[well] = read_well_file(path, like=schema)
        schema = sources[well].schema
    staged = merged.with_name(f".{merged.name}{TEMPORARY_SUFFIX}")
    merge(staged, earlier, sources, drop=drop)
    _install(folder, table, plate, staged)
    for path, stamp in stamps.items():
        if _stamp(path) == stamp:  # a part that was written again meanwhile is kept for the next call
            remove_file(path)
    with suppress(OSError):  # not empty, or gone
        emptied = partition(folder, table, plate, root="parts")
        emptied.rmdir()
        emptied.parent.rmdir()
    return merged


def _install(folder: Path, table: str, plate: str, staged: Path) -> None:
    """Rename a merged file into place; its receipt is written first and lists the new and the replaced file."""
    merged = _merged(folder, table, plate)
    name = merged.relative_to(folder).as_posix()
    before = read_receipt(receipt_path(folder, TABLE, plate, table))
    try:
        output = observe(staged)
        replaced = {} if before is None else before.outputs
        if before is not None and check_outputs(folder, replaced, Scrutiny.TIME).wrong:
            replaced = before.replaced  # an earlier run was stopped here, before it replaced the file
        write_receipt(folder, Receipt(TABLE, table, plate, output.hash, outputs={name: output}, replaced=replaced))
        replace(staged, merged)
        sync_folder(merged.parent)
    except OSError as error:
        raise write_error(error, merged) from error


def wells_footer(frame: pl.DataFrame) -> dict[str, str]:
    """Return the footer entry that lists the wells of a frame of a whole plate."""
    counts = frame.group_by(WELL).len().drop_nulls().sort(WELL)
    return wells_metadata({well: StoredWell(rows) for well, rows in counts.iter_rows()})


def _by_well(table: str) -> Table:
    declared = get_table(table)
    if not declared.by_well:
        raise UsageError(f"table {table!r} is not written well by well; use Screen.write")
    return declared


def _merged(folder: Path, table: str, plate: str) -> Path:
    return partition(folder, table, plate) / f"{table}.parquet"


def _part(folder: Path, table: str, plate: str, well: str) -> Path:
    return partition(folder, table, plate, root="parts") / f"{encode_name(well)}{PART_SUFFIX}"


def _parts(folder: Path, table: str, plate: str) -> dict[str, Path]:
    files = partition(folder, table, plate, root="parts").glob(f"*{PART_SUFFIX}")
    return {decode_name(path.stem): path for path in sorted(files)}


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_mtime_ns, stat.st_size
