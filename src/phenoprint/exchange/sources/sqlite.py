"""SQLite files of CellProfiler and cytominer-database, some rows in memory at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from phenoprint.errors import SchemaError
from phenoprint.exchange.findings import Findings
from phenoprint.exchange.names import MISSING, ROW_COMPARTMENTS, is_descriptive
from phenoprint.exchange.sources.cellprofiler import Run, note_image_columns, object_names, sub_runs

__all__ = ["is_sqlite", "read_database"]

# Values read at once; each is a Python number of some 32 bytes.
_VALUES = 600_000
# Rows that are examined to distinguish text from numbers.
_SAMPLE = 64
_MAGIC = b"SQLite format 3\0"


def is_sqlite(path: Path) -> bool:
    """Whether a file has the first bytes of SQLite."""
    try:
        with path.open("rb") as handle:
            return handle.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def read_database(path: Path, findings: Findings) -> Iterator[Run]:
    """Read a database with tables Per_Image, Per_Cells ... or Image, Cells ..., some images at a time.

    Raises
    ------
    SchemaError
        If the file is not SQLite, has no image table, or a column of numbers holds text.
    """
    if not is_sqlite(path):
        raise SchemaError(f"{path} is not a readable SQLite file: its first bytes are others; copy it again")
    # Without a write-ahead log no other process is writing; immutable files are readable on read-only disks.
    is_still = not path.with_name(f"{path.name}-wal").exists()
    uri = f"{path.resolve().as_uri()}?mode=ro{'&immutable=1' if is_still else ''}"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            names = {
                row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table','view')")
            }
            stored = {
                name: table
                for name in ("Image", *ROW_COMPARTMENTS)
                for table in (f"Per_{name}", name)
                if table in names
            }
            if "Image" not in stored:
                raise SchemaError(f"{path}: no table Per_Image or Image; found {', '.join(sorted(names)) or 'none'}")
            yield from _runs(path, connection, stored, findings)
    except sqlite3.Error as error:
        raise SchemaError(f"{path} is not a readable SQLite file: {error}") from error


def _runs(path: Path, connection: sqlite3.Connection, stored: dict[str, str], findings: Findings) -> Iterator[Run]:
    columns = _columns(connection, stored["Image"])
    note_image_columns(findings, columns, source=str(path))
    image = pl.concat(list(_blocks(path, connection, stored["Image"], columns)), how="diagonal_relaxed")
    tables = {}
    for name, table in stored.items():
        if name != "Image":
            tables[name] = _object_blocks(path, connection, table, name)
    yield from sub_runs(str(path), image, tables)


def _object_blocks(path: Path, connection: sqlite3.Connection, table: str, compartment: str) -> Iterator[pl.DataFrame]:
    names = _columns(connection, table)
    called = dict(zip(names, object_names(str(path), compartment, names), strict=True))
    for block in _blocks(path, connection, table, names):
        yield block.rename(called)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in connection.execute(f"PRAGMA table_info({_quoted(table)})")]


def _blocks(path: Path, connection: sqlite3.Connection, table: str, names: list[str]) -> Iterator[pl.DataFrame]:
    """Read a table's rows in their order: keys and numbers as numbers, missing ones NULL."""
    text = _text_columns(connection, table, names)
    numbers = [name for name in names if name not in text]
    listed = ", ".join(_quoted(name) for name in (*numbers, *text))
    cursor = connection.execute(f"SELECT {listed} FROM {_quoted(table)}")  # noqa: S608 - names of the database itself
    at_once = max(1, _VALUES // max(len(names), 1))
    first = True
    while rows := cursor.fetchmany(at_once):
        first = False
        yield _frame(path, table, rows, numbers, text)
    if first:
        yield pl.DataFrame(schema=dict.fromkeys(numbers, pl.Float32()) | dict.fromkeys(text, pl.String()))


def _text_columns(connection: sqlite3.Connection, table: str, names: list[str]) -> list[str]:
    """List the columns that hold text other than missing numbers, by their names and first rows."""
    listed = ", ".join(_quoted(name) for name in names)
    sample = connection.execute(f"SELECT {listed} FROM {_quoted(table)} LIMIT {_SAMPLE}").fetchall()  # noqa: S608 - as above
    return [
        name
        for place, name in enumerate(names)
        if name == "TableNumber"
        or (
            is_descriptive(name.removeprefix("Image_"))
            and name not in ("ImageNumber", "ObjectNumber")
            and "_Parent_" not in name
        )
        or _holds_text([row[place] for row in sample])
    ]


def _holds_text(values: Sequence[Any]) -> bool:
    """Whether a column holds text and no number; text among numbers is an error later."""
    return any(_is_text(value) for value in values) and not any(isinstance(value, int | float) for value in values)


def _is_text(value: Any) -> bool:
    if isinstance(value, bytes):
        return True
    if not isinstance(value, str) or value.strip() in MISSING:
        return False
    try:
        float(value)
    except ValueError:
        return True
    return False


def _frame(
    path: Path, table: str, rows: Sequence[tuple[Any, ...]], numbers: list[str], text: list[str]
) -> pl.DataFrame:
    """Convert rows, numbers first, to a frame; features are 32-bit floats, keys stay exact."""
    width = len(numbers)
    given = [row[:width] for row in rows] if text else rows
    try:
        values = np.array(given, dtype=np.float64)
    except (ValueError, TypeError):
        values = np.array([[_number(path, table, v, n) for n, v in zip(numbers, row, strict=True)] for row in given])
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    exact = {"ImageNumber", "ObjectNumber", *(n for n in numbers if "_Parent_" in n or n.endswith("_Object_Number"))}
    columns = [
        pl.Series(name, values[:, place] if name in exact else single[:, place]) for place, name in enumerate(numbers)
    ]
    for place, name in enumerate(text, start=width):
        found = (row[place] for row in rows)
        columns.append(pl.Series(name, [None if v is None else _as_text(v) for v in found], dtype=pl.String))
    return pl.DataFrame(columns)


def _number(path: Path, table: str, value: Any, name: str) -> float:
    if value is None or (isinstance(value, str) and value.strip() in MISSING):
        return float("nan")
    try:
        return float(value)
    except ValueError:
        raise SchemaError(
            f"{path}, table {table}: column {name!r} holds numbers and also {value!r}; correct it"
        ) from None


def _as_text(value: Any) -> str:
    """Convert an identifier to text; whole numbers stored as floats lose their fraction."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
