"""``phenoprint exclude``: leave plates, wells, sites or cells out of all that is computed after the measurement."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import polars as pl
import typer
from rich.markup import escape

from phenoprint.cli.render import console, filled, print_frame, print_json

if TYPE_CHECKING:
    from phenoprint.store import ExclusionChange

__all__ = ["exclude"]


def exclude(
    screen: Annotated[Path, typer.Argument(metavar="SCREEN", help="A screen folder.")],
    plate: Annotated[str | None, typer.Argument(metavar="PLATE", help="The plate.")] = None,
    well: Annotated[
        str | None, typer.Argument(metavar="WELL", help="The well: A01, A1 or a1. Default: the whole plate.")
    ] = None,
    site: Annotated[
        str | None, typer.Argument(metavar="SITE", help="The site (field) of the well. Default: the whole well.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", "-r", help="The reason, in a sentence.")] = "",
    object_number: Annotated[
        int | None, typer.Option("--object", metavar="N", help="One cell of the site, by its number.")
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="FILE", help="A list with columns plate, well and, as needed, site, object, reason."
        ),
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Undo the exclusion.")] = False,
    list_all: Annotated[bool, typer.Option("--list", help="Only list what is excluded.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False,
) -> int:
    r"""Leave out a plate, a well, a site or a cell from the next run; images, cells and imported tables are kept.

    phenoprint exclude SCREEN P1 B03 --reason "pipetting error"

    phenoprint exclude SCREEN --from bad_wells.csv

    phenoprint exclude SCREEN P1 B03 --undo

    Run the screen again to apply it: profiles, scores, calls and curves are then computed without it.
    """
    from phenoprint.errors import UsageError
    from phenoprint.exchange import read_exclusion_list
    from phenoprint.store import change_exclusions, exclude, open  # noqa: A004

    if list_all + (source is not None) + (plate is not None) != 1:
        raise UsageError("give a PLATE (with WELL and SITE as needed), --from FILE, or --list")
    opened = open(screen)
    if list_all:
        return _show(opened.path, opened.table("exclusion").collect(), as_json=as_json)
    if source is not None:
        if object_number is not None:
            raise UsageError("--object goes with PLATE WELL SITE; in a list it is a column")
        change = change_exclusions(opened, read_exclusion_list(source, reason=reason), undo=undo)
    else:
        place = {"site": site, "object_number": object_number}
        change = exclude(opened, str(plate), well, **place, reason=reason, undo=undo)  # type: ignore[arg-type]
    if as_json:
        names = ("added", "already", "removed", "everything")
        print_json({"screen": str(opened.path)} | {name: getattr(change, name).to_dicts() for name in names})
        return 0
    _print_change(change)
    if change.added.height or change.removed.height:
        console.print(f"run the screen again to apply: phenoprint run {opened.path}", soft_wrap=True, markup=False)
    return 0


def _show(path: Path, exclusions: pl.DataFrame, *, as_json: bool) -> int:
    if as_json:
        print_json({"screen": str(path), "everything": exclusions.to_dicts()})
    elif exclusions.is_empty():
        console.print("nothing is excluded")
    else:
        print_frame(filled(exclusions), limit=None)
    return 0


def _print_change(change: ExclusionChange) -> None:
    from phenoprint.store import describe_place

    for word, rows in (
        ("excluded", change.added),
        ("already excluded", change.already),
        ("undone", change.removed),
    ):
        for row in rows.head(20).iter_rows(named=True):
            who = f" ({row['who']}, {row['date']})" if word == "already excluded" and row["who"] else ""
            text = f"{describe_place(row)}: {row['reason']}{who}"
            console.print(f"[bold]{word}[/]  {escape(text)}", soft_wrap=True, emoji=False)
        if rows.height > 20:
            console.print(f"[bold]{word}[/]  ... and {rows.height - 20} more, see --list")
