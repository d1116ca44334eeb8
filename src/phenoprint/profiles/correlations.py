"""Correlations between all pairs of features by matrix products, and who goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from phenoprint.profiles.statistics import mean, sd

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.profiles.frames import FloatArray, IntArray

__all__ = ["correlation_matrix", "redundant"]

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
    n_features, n_rows = values.shape
    center = mean(values)[:, None]
    spread = sd(values, ddof=0)
    scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)[:, None]
    complete = not bool(np.isnan(values).any())
    products = np.zeros((n_features, n_features), dtype=np.float32)
    sums, squares, pairs = (np.zeros((0, 0) if complete else products.shape, np.float32) for _ in range(3))
    for start in range(0, n_rows, _BLOCK_ROWS):
        block = ((values[:, start : start + _BLOCK_ROWS] - center) * scale).astype(np.float32)
        if not complete:
            there = (~np.isnan(block)).astype(np.float32)
            np.nan_to_num(block, copy=False)
            sums += block @ there.T  # [i, j]: sum of i over rows where j is there too
            squares += (block * block) @ there.T
            pairs += there @ there.T
        products += block @ block.T
    if complete:
        result = products / np.float32(max(n_rows, 1))
    else:
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
