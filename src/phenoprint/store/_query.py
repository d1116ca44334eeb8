"""Answer a query: one statement that reads, with its result as a frame."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from phenoprint.errors import UsageError
from phenoprint.store import catalog
from phenoprint.store._sql import translate
from phenoprint.store._views import quote

__all__ = ["FirstRows", "answer", "first_rows"]

_SKIPPED = r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*"
_FIRST_WORD = re.compile(rf"{_SKIPPED}\(*{_SKIPPED}(?P<word>\w*)", re.DOTALL)
_EXPLAIN = re.compile(
    rf"{_SKIPPED}EXPLAIN\b{_SKIPPED}(?:ANALY[SZ]E\b)?{_SKIPPED}(?:\([^()]*\))?", re.DOTALL | re.IGNORECASE
)
# DuckDB turns a pivot into several statements.
_PIVOT_WORDS = ("PIVOT", "FROM", "SELECT", "WITH")
_READS = "SELECT, FROM, WITH, VALUES, PIVOT, SHOW, DESCRIBE, SUMMARIZE and EXPLAIN"
# Types without an equal in polars: their values are returned as texts, as DuckDB writes them.
_AS_TEXT = frozenset(
    {"interval", "union", "bit", "bignum", "varint", "variant", "geometry", "time with time zone", "uhugeint"}
)
_NESTED = frozenset({"list", "struct", "map", "array", "tuple"})
_COUNT_S = 1.0
# 1 January of year 1 and 31 December of year 9999, in days from 1970.
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896


@dataclass(frozen=True, slots=True)
class FirstRows:
    """The first rows of a result.

    Parameters
    ----------
    frame
        The rows.
    total
        Number of rows of the whole result; None if counting them takes longer than a second.
    """

    frame: pl.DataFrame
    total: int | None


def answer(folder: Path, query: str) -> pl.DataFrame:
    """Return the result of a query over a screen's tables; raises as `Screen.sql`."""
    with _relation(folder, query) as (relation, _):
        return pl.DataFrame() if relation is None else _frame(relation)


def first_rows(folder: Path, query: str, n: int) -> FirstRows:
    """Return the first `n` rows of a result; raises as `Screen.sql`."""
    with _relation(folder, query) as (relation, connection):
        if relation is None:
            return FirstRows(pl.DataFrame(), 0)
        frame = _frame(relation.limit(n + 1))
        total = frame.height if frame.height <= n else _count(relation, connection)
        return FirstRows(frame.head(n), total)


@contextmanager
def _relation(folder: Path, query: str) -> Iterator[tuple[duckdb.DuckDBPyRelation | None, duckdb.DuckDBPyConnection]]:
    """Yield the relation of a checked query, not computed yet, and its connection; translate errors."""
    with catalog.connect(folder) as connection:
        try:
            _check(connection, query)
            yield connection.sql(_bare(query)), connection
        except duckdb.Error as error:
            raise translate(error, connection, query, folder) from error


def _check(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    """Raise an error unless a query is one statement that reads."""
    statements = connection.extract_statements(query)
    if not any(each.query for each in statements):  # before DuckDB 2.0: what a pivot was turned into
        statements = statements[-1:]
    if len(statements) > 1:
        found = "; ".join(" ".join(str(each.query).split()).rstrip("; ")[:40] for each in statements[:3])
        raise UsageError(f"expected one statement, found {len(statements)}: {found}. Give them one at a time")
    for statement in statements:
        if not _reads(connection, statement, query):
            word = _first_word(query)
            raise UsageError(
                f"a query only reads: expected {_READS}, found {word}. A result is written with `phenoprint query "
                "--csv`, `--json` or `--parquet FILE`, a table with Screen.write(table, frame), which checks it"
            )


def _reads(connection: duckdb.DuckDBPyConnection, statement: duckdb.Statement, query: str) -> bool:
    kinds = duckdb.StatementType
    if statement.type == kinds.EXPLAIN:  # EXPLAIN ANALYZE executes its statement
        return _explains_a_query(connection, query)
    if statement.type == kinds.MULTI:
        return _first_word(query) in _PIVOT_WORDS
    return bool(statement.type == kinds.SELECT)


def _explains_a_query(connection: duckdb.DuckDBPyConnection, query: str) -> bool:
    found = _EXPLAIN.match(query)
    try:
        inner = connection.extract_statements(query[found.end() :]) if found else []
    except duckdb.Error:
        return False
    return [each.type for each in inner] == [duckdb.StatementType.SELECT]


def _bare(query: str) -> str:
    """Remove semicolons and comments from the end of a statement: DuckDB puts it into brackets to limit its rows."""
    text = query.encode()
    end = len(text)
    for start, kind in reversed(duckdb.tokenize(query)):
        if kind != duckdb.token_type.comment and text[start:end].strip() != b";":
            break
        end = start
    return text[:end].decode()


def _first_word(query: str) -> str:
    found = _FIRST_WORD.match(query)
    return found["word"].upper() if found else ""


def _frame(relation: duckdb.DuckDBPyRelation) -> pl.DataFrame:
    """Compute a result; columns of types or with dates that Python cannot hold become texts."""
    odd = [_is_odd(kind) for kind in relation.types]
    frame: pl.DataFrame = _as_text(relation, odd).pl()
    far = [_is_far(column) for column in frame]
    if any(far):
        frame = _as_text(relation, [one or other for one, other in zip(odd, far, strict=True)]).pl()
    return frame


def _as_text(relation: duckdb.DuckDBPyRelation, chosen: list[bool]) -> duckdb.DuckDBPyRelation:
    if not any(chosen):
        return relation
    columns = zip(relation.columns, chosen, strict=True)
    return relation.project(
        ", ".join(
            f"CAST(#{place} AS VARCHAR) AS {quote(name)}" if is_text else f"#{place} AS {quote(name)}"
            for place, (name, is_text) in enumerate(columns, start=1)
        )
    )


def _is_far(column: pl.Series) -> bool:
    """Whether a column has dates that Python cannot hold: outside the years 1 to 9999, or infinite."""
    if not isinstance(column.dtype, pl.Date | pl.Datetime):
        return False
    unit = getattr(column.dtype, "time_unit", None)
    scale = {None: 1, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}[unit]
    days = column.to_physical() // scale
    return bool(((days < _FIRST_DAY) | (days > _LAST_DAY)).any())


def _is_odd(kind: object) -> bool:
    """Whether a DuckDB type, or a type nested in it, has no equal in polars."""
    name = getattr(kind, "id", "")
    if name in _NESTED:
        return any(_is_odd(inner) for _, inner in kind.children)  # type: ignore[attr-defined]
    return name in _AS_TEXT


def _count(relation: duckdb.DuckDBPyRelation, connection: duckdb.DuckDBPyConnection) -> int | None:
    """Count the rows of a result; None if that takes longer than a second."""
    timer = threading.Timer(_COUNT_S, connection.interrupt)
    timer.start()
    try:
        return len(relation)
    except (duckdb.InterruptException, duckdb.OutOfMemoryException):
        return None
    finally:
        timer.cancel()
        timer.join()
