"""Statistics of features gathered block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from phenoprint.tables import count, mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import FloatArray

    Vector = NDArray[np.float64]

__all__ = ["RunningMoments", "RunningSample"]


class RunningMoments:
    """Count, mean, variance and largest absolute value of each feature.

    Blocks are merged as Chan, Golub and LeVeque (1979) do, so that no digits go where the mean is far from 0.

    Parameters
    ----------
    n_features
        Features of every block.
    """

    def __init__(self, n_features: int) -> None:
        self.n_rows = 0
        self.n = np.zeros(n_features)
        self.mean = np.full(n_features, np.nan)
        self.largest = np.full(n_features, np.nan)
        self._squares = np.zeros(n_features)

    def add(self, values: FloatArray) -> None:
        """Add rows, shape (features, rows), NaN where missing."""
        self.n_rows += values.shape[1]
        if not values.shape[1]:
            return
        n, center = count(values), mean(values)
        deviation = values - center[:, None]
        squares = np.nansum(deviation * deviation, axis=1, dtype=np.float64)
        total = self.n + n
        gap = np.where((self.n > 0) & (n > 0), center - self.mean, 0.0)
        self._squares += squares + gap**2 * self.n * n / np.maximum(total, 1)
        merged = np.nan_to_num(self.mean) + np.where(self.n > 0, gap, np.nan_to_num(center)) * n / np.maximum(total, 1)
        self.mean = np.where(total > 0, np.where(n > 0, merged, self.mean), np.nan)
        self.n = total
        self.largest = np.fmax(self.largest, np.fmax.reduce(np.abs(values), axis=1))

    @property
    def variance(self) -> Vector:
        """Variance (n), shape (features,); NaN where no value is there."""
        out = np.full(len(self.n), np.nan)
        np.divide(self._squares, self.n, out=out, where=self.n > 0)
        return out


class RunningSample:
    """Every row, or every second, fourth, ... of them, so that no more than a number are held.

    Parameters
    ----------
    most
        Rows held at most.

    Attributes
    ----------
    step
        One row of so many is held.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.step = 1
        self._seen = 0
        self._parts: list[FloatArray] = []
        self._held = 0

    def add(self, values: FloatArray) -> None:
        """Add rows, shape (features, rows)."""
        first = -self._seen % self.step
        self._seen += values.shape[1]
        part = np.ascontiguousarray(values[:, first :: self.step])
        self._parts.append(part)
        self._held += part.shape[1]
        while self._held > self._most:
            # The rows held are those whose number divides by the step: every second of them stays.
            self.step *= 2
            self._parts = [np.ascontiguousarray(self.values[:, ::2])]
            self._held = self._parts[0].shape[1]

    @property
    def values(self) -> FloatArray:
        """Rows held, shape (features, rows)."""
        return np.concatenate(self._parts, axis=1) if self._parts else np.empty((0, 0))
