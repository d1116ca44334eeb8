"""Plate map files for imported tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from phenoprint.errors import PlateMapError, SchemaError
from phenoprint.exchange.compressed import READ_ERRORS, open_plain
from phenoprint.plates import (
    LINE,
    MAP_ENDINGS,
    READING_SCHEMA,
    Part,
    PlateMap,
    as_list,
    assign_plate_maps,
    is_barcode_platemap,
    is_workbook,
    match_columns,
    parse_barcode_platemap,
    read_parts,
    unsaid_words,
)
from phenoprint.plates import read_plate_map as read_parts_as_map

__all__ = ["read_map_file", "read_plate_map"]

# What must be the same in all rows of a well where a table has several, such as one an image.
_OF_WELL = ("pert_type", "compound", "concentration", "unit", "moa")


def read_plate_map(
    given: str | Path | pl.DataFrame,
    *,
    columns: Mapping[str, str] | None = None,
    sheet: str | None = None,
    pert_types: Mapping[str, str] | None = None,
) -> PlateMap:
    r"""Read a plate map, or a ``barcode_platemap.csv`` with the maps beside it or in ``platemap/``.

    Parameters
    ----------
    given
        The file, text (compressed or not) or a spreadsheet: a map of every plate, a list with a column of plates, or a
        table with several rows of a well that agree, such as CellProfiler's list of images; or a frame as
        `phenoprint.plates.parse_plate_map` returns it, of which there is no reading.
    columns
        What the file calls its columns, where that cannot be recognised: ``{"Plate": "Image_Metadata_Plate_DAPI"}``.
    sheet
        The sheet of a spreadsheet; None takes all that are plate maps.
    pert_types
        What a word or compound of the map means: ``{"Medium": "empty"}``.

    Raises
    ------
    PlateMapError
        If a file cannot be read or understood, a column or sheet is not there, or a map is not there.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "map.csv"
    ...     _ = path.write_text("plate,well,compound,concentration,moa\nP1,A1,DMSO,,\nP2,A1,taxol,3 nM,tubulin\n")
    ...     read_plate_map(path).wells.select("Metadata_Plate", "Metadata_Well", "Metadata_pert_type").rows()
    [('P1', 'A01', 'negcon'), ('P2', 'A01', 'trt')]
    """
    if isinstance(given, pl.DataFrame):
        return PlateMap(given, pl.DataFrame(schema=READING_SCHEMA))
    path = Path(given).expanduser()
    content = read_map_file(path)
    if not is_barcode_platemap(content, source=str(path)):
        parts = read_parts(content, source=str(path), sheet=sheet)
        found = read_parts_as_map([_one_row_a_well(part, columns or {}) for part in parts], pert_types=pert_types)
        return PlateMap(found.wells, _readings([found], pert_types))
    barcodes = parse_barcode_platemap(content, source=str(path))
    maps = {}
    for name in barcodes["Plate_Map_Name"].unique():
        places = [path.parent / folder / f"{name}{end}" for folder in ("platemap", ".") for end in MAP_ENDINGS]
        place = next((place for place in places if place.is_file()), None)
        if place is not None:
            parts = read_parts(read_map_file(place), source=str(place), sheet=sheet)
            maps[name] = read_parts_as_map(parts, pert_types=pert_types)
    wells = assign_plate_maps(barcodes, {name: one.wells for name, one in maps.items()})
    return PlateMap(wells, _readings(list(maps.values()), pert_types))


def _readings(maps: Sequence[PlateMap], pert_types: Mapping[str, str] | None) -> pl.DataFrame:
    """Put together how maps were read, with the words that are explained and that no map says."""
    return pl.concat([*(one.reading for one in maps), unsaid_words(pert_types or {}, maps, source="--pert-type")])


def _one_row_a_well(part: Part, columns: Mapping[str, str]) -> Part:
    """Call columns as the user says, and put rows of one well together where they agree on what is in it."""
    if part.is_grid and not columns:
        return part
    frame = as_list(part.rows, source=part.source).cells
    absent = [name for name in columns.values() if name not in frame.columns]
    if absent:
        raise PlateMapError(f"{part.source}: no column {absent[0]!r}; found {', '.join(frame.drop(LINE).columns)}")
    taken = {old: new if new.startswith("Metadata_") else f"Metadata_{new}" for new, old in columns.items()}
    frame = frame.drop(n for n in taken.values() if n in frame.columns and n not in taken).rename(taken)
    plain = {name: name.removeprefix("Image_") for name in frame.columns if name.startswith("Image_Metadata_")}
    frame = frame.rename({old: new for old, new in plain.items() if new not in frame.columns})
    roles = match_columns(frame.drop(LINE).columns)
    keys = [roles[role] for role in ("plate", "well") if role in roles]
    if "well" in roles and frame.select(keys).is_duplicated().any():
        varied = frame.group_by(keys).agg(pl.all().drop_nulls().n_unique()).select(pl.exclude(keys).max())
        if all(varied[roles[role]][0] <= 1 for role in _OF_WELL if role in roles):
            kept = [name for name in varied.columns if varied[name][0] <= 1 and name != LINE]
            merged = pl.col(kept).drop_nulls().first()
            frame = frame.group_by(keys, maintain_order=True).agg(pl.col(LINE).min(), merged)
            return _as_part(frame, part)
    # Otherwise the rows as they are: errors then name their lines.
    return _as_part(frame, part) if columns else part


def _as_part(frame: pl.DataFrame, part: Part) -> Part:
    names = [name for name in frame.columns if name != LINE]
    body = frame.select(pl.col(names).fill_null("")).rows()
    return Part(part.source, [(0, names), *zip(frame[LINE], map(list, body), strict=True)], part.sheet)


def read_map_file(path: Path) -> bytes:
    """Read the bytes of a plate map or another list that people keep: text, also compressed, or a spreadsheet.

    Raises
    ------
    PlateMapError
        If the file cannot be read.
    """
    try:
        content = path.read_bytes()
        if not is_workbook(content):
            with open_plain(path) as handle:
                content = handle.read()
    except SchemaError as error:
        raise PlateMapError(str(error)) from error
    except READ_ERRORS as error:
        why = getattr(error, "strerror", None) or f"{error}; it may be truncated: copy it again"
        raise PlateMapError(f"cannot read {path}: {why}") from error
    return content
