"""Delimited text as rows with line numbers, and errors with those numbers."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import polars as pl

from phenoprint.errors import PlateMapError

__all__ = [
    "Problems",
    "Rows",
    "TextTable",
    "check_identifiers",
    "check_names",
    "metadata_name",
    "read_rows",
    "text_table",
]

Rows = list[tuple[int, list[str]]]  # 1-based line and its cells; blank lines are left out
LINE = "line"  # name of the line-number column; never a Metadata_ column
_DELIMITERS = "\t,;|"
_MANGLED = r"^\d(?:[.,]\d+)?[eE]\+\d+$"
_MONTHS = "Jan|Feb|Mar|Mär|Mrz|Apr|May|Mai|Jun|Jul|Aug|Sep|Sept|Oct|Okt|Nov|Dec|Dez"
_DATE = rf"(?i)^(?:\d{{4}}-\d\d-\d\d(?:[ T]00:00:00)?|\d{{1,2}}[-. ]{{1,2}}(?:{_MONTHS})|(?:{_MONTHS})-\d{{2}})$"
_BROKEN = r"^(?:#N/A|#REF!|#NAME\?|#VALUE!|#DIV/0!|#NUM!|#NULL!|=.+)$"


@dataclass
class Problems:
    """Collects the problems of a text, so that one error lists all of them.

    Parameters
    ----------
    source
        The file, named in the message.
    """

    source: str
    found: list[tuple[int, str]] = field(default_factory=list)

    def add(self, line: int, text: str) -> None:
        """Note a problem at a 1-based line."""
        self.found.append((line, text))

    def add_all(self, lines: Iterable[int], text: str) -> None:
        """Note one problem at several lines."""
        self.found += [(line, text) for line in lines]

    def raise_any(self) -> None:
        """Raise the problems that were noted, by line.

        Raises
        ------
        PlateMapError
            If at least one problem was noted; lists up to five.
        """
        if not self.found:
            return
        lines: dict[str, list[int]] = {}
        for line, text in sorted(self.found):
            lines.setdefault(text, []).append(line)
        shown = "; ".join(_located(text, at) for text, at in list(lines.items())[:5])
        left = sum(len(at) for at in list(lines.values())[5:])
        raise PlateMapError(f"{self.source}: {shown}{f'; and {left} more problems' if left else ''}")


def _located(text: str, lines: list[int]) -> str:
    """Name a problem once, with the first lines that have it."""
    if len(lines) == 1:
        return f"line {lines[0]}: {text}"
    others = ", ".join(str(line) for line in lines[1:4])
    more = f" and {len(lines) - 4} more" if len(lines) > 4 else ""
    return f"line {lines[0]}: {text} (the same at line {others}{more})"


@dataclass(frozen=True)
class TextTable:
    """A table of strings, as written.

    Parameters
    ----------
    names
        Column names.
    cells
        Frame with those columns (String, blank is null) and ``line`` (Int64, 1-based).
    source
        The file, and the sheet where it has several.
    unused
        Line and text of cells around the table.
    is_drawn
        Whether wells and plates are those of a drawn plate, not columns of the file.
    is_bare
        Whether the table is one drawn plate whose variable has no name.
    """

    names: list[str]
    cells: pl.DataFrame
    source: str = ""
    unused: tuple[tuple[int, str], ...] = ()
    is_drawn: bool = False
    is_bare: bool = False

    @property
    def lines(self) -> pl.Series:
        """The line of each row in the file, 1-based."""
        return self.cells[LINE]


def read_rows(text: str, *, source: str) -> Rows:
    """Split delimited text into stripped cells; return the 1-based line and the cells of each row.

    The separator (comma, semicolon, tab or bar) is guessed. A byte-order mark, blank lines, lines of separators only
    and ``#`` comments before the first row are skipped.

    Raises
    ------
    PlateMapError
        If the text is empty, or binary data.
    """
    if "\0" in text:
        raise PlateMapError(
            f"{source}: this is binary data, neither text nor a spreadsheet; save the plate map as CSV or .xlsx"
        )
    body = text.removeprefix("\ufeff")
    lines = body.splitlines()
    sample = [line for line in lines if line.strip() and not line.startswith("#")][:20]
    if not sample:
        raise PlateMapError(f"{source}: the plate map is empty; expected a header and one row per well, or a grid")
    delimiter = max(
        _DELIMITERS,
        key=lambda mark: (
            min(line.count(mark) for line in sample[:2]),
            sum(line.count(mark) for line in sample),
        ),
    )
    rows: Rows = []
    reader = csv.reader(io.StringIO(body, newline=""), delimiter=delimiter)
    line = 1
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            is_comment = not rows and bool(stripped) and stripped[0].startswith("#")
            if any(stripped) and not is_comment:
                rows.append((line, stripped))
            line = reader.line_num + 1
    except csv.Error as error:
        raise PlateMapError(f"{source}: line {line}: not readable as delimited text: {error}") from error
    return rows


def text_table(rows: Rows, *, source: str) -> TextTable:
    """Take the first row for the header and the others as strings.

    Raises
    ------
    PlateMapError
        Two columns share a name, a row has more cells than the header, or a column with values has no name.
    """
    problems = Problems(source)
    head_line, header = rows[0]
    width = len(header)
    for line, cells in rows[1:]:
        if any(cells[width:]):
            problems.add(line, f"{len(cells)} cells under a header of {width}; quote names that contain the separator")
    problems.raise_any()
    padded = [(cells + [""] * width)[:width] for _, cells in rows[1:]]
    columns = list(zip(*padded, strict=True)) if padded else [()] * width
    named: dict[str, tuple[str, ...]] = {}
    for position, (name, values) in enumerate(zip(header, columns, strict=True)):
        if not name:
            # pandas writes its row numbers under a nameless column
            if any(values) and list(values) != [str(number) for number in range(len(values))]:
                problems.add(head_line, f"column {position + 1} has values but no name; name it in the header")
        elif name in named:
            problems.add(head_line, f"two columns are named {name!r}; rename one")
        else:
            named[name] = values
    problems.raise_any()
    frame = pl.DataFrame({name: list(values) for name, values in named.items()}, schema=dict.fromkeys(named, pl.String))
    frame = frame.with_columns(pl.when(pl.all() != "").then(pl.all()))
    lines = pl.Series(LINE, [line for line, _ in rows[1:]], dtype=pl.Int64)
    return TextTable(list(named), frame.with_columns(lines), source)


def check_identifiers(table: TextTable, column: str, problems: Problems) -> None:
    """Note barcodes that a spreadsheet has rewritten as numbers (``1.05E+09``)."""
    mangled = table.cells.filter(pl.col(column).str.contains(_MANGLED))
    for line, text in mangled.select(LINE, column).iter_rows():
        problems.add(
            line,
            f"{column} {text!r} looks like a barcode that a spreadsheet turned into a number; "
            f"format the column as text and enter the barcode again",
        )


def check_names(table: TextTable, column: str, problems: Problems) -> None:
    """Note names that a spreadsheet has converted to dates or errors (``2-Sep`` for SEPT2, ``#NAME?``)."""
    named = pl.col(column)
    for line, text in table.cells.filter(named.str.contains(_DATE)).select(LINE, column).iter_rows():
        problems.add(
            line,
            f"{column} {text!r} looks like a name that a spreadsheet turned into a date, as SEPT2 becomes 2-Sep; "
            f"format the column as text and enter the name again",
        )
    for line, text in table.cells.filter(named.str.contains(_BROKEN)).select(LINE, column).iter_rows():
        problems.add(
            line,
            f"{column} {text!r} is an error or a formula without a result; open the file in a spreadsheet program, "
            f"correct it and save it",
        )


def metadata_name(name: str) -> str:
    """Prefix a column name with ``Metadata_``, words joined by underscores.

    Examples
    --------
    >>> metadata_name("cell line"), metadata_name("Metadata_broad_sample")
    ('Metadata_cell_line', 'Metadata_broad_sample')
    """
    bare = re.sub(r"\W+", "_", re.sub(r"^Metadata_", "", name.strip(), flags=re.IGNORECASE)).strip("_")
    return f"Metadata_{bare}"
