"""Variances from few wells, made safe by what all features have in common (the moderated t test of limma)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["VariancePrior", "moderated_p_values", "variance_prior"]


@dataclass(frozen=True)
class VariancePrior:
    """What the variances of all features say about the variance of one.

    Attributes
    ----------
    variance
        The variance that a feature is expected to have.
    freedom
        How many degrees of freedom that expectation is worth; infinite where the features do not differ.
    """

    variance: float
    freedom: float


def variance_prior(variances: NDArray[np.float64], freedom: NDArray[np.float64]) -> VariancePrior:
    """Fit a scaled F distribution to the variances of many features, by the moments of their logarithms.

    Parameters
    ----------
    variances, freedom
        Variance of each feature and its degrees of freedom, shape (features,), both above 0.

    Returns
    -------
    VariancePrior
        Freedom 0 for fewer than two features: nothing can be learned from others.

    Notes
    -----
    Smyth, Stat Appl Genet Mol Biol 3:3 (2004), section 6.2; ``fitFDist`` of the R package limma.

    Examples
    --------
    >>> variance_prior(np.full(50, 2.0), np.full(50, 1e9)).variance.__round__(3)
    2.0
    """
    from scipy.special import digamma, polygamma

    if len(variances) < 2:
        return VariancePrior(1.0, 0.0)
    logs = np.log(variances) - digamma(freedom / 2) + np.log(freedom / 2)
    middle = float(logs.mean())
    excess = float(logs.var(ddof=1) - polygamma(1, freedom / 2).mean())
    if excess <= 0:
        return VariancePrior(float(np.exp(middle)), float("inf"))
    prior = 2 * _inverse_trigamma(excess)
    return VariancePrior(float(np.exp(middle + digamma(prior / 2) - np.log(prior / 2))), prior)


def moderated_p_values(
    difference: NDArray[np.float64],
    variances: NDArray[np.float64],
    freedom: NDArray[np.float64],
    weight: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Test differences against 0 with variances that were shrunk towards what all features have in common.

    Parameters
    ----------
    difference
        Difference of the means, shape (features,).
    variances, freedom
        Residual variance and its degrees of freedom, shape (features,).
    weight
        What the variance is divided by to be that of the difference: ``n m / (n + m)`` for n wells against m.

    Returns
    -------
    numpy.ndarray
        Two-sided p values, shape (features,); NaN where a feature has no variance, no freedom or no difference.

    Notes
    -----
    Smyth (2004), as `variance_prior`; degrees of freedom never exceed the sum over all features, as in limma.
    """
    from scipy.special import stdtr

    p_values = np.full(len(difference), np.nan)
    usable = np.isfinite(difference) & np.isfinite(variances) & (variances > 0) & (freedom > 0) & (weight > 0)
    if not usable.any():
        return p_values
    variance, own = variances[usable], freedom[usable]
    prior = variance_prior(variance, own)
    if np.isinf(prior.freedom):
        posterior = np.full(len(variance), prior.variance)
    else:
        posterior = (prior.freedom * prior.variance + own * variance) / (prior.freedom + own)
    total = np.minimum(own + prior.freedom, own.sum())
    t = difference[usable] / np.sqrt(posterior / weight[usable])
    p_values[usable] = 2 * stdtr(total, -np.abs(t))
    return p_values


def _inverse_trigamma(value: float) -> float:
    """Solve trigamma(x) = value for x, by Newton's method as in limma's ``trigammaInverse``."""
    from scipy.special import polygamma

    if value > 1e7:
        return float(1 / np.sqrt(value))
    if value < 1e-6:
        return 1 / value
    x = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(polygamma(1, x))
        step = trigamma * (1 - trigamma / value) / float(polygamma(2, x))
        x += step
        if -step / x < 1e-8:
            break
    return x
