"""How each feature behaves among replicates: noise within treatments, and agreement of replicates."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from phenoprint.tables import mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import FloatArray

    Vector = NDArray[np.float64]

__all__ = ["GroupMoments", "intraclass_correlation", "noise_within_groups", "share_between_groups"]

_BLOCK = 256  # features taken at once: their float64 copies stay small


class GroupMoments:
    """Count, sum and sum of squares of each feature in each group, gathered a block of rows at a time.

    Parameters
    ----------
    center
        About the mean of each feature, shape (features,), so that squares do not swamp the differences.
    n_groups
        Groups that may come.
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
        """Return what `noise_within_groups` does."""
        n = np.maximum(self._n, 1)
        variance = np.maximum(self._squares / n - (self._total / n) ** 2, 0)
        counts = (self._n > 0).sum(axis=1)
        out = np.full(len(counts), np.nan)
        np.divide(np.where(self._n > 0, np.sqrt(variance), 0).sum(axis=1), counts, out=out, where=counts > 0)
        return out

    def intraclass(self) -> Vector:
        """Return what `intraclass_correlation` does."""
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
        """Return what `share_between_groups` does."""
        count, groups, within, overall = self._analysis()
        free = count - groups
        known = (free > 0) & (overall > 1e-12 * self._squares.sum(axis=1))
        ratio = np.full(len(count), np.nan)
        np.divide(np.maximum(within, 0) * (count - 1), overall * free, out=ratio, where=known)
        return 1 - ratio

    def _analysis(self) -> tuple[Vector, NDArray[np.intp], Vector, Vector]:
        """Values, groups that have any, and sums of squares within groups and over all; each of shape (features,)."""
        count = self._n.sum(axis=1)
        squares = self._squares.sum(axis=1)
        within = squares - (self._total**2 / np.maximum(self._n, 1)).sum(axis=1)
        overall = squares - self._total.sum(axis=1) ** 2 / np.maximum(count, 1)
        return count, (self._n > 0).sum(axis=1), within, overall


def _by_blocks(values: FloatArray, codes: NDArray[np.intp], measure: Callable[[GroupMoments], Vector]) -> Vector:
    out = np.full(len(values), np.nan)
    n_groups = int(codes.max(initial=-1)) + 1
    for low in range(0, len(values), _BLOCK):
        block = values[low : low + _BLOCK]
        moments = GroupMoments(mean(block[:, codes >= 0]), n_groups)
        moments.add(block, codes)
        out[low : low + _BLOCK] = measure(moments)
    return out


def noise_within_groups(values: FloatArray, codes: NDArray[np.intp]) -> Vector:
    """Average over groups the standard deviation (n) of each feature within them.

    Parameters
    ----------
    values
        Shape (features, rows), NaN where missing.
    codes
        Group of each row, -1 for none.

    Returns
    -------
    numpy.ndarray
        Shape (features,); groups without a value of a feature do not count; NaN where none has.
    """
    return _by_blocks(values, codes, GroupMoments.noise)


def intraclass_correlation(values: FloatArray, codes: NDArray[np.intp]) -> Vector:
    """Share of each feature's variance that lies between groups: ICC(1) of a one-way analysis of variance.

    Parameters
    ----------
    values, codes
        As in `noise_within_groups`.

    Returns
    -------
    numpy.ndarray
        Shape (features,): (MSB - MSW) / (MSB + (k - 1) MSW) with k the mean group size after Fleiss, 1 for perfect
        agreement of replicates, about 0 where they agree no more than strangers; NaN with fewer than two groups or no
        replicates.
    """
    return _by_blocks(values, codes, GroupMoments.intraclass)


def share_between_groups(values: FloatArray, codes: NDArray[np.intp]) -> Vector:
    """Share of each feature's variance that groups explain, adjusted for their number (adjusted R squared).

    Parameters
    ----------
    values, codes
        As in `noise_within_groups`.

    Returns
    -------
    numpy.ndarray
        Shape (features,): about 0, also below, where groups explain nothing, 1 where all; NaN where it cannot be told.
    """
    return _by_blocks(values, codes, GroupMoments.share_between)
