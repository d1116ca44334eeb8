"""The records that tables are declared with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from phenoprint.tables.keys import OBJECT, WELL

__all__ = ["Column", "Reference", "Table"]


@dataclass(frozen=True, slots=True)
class Column:
    """One declared column.

    Parameters
    ----------
    name
        Name in Parquet, SQL and exports.
    dtype
        Its polars type.
    comment
        What it means, in one line.
    unit
        Unit of its values, such as ``px``; empty for text, counts and numbers without unit.
    nullable
        Whether a value, or the whole column, may be missing.

    Examples
    --------
    >>> Column("height", pl.Int32(), "Image height", unit="px").description
    'Image height [px]'
    """

    name: str
    dtype: pl.DataType
    comment: str
    unit: str = ""
    nullable: bool = True

    @property
    def description(self) -> str:
        """The comment with its unit, as SQL shows it."""
        return f"{self.comment} [{self.unit}]" if self.unit else self.comment


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key: the values of `columns` occur in the key of table `target`."""

    columns: tuple[str, ...]
    target: str


@dataclass(frozen=True, slots=True)
class Table:
    """One declared table.

    Parameters
    ----------
    name, description
        The SQL name and comment.
    columns
        The declared columns, in the order they are stored.
    key
        Columns whose values identify a row; rows are sorted by them. Empty where a table has none.
    per_plate
        Whether Parquet is partitioned by plate (one folder per plate) or there is one file per screen.
    holds_features
        Whether columns beyond the declared ones and ``Metadata_`` are features.
    references
        Foreign keys to other catalog tables.
    order
        Columns to sort by where there is no key.
    """

    name: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    per_plate: bool = True
    holds_features: bool = False
    references: tuple[Reference, ...] = ()
    order: tuple[str, ...] = ()

    @property
    def sort_by(self) -> tuple[str, ...]:
        """The columns that rows are sorted by on disk."""
        return self.key or self.order

    @property
    def is_small(self) -> bool:
        """Whether the table has neither a row per cell nor columns of features, so that a catalog can hold a copy."""
        return not self.holds_features and OBJECT not in self.key

    @property
    def schema(self) -> pl.Schema:
        """The declared columns as a polars schema."""
        return pl.Schema({column.name: column.dtype for column in self.columns})

    def schema_of(self, names: Iterable[str]) -> pl.Schema:
        """Return the types of some declared columns, in the order given."""
        return pl.Schema({name: self.schema[name] for name in names})

    @property
    def by_well(self) -> bool:
        """Whether the table is written well by well, so that its parts can be compacted."""
        return self.per_plate and any(column.name == WELL for column in self.columns)
