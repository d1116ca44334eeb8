"""Find redundant features; the outcome is the same as with exact correlations."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import IntArray

    Matrix = NDArray[np.float64]

__all__ = ["redundant"]

NEAR = 2e-6
"""A correlation closer than this to a threshold is recomputed in float64; several times the rounding error."""

COPY = 1 - 1e-5
"""Features with a larger correlation count as copies; the first column represents all of them."""

_TIE = 5e-7  # relative difference of totals below which rounding may change their order

Exact: TypeAlias = "Callable[[IntArray], Matrix]"


def redundant(
    correlation: Matrix, *, threshold: float, signed: bool = False, greedy: bool = True, exact: Exact | None = None
) -> list[tuple[int, int, float]]:
    """Find features that are redundant because of another feature.

    Features are ranked by the sum of their absolute correlations, the least correlated first; of features that
    correlate by more than 0.99999 the first column ranks first, so that the outcome does not depend on rounding.

    Parameters
    ----------
    correlation
        Shape (features, features).
    threshold
        A pair is redundant where its correlation is larger.
    signed
        Compare r instead of its absolute value (pycytominer's rule; keeps pairs with r = -0.99).
    greedy
        True: a feature is dropped only if it is redundant with a feature that is kept. False: the lower ranked feature
        of every redundant pair is dropped, even if the other one is dropped too (pycytominer's rule; of a chain
        a-b-c, c may be dropped although b is).
    exact
        Returns the correlations of features, given by index, with all features in float64, shape (wanted, features).
        Called at most once, for features where rounding could decide: near the threshold, or tied in rank.

    Returns
    -------
    list of (int, int, float)
        Dropped feature, the feature that makes it redundant, and their correlation; in the order of the columns.
    """
    absolute = np.abs(correlation)
    strength = correlation if signed else absolute
    total = _shared_by_copies(absolute, absolute.sum(axis=1))
    stays, partner = _walk(strength, total, threshold, greedy=greedy)
    if exact is not None:
        doubtful = _doubtful(absolute, strength, total, threshold, stays)
        if len(doubtful):
            rows = exact(doubtful)
            correlation = correlation.copy()
            correlation[doubtful] = rows
            correlation[:, doubtful] = rows.T
            absolute = np.abs(correlation)
            strength = correlation if signed else absolute
            total = _shared_by_copies(absolute, absolute.sum(axis=1))
            stays, partner = _walk(strength, total, threshold, greedy=greedy)
    return [(int(i), int(partner[i]), float(correlation[i, partner[i]])) for i in np.flatnonzero(~stays)]


def _shared_by_copies(absolute: Matrix, total: Matrix) -> Matrix:
    """Set the totals of copies to the total of the first copy."""
    return total[np.argmax(absolute > COPY, axis=1)] if len(total) else total


def _doubtful(
    absolute: Matrix, strength: Matrix, total: Matrix, threshold: float, stays: NDArray[np.bool_]
) -> IntArray:
    """Find features of pairs that are so near a threshold, or so nearly tied in rank, that rounding could decide."""
    near = np.abs(strength - threshold) <= NEAR
    near |= np.abs(absolute - COPY) <= NEAR
    at_threshold = np.argwhere(np.triu(near, 1))
    first, second = np.nonzero(np.triu((strength > threshold) & (absolute <= COPY), 1))
    tied = np.abs(total[first] - total[second]) <= _TIE * total[first]
    tied &= stays[first] | stays[second]  # the order of two dropped features does not matter
    return np.unique(np.concatenate([at_threshold[:, 0], first[tied], second[tied]])).astype(np.intp)


def _walk(
    strength: Matrix, total: Matrix, threshold: float, *, greedy: bool
) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Go through features by rank: return which are kept, and the strongest rival of each dropped one (else -1)."""
    digits = 10.0 ** (9 - np.floor(np.log10(np.maximum(total, 1e-300))))  # ten digits, then a stable sort
    order: IntArray = np.argsort(np.round(total * digits) / digits, kind="stable")
    above = strength > threshold
    np.fill_diagonal(above, val=False)
    stays = np.ones(len(strength), dtype=bool)
    partner = np.full(len(strength), -1, dtype=np.intp)
    seen = np.zeros(len(strength), dtype=bool)
    for feature in order:
        rivals = np.flatnonzero(above[feature] & seen & (stays if greedy else True))
        if len(rivals):
            stays[feature] = False
            partner[feature] = rivals[np.argmax(strength[feature, rivals])]
        seen[feature] = True
    return stays, partner
