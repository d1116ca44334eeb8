"""How well an assay separates its positive from its negative controls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from phenoprint.errors import UsageError
from phenoprint.tables import MAD_SCALE

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["cliffs_delta", "held_out_scores", "ssmd", "z_prime", "z_prime_of"]

Values = TypeVar("Values", float, "NDArray[np.float64]")


def z_prime(pos: ArrayLike, neg: ArrayLike, *, robust: bool = False) -> float:
    """Z' factor of two groups of control wells: ``1 - 3 (sd_pos + sd_neg) / |mean_pos - mean_neg|``.

    Parameters
    ----------
    pos, neg
        One readout of the positive and of the negative controls, shape (wells,), at least two each; NaN is
        left out.
    robust
        Medians and MAD times 1.4826 in place of means and standard deviations (n - 1).

    Returns
    -------
    float
        At most 1; above 0.5 is called an excellent assay; minus infinity where the centres coincide.

    Raises
    ------
    UsageError
        For fewer than two values in a group.

    Notes
    -----
    Zhang, Chung and Oldenburg, J Biomol Screen 4:67, 1999.

    Examples
    --------
    >>> z_prime([10.0, 11.0, 12.0], [0.0, 1.0, 2.0])
    0.4
    """
    (center_p, spread_p), (center_n, spread_n) = (
        _summary(pos, "positive", robust),
        _summary(neg, "negative", robust),
    )
    return float(z_prime_of(center_p, center_n, spread_p, spread_n)) if center_p != center_n else -np.inf


def z_prime_of(center_pos: Values, center_neg: Values, spread_pos: Values, spread_neg: Values) -> Values:
    """Z' factor of the centres and spreads of two groups of control wells, elementwise; see `z_prime`."""
    factor: Values = 1 - 3 * (spread_pos + spread_neg) / np.abs(center_pos - center_neg)
    return factor


def ssmd(pos: ArrayLike, neg: ArrayLike) -> float:
    """Strictly standardized mean difference: ``(mean_pos - mean_neg) / sqrt(sd_pos^2 + sd_neg^2)``.

    Parameters
    ----------
    pos, neg
        One readout of the positive and of the negative controls, shape (wells,), at least two each; NaN is left out.

    Returns
    -------
    float
        Positive where the positive controls have larger values; NaN where neither group varies.

    Raises
    ------
    UsageError
        For fewer than two values in a group.

    Notes
    -----
    Zhang, Genomics 89:552, 2007. A strong positive control should reach 2 to 3 or more, a moderate one 1.

    Examples
    --------
    >>> round(ssmd([10.0, 11.0, 12.0], [0.0, 1.0, 2.0]), 3)
    7.071
    """
    (center_p, spread_p), (center_n, spread_n) = _summary(pos, "positive", False), _summary(neg, "negative", False)
    spread = float(np.hypot(spread_p, spread_n))
    return (center_p - center_n) / spread if spread > 0 else float("nan")


def held_out_scores(pos: ArrayLike, neg: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Score controls along the direction that separates them, each well with a direction that it did not help to find.

    One positive and one negative control are left out at a time, and a diagonal discriminant is fitted on the others.

    Parameters
    ----------
    pos, neg
        Complete profiles of the positive and of the negative controls, shape (wells, features); at least two and
        three wells.

    Returns
    -------
    tuple of numpy.ndarray
        Scores of the positive and of the negative controls: 0 at the mean of the other negative controls and 1 at that
        of the other positive ones. Scores of groups that do not differ overlap around 0.

    Raises
    ------
    UsageError
        For fewer wells.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> strong, _ = held_out_scores(rng.normal(5, 1, (4, 50)), rng.normal(0, 1, (8, 50)))
    >>> weak, _ = held_out_scores(rng.normal(0, 1, (4, 50)), rng.normal(0, 1, (8, 50)))
    >>> bool(strong.min() > 0.9), bool(abs(weak.mean()) < 0.5)
    (True, True)
    """
    x, y = np.asarray(pos, dtype=np.float64), np.asarray(neg, dtype=np.float64)
    if len(x) < 2 or len(y) < 3:
        raise UsageError(f"expected two positive and three negative controls; found {len(x)} and {len(y)}")
    scores = np.empty(len(x)), np.empty(len(y))
    times = max(len(x), len(y))
    for fold in range(times):
        # Where a group is smaller, its wells are left out again, and are scored the first time only.
        i, j = fold % len(x), fold % len(y)
        fitted_x, fitted_y = np.delete(x, i, axis=0), np.delete(y, j, axis=0)
        middle = fitted_y.mean(axis=0)
        difference = fitted_x.mean(axis=0) - middle
        squares = ((fitted_x - fitted_x.mean(axis=0)) ** 2).sum(axis=0) + ((fitted_y - middle) ** 2).sum(axis=0)
        variance = squares / max(1, len(fitted_x) + len(fitted_y) - 2)
        typical = float(np.median(variance[variance > 0])) if (variance > 0).any() else 1.0
        weights = difference / (variance + typical)  # halfway to a common variance: few wells give no better one
        length = float(difference @ weights)
        for values, out, place in ((x, scores[0], i), (y, scores[1], j)):
            if fold < len(values):
                out[place] = (values[place] - middle) @ weights / length if length > 0 else 0.0
    return scores


def cliffs_delta(a: ArrayLike, b: ArrayLike) -> float:
    """Cliff's delta: share of pairs in which `a` is larger minus share in which `b` is; NaN is left out.

    Examples
    --------
    >>> cliffs_delta([3.0, 4.0], [1.0, 3.0])
    0.75
    """
    x, y = _clean(a), _clean(b)
    if not len(x) or not len(y):
        return float("nan")
    ordered = np.sort(y)
    larger = np.searchsorted(ordered, x, side="left").sum()
    smaller = (len(y) - np.searchsorted(ordered, x, side="right")).sum()
    return float((larger - smaller) / (len(x) * len(y)))


def _clean(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64).ravel()
    return array[~np.isnan(array)]


def _summary(values: ArrayLike | Sequence[float], name: str, robust: bool) -> tuple[float, float]:
    array = _clean(values)
    if len(array) < 2:
        raise UsageError(f"expected at least two values of the {name} controls; found {len(array)}")
    if not robust:
        return float(array.mean()), float(array.std(ddof=1))
    center = float(np.median(array))
    return center, MAD_SCALE * float(np.median(np.abs(array - center)))
