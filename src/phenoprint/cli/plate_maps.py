"""What became of the plate maps, in a few lines."""

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
    """Print which column was taken for what, which words decided, what was not used, and the wells of each kind.

    Parameters
    ----------
    reading
        The table ``plate_map_reading``; empty where there is no plate map.
    counts
        As `phenoprint.pipeline.platemaps.count_kinds` returns them.
    """
    if reading.height:
        of_map = reading.filter(pl.col("detail").fill_null("").str.starts_with("pert_types says").not_())
        sources = of_map["source"].unique(maintain_order=True).to_list()
        more = f" and {len(sources) - 1} more" if len(sources) > 1 else ""
        _line("plate map", [f"{source}{more}" for source in sources[:1]])
        columns = reading.filter(kind="column").unique(["found", "read_as"], maintain_order=True)
        used = columns.filter(pl.col("read_as").is_not_null())
        _line("columns", [f"{row['found']} is {row['read_as']}" for row in used.iter_rows(named=True)])
        _line("not used", [_unused(row) for row in columns.filter(pl.col("read_as").is_null()).iter_rows(named=True)])
        sheets = reading.filter(pl.col("kind") == "sheet").iter_rows(named=True)
        _line("sheets", [f"{row['found']} is {row['read_as'] or 'not used: ' + row['detail']}" for row in sheets])
        _line("beside it", [repr(text) for text in reading.filter(kind="text")["found"].unique(maintain_order=True)])
        words = reading.filter(kind="value").group_by("found", "read_as", maintain_order=True).agg(pl.col("n").sum())
        _line("words", [f"{text} is {kind} ({n})" for text, kind, n in words.iter_rows() if kind])
        doubts = reading.filter(pl.col("kind") == "value", pl.col("detail").str.contains("; |pert_types says"))
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
    """Name a column that is only kept, with the reason where it has one of its own."""
    where, _, reason = str(row["detail"]).partition(": ")
    own = reason if "not a name" not in reason else ""
    return f"{row['found']} ({'; '.join(part for part in (where, own) if part)})"


def _doubt(row: dict[str, object]) -> str:
    detail = str(row["detail"])
    return f"{row['found']} is {row['read_as']}: {detail.partition('; ')[2]}" if "; " in detail else detail
