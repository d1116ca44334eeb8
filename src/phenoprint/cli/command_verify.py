"""``phenoprint verify``: hash outputs and inputs again, check receipts, measure a sample of wells again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from phenoprint.cli.render import console, filled, print_frame, print_incomplete, print_json

__all__ = ["verify"]


def verify(
    screen: Annotated[Path, typer.Argument(metavar="SCREEN", help="A screen folder.")],
    sample: Annotated[
        float, typer.Option("--sample", min=0.0, max=1.0, help="Fraction of wells to measure again.")
    ] = 0.01,
    seed: Annotated[int, typer.Option("--seed", help="Seed for the choice of wells.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False,
) -> int:
    """Hash outputs and images of a screen again, check its receipts, measure a sample of its wells again.

    Exit code 0 if everything is as recorded, 1 if it is not, 3 if it is as recorded but units of the run failed.
    """
    from phenoprint.pipeline import verify_screen
    from phenoprint.store import open as open_screen

    result = verify_screen(open_screen(screen), sample=sample, seed=seed)
    if as_json:
        print_json(
            {
                "holds": result.holds,
                "is_whole": result.is_whole,
                "incomplete": result.incomplete,
                "unchecked": result.unchecked,
                "files_checked": result.files_checked,
                "changed": result.changed.to_dicts(),
                "outputs_checked": result.outputs_checked,
                "damaged": result.damaged.to_dicts(),
                "stale": result.stale.to_dicts(),
                "failed": result.failed.to_dicts(),
                "wells_replayed": result.wells_replayed,
                "differing": result.differing.to_dicts(),
                "notes": list(result.notes),
            }
        )
    else:
        print_incomplete(result.incomplete, on=console)
        if result.unchecked:
            console.print(f"[bold yellow]not checked[/]  {escape(result.unchecked)}", soft_wrap=True)
        console.print(f"images   {result.files_checked} hashed, {result.changed.height} differ")
        console.print(f"outputs  {result.outputs_checked} hashed, {result.damaged.height} damaged")
        console.print(
            f"units    {result.stale.height} out of date, {result.failed.height} without results after a failure"
        )
        console.print(f"wells    {result.wells_replayed} replayed, {result.differing.height} differ")
        for frame in (result.changed, result.damaged, result.stale, result.failed, result.differing):
            if frame.height:
                print_frame(filled(frame), limit=20)
        for note in result.notes:
            console.print(f"[cyan]note[/]  {escape(note)}", soft_wrap=True)
        if result.is_whole:
            console.print("[green]verified[/]")
        elif result.holds:
            console.print("[yellow]partial[/]: what exists is as recorded; the units that failed have no results")
        else:
            console.print("[red]not verified[/]")
    return 0 if result.is_whole else 3 if result.holds else 1
