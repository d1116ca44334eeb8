"""Plate maps written as lists: one row per well below a header, with or without titles above it."""

from __future__ import annotations

from dataclasses import replace

from phenoprint.errors import PlateMapError
from phenoprint.plates.grid import plate_line
from phenoprint.plates.text_table import Problems, Rows, TextTable, text_table
from phenoprint.plates.vocabulary import match_columns
from phenoprint.plates.well import Well

__all__ = ["as_list", "find_header"]

_SEARCHED = 60  # lines that are searched for a header


def _n_roles(cells: list[str], role: str) -> int:
    """Count the columns of a plate map that a line names; 0 if `role` is not among them."""
    roles = match_columns(cell for cell in cells if cell)
    return len(roles) if role in roles or (role == "well" and {"row", "col"} <= set(roles)) else 0


def find_header(rows: Rows, *, role: str = "well") -> int | None:
    """Find the line that names columns, among them one of `role`; return its index, or None.

    Of a header of two lines, such as merged cells above the names, the lower one counts. For the role ``well``,
    columns of rows and columns of the plate will do.

    Examples
    --------
    >>> find_header([(1, ["Layout of plate 3"]), (3, ["Well", "Substanz"]), (4, ["A1", "DMSO"])])
    1
    """
    for index, (_, cells) in enumerate(rows[:_SEARCHED]):
        found = _n_roles(cells, role)
        if found and (len([cell for cell in cells if cell]) > 1 or index == 0):
            below = _n_roles(rows[index + 1][1], role) if index + 1 < len(rows) else 0
            return index + 1 if below >= found else index
    return None


def as_list(rows: Rows, *, source: str, role: str = "well") -> TextTable:
    """Take the header (`find_header`, else the first line) and the lines below it as a table of strings.

    A line ``plate,<barcode>`` above the header gives the plate of all rows.

    Raises
    ------
    PlateMapError
        If a well is above the header, two columns share a name, a row has more cells than the header, or a column
        with values has no name.
    """
    header = find_header(rows, role=role) or 0
    problems = Problems(source)
    plate: str | None = None
    unused: list[tuple[int, str]] = []
    for line, cells in rows[:header]:
        if (named := plate_line(cells)) is not None:
            plate = named
            continue
        filled = list(dict.fromkeys(cell for cell in cells if cell))
        if len(filled) > 1 and any(_is_well(cell) for cell in filled):
            problems.add(line, f"a well is above the header of line {rows[header][0]}; move or remove the line")
        unused.append((line, " ".join(filled)))
    problems.raise_any()
    body = rows[header:]
    if plate is not None and "plate" not in match_columns(body[0][1]):
        body = [(line, ["plate" if line == body[0][0] else plate, *cells]) for line, cells in body]
    return replace(text_table(body, source=source), unused=tuple(unused))


def _is_well(text: str) -> bool:
    try:
        Well.parse(text)
    except PlateMapError:
        return False
    return not text.isdecimal()
