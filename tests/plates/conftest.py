"""Spreadsheets for the tests of plate maps."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence

import openpyxl
import pytest
from odf.opendocument import OpenDocumentSpreadsheet
from odf.table import CoveredTableCell, Table, TableCell, TableRow
from odf.text import P

Values = Sequence[Sequence[object]]


@pytest.fixture(scope="session")
def xlsx() -> Callable[..., bytes]:
    """Give what writes a workbook."""
    return _xlsx


@pytest.fixture(scope="session")
def ods() -> Callable[..., bytes]:
    """Give what writes an OpenDocument spreadsheet."""
    return _ods


def _xlsx(sheets: Mapping[str, Values], *, merged: Sequence[str] = (), hidden: Sequence[str] = ()) -> bytes:
    """Write a workbook; ``merged`` ranges are those of the first sheet."""
    book = openpyxl.Workbook()
    book.remove(book.active)  # type: ignore[arg-type]
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
        sheet.sheet_state = "hidden" if name in hidden else "visible"
    for area in merged:
        book.worksheets[0].merge_cells(area)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def _ods(sheets: Mapping[str, Values]) -> bytes:
    """Write an OpenDocument spreadsheet; a cell ``(value, rows, columns)`` spans, a cell ``...`` is covered."""
    document = OpenDocumentSpreadsheet()
    for name, rows in sheets.items():
        table = Table(name=name)
        for row in rows:
            line = TableRow()
            for value in row:
                line.addElement(_cell(value))
            table.addElement(line)
        trailing = TableRow(numberrowsrepeated=1_000_000)
        trailing.addElement(TableCell(numbercolumnsrepeated=1_000))
        table.addElement(trailing)
        document.spreadsheet.addElement(table)
    content = io.BytesIO()
    document.write(content)
    return content.getvalue()


def _cell(value: object) -> TableCell:
    if value is ...:
        return CoveredTableCell()
    span: dict[str, int] = {}
    if isinstance(value, tuple):
        value, rows, columns = value
        span = {"numberrowsspanned": rows, "numbercolumnsspanned": columns}
    if value is None:
        return TableCell(**span)
    if isinstance(value, str):
        cell = TableCell(valuetype="string", **span)
        for line in value.split("\n"):
            cell.addElement(P(text=line))
        return cell
    return TableCell(valuetype="float", value=str(value), **span)
