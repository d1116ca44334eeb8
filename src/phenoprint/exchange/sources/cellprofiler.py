"""CellProfiler's own tables, some images in memory at a time.

A run is one folder (``Image.csv``, ``Cells.csv``, ... , with or without a prefix such as ``MyExpt_``) or one SQLite
file (``Per_Image`` or ``Image``, ...). Its object tables are read side by side and cut between images, so that a
whole plate in one file needs no more memory than a few sites.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from phenoprint.errors import SchemaError
from phenoprint.exchange.compressed import compression
from phenoprint.exchange.findings import Findings
from phenoprint.exchange.names import ROW_COMPARTMENTS
from phenoprint.exchange.sources.text import BLOCK_BYTES, read_blocks, read_header

__all__ = [
    "RUN",
    "Run",
    "gather",
    "image_files",
    "is_image_column",
    "merge_runs",
    "note_image_columns",
    "object_names",
    "read_folder",
    "shared_keys",
    "sub_runs",
]

# Number of a run among those that were merged: each may count its images from 1.
RUN = "Metadata__Run"
IMAGE_KEYS = (RUN, "TableNumber", "ImageNumber")
_KEYS = (*IMAGE_KEYS, "ObjectNumber")
_COUNTS = tuple(f"Count_{name}" for name in ROW_COMPARTMENTS)
_LARGEST_EXACT = 2.0**53
# Files up to this size are read whole, whatever the order of their rows.
_WHOLE_BYTES = 128 * 2**20
_PIECE_BYTES = 48 * 2**20
# Names of folders, for images whose table lacks plate, well and site.
_FOLDER = re.compile(r"(?P<Metadata_Plate>.+)-(?P<Metadata_Well>[A-Za-z]{1,2}\d{1,2})-(?P<Metadata_Site>\d+)")
_TEXT_OF_IMAGES = re.compile(r"(?:Image_)?(?:FileName|PathName|URL|MD5Digest|Scaling_Text|ImageSet)_")
_IMAGE_FILE = re.compile(r"(?P<prefix>(?:.*_)?)Image\.csv(?:\.gz)?")


@dataclass(frozen=True, slots=True)
class Run:
    """Some images of a run and all their objects, columns named as in a screen, keys as in CellProfiler.

    Parameters
    ----------
    source
        Folder or file.
    image
        One row per image: keys, ``Metadata_`` and ``Count_`` columns.
    objects
        Objects by compartment; empty where the run has no object tables.
    """

    source: str
    image: pl.DataFrame
    objects: Mapping[str, pl.DataFrame]


def image_files(root: Path) -> list[Path]:
    """List the image tables of CellProfiler in a folder and below, sorted by path."""
    found = {*root.rglob("*Image.csv"), *root.rglob("*Image.csv.gz")}
    return sorted(path for path in found if _IMAGE_FILE.fullmatch(path.name))


def gather(runs: Iterable[Run]) -> Iterator[list[Run]]:
    """Group small runs with the same columns, because each frame of thousands of columns is costly."""
    waiting: list[Run] = []
    columns: object = None
    n_bytes = 0
    for run in runs:
        if not run.image.height and not any(table.height for table in run.objects.values()):
            continue
        # Text in one folder must not turn the numbers of others into text.
        tables = {"Image": run.image, **run.objects}
        found = [(name, column, dtype == pl.String) for name, t in tables.items() for column, dtype in t.schema.items()]
        if waiting and (found != columns or n_bytes >= _PIECE_BYTES):
            yield waiting
            waiting, n_bytes = [], 0
        waiting.append(run)
        columns = found
        n_bytes += sum(table.height * table.width * 4 for table in run.objects.values()) + run.image.height * 256
    if waiting:
        yield waiting


def merge_runs(runs: Sequence[Run]) -> Run:
    """Make one run of several with the same columns; column `RUN` numbers them."""
    source = runs[0].source if len(runs) == 1 else f"{runs[0].source} and {len(runs) - 1} more"

    def joined(frames: list[pl.DataFrame]) -> pl.DataFrame:
        numbers = np.repeat(np.arange(len(frames), dtype=np.int32), [frame.height for frame in frames])
        try:
            whole = pl.concat(frames, how="vertical_relaxed", rechunk=True) if len(frames) > 1 else frames[0]
        except pl.exceptions.PolarsError as error:
            raise SchemaError(f"{source}: a column has different types in these folders: {error}") from error
        return _integer_keys(whole.hstack([pl.Series(RUN, numbers)]), source)

    objects = {name: joined([run.objects[name] for run in runs]) for name in runs[0].objects}
    return Run(source, joined([run.image for run in runs]), objects)


def shared_keys(*frames: pl.DataFrame) -> list[str]:
    """List the keys of an image that all the frames have."""
    return [key for key in IMAGE_KEYS if all(key in frame.columns for frame in frames)]


def read_folder(image_file: Path, findings: Findings) -> Iterator[Run]:
    """Read one folder of CSV tables, some images at a time; raises as `sub_runs`."""
    folder = image_file.parent
    match = _IMAGE_FILE.fullmatch(image_file.name)
    prefix = match["prefix"] if match else ""
    header = read_header(image_file)
    text = [name for name in header.names if _TEXT_OF_IMAGES.match(name)]
    image = next(read_blocks(image_file, block_bytes=None, text=text, header=header))
    note_image_columns(findings, header.names, source=str(folder))
    place = _FOLDER.fullmatch(folder.name)
    absent = {k: v for k, v in (place.groupdict() if place else {}).items() if k not in image.columns}
    image = image.with_columns(pl.lit(value).alias(name) for name, value in absent.items())
    tables: dict[str, Iterator[pl.DataFrame]] = {}
    for name in ROW_COMPARTMENTS:
        path = next((p for e in ("", ".gz") if (p := folder / f"{prefix}{name}.csv{e}").exists()), None)
        if path is not None:
            small = path.stat().st_size < (_WHOLE_BYTES if compression(path) is None else _WHOLE_BYTES // 4)
            found = read_header(path)
            named = replace(found, names=object_names(str(folder), name, found.names))
            tables[name] = read_blocks(path, block_bytes=None if small else BLOCK_BYTES, header=named)
    _note_other_tables(folder, prefix, findings)
    yield from sub_runs(str(folder), image, tables)


def is_image_column(name: str) -> bool:
    """Whether a column of an image table is carried over to cells: keys, metadata and counts of objects."""
    return name.removeprefix("Image_").startswith(("Metadata_", "Count_")) or name in _KEYS


def note_image_columns(findings: Findings, names: Sequence[str], *, source: str) -> None:
    """Note the columns of the image table that are not carried over to cells."""
    left = [name for name in names if not is_image_column(name)]
    if left:
        detail = f"measured on images, not on cells, such as {', '.join(left[:3])}; in a screen, table site_feature"
        findings.note("image_columns", None, len(left), source=source, detail=detail)


def _note_other_tables(folder: Path, prefix: str, findings: Findings) -> None:
    """Note the tables of the folder that cannot be joined to cells."""
    known = {f"{prefix}{name}.csv" for name in ("Image", "Experiment", *ROW_COMPARTMENTS)}
    for path in sorted([*folder.glob(f"{prefix}*.csv"), *folder.glob(f"{prefix}*.csv.gz")]):
        if path.name.removesuffix(".gz") not in known:
            detail = "neither cells, nuclei nor cytoplasm; not imported"
            findings.note("table_not_used", path.name.removeprefix(prefix), 1, source=str(folder), detail=detail)


def sub_runs(source: str, image: pl.DataFrame, tables: Mapping[str, Iterator[pl.DataFrame]]) -> Iterator[Run]:
    """Cut a run into runs of whole images; images without objects are in the last.

    Parameters
    ----------
    source
        Folder or file, for errors.
    image
        The image table.
    tables
        Blocks of every object table, in the order of its rows, columns named as `object_names` does.

    Raises
    ------
    SchemaError
        If a table has no keys, or the rows of an image are not together in a large table.
    """
    image = image.rename(lambda c: c.removeprefix("Image_"))
    if "ImageNumber" not in image.columns:
        raise SchemaError(f"{source}, table Image: no ImageNumber; is it CellProfiler's?")
    waiting = {name: next(blocks) for name, blocks in tables.items()}
    fresh = {name: block for name, blocks in tables.items() if (block := next(blocks, None)) is not None}
    if not fresh:  # everything is here: whatever the order of rows
        yield Run(source, image, waiting)
        return
    image = _integer_keys(image, source)
    waiting = {name: _integer_keys(table, source) for name, table in waiting.items()}
    key = shared_keys(image, *waiting.values())
    open_tables = {name: tables[name] for name in fresh}
    pulled = {name: frame.height for name, frame in waiting.items()}
    given = image.select(key).head(0)
    while open_tables:
        behind = min(open_tables, key=lambda name: pulled[name])
        block = fresh.pop(behind, None)
        block = next(open_tables[behind], None) if block is None else block
        if block is None:
            del open_tables[behind]
            continue
        block = _integer_keys(block, source)
        _check_together(source, behind, block, given, key)
        pulled[behind] += block.height
        waiting[behind] = pl.concat([waiting[behind], block], how="diagonal_relaxed")
        whole = _whole_images(waiting, open_tables, key)
        if whole.height:
            given = pl.concat([given, whole])
            ready = {name: frame.join(whole, on=key, how="semi") for name, frame in waiting.items()}
            waiting = {name: frame.join(whole, on=key, how="anti") for name, frame in waiting.items()}
            yield Run(source, image.join(whole, on=key, how="semi"), ready)
    yield Run(source, image.join(given, on=key, how="anti", maintain_order="left"), waiting)


def _check_together(source: str, name: str, fresh: pl.DataFrame, given: pl.DataFrame, key: list[str]) -> None:
    again = fresh.select(key).unique().join(given, on=key, how="semi")
    if again.height:
        raise SchemaError(
            f"{source}, table {name}: rows of image {again['ImageNumber'][0]} are in several places; "
            "sort the table by ImageNumber, so that it can be read in parts"
        )


def _whole_images(
    waiting: Mapping[str, pl.DataFrame], still_open: Mapping[str, object], key: list[str]
) -> pl.DataFrame:
    """Find the images whose rows are complete: all but the last one of each table that has more rows."""
    whole = pl.concat([frame.select(key) for frame in waiting.values()]).unique(maintain_order=True)
    for name in still_open:
        seen = waiting[name].select(key)
        whole = whole.join(seen, on=key, how="semi").join(seen.tail(1), on=key, how="anti")
    return whole


def object_names(source: str, compartment: str, names: Sequence[str]) -> tuple[str, ...]:
    """Name the columns of an object table as a screen does; raise SchemaError if keys are absent."""
    number = next((n for n in ("ObjectNumber", f"{compartment}_Number_Object_Number") if n in names), None)
    if number is None or "ImageNumber" not in names:
        raise SchemaError(f"{source}, table {compartment}: no ImageNumber and ObjectNumber; is it CellProfiler's?")
    prefix = f"{compartment}_"
    return tuple(
        "ObjectNumber" if n == number else n if n in _KEYS or n.startswith(prefix) else prefix + n for n in names
    )


def _integer_keys(table: pl.DataFrame, source: str) -> pl.DataFrame:
    """Convert numbers of objects and images, and counts, to integers; the table number is a hash, thus text."""
    links = [c for c in table.columns if c in ("ImageNumber", "ObjectNumber", *_COUNTS) or "_Parent_" in c]
    numbers = [_whole(table[c], source) for c in links if table[c].dtype != pl.Int64]
    texts = [table["TableNumber"].cast(pl.String)] if "TableNumber" in table.columns else []
    return table.with_columns(numbers + texts) if numbers or texts else table


def _whole(column: pl.Series, source: str) -> pl.Series:
    """Convert a column to whole numbers, NaN to NULL; refuse text, fractions, infinite and inexact values."""
    number = column.cast(pl.Float64, strict=False)
    exact = number.is_nan() | ((number == number.round()) & (number.abs() <= _LARGEST_EXACT))
    wrong = column.filter(column.is_not_null() & ~exact.fill_null(value=False))
    if wrong.len():
        raise SchemaError(
            f"{source}: {column.name} must hold whole numbers; found {wrong[0]!r} ({wrong.len()} such values): correct "
            "them, or export the tables again"
        )
    return number.fill_nan(None).cast(pl.Int64)
