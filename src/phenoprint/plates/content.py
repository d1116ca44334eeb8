"""Files of plate maps and other lists as tables of text, whether they are text or spreadsheets."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import polars as pl

from phenoprint.errors import PlateMapError
from phenoprint.plates.grid import first_block
from phenoprint.plates.lists import as_list, find_header
from phenoprint.plates.text_table import LINE, Rows, TextTable, read_rows
from phenoprint.plates.vocabulary import match_columns
from phenoprint.plates.workbook import is_workbook, read_workbook

__all__ = [
    "MAP_ENDINGS",
    "Part",
    "decode_text",
    "file_parts",
    "one_row_per_well",
    "read_parts",
    "read_tables",
    "sheet_plates",
    "unpack",
]

# Endings of plate maps; the format is recognised by the first bytes.
MAP_ENDINGS = (".txt", ".csv", ".tsv", ".xlsx", ".ods", ".xls")

# Names that spreadsheet programs give to new sheets; they name no plate.
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
        Other sheets of the file that were not read, with the reason; of the first part only.
    """

    source: str
    rows: Rows
    sheet: str | None = None
    skipped: tuple[tuple[str, str], ...] = ()

    @property
    def is_grid(self) -> bool:
        """Whether it is drawn as a plate: a block precedes any header of a list."""
        block, header = first_block(self.rows), find_header(self.rows)
        return block is not None and (header is None or block <= header)

    @property
    def is_plate_map(self) -> bool:
        """Whether it is drawn as a plate or has a column of wells."""
        return self.is_grid or find_header(self.rows) is not None

    @property
    def variable(self) -> str | None:
        """The sheet's name where it names a variable, such as ``Concentration (uM)``."""
        named = match_columns([self.sheet or ""])
        return self.sheet if set(named) - {"well", "row", "col", "plate"} else None


def decode_text(content: bytes) -> str:
    """Decode text: UTF-8 with or without a byte-order mark, UTF-16, else Windows-1252.

    Examples
    --------
    >>> decode_text("µ".encode("cp1252")), decode_text("µ".encode("utf-16"))
    ('µ', 'µ')
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def unpack(content: bytes, *, source: str) -> bytes:
    """Decompress gzipped bytes; return others as they are.

    Raises
    ------
    PlateMapError
        If they are damaged.
    """
    try:
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (EOFError, OSError, zlib.error) as error:
        raise PlateMapError(f"cannot read {source}: {error}; it may be truncated: copy it again") from error


def file_parts(content: str | bytes, *, source: str) -> tuple[list[Part], list[str]]:
    """Split a file into one part per sheet, those that are empty included, and list the hidden sheets."""
    if isinstance(content, str):
        return [Part(source, read_rows(content, source=source))], []
    content = unpack(content, source=source)
    if is_workbook(content):
        sheets = read_workbook(content, source=source)
        parts = [Part(f"{source}, sheet {sheet.name!r}", sheet.rows, sheet.name) for sheet in sheets]
        return parts, [sheet.name for sheet in sheets if sheet.is_hidden]
    if content.startswith(b"PK\x03\x04"):
        raise PlateMapError(
            f"{source} is a zip archive and no spreadsheet, or a damaged one; unpack it, or save it again"
        )
    return [Part(source, read_rows(decode_text(content), source=source))], []


def read_tables(content: str | bytes, *, source: str, role: str = "well") -> list[TextTable]:
    r"""Read the tables of a file that are lists with a header: text, or each sheet that is shown and not empty.

    Parameters
    ----------
    content
        Text, or the bytes of a text file or spreadsheet.
    source
        The file; named in errors.
    role
        The header is the first line that names a column of this role (`match_columns`); else the first line.

    Raises
    ------
    PlateMapError
        If the file cannot be read, has no sheet with content, or a header is ambiguous.

    Examples
    --------
    >>> [table] = read_tables("Plates to repeat\nwell;comment\nA1;clogged\n", source="list.csv")
    >>> table.names, table.cells.row(0)
    (['well', 'comment'], ('A1', 'clogged', 3))
    """
    parts, hidden = file_parts(content, source=source)
    shown = [part for part in parts if part.rows and part.sheet not in hidden]
    if not shown:
        raise PlateMapError(f"{source}: every sheet is empty or hidden; expected a table with a header")
    return [as_list(part.rows, source=part.source, role=role) for part in shown]


def read_parts(content: str | bytes, *, source: str, sheet: str | None = None) -> list[Part]:
    """Split a file into the tables that are plate maps.

    Parameters
    ----------
    content
        Text, or the bytes of a text file or spreadsheet.
    source
        The file; named in errors.
    sheet
        The sheet of a workbook to read. None: those that are plate maps and are not hidden.

    Returns
    -------
    list
        One part for text; for a workbook, one for each sheet that is a plate map.

    Raises
    ------
    PlateMapError
        If the file cannot be read, has no sheet of that name, or none of its sheets is a plate map.
    """
    parts, hidden = file_parts(content, source=source)
    if parts and parts[0].sheet is None:
        if sheet is not None:
            raise PlateMapError(f"{source} is a text file without sheets, but the sheet {sheet!r} is requested")
        return parts
    about = ", ".join(f"{part.sheet!r}{' (hidden)' if part.sheet in hidden else ''}" for part in parts) or "none"
    if sheet is not None:
        equal = [part for part in parts if part.sheet == sheet]
        chosen = next(iter(equal or [p for p in parts if (p.sheet or "").casefold() == sheet.casefold()]), None)
        if chosen is None:
            raise PlateMapError(f"{source} has no sheet {sheet!r}; its sheets: {about}")
        if not chosen.rows:
            raise PlateMapError(f"{source}: the sheet {sheet!r} is empty; its sheets: {about}")
        others = tuple((part.sheet or "", "another sheet is requested") for part in parts if part is not chosen)
        return [replace(chosen, skipped=others)]
    maps = [part for part in parts if part.sheet not in hidden and part.rows and part.is_plate_map]
    if not maps:
        raise PlateMapError(
            f"{source}: no sheet is a plate map; expected a header with a column of wells ('well', or 'row' and "
            f"'column') or a plate drawn with column numbers above row letters. Its sheets: {about}"
        )
    others = tuple(
        (part.sheet or "", "hidden" if part.sheet in hidden else "no wells in it")
        for part in parts
        if part not in maps and part.rows
    )
    return [replace(maps[0], skipped=others), *maps[1:]]


def sheet_plates(parts: list[Part]) -> dict[str, str]:
    """Take the names of sheets for their plates; refuse names that spreadsheet programs give, such as ``Sheet2``."""
    names = [part.sheet or "" for part in parts]
    unnamed = [name for name in names if _UNNAMED.fullmatch(name.strip())]
    if unnamed:
        raise PlateMapError(
            f"{parts[0].source.rpartition(', sheet ')[0]}: {len(parts)} sheets are plate maps "
            f"({', '.join(map(repr, names))}) and none names its plate. Name the sheet to read ([plate_map] "
            'sheet = "...", or --sheet), or name each sheet after its plate'
        )
    return {name: name.strip() for name in names}


# What must be equal in all rows of a well where a table has several, such as one per image.
_OF_WELL = ("pert_type", "compound", "concentration", "unit", "moa")


def one_row_per_well(part: Part, columns: Mapping[str, str]) -> Part:
    """Rename columns of a list, and join its rows of one well where they agree on the contents of the well.

    Parameters
    ----------
    part
        The table; a drawn plate is returned as it is unless columns are named.
    columns
        The table's column by its new name: ``{"Plate": "Image_Metadata_Plate_DAPI"}``.

    Raises
    ------
    PlateMapError
        If a named column does not exist.
    """
    if part.is_grid and not columns:
        return part
    frame = as_list(part.rows, source=part.source).cells
    absent = [name for name in columns.values() if name not in frame.columns]
    if absent:
        raise PlateMapError(f"{part.source}: no column {absent[0]!r}; found {', '.join(frame.drop(LINE).columns)}")
    taken = {old: new if new.startswith("Metadata_") else f"Metadata_{new}" for new, old in columns.items()}
    frame = frame.drop(n for n in taken.values() if n in frame.columns and n not in taken).rename(taken)
    plain = {name: name.removeprefix("Image_") for name in frame.columns if name.startswith("Image_Metadata_")}
    frame = frame.rename({old: new for old, new in plain.items() if new not in frame.columns})
    roles = match_columns(frame.drop(LINE).columns)
    keys = [roles[role] for role in ("plate", "well") if role in roles]
    is_joined = False
    if "well" in roles and frame.select(keys).is_duplicated().any():
        varied = frame.group_by(keys).agg(pl.all().drop_nulls().n_unique()).select(pl.exclude(keys).max())
        if all(varied[roles[role]][0] <= 1 for role in _OF_WELL if role in roles):
            kept = [name for name in varied.columns if varied[name][0] <= 1 and name != LINE]
            merged = pl.col(kept).drop_nulls().first()
            frame = frame.group_by(keys, maintain_order=True).agg(pl.col(LINE).min(), merged)
            is_joined = True
    if not (is_joined or columns):
        return part  # errors then name the lines of the file
    names = [name for name in frame.columns if name != LINE]
    body = frame.select(pl.col(names).fill_null("")).rows()
    return Part(part.source, [(0, names), *zip(frame[LINE], map(list, body), strict=True)], part.sheet)
