"""``phenoprint init``: inspect a folder of images and propose a configuration."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from phenoprint.cli.render import ProgressDisplay, console, located, print_frame, print_json

__all__ = ["init"]


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of images.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Screen folder. Default: ./NAME_screen, with the name of DIR.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the screen.")] = None,
    plate_map: Annotated[
        Path | None, typer.Option("--plate-map", help="The plate map, if it is in another folder.")
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(
            "--pattern",
            metavar="REGEX",
            help=r"Pattern of file names, if no known layout fits: a regular expression with (?P<well>...), "
            r"(?P<site>...), (?P<channel>...), such as '(?P<well>[A-P]\d+)_f(?P<site>\d+)_(?P<channel>\w+)\.tif'.",
        ),
    ] = None,
    sheet: Annotated[
        str | None, typer.Option("--sheet", help="Sheet of a spreadsheet. Default: those that are plate maps.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a screen.toml.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False,
) -> int:
    """Inspect a folder of images, draw its plates, and write a commented screen.toml."""
    from phenoprint.cli.plate_maps import print_plate_maps
    from phenoprint.pipeline import count_kinds, plate_drawings, propose, write_proposal

    target = output or Path.cwd() / (name or f"{folder.resolve().name}_screen")
    with ProgressDisplay(quiet=as_json) as display:
        proposal = propose(folder, name=name, plate_map=plate_map, sheet=sheet, pattern=pattern, on_event=display)
    path = write_proposal(proposal, target, force=force)
    problems = proposal.ingested.problems
    tables = proposal.ingested.tables
    reading, kinds = tables["plate_map_reading"], count_kinds(tables["well"])
    if as_json:
        print_json(
            {
                "config": str(path),
                "reader": proposal.layout.reader,
                "options": dict(proposal.layout.options),
                "channels": list(proposal.ingested.channels),
                "plates": tables["plate"].to_dicts(),
                "problems": problems.to_dicts(),
                "not_read": [asdict(one) for one in proposal.foreign],
                "wells_by_kind": kinds,
                "plate_map_reading": reading.to_dicts(),
                "plate_maps_not_read": list(proposal.unread),
                "obstacle": proposal.obstacle,
            }
        )
        return 0
    found = proposal.layout
    how = ", ".join([found.reader, *found.options.values()])
    console.print(
        f"{found.n_matched} images read as {how}; {found.n_unmatched} other image files", markup=False, soft_wrap=True
    )
    for one in proposal.foreign:
        console.print(f"not read  {one}", markup=False, soft_wrap=True)
    for drawing in plate_drawings(proposal.ingested):
        console.print(drawing, markup=False)
    print_frame(tables["plate"])
    if problems.height:
        print_frame(located(problems), limit=20, title="problems of images and plate map")
    print_plate_maps(reading, kinds)
    for reason in proposal.unread:
        console.print(f"not read   {reason}", markup=False, soft_wrap=True, highlight=False)
    if reading.height and not kinds["negcon"] and not proposal.obstacle:
        console.print(
            '[yellow]note[/]       no well is a negative control, so screen.toml has reference = "all"; '
            'to change this, declare your controls there with pert_types and set "negcon"',
            soft_wrap=True,
        )
    if proposal.obstacle:
        console.print("[yellow]a run would stop[/]: ", end="")
        console.print(proposal.obstacle, markup=False, soft_wrap=True, highlight=False)
    console.print(f"written  {path}", markup=False, soft_wrap=True)
    command = f"phenoprint run {shlex.quote(str(target))}"
    console.print(f"next     edit the channels' names, then: {command}", markup=False, soft_wrap=True)
    return 0
