"""Plate maps drawn as plates: row letters down, column numbers across, one block a variable."""

from __future__ import annotations

from itertools import pairwise

import polars as pl

from phenoprint.errors import PlateMapError
from phenoprint.plates.sheet import LINE, Problems, Sheet
from phenoprint.plates.vocabulary import COLUMNS, column_key
from phenoprint.plates.well import MAX_COLUMNS, Well, row_index

__all__ = ["as_grid", "is_grid"]

Rows = list[tuple[int, list[str]]]
Key = tuple[str | None, str]  # plate and well


def _column_numbers(cells: list[str]) -> list[int] | None:
    """Column numbers of a block's header, or None for any other row."""
    tail = list(cells[1:])
    while tail and not tail[-1]:
        tail.pop()
    if len(tail) < 2 or not all(cell.isdecimal() for cell in tail):
        return None
    numbers = [int(cell) for cell in tail]
    rising = all(low < high for low, high in pairwise(numbers))
    return numbers if rising and numbers[0] >= 1 and numbers[-1] <= MAX_COLUMNS else None


def _row(cells: list[str]) -> int | None:
    """0-based row of a block's line, or None for any other line."""
    try:
        return row_index(cells[0])
    except PlateMapError:
        return None


def is_grid(rows: Rows) -> bool:
    """Whether the text holds a block: a line of rising column numbers above a line that starts with a letter.

    Parameters
    ----------
    rows
        As `read_rows` returns them.
    """
    return any(_column_numbers(head) is not None and _row(body) is not None for (_, head), (_, body) in pairwise(rows))


def as_grid(rows: Rows, *, source: str) -> Sheet:
    """Turn blocks into a table with a row a well and a column a block.

    A block is a line of column numbers (its first cell may name the variable) and lines that start with a row
    letter. A line with a single cell above a block names its variable, a line ``plate,<barcode>`` the plate
    of the blocks that follow. A single block without a name holds compounds.

    Parameters
    ----------
    rows
        As `read_rows` returns them.
    source
        Named in errors.

    Raises
    ------
    PlateMapError
        A block has no name among several, a row of a block comes twice, a line has cells beyond the last
        column, or a line belongs to no block.
    """
    problems = Problems(source)
    cells_of: dict[Key, dict[str, str]] = {}  # by plate and well: variable to text
    line_of: dict[Key, int] = {}
    first_line: dict[tuple[str | None, str, int], int] = {}
    heads: dict[int, str] = {}  # line of a block's header to its name
    plate: str | None = None
    title = name = ""
    columns: list[int] = []
    for line, cells in rows:
        filled = [cell for cell in cells if cell]
        numbers, row = _column_numbers(cells), _row(cells) if columns else None
        if numbers is not None:
            columns, name, title = numbers, cells[0] or title, ""
            heads[line] = name
        elif row is not None:
            first = first_line.setdefault((plate, name, row), line)
            _check_row(cells, columns, problems, line=line, first=first)
            for column, text in zip(columns, cells[1:] + [""] * len(columns), strict=False):
                key = (plate, str(Well(row, column - 1)))
                cells_of.setdefault(key, {})[name] = text
                line_of.setdefault(key, line)
        elif len(filled) == 1:
            title, columns = filled[0], []
        elif len(filled) == 2 and column_key(filled[0]) in COLUMNS["plate"]:
            plate, columns = filled[1], []
        else:
            problems.add(line, f"{cells[0]!r} begins no row, column header or block name; remove the line")
    for line, head in heads.items():
        if not head and len(heads) > 1:
            problems.add(line, "one block of several has no name; write the variable's name in the line above it")
    problems.raise_any()
    columns_of: dict[str, list[str | None]] = {
        "plate": [key[0] for key in cells_of],
        "well": [key[1] for key in cells_of],
    }
    for head in dict.fromkeys(heads.values()):
        columns_of[head or "compound"] = [cells.get(head) or None for cells in cells_of.values()]
    if plate is None:
        del columns_of["plate"]
    frame = pl.DataFrame(columns_of, schema=dict.fromkeys(columns_of, pl.String))
    lines = pl.Series(LINE, list(line_of.values()), dtype=pl.Int64)
    return Sheet(frame.columns, frame.with_columns(lines))


def _check_row(cells: list[str], columns: list[int], problems: Problems, *, line: int, first: int) -> None:
    """Note a row that came before, or that is longer than its block."""
    if first != line:
        problems.add(line, f"row {cells[0]} of this block already stands at line {first}; keep one")
    if any(cells[len(columns) + 1 :]):
        problems.add(line, f"cells beyond column {columns[-1]}, the last of the block's header")
