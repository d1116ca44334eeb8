# ruff: noqa: S608 - every name and text that enters SQL here is quoted
"""What the tables and columns of a screen are: types, units and comments."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from phenoprint.errors import UnknownNameError
from phenoprint.store import catalog
from phenoprint.store._build import HIDDEN, literal
from phenoprint.store._sql import left_out_error, relation_names
from phenoprint.store._views import tables_used

__all__ = ["describe_columns", "describe_tables"]

_RELATIONS = f"""
SELECT table_name, comment FROM duckdb_tables()
WHERE NOT internal AND table_name NOT IN ({", ".join(literal(name) for name in HIDDEN)})
UNION ALL SELECT view_name, comment FROM duckdb_views() WHERE NOT internal
ORDER BY 1
"""
# A view has columns from tables, whose comments say what they are.
_COLUMNS = """
SELECT c.column_name AS "column", c.data_type AS "type", {unit} AS unit,
    coalesce(c.comment, t.comment, {meaning}) AS comment
FROM duckdb_columns() c LEFT JOIN (
    SELECT column_name, min(comment) AS comment FROM duckdb_columns()
    WHERE comment IS NOT NULL AND NOT internal AND table_name IN ({sources}) GROUP BY 1
) t USING (column_name)
{join}
WHERE NOT c.internal AND c.table_name = {name}
ORDER BY c.column_index
"""


def describe_tables(folder: Path) -> pl.DataFrame:
    """List the tables and views of a screen: ``table_name``, ``comment``."""
    with catalog.connect(folder) as connection:
        frame: pl.DataFrame = connection.sql(_RELATIONS).pl()
    return frame


def describe_columns(folder: Path, name: str) -> pl.DataFrame:
    """List the columns of a table or view: ``column``, ``type``, ``unit``, ``comment``; raises as `Screen.describe`."""
    with catalog.connect(folder) as connection:
        known = relation_names(connection)
        if (lost := left_out_error(connection, name)) is not None:
            raise lost
        if name not in known:
            raise UnknownNameError("table", name, known)
        views = dict(connection.execute("SELECT view_name, sql FROM duckdb_views() WHERE NOT internal").fetchall())
        sources = tables_used(connection, views[name].partition(" AS ")[2]) if name in views else set()
        has_features = "feature" in known
        sql = _COLUMNS.format(
            name=literal(name),
            sources=", ".join(literal(source) for source in sorted({name, *sources})),
            unit="f.unit" if has_features else "NULL::VARCHAR",
            meaning="f.description" if has_features else "NULL",
            join="LEFT JOIN feature f ON f.feature = c.column_name" if has_features else "",
        )
        frame: pl.DataFrame = connection.sql(sql).pl()
    return frame
