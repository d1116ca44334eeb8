"""Reading a screen for the report, with absent and damaged tables handled in one place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import polars as pl
import polars.selectors as cs

from phenoprint.errors import DamagedTableError, DataError

__all__ = ["AbsentError", "ReportSource", "Tables", "feature_names"]

# values of features in memory at a time, 4 bytes each
BLOCK_VALUES = 20_000_000


@runtime_checkable
class ReportSource(Protocol):
    """A source of tables for a report, such as `phenoprint.store.Screen`."""

    @property
    def name(self) -> str:
        """Name of the screen."""

    @property
    def path(self) -> Path:
        """Folder of the screen, with ``screen.toml`` and ``thumbnails/``."""

    def tables(self) -> list[str]:
        """Names of the existing tables."""

    def table(self, name: str) -> pl.LazyFrame:
        """One table."""

    def sql(self, query: str) -> pl.DataFrame:
        """Return the result of a SQL query over the tables."""


class AbsentError(DataError):
    """Something a section needs is not in the screen; the reader of the page sees the message."""


class Tables:
    """The tables of a source, each read at most once; NaN, which imported tables may contain, is read as NULL.

    Parameters
    ----------
    source
        The screen.

    Attributes
    ----------
    damaged
        Reason why a table cannot be read, by table name; such a table counts as absent.
    """

    def __init__(self, source: ReportSource) -> None:
        self._source = source
        self.damaged = _damaged(source)
        self._names = frozenset(source.tables()) - frozenset(self.damaged)
        self._read: dict[str, pl.DataFrame] = {}

    def names(self) -> list[str]:
        """Return the names of the existing tables, sorted."""
        return sorted(self._names)

    def find(self, name: str) -> pl.DataFrame | None:
        """Return a table, or None where it does not exist or has no rows; wide tables are read by `columns`."""
        if name not in self._names:
            return None
        if name not in self._read:
            self._read[name] = self._source.table(name).with_columns(cs.float().fill_nan(None)).collect()
        frame = self._read[name]
        return None if frame.is_empty() else frame

    def need(
        self, name: str, columns: Sequence[str] = (), *, why: str, beside: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """Return a table with at least some columns.

        Parameters
        ----------
        name
            The table.
        columns
            Columns that must be there.
        why
            Sentence on when the table is written, shown where it is absent.
        beside
            Columns that are read, too, where they exist; None reads the whole table.

        Raises
        ------
        AbsentError
            The table or a column is missing, or it has no rows.
        """
        if name in self.damaged:
            raise AbsentError(f"{self.damaged[name][0].upper()}{self.damaged[name][1:]}.")
        if name not in self._names:
            raise AbsentError(f"The table '{name}' is not in this screen. {why}")
        if not self.height(name):
            raise AbsentError(f"The table '{name}' exists but has no rows. {why}")
        found = self._source.table(name).collect_schema().names()
        missing = [column for column in columns if column not in found]
        if missing:
            raise AbsentError(
                f"The table '{name}' lacks the columns {', '.join(missing)}; found {', '.join(found[:12])}."
            )
        frame = self.find(name) if beside is None else self.columns(name, [*columns, *beside])
        return pl.DataFrame() if frame is None else frame

    def height(self, name: str) -> int | None:
        """Count the rows of a table without reading its columns; None where it does not exist."""
        if name not in self._names:
            return None
        if name in self._read:
            return self._read[name].height
        return int(self._source.table(name).select(pl.len()).collect().item())

    def features(self, name: str) -> list[str]:
        """List the features of a table without reading it; none where it does not exist or has no rows."""
        return feature_names(self._source.table(name).collect_schema().to_frame()) if self.height(name) else []

    def blocks(self, name: str, features: Sequence[str], *, beside: Sequence[str] = ()) -> Iterator[pl.DataFrame]:
        """Read some features of a table, with a bounded number of values in memory at a time.

        Parameters
        ----------
        name
            A table that exists.
        features
            Columns to read, in blocks.
        beside
            Columns that each block has, too, where they exist.
        """
        size = max(64, BLOCK_VALUES // max(1, self.height(name) or 0))
        for start in range(0, len(features), size):
            block = self.columns(name, [*beside, *features[start : start + size]])
            if block is not None:
                yield block

    def width(self, name: str) -> int:
        """Count the columns of a table that exists."""
        return len(self._source.table(name).collect_schema())

    def columns(self, name: str, columns: Iterable[str]) -> pl.DataFrame | None:
        """Return some columns of a table without reading the others; None where it or all of them are missing."""
        if name not in self._names:
            return None
        lazy = self._source.table(name)
        there = frozenset(lazy.collect_schema().names())
        chosen = [column for column in columns if column in there]
        return lazy.select(chosen).with_columns(cs.float().fill_nan(None)).collect() if chosen else None


def _damaged(source: ReportSource) -> dict[str, str]:
    """Return why tables cannot be read, by name; reads footers only."""
    found = {}
    for name in sorted(source.tables()):
        try:
            source.table(name).collect_schema()
        except DamagedTableError as error:
            found[name] = str(error)
    return found


def feature_names(frame: pl.DataFrame) -> list[str]:
    """List the numeric columns that are not metadata, in the frame's order.

    Examples
    --------
    >>> feature_names(pl.DataFrame({"Metadata_Object_Count": [3], "Nuclei_AreaShape_Area": [1.5]}))
    ['Nuclei_AreaShape_Area']
    """
    return [name for name, dtype in frame.schema.items() if not name.startswith("Metadata_") and dtype.is_numeric()]
