"""``phenoprint query``: SQL over a screen."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import polars as pl
import typer
from rich.markup import escape

from phenoprint.cli.render import console, errors, filled, json_value, print_frame, print_incomplete, print_json

if TYPE_CHECKING:
    from phenoprint.store import Screen

__all__ = ["query"]

_PRINTED = 100
_HINT = "name those you need in SELECT, or see all with --csv, --json or --parquet FILE"

_DESCRIBE_HINT = "widen the window, or see all with --csv or --json"


def flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Convert a frame for CSV: bytes as their number, lists as JSON."""
    casts: list[pl.Expr | pl.Series] = []
    for name, dtype in frame.schema.items():
        if dtype == pl.Binary:
            casts.append(pl.format("<{} bytes>", pl.col(name).bin.size()).alias(name))
        elif dtype.is_nested():
            values = [json_value(value) for value in frame[name].to_list()]
            texts = [None if value is None else json.dumps(value, ensure_ascii=False) for value in values]
            casts.append(pl.Series(name, texts, dtype=pl.String))
    return frame.with_columns(casts)


@contextmanager
def _notes() -> Iterator[None]:
    """Print warnings of the store as notes, each once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        finally:
            for text in dict.fromkeys(str(warning.message) for warning in caught):
                errors.print(f"[yellow]note[/]  {escape(text)}", soft_wrap=True)


def query(
    screen: Annotated[Path, typer.Argument(metavar="SCREEN", help="A screen folder.")],
    sql: Annotated[
        str | None,
        typer.Argument(metavar="SQL", help="One query; '-' reads it from standard input; none lists tables and views."),
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of records as JSON.")] = False,
    parquet: Annotated[Path | None, typer.Option("--parquet", help="Write the result to this Parquet file.")] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=0, help=f"Rows to read; 0: all. Default: {_PRINTED} for a table, else all."),
    ] = None,
    describe: Annotated[
        str | None,
        typer.Option("--describe", metavar="TABLE", help="List the columns of a table or view: type, unit, meaning."),
    ] = None,
) -> int:
    """Query a screen with SQL that only reads; print a table, CSV or JSON, or write Parquet."""
    from phenoprint.errors import UsageError
    from phenoprint.store import open as open_screen

    if csv + as_json + (parquet is not None) > 1:
        raise UsageError("give one of --csv, --json and --parquet")
    if sql is not None and describe is not None:
        raise UsageError("give a query or --describe TABLE, not both")
    opened = open_screen(screen)
    print_incomplete(opened.incomplete)
    text = sys.stdin.read() if sql == "-" else sql
    if text is not None and not text.strip():
        raise UsageError("the query is empty; give one such as 'SELECT * FROM well', or none to list tables and views")
    as_table = not (csv or as_json or parquet is not None)
    rows = (limit if limit is not None else _PRINTED if as_table and text is not None else 0) or None
    with _notes():
        frame, total = _ask(opened, text, describe, rows)
    if csv:
        sys.stdout.write(flat(frame).write_csv())
    elif as_json:
        print_json(frame.to_dicts())
    elif parquet is not None:
        from phenoprint.store import write_parquet

        write_parquet(frame, parquet)
        errors.print(f"{frame.height:,} rows written to {escape(str(parquet))}", soft_wrap=True)
    else:
        # The comment is printed next to the name: columns that do not fit are left out from the right.
        first = pl.col("column", "comment")
        described = describe is not None
        shown = filled(frame.select(first, pl.exclude("column", "comment"))) if described else frame
        hint = _DESCRIBE_HINT if described else _HINT
        print_frame(shown, limit=None, hint=hint)
        console.print(f"[dim]{_counted(frame.height, total)}[/]", soft_wrap=True)
    return 0


def _ask(screen: Screen, sql: str | None, describe: str | None, rows: int | None) -> tuple[pl.DataFrame, int | None]:
    """Return rows of a result and the number of all its rows; None if that is not known."""
    if sql is not None and rows is not None:
        first = screen.first_rows(sql, rows)
        return first.frame, first.total
    frame = screen.sql(sql) if sql is not None else screen.describe(describe)
    shown = frame if rows is None else frame.head(rows)
    return shown, frame.height


def _counted(shown: int, total: int | None) -> str:
    if total == shown:
        return f"{shown:,} row{'' if shown == 1 else 's'}"
    which = f"the first {shown:,} rows" if total is None else f"the first {shown:,} of {total:,} rows"
    return f"{which}{'; there are more' if total is None else ''}; --limit 0 reads all"
