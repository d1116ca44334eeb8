"""``phenoprint query``: SQL over a screen."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import polars as pl
import typer
from rich.markup import escape

from phenoprint.cli.render import console, errors, frame_json, print_frame, print_json

__all__ = ["query"]

_LISTING = """
SELECT table_name, comment FROM duckdb_tables() WHERE table_name <> 'catalog_state'
UNION ALL SELECT view_name, comment FROM duckdb_views() WHERE NOT internal
ORDER BY table_name
"""


def flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame as CSV can hold it: pictures as their size, lists as JSON."""
    casts: list[pl.Expr | pl.Series] = []
    for name, dtype in frame.schema.items():
        if dtype == pl.Binary:
            casts.append(pl.format("<{} bytes>", pl.col(name).bin.size()).alias(name))
        elif dtype.is_nested():
            texts = [None if value is None else json.dumps(value, default=str) for value in frame[name].to_list()]
            casts.append(pl.Series(name, texts, dtype=pl.String))
    return frame.with_columns(casts)


def query(
    screen: Annotated[Path, typer.Argument(metavar="SCREEN", help="A screen folder.")],
    sql: Annotated[
        str | None, typer.Argument(metavar="SQL", help="A query; '-' reads it from standard input; none lists tables.")
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of records as JSON.")] = False,
    parquet: Annotated[Path | None, typer.Option("--parquet", help="Write the result to this Parquet file.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="Rows to print as a table; 0: all.")] = 100,
) -> int:
    """Ask a screen in SQL: prints a table, CSV or JSON, or writes Parquet."""
    from phenoprint.errors import UsageError
    from phenoprint.store import open as open_screen
    from phenoprint.store import write_parquet

    if csv + as_json + (parquet is not None) > 1:
        raise UsageError("give one of --csv, --json and --parquet")
    opened = open_screen(screen)
    if opened.incomplete is not None:
        errors.print(f"[bold yellow]incomplete[/]  {escape(opened.incomplete)}", soft_wrap=True)
    frame = opened.sql(_LISTING if sql is None else sys.stdin.read() if sql == "-" else sql)
    if csv:
        sys.stdout.write(flat(frame).write_csv())
    elif as_json:
        print_json(frame_json(frame))
    elif parquet is not None:
        write_parquet(frame, parquet)
        errors.print(f"{frame.height:,} rows written to {parquet}")
    else:
        print_frame(frame, limit=limit or None)
        console.print(f"[dim]{frame.height:,} rows[/]")
    return 0
