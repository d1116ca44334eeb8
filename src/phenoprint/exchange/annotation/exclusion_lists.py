"""Lists of places to exclude, as spreadsheets or text."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from phenoprint.errors import PlateMapError
from phenoprint.exchange.annotation.plate_maps import read_map_file
from phenoprint.plates import Problems, TextTable, match_columns, read_tables
from phenoprint.tables import CELL_KEY

__all__ = ["read_exclusion_list"]

# Names of columns that a plate map does not have.
_MORE: Final = {
    "site": ("site", "field", "fov", "site_id", "field_id"),
    "object": ("objectnumber", "object_number", "object", "cell", "cell_number"),
    "reason": ("reason", "why", "comment", "comments", "note", "notes", "remark"),
}
_NAMES: Final = {
    "plate": "Metadata_Plate",
    "well": "Metadata_Well",
    "site": "Metadata_Site",
    "object": "Metadata_ObjectNumber",
    "reason": "reason",
}


def read_exclusion_list(path: Path, *, reason: str = "") -> pl.DataFrame:
    r"""Read a list of places to exclude: delimited text or a spreadsheet, with a header.

    Columns for plate and well are recognised under the names that a plate map may use (``Plate``, ``barcode``,
    ``Metadata_Well``, ``well_position``, ...); ``site``, ``object`` and ``reason`` are optional. A file without a
    column for wells names whole plates.

    Parameters
    ----------
    path
        The file; of a spreadsheet (``.xlsx``, ``.ods``, ``.xls``) every sheet that is shown is read.
    reason
        The reason for rows that have none.

    Returns
    -------
    polars.DataFrame
        One row per place, as `phenoprint.store.change_exclusions` takes it.

    Raises
    ------
    PlateMapError
        If the file cannot be read, has no column for plates or wells, or a row lacks its well, site or number.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "bad_wells.csv"
    ...     _ = path.write_text("barcode;well;comment\nP1;b3;pipetting error\n")
    ...     read_exclusion_list(path).select("Metadata_Plate", "Metadata_Well", "reason").rows()
    [('P1', 'b3', 'pipetting error')]
    """
    tables = read_tables(read_map_file(path.expanduser()), source=str(path))
    return pl.concat([_places(table, reason=reason) for table in tables], how="diagonal")


def _places(table: TextTable, *, reason: str) -> pl.DataFrame:
    """Read the places of one table."""
    roles = match_columns(table.names, _MORE)
    found = {name: roles[role] for role, name in _NAMES.items() if role in roles}
    if not {"plate", "well"} & set(roles):
        raise PlateMapError(
            f"{table.source}: no column of plates or wells among {', '.join(table.names) or 'nothing'}; expected "
            "plate, well, and, as needed, site, object and reason"
        )
    problems = Problems(table.source)
    for name, column in found.items():
        if name in CELL_KEY:
            text = f"the column {column!r} is empty; fill it in, or list such rows in another file"
            problems.add_all(table.lines.filter(table.cells[column].is_null()), text)
    frame = table.cells.select(pl.col(column).alias(name) for name, column in found.items())
    if "Metadata_ObjectNumber" in found:
        texts = frame["Metadata_ObjectNumber"]
        numbers = texts.cast(pl.Int32, strict=False)
        for line, text in zip(table.lines.filter(numbers.is_null()), texts.filter(numbers.is_null()), strict=True):
            problems.add(line, f"{text!r} is not the number of a cell")
        frame = frame.with_columns(numbers)
    problems.raise_any()
    why = pl.col("reason") if "reason" in found else pl.lit(None, pl.String)
    return frame.with_columns(why.fill_null(reason).alias("reason"))
