"""Print how the plate maps were read."""

from __future__ import annotations

import polars as pl

from phenoprint.cli.render import console

__all__ = ["print_plate_maps"]

_SHOWN = 8
_KINDS = {
    "trt": "trt",
    "negcon": "negcon",
    "poscon": "poscon",
    "empty": "empty",
    "not_annotated": "not annotated",
    "not_imaged": "on the plate map alone",
}


def print_plate_maps(reading: pl.DataFrame, counts: dict[str, int]) -> None:
    """Print the role of each column and word, what was not used, and the number of wells of each kind.

    Parameters
    ----------
    reading
        The table ``plate_map_reading``; empty where there is no plate map.
    counts
        As `phenoprint.pipeline.platemaps.count_kinds` returns them.
    """
    if reading.height:
        is_word = pl.col("kind") == "value"
        of_map = reading.filter(~is_word | pl.col("place").is_not_null())
        sources = of_map["source"].unique(maintain_order=True).to_list()
        more = f" and {len(sources) - 1} more" if len(sources) > 1 else ""
        _line("plate map", [f"{source}{more}" for source in sources[:1]])
        columns = reading.filter(kind="column").unique(["found", "read_as"], maintain_order=True)
        used = columns.filter(pl.col("read_as").is_not_null())
        _line("columns", [f"{row['found']} is {row['read_as']}" for row in used.iter_rows(named=True)])
        _line("not used", [_unused(row) for row in columns.filter(pl.col("read_as").is_null()).iter_rows(named=True)])
        sheets = reading.filter(pl.col("kind") == "sheet").iter_rows(named=True)
        _line("sheets", [f"{row['found']} is {row['read_as'] or 'not used: ' + row['doubt']}" for row in sheets])
        _line("beside it", [repr(text) for text in reading.filter(kind="text")["found"].unique(maintain_order=True)])
        words = reading.filter(is_word).group_by("found", "read_as", maintain_order=True).agg(pl.col("n").sum())
        _line("words", [f"{text} is {kind} ({n})" for text, kind, n in words.iter_rows() if kind])
        doubts = reading.filter(is_word, pl.col("doubt").is_not_null())
        _line("[yellow]to check[/]", [_doubt(row) for row in doubts.iter_rows(named=True)])
    always = {"trt", "negcon", "poscon", "empty"}
    _line("wells", [f"{n:,} {_KINDS[kind]}" for kind, n in counts.items() if n or kind in always], limit=None)


def _line(title: str, items: list[str], *, limit: int | None = _SHOWN) -> None:
    """Print a title and its items; some of them where they are many."""
    if not items:
        return
    shown = ", ".join(items[:limit])
    more = f" and {len(items) - limit} more: table plate_map_reading" if limit and len(items) > limit else ""
    width = 9 + len(title) - len(title.replace("[yellow]", "").replace("[/]", ""))
    console.print(f"{title:<{width}}  ", end="")
    console.print(f"{shown}{more}", markup=False, soft_wrap=True, highlight=False)


def _unused(row: dict[str, object]) -> str:
    """Name a column that is kept without a role, with the reason where there is one."""
    return f"{row['found']} ({'; '.join(str(row[name]) for name in ('place', 'doubt') if row[name])})"


def _doubt(row: dict[str, object]) -> str:
    """Return what to check about a word of the plate map, or of the configuration."""
    return f"{row['found']} is {row['read_as']}: {row['doubt']}" if row["place"] else str(row["doubt"])
