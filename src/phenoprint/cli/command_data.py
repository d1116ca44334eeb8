"""``phenoprint data``: public data sets with a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from phenoprint.cli.render import ProgressDisplay, console, print_frame, print_json

__all__ = ["app"]

app = typer.Typer(help="Public data sets: list, show, fetch, verify.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a data set.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


@app.command("list")
def list_(as_json: Json = False) -> int:
    """List the data sets and whether they are on this machine."""
    import polars as pl

    from phenoprint.pipeline import list_manifests, load_manifest, phenoprint_home

    rows = []
    for name in list_manifests():
        manifest = load_manifest(name)
        held = (phenoprint_home() / "datasets" / name).is_dir()
        rows.append({"name": name, "title": manifest.title, "license": manifest.license, "fetched": held})
    if as_json:
        print_json(rows)
    else:
        print_frame(pl.DataFrame(rows))
    return 0


@app.command()
def show(name: Name, as_json: Json = False) -> int:
    """Show source, licence, plates and channels of a data set."""
    from phenoprint.pipeline import load_manifest

    manifest = load_manifest(name)
    facts = manifest.model_dump(exclude={"files", "layout"}) | {"files": len(manifest.files)}
    if as_json:
        print_json(facts)
    else:
        for key, value in facts.items():
            console.print(f"[dim]{key:<14}[/] {value}")
    return 0


@app.command()
def fetch(
    name: Name,
    mirror: Annotated[Path | None, typer.Option("--mirror", help="Folder that holds NAME/ with the files.")] = None,
    as_json: Json = False,
) -> int:
    """Download a data set and verify every file; an interrupted download is continued."""
    from phenoprint.pipeline import StepFinished, StepStarted, UnitFinished, fetch_dataset

    with ProgressDisplay(quiet=as_json) as display:

        def report(file: str, number: int, total: int) -> None:
            if number == 1:
                display(StepStarted("fetch", f"Fetch {name}", total, 0))
            display(UnitFinished("fetch", file, 0.0))
            if number == total:
                display(StepFinished("fetch", total, 0, 0.0))

        fetched = fetch_dataset(name, mirror=mirror, on_file=report)
    if as_json:
        print_json({"folder": str(fetched.folder), "placed": fetched.placed, "held": fetched.held})
    else:
        console.print(f"{fetched.placed} files placed, {fetched.held} already there: {fetched.folder}")
    return 0


@app.command()
def verify(name: Name, as_json: Json = False) -> int:
    """Hash the files of a data set again and list those that are wrong."""
    from phenoprint.pipeline import load_manifest, verify_dataset

    wrong = verify_dataset(name)
    total = len(load_manifest(name).files)
    if as_json:
        print_json({"files": total, "wrong": wrong})
    else:
        for file, reason in wrong.items():
            console.print(f"[red]{file}[/] {reason}")
        console.print(f"{total - len(wrong)} of {total} files are right")
    return 1 if wrong else 0
