"""Turn DuckDB errors into errors that name the tables, columns and files of a screen."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

import duckdb

from phenoprint.errors import DamagedTableError, PhenoprintError, ScreenError, UnknownNameError, UsageError
from phenoprint.store._build import HIDDEN, LEFT_OUT
from phenoprint.store._views import tables_used
from phenoprint.store.damage import damaged_tables
from phenoprint.tables import table_names

__all__ = ["left_out_error", "relation_names", "translate"]

_NO_TABLE = re.compile(r"(?:Table|View)(?: Function)? with name (?P<name>.+?) does not exist")
_NO_COLUMN = re.compile(
    r"""(?:Referenced\ column\ "(?P<a>.+?)"\ not\ found
        |column\ named\ "(?P<b>.+?)"
        |does\ not\ have\ a\ column\ (?:named\ )?"(?P<c>.+?)"
        |[Cc]olumn\ "(?P<d>.+?)"\ (?:not\ found|does\ not\ exist))""",
    re.VERBOSE,
)
_SHOWN = 8
# Errors that reading a damaged page may raise; the pages are then checked, to name the file.
_MAY_BE_DAMAGE = (
    duckdb.IOException,
    duckdb.InvalidInputException,
    duckdb.InternalException,
    duckdb.ConversionException,
    duckdb.OutOfRangeException,
    duckdb.OutOfMemoryException,
    duckdb.FatalException,
)


def translate(error: duckdb.Error, connection: duckdb.DuckDBPyConnection, query: str, folder: Path) -> PhenoprintError:
    """Turn the error of a query into one of Phenoprint: unknown names with the closest known ones, or DuckDB's text.

    Parameters
    ----------
    error
        The error that DuckDB raised.
    connection
        The catalog, which lists the known names.
    query
        The query that failed.
    folder
        The screen folder.
    """
    text = str(error)
    if isinstance(error, duckdb.CatalogException) and (match := _NO_TABLE.search(text)):
        name = match["name"].strip('"')
        return left_out_error(connection, name) or UnknownNameError("table", name, relation_names(connection))
    if isinstance(error, duckdb.BinderException) and (match := _NO_COLUMN.search(text)):
        name = next(group for group in match.groups() if group)
        return UnknownNameError("column", name, _near(name, _columns(connection, query)))
    if isinstance(error, duckdb.PermissionException):
        return UsageError(f"a query reads the tables of the screen and no other file: {_line(text)}")
    damaged = damaged_tables(folder, _tables(connection, query)) if isinstance(error, _MAY_BE_DAMAGE) else None
    if damaged is not None and damaged.height:
        table, path, reason = damaged.row(0)
        return DamagedTableError(path, reason, table=table)
    if isinstance(error, duckdb.IOException | duckdb.OutOfMemoryException | duckdb.FatalException):
        return ScreenError(f"the query could not be answered: {text}")
    return UsageError(f"the query is not valid: {text}")


def relation_names(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """List the tables and views that a query may use, sorted."""
    rows = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE NOT internal "
        "UNION SELECT view_name FROM duckdb_views() WHERE NOT internal"
    ).fetchall()
    return sorted(name for (name,) in rows if name not in HIDDEN)


def left_out_error(connection: duckdb.DuckDBPyConnection, name: str) -> DamagedTableError | None:
    """Return the error for a table or view that is left out of the catalog; None if it is not."""
    rows = connection.execute(
        f'SELECT path, reason, "table" FROM {LEFT_OUT} WHERE lower(name) = lower(?)',  # noqa: S608 - a constant
        [name],
    ).fetchall()
    return DamagedTableError(rows[0][0], rows[0][1], table=rows[0][2]) if rows else None


def _tables(connection: duckdb.DuckDBPyConnection, query: str) -> set[str]:
    """Return the declared tables that a query reads, directly or through views."""
    views = dict(connection.execute("SELECT view_name, sql FROM duckdb_views() WHERE NOT internal").fetchall())
    declared = set(table_names())
    found: set[str] = set()
    waiting = [query]
    while waiting:
        names = tables_used(connection, waiting.pop()) - found
        found |= names
        waiting += [views[name].partition(" AS ")[2] for name in names - declared if name in views]
    return found & declared


def _line(text: str) -> str:
    return " ".join(text.split())


def _columns(connection: duckdb.DuckDBPyConnection, query: str) -> list[str]:
    """Return the columns of the tables that the query names."""
    rows = connection.execute(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal ORDER BY table_name, column_index"
    ).fetchall()
    words = {word.lower() for word in re.findall(r"\w+", query)}
    named = [column for table, column in rows if table.lower() in words]
    return list(dict.fromkeys(named or [column for _, column in rows]))


def _near(name: str, known: list[str]) -> list[str]:
    """Return the closest names if there are too many to list, and how to see the others."""
    if len(known) <= 4 * _SHOWN:
        return known
    near = difflib.get_close_matches(name, known, n=_SHOWN, cutoff=0.4) or known[:_SHOWN]
    return [*near, f"… and {len(known) - len(near):,} more (DESCRIBE the table to see them)"]
