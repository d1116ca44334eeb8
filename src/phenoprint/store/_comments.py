"""Write comments on the tables, views and columns of a catalog."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import duckdb

from phenoprint.store._views import literal, quote
from phenoprint.tables import column_comment, table_names

__all__ = ["comment", "comment_columns"]

# The time to comment on the columns of a view grows with the square of their number (6 s at 3,000), and every rebuild
# of the catalog takes it. Wider views have comments on their declared columns; `describe` adds those of features.
MOST_COMMENTED = 100


def comment(
    connection: duckdb.DuckDBPyConnection, kind: str, name: str, description: str | None, columns: Mapping[str, str]
) -> None:
    """Comment on a table or view and on columns of it."""
    if description is not None:
        connection.execute(f"COMMENT ON {kind} {quote(name)} IS {literal(description)}")
    for column, text in columns.items():
        connection.execute(f"COMMENT ON COLUMN {quote(name)}.{quote(column)} IS {literal(text)}")


def comment_columns(connection: duckdb.DuckDBPyConnection, sources: Mapping[str, Collection[str]]) -> None:
    """Comment on every column without a comment, as a table declares it or as table ``feature`` describes it.

    Parameters
    ----------
    connection
        The catalog.
    sources
        Tables that a view takes its columns from, by view.
    """
    declared = set(table_names())
    features = _feature_comments(connection)
    bare = connection.execute(
        "SELECT table_name, list(column_name ORDER BY column_index) FROM duckdb_columns() "
        "WHERE NOT internal AND comment IS NULL GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    for name, columns in bare:
        tables = sorted({name, *sources.get(name, ())} & declared)
        texts = {column: next(filter(None, (column_comment(t, column) for t in tables)), None) for column in columns}
        has_few = len(columns) <= MOST_COMMENTED
        described = {column: features[column] for column in columns if has_few and column in features}
        comment(connection, "", name, None, described | {c: text for c, text in texts.items() if text is not None})


def _feature_comments(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return description and unit of each feature in table ``feature``; none where that table is left out."""
    if not connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'feature'").fetchall():
        return {}
    rows = connection.execute(
        "SELECT feature, concat_ws(', ', description, nullif(unit, '1')) FROM feature WHERE description IS NOT NULL"
    ).fetchall()
    return dict(rows)
