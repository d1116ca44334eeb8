"""Moments of each feature, over all wells and within groups, and a sample of the wells, from blocks of wells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from phenoprint.tables import count, mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import FloatArray

    Vector = NDArray[np.float64]

__all__ = ["GroupMoments", "RunningMoments", "RunningSample", "share_between_groups"]

_BLOCK = 256  # features at a time: their float64 copies stay small


class RunningMoments:
    """Count, mean, variance and largest absolute value of each feature.

    Blocks are merged as in Chan, Golub and LeVeque, Am Stat 37:242, 1983, which is accurate for means far from 0.

    Parameters
    ----------
    n_features
        Number of features of every block.

    Attributes
    ----------
    n_rows
        Number of rows.
    n, mean, largest
        Number of values, their mean and the largest absolute value of each feature, shape (features,); NaN without
        values.
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
        """Variance (n), shape (features,); NaN without values."""
        out = np.full(len(self.n), np.nan)
        np.divide(self._squares, self.n, out=out, where=self.n > 0)
        return out


class RunningSample:
    """All rows, or every second, fourth, ... row, so that at most a fixed number of rows is kept.

    Parameters
    ----------
    most
        Largest number of rows that are kept.

    Attributes
    ----------
    step
        Every `step`-th row is kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.step = 1
        self._seen = 0
        self._held = 0
        self._rows: FloatArray = np.empty((0, 0))

    def add(self, values: FloatArray) -> None:
        """Add rows, shape (features, rows)."""
        if not len(self._rows):  # memory is used only where rows are written
            self._rows = np.empty((len(values), 2 * self._most), dtype=values.dtype)
        for start in range(0, values.shape[1], self._most):
            block = values[:, start : start + self._most]
            part = block[:, -self._seen % self.step :: self.step]
            self._seen += block.shape[1]
            self._rows = self._rows.astype(np.result_type(self._rows, part), copy=False)
            self._rows[:, self._held : self._held + part.shape[1]] = part
            self._held += part.shape[1]
            while self._held > self._most:
                # Rows whose index is a multiple of the step are kept; doubling the step drops every second one.
                self.step *= 2
                kept = -(-self._held // 2)
                for row in self._rows:
                    row[:kept] = row[: self._held : 2]
                self._held = kept

    @property
    def values(self) -> FloatArray:
        """Rows that are kept, shape (features, rows)."""
        return self._rows[:, : self._held]


class GroupMoments:
    """Count, sum and sum of squares of each feature in each group, accumulated over blocks of rows.

    Parameters
    ----------
    center
        Approximate mean of each feature, shape (features,), which reduces the rounding errors of squares.
    n_groups
        Number of groups.
    """

    def __init__(self, center: Vector, n_groups: int) -> None:
        self._center = np.nan_to_num(center)[:, None]
        shape = (len(center), n_groups)
        self._n, self._total, self._squares = np.zeros(shape), np.zeros(shape), np.zeros(shape)

    def add(self, values: FloatArray, codes: NDArray[np.intp]) -> None:
        """Add rows, shape (features, rows), NaN where missing, of the groups `codes`, shape (rows,), -1 for none."""
        members = codes >= 0
        order = np.flatnonzero(members)[np.argsort(codes[members], kind="stable")]
        if not len(order):
            return
        starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
        groups = codes[order][starts]
        block = values[:, order] - self._center
        there = ~np.isnan(block)
        block = np.where(there, block, 0)
        self._n[:, groups] += np.add.reduceat(there.astype(np.float64), starts, axis=1)
        self._total[:, groups] += np.add.reduceat(block, starts, axis=1)
        self._squares[:, groups] += np.add.reduceat(block**2, starts, axis=1)

    def noise(self) -> Vector:
        """Average the standard deviation (n) of each feature within groups over the groups, as ``pycytominer`` does.

        Returns
        -------
        numpy.ndarray
            Shape (features,). Groups without a value of a feature do not count; NaN if no group has a value.
        """
        n = np.maximum(self._n, 1)
        variance = np.maximum(self._squares / n - (self._total / n) ** 2, 0)
        counts = (self._n > 0).sum(axis=1)
        out = np.full(len(counts), np.nan)
        np.divide(np.where(self._n > 0, np.sqrt(variance), 0).sum(axis=1), counts, out=out, where=counts > 0)
        return out

    def intraclass(self) -> Vector:
        """Compute the share of each feature's variance between groups: ICC(1) of a one-way analysis of variance.

        Returns
        -------
        numpy.ndarray
            Shape (features,): (MSB - MSW) / (MSB + (k - 1) MSW), where k is the mean group size of Fleiss. 1 is perfect
            agreement of replicates; 0 is expected by chance. NaN for fewer than two groups or no replicates.

        Notes
        -----
        Shrout and Fleiss, Psychol Bull 86:420, 1979.
        """
        count, groups, within, overall = self._analysis()
        free = count - groups
        known = (groups > 1) & (free > 0)
        between_mean = (overall - within) / np.maximum(groups - 1, 1)
        within_mean = np.maximum(within, 0) / np.maximum(free, 1)
        size = (count - (self._n**2).sum(axis=1) / np.maximum(count, 1)) / np.maximum(groups - 1, 1)
        below = between_mean + (size - 1) * within_mean
        out = np.full(len(count), np.nan)
        np.divide(between_mean - within_mean, below, out=out, where=known & (below > 0))
        return out

    def share_between(self) -> Vector:
        """Compute the share of each feature's variance that groups explain; see `share_between_groups`."""
        count, groups, within, overall = self._analysis()
        free = count - groups
        known = (free > 0) & (overall > 1e-12 * self._squares.sum(axis=1))
        ratio = np.full(len(count), np.nan)
        np.divide(np.maximum(within, 0) * (count - 1), overall * free, out=ratio, where=known)
        return 1 - ratio

    def _analysis(self) -> tuple[Vector, NDArray[np.intp], Vector, Vector]:
        """Return numbers of values and of groups, and sums of squares within groups and in total, shape (features,)."""
        count = self._n.sum(axis=1)
        squares = self._squares.sum(axis=1)
        within = squares - (self._total**2 / np.maximum(self._n, 1)).sum(axis=1)
        overall = squares - self._total.sum(axis=1) ** 2 / np.maximum(count, 1)
        return count, (self._n > 0).sum(axis=1), within, overall


def share_between_groups(values: FloatArray, codes: NDArray[np.intp]) -> Vector:
    """Compute the share of each feature's variance that groups explain, adjusted for their number (adjusted R squared).

    Parameters
    ----------
    values
        Shape (features, rows), NaN where missing.
    codes
        Index of each row's group, -1 for none, shape (rows,).

    Returns
    -------
    numpy.ndarray
        Shape (features,): near 0 (also below 0) if groups explain nothing, 1 if they explain everything; NaN if
        undefined.
    """
    out = np.full(len(values), np.nan)
    n_groups = int(codes.max(initial=-1)) + 1
    for low in range(0, len(values), _BLOCK):
        block = values[low : low + _BLOCK]
        moments = GroupMoments(mean(block[:, codes >= 0]), n_groups)
        moments.add(block, codes)
        out[low : low + _BLOCK] = moments.share_between()
    return out
