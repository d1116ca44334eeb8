"""A plate map file as one or several tables of text, whether it is text or a spreadsheet."""

from __future__ import annotations

import gzip
import re
import zlib
from dataclasses import dataclass, replace

from phenoprint.errors import PlateMapError
from phenoprint.plates.grid import first_block
from phenoprint.plates.lists import find_header
from phenoprint.plates.text_table import Rows, read_rows
from phenoprint.plates.vocabulary import match_columns
from phenoprint.plates.workbook import Worksheet, is_workbook, read_workbook

__all__ = ["MAP_ENDINGS", "Part", "decode", "read_parts"]

# How files of plate maps end; what they hold is seen in their bytes.
MAP_ENDINGS = (".txt", ".csv", ".tsv", ".xlsx", ".ods", ".xls")

# What spreadsheet programs call a new sheet; such a name is no plate's.
_UNNAMED = re.compile(r"(?i)(?:sheet|tabelle|feuil(?:le)?|hoja|foglio|blad|table|planilha|arkusz)[\s_.-]*\d*")


@dataclass(frozen=True)
class Part:
    """One table of a file.

    Parameters
    ----------
    source
        The file, and the sheet where it has several; named in errors.
    rows
        1-based line (row of the sheet) and cells.
    sheet
        Name of the sheet; None for text.
    skipped
        Other sheets of the file that were not read, and why; only of the first part.
    """

    source: str
    rows: Rows
    sheet: str | None = None
    skipped: tuple[tuple[str, str], ...] = ()

    @property
    def is_grid(self) -> bool:
        """Whether it is drawn as a plate: a block comes before any header of a list."""
        block, header = first_block(self.rows), find_header(self.rows)
        return block is not None and (header is None or block <= header)

    @property
    def is_plate_map(self) -> bool:
        """Whether it is drawn as a plate or has a column of wells."""
        return self.is_grid or find_header(self.rows) is not None

    @property
    def variable(self) -> str | None:
        """The sheet's name where it is a variable's, such as ``Concentration (uM)``."""
        named = match_columns([self.sheet or ""])
        return self.sheet if set(named) - {"well", "row", "col", "plate"} else None


def decode(content: bytes, *, source: str) -> str:
    """Read text whatever its encoding: UTF-8 with or without a mark, UTF-16, else Windows-1252; gzipped or not.

    Raises
    ------
    PlateMapError
        It is gzipped and damaged.

    Examples
    --------
    >>> decode("µ".encode("cp1252"), source="map.csv"), decode("µ".encode("utf-16"), source="map.csv")
    ('µ', 'µ')
    """
    content = unpack(content, source=source)
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def unpack(content: bytes, *, source: str) -> bytes:
    """Decompress what is gzipped.

    Raises
    ------
    PlateMapError
        It is damaged.
    """
    try:
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (EOFError, OSError, zlib.error) as error:
        raise PlateMapError(f"cannot read {source}: {error}; it may be truncated: copy it again") from error


def read_parts(content: str | bytes, *, source: str, sheet: str | None = None) -> list[Part]:
    """Split a file into the tables that are plate maps.

    Parameters
    ----------
    content
        Text, or the bytes of a text file or spreadsheet.
    source
        Where it came from; named in errors.
    sheet
        The sheet of a workbook to read. None: those that are plate maps and are not hidden.

    Returns
    -------
    list
        One part for text; for a workbook, one for each sheet that is a plate map.

    Raises
    ------
    PlateMapError
        It cannot be read, has no sheet of that name, or no sheet of it is a plate map.
    """
    if isinstance(content, bytes):
        content = unpack(content, source=source)
        if is_workbook(content):
            return _of_workbook(read_workbook(content, source=source), source=source, sheet=sheet)
        if content.startswith(b"PK\x03\x04"):
            raise PlateMapError(
                f"{source} is a zip archive and no spreadsheet, or a damaged one; unpack it, or save it again"
            )
        content = decode(content, source=source)
    if sheet is not None:
        raise PlateMapError(f"{source} is a text file without sheets, but the sheet {sheet!r} is asked for")
    return [Part(source, read_rows(content, source=source))]


def _of_workbook(sheets: list[Worksheet], *, source: str, sheet: str | None) -> list[Part]:
    """Choose the sheets that are plate maps."""
    about = ", ".join(f"{s.name!r}{' (hidden)' if s.is_hidden else ''}" for s in sheets) or "none"
    if sheet is not None:
        chosen = [s for s in sheets if s.name == sheet] or [s for s in sheets if s.name.casefold() == sheet.casefold()]
        if not chosen:
            raise PlateMapError(f"{source} has no sheet {sheet!r}; its sheets: {about}")
        if not chosen[0].rows:
            raise PlateMapError(f"{source}: the sheet {sheet!r} is empty; its sheets: {about}")
        others = tuple((s.name, "another sheet is asked for") for s in sheets if s is not chosen[0])
        return [Part(f"{source}, sheet {chosen[0].name!r}", chosen[0].rows, chosen[0].name, others)]
    parts = [Part(f"{source}, sheet {s.name!r}", s.rows, s.name) for s in sheets if not s.is_hidden and s.rows]
    maps = [part for part in parts if part.is_plate_map]
    if not maps:
        raise PlateMapError(
            f"{source}: no sheet is a plate map; expected a header with a column of wells ('well', or 'row' and "
            f"'column') or a plate drawn with column numbers above row letters. Its sheets: {about}"
        )
    read = {part.sheet for part in maps}
    skipped = [(s.name, "hidden" if s.is_hidden else "no wells in it") for s in sheets if s.name not in read and s.rows]
    return [replace(maps[0], skipped=tuple(skipped)), *maps[1:]]


def sheet_plates(parts: list[Part]) -> dict[str, str]:
    """Take the names of several sheets as the plates that they describe.

    Raises
    ------
    PlateMapError
        A name is one that spreadsheet programs give, such as ``Sheet2``.
    """
    names = [part.sheet or "" for part in parts]
    unnamed = [name for name in names if _UNNAMED.fullmatch(name.strip())]
    if unnamed:
        raise PlateMapError(
            f"{parts[0].source.rpartition(', sheet ')[0]}: {len(parts)} sheets are plate maps "
            f"({', '.join(map(repr, names))}) and none says of which plate. Name the one to read ([plate_map] "
            'sheet = "...", or --sheet), or call each sheet by its plate'
        )
    return {name: name.strip() for name in names}
