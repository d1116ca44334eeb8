"""Missing values of profiles that are compared as vectors: which rows and features are left out, and what is imputed.

A row that lacks more than half of its features is no profile. A feature that more than 5 % of the profiles lack (and
more than one) is left out, since it is undefined for some kind of well. A profile that lacks more than a quarter of the
other features is damaged, and left out. What is then missing is imputed by the median of the feature. So one damaged
well costs one well, and not the features that it lacks. Where more than half of the profiles would be left out, only
the features that all of them have are used, and nothing is imputed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from phenoprint.tables.statistics import median

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables.frames import FloatArray, IntArray

__all__ = ["MOST_LACKED", "Blocks", "Gaps", "find_gaps", "often_missing"]

Blocks: TypeAlias = "Callable[[], Iterable[tuple[IntArray, FloatArray]]]"

MOST_LACKED = 0.25
"""A profile that lacks more of its features is damaged."""

_NO_PROFILE = 0.5
_OFTEN = 0.05
_HELD_VALUES = 2**25  # values of incomplete features that are held at once


@dataclass(frozen=True)
class Gaps:
    """What is done about missing values.

    Attributes
    ----------
    rows
        Numbers of the usable profiles, ascending.
    n_imputed
        Values of each usable profile that are imputed, shape (usable profiles,).
    damaged, n_lacked
        Numbers of the profiles that lack more than a quarter of the features, and how many they lack.
    no_profile
        Numbers of the rows that lack more than half of the features.
    n_missing
        Profiles, damaged ones included, that lack each feature, shape (features,).
    is_used
        Whether a feature is used, shape (features,).
    fill
        The value that is imputed, shape (features,); NaN where nothing is.
    """

    rows: NDArray[np.intp]
    n_imputed: NDArray[np.int64]
    damaged: NDArray[np.intp]
    n_lacked: NDArray[np.int64]
    no_profile: NDArray[np.intp]
    n_missing: NDArray[np.int64]
    is_used: NDArray[np.bool_]
    fill: NDArray[np.float64]

    def complete(self, values: FloatArray) -> FloatArray:
        """Return the used features of some profiles, shape (used features, profiles), with imputed values."""
        kept = values[self.is_used]
        absent = np.isnan(kept)
        if absent.any():
            kept = np.where(absent, self.fill[self.is_used][:, None].astype(values.dtype), kept)
        return kept


def often_missing(n_missing: NDArray[np.int64], n_profiles: int) -> NDArray[np.bool_]:
    """Whether so many profiles lack a feature that it is left out: more than one, and more than 5 %.

    Examples
    --------
    >>> often_missing(np.array([0, 1, 2]), 10).tolist()
    [False, False, True]
    """
    result: NDArray[np.bool_] = n_missing > max(1.0, _OFTEN * n_profiles)
    return result


def find_gaps(blocks: Blocks, n_features: int) -> Gaps:
    """Find the missing values of profiles that are read one block after the other.

    Parameters
    ----------
    blocks
        Called once for profiles without gaps and a few times for others; each time all blocks again: the row numbers of
        some profiles, shape (rows,), and their values, shape (features, rows), NaN where missing.
    n_features
        Number of features.

    Examples
    --------
    >>> values = np.array([[1.0, 2, 3, np.nan], [1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4]])
    >>> gaps = find_gaps(lambda: [(np.arange(4), values)], 4)
    >>> gaps.complete(values)[0].tolist(), gaps.n_imputed.tolist()
    ([1.0, 2.0, 3.0, 2.0], [0, 0, 0, 1])
    """
    n_missing = np.zeros(n_features, dtype=np.int64)
    found, empty = [np.arange(0)], [np.arange(0)]
    for numbers, values in blocks():
        absent = np.isnan(values)
        there = absent.mean(axis=0) <= _NO_PROFILE if n_features else np.zeros(len(numbers), dtype=bool)
        n_missing += absent[:, there].sum(axis=1)
        found.append(numbers[there])
        empty.append(numbers[~there])
    rows, no_profile = (np.sort(np.concatenate(parts)).astype(np.intp) for parts in (found, empty))
    nothing = np.full(n_features, np.nan)
    none = np.zeros(len(rows), dtype=np.int64)
    if not n_missing.any():
        return Gaps(rows, none, rows[:0], none[:0], no_profile, n_missing, np.ones(n_features, dtype=bool), nothing)
    usual = ~often_missing(n_missing, len(rows))
    is_damaged = _count(blocks, rows, usual)[0] > MOST_LACKED * max(1, int(usual.sum()))
    if 2 * is_damaged.sum() > len(rows):  # no profile is whole: only features that all of them have can be compared
        return Gaps(rows, none, rows[:0], none[:0], no_profile, n_missing, n_missing == 0, nothing)
    kept = rows[~is_damaged]
    is_used = ~often_missing(_count(blocks, kept, usual)[1], len(kept))  # damaged profiles do not count for a feature
    n_lacked = _count(blocks, rows, is_used)[0]
    is_incomplete = is_used & (n_missing > 0)
    fill = _medians(blocks, kept, np.flatnonzero(is_incomplete), nothing)
    is_used &= ~is_incomplete | ~np.isnan(fill)  # a feature of which no profile has a value
    return Gaps(
        kept, n_lacked[~is_damaged], rows[is_damaged], n_lacked[is_damaged], no_profile, n_missing, is_used, fill
    )


def _usable(blocks: Blocks, rows: NDArray[np.intp]) -> Iterable[tuple[IntArray, FloatArray]]:
    """Yield the values of some profiles, with their places among these."""
    if not len(rows):
        return
    for numbers, values in blocks():
        place = np.minimum(np.searchsorted(rows, numbers), len(rows) - 1)
        there = rows[place] == numbers
        yield place[there], values[:, there]


def _count(
    blocks: Blocks, rows: NDArray[np.intp], is_used: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the features of some that each profile lacks, and the profiles that lack each feature."""
    n_lacked, n_missing = np.zeros(len(rows), dtype=np.int64), np.zeros(len(is_used), dtype=np.int64)
    for place, values in _usable(blocks, rows):
        absent = np.isnan(values)
        n_lacked[place] = absent[is_used].sum(axis=0)
        n_missing += absent.sum(axis=1)
    return n_lacked, n_missing


def _medians(
    blocks: Blocks, rows: NDArray[np.intp], features: NDArray[np.intp], fill: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the medians of some features over some profiles, as many features per pass as memory allows."""
    fill = fill.copy()
    step = max(1, _HELD_VALUES // max(1, len(rows)))
    for start in range(0, len(features) if len(rows) else 0, step):
        part = features[start : start + step]
        held = np.full((len(part), len(rows)), np.nan)
        for place, values in _usable(blocks, rows):
            held[:, place] = values[part]
        fill[part] = median(held)
    return fill
