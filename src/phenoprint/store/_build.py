# ruff: noqa: S608 - every name and text that enters SQL here is quoted
"""Filling a catalog: small tables with their keys, views over Parquet, comments, saved views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import polars as pl

from phenoprint.errors import DamagedTableError, SchemaError, ScreenError
from phenoprint.store._small import copy
from phenoprint.store._views import quote, saved_views, tables_used
from phenoprint.store.layout import table_files, table_folder, tables_on_disk
from phenoprint.store.parquet import file_schema, ordered_names, union_schema
from phenoprint.tables import column_comment, get_table, table_names

__all__ = ["HIDDEN", "LEFT_OUT", "STATE", "Content", "check", "fill", "glob_prefix", "literal"]

STATE = "catalog_state"
LEFT_OUT = "left_out"
# Tables of the catalog itself, which no listing shows.
HIDDEN = (STATE, LEFT_OUT)

_SQL_TYPES: dict[type[pl.DataType], str] = {
    pl.String: "VARCHAR",
    pl.Int8: "TINYINT",
    pl.Int16: "SMALLINT",
    pl.Int32: "INTEGER",
    pl.Int64: "BIGINT",
    pl.UInt8: "UTINYINT",
    pl.UInt16: "USMALLINT",
    pl.UInt32: "UINTEGER",
    pl.UInt64: "UBIGINT",
    pl.Float32: "FLOAT",
    pl.Float64: "DOUBLE",
    pl.Boolean: "BOOLEAN",
    pl.Binary: "BLOB",
    pl.Date: "DATE",
    pl.Datetime: "TIMESTAMP",
}
# Referenced tables come before those that refer to them.
_FIRST = ("plate", "well", "site", "perturbation", "feature")


@dataclass(slots=True)
class Content:
    """What a catalog holds, as it is meant.

    Parameters
    ----------
    state
        Hash of the Parquet it is made from, and the software.
    rows
        Rows of each small table, counted from the footers of its Parquet.
    views
        Names of the views.
    left_out
        Why a table or view is not there: name to name of the damaged table, file and reason.
    """

    state: tuple[str, str]
    rows: dict[str, int] = field(default_factory=dict)
    views: set[str] = field(default_factory=set)
    left_out: dict[str, tuple[str, str, str]] = field(default_factory=dict)


def fill(folder: Path, target: Path, *, state: tuple[str, str], settings: Mapping[str, str]) -> Content:
    """Write the catalog of a screen folder into a new file; a table that cannot be read is left out by name.

    Parameters
    ----------
    folder
        The screen folder.
    target
        The file, which does not exist yet.
    state
        Hash of the Parquet, and the software.
    settings
        Settings of DuckDB while it is made.

    Returns
    -------
    Content
        What must be found in it (`check`).

    Raises
    ------
    ScreenError
        If DuckDB cannot write it.
    """
    left_out: dict[str, tuple[str, str, str]] = {}
    while True:
        content = Content(state, left_out=dict(left_out))
        try:
            with closing(duckdb.connect(target, config=dict(settings))) as connection:
                _fill(connection, folder, content)
                connection.execute("CHECKPOINT")  # closing does it too, but says nothing of a full disk
        except DamagedTableError as error:  # found while its rows were copied: begin again without it
            left_out[str(error.table)] = (str(error.table), error.path, error.reason)
            target.unlink()
        except duckdb.Error as error:
            raise ScreenError(f"{' '.join(str(error).split())}") from error
        else:
            return content


def check(target: Path, content: Content) -> None:
    """Open a finished catalog again and compare it with what it was meant to hold.

    Raises
    ------
    ScreenError
        If anything of it is missing or different.
    """
    try:
        with closing(duckdb.connect(target, read_only=True)) as connection:
            tables = {
                name: _count(connection, name)
                for (name,) in connection.execute(
                    "SELECT table_name FROM duckdb_tables() WHERE NOT internal"
                ).fetchall()
            }
            views = connection.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
            state = connection.execute(f"FROM {STATE}").fetchall() if STATE in tables else []
    except duckdb.Error as error:
        raise ScreenError(f"what was written cannot be read back: {' '.join(str(error).split())}") from error
    meant = content.rows | {STATE: 1, LEFT_OUT: len(content.left_out)}
    wrong = sorted(name for name in meant | tables if meant.get(name) != tables.get(name))
    wrong += sorted(content.views ^ {name for (name,) in views})
    if wrong or state != [content.state]:
        raise ScreenError(f"what was written is not what was meant: {', '.join(wrong) or STATE}")


def _fill(connection: duckdb.DuckDBPyConnection, folder: Path, content: Content) -> None:
    names = [*table_names(), *(name for name in tables_on_disk(folder) if name not in table_names())]
    columns: dict[str, list[str]] = {}
    filled: set[str] = set()
    connection.execute("BEGIN")  # one commit instead of hundreds
    for name in sorted(names, key=lambda name: (_FIRST.index(name) if name in _FIRST else len(_FIRST), name)):
        files = table_files(folder, name)
        filled.update([name] if files else [])
        if name in content.left_out:
            continue
        try:
            source, held = _source(folder, name, files)
        except SchemaError as error:
            where = error.path if isinstance(error, DamagedTableError) else str(table_folder(folder, name))
            reason = error.reason if isinstance(error, DamagedTableError) else str(error)
            content.left_out[name] = (name, where, reason)
            continue
        columns[name] = held
        if name in table_names() and get_table(name).in_catalog == "table":
            content.rows[name] = copy(connection, get_table(name), source, files, columns)
        else:
            connection.execute(f"CREATE VIEW {quote(name)} AS {source}")
            content.views.add(name)
        _comment(connection, name, columns[name])
    _save_views(connection, columns, frozenset(filled), content)
    connection.execute(f"CREATE TABLE {STATE} (fingerprint VARCHAR, software VARCHAR)")
    connection.execute(f"COMMENT ON TABLE {STATE} IS 'State of the Parquet this catalog was made from'")
    connection.execute(f"INSERT INTO {STATE} VALUES (?, ?)", list(content.state))
    connection.execute(f'CREATE TABLE {LEFT_OUT} (name VARCHAR, "table" VARCHAR, path VARCHAR, reason VARCHAR)')
    connection.execute(f"COMMENT ON TABLE {LEFT_OUT} IS 'Tables and views that are left out: their table is damaged'")
    for name, why in content.left_out.items():
        connection.execute(f"INSERT INTO {LEFT_OUT} VALUES (?, ?, ?, ?)", [name, *why])
    connection.execute("COMMIT")


def _save_views(
    connection: duckdb.DuckDBPyConnection,
    columns: Mapping[str, Sequence[str]],
    filled: frozenset[str],
    content: Content,
) -> None:
    """Make the saved views; one that uses what is left out is left out for the same reason."""
    declared = {name: list(get_table(name).schema) for name in content.left_out if name in table_names()}
    for view in saved_views({**declared, **columns}, filled):
        if view.name in columns or view.name in content.left_out:
            continue
        lost = sorted(tables_used(connection, view.sql) & set(content.left_out))
        if lost:
            content.left_out[view.name] = content.left_out[lost[0]]
            continue
        connection.execute(f"CREATE VIEW {quote(view.name)} AS {view.sql}")
        connection.execute(f"COMMENT ON VIEW {quote(view.name)} IS {literal(view.description)}")
        for column, meaning in view.columns.items():
            connection.execute(f"COMMENT ON COLUMN {quote(view.name)}.{quote(column)} IS {literal(meaning)}")
        content.views.add(view.name)


def _source(folder: Path, name: str, files: Sequence[Path]) -> tuple[str, list[str]]:
    """Make the query that reads a table's Parquet with every column named; return it with those columns."""
    declared = dict(get_table(name).schema) if name in table_names() else {}
    schemas = [file_schema(file, table=name) for file in files]
    found = union_schema(files, table=name)
    held = ordered_names(name, {**declared, **found})
    selected = ", ".join(
        quote(column) if column in found else f"NULL::{_sql_type(declared[column])} AS {quote(column)}"
        for column in held
    )
    if not files:
        return f"SELECT {selected} WHERE false", held
    depths = {len(file.relative_to(table_folder(folder, name)).parts) for file in files}
    globs = [f"{glob_prefix(folder)}tables/{name}/{'*/' * (depth - 1)}*.parquet" for depth in sorted(depths)]
    options = ", hive_partitioning = false"  # a folder above the screen may be named x=1
    # Footers of all plates are read to unite columns: only where plates differ.
    options += ", union_by_name = true" if any(set(schema) != set(found) for schema in schemas) else ""
    paths = ", ".join(literal(pattern) for pattern in globs)
    return f"SELECT {selected} FROM read_parquet([{paths}]{options})", held


def _count(connection: duckdb.DuckDBPyConnection, name: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {quote(name)}").fetchone()
    return int(row[0]) if row else 0


def _comment(connection: duckdb.DuckDBPyConnection, name: str, columns: Sequence[str]) -> None:
    """Describe a table and its columns; features are described in table ``feature``."""
    if name not in table_names():
        return
    table = get_table(name)
    kind = "TABLE" if table.in_catalog == "table" else "VIEW"
    connection.execute(f"COMMENT ON {kind} {quote(name)} IS {literal(table.description)}")
    for column in columns:
        if (comment := column_comment(name, column)) is not None:
            connection.execute(f"COMMENT ON COLUMN {quote(name)}.{quote(column)} IS {literal(comment)}")


def glob_prefix(folder: Path) -> str:
    """Return the absolute path of a folder as views write it: with a slash at its end, signs of patterns quoted."""
    path = folder.resolve().as_posix().rstrip("/")
    return "".join(f"[{sign}]" if sign in "[*?" else sign for sign in path) + "/"


def literal(value: str) -> str:
    """Write a text as SQL does."""
    return "'" + value.replace("'", "''") + "'"


def _sql_type(dtype: pl.DataType) -> str:
    return _SQL_TYPES[dtype.base_type()]
