"""Parts of a plate, written well by well while it is computed, and their merging into one file.

A unit of work writes ``parts/<table>/<plate>/<well>.arrow``. `compact` merges them with the rows
that are already in ``tables``: a well that has a part, be it an empty one, is replaced by it. The merged file is
written beside the earlier one, its receipt says what it holds and what it replaces, it takes its name in one step and
the parts are removed after that, so that a run killed anywhere can compact again and gets the same table. Memory is
bounded by one row group, whatever the plate holds.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import polars as pl

from phenoprint.errors import SchemaError, UsageError
from phenoprint.store._atomic import TEMPORARY_SUFFIX, explain, remove_file, replace, sync_folder
from phenoprint.store._merge import (
    PART_SUFFIX,
    Source,
    StoredWell,
    merge,
    read_source,
    wells_metadata,
    write_source,
)
from phenoprint.store.layout import decode_name, encode_name, partition
from phenoprint.store.outputs import Scrutiny, check_outputs, observe
from phenoprint.store.receipts import TABLE, Receipt, read_receipt, receipt_path, write_receipt
from phenoprint.tables import PLATE, WELL, Table, conform, get_table

__all__ = ["compact", "pending_wells", "read_part", "stored_wells", "wells_footer", "write_part"]


def write_part(folder: Path, table: str, frame: pl.DataFrame, *, plate: str, well: str, key: str | None = None) -> Path:
    """Write one well's rows of a table, to be merged by `compact` later.

    Parameters
    ----------
    folder
        The screen folder.
    table
        A table that has plate and well.
    frame
        The well's rows; may be empty, which says that the well has none.
    plate, well
        Whose rows they are; added as columns where the frame has none.
    key
        Key of the receipt the rows were made under; `stored_wells` gives it back.

    Returns
    -------
    pathlib.Path
        The file written, which `compact` will take away.

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
    strangers = rows.filter(pl.col(PLATE).ne_missing(plate) | pl.col(WELL).ne_missing(well))
    if strangers.height:
        found = strangers.row(0, named=True)
        raise SchemaError(
            f"the part of plate {plate!r}, well {well!r} of table {table!r} holds {strangers.height} rows of "
            f"others, such as plate {found[PLATE]!r}, well {found[WELL]!r}"
        )
    path = _part(folder, table, plate, well)
    write_source(rows.sort(declared.sort_by), path, {well: StoredWell(rows.height, key)})
    return path


def read_part(folder: Path, table: str, *, plate: str, well: str) -> pl.DataFrame:
    """Read the rows of a well that `write_part` wrote and `compact` has not merged yet."""
    return pl.read_ipc(_part(folder, table, plate, well))


def pending_wells(folder: Path, table: str, plate: str) -> dict[str, StoredWell]:
    """Wells of a plate that have a part waiting for `compact`."""
    return {well: read_source(path).wells[well] for well, path in _parts(folder, table, plate).items()}


def unreadable_parts(folder: Path, table: str, plate: str) -> dict[str, str]:
    """Name the waiting parts of a plate that cannot be read, by path relative to the screen, with the reason."""
    broken = {}
    for path in _parts(folder, table, plate).values():
        try:
            read_source(path)
        except SchemaError as error:
            broken[path.relative_to(folder).as_posix()] = f"cannot be read ({error})"
    return broken


def stored_wells(folder: Path, table: str, plate: str) -> dict[str, StoredWell]:
    """Every well of a plate that the table holds, merged or as a waiting part, those without rows included.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     stored_wells(Path(folder), "cell", "P1")
    {}
    """
    merged = _merged(folder, table, plate)
    wells = dict(read_source(merged).wells) if merged.exists() else {}
    return dict(sorted((wells | pending_wells(folder, table, plate)).items()))


def compact(folder: Path, table: str, plate: str, *, drop: Collection[str] = ()) -> Path | None:
    """Merge the waiting parts of a plate into its one file.

    Parameters
    ----------
    folder
        The screen folder.
    table
        A table that has plate and well.
    plate
        The plate.
    drop
        Wells to leave out, whether merged already or waiting.

    Returns
    -------
    pathlib.Path or None
        The merged file, sorted by the table's key; None if the plate has no rows and never had.

    Raises
    ------
    LostRowsError
        If the merged file does not hold exactly the rows of its sources; the earlier file stays.
    ScreenError
        If the file cannot be written; the earlier file and the parts stay.
    """
    _by_well(table)
    merged = _merged(folder, table, plate)
    parts = _parts(folder, table, plate)
    stamps = {path: _stamp(path) for path in parts.values()}
    earlier = read_source(merged) if merged.exists() else None
    if not parts and not (earlier and set(drop) & set(earlier.wells)):
        return merged if earlier else None
    sources: dict[str, Source] = {}
    schema = None
    for well, path in parts.items():
        sources[well] = read_source(path, like=schema)
        schema = sources[well].schema
    staged = merged.with_name(f".{merged.name}{TEMPORARY_SUFFIX}")
    merge(staged, earlier, sources, drop=drop)
    _install(folder, table, plate, staged)
    for path, stamp in stamps.items():
        if _stamp(path) == stamp:  # written anew since: keep it for the next time
            remove_file(path)
    with suppress(OSError):  # not empty, or gone
        emptied = partition(folder, table, plate, root="parts")
        emptied.rmdir()
        emptied.parent.rmdir()
    return merged


def _install(folder: Path, table: str, plate: str, staged: Path) -> None:
    """Give a merged file its name; its receipt comes first, and holds before and after."""
    merged = _merged(folder, table, plate)
    name = merged.relative_to(folder).as_posix()
    before = read_receipt(receipt_path(folder, TABLE, plate, table))
    try:
        output = observe(staged)
        replaced = {} if before is None else before.outputs
        if before is not None and check_outputs(folder, replaced, Scrutiny.TIME).wrong:
            replaced = before.replaced  # an earlier run was stopped right here: what it replaced still lies there
        write_receipt(folder, Receipt(TABLE, table, plate, output.hash, outputs={name: output}, replaced=replaced))
        replace(staged, merged)
        sync_folder(merged.parent)
    except OSError as error:
        raise explain(error, merged) from error


def wells_footer(frame: pl.DataFrame) -> dict[str, str]:
    """Make the footer that says which wells a file holds, for a frame of a whole plate."""
    counts = frame.group_by(WELL).len().drop_nulls().sort(WELL)
    return wells_metadata({well: StoredWell(rows) for well, rows in counts.iter_rows()})


def _by_well(table: str) -> Table:
    declared = get_table(table)
    if not declared.by_well:
        raise UsageError(f"table {table!r} is not written well by well; write it whole")
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
