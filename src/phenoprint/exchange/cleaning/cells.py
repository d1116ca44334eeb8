"""CellProfiler's tables of cells, nuclei, cytoplasm and images as one row per cell.

CellProfiler numbers the objects of each compartment separately, and ``Parent_`` columns link them. A cell has one
nucleus and one cytoplasm. The joins check that, and the ledger counts what is left out: nuclei without a cell, images
whose object tables are absent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from phenoprint.errors import LostRowsError, SchemaError
from phenoprint.exchange.cleaning.columns import ColumnOptions, clean, with_site
from phenoprint.exchange.cleaning.images import count_losses, image_places, image_rows
from phenoprint.exchange.findings import Findings
from phenoprint.exchange.names import ROW_COMPARTMENTS, is_link
from phenoprint.exchange.sources.cellprofiler import RUN, Run, gather, image_files, merge_runs, read_folder, shared_keys
from phenoprint.exchange.sources.sqlite import read_database
from phenoprint.store import strict_join
from phenoprint.tables import OBJECT, SITE_KEY

__all__ = ["Piece", "cell_pieces"]

_IMAGE: Final = "Metadata_ImageNumber"
_TABLE: Final = "Metadata_TableNumber"
_PLACES: Final = (*SITE_KEY, _TABLE, _IMAGE)


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of an import.

    Parameters
    ----------
    frame
        Rows, cleaned; None where there is only something to count.
    losses
        Objects that were left out, one row per image and compartment (`count_losses`); None where there are no counts.
    images
        Measurements of images, one row per image; None where there are none.
    """

    frame: pl.DataFrame | None
    losses: pl.DataFrame | None = None
    images: pl.DataFrame | None = None


def cell_pieces(source: Path, *, partial: bool, findings: Findings, options: ColumnOptions) -> Iterator[Piece]:
    """Read the cells of a folder, a tree of folders or a database, some images at a time; yield every image once.

    Parameters
    ----------
    source
        A folder with ``Image.csv``, ``Cells.csv``, ``Nuclei.csv``, ``Cytoplasm.csv`` (all with one prefix, such as
        ``MyExpt_``, or without); a tree of such folders; or a SQLite file.
    partial
        Whether object tables may hold fewer objects than the image table counts.

    Raises
    ------
    SchemaError
        If there are no object tables, or cells of two images cannot be distinguished.
    LostRowsError
        If a table lacks rows that another one counts or refers to.
    """
    seen: set[tuple[object, ...]] = set()
    n_images = n_with_cells = 0
    single: Iterator[Run]
    if source.is_dir():
        single = (run for file in image_files(source) for run in read_folder(file, findings))
    else:
        single = read_database(source, findings)
    for runs in gather(single):
        run = merge_runs(runs)
        n_images += run.image.height
        places = image_places(run, options)
        losses, images = count_losses(run, places), image_rows(run, places)
        if not run.objects:
            yield Piece(None, losses, images)
            continue
        n_with_cells += 1
        cells = _cells_of(run, runs, partial=partial)
        frame = clean(
            cells.drop(RUN), source=run.source, findings=findings, options=options, group=runs[0].source, among="2"
        )
        for part in runs[1:]:  # merged because their columns are the same
            findings.add_columns(part.source, frame.columns, among="2")
        frame = with_site(frame, findings, source=run.source)
        _check_images(frame, cells[RUN], seen, source)
        yield Piece(frame, losses, images)
    if not n_with_cells:
        raise SchemaError(
            f"{source}: no object tables; expected Cells.csv, Nuclei.csv or Cytoplasm.csv beside an Image.csv, "
            f"found {n_images} images only"
        )


def _cells_of(run: Run, parts: Sequence[Run], *, partial: bool) -> pl.DataFrame:
    """Join the tables of several folders at once; if that fails, find the folder with the fault."""
    try:
        return _cells(run, partial=partial)
    except (LostRowsError, SchemaError):
        for part in parts if len(parts) > 1 else ():
            _cells(merge_runs([part]), partial=partial)
        raise


def _check_images(frame: pl.DataFrame, runs: pl.Series, seen: set[tuple[object, ...]], source: Path) -> None:
    """Refuse images of several folders that share plate, well, site and number; add those of this piece to `seen`."""
    keys = [key for key in _PLACES if key in frame.columns]
    found = list(frame.select(keys).hstack([runs]).unique().drop(RUN).iter_rows())
    images = set(found)
    again = (images & seen) or {image for image in images if len(found) > len(images) and found.count(image) > 1}
    if again:
        example = ", ".join(f"{key} {value!r}" for key, value in zip(keys, next(iter(again)), strict=True))
        raise SchemaError(
            f"{source}: cells of several folders share {', '.join(keys)} ({example}); the images' tables must hold "
            "Metadata_Plate, Metadata_Well and Metadata_Site, or the folders be called <plate>-<well>-<site>"
        )
    seen |= images


def _cells(run: Run, *, partial: bool) -> pl.DataFrame:
    """One row per cell (or per object of the only table there is), with the metadata of its image."""
    base = next(name for name in ROW_COMPARTMENTS if name in run.objects)
    image_key = shared_keys(run.image, *run.objects.values())
    if not partial:
        _check_counts(run)
    frame = run.objects[base]
    if base == "Cells" and "Nuclei" in run.objects:
        frame = _attach(run, frame, "Nuclei", image_key, own="Cells_Parent_Nuclei", theirs="ObjectNumber")
    if base != "Cytoplasm" and "Cytoplasm" in run.objects:
        frame = _attach(run, frame, "Cytoplasm", image_key, own="ObjectNumber", theirs=f"Cytoplasm_Parent_{base}")
    described = [c for c in run.image.columns if c.startswith("Metadata_") and c != RUN]
    image = run.image.select(*image_key, *described).unique()
    frame = _without_repeats(frame, base, described)
    try:
        frame = strict_join(frame, image, image_key, how="inner", expect="m:1")
    except LostRowsError as error:
        raise LostRowsError(f"{run.source}, {base} and Image: {error}") from error
    names = {"ImageNumber": _IMAGE, "ObjectNumber": OBJECT, "TableNumber": _TABLE}
    names |= {name: f"Metadata_{name}" for name in frame.columns if not name.startswith("Metadata_") and is_link(name)}
    held = set(frame.columns)
    return frame.drop(c for c in described if c in names.values()).rename(
        {old: new for old, new in names.items() if old in held}
    )


def _without_repeats(frame: pl.DataFrame, base: str, described: Sequence[str]) -> pl.DataFrame:
    """Keep metadata of the image that object tables repeat (an option of CellProfiler's export) once."""
    repeats = [c for c in frame.columns if c.partition("_")[2].startswith("Metadata_")]
    own = {c: c.partition("_")[2] for c in repeats if c.startswith(f"{base}_")}
    kept = {c: plain for c, plain in own.items() if plain not in described}
    return frame.drop(c for c in repeats if c not in kept).rename(kept)


def _attach(
    run: Run, frame: pl.DataFrame, name: str, image_key: Sequence[str], *, own: str, theirs: str
) -> pl.DataFrame:
    """Join the table of another compartment to the cells; every cell must find exactly one partner."""
    table = run.objects[name]
    for column, held, where in ((own, frame, "Cells"), (theirs, table, name)):
        if column not in held.columns:
            raise SchemaError(f"{run.source}, table {where}: no column {column}, so {name} cannot be joined")
    key = "__partner"
    left = frame.with_columns(pl.col(own).alias(key))
    wanted = left.select(*image_key, key).drop_nulls()
    right = table.with_columns(pl.col(theirs).alias(key)).join(wanted.unique(), on=[*image_key, key], how="semi")
    right = right.drop("ObjectNumber")
    try:
        return strict_join(left, right, [*image_key, key], how="inner", expect="1:1").drop(key)
    except LostRowsError as error:
        raise LostRowsError(f"{run.source}, cells and {name}: {error}") from error


def _check_counts(run: Run) -> None:
    """Refuse a table that holds fewer or more objects of an image than the image table counts."""
    for name, table in run.objects.items():
        counted = f"Count_{name}"
        if counted not in run.image.columns:
            continue
        key = shared_keys(run.image, table)
        found = table.group_by(key).len("found")
        both = run.image.select(*key, pl.col(counted).cast(pl.Int64)).join(found, on=key, how="left")
        wrong = both.filter(pl.col(counted) != pl.col("found").fill_null(0))
        if wrong.height:
            first = wrong.sort(key).row(0, named=True)
            raise LostRowsError(
                f"{run.source}: image {first['ImageNumber']} counts {first[counted]} {name}, their table holds "
                f"{first['found'] or 0}; {wrong.height} images disagree. The table may be truncated: "
                "export it again, or take it as the excerpt it is with partial=True (--partial)"
            )
