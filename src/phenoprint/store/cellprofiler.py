"""CellProfiler's own output: one row a cell out of its tables of cells, nuclei, cytoplasm and images.

CellProfiler numbers the objects of each kind by themselves and says in ``Parent_`` columns how they belong
together. One cell has one nucleus and one cytoplasm; the joins check that and the ledger says what has no place:
nuclei without a cell, images whose object tables are absent.
"""

from __future__ import annotations

import re
import sqlite3
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from phenoprint.errors import LostRowsError, SchemaError
from phenoprint.store.imports import clean_profiles, read_csv
from phenoprint.store.ledger import concat_ledgers, ledger_rows, strict_join

__all__ = ["read_cellprofiler", "warn_of_losses"]

IMAGE = "Metadata_ImageNumber"
TABLE = "Metadata_TableNumber"
OBJECT = "Metadata_ObjectNumber"
COMPARTMENTS = ("Cells", "Nuclei", "Cytoplasm")
_PLACE = ("Metadata_Plate", "Metadata_Well")
_KEYS = ("ImageNumber", "ObjectNumber", "TableNumber")
# Columns that number objects or point at them: they describe, though they are numbers.
_LINK = re.compile(r"[A-Z][A-Za-z0-9]*_(?:Parent_\w+|Number_Object_Number)")
# Folder names of the field's image analysis runs, for images whose table lacks plate, well and site.
_FOLDER = re.compile(r"(?P<Metadata_Plate>.+)-(?P<Metadata_Well>[A-Za-z]{1,2}\d{1,2})-(?P<Metadata_Site>\d+)")


@dataclass(frozen=True)
class _Run:
    """The tables of one folder or database, columns named as in a screen, keys still as CellProfiler has them."""

    source: str
    image: pl.DataFrame
    objects: Mapping[str, pl.DataFrame]


def read_cellprofiler(path: str | Path, *, partial: bool = False) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read CellProfiler's tables into one row a cell, with the ledger of what came in and what went out.

    Parameters
    ----------
    path
        A folder with ``Image.csv``, ``Cells.csv``, ``Nuclei.csv``, ``Cytoplasm.csv``; a tree of such folders; or a
        SQLite file.
    partial
        Whether object tables may hold fewer objects than the image table counts (an excerpt); the ledger then
        says how many are not there.

    Returns
    -------
    tuple of polars.DataFrame
        Cells as `read_profiles` describes, and rows of table ``ledger``.

    Raises
    ------
    SchemaError
        If there are no such tables, or cells of two images cannot be told apart.
    LostRowsError
        If a table lacks rows that another one counts or refers to.
    """
    source = Path(path).expanduser()
    runs = list(_folders(source) if source.is_dir() else _database(source))
    cells = [_cells(run, partial=partial) for run in runs if run.objects]
    if not cells:
        raise SchemaError(
            f"{source}: no object tables; expected Cells.csv, Nuclei.csv or Cytoplasm.csv beside an Image.csv, "
            f"found {len(runs)} image tables only"
        )
    frame = clean_profiles(pl.concat(cells, how="diagonal_relaxed"), source=str(source))
    keys = [k for k in ("Metadata_Plate", "Metadata_Well", "Metadata_Site", TABLE, IMAGE, OBJECT) if k in frame.columns]
    doubled = frame.filter(pl.struct(keys).is_duplicated()).height
    if doubled:
        raise SchemaError(
            f"{source}: {doubled} cells share {', '.join(keys)} with another; the images' tables must hold "
            "Metadata_Plate, Metadata_Well and Metadata_Site, or the folders be called <plate>-<well>-<site>"
        )
    order = [key for key in keys if key in frame.columns]
    return frame.sort(order), _balanced(pl.concat([_ledger(run) for run in runs]))


def warn_of_losses(source: Path, ledger: pl.DataFrame) -> None:
    """Say what `read_profiles` leaves out."""
    lost = ledger.filter(pl.col("n_lost") > 0).group_by("reason", "unit_of_count").agg(pl.col("n_lost").sum())
    if lost.height:
        listed = "; ".join(f"{n} {unit}: {reason}" for reason, unit, n in lost.sort("reason").iter_rows())
        warnings.warn(
            f"{source}: not in the table: {listed}. phenoprint.store.read_cellprofiler gives their ledger", stacklevel=3
        )


def _folders(root: Path) -> Iterator[_Run]:
    """One run a folder that has an image table."""
    found = sorted(path.parent for path in [*root.rglob("Image.csv"), *root.rglob("Image.csv.gz")])
    if not found:
        raise SchemaError(f"{root}: no Image.csv in it or below; give CellProfiler's output folder or a table")
    for folder in found:
        tables = {name: _csv(folder, name) for name in COMPARTMENTS}
        image = _csv(folder, "Image")
        if image is None:  # pragma: no cover - found above
            continue
        match = _FOLDER.fullmatch(folder.name)
        absent = {k: v for k, v in (match.groupdict() if match else {}).items() if k not in image.columns}
        image = image.with_columns(pl.lit(value).alias(name) for name, value in absent.items())
        yield _run(str(folder), image, {name: table for name, table in tables.items() if table is not None})


def _csv(folder: Path, name: str) -> pl.DataFrame | None:
    path = next((p for p in (folder / f"{name}.csv", folder / f"{name}.csv.gz") if p.exists()), None)
    return None if path is None else read_csv(path)


def _database(path: Path) -> Iterator[_Run]:
    """Read the one run of a SQLite file: tables called Per_Image, Per_Cells ... or Image, Cells ...."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
            tables = {}
            for name in ("Image", *COMPARTMENTS):
                stored = next((n for n in (f"Per_{name}", name) if n in names), None)
                if stored is not None:
                    tables[name] = _sqlite_table(connection, stored)
    except sqlite3.Error as error:
        raise SchemaError(f"{path} is not a readable SQLite file: {error}") from error
    if "Image" not in tables:
        raise SchemaError(f"{path}: no table Per_Image or Image; found {', '.join(sorted(names)) or 'none'}")
    yield _run(str(path), tables.pop("Image"), tables)


def _sqlite_table(connection: sqlite3.Connection, name: str) -> pl.DataFrame:
    """Read a table with numbers as numbers and missing values NULL, though SQLite holds the text 'nan' for them."""
    cursor = connection.execute(f'SELECT * FROM "{name}"')  # noqa: S608 - one of our own names
    names = [column[0] for column in cursor.description]
    values = [[None if v == "nan" else v for v in column] for column in zip(*cursor.fetchall(), strict=True)]
    data = values or [[] for _ in names]
    return pl.DataFrame([pl.Series(n, v, strict=False) for n, v in zip(names, data, strict=True)])


def _run(source: str, image: pl.DataFrame, objects: Mapping[str, pl.DataFrame]) -> _Run:
    """Name every table's columns as a screen does and its keys as integers."""
    named: dict[str, pl.DataFrame] = {}
    for name, table in objects.items():
        number = next((n for n in ("ObjectNumber", f"{name}_Number_Object_Number") if n in table.columns), None)
        if number is None or "ImageNumber" not in table.columns:
            raise SchemaError(f"{source}, table {name}: no ImageNumber and ObjectNumber; is it CellProfiler's?")
        keyed = table.rename({number: "ObjectNumber"})
        renamed = keyed.rename(
            {c: f"{name}_{c}" for c in keyed.columns if c not in _KEYS and not c.startswith(f"{name}_")}
        )
        named[name] = _integer_keys(renamed)
    return _Run(source, _integer_keys(image.rename(lambda c: c.removeprefix("Image_"))), named)


def _integer_keys(table: pl.DataFrame) -> pl.DataFrame:
    links = [c for c in table.columns if c in ("ImageNumber", "ObjectNumber") or "_Parent_" in c]
    return table.with_columns(pl.col(links).cast(pl.Float64).cast(pl.Int64))


def _cells(run: _Run, *, partial: bool) -> pl.DataFrame:
    """One row a cell (or an object of the only table there is), with the metadata of its image."""
    base = next(name for name in COMPARTMENTS if name in run.objects)
    image_key = [key for key in ("TableNumber", "ImageNumber") if key in run.objects[base].columns]
    if not partial:
        _check_counts(run)
    frame = run.objects[base]
    if base == "Cells" and "Nuclei" in run.objects:
        frame = _attach(run, frame, "Nuclei", image_key, own="Cells_Parent_Nuclei", theirs="ObjectNumber")
    if base != "Cytoplasm" and "Cytoplasm" in run.objects:
        frame = _attach(run, frame, "Cytoplasm", image_key, own="ObjectNumber", theirs=f"Cytoplasm_Parent_{base}")
    described = [c for c in run.image.columns if c.startswith("Metadata_")]
    image = run.image.select(*image_key, *described).unique()
    try:
        frame = strict_join(frame, image, image_key, how="inner", expect="m:1")
    except LostRowsError as error:
        raise LostRowsError(f"{run.source}, {base} and Image: {error}") from error
    names = {"ImageNumber": IMAGE, "ObjectNumber": OBJECT, "TableNumber": TABLE}
    names |= {name: f"Metadata_{name}" for name in frame.columns if _LINK.fullmatch(name)}
    held = set(frame.columns)
    return frame.drop(c for c in described if c in names.values()).rename(
        {old: new for old, new in names.items() if old in held}
    )


def _attach(
    run: _Run, frame: pl.DataFrame, name: str, image_key: Sequence[str], *, own: str, theirs: str
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


def _check_counts(run: _Run) -> None:
    """Every table must hold as many objects of an image as the image's table counts."""
    for name, table in run.objects.items():
        counted = f"Count_{name}"
        if counted not in run.image.columns:
            continue
        key = [k for k in ("TableNumber", "ImageNumber") if k in table.columns and k in run.image.columns]
        found = table.group_by(key).len("found")
        both = run.image.select(*key, pl.col(counted).cast(pl.Int64)).join(found, on=key, how="left")
        wrong = both.filter(pl.col(counted) != pl.col("found").fill_null(0))
        if wrong.height:
            first = wrong.sort(key).row(0, named=True)
            raise LostRowsError(
                f"{run.source}: image {first['ImageNumber']} counts {first[counted]} {name}, their table holds "
                f"{first['found'] or 0}; {wrong.height} images disagree. The table may be truncated: "
                "export it again, or take it as the excerpt it is with "
                "phenoprint.store.read_cellprofiler(path, partial=True)"
            )


def _ledger(run: _Run) -> pl.DataFrame:
    """Count what came in of each image and what was lost: plate, well, step, unit_of_count, n_in, n_lost, reason."""
    key = [k for k in ("TableNumber", "ImageNumber") if k in run.image.columns]
    here = run.image.select(
        *key,
        *(
            (pl.col(name) if name in run.image.columns else pl.lit(None)).cast(pl.String).alias(name)
            for name in ("Metadata_Plate", "Metadata_Well")
        ),
        *(
            (
                pl.col(f"Count_{name}").cast(pl.Int64)
                if f"Count_{name}" in run.image.columns
                else pl.lit(None, pl.Int64)
            ).alias(f"counted_{name}")
            for name in COMPARTMENTS
        ),
    )
    for name in COMPARTMENTS:
        table = run.objects.get(name)
        found = here.select(key).head(0) if table is None else table.select(key)
        here = here.join(found.group_by(key).len(f"found_{name}"), on=key, how="left", maintain_order="left")
    here = here.with_columns(pl.col("^found_.*$").fill_null(0).cast(pl.Int64))
    base = next((name for name in COMPARTMENTS if name in run.objects), "Cells")
    expected = pl.max_horizontal(f"counted_{base}", f"found_{base}")
    absent = "not in the object tables" if run.objects else "the image has no object tables"
    rows = [
        here.select(
            *_PLACE,
            step=pl.lit("import"),
            unit_of_count=pl.lit("cells"),
            n_in=expected,
            n_lost=expected - pl.col(f"found_{base}"),
            reason=pl.lit(absent),
        )
    ]
    rows += [
        here.select(
            *_PLACE,
            step=pl.lit(f"import {name}"),
            unit_of_count=pl.lit("objects"),
            n_in=pl.col(f"found_{name}"),
            n_lost=pl.col(f"found_{name}") - pl.col(f"found_{base}"),
            reason=pl.lit(f"{name} that belong to no cell"),
        )
        for name in run.objects
        if name != base
    ]
    return pl.concat(rows)


def _balanced(losses: pl.DataFrame) -> pl.DataFrame:
    """Make the ledger of all runs: images of a well summed, one row a reason."""
    entry = [*_PLACE, "step", "unit_of_count"]
    total = losses.group_by(entry).agg(n_in=pl.col("n_in").sum())
    by_reason = losses.filter(pl.col("n_lost") > 0).group_by(*entry, "reason").agg(pl.col("n_lost").sum())
    lost: dict[tuple[str | None, ...], dict[str, int]] = {row[:4]: {} for row in total.select(entry).iter_rows()}
    for *place, reason, n in by_reason.select(*entry, "reason", "n_lost").iter_rows():
        lost[tuple(place)][reason] = n
    return concat_ledgers(
        [
            ledger_rows(step, plate, well, unit_of_count=unit, n_in=n, lost=lost[plate, well, step, unit])
            for plate, well, step, unit, n in total.iter_rows()
        ]
    )
