"""Plate map files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import polars as pl

from phenoprint.errors import PlateMapError, SchemaError
from phenoprint.exchange.compressed import READ_ERRORS, open_plain
from phenoprint.plates import (
    MAP_ENDINGS,
    PlateMap,
    assign_plate_maps,
    is_barcode_platemap,
    is_workbook,
    one_row_per_well,
    parse_barcode_platemap,
    plate_map_of,
    read_parts,
    unused_words,
)
from phenoprint.tables import frame_of

__all__ = ["read_barcode_platemap", "read_map_file", "read_plate_map"]


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
        table with several rows per well that agree, such as CellProfiler's list of images; or a frame as
        `phenoprint.plates.parse_plate_map` returns it, which has no reading.
    columns
        Columns that are not recognised by name: ``{"Plate": "Image_Metadata_Plate_DAPI"}``.
    sheet
        The sheet of a spreadsheet; None takes all that are plate maps.
    pert_types
        Meaning of words or compounds of the map: ``{"Medium": "empty"}``.

    Raises
    ------
    PlateMapError
        If a file cannot be read or understood, or a column, sheet or map does not exist.

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
        return PlateMap(given, frame_of("plate_map_reading"))
    path = Path(given).expanduser()

    def read(file: Path, content: bytes | None = None) -> PlateMap:
        parts = read_parts(content or read_map_file(file), source=str(file), sheet=sheet)
        parts = [one_row_per_well(part, (columns or {}) if file == path else {}) for part in parts]
        return plate_map_of(parts, pert_types=pert_types)

    content = read_map_file(path)
    if is_barcode_platemap(content, source=str(path)):
        found = read_barcode_platemap(path, read, content=content)
    else:
        found = read(path, content)
    unused = unused_words(pert_types or {}, [found], source="--pert-type")
    return PlateMap(found.wells, pl.concat([found.reading, unused]))


def read_barcode_platemap(path: Path, read: Callable[[Path], PlateMap], *, content: bytes | None = None) -> PlateMap:
    """Read the plate maps that a ``barcode_platemap.csv`` names, beside it or in ``platemap/``.

    Parameters
    ----------
    path
        The file.
    read
        Reads one plate map.
    content
        The bytes of the file, if they were read already.

    Returns
    -------
    PlateMap
        The wells of every barcode, with ``Metadata_plate_map_name``.

    Raises
    ------
    PlateMapError
        If a file cannot be read, or a map does not exist.
    """
    barcodes = parse_barcode_platemap(content or read_map_file(path), source=str(path))
    maps: dict[str, PlateMap] = {}
    for name in barcodes["Plate_Map_Name"].unique(maintain_order=True):
        places = [path.parent / folder / f"{name}{end}" for folder in ("platemap", ".") for end in MAP_ENDINGS]
        place = next((place for place in places if place.is_file()), None)
        if place is None:
            raise PlateMapError(f"{path} names the plate map {name!r}, but {places[0]} does not exist")
        maps[name] = read(place)
    wells = assign_plate_maps(barcodes, {name: one.wells for name, one in maps.items()})
    readings = [one.reading for one in maps.values()]
    return PlateMap(wells, pl.concat(readings) if readings else frame_of("plate_map_reading"))


def read_map_file(path: Path) -> bytes:
    """Read the bytes of a plate map or another list: text, also compressed, or a spreadsheet.

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
