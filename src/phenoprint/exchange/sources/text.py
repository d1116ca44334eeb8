"""CSV and TSV of other tools, one block of lines in memory at a time."""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import polars as pl

from phenoprint.errors import SchemaError, first_few
from phenoprint.exchange.compressed import READ_ERRORS, open_plain
from phenoprint.exchange.names import MISSING, is_descriptive

__all__ = ["BLOCK_BYTES", "SAMPLE_BYTES", "Header", "read_blocks", "read_header"]

# Text of the first rows, which indicate the level of a table.
SAMPLE_BYTES: Final = 2**20
# Text of a block: some tens of MiB parse at full speed and become about as much as 32-bit floats.
BLOCK_BYTES: Final = 24 * 2**20


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a table: column names, the separator, and whether decimals are written ``1,5``."""

    names: tuple[str, ...]
    separator: str
    decimal_comma: bool = False


def read_header(path: Path) -> Header:
    """Read the column names of a table; raise SchemaError if it is empty, no text, or repeats a name."""
    with closing(open_plain(path)) as handle:
        first, second = (_read(handle.readline, path).decode(errors="replace") for _ in range(2))
    line = first.strip().lstrip("\ufeff")
    if not line:
        raise SchemaError(f"{path} is empty; expected a header and rows")
    if "\0" in line:
        raise SchemaError(f"{path} is not text: expected a header of column names, found binary data")
    if "\r" in line:
        raise SchemaError(f"{path}: its lines end in CR alone; save it again with the line ends of Linux or Windows")
    separator = max(",\t;", key=line.count)
    try:
        names = [name.strip() for name in next(csv.reader([line], delimiter=separator, strict=True))]
    except csv.Error as error:
        raise SchemaError(f"{path}: a quote in its header is not closed ({error}); correct the first line") from error
    if len(set(names)) < len(names):
        doubled = sorted({name for name in names if names.count(name) > 1})
        raise SchemaError(f"{path} has several columns called {first_few(doubled)}; rename or drop all but one")
    return Header(tuple(names), separator, decimal_comma=separator == ";" and "." not in second and "," in second)


def read_blocks(
    path: Path, *, block_bytes: int | None = BLOCK_BYTES, text: Collection[str] = (), header: Header | None = None
) -> Iterator[pl.DataFrame]:
    """Read a table block by block: metadata as text, numbers as Float32, other columns as text.

    Parameters
    ----------
    path
        The file, compressed or not.
    block_bytes
        Text of a block, bytes; None for the whole table at once.
    text
        Columns that are text, whatever their names.
    header
        The header, if it was read already; its names are used.

    Yields
    ------
    polars.DataFrame
        Some of the rows, in order; one frame without rows if the table has none. Columns that hold text in the first
        block are text in all of them.

    Raises
    ------
    SchemaError
        If it cannot be read, has ragged rows, or a column of numbers holds text further down.
    """
    header = header or read_header(path)
    expected: dict[str, pl.DataType] = {
        name: pl.String() if is_descriptive(name) or name in text else pl.Float32() for name in header.names
    }
    types: dict[str, pl.DataType] | None = None
    with closing(open_plain(path)) as handle:
        _read(handle.readline, path)
        for block in _blocks(handle, path, header, block_bytes):
            frame = _parse(block, header, types or expected, path)
            if types is None:
                types = dict(frame.schema)
            else:
                _check_types(frame, types, path)
            yield frame
    if types is None:
        yield pl.DataFrame(schema=expected)


def _read(read: Callable[[], bytes], path: Path) -> bytes:
    try:
        return read()
    except READ_ERRORS as error:
        raise SchemaError(
            f"{path} cannot be read: {error}; it may be truncated, or of another format than its name: copy it again"
        ) from error


def _blocks(handle: BinaryIO, path: Path, header: Header, size: int | None) -> Iterator[bytes]:
    """Cut the rest of a file into runs of whole lines; a line break inside quotes does not end a line."""
    carry, n_before = b"", 1
    while chunk := _read(lambda: handle.read(-1 if size is None else size), path):
        text = carry + chunk
        end = 0 if size is None else _last_line_end(text)
        carry = text[end:]
        if end:
            n_before += text.count(b"\n", 0, end)
            yield text[:end]
    _refuse_open_quote(carry, path, n_before)
    last = carry[carry.rfind(b"\n") + 1 :]
    separators = last.count(header.separator.encode())
    if last.strip() and b'"' not in last and separators < len(header.names) - 1:
        raise SchemaError(
            f"{path} ends in the middle of a row ({separators + 1} of {len(header.names)} values): copy it again"
        )
    if carry.strip():
        yield carry


def _refuse_open_quote(text: bytes, path: Path, n_before: int) -> None:
    """Refuse text that ends inside quotes: everything after the quote would be read as one value."""
    if text.count(b'"') % 2 == 0:
        return
    odd = (k for k, line in enumerate(text.split(b"\n"), start=n_before + 1) if line.count(b'"') % 2)
    raise SchemaError(
        f"{path} ends inside quotes: the quote opened in line {next(odd)} is not closed; correct that line, or copy "
        "the file again if it is cut off there"
    )


def _last_line_end(text: bytes) -> int:
    """Return the end of the last whole line; 0 if there is none."""
    end = text.rfind(b"\n")
    if b'"' not in text:
        return end + 1
    for _ in range(64):
        if end < 0 or text.count(b'"', 0, end) % 2 == 0:
            return end + 1
        end = text.rfind(b"\n", 0, end)
    return 0


def _parse(block: bytes, header: Header, asked: dict[str, pl.DataType], path: Path) -> pl.DataFrame:
    """Parse whole lines; a block with text among its numbers is read as text, then converted by columns."""
    try:
        block.decode("utf-8")
    except UnicodeDecodeError:
        block = block.decode("cp1252", errors="replace").encode()

    def read(schema: dict[str, pl.DataType]) -> pl.DataFrame:
        return pl.read_csv(
            block,
            has_header=False,
            separator=header.separator,
            decimal_comma=header.decimal_comma,
            schema=schema,
        )

    try:
        try:
            return read(asked)
        except pl.exceptions.ComputeError:
            text: dict[str, pl.DataType] = dict.fromkeys(header.names, pl.String())
            return _numbers(read(text), asked, comma=header.decimal_comma)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise SchemaError(
            f"{path} is not a table: {error}; expected {len(header.names)} values per row, as in its header"
        ) from error


def _check_types(frame: pl.DataFrame, types: dict[str, pl.DataType], path: Path) -> None:
    """Refuse a column of numbers that holds text further down."""
    wrong = next((name for name, dtype in types.items() if dtype != frame.schema[name]), None)
    if wrong is not None:
        column = frame[wrong]
        found = column.filter(column.cast(pl.Float32, strict=False).is_null() & column.is_not_null())
        raise SchemaError(
            f"{path}: column {wrong!r} holds numbers at first and {found[0]!r} further down; correct the value, or "
            "rename the column to Metadata_... if it is text"
        )


def _numbers(frame: pl.DataFrame, asked: dict[str, pl.DataType], *, comma: bool) -> pl.DataFrame:
    """Convert the columns of a frame of text that hold numbers and missing values only to Float32."""
    columns = []
    for column in frame:
        if asked.get(column.name) == pl.String:
            columns.append(column)
            continue
        given = column.set(column.str.strip_chars().is_in(MISSING).fill_null(value=False), None)
        text = given.str.replace(",", ".", literal=True) if comma else given
        number = text.str.strip_chars().cast(pl.Float32, strict=False)
        columns.append(number if number.null_count() == given.null_count() else column)
    return pl.DataFrame(columns)
