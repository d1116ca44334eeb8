"""Plate map files for imported tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from phenoprint.errors import PlateMapError, SchemaError
from phenoprint.plates import assign_plate_maps, parse_barcode_platemap, parse_plate_map
from phenoprint.plates.grid import is_grid
from phenoprint.plates.sheet import LINE, as_sheet, read_rows
from phenoprint.plates.vocabulary import match_columns
from phenoprint.store.import_compressed import READ_ERRORS, open_plain

__all__ = ["read_plate_map"]

# What must be the same in all rows of a well where a table has several, such as one an image.
_OF_WELL = ("pert_type", "compound", "concentration", "unit", "moa")


def read_plate_map(given: str | Path | pl.DataFrame, *, columns: Mapping[str, str] | None = None) -> pl.DataFrame:
    r"""Read a plate map, or a ``barcode_platemap.csv`` with the maps beside it or in ``platemap/``.

    Parameters
    ----------
    given
        The file, compressed or not: a map of every plate, a list with a column of plates, or a table with several rows
        of a well that agree, such as CellProfiler's list of images; or a frame as `phenoprint.plates.parse_plate_map`
        returns it, which is given back.
    columns
        What the file calls its columns, where that cannot be recognised: ``{"Plate": "Image_Metadata_Plate_DAPI"}``.

    Raises
    ------
    PlateMapError
        If a file cannot be read or understood, a column is not there, or a map is not there.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "map.csv"
    ...     _ = path.write_text("plate,well,compound,concentration,moa\nP1,A1,DMSO,,\nP2,A1,taxol,3 nM,tubulin\n")
    ...     read_plate_map(path).select("Metadata_Plate", "Metadata_Well", "Metadata_pert_type").rows()
    [('P1', 'A01', 'negcon'), ('P2', 'A01', 'trt')]
    """
    if isinstance(given, pl.DataFrame):
        return given
    path = Path(given).expanduser()
    text = _text(path)
    if "Assay_Plate_Barcode" not in text.split("\n", 1)[0]:
        return parse_plate_map(_one_row_a_well(text, path, columns or {}), source=str(path))
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


def _one_row_a_well(text: str, path: Path, columns: Mapping[str, str]) -> str:
    """Call columns as the user says, and put rows of one well together where they agree on what is in it."""
    rows = read_rows(text, source=str(path))
    if is_grid(rows) and not columns:
        return text
    frame = as_sheet(rows, source=str(path)).cells.drop(LINE)
    absent = [name for name in columns.values() if name not in frame.columns]
    if absent:
        raise PlateMapError(f"{path}: no column {absent[0]!r}; found {', '.join(frame.columns)}")
    taken = {old: new if new.startswith("Metadata_") else f"Metadata_{new}" for new, old in columns.items()}
    frame = frame.drop(n for n in taken.values() if n in frame.columns and n not in taken).rename(taken)
    plain = {name: name.removeprefix("Image_") for name in frame.columns if name.startswith("Image_Metadata_")}
    frame = frame.rename({old: new for old, new in plain.items() if new not in frame.columns})
    roles = match_columns(frame.columns)
    keys = [roles[role] for role in ("plate", "well") if role in roles]
    if "well" in roles and frame.select(keys).is_duplicated().any():
        varied = frame.group_by(keys).agg(pl.all().drop_nulls().n_unique()).select(pl.exclude(keys).max())
        if all(varied[roles[role]][0] <= 1 for role in _OF_WELL if role in roles):
            kept = [name for name in varied.columns if varied[name][0] <= 1]
            return frame.group_by(keys, maintain_order=True).agg(pl.col(kept).drop_nulls().first()).write_csv()
    # Otherwise the text as it is: errors then name its lines.
    return frame.write_csv() if columns else text


def _text(path: Path) -> str:
    try:
        with open_plain(path) as handle:
            content = handle.read()
    except SchemaError as error:
        raise PlateMapError(str(error)) from error
    except READ_ERRORS as error:
        raise PlateMapError(f"cannot read {path}: {error}; it may be truncated: copy it again") from error
    for encoding in ("utf-16",) if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode("cp1252", errors="replace")
