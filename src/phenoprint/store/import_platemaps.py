"""Plate map files for imported tables."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from phenoprint.errors import PlateMapError
from phenoprint.plates import assign_plate_maps, parse_barcode_platemap, parse_plate_map

__all__ = ["read_plate_map"]


def read_plate_map(given: str | Path | pl.DataFrame) -> pl.DataFrame:
    """Read a plate map, or a ``barcode_platemap.csv`` with the maps beside it or in ``platemap/``.

    Parameters
    ----------
    given
        The file, or a frame as `phenoprint.plates.parse_plate_map` returns it, which is given back.

    Raises
    ------
    PlateMapError
        If a file cannot be read or understood, or a map is not there.
    """
    if isinstance(given, pl.DataFrame):
        return given
    path = Path(given).expanduser()
    text = _text(path)
    if "Assay_Plate_Barcode" not in text.split("\n", 1)[0]:
        return parse_plate_map(text, source=str(path))
    barcodes = parse_barcode_platemap(text, source=str(path))
    maps = {}
    for name in barcodes["Plate_Map_Name"].unique():
        places = [
            path.parent / folder / f"{name}{end}" for folder in ("platemap", ".") for end in (".txt", ".csv", ".tsv")
        ]
        found = next((place for place in places if place.is_file()), None)
        if found is not None:
            maps[name] = parse_plate_map(_text(found), source=str(found))
    return assign_plate_maps(barcodes, maps)


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PlateMapError(f"cannot read {path}: {error.strerror or error}") from error
    for encoding in ("utf-16",) if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode("cp1252", errors="replace")
