"""How each feature behaves among replicates: noise within treatments, and agreement of replicates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.profiles.frames import FloatArray

    Vector = NDArray[np.float64]

__all__ = ["intraclass_correlation", "noise_within_groups"]

_BLOCK = 256  # features taken at once: their float64 copies stay small


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
    out = np.full(len(values), np.nan)
    for part, n, total, squares in _moments(values, codes):
        mean = total / np.maximum(n, 1)
        variance = np.maximum(squares / np.maximum(n, 1) - mean**2, 0)
        some = n > 0
        counts = some.sum(axis=1)
        np.divide(np.where(some, np.sqrt(variance), 0).sum(axis=1), counts, out=out[part], where=counts > 0)
    return out


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
    out = np.full(len(values), np.nan)
    for part, n, total, squares in _moments(values, codes):
        count = n.sum(axis=1)
        groups = (n > 0).sum(axis=1)
        within = squares.sum(axis=1) - (total**2 / np.maximum(n, 1)).sum(axis=1)
        overall = squares.sum(axis=1) - total.sum(axis=1) ** 2 / np.maximum(count, 1)
        free = count - groups
        known = (groups > 1) & (free > 0)
        between_mean = (overall - within) / np.maximum(groups - 1, 1)
        within_mean = np.maximum(within, 0) / np.maximum(free, 1)
        size = (count - (n**2).sum(axis=1) / np.maximum(count, 1)) / np.maximum(groups - 1, 1)
        below = between_mean + (size - 1) * within_mean
        np.divide(between_mean - within_mean, below, out=out[part], where=known & (below > 0))
    return out


def _moments(values: FloatArray, codes: NDArray[np.intp]):  # type: ignore[no-untyped-def]
    """Yield for a block of features: its slice, and count, sum and sum of squares by group (features, groups)."""
    members = codes >= 0
    order = np.flatnonzero(members)[np.argsort(codes[members], kind="stable")]
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1)) if len(order) else np.empty(0, dtype=np.intp)
    for low in range(0, len(values), _BLOCK):
        part = slice(low, low + _BLOCK)
        block = values[part][:, order].astype(np.float64)
        if not len(starts):
            empty = np.zeros((len(block), 0))
            yield part, empty, empty, empty
            continue
        there = ~np.isnan(block)
        # About the feature's own mean, so that squares do not swamp the differences.
        center = np.nansum(block, axis=1) / np.maximum(there.sum(axis=1), 1)
        block = np.where(there, block - center[:, None], 0)
        yield (
            part,
            np.add.reduceat(there.astype(np.float64), starts, axis=1),
            np.add.reduceat(block, starts, axis=1),
            np.add.reduceat(block**2, starts, axis=1),
        )
