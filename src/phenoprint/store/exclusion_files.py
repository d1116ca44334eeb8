"""Lists of what to leave out, as people keep them in spreadsheets."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from phenoprint.errors import PlateMapError
from phenoprint.plates.sheet import LINE, Problems, as_sheet, read_rows
from phenoprint.plates.vocabulary import column_key, match_columns
from phenoprint.store.exclusions import PLACE

__all__ = ["read_exclusion_list"]

# Names beside those of a plate map, which has no sites and no reasons.
_MORE = {
    "Metadata_Site": ("site", "field", "fov", "site_id", "field_id"),
    "Metadata_ObjectNumber": ("objectnumber", "object_number", "object", "cell", "cell_number"),
    "reason": ("reason", "why", "comment", "comments", "note", "notes", "remark"),
}


def read_exclusion_list(path: Path, *, reason: str = "") -> pl.DataFrame:
    r"""Read a list of places to leave out: delimited text with a header.

    Columns for plate and well are recognised under the names that a plate map may use (``Plate``, ``barcode``,
    ``Metadata_Well``, ``well_position``, ...); ``site``, ``object`` and ``reason`` are optional. A file without a
    column for wells names whole plates.

    Parameters
    ----------
    path
        The file.
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
    try:
        content = path.expanduser().read_bytes()
    except OSError as error:
        raise PlateMapError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")
    sheet = as_sheet(read_rows(text, source=str(path)), source=str(path))
    roles = match_columns(sheet.names)
    keyed = {column_key(name): name for name in sheet.names}
    found = {f"Metadata_{role.capitalize()}": roles[role] for role in ("plate", "well") if role in roles}
    for target, names in _MORE.items():
        there = [keyed[key] for key in names if key in keyed]
        found |= {target: there[0]} if there else {}
    if not {"Metadata_Plate", "Metadata_Well"} & set(found):
        raise PlateMapError(
            f"{path}: no column of plates or wells among {', '.join(sheet.names) or 'nothing'}; expected plate, well, "
            "and, as needed, site, object and reason"
        )
    problems = Problems(str(path))
    for name in found:
        if name in PLACE:
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
