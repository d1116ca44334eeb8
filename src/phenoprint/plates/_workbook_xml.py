"""Parts of spreadsheets that the library does not read: errors, percentages, merged cells, empty formulas."""

from __future__ import annotations

import html
import io
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from xml.parsers import expat

__all__ = ["Marks", "read_marks"]

Place = tuple[int, int]  # 0-based row and column
_LARGEST = 256 * 1024**2  # bytes of one part of a workbook
_MOST_REPEATED = 4096  # ends of sheets repeat blank cells a million times

_XLSX_CELL = re.compile(r"<(?:\w+:)?c\s([^>]*?)(?:/>|>(.*?)</(?:\w+:)?c>)", re.DOTALL)
_REFERENCE = re.compile(r'\br="([A-Z]{1,3})(\d+)"')
_FORMULA = re.compile(r"<(?:\w+:)?f\b[^>]*?(?:/>|>(.*?)</(?:\w+:)?f>)", re.DOTALL)
_VALUE = re.compile(r"<(?:\w+:)?v\b[^>]*>(.+?)</(?:\w+:)?v>", re.DOTALL)
_ODS = re.compile(
    r"<table:table\s([^>]*)>|<table:table-row\b([^>]*)>|(</table:table-row>)"
    r"|<table:(?:covered-)?table-cell\b([^>]*)>"
)


@dataclass
class Marks:
    """Changes to the text of a sheet's cells.

    Parameters
    ----------
    shown
        By place, the function from the text that was read to the text that is shown.
    merged
        First and last place of merged cells, where the library does not return them.
    rows, columns
        Extent of the sheet's values.
    """

    shown: dict[Place, Callable[[str], str]] = field(default_factory=dict)
    merged: list[tuple[Place, Place]] = field(default_factory=list)
    rows: int = 0
    columns: int = 0

    def reach(self, row: int, column: int) -> None:
        """Extend the sheet to this row and column, counted from 1."""
        self.rows, self.columns = max(self.rows, row), max(self.columns, column)


def read_marks(content: bytes) -> dict[str, Marks]:
    """Read the marks of every sheet of an ``.xlsx`` or ``.ods``; none of other files."""
    if not content.startswith(b"PK"):
        return {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = set(archive.namelist())
        _check_parts(archive)
        if "content.xml" in names:
            return _ods_marks(_part(archive, "content.xml"))
        if not {"xl/workbook.xml", "xl/_rels/workbook.xml.rels"} <= names:
            return {}
        percent = _percent_styles(_part(archive, "xl/styles.xml")) if "xl/styles.xml" in names else set()
        sheets = _sheet_parts(_part(archive, "xl/workbook.xml"), _part(archive, "xl/_rels/workbook.xml.rels"))
        return {name: _xlsx_marks(_part(archive, part), percent) for name, part in sheets if part in names}


def _check_parts(archive: zipfile.ZipFile) -> None:
    """Refuse parts that are no XML, on which the library may not return."""
    for name in archive.namelist():
        if name.endswith((".xml", ".rels")):
            data = _bytes(archive, name)
            try:
                expat.ParserCreate().Parse(data, True)
            except expat.ExpatError as error:
                raise ValueError(f"its part {name} is damaged: {error}") from error


def _bytes(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > _LARGEST:
        raise ValueError(f"its part {name} unpacks to more than {_LARGEST // 1024**2} MB")
    return archive.read(name)


def _part(archive: zipfile.ZipFile, name: str) -> str:
    return _bytes(archive, name).decode("utf-8", errors="replace")


def _attribute(text: str, name: str, default: str = "") -> str:
    match = re.search(rf"""(?<![\w:-])(?:\w+:)?{name}=(?:"([^"]*)"|'([^']*)')""", text)
    return default if match is None else html.unescape(match[1] if match[1] is not None else match[2])


def _sheet_parts(book: str, relations: str) -> Iterator[tuple[str, str]]:
    """Yield name and file of each sheet."""
    targets = {
        _attribute(tag, "Id"): _attribute(tag, "Target")
        for tag in re.findall(r"<(?:\w+:)?Relationship\s([^>]*)>", relations)
    }
    for tag in re.findall(r"<(?:\w+:)?sheet\s([^>]*)>", book):
        target = targets.get(_attribute(tag, "id"), "")
        yield _attribute(tag, "name"), target.lstrip("/") if target.startswith("/") else f"xl/{target}"


def _percent_styles(styles: str) -> set[str]:
    """Numbers of the cell styles that show a number as a percentage."""
    formats = {"9", "10"} | {
        _attribute(tag, "numFmtId")
        for tag in re.findall(r"<(?:\w+:)?numFmt\s([^>]*)>", styles)
        if "%" in re.sub(r'"[^"]*"', "", _attribute(tag, "formatCode"))
    }
    cells = re.search(r"<(?:\w+:)?cellXfs\b.*?</(?:\w+:)?cellXfs>", styles, re.DOTALL)
    kinds = re.findall(r"<(?:\w+:)?xf\s([^>]*)>", cells[0]) if cells else []
    return {str(number) for number, tag in enumerate(kinds) if _attribute(tag, "numFmtId") in formats}


def _fixed(shown: str, _: str) -> str:
    return shown


def _percent(text: str) -> str:
    try:
        return f"{float(text) * 100:.13g}%"
    except ValueError:
        return text


def _xlsx_marks(sheet: str, percent: set[str]) -> Marks:
    """Find errors, formulas without a stored result and percentages."""
    marks = Marks()
    for match in _XLSX_CELL.finditer(sheet):
        about, inside = match[1], match[2] or ""
        place = _REFERENCE.search(about)
        if place is None:
            continue
        column = 0
        for letter in place[1]:
            column = column * 26 + ord(letter) - 64
        where = (int(place[2]) - 1, column - 1)
        if inside:
            marks.reach(where[0] + 1, column)
        kind, value, formula = _attribute(about, "t"), _VALUE.search(inside), _FORMULA.search(inside)
        if kind == "e" and value:
            marks.shown[where] = partial(_fixed, html.unescape(value[1]))
        elif formula and not value and kind != "str":
            marks.shown[where] = partial(_fixed, f"={html.unescape(formula[1] or '...')}")
        elif value and kind in ("", "n") and _attribute(about, "s") in percent:
            marks.shown[where] = _percent
    return marks


def _ods_marks(content: str) -> dict[str, Marks]:
    """Find merged cells and percentages."""
    found: dict[str, Marks] = {}
    marks = Marks()
    row = column = repeated = 0
    for match in _ODS.finditer(content):
        what, about = match.lastindex, match[match.lastindex or 0]
        if what == 1:
            marks, row = found.setdefault(_attribute(about, "name"), Marks()), 0
        elif what == 2:
            column, repeated = 0, int(_attribute(about, "number-rows-repeated", "1"))
            row += repeated if about.endswith("/") else 0
        elif what == 3:
            row += repeated
        else:
            times = int(_attribute(about, "number-columns-repeated", "1"))
            down, across = (int(_attribute(about, f"number-{way}-spanned", "1")) for way in ("rows", "columns"))
            if down > 1 or across > 1:
                marks.merged.append(((row, column), (row + down - 1, column + across - 1)))
            if "value-type" in about:
                marks.reach(row + repeated, column + times)
            if _attribute(about, "value-type") == "percentage" and times * repeated <= _MOST_REPEATED:
                for y in range(row, row + repeated):
                    marks.shown.update(dict.fromkeys(((y, x) for x in range(column, column + times)), _percent))
            column += times
    return found
