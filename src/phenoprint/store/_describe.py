# ruff: noqa: S608 - every name and text that enters SQL here is quoted
"""Describe the tables and columns of a screen: types, units and comments."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from phenoprint.errors import UnknownNameError
from phenoprint.store import catalog
from phenoprint.store._build import HIDDEN
from phenoprint.store._sql import left_out_error, relation_names
from phenoprint.store._views import literal

__all__ = ["describe_columns", "describe_tables"]

_RELATIONS = f"""
SELECT table_name, comment FROM duckdb_tables()
WHERE NOT internal AND table_name NOT IN ({", ".join(literal(name) for name in HIDDEN)})
UNION ALL SELECT view_name, comment FROM duckdb_views() WHERE NOT internal
ORDER BY 1
"""
_COLUMNS = """
SELECT c.column_name AS "column", c.data_type AS "type", f.unit, coalesce(f.description, c.comment) AS comment
FROM duckdb_columns() c LEFT JOIN {features} f ON f.feature = c.column_name
WHERE NOT c.internal AND c.table_name = {name}
ORDER BY c.column_index
"""
_NO_FEATURES = "(SELECT NULL::VARCHAR AS feature, NULL::VARCHAR AS unit, NULL::VARCHAR AS description)"


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
        features = "feature" if "feature" in known else _NO_FEATURES
        sql = _COLUMNS.format(name=literal(name), features=features)
        frame: pl.DataFrame = connection.sql(sql).pl()
    return frame
