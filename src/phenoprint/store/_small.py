# ruff: noqa: S608 - every name and text that enters SQL here is quoted
"""Copy small tables from Parquet into the catalog, with the keys that are fulfilled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from phenoprint.errors import DamagedTableError
from phenoprint.store._views import quote
from phenoprint.store.damage import file_damage
from phenoprint.tables import Table, get_table

__all__ = ["copy"]

# With more rows the index of a primary key costs more than it helps: it doubles size and time.
_KEYED_ROWS = 1_000_000


def copy(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    source: str,
    files: Sequence[Path],
    columns: Mapping[str, Sequence[str]],
) -> int:
    """Check the pages of a small table and copy it into the catalog; return the number of rows in its files.

    Parameters
    ----------
    connection
        The catalog.
    table
        The table's declaration.
    source
        The query that reads its Parquet.
    files
        Its files.
    columns
        Columns of the tables that the catalog holds already, and of this one.

    Raises
    ------
    DamagedTableError
        If a file cannot be read.
    """
    for file in files:
        if (reason := file_damage(file)) is not None:
            raise DamagedTableError(file, reason, table=table.name)
    try:
        _make_table(connection, table, source, columns)
    except (duckdb.IOException, duckdb.InvalidInputException, duckdb.ConversionException) as error:
        if not files or "No space left" in str(error):
            raise
        reason = f"DuckDB cannot read it: {' '.join(str(error).split())}"
        raise DamagedTableError(files[0], reason, table=table.name) from error
    return sum(pq.read_metadata(file).num_rows for file in files)


def _make_table(
    connection: duckdb.DuckDBPyConnection, table: Table, source: str, columns: Mapping[str, Sequence[str]]
) -> None:
    """Copy a small table into the catalog, with the keys that its rows fulfil."""
    name = quote(table.name)
    connection.execute(f"CREATE TEMP VIEW incoming AS {source}")
    described = connection.execute("DESCRIBE incoming").fetchall()
    clauses = [f"{quote(row[0])} {row[1]}" for row in described]
    key = _list(table.key)
    if table.key and _key_holds(connection, table.key):
        clauses.append(f"PRIMARY KEY ({key})")
    for reference in table.references:
        target = get_table(reference.target)
        is_key = reference.target in columns and target.key == reference.columns
        if is_key and _reference_holds(connection, reference.columns, target.name):
            clauses.append(
                f"FOREIGN KEY ({_list(reference.columns)}) REFERENCES {quote(target.name)} ({_list(target.key)})"
            )
    order = ", ".join(f"{quote(column)} NULLS LAST" for column in table.sort_by if column in columns[table.name])
    connection.execute(f"CREATE TABLE {name} ({', '.join(clauses)})")
    connection.execute(f"INSERT INTO {name} SELECT * FROM incoming{f' ORDER BY {order}' if order else ''}")
    connection.execute("DROP VIEW incoming")


def _key_holds(connection: duckdb.DuckDBPyConnection, key: Sequence[str]) -> bool:
    """Whether the incoming rows are few enough, and their keys complete and unique."""
    complete = " AND ".join(f"{quote(column)} IS NOT NULL" for column in key)
    row = connection.execute(
        f"SELECT count(*), count(*) FILTER ({complete}), "
        f"(SELECT count(*) FROM (SELECT DISTINCT {_list(key)} FROM incoming)) FROM incoming"
    ).fetchone()
    return row is not None and row[0] == row[1] == row[2] and row[0] <= _KEYED_ROWS


def _reference_holds(connection: duckdb.DuckDBPyConnection, columns: Sequence[str], target: str) -> bool:
    """Whether the target has a primary key, and every incoming row refers to one of its rows."""
    keyed = connection.execute(
        "SELECT count(*) FROM duckdb_constraints() WHERE table_name = ? AND constraint_type = 'PRIMARY KEY'", [target]
    ).fetchone()
    match = " AND ".join(f"i.{quote(column)} = t.{quote(column)}" for column in columns)
    lost = connection.execute(
        f"SELECT count(*) FROM incoming i WHERE NOT EXISTS (SELECT 1 FROM {quote(target)} t WHERE {match}) "
        f"AND {' AND '.join(f'i.{quote(column)} IS NOT NULL' for column in columns)}"
    ).fetchone()
    return keyed is not None and lost is not None and keyed[0] > 0 and lost[0] == 0


def _list(names: Sequence[str]) -> str:
    return ", ".join(quote(name) for name in names)
