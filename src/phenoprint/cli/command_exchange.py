"""``phenoprint import`` and ``phenoprint export``: tables of other tools in, tables for other tools out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phenoprint.cli.render import console, print_frame, print_incomplete, print_json

if TYPE_CHECKING:
    import polars as pl

__all__ = ["export", "import_"]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


def _pairs(texts: list[str], option: str) -> dict[str, str]:
    from phenoprint.errors import UsageError

    pairs = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not (name and sign and value):
            raise UsageError(f"{option} expects NAME=VALUE; found {text!r}")
        pairs[name] = value
    return pairs


def import_(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="SOURCE...", help="Files or folders: CellProfiler, CytoTable, Gallery profiles, ..."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="SCREEN", help="Screen folder, made if necessary.")],
    level: Annotated[
        str | None, typer.Option("--level", help="Level to import: 2, 3, 4a, 4b, 5. Default: all.")
    ] = None,
    plate_map: Annotated[
        Path | None,
        typer.Option(
            "--plate-map",
            help="Contents of the wells: a list with columns plate, well, compound, concentration, moa, ...; a map of "
            "every plate; a barcode_platemap.csv beside platemap/; a list of images with such columns. Text or "
            "spreadsheet.",
        ),
    ] = None,
    map_column: Annotated[
        list[str] | None,
        typer.Option(
            "--map-column", metavar="KEY=NAME", help="Column of the plate map that holds a key: Plate=Plate_DAPI."
        ),
    ] = None,
    sheet: Annotated[
        str | None,
        typer.Option("--sheet", help="Sheet of a spreadsheet. Default: all that are plate maps."),
    ] = None,
    pert_type: Annotated[
        list[str] | None,
        typer.Option(
            "--pert-type",
            metavar="WORD=KIND",
            help="Meaning of a word or compound of the plate map: trt, negcon, poscon or empty, as in 'Medium=empty'.",
        ),
    ] = None,
    treatments: Annotated[
        Path | None,
        typer.Option(
            "--treatments",
            help="One row per compound (and concentration): moa, target, ...; joined by the compound's name.",
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column", metavar="KEY=NAME", help="Column that holds a key: Plate=barcode, Plate=plate+replicate."
        ),
    ] = None,
    fixed: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Value where it is missing: Plate=P1.")
    ] = None,
    extract: Annotated[
        list[str] | None,
        typer.Option(
            "--extract", metavar="KEY=REGEX", help=r"Metadata within other metadata: 'Plate=(?P<Batch>Week\d+)_'."
        ),
    ] = None,
    normalization: Annotated[
        str | None, typer.Option("--normalization", help="For a folder with both: all or negcon (the default).")
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Import incomplete tables; the ledger lists what is absent.")
    ] = False,
    as_json: Json = False,
) -> int:
    r"""Import cells or profiles of other tools into a screen, so that query, report and statistics work on them.

    Profiles and a list of the wells of all plates, with columns plate, well, compound, concentration, moa:

      phenoprint import profiles.csv.gz -o SCREEN --plate-map wells.csv

    The annotation may be in several files, as for BBBC021: a list of images with compounds, a table of mechanisms:

      phenoprint import ljosa_jbiomolscreen_2013_per_well_mean.csv.gz -o SCREEN --plate-map BBBC021_v1_image.csv.gz
      --map-column Plate=Image_Metadata_Plate_DAPI --map-column Well=Image_Metadata_Well_DAPI
      --treatments BBBC021_v1_moa.csv --extract 'Plate=(?P<Batch>Week\d+)_'
    """
    import polars as pl

    from phenoprint.cli.plate_maps import print_plate_maps
    from phenoprint.errors import UnknownNameError
    from phenoprint.exchange import import_profiles
    from phenoprint.pipeline import wells_by_kind, write_import_config

    if normalization not in (None, "all", "negcon"):
        raise UnknownNameError("normalization", normalization, ("all", "negcon"))
    columns = {name: value.split("+") for name, value in _pairs(column or [], "--column").items()}
    summary = import_profiles(
        sources,
        output,
        level=level,
        plate_map=plate_map,
        map_columns=_pairs(map_column or [], "--map-column"),
        sheet=sheet,
        pert_types=_pairs(pert_type or [], "--pert-type"),
        treatments=treatments,
        columns=columns,
        fixed=_pairs(fixed or [], "--set"),
        extract=_pairs(extract or [], "--extract"),
        normalization=normalization,  # type: ignore[arg-type]
        partial=partial,
    )
    config = write_import_config(summary.screen)
    reading = summary.screen.table("plate_map_reading").collect()
    kinds = wells_by_kind(summary.screen)
    lost = summary.ledger.filter(pl.col("n_lost") > 0)
    is_partial = not lost.filter(pl.col("unit_of_count") != "objects").is_empty()
    if as_json:
        print_json(
            {
                "screen": str(summary.screen.path),
                "config": str(config or summary.screen.path / "screen.toml"),
                "levels": list(summary.levels),
                "rows": dict(summary.rows),
                "plates": list(summary.plates),
                "seconds": round(summary.seconds, 2),
                "lost": lost.to_dicts(),
                "differences": summary.differences.to_dicts(),
                "notes": summary.notes.to_dicts(),
                "wells_by_kind": kinds,
                "plate_map_reading": reading.to_dicts(),
            }
        )
        return 3 if is_partial else 0
    for table, n in summary.rows.items():
        console.print(f"{table:<20} {n:>10,} rows")
    if summary.plates:
        print_plate_maps(reading, kinds)
    n = len(summary.plates)
    levels = f"level{'s' if len(summary.levels) != 1 else ''} {', '.join(summary.levels)}"
    console.print(f"{n} plate{'s' if n != 1 else ''}, {levels}, {summary.seconds:.1f} s")
    for title, frame in (
        ("notes", _by_kind(summary.notes)),
        ("columns that some sources lack", _by_sources(summary.differences)),
        ("lost, by reason", lost.group_by("step", "unit_of_count", "reason").agg(pl.col("n_lost").sum())),
    ):
        if frame.height:
            print_frame(frame, limit=None, title=title)
    if summary.notes.height + summary.differences.height:
        console.print(f"all notes: phenoprint query {summary.screen.path} 'FROM problem', or --json", soft_wrap=True)
    console.print(f"screen  {summary.screen.path}", soft_wrap=True, markup=False)
    if config is not None:
        console.print(f"config  {config}", soft_wrap=True, markup=False)
    if set(summary.rows) - {"profile_consensus", "site_feature"}:
        console.print(f"next    phenoprint run {summary.screen.path}", soft_wrap=True)
    if is_partial:
        console.print("[yellow]partial[/]: some rows were left out; table 'ledger' lists them with the reason")
    return 3 if is_partial else 0


def _some(column: str) -> pl.Expr:
    """List the first few values of a group."""
    import polars as pl

    named = pl.col(column).drop_nulls().unique(maintain_order=True)
    more = pl.when(named.len() > 3).then(pl.format(" and {} more", named.len() - 3)).otherwise(pl.lit(""))
    return pl.concat_str(named.head(3).str.join(", "), more)


def _by_kind(notes: pl.DataFrame) -> pl.DataFrame:
    """Make one row per kind of note; keys and derived columns have one row each."""
    import polars as pl

    keys = [f"Metadata_{name}" for name in ("Plate", "Well", "Site", "ObjectNumber", "Batch")]
    single = pl.when((pl.col("kind") == "derived_column") | pl.col("column").is_in(keys)).then(pl.col("column"))
    return (
        notes.group_by("kind", single.alias("of"), maintain_order=True)
        .agg(_some("column").alias("columns"), pl.col("n").sum(), pl.col("detail").first())
        .drop("of")
    )


def _by_sources(differences: pl.DataFrame) -> pl.DataFrame:
    """Make one row of all columns that the same sources lack."""
    import polars as pl

    return differences.group_by("kind", "without", "n_without", "n_sources", maintain_order=True).agg(
        pl.len().alias("n_columns"), _some("column").alias("columns")
    )


def export(
    screen: Annotated[Path, typer.Argument(metavar="SCREEN", help="A screen folder.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder to write to.")],
    level: Annotated[
        list[str] | None, typer.Option("--level", help="Levels: 3, 4a, 4b, 5. Default: all that the screen has.")
    ] = None,
    form: Annotated[
        str, typer.Option("--format", help="csv.gz, csv, tsv.gz, tsv, parquet, gct, gct.gz, h5ad.")
    ] = "csv.gz",
    float_format: Annotated[
        str, typer.Option("--float-format", help="How numbers are written in text; 'full' for all digits.")
    ] = "%.5g",
    plate: Annotated[list[str] | None, typer.Option("--plate", help="Plates to write. Default: all.")] = None,
    as_json: Json = False,
) -> int:
    """Export profiles under the names of the Cell Painting Gallery."""
    from phenoprint.exchange import export_profiles
    from phenoprint.store import open as open_screen

    opened = open_screen(screen)
    print_incomplete(opened.incomplete)
    paths = export_profiles(
        opened,
        output,
        levels=level,
        form=form,  # type: ignore[arg-type]
        float_format=None if float_format == "full" else float_format,
        plates=plate,
    )
    if as_json:
        print_json({"files": [str(path) for path in paths]})
    else:
        for path in paths[:20]:
            console.print(str(path), markup=False)
        if len(paths) > 20:
            console.print(f"... {len(paths)} files in all")
    return 0
