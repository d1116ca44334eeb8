"""Spreadsheets (``.xlsx``, ``.ods``, ``.xls``) as rows of text, as a spreadsheet program shows them."""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

from phenoprint.errors import PlateMapError
from phenoprint.plates._workbook_xml import Marks, read_marks
from phenoprint.plates.text_table import Rows

__all__ = ["Worksheet", "is_workbook", "read_workbook"]

_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_LARGEST = 4_000_000  # cells of a sheet; the fullest 1536-well list with a hundred columns has 150,000
_EXACT = 1e15  # whole numbers beyond have lost digits in a spreadsheet


@dataclass(frozen=True)
class Worksheet:
    """One sheet of a workbook.

    Parameters
    ----------
    name
        As on its tab.
    is_hidden
        Whether it is hidden; hidden rows of a sheet cannot be recognised and count as shown.
    rows
        1-based row and stripped cells; blank rows are left out. A merged cell's value is in each cell that it covers.
    """

    name: str
    is_hidden: bool
    rows: Rows


def is_workbook(content: bytes) -> bool:
    """Whether bytes are a spreadsheet rather than text or another archive.

    Examples
    --------
    >>> is_workbook(b"well,compound")
    False
    """
    if not content.startswith(_ZIP):
        return content.startswith(_OLE)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, RuntimeError):  # RuntimeError: not implemented, too
        return b"xl/" in content or b"content.xml" in content  # damaged; reading it raises an error
    return "content.xml" in names or any(name.startswith("xl/") for name in names)


def read_workbook(content: bytes, *, source: str) -> list[Worksheet]:
    """Read all sheets of a workbook.

    Whole numbers lose their ``.0`` (a barcode stored as 1053597806.0 is ``1053597806``), others show the fifteen
    digits that a spreadsheet shows, percentages their sign. Dates are ISO, formulas give their stored result; an error
    and a formula that was never computed stay as ``#N/A`` and ``=...``, so that they are not mistaken for blank cells.

    Parameters
    ----------
    content
        The file's bytes.
    source
        Named in errors.

    Raises
    ------
    PlateMapError
        The file is damaged, protected by a password, of another kind, or too large.
    """
    import python_calamine

    try:
        marks = read_marks(content)
        for name, own in marks.items():  # before any of it is laid out in memory
            _check_size(own.rows, own.columns, f"{source}, sheet {name!r}")
        with python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(content)) as book:
            sheets = []
            for about in book.sheets_metadata:
                if about.typ is not python_calamine.SheetTypeEnum.WorkSheet:
                    continue
                sheet = book.get_sheet_by_name(about.name)
                last_row, last_column = sheet.end or (-1, -1)
                _check_size(last_row + 1, last_column + 1, f"{source}, sheet {about.name!r}")
                own = marks.get(about.name, Marks())
                cells: Sequence[Sequence[object]] = sheet.to_python(skip_empty_area=False)
                ranges = [*(sheet.merged_cell_ranges or []), *own.merged]
                is_hidden = about.visible is not python_calamine.SheetVisibleEnum.Visible
                sheets.append(Worksheet(about.name, is_hidden, _rows(cells, ranges, own)))
    except python_calamine.PasswordError as error:
        raise PlateMapError(f"{source} is protected by a password: save it without one") from error
    except PlateMapError:
        raise
    except BaseException as error:
        # Panics of the library are no Exception; errors that end the process are raised again.
        if isinstance(error, (KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError)):
            raise
        raise PlateMapError(
            f"cannot read {source} as a spreadsheet: {error}; expected .xlsx, .ods or .xls. It may be damaged: open it "
            "in a spreadsheet program and save it again, or save it as CSV"
        ) from error
    return sheets


def _check_size(rows: int, columns: int, source: str) -> None:
    if rows * columns > _LARGEST:
        raise PlateMapError(
            f"{source}: {rows} rows and {columns} columns; a plate map is smaller. Remove stray cells below and right "
            "of the table"
        )


def _rows(
    cells: Sequence[Sequence[object]], ranges: list[tuple[tuple[int, int], tuple[int, int]]], marks: Marks
) -> Rows:
    """Convert values to text, with marks and merged cells filled in."""
    width = max((len(row) for row in cells), default=0)
    text = [[_text(value) for value in row] + [""] * (width - len(row)) for row in cells]
    for (row, column), shown in marks.shown.items():
        if row < len(text) and column < width:
            text[row][column] = shown(text[row][column])
    for (top, left), (bottom, right) in ranges:
        if top >= len(text) or left >= width:
            continue
        for row in range(top, min(bottom + 1, len(text))):
            for column in range(left, min(right + 1, width)):
                text[row][column] = text[row][column] or text[top][left]
    return [(number, row) for number, row in enumerate(text, start=1) if any(row)]


def _text(value: object) -> str:
    """Convert one cell to text."""
    if value is None or isinstance(value, str):
        return (value or "").strip()
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < _EXACT else format(value, ".15g")
    if isinstance(value, dt.datetime) and value.time() == dt.time():
        return value.date().isoformat()
    if isinstance(value, (dt.datetime, dt.date, dt.time)):
        return value.isoformat()
    return str(value).strip()
