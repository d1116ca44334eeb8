# ruff: noqa: S608 - every name and text that enters SQL here is quoted
"""The catalog, ``screen.duckdb``: tables with keys, views over Parquet, comments, saved views.

Parquet is the truth and the catalog can be made again from it at any time: it is built in a temporary file and
takes its name in one step. It knows the state of the Parquet it was made from, so that a reader can tell
whether it is current. Views name their columns and use paths relative to the screen folder (through
``file_search_path``), so that a screen can be moved.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import duckdb
import polars as pl
from filelock import FileLock, Timeout

from phenoprint.errors import ScreenError
from phenoprint.store._atomic import TEMPORARY_SUFFIX, explain, replace
from phenoprint.store._views import quote, saved_views
from phenoprint.store.layout import CATALOG, table_files, table_folder, tables_on_disk
from phenoprint.store.parquet import file_schema, ordered_names, union_schema
from phenoprint.store.schemas import Table, get_table, table_names

__all__ = ["connect", "fingerprint", "is_current", "rebuild"]

# Beyond this many rows the index of a primary key costs more than it helps.
_KEYED_ROWS = 5_000_000
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


def fingerprint(folder: Path) -> str:
    """Hash the state of a screen's Parquet: files, sizes, times, and the software that reads them."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{_version()} {duckdb.__version__} {_prefix(folder)}".encode())
    for table in tables_on_disk(folder):
        for file in table_files(folder, table):
            with suppress(FileNotFoundError):  # replaced between listing and looking
                stat = file.stat()
                state = (file.relative_to(folder).as_posix(), stat.st_size, stat.st_mtime_ns)
                digest.update(json.dumps(state).encode())
    return digest.hexdigest()


def is_current(folder: Path) -> bool:
    """Whether ``screen.duckdb`` was made from the Parquet that is there now."""
    try:
        with closing(duckdb.connect(folder / CATALOG, read_only=True)) as connection:
            return _state(connection) == fingerprint(folder)
    except (duckdb.Error, OSError):
        return False


def rebuild(folder: Path) -> Path:
    """Make the catalog anew from Parquet and swap it in.

    Parameters
    ----------
    folder
        The screen folder.

    Returns
    -------
    pathlib.Path
        The catalog. The same Parquet gives the same tables, rows and views.

    Raises
    ------
    ScreenError
        If the catalog cannot be written, or another program holds it open (Windows); the earlier one stays.
    SchemaError
        If a Parquet file is broken or two disagree.
    """
    target = folder / CATALOG
    temporary = folder / f".{CATALOG}{TEMPORARY_SUFFIX}"
    try:
        with FileLock(folder / f"{CATALOG}.lock", timeout=120):
            try:
                temporary.unlink(missing_ok=True)
                build(folder, temporary)
                replace(temporary, target)
            finally:
                for leftover in (temporary, Path(f"{temporary}.wal")):
                    leftover.unlink(missing_ok=True)
    except Timeout:
        raise ScreenError(f"another process has been rebuilding {target} for two minutes; try again") from None
    except OSError as error:
        raise explain(error, target) from error
    return target


@contextmanager
def connect(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the catalog read-only, made anew first if Parquet has changed since.

    Where the screen folder cannot be written, or an earlier catalog is held open (by another program on Windows,
    by this process anywhere: DuckDB then hands out the earlier one again), a catalog is made in the system's
    temporary folder for the time of the block.

    Raises
    ------
    ScreenError, SchemaError
        As `rebuild`.
    """
    with tempfile.TemporaryDirectory(prefix="phenoprint-", ignore_cleanup_errors=True) as scratch:
        path = folder / CATALOG
        if not is_current(folder):
            try:
                rebuild(folder)
            except ScreenError:
                path = Path(scratch) / CATALOG
            if path.parent != folder or not is_current(folder):
                path = Path(scratch) / CATALOG
                build(folder, path)
        with closing(duckdb.connect(path, read_only=True)) as connection:
            _settle(connection, folder, spill=scratch)
            yield connection


def _state(connection: duckdb.DuckDBPyConnection) -> str:
    row = connection.execute("SELECT fingerprint FROM catalog_state").fetchone()
    return str(row[0]) if row else ""


def build(folder: Path, target: Path) -> None:
    """Write the catalog of a screen folder into a new file."""
    state = fingerprint(folder)
    names = [*table_names(), *(name for name in tables_on_disk(folder) if name not in table_names())]
    columns: dict[str, list[str]] = {}
    filled: set[str] = set()
    try:
        with closing(duckdb.connect(target)) as connection:
            _settle(connection, folder)
            connection.execute("BEGIN")  # one commit instead of hundreds
            for name in sorted(names, key=lambda name: (_FIRST.index(name) if name in _FIRST else len(_FIRST), name)):
                files = table_files(folder, name)
                source, columns[name] = _source(folder, name, files)
                filled.update([name] if files else [])
                if name in table_names() and get_table(name).in_catalog == "table":
                    _make_table(connection, get_table(name), source, columns)
                else:
                    connection.execute(f"CREATE VIEW {quote(name)} AS {source}")
                _comment(connection, name, columns[name])
            for view in saved_views(columns, frozenset(filled)):
                if view.name not in columns:
                    connection.execute(f"CREATE VIEW {quote(view.name)} AS {view.sql}")
                    connection.execute(f"COMMENT ON VIEW {quote(view.name)} IS {_text(view.description)}")
            connection.execute("CREATE TABLE catalog_state (fingerprint VARCHAR, software VARCHAR)")
            connection.execute("COMMENT ON TABLE catalog_state IS 'State of the Parquet this catalog was made from'")
            connection.execute("INSERT INTO catalog_state VALUES (?, ?)", [state, f"phenoprint {_version()}"])
            connection.execute("COMMIT")
    except duckdb.Error as error:
        raise ScreenError(f"the catalog {target} of {folder} cannot be made: {error}") from error


def _source(folder: Path, name: str, files: Sequence[Path]) -> tuple[str, list[str]]:
    """Make the query that reads a table's Parquet with every column named; return it with those columns."""
    declared = dict(get_table(name).schema) if name in table_names() else {}
    schemas = [file_schema(file) for file in files]
    found = union_schema(files)
    held = ordered_names(name, {**declared, **found})
    selected = ", ".join(
        quote(column) if column in found else f"NULL::{_sql_type(declared[column])} AS {quote(column)}"
        for column in held
    )
    if not files:
        return f"SELECT {selected} WHERE false", held
    depths = {len(file.relative_to(table_folder(folder, name)).parts) for file in files}
    globs = [f"{_prefix(folder)}tables/{name}/{'*/' * (depth - 1)}*.parquet" for depth in sorted(depths)]
    options = ", hive_partitioning = false"  # a folder above the screen may be named x=1
    # Footers of all plates are read to unite columns: only where plates differ.
    options += ", union_by_name = true" if any(set(schema) != set(found) for schema in schemas) else ""
    paths = ", ".join(_text(pattern) for pattern in globs)
    return f"SELECT {selected} FROM read_parquet([{paths}]{options})", held


def _make_table(
    connection: duckdb.DuckDBPyConnection, table: Table, source: str, columns: Mapping[str, Sequence[str]]
) -> None:
    """Copy a small table into the catalog, with the keys that hold."""
    name = quote(table.name)
    connection.execute(f"CREATE TEMP VIEW incoming AS {source}")
    described = connection.execute("DESCRIBE incoming").fetchall()
    clauses = [f"{quote(row[0])} {row[1]}" for row in described]
    key = _list(table.key)
    if table.key and _key_holds(connection, table.key):
        clauses.append(f"PRIMARY KEY ({key})")
    for reference in table.references:
        target = get_table(reference.target)
        if target.key == reference.columns and _reference_holds(connection, reference.columns, target.name):
            clauses.append(
                f"FOREIGN KEY ({_list(reference.columns)}) REFERENCES {quote(target.name)} ({_list(target.key)})"
            )
    order = ", ".join(f"{quote(column)} NULLS LAST" for column in table.sort_by if column in columns[table.name])
    connection.execute(f"CREATE TABLE {name} ({', '.join(clauses)})")
    connection.execute(f"INSERT INTO {name} SELECT * FROM incoming{f' ORDER BY {order}' if order else ''}")
    connection.execute("DROP VIEW incoming")


def _key_holds(connection: duckdb.DuckDBPyConnection, key: Sequence[str]) -> bool:
    """Whether the incoming rows are few enough, complete and unique in the key."""
    complete = " AND ".join(f"{quote(column)} IS NOT NULL" for column in key)
    row = connection.execute(
        f"SELECT count(*), count(*) FILTER ({complete}), "
        f"(SELECT count(*) FROM (SELECT DISTINCT {_list(key)} FROM incoming)) FROM incoming"
    ).fetchone()
    return row is not None and row[0] == row[1] == row[2] and row[0] <= _KEYED_ROWS


def _reference_holds(connection: duckdb.DuckDBPyConnection, columns: Sequence[str], target: str) -> bool:
    """Whether every incoming row finds its row in the target, and the target has the key to ask."""
    keyed = connection.execute(
        "SELECT count(*) FROM duckdb_constraints() WHERE table_name = ? AND constraint_type = 'PRIMARY KEY'", [target]
    ).fetchone()
    match = " AND ".join(f"i.{quote(column)} = t.{quote(column)}" for column in columns)
    lost = connection.execute(
        f"SELECT count(*) FROM incoming i WHERE NOT EXISTS (SELECT 1 FROM {quote(target)} t WHERE {match}) "
        f"AND {' AND '.join(f'i.{quote(column)} IS NOT NULL' for column in columns)}"
    ).fetchone()
    return keyed is not None and lost is not None and keyed[0] > 0 and lost[0] == 0


def _comment(connection: duckdb.DuckDBPyConnection, name: str, columns: Sequence[str]) -> None:
    """Describe a table and its declared columns; features are described in table ``feature``."""
    if name not in table_names():
        return
    table = get_table(name)
    kind = "TABLE" if table.in_catalog == "table" else "VIEW"
    connection.execute(f"COMMENT ON {kind} {quote(name)} IS {_text(table.description)}")
    for column in table.columns:
        if column.name in columns:
            connection.execute(f"COMMENT ON COLUMN {quote(name)}.{quote(column.name)} IS {_text(column.description)}")


def _settle(connection: duckdb.DuckDBPyConnection, folder: Path, *, spill: str | None = None) -> None:
    """Set a connection up: where views look for files, how much memory a query may take, where it spills."""
    import psutil

    memory = max(psutil.virtual_memory().available // 2**20 * 7 // 10, 512)
    connection.execute(f"SET memory_limit = '{memory}MiB'")
    connection.execute(f"SET temp_directory = {_text(spill or tempfile.gettempdir())}")
    if not _prefix(folder):
        connection.execute(f"SET file_search_path = {_text(str(folder.resolve()))}")


def _prefix(folder: Path) -> str:
    """Say what paths in views begin with: nothing, or the folder where the search path cannot hold its name.

    DuckDB splits the search path at commas and has no way to escape one.
    """
    path = folder.resolve().as_posix()
    return "".join(f"[{c}]" if c in "[*?" else c for c in path) + "/" if "," in path else ""


def _sql_type(dtype: pl.DataType) -> str:
    return _SQL_TYPES[dtype.base_type()]


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _list(names: Sequence[str]) -> str:
    return ", ".join(quote(name) for name in names)


def _version() -> str:
    try:
        return version("phenoprint")
    except PackageNotFoundError:
        return "unknown"
