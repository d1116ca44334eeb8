"""Wells and plate formats."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import polars as pl

from phenoprint.errors import PlateMapError, UnknownNameError, UsageError, first_few

__all__ = ["PlateFormat", "Well", "normalize_wells", "well_positions"]

MAX_ROWS, MAX_COLUMNS = 32, 48  # the 1536-well plate, A01 to AF48

_LETTERS = re.compile(r"([A-Za-z]{1,2})\s*[-_:/ ]?\s*0*(\d{1,2})")
_ROW_COLUMN = re.compile(r"(?:r|row)[\s_-]*0*(\d{1,2})[\s_,-]*(?:c|col|column)[\s_-]*0*(\d{1,2})", re.IGNORECASE)
_DIGITS = re.compile(r"(\d{2})(\d{2})|(\d{3})(\d{3})")

# rows x columns of the plates with an ANSI/SLAS footprint
_FORMATS = {6: (2, 3), 12: (3, 4), 24: (4, 6), 48: (6, 8), 96: (8, 12), 384: (16, 24), 1536: (32, 48)}


def row_name(row: int) -> str:
    """Return the letters of a 0-based row: 0 is A, 25 is Z, 26 is AA.

    Examples
    --------
    >>> row_name(0), row_name(25), row_name(31)
    ('A', 'Z', 'AF')
    """
    return chr(65 + row) if row < 26 else "A" + chr(65 + row - 26)


def row_index(name: str) -> int:
    """Return the 0-based row of its letters; the inverse of `row_name`.

    Raises
    ------
    PlateMapError
        The letters name no row of a plate (A to Z, AA to AF).

    Examples
    --------
    >>> row_index("p"), row_index("AF")
    (15, 31)
    """
    letters = name.strip().upper()
    index = -1
    if len(letters) == 1 and "A" <= letters <= "Z":
        index = ord(letters) - 65
    elif len(letters) == 2 and letters[0] == "A" and "A" <= letters[1] <= "Z":
        index = 26 + ord(letters[1]) - 65
    if not 0 <= index < MAX_ROWS:
        raise PlateMapError(f"{name!r} is not a plate row: expected A to Z or AA to AF")
    return index


@dataclass(frozen=True, order=True, slots=True)
class Well:
    """A position on a plate; prints as ``A01``, sorts by row and then column.

    Parameters
    ----------
    row, col
        0-based row (0 to 31) and column (0 to 47).

    Examples
    --------
    >>> str(Well(0, 0)), str(Well.parse("r02c03")), str(Well.parse("af48"))
    ('A01', 'B03', 'AF48')
    >>> Well.parse("a1") == Well.parse("A01")
    True
    """

    row: int
    col: int

    def __post_init__(self) -> None:
        """Refuse positions that no plate has."""
        if not (0 <= self.row < MAX_ROWS and 0 <= self.col < MAX_COLUMNS):
            raise UsageError(
                f"no plate has a well at row {self.row}, column {self.col} (0-based): "
                f"rows run 0 to {MAX_ROWS - 1} (A to AF), columns 0 to {MAX_COLUMNS - 1}"
            )

    def __str__(self) -> str:
        return f"{row_name(self.row)}{self.col + 1:02d}"

    @classmethod
    def parse(cls, value: str | tuple[int, int] | Well) -> Self:
        """Read a well in any common spelling.

        Parameters
        ----------
        value
            ``"A1"``, ``"a01"``, ``"A-01"``, ``"r02c03"``, ``"0203"`` or ``"002003"`` (row, column, 1-based,
            as Harmony and Opera write them), ``"AF48"``, or a pair ``(row, col)`` of 0-based numbers.

        Raises
        ------
        PlateMapError
            The text is not a well of any plate up to 1536 wells.
        """
        if isinstance(value, Well):
            return cls(value.row, value.col)
        if isinstance(value, tuple):
            return cls(operator.index(value[0]), operator.index(value[1]))
        row, col = _parse(value)
        return cls(row, col)


@lru_cache(maxsize=65_536)
def _parse(value: str) -> tuple[int, int]:
    """Read (row, col), 0-based, from the spelling of a well."""
    text = value.strip()
    row = col = -1
    if match := _LETTERS.fullmatch(text):
        row, col = row_index(match[1]), int(match[2]) - 1
    elif match := _ROW_COLUMN.fullmatch(text):
        row, col = int(match[1]) - 1, int(match[2]) - 1
    elif match := _DIGITS.fullmatch(text):
        row, col = int(match[1] or match[3]) - 1, int(match[2] or match[4]) - 1
    if not (0 <= row < MAX_ROWS and 0 <= col < MAX_COLUMNS):
        raise PlateMapError(
            f"{value!r} is not a well: expected a row A to AF and a column 1 to {MAX_COLUMNS}, "
            f"written like A01, a1, r01c01 or 0101"
        )
    return row, col


@dataclass(frozen=True, order=True, slots=True)
class PlateFormat:
    """The grid of a plate.

    Parameters
    ----------
    rows, columns
        How many there are of each.

    Examples
    --------
    >>> PlateFormat.of(384)
    PlateFormat(rows=16, columns=24)
    >>> str(PlateFormat.infer(["A01", "H12"])), Well.parse("I13") in PlateFormat.of(96)
    ('96-well', False)
    """

    rows: int
    columns: int

    @property
    def n_wells(self) -> int:
        """Number of wells."""
        return self.rows * self.columns

    def __str__(self) -> str:
        return f"{self.n_wells}-well"

    def __contains__(self, well: object) -> bool:
        return isinstance(well, Well) and well.row < self.rows and well.col < self.columns

    def wells(self) -> list[Well]:
        """Every well, row by row."""
        return [Well(row, col) for row in range(self.rows) for col in range(self.columns)]

    def is_edge(self, well: Well) -> bool:
        """Whether a well is in the outer ring."""
        return well.row in (0, self.rows - 1) or well.col in (0, self.columns - 1)

    @classmethod
    def of(cls, n: int) -> Self:
        """Return the standard plate with `n` wells.

        Raises
        ------
        UnknownNameError
            `n` is not 6, 12, 24, 48, 96, 384 or 1536.
        """
        if n not in _FORMATS:
            raise UnknownNameError("plate format", str(n), [str(known) for known in _FORMATS])
        return cls(*_FORMATS[n])

    @classmethod
    def infer(cls, wells: Iterable[Well | str]) -> Self:
        """Guess the plate from the wells in use.

        The smallest of 96, 384 and 1536 that holds all wells, because images of a part of a plate are more common
        than small plates. A plate of 6 to 48 wells is recognised if exactly its wells are in use.

        Parameters
        ----------
        wells
            Wells or their spellings; duplicates are allowed; no wells give 96.

        Raises
        ------
        PlateMapError
            A spelling is not a well.
        """
        used = {Well.parse(well) for well in wells}
        for n, (rows, columns) in _FORMATS.items():
            plate = cls(rows, columns)
            if (n >= 96 or len(used) == n) and all(well in plate for well in used):
                return plate
        return cls(MAX_ROWS, MAX_COLUMNS)


def normalize_wells(wells: pl.Series, *, strict: bool = True) -> pl.Series:
    """Spell every well as ``A01``.

    Parameters
    ----------
    wells
        Wells in any spelling `Well.parse` reads; null stays null.
    strict
        Whether text that is not a well raises an error; otherwise it becomes null.

    Returns
    -------
    pl.Series
        Strings, same name and length.

    Raises
    ------
    PlateMapError
        If some text is not a well; lists up to five.

    Examples
    --------
    >>> normalize_wells(pl.Series("w", ["a1", "A01", "r16c24", None])).to_list()
    ['A01', 'A01', 'P24', None]
    """
    text = wells.cast(pl.String)
    spelled: dict[str, str | None] = {}
    bad: list[str] = []
    for value in text.drop_nulls().unique().to_list():
        try:
            row, col = _parse(value)
        except PlateMapError:
            bad.append(value)
            spelled[value] = None
        else:
            spelled[value] = f"{row_name(row)}{col + 1:02d}"
    if strict and bad:
        named = first_few([repr(value) for value in sorted(bad)])
        raise PlateMapError(
            f"column {wells.name!r} holds text that is not a well: {named}; "
            f"expected a row A to AF and a column 1 to {MAX_COLUMNS}, written like A01, a1, r01c01 or 0101"
        )
    return text.replace_strict(spelled, return_dtype=pl.String) if spelled else text


def well_positions(wells: pl.Series) -> pl.DataFrame:
    """Return the position of every well.

    Parameters
    ----------
    wells
        Wells in any spelling that `Well.parse` reads.

    Returns
    -------
    pl.DataFrame
        Int32 ``row`` and ``col``, 0-based, one row per value; null where the well is null.

    Raises
    ------
    PlateMapError
        If some text is not a well.

    Examples
    --------
    >>> well_positions(pl.Series(["A01", "b3", None])).rows()
    [(0, 0), (1, 2), (None, None)]
    """
    position = {text: _parse(text) for text in wells.drop_nulls().unique().to_list()}
    return pl.DataFrame(
        [
            wells.replace_strict({text: at[axis] for text, at in position.items()}, return_dtype=pl.Int32).alias(name)
            for axis, name in enumerate(("row", "col"))
        ]
        if position
        else {name: pl.Series([None] * len(wells), dtype=pl.Int32) for name in ("row", "col")}
    )
