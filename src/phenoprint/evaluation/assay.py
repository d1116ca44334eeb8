"""How well an assay separates its positive from its negative controls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from phenoprint.errors import UsageError
from phenoprint.tables import MAD_SCALE

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["cliffs_delta", "z_prime", "z_prime_of"]

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
