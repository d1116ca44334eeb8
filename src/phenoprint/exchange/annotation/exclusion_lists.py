"""Lists of what to leave out, as people keep them in spreadsheets."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from phenoprint.errors import PlateMapError
from phenoprint.exchange.annotation.plate_maps import read_map_file
from phenoprint.plates import (
    LINE,
    Problems,
    Rows,
    as_list,
    column_key,
    decode,
    is_workbook,
    match_columns,
    read_rows,
    read_workbook,
)
from phenoprint.tables import CELL_KEY

__all__ = ["read_exclusion_list"]

# Names beside those of a plate map, which has no sites and no reasons.
_MORE = {
    "Metadata_Site": ("site", "field", "fov", "site_id", "field_id"),
    "Metadata_ObjectNumber": ("objectnumber", "object_number", "object", "cell", "cell_number"),
    "reason": ("reason", "why", "comment", "comments", "note", "notes", "remark"),
}


def read_exclusion_list(path: Path, *, reason: str = "") -> pl.DataFrame:
    r"""Read a list of places to leave out: delimited text or a spreadsheet, with a header.

    Columns for plate and well are recognised under the names that a plate map may use (``Plate``, ``barcode``,
    ``Metadata_Well``, ``well_position``, ...); ``site``, ``object`` and ``reason`` are optional. A file without a
    column for wells names whole plates.

    Parameters
    ----------
    path
        The file; every sheet that is shown of a spreadsheet (``.xlsx``, ``.ods``, ``.xls``) is read.
    reason
        Why, for rows that do not say it themselves.

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
    content = read_map_file(path.expanduser())
    if not is_workbook(content):
        name = str(path)
        return _places(read_rows(decode(content, source=name), source=name), source=name, reason=reason)
    sheets = [sheet for sheet in read_workbook(content, source=str(path)) if sheet.rows and not sheet.is_hidden]
    if not sheets:
        raise PlateMapError(f"{path}: no sheet that is shown holds anything; expected plate, well and reason")
    frames = [_places(sheet.rows, source=f"{path}, sheet {sheet.name!r}", reason=reason) for sheet in sheets]
    return pl.concat(frames, how="diagonal")


def _places(rows: Rows, *, source: str, reason: str) -> pl.DataFrame:
    """Read the places of one table of text."""
    sheet = as_list(rows, source=source)
    roles = match_columns(sheet.names)
    keyed = {column_key(name): name for name in sheet.names}
    found = {f"Metadata_{role.capitalize()}": roles[role] for role in ("plate", "well") if role in roles}
    for target, names in _MORE.items():
        there = [keyed[key] for key in names if key in keyed]
        found |= {target: there[0]} if there else {}
    if not {"Metadata_Plate", "Metadata_Well"} & set(found):
        raise PlateMapError(
            f"{source}: no column of plates or wells among {', '.join(sheet.names) or 'nothing'}; expected plate, "
            "well, and, as needed, site, object and reason"
        )
    problems = Problems(source)
    for name in found:
        if name in CELL_KEY:
            for line in sheet.cells.filter(pl.col(found[name]).is_null())[LINE]:
                problems.add(
                    line, f"the column {found[name]!r} is empty; fill it in, or list such rows in another file"
                )
    frame = sheet.cells.select(pl.col(column).alias(name) for name, column in found.items())
    if "Metadata_ObjectNumber" in found:
        numbers = frame["Metadata_ObjectNumber"].cast(pl.Int32, strict=False)
        for line, text in sheet.cells.filter(numbers.is_null()).select(LINE, found["Metadata_ObjectNumber"]).rows():
            problems.add(line, f"{text!r} is not the number of a cell")
        frame = frame.with_columns(numbers)
    problems.raise_any()
    why = pl.col("reason") if "reason" in found else pl.lit(None, pl.String)
    return frame.with_columns(why.fill_null(reason).alias("reason"))
