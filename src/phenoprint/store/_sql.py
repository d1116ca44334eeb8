"""Errors of SQL, told in the screen's own words."""

from __future__ import annotations

import difflib
import re

import duckdb

from phenoprint.errors import PhenoprintError, ScreenError, UnknownNameError, UsageError

__all__ = ["translate"]

_NO_TABLE = re.compile(r"(?:Table|View)(?: Function)? with name (?P<name>.+?) does not exist")
_NO_COLUMN = re.compile(
    r"""(?:Referenced\ column\ "(?P<a>.+?)"\ not\ found
        |column\ named\ "(?P<b>.+?)"
        |does\ not\ have\ a\ column\ (?:named\ )?"(?P<c>.+?)"
        |[Cc]olumn\ "(?P<d>.+?)"\ (?:not\ found|does\ not\ exist))""",
    re.VERBOSE,
)
_SHOWN = 8


def translate(error: duckdb.Error, connection: duckdb.DuckDBPyConnection, query: str) -> PhenoprintError:
    """Turn the error of a query into one of ours: unknown names with the closest known ones, else DuckDB's words.

    Parameters
    ----------
    error
        What DuckDB raised.
    connection
        The catalog, asked for the names there are.
    query
        The query at fault.
    """
    text = str(error)
    if isinstance(error, duckdb.CatalogException) and (match := _NO_TABLE.search(text)):
        names = connection.execute("SELECT DISTINCT table_name FROM duckdb_columns() WHERE NOT internal").fetchall()
        return UnknownNameError("table", match["name"].strip('"'), [row[0] for row in names])
    if isinstance(error, duckdb.BinderException) and (match := _NO_COLUMN.search(text)):
        name = next(group for group in match.groups() if group)
        return UnknownNameError("column", name, _near(name, _columns(connection, query)))
    if isinstance(error, duckdb.IOException | duckdb.OutOfMemoryException | duckdb.FatalException):
        return ScreenError(f"the query could not be answered: {text}")
    if "read-only" in text:
        return UsageError(
            f"a query only reads; write tables with Screen.write(table, frame), which checks them ({text})"
        )
    return UsageError(f"the query is not valid: {text}")


def _columns(connection: duckdb.DuckDBPyConnection, query: str) -> list[str]:
    """Columns of the tables that the query names."""
    rows = connection.execute(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal ORDER BY table_name, column_index"
    ).fetchall()
    words = {word.lower() for word in re.findall(r"\w+", query)}
    named = [column for table, column in rows if table.lower() in words]
    return list(dict.fromkeys(named or [column for _, column in rows]))


def _near(name: str, known: list[str]) -> list[str]:
    """Name the closest where there are too many to list, and how to see the rest."""
    if len(known) <= 4 * _SHOWN:
        return known
    near = difflib.get_close_matches(name, known, n=_SHOWN, cutoff=0.4) or known[:_SHOWN]
    return [*near, f"… and {len(known) - len(near):,} more (DESCRIBE the table to see them)"]
