"""``phenoprint similar``: the treatments that a compound resembles most."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from phenoprint.cli.render import console, errors, print_frame, print_incomplete, print_json

if TYPE_CHECKING:
    from phenoprint.pipeline import Similar

__all__ = ["similar"]


def similar(
    screen: Annotated[Path, typer.Argument(metavar="SCREEN", help="A screen folder.")],
    compound: Annotated[
        str, typer.Argument(metavar="COMPOUND", help="A compound, or a treatment with its dose: 'taxol@3 uM'.")
    ],
    library: Annotated[
        Path | None,
        typer.Option(
            "--in",
            metavar="LIBRARY",
            help="Search another screen folder, or a file of profiles (Parquet, CSV, GCT). Default: the screen itself.",
        ),
    ] = None,
    dose: Annotated[
        float | None, typer.Option("--dose", help="Dose of the compound. Default: the one that acts most clearly.")
    ] = None,
    n: Annotated[int, typer.Option("-n", min=1, help="Neighbours to list.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False,
) -> int:
    """List the treatments that a compound resembles most, with the number expected by chance (E value)."""
    from phenoprint.pipeline import find_similar
    from phenoprint.store import open as open_screen

    opened = open_screen(screen)
    print_incomplete(opened.incomplete)
    found = find_similar(opened, compound, library=library, dose=dose, n=n)
    if as_json:
        print_json(
            {
                "query": found.query,
                "library": str(library or screen),
                "n_searched": found.n_searched,
                "n_features": found.n_features,
                "only_query": list(found.only_query),
                "only_library": list(found.only_library),
                "notes": list(found.notes),
                "neighbours": found.table.to_dicts(),
            }
        )
        return 0
    _print(found, str(library or screen))
    return 0


def _print(found: Similar, where: str) -> None:
    import polars as pl

    from phenoprint.errors import first_few

    shown = found.table.select(
        pl.col("rank").alias(" "),
        pl.col("neighbour").alias("treatment"),
        pl.col("neighbour_moa").alias("mechanism"),
        pl.col("similarity").round(3),
        pl.col("p_value").round_sig_figs(2).alias("p"),
        pl.col("e_value").round_sig_figs(2).alias("E"),
        pl.when("is_same_compound").then(pl.lit("same compound")).otherwise(pl.lit("")).alias("note"),
    )
    print_frame(shown, limit=None, title=escape(f"{found.query} in {where}"))
    console.print(
        f"[dim]{found.n_searched:,} treatments searched by {found.n_features:,} features. E: so many unrelated ones "
        "would be as similar by chance[/]",
        soft_wrap=True,
    )
    for names, what in ((found.only_query, "the library lacks"), (found.only_library, "the screen does not use")):
        if names:
            console.print(f"[dim]{what} {len(names):,} features: {escape(first_few(list(names)))}[/]", soft_wrap=True)
    for note in found.notes:
        errors.print(f"[yellow]note[/]  {escape(note)}", soft_wrap=True)
