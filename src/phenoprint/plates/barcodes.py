"""The Broad's pair of files: which plate map each barcode used, and the maps."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from phenoprint.errors import PlateMapError
from phenoprint.plates.content import file_parts
from phenoprint.plates.platemap import PLATE_MAP_SCHEMA
from phenoprint.plates.text_table import Problems, TextTable, check_identifiers, text_table
from phenoprint.plates.vocabulary import column_key

__all__ = ["assign_plate_maps", "is_barcode_platemap", "parse_barcode_platemap"]

_COLUMNS = ("Assay_Plate_Barcode", "Plate_Map_Name")


def _find(content: str | bytes, *, source: str) -> TextTable | None:
    """Return the first table of a file that has both columns; None if there is none."""
    for rows in (part.rows for part in file_parts(content, source=source)[0]):
        for index, (_, cells) in enumerate(rows[:20]):
            if {name.lower() for name in _COLUMNS} <= {column_key(cell) for cell in cells}:
                return text_table(rows[index:], source=source)
    return None


def is_barcode_platemap(content: str | bytes, *, source: str) -> bool:
    r"""Whether a file has the columns of a ``barcode_platemap.csv``.

    Examples
    --------
    >>> is_barcode_platemap("Assay_Plate_Barcode,Plate_Map_Name\n", source="a.csv")
    True
    """
    return _find(content, source=source) is not None


def parse_barcode_platemap(content: str | bytes, *, source: str) -> pl.DataFrame:
    r"""Read ``barcode_platemap.csv``.

    Parameters
    ----------
    content
        The file's content, text or a spreadsheet: columns ``Assay_Plate_Barcode`` and ``Plate_Map_Name``.
    source
        The file; named in every error.

    Returns
    -------
    pl.DataFrame
        One row per barcode: ``Assay_Plate_Barcode``, ``Plate_Map_Name`` (both String; leading zeros stay).

    Raises
    ------
    PlateMapError
        A column is missing, a cell is blank, a barcode was rewritten by a spreadsheet or has two maps.

    Examples
    --------
    >>> text = "Assay_Plate_Barcode,Plate_Map_Name\n00123,map1\n"
    >>> parse_barcode_platemap(text, source="barcode_platemap.csv").rows()
    [('00123', 'map1')]
    """
    table = _find(content, source=source)
    if table is None:
        raise PlateMapError(f"{source}: expected a table with the columns {' and '.join(_COLUMNS)}; no line has both")
    names = {column_key(name): name for name in table.names}
    barcode, plate_map = names["assay_plate_barcode"], names["plate_map_name"]
    problems = Problems(source)
    check_identifiers(table, barcode, problems)
    seen: dict[str, tuple[str, int]] = {}
    for plate, name, line in table.cells.select(barcode, plate_map, "line").iter_rows():
        if not plate or not name:
            problems.add(line, "a blank cell; expected a barcode and its plate map in every line")
        elif seen.setdefault(plate, (name, line))[0] != name:
            first, at = seen[plate]
            problems.add(line, f"barcode {plate!r} has map {name!r} here and {first!r} at line {at}; keep one")
    problems.raise_any()
    return pl.DataFrame(
        {"Assay_Plate_Barcode": list(seen), "Plate_Map_Name": [name for name, _ in seen.values()]},
        schema={"Assay_Plate_Barcode": pl.String, "Plate_Map_Name": pl.String},
    )


def assign_plate_maps(barcodes: pl.DataFrame, maps: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Assign to every barcode the wells of its plate map.

    Parameters
    ----------
    barcodes
        As `parse_barcode_platemap` returns it.
    maps
        Plate map by name (the stem of its file below ``platemap/``), as `parse_plate_map` returns it.

    Returns
    -------
    pl.DataFrame
        One row per plate and well, with ``Metadata_Plate`` and ``Metadata_plate_map_name`` filled.

    Raises
    ------
    PlateMapError
        A barcode's map is not among the maps.
    """
    named = barcodes.select(
        pl.col("Assay_Plate_Barcode").alias("Metadata_Plate"),
        pl.col("Plate_Map_Name").alias("Metadata_plate_map_name"),
    )
    used = named["Metadata_plate_map_name"].unique(maintain_order=True).to_list()
    absent = sorted(set(used) - set(maps))
    if absent:
        raise PlateMapError(
            f"barcode_platemap names maps that do not exist: {', '.join(absent)}; "
            f"found {', '.join(sorted(maps)) or 'none'}; add platemap/<name>.txt or correct the name"
        )
    label = "Metadata_plate_map_name"
    parts = [
        maps[name].drop("Metadata_Plate", label, strict=False).with_columns(pl.lit(name).alias(label)) for name in used
    ]
    if not parts:
        return pl.DataFrame(schema=PLATE_MAP_SCHEMA)
    wells = pl.concat(parts, how="diagonal_relaxed")
    return named.join(wells, on=label, how="left", maintain_order="left_right").select(
        "Metadata_Plate", pl.exclude("Metadata_Plate", label), label
    )
