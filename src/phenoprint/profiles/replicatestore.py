"""Hold wells until the last replicate of their treatment has come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.errors import SchemaError, UsageError
from phenoprint.tables import feature_columns, feature_matrix, feature_series, metadata_columns, with_series

if TYPE_CHECKING:
    from phenoprint.tables import FloatArray

__all__ = ["ReplicateStore"]


@dataclass
class _Part:
    """Wells of a plate: their metadata with the treatment's number, and features, shape (features, wells)."""

    metadata: pl.DataFrame
    treatment: np.ndarray[tuple[int], np.dtype[np.intp]]
    values: FloatArray


class ReplicateStore:
    """Wells whose treatments are not finished, as matrices: frames of many short columns cost more than they hold.

    Parameters
    ----------
    by
        Columns that make a treatment.
    counts
        Those columns and ``n``, the wells that will come of each.
    """

    def __init__(self, by: Sequence[str], counts: pl.DataFrame) -> None:
        self._by = list(by)
        self._keys = counts.select(self._by).with_row_index("treatment number")
        self._expected = counts.get_column("n").to_numpy()
        self._seen = np.zeros(counts.height, dtype=np.int64)
        self._taken = np.zeros(counts.height, dtype=bool)
        self._features: list[str] = []
        self._parts: list[_Part] = []

    def add(self, frame: pl.DataFrame) -> int:
        """Take in a plate's wells; those without a treatment are left out; return how many were taken."""
        data = frame.drop_nulls(self._by)
        features = feature_columns(data)
        if not self._features:
            self._features = features
        elif features != self._features:
            raise SchemaError(
                "plates must have the same features in the same order; apply one choice of features to all"
            )
        metadata = data[metadata_columns(data)]
        numbered = metadata.select(self._by).with_row_index("row").join(self._keys, on=self._by, how="left").sort("row")
        number = numbered.get_column("treatment number")
        unknown = number.null_count()
        if unknown:
            raise UsageError(f"{unknown} wells are of treatments that were not counted; count the same plates")
        treatment = number.to_numpy().astype(np.intp)
        if self._taken[treatment].any():
            raise UsageError("more wells came of a treatment than counted; count the same plates")
        self._seen += np.bincount(treatment, minlength=len(self._seen))
        self._parts.append(_Part(metadata, treatment, feature_matrix(data, features)))
        return data.height

    def take_finished(self, most_rows: int) -> Iterator[pl.DataFrame]:
        """Yield, and forget, the wells of finished treatments, in frames of about `most_rows` wells."""
        finished = np.flatnonzero((self._seen >= self._expected) & (self._seen > 0) & ~self._taken)
        self._taken[finished] = True
        start = 0
        while start < len(finished):
            ends = np.cumsum(self._seen[finished[start:]])
            stop = start + max(1, int(np.searchsorted(ends, most_rows, side="right")))
            chosen = np.zeros(len(self._seen), dtype=bool)
            chosen[finished[start:stop]] = True
            yield self._take(chosen)
            start = stop

    def require_empty(self) -> None:
        """Raise UsageError where wells are left whose treatments never were finished."""
        left = [part.metadata for part in self._parts if part.metadata.height]
        if left:
            names = pl.concat([part.select(self._by) for part in left]).unique(maintain_order=True).rows()[:3]
            raise UsageError(f"fewer wells came than counted, for treatments such as {names}; count the same plates")

    def _take(self, chosen: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> pl.DataFrame:
        taken: list[tuple[pl.DataFrame, FloatArray]] = []
        kept = []
        for part in self._parts:
            mask = chosen[part.treatment]
            if not mask.any():
                kept.append(part)
                continue
            taken.append((part.metadata.filter(mask), part.values[:, mask]))
            if not mask.all():
                kept.append(_Part(part.metadata.filter(~mask), part.treatment[~mask], part.values[:, ~mask]))
        self._parts = kept
        metadata = pl.concat([frame for frame, _ in taken], how="vertical_relaxed")
        values = np.concatenate([block for _, block in taken], axis=1)
        return with_series(metadata, feature_series(self._features, values))
