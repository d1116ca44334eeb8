"""Plate maps drawn as plates: row letters down, column numbers across, one block per variable."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise

import polars as pl

from phenoprint.errors import PlateMapError
from phenoprint.plates.pert_types import infer_pert_type
from phenoprint.plates.text_table import LINE, Problems, Rows, TextTable
from phenoprint.plates.vocabulary import COLUMNS, match_columns, name_key
from phenoprint.plates.well import MAX_COLUMNS, Well, row_index

__all__ = ["as_grid", "first_block", "plate_line"]

WellKey = tuple[str | None, str]  # plate and well
Loose = list[tuple[int, int, str]]  # line, position and text of cells that belong to no block

_PLATES = {name.replace("_", "") for name in COLUMNS["plate"]}


def _row(text: str) -> int | None:
    """0-based row of its letters, or None for any other text."""
    try:
        return row_index(text)
    except PlateMapError:
        return None


def _headers(cells: list[str]) -> list[tuple[int, list[int]]]:
    """Find runs of rising column numbers in a line: the position left of each run, and its numbers."""
    found: list[tuple[int, list[int]]] = []
    at = 1
    while at < len(cells):
        numbers: list[int] = []
        for text in cells[at:]:
            number = int(text) if text.isdecimal() and len(text) <= 2 else 0
            if not (numbers[-1] if numbers else 0) < number <= MAX_COLUMNS:
                break
            numbers.append(number)
        if len(numbers) > 1:
            found.append((at - 1, numbers))
        at += max(len(numbers), 1)
    return found


def _cell(cells: list[str], at: int) -> str:
    return cells[at] if at < len(cells) else ""


def _starts(head: list[str], body: list[str]) -> list[tuple[int, list[int]]]:
    """Headers of a line that have a row letter below their corner and none in it."""
    return [
        (at, numbers)
        for at, numbers in _headers(head)
        if _row(_cell(body, at)) is not None and _row(head[at]) is None and not head[at].isdecimal()
    ]


def first_block(rows: Rows) -> int | None:
    """Return the index of the first line of rising column numbers above a line with a row letter, or None."""
    pairs = enumerate(pairwise(rows))
    return next((index for index, ((_, head), (_, body)) in pairs if _starts(head, body)), None)


def plate_line(cells: list[str]) -> str | None:
    """Return the plate that a line names, as ``plate,<barcode>`` or ``Plate: <barcode>``; None for other lines.

    Examples
    --------
    >>> plate_line(["", "Platte", "00042"]), plate_line(["Plate: P1"]), plate_line(["Plate layout"])
    ('00042', 'P1', None)
    """
    filled = list(dict.fromkeys(cell for cell in cells if cell))
    if len(filled) == 1:
        filled = [part.strip() for part in re.split(r"[:=]", filled[0], maxsplit=1)]
    is_named = len(filled) == 2 and filled[1] and name_key(filled[0].rstrip(":=")) in _PLATES
    return filled[1] if is_named else None


@dataclass
class _Block:
    """One variable of one plate: its position and its columns."""

    at: int
    columns: list[int]
    name: str
    line: int
    plate: str | None
    cells: dict[str, tuple[str, int]] = field(default_factory=dict)  # by well: text and line
    lines: dict[int, int] = field(default_factory=dict)  # by row of the plate


def as_grid(rows: Rows, *, source: str) -> TextTable:
    """Convert drawn blocks to a table with one row per well and one column per variable.

    A block is a line of column numbers and lines that start with a row letter, anywhere in the table; several may be
    side by side. Its variable is named in its corner, or by the last text above it; a line ``plate,<barcode>`` names
    the plate of the blocks that follow. A single block without a name holds compounds, as does a single block under a
    title that is no variable's name if it names a control such as DMSO.

    Raises
    ------
    PlateMapError
        If one block of several has no name, a well of a variable occurs twice, a line has cells beyond the last
        column, or a line belongs to no block.
    """
    problems = Problems(source)
    blocks, notes = _find_blocks(rows, problems)
    if len(blocks) == 1 and blocks[0].name and not match_columns([blocks[0].name]):
        names = {infer_pert_type(text) for text, _ in blocks[0].cells.values() if text}
        if names - {"trt"}:
            notes.append((blocks[0].line, blocks[0].name))
            blocks[0].name = ""
    cells_of: dict[WellKey, dict[str, str]] = {}  # by plate and well: variable to text
    line_of: dict[WellKey, int] = {}
    seen: dict[tuple[WellKey, str], int] = {}
    reported: set[tuple[int, int]] = set()
    for block in blocks:
        if not block.name and len(blocks) > 1:
            problems.add(block.line, "one block of several has no name; write the variable's name in the line above it")
        for well, (text, line) in block.cells.items():
            key = (block.plate, well)
            first = seen.setdefault((key, block.name), line)
            if first != line and (first, line) not in reported:
                reported.add((first, line))
                problems.add(line, f"well {well} of {block.name!r} is already given at line {first}; keep one")
            cells_of.setdefault(key, {})[block.name] = text
            line_of.setdefault(key, line)
    _check_cover(blocks, problems)
    problems.raise_any()
    columns_of: dict[str, list[str | None]] = {
        "plate": [key[0] for key in cells_of],
        "well": [key[1] for key in cells_of],
    }
    for name in dict.fromkeys(block.name for block in blocks):
        columns_of[name or "compound"] = [cells.get(name) or None for cells in cells_of.values()]
    if not any(block.plate for block in blocks):
        del columns_of["plate"]
    frame = pl.DataFrame(columns_of, schema=dict.fromkeys(columns_of, pl.String))
    lines = pl.Series(LINE, list(line_of.values()), dtype=pl.Int64)
    is_bare = len(blocks) == 1 and not blocks[0].name
    return TextTable(
        frame.columns, frame.with_columns(lines), source, unused=tuple(notes), is_drawn=True, is_bare=is_bare
    )


def _check_cover(blocks: list[_Block], problems: Problems) -> None:
    """Note blocks with other wells than the first of their plate, and names of places instead of variables."""
    shown: dict[str | None, dict[str, set[str]]] = {}
    lines: dict[tuple[str | None, str], int] = {}
    for block in blocks:
        shown.setdefault(block.plate, {}).setdefault(block.name, set()).update(block.cells)
        lines.setdefault((block.plate, block.name), block.line)
        if {"well", "row", "col", "plate"} & set(match_columns([block.name])):
            problems.add(block.line, f"a block is named {block.name!r}, which is a place and no variable; rename it")
    for plate, variables in shown.items():
        first = next(iter(variables))
        for name, wells in variables.items():
            if odd := sorted(wells ^ variables[first]):
                problems.add(
                    lines[plate, name],
                    f"the block {name!r} does not have the same wells as {first!r}: {', '.join(odd[:4])}"
                    f"{', ...' if len(odd) > 4 else ''} are in one of them only; correct column numbers or row letters",
                )


def _find_blocks(rows: Rows, problems: Problems) -> tuple[list[_Block], list[tuple[int, str]]]:
    """Collect the blocks of a table from top to bottom, and the texts that name none of them."""
    blocks: list[_Block] = []
    active: dict[int, _Block] = {}
    loose: Loose = []  # candidates for titles
    plate: str | None = None
    last_line = 0  # of a block's cells
    for index, (line, cells) in enumerate(rows):
        rest = list(cells)
        is_data = False
        for at, block in list(active.items()):
            row = _row(_cell(cells, at))
            if row is None:
                del active[at]
                continue
            is_data = True
            if (first := block.lines.setdefault(row, line)) != line:
                problems.add(line, f"row {cells[at]} of this block is already given at line {first}; keep one")
            for column, text in zip(block.columns, [*cells[at + 1 :], *[""] * len(block.columns)], strict=False):
                block.cells[str(Well(row, column - 1))] = (text, line)
            end = at + 1 + len(block.columns)
            if row_again := _cell(rest, end):  # some templates repeat the letter on the right
                rest[end] = "" if _row(row_again) == row else row_again
            if any(rest[end : min((other for other in active if other > at), default=len(rest))]):
                problems.add(line, f"cells beyond column {block.columns[-1]}, the last of the block's header")
                rest[end:] = [""] * len(rest[end:])
            rest[at:end] = [""] * len(rest[at:end])
        for at, numbers in _starts(rest, rows[index + 1][1]) if index + 1 < len(rows) else []:
            name = rest[at] or _title(loose, blocks, problems, line=line, at=at, n_columns=len(numbers))
            block = _Block(at, numbers, name, line, plate)
            blocks.append(block)
            active[at] = block
            rest[at : at + 1 + len(numbers)] = [""] * (1 + len(numbers))
            is_data = True
        left = [(at, text) for at, text in enumerate(rest) if text and (at == 0 or text != rest[at - 1])]
        if (named := plate_line(rest)) is not None:
            plate, active = named, {}
        elif left:
            _check_loose(left, line, problems, after=bool(blocks), is_adjacent=is_data or line == last_line + 1)
            loose += [(line, at, text) for at, text in left]
        last_line = line if is_data else last_line
    return blocks, [(line, text) for line, _, text in loose]


def _title(loose: Loose, blocks: list[_Block], problems: Problems, *, line: int, at: int, n_columns: int) -> str:
    """Take the last text between a block and the one above it as its name."""
    over = [block for block in blocks if block.at <= at + n_columns and at <= block.at + len(block.columns)]
    floor = max((below for block in over for below in block.lines.values()), default=0)
    above = [entry for entry in loose if entry[0] > floor and at <= entry[1] <= at + n_columns]
    near = [entry for entry in above if entry[0] == above[-1][0]]
    if len(near) > 1:
        problems.add(near[0][0], f"{near[0][2]!r} and {near[1][2]!r} are both above the block of line {line}")
    if not near:
        return ""
    loose.remove(near[0])
    return near[0][2]


def _check_loose(left: list[tuple[int, str]], line: int, problems: Problems, *, after: bool, is_adjacent: bool) -> None:
    """Note a line that resembles a part of a block with a damaged header or row letter."""
    text = left[0][1]
    is_part = _row(text) is not None or text.isdecimal()
    if is_part or len(left) > (1 if after else 3) or (after and is_adjacent and left[0][0] > 0):
        problems.add(line, f"{text!r} begins no row, column header or block name; remove the line")
