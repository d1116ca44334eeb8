"""Correlations between all pairs of features by matrix products, and who goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from phenoprint.profiles.statistics import mean, sd

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.profiles.frames import FloatArray, IntArray

__all__ = ["CorrelationMoments", "correlation_matrix", "redundant"]

_BLOCK_ROWS = 4096  # rows a product: bounds the standardized copy to block x features float32


def correlation_matrix(values: FloatArray) -> NDArray[np.float32]:
    """Pearson correlation of every pair of features.

    Parameters
    ----------
    values
        Shape (features, rows), NaN where missing. A pair's correlation is over the rows that have both
        (pandas' rule).

    Returns
    -------
    numpy.ndarray
        Shape (features, features), float32; 0 where a feature is constant or fewer than two rows have both, 1
        on the diagonal.

    Notes
    -----
    Centred and scaled in float64, multiplied in float32 by BLAS, a block of rows at a time; within 1e-5 of
    float64.
    """
    moments = CorrelationMoments(mean(values), sd(values, ddof=0))
    for start in range(0, values.shape[1], _BLOCK_ROWS):
        moments.add(values[:, start : start + _BLOCK_ROWS])
    return moments.result()


class CorrelationMoments:
    """Sums from which all correlations follow, gathered a block of rows at a time.

    Parameters
    ----------
    center, spread
        Mean and standard deviation (n) of each feature over all rows that will be added, shape (features,); a feature
        with spread 0 or NaN correlates with nothing.
    """

    def __init__(self, center: NDArray[np.float64], spread: NDArray[np.float64]) -> None:
        self._center = np.nan_to_num(center)[:, None]
        self._scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)[:, None]
        n = len(center)
        self._products = np.zeros((n, n), dtype=np.float32, order="F")
        self._n = 0
        self._sum, self._square = np.zeros(n, np.float32), np.zeros(n, np.float32)
        # Where values are missing: for [i, j], over rows that have both, the sum of i, its square, and the rows.
        self._pairwise: tuple[NDArray[np.float32], ...] = ()

    def add(self, values: FloatArray) -> None:
        """Add rows, shape (features, rows), NaN where missing."""
        from scipy.linalg.blas import ssyrk

        if values.dtype == np.float32:  # what rounding leaves of the mean is taken off at the end
            block = values - self._center.astype(np.float32)
            block *= self._scale.astype(np.float32)
        else:
            block = ((values - self._center) * self._scale).astype(np.float32)
        total = block.sum(axis=1)
        if np.isnan(total).any():
            missing = np.isnan(block)
            if not self._pairwise:
                shape = self._products.shape
                self._pairwise = (
                    np.repeat(self._sum[:, None], shape[0], axis=1),
                    np.repeat(self._square[:, None], shape[0], axis=1),
                    np.full(shape, self._n, dtype=np.float32),
                )
            there = (~missing).astype(np.float32)
            np.nan_to_num(block, copy=False)
            sums, squares, pairs = self._pairwise
            sums += block @ there.T
            squares += (block * block) @ there.T
            pairs += there @ there.T
        else:
            square = np.einsum("ij,ij->i", block, block)
            self._sum += total
            self._square += square
            if self._pairwise:
                sums, squares, pairs = self._pairwise
                sums += total[:, None]
                squares += square[:, None]
                pairs += np.float32(block.shape[1])
        self._n += block.shape[1]
        if block.size:
            # Half the work of a full product: the upper triangle only.
            self._products = ssyrk(1.0, block.T, beta=1.0, c=self._products, trans=1, overwrite_c=1)

    def result(self) -> NDArray[np.float32]:
        """Return the correlations, shape (features, features), float32; see `correlation_matrix`."""
        upper = np.triu(self._products)
        products = upper + np.triu(upper, 1).T
        if not self._pairwise:
            rows = np.float32(max(self._n, 1))
            middle = self._sum / rows
            result = products / rows - middle[:, None] * middle
        else:
            sums, squares, pairs = self._pairwise
            n = np.maximum(pairs, 1)
            covariance = products / n - (sums / n) * (sums / n).T
            variance = squares / n - (sums / n) ** 2
            # A subset without variance leaves rounding noise; its correlation is undefined, taken as 0.
            flat = (variance <= 1e-6) | (variance.T <= 1e-6) | (pairs < 2)
            result = np.where(flat, 0, covariance / np.sqrt(np.where(flat, 1, variance * variance.T)))
        clipped: NDArray[np.float32] = np.clip(result, -1, 1).astype(np.float32)
        np.fill_diagonal(clipped, 1)
        return clipped


def redundant(
    correlation: NDArray[np.float32], *, threshold: float, signed: bool = False, greedy: bool = True
) -> list[tuple[int, int, float]]:
    """Find features that another one makes redundant.

    Features are ranked by the sum of their absolute correlations, the least correlated first; equal sums (to
    six digits) keep the order of the columns, so that the outcome does not hang on rounding.

    Parameters
    ----------
    correlation
        Shape (features, features).
    threshold
        A pair is redundant where its correlation is larger.
    signed
        Compare r itself rather than its absolute value (pycytominer's rule; keeps pairs at r = -0.99).
    greedy
        True: a feature goes only if a feature that stays represents it. False: the lower ranked of every
        redundant pair goes, even if its partner goes too (pycytominer's rule; in a chain a-b-c nothing may be
        left of c).

    Returns
    -------
    list of (int, int, float)
        Dropped feature, the feature it is redundant with, and their correlation; in the order of the columns.
    """
    strength = correlation if signed else np.abs(correlation)
    total = np.abs(correlation).sum(axis=1, dtype=np.float64)
    # Rounded to six significant digits, then a stable sort.
    digits = 10.0 ** (5 - np.floor(np.log10(np.maximum(total, 1e-300))))
    order: IntArray = np.argsort(np.round(total * digits) / digits, kind="stable")
    above = strength > threshold
    np.fill_diagonal(above, val=False)
    stays = np.ones(len(correlation), dtype=bool)
    partner = np.full(len(correlation), -1, dtype=np.intp)
    seen = np.zeros(len(correlation), dtype=bool)
    for feature in order:
        rivals = np.flatnonzero(above[feature] & seen & (stays if greedy else True))
        if len(rivals):
            stays[feature] = False
            partner[feature] = rivals[np.argmax(strength[feature, rivals])]
        seen[feature] = True
    return [(int(i), int(partner[i]), float(correlation[i, partner[i]])) for i in np.flatnonzero(~stays)]
