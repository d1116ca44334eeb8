"""``phenoprint repair``: rebuild the catalog of a screen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from phenoprint.cli.render import console, filled, print_frame, print_json

__all__ = ["repair"]


def repair(
    screen: Annotated[Path, typer.Argument(metavar="SCREEN", help="A screen folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False,
) -> int:
    """Rebuild the catalog of a screen, for DuckDB clients, after the folder was moved, copied or damaged.

    Prints the path of the catalog, which is in the user's cache folder if the screen folder cannot be written.
    Exit code 3 if tables are left out because a file is damaged or missing.
    """
    from phenoprint.store import open as open_screen

    opened = open_screen(screen)
    path = opened.rebuild_catalog()
    lost = opened.left_out()
    if as_json:
        print_json({"catalog": str(path.resolve()), "left_out": lost.to_dicts()})
    else:
        console.print(f"catalog  {escape(str(path.resolve()))}", soft_wrap=True)
        if lost.height:
            console.print("[bold yellow]left out[/]  because a file is damaged or missing")
            print_frame(filled(lost), limit=None)
    return 3 if lost.height else 0
