"""Passes over the wells of plates, which need not be in memory together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.errors import SchemaError, UsageError
from phenoprint.profiles.moments import RunningMoments, RunningSample
from phenoprint.tables import (
    feature_columns,
    feature_matrix,
    not_finite_rows,
    require_columns,
    rows_with_values,
    to_polars,
)

if TYPE_CHECKING:
    from phenoprint.tables import FloatArray, FrameLike, IntArray

__all__ = ["Wells"]

_BLOCK_ROWS = 4096  # rows per block: bounds the float64 copies of a large frame


@dataclass
class Wells:
    """The wells that the rules use, plate by plate as matrices, and the results of the first pass."""

    plates: Sequence[FrameLike]
    rows: pl.Expr | None
    by: tuple[str, ...]
    features: list[str] = field(default_factory=list)
    moments: RunningMoments = field(default_factory=lambda: RunningMoments(0))
    sample: RunningSample | None = None
    treatments: pl.DataFrame = field(default_factory=pl.DataFrame)
    not_finite: dict[str, float] = field(default_factory=dict)
    _is_first_pass: bool = True
    _only_plate: tuple[FloatArray, pl.DataFrame] | None = None

    def read_first(self, sample_rows: int | None) -> None:
        """Make the first pass: moments of each feature, a sample of the rows, the treatments."""
        if not len(self.plates):
            raise UsageError("expected at least one plate; found none")
        if sample_rows is not None and len(self.plates) > 1:
            self.sample = RunningSample(sample_rows)
        keys: list[pl.DataFrame] = []
        for values, own in self.with_keys():
            if not len(self.moments.n):
                self.moments = RunningMoments(len(values))
            self.moments.add(values)
            if self.sample is not None:
                self.sample.add(values)
            if self.by:
                keys.append(own.drop_nulls().unique())
        if keys:
            self.treatments = pl.concat(keys, how="vertical_relaxed").unique().sort(list(self.by))
        self._is_first_pass = False

    def blocks(self) -> Iterator[FloatArray]:
        """Yield the values in blocks of rows, shape (features, rows)."""
        return (values for values, _ in self.with_keys())

    def with_keys(self) -> Iterator[tuple[FloatArray, pl.DataFrame]]:
        """Yield the values in blocks of rows, and the columns that define a treatment."""
        for plate in self.plates:
            values, keys = self._only_plate or self._read(to_polars(plate))
            if len(self.plates) == 1:  # it is in memory anyway
                self._only_plate = values, keys
            for start in range(0, max(values.shape[1], 1), _BLOCK_ROWS):
                yield values[:, start : start + _BLOCK_ROWS], keys[start : start + _BLOCK_ROWS]

    def _read(self, plate: pl.DataFrame) -> tuple[FloatArray, pl.DataFrame]:
        data = plate if self.rows is None else plate.filter(self.rows)
        require_columns(data, self.by, purpose="replicates")
        values = feature_matrix(data, self._names(data))
        if self._is_first_pass:
            for row in not_finite_rows(data, self.features, values):
                self.not_finite[row.feature] = self.not_finite.get(row.feature, 0) + (row.value or 0)
        there = rows_with_values(values)
        keys = data.select(self.by)
        if not there.all():
            values, keys = values[:, there], keys.filter(there) if self.by else keys
        return values, keys

    def _names(self, data: pl.DataFrame) -> list[str]:
        names = feature_columns(data)
        if not self.features:
            self.features = names
        elif names != self.features:
            absent = sorted(set(self.features) - set(names))
            if absent or len(names) != len(self.features):
                raise SchemaError(
                    f"plates must have the same features; one lacks {absent[:5] or 'none'} and has {len(names)} of "
                    f"{len(self.features)}. Normalize with fit_plates, which adds missing features as NULL"
                )
        return self.features

    def codes(self, keys: pl.DataFrame) -> IntArray:
        """Return the index of each row's treatment; -1 if a key is NULL."""
        numbered = self.treatments.with_row_index("number of the treatment")
        joined = keys.with_row_index("row").join(numbered, on=list(self.by), how="left").sort("row")
        number = joined.get_column("number of the treatment").cast(pl.Int64).fill_null(-1)
        return number.to_numpy().astype(np.intp)

    def names(self, index: IntArray) -> list[str]:
        """Return the names of features, given by index."""
        return [self.features[i] for i in index]
