"""Merge the wells of a plate from several files into one Parquet file, with one row group in memory at a time."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from phenoprint.errors import DamagedTableError, LostRowsError, SchemaError
from phenoprint.store._atomic import atomic_file
from phenoprint.store.parquet import group_rows, parquet_writer, to_arrow
from phenoprint.tables import PLATE, WELL

__all__ = ["PART_SUFFIX", "StoredWell", "WellFile", "merge", "read_well_file", "wells_metadata", "write_well_file"]

PART_SUFFIX = ".arrow"

_FOOTER = "phenoprint.wells"
_JOIN_EVERY = 32


@dataclass(frozen=True, slots=True)
class StoredWell:
    """What a file holds of a well.

    Parameters
    ----------
    rows
        Number of rows; may be 0.
    key
        Key of the receipt of the unit that computed them; None if none was given.
    absent
        Columns of the file that the well does not have. A column that no well has any more is dropped.
    """

    rows: int
    key: str | None = None
    absent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WellFile:
    """A file with rows of one plate: its columns and its wells."""

    path: Path
    schema: pa.Schema
    wells: Mapping[str, StoredWell]


def wells_metadata(wells: Mapping[str, StoredWell]) -> dict[str, str]:
    """Return the footer entry that lists the wells of a file."""
    return {_FOOTER: json.dumps({w: [s.rows, s.key, list(s.absent)] for w, s in wells.items()})}


def write_well_file(frame: pl.DataFrame, path: Path, wells: Mapping[str, StoredWell]) -> None:
    """Write a part as Arrow IPC: with thousands of columns it takes a twentieth of the time of Parquet.

    Raises
    ------
    ScreenError
        If the file cannot be written.
    """
    table = to_arrow(frame).replace_schema_metadata(wells_metadata(wells))
    with atomic_file(path) as handle, pa.ipc.new_file(handle, table.schema) as writer:
        writer.write_table(table)


def read_well_file(path: Path, *, like: pa.Schema | None = None) -> WellFile:
    """Read the columns and wells of a part or a merged file; wells are counted if its footer does not list them.

    Parameters
    ----------
    path
        The file.
    like
        A schema to reuse if it is equal: hundreds of copies of thousands of columns take much memory.

    Raises
    ------
    DamagedTableError
        If the file cannot be read.
    """
    try:
        schema, metadata = _footer(path)
        if (text := metadata.get(_FOOTER.encode())) is not None:
            entries = json.loads(text).items()
            wells = {well: StoredWell(int(rows), key, tuple(absent)) for well, (rows, key, absent) in entries}
        else:
            counts = pl.Series(pq.read_table(path, columns=[WELL], partitioning=None)[WELL]).value_counts()
            wells = {well: StoredWell(rows) for well, rows in counts.iter_rows()}
    except (pa.ArrowException, OSError, ValueError, TypeError) as error:
        raise DamagedTableError(path, " ".join(str(error).split())) from error
    absent = [name for name in (PLATE, WELL) if name not in schema.names]
    if absent:
        raise DamagedTableError(path, f"it has no column {', '.join(absent)}")
    if len(set(schema.names)) < len(schema.names):
        raise DamagedTableError(path, "several of its columns have one name")
    if like is not None and schema.equals(like):
        return WellFile(path, like, wells)
    plain = [f.with_type(pa.string()) if pa.types.is_large_string(f.type) else f for f in schema]
    return WellFile(path, pa.schema(plain), wells)


def _footer(path: Path) -> tuple[pa.Schema, Mapping[bytes, bytes]]:
    """Read the columns and metadata of a part (Arrow IPC) or a merged file (Parquet)."""
    if path.suffix == PART_SUFFIX:
        with pa.OSFile(str(path)) as stream:
            schema = pa.ipc.open_file(stream).schema
        return schema.remove_metadata(), schema.metadata or {}
    footer = pq.read_metadata(path)
    return footer.schema.to_arrow_schema().remove_metadata(), footer.metadata or {}


def merge(target: Path, earlier: WellFile | None, parts: Mapping[str, WellFile], *, drop: Iterable[str] = ()) -> None:
    """Write the rows of the earlier file's wells and of the parts into one file, sorted by well.

    Parameters
    ----------
    target
        File to write; may be the earlier file itself, which is kept until the new one is complete.
    earlier
        Earlier file of the plate; its wells that have a part or are dropped are left out.
    parts
        One file per well, which replaces the well's earlier rows.
    drop
        Wells to leave out.

    Raises
    ------
    LostRowsError
        If the merged file would not hold exactly the rows of its sources; the target is kept.
    DamagedTableError
        If a page of the earlier file does not match its checksum; the target is kept.
    SchemaError
        If two files hold a column as different types.
    ScreenError
        If the target cannot be written.
    """
    gone = set(drop)
    used = {well: source for well, source in sorted(parts.items()) if well not in gone}
    kept = {w: s for w, s in (earlier.wells if earlier else {}).items() if w not in used and w not in gone}
    schema = _columns(earlier, kept, used) if kept or used else _columns(earlier, {}, parts)
    wells = _stored(schema, earlier, kept, used)
    rows = group_rows(schema)
    streams = [_part_tables(used)]
    if earlier is not None and kept:
        streams.append(_kept_tables(earlier.path, set(kept), batch=max(rows // 8, 1)))
    written = 0
    with parquet_writer(target, schema) as writer:
        tables = (_align(table, schema) for _, _, table in heapq.merge(*streams, key=lambda item: item[:2]))
        for group in _groups(tables, rows):
            writer.write_table(group, row_group_size=rows)
            written += group.num_rows
        expected = sum(well.rows for well in wells.values())
        if written != expected:
            raise LostRowsError(
                f"merging {target}: its wells hold {expected} rows, {written} were read; the earlier file stays. "
                "Delete it and run the plate again"
            )
        writer.add_key_value_metadata(wells_metadata(wells))


def _columns(earlier: WellFile | None, kept: Mapping[str, StoredWell], used: Mapping[str, WellFile]) -> pa.Schema:
    """Return the columns of the merged file: those that any of its wells has."""
    schemas = [source.schema for source in used.values()]
    if earlier is not None and (kept or not used):
        gone = set.intersection(*(set(well.absent) for well in kept.values())) if kept else set()
        schemas.insert(0, pa.schema([field for field in earlier.schema if field.name not in gone]))
    try:
        return pa.unify_schemas(list(dict.fromkeys(schemas)))
    except (pa.ArrowTypeError, pa.ArrowInvalid) as error:
        paths = [source.path for source in ([earlier] if earlier else []) + list(used.values())]
        raise SchemaError(
            f"{paths[0]} and the parts merged with it disagree on a column's type: {error}; run the plate again"
        ) from error


def _stored(
    schema: pa.Schema, earlier: WellFile | None, kept: Mapping[str, StoredWell], used: Mapping[str, WellFile]
) -> dict[str, StoredWell]:
    """Return the wells of the merged file, for its footer."""
    wells: dict[str, StoredWell] = {}
    before = set(earlier.schema.names) if earlier else set()
    for well, stored in kept.items():
        lacks = set(stored.absent)
        absent = tuple(name for name in schema.names if name in lacks or name not in before)
        wells[well] = replace(stored, absent=absent)
    for well, source in used.items():
        held = set(source.schema.names)
        absent = tuple(name for name in schema.names if name not in held)
        wells[well] = replace(source.wells[well], absent=absent)
    return dict(sorted(wells.items()))


def _part_tables(parts: Mapping[str, WellFile]) -> Iterator[tuple[str, int, pa.Table]]:
    """Yield the wells in order, each with the rows of its part."""
    for well, source in parts.items():
        with pa.OSFile(str(source.path)) as stream:
            yield well, 0, pa.ipc.open_file(stream).read_all().replace_schema_metadata(None)


def _kept_tables(path: Path, kept: set[str], *, batch: int) -> Iterator[tuple[str, int, pa.Table]]:
    """Yield the rows of kept wells of the earlier file in their order, with one batch of rows in memory at a time."""
    options = {"pre_buffer": False, "buffer_size": 2**14, "page_checksum_verification": True}
    with pq.ParquetFile(path, **options) as file:
        for number, records in enumerate(_checked(file.iter_batches(batch_size=batch), path), start=1):
            table = pa.Table.from_batches([records])
            runs = pl.Series(table[WELL]).cast(pl.String).rle().struct.unnest()
            start = 0
            for length, well in zip(runs["len"].to_list(), runs["value"].to_list(), strict=True):
                if well in kept:
                    yield well, number, table.slice(start, length)
                start += length


def _checked(batches: Iterator[pa.RecordBatch], path: Path) -> Iterator[pa.RecordBatch]:
    """Pass batches on; raise if a page of their file is damaged."""
    try:
        yield from batches
    except (pa.ArrowException, OSError) as error:
        raise DamagedTableError(path, " ".join(str(error).split())) from error


def _groups(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Cut a stream of tables into row groups of `rows` rows, the last one shorter."""
    waiting: list[pa.Table] = []
    small: list[pa.Table] = []
    n_waiting = 0
    for table in tables:
        small.append(table)
        n_waiting += table.num_rows
        # Many small tables of thousands of columns cost more memory than their values: join them regularly.
        if len(small) >= _JOIN_EVERY or n_waiting >= rows:
            waiting.append(pa.concat_tables(small).combine_chunks())
            small.clear()
        while n_waiting >= rows:
            joined = pa.concat_tables(waiting)
            yield joined.slice(0, rows)
            waiting, n_waiting = [joined.slice(rows)], n_waiting - rows
    if n_waiting:
        yield pa.concat_tables([*waiting, *small])


def _align(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Bring a table to the columns of a schema; missing ones are NULL."""
    if table.schema.equals(schema):
        return table
    held = set(table.schema.names)
    columns = [
        table[field.name].cast(field.type) if field.name in held else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)
