"""``phenoprint verify``: hash the inputs again and replay a sample."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from phenoprint.cli.render import console, print_frame, print_json

__all__ = ["verify"]


def verify(
    screen: Annotated[Path, typer.Argument(metavar="SCREEN", help="A screen folder.")],
    sample: Annotated[float, typer.Option("--sample", min=0.0, max=1.0, help="Share of wells to replay.")] = 0.01,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the sample.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False,
) -> int:
    """Hash the images of a screen again and measure a sample of its wells anew."""
    from phenoprint.pipeline import verify_screen
    from phenoprint.store import open as open_screen

    result = verify_screen(open_screen(screen), sample=sample, seed=seed)
    if as_json:
        print_json(
            {
                "holds": result.holds,
                "files_checked": result.files_checked,
                "changed": result.changed.to_dicts(),
                "wells_replayed": result.wells_replayed,
                "differing": result.differing.to_dicts(),
            }
        )
    else:
        console.print(f"{result.files_checked} images hashed, {result.changed.height} differ")
        console.print(f"{result.wells_replayed} wells replayed, {result.differing.height} differ")
        for frame in (result.changed, result.differing):
            if frame.height:
                print_frame(frame, limit=20)
        console.print("[green]holds[/]" if result.holds else "[red]does not hold[/]")
    return 0 if result.holds else 1
