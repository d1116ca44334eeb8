# ruff: noqa: S608 - every name and text that enters SQL here is quoted
"""Build a catalog: small tables with their keys, views over Parquet, saved views, comments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import polars as pl

from phenoprint.errors import DamagedTableError, SchemaError, ScreenError
from phenoprint.store._comments import comment, comment_columns
from phenoprint.store._small import copy
from phenoprint.store._views import literal, quote, saved_views, tables_used
from phenoprint.store.damage import missing_files
from phenoprint.store.layout import STEP_LEVELS, table_files, table_folder, tables_on_disk
from phenoprint.store.parquet import file_schema, ordered_names, union_schema
from phenoprint.tables import get_table, table_names

__all__ = ["HIDDEN", "LEFT_OUT", "STATE", "CatalogState", "Content", "check", "fill", "glob_prefix"]

STATE = "catalog_state"
LEFT_OUT = "left_out"
# Read by DuckDB 1.1 and all later versions.
_STORAGE = "v1.0.0"
# Memory and threads of the build: sorting what does not fit goes to the temporary folder.
_BOUNDS = {"memory_limit": "768MiB", "threads": "2"}
_OWN_TABLES = {
    STATE: (
        "What this catalog was built from",
        {
            "fingerprint": "Hash of the Parquet files: names, sizes and times",
            "software": "Name and version of the software that built it",
            "location": "Folder of the screen when it was built",
        },
    ),
    LEFT_OUT: (
        "Tables and views that are left out because a file is damaged or missing",
        {
            "name": "The table or view",
            "table": "The table whose file is damaged or missing",
            "path": "The file",
            "reason": "What is wrong with it",
        },
    ),
}
# Tables that no listing shows.
HIDDEN = tuple(_OWN_TABLES)

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
# Tables that others refer to are made first.
_FIRST = ("plate", "well", "site", "perturbation", "feature")


class CatalogState(NamedTuple):
    """What a catalog was built from.

    Parameters
    ----------
    fingerprint
        Hash of the Parquet.
    software
        Name and version of the software.
    location
        The screen folder, as the views write it (`glob_prefix`).
    """

    fingerprint: str
    software: str
    location: str


@dataclass(slots=True)
class Content:
    """What a finished catalog must hold.

    Parameters
    ----------
    state
        What it is built from.
    rows
        Rows of each small table, counted from the footers of its Parquet.
    views
        Names of the views.
    left_out
        Why a table or view is not there: name to name of the damaged table, file and reason.
    """

    state: CatalogState
    rows: dict[str, int] = field(default_factory=dict)
    views: set[str] = field(default_factory=set)
    left_out: dict[str, tuple[str, str, str]] = field(default_factory=dict)


def fill(folder: Path, target: Path, *, state: CatalogState, settings: Mapping[str, str]) -> Content:
    """Write the catalog of a screen folder into a new file; a table that cannot be read is left out by name.

    Parameters
    ----------
    folder
        The screen folder.
    target
        The file, which does not exist yet.
    state
        What it is built from.
    settings
        Settings of DuckDB during the build.

    Returns
    -------
    Content
        What must be found in it (`check`).

    Raises
    ------
    ScreenError
        If DuckDB cannot write it.
    """
    left_out = {
        name: (name, paths[0], f"the file is missing{f', and {len(paths) - 1} more' if len(paths) > 1 else ''}")
        for name, paths in missing_files(folder).items()
    }
    config: dict[str, Any] = {**settings, **_BOUNDS, "storage_compatibility_version": _STORAGE}
    while True:
        content = Content(state, left_out=dict(left_out))
        try:
            with closing(duckdb.connect(target, config=config)) as connection:
                _fill(connection, folder, content)
                connection.execute("CHECKPOINT")  # closing does so too, but does not report a full disk
        except DamagedTableError as error:  # found while its rows were copied: begin again without it
            left_out[str(error.table)] = (str(error.table), error.path, error.reason)
            target.unlink()
        except duckdb.Error as error:
            raise ScreenError(f"{' '.join(str(error).split())}") from error
        else:
            return content


def check(target: Path, content: Content) -> None:
    """Open a finished catalog again and compare it with what it must hold.

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
    expected = content.rows | {STATE: 1, LEFT_OUT: len(content.left_out)}
    wrong = sorted(name for name in expected | tables if expected.get(name) != tables.get(name))
    wrong += sorted(content.views ^ {name for (name,) in views})
    if wrong or state != [content.state]:
        raise ScreenError(f"what was written is not what was meant: {', '.join(wrong) or STATE}")


def _fill(connection: duckdb.DuckDBPyConnection, folder: Path, content: Content) -> None:
    declared = table_names()
    names = [*declared, *sorted({*tables_on_disk(folder), *content.left_out} - set(declared))]
    columns: dict[str, list[str]] = {}
    filled: set[str] = set()
    connection.execute("BEGIN")  # one commit instead of hundreds
    for name in sorted(names, key=lambda name: (_FIRST.index(name) if name in _FIRST else len(_FIRST), name)):
        files = table_files(folder, name)
        filled.update([name] if files or name in content.left_out else [])
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
        if _kind(name) == "TABLE":
            content.rows[name] = copy(connection, get_table(name), source, files, columns)
        else:
            connection.execute(f"CREATE VIEW {quote(name)} AS {source}")
            content.views.add(name)
        if name in declared:
            comment(connection, _kind(name), name, get_table(name).description, {})
    sources = _save_views(connection, columns, frozenset(filled), content)
    _write_state(connection, content)
    comment_columns(connection, sources)
    connection.execute("COMMIT")


def _write_state(connection: duckdb.DuckDBPyConnection, content: Content) -> None:
    """Write what the catalog was built from and what it leaves out."""
    connection.execute(f"CREATE TABLE {STATE} (fingerprint VARCHAR, software VARCHAR, location VARCHAR)")
    connection.execute(f"INSERT INTO {STATE} VALUES (?, ?, ?)", list(content.state))
    connection.execute(f'CREATE TABLE {LEFT_OUT} (name VARCHAR, "table" VARCHAR, path VARCHAR, reason VARCHAR)')
    for name, why in content.left_out.items():
        connection.execute(f"INSERT INTO {LEFT_OUT} VALUES (?, ?, ?, ?)", [name, *why])
    for name, (description, columns) in _OWN_TABLES.items():
        comment(connection, "TABLE", name, description, columns)


def _kind(name: str) -> str:
    """Whether a table is copied into the catalog, or is a view over its Parquet."""
    return "TABLE" if name in table_names() and get_table(name).is_small else "VIEW"


def _save_views(
    connection: duckdb.DuckDBPyConnection,
    columns: Mapping[str, Sequence[str]],
    filled: frozenset[str],
    content: Content,
) -> dict[str, set[str]]:
    """Make the saved views and return what each uses; one that uses what is left out is left out, too."""
    declared = {name: list(get_table(name).schema) for name in content.left_out if name in table_names()}
    sources: dict[str, set[str]] = {}
    for view in saved_views({**declared, **columns}, filled):
        if view.name in columns or view.name in content.left_out:
            continue
        used = tables_used(connection, view.sql)
        if lost := sorted(used & set(content.left_out)):
            content.left_out[view.name] = content.left_out[lost[0]]
            continue
        connection.execute(f"CREATE VIEW {quote(view.name)} AS {view.sql}")
        comment(connection, "VIEW", view.name, view.description, view.columns)
        content.views.add(view.name)
        sources[view.name] = used
    return sources


def _source(folder: Path, name: str, files: Sequence[Path]) -> tuple[str, list[str]]:
    """Return the query that reads the Parquet of a table with every column named, and those columns."""
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
    # Levels 4a and 4b may be files of a step of the recipe.
    base = name if files[0].is_relative_to(table_folder(folder, name)) else "profile_step"
    depths = {len(file.relative_to(table_folder(folder, base)).parts) for file in files}
    pattern = "*" if base == name else f"*{STEP_LEVELS[name]}*"
    globs = [f"{glob_prefix(folder)}tables/{base}/{'*/' * (depth - 1)}{pattern}.parquet" for depth in sorted(depths)]
    options = ", hive_partitioning = false"  # a parent folder of the screen may be named x=1
    # Footers of all plates are read for this: only where plates differ.
    options += ", union_by_name = true" if any(set(schema) != set(found) for schema in schemas) else ""
    paths = ", ".join(literal(pattern) for pattern in globs)
    return f"SELECT {selected} FROM read_parquet([{paths}]{options})", held


def _count(connection: duckdb.DuckDBPyConnection, name: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {quote(name)}").fetchone()
    return int(row[0]) if row else 0


def glob_prefix(folder: Path) -> str:
    """Return the absolute path of a folder for a view: with a slash at its end and wildcards quoted."""
    path = folder.resolve().as_posix().rstrip("/")
    return "".join(f"[{sign}]" if sign in "[*?" else sign for sign in path) + "/"


def _sql_type(dtype: pl.DataType) -> str:
    return _SQL_TYPES[dtype.base_type()]
