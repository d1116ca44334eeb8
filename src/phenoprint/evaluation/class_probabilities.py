"""Probabilities of mechanisms from similarities, and sets of mechanisms with a chosen coverage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["class_evidence", "conformal_p", "fit_logistic", "fold_of_compounds", "logistic"]

_RIDGE: Final = 1e-3
_MOST_STEPS: Final = 100


def class_evidence(mean: Floats, highest: Floats) -> Floats:
    """Turn similarities into the evidence for each mechanism: how similar, and how much more than any other.

    Parameters
    ----------
    mean, highest
        As in `ClassSimilarities`, shape (rows, mechanisms).

    Returns
    -------
    numpy.ndarray
        Shape (rows, mechanisms, 4): both similarities, and both minus the largest among the other mechanisms. NaN
        without a reference of the mechanism.
    """
    return np.stack([mean, highest, mean - _largest_other(mean), highest - _largest_other(highest)], axis=2)


def _largest_other(values: Floats) -> Floats:
    """Return the largest value of the other columns of each row; the own one without any other."""
    filled = np.where(np.isnan(values), -np.inf, values)
    order = np.sort(filled, axis=1)
    first = order[:, -1:]
    second = order[:, -2:-1] if values.shape[1] > 1 else np.full_like(first, -np.inf)
    other = np.where(filled == first, second, first)
    return np.where(np.isfinite(other), other, values)


def fit_logistic(evidence: Floats, is_true: NDArray[np.bool_], weights: Floats) -> Floats:
    """Fit a logistic regression by Newton steps, with smoothed targets as in Platt scaling.

    Parameters
    ----------
    evidence
        Shape (pairs, columns).
    is_true
        Shape (pairs,).
    weights
        Weight of each pair, shape (pairs,).

    Returns
    -------
    numpy.ndarray
        Intercept and coefficients, shape (columns + 1,).

    Notes
    -----
    Targets are (n1 + 1) / (n1 + 2) and 1 / (n0 + 2) with the weighted numbers of true and false pairs (Platt, Advances
    in Large Margin Classifiers, 1999; Lin et al., Machine Learning 68:267, 2007), so that pairs that can be separated
    do not get probabilities of 0 and 1.
    """
    n1, n0 = float(weights[is_true].sum()), float(weights[~is_true].sum())
    target = np.where(is_true, (n1 + 1) / (n1 + 2), 1 / (n0 + 2))
    center, scale = evidence.mean(axis=0), evidence.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    x = np.column_stack([np.ones(len(evidence)), (evidence - center) / scale])
    penalty = np.diag([0.0, *[_RIDGE * float(weights.sum())] * evidence.shape[1]])
    beta = np.zeros(x.shape[1])
    beta[0] = np.log((n1 + 1) / (n0 + 1))

    def loss(at: Floats) -> float:
        z = x @ at
        return float(weights @ (np.logaddexp(0, z) - target * z) + at @ penalty @ at / 2)

    for _ in range(_MOST_STEPS):
        p = _sigmoid(x @ beta)
        gradient = x.T @ (weights * (p - target)) + penalty @ beta
        hessian = (x * (weights * p * (1 - p))[:, None]).T @ x + penalty + 1e-9 * np.eye(len(beta))
        step = np.linalg.solve(hessian, gradient)
        size, now = 1.0, loss(beta)
        while size > 1e-6 and loss(beta - size * step) > now:
            size /= 2
        beta = beta - size * step
        if np.abs(size * step).max() < 1e-8:
            break
    slopes = beta[1:] / scale
    return np.concatenate([[beta[0] - slopes @ center], slopes])


def logistic(evidence: Floats, beta: Floats) -> Floats:
    """Probability of each pair; shape (..., columns) to (...). NaN stays."""
    return _sigmoid(evidence @ beta[1:] + beta[0])


def _sigmoid(z: Floats) -> Floats:
    p: Floats = 0.5 * (1 + np.tanh(z / 2))
    return p


def fold_of_compounds(compounds: NDArray[np.intp], n_folds: int, seed: int) -> NDArray[np.intp]:
    """Assign compounds to folds of equal size at random; shape (rows,)."""
    units, unit = np.unique(compounds, return_inverse=True)
    folds = np.random.default_rng(seed).permutation(len(units)) % n_folds
    chosen: NDArray[np.intp] = folds[unit.ravel()]
    return chosen


def conformal_p(scores: Floats, own: NDArray[np.intp], calibration: Floats, compounds: NDArray[np.intp]) -> Floats:
    """Conformal p value of each score: how often a true mechanism fits no better.

    Parameters
    ----------
    scores
        How well each mechanism fits each row, larger is better; shape (rows, mechanisms).
    own
        The number of the compound of each row; it is left out of the calibration. Shape (rows,).
    calibration
        How well its true mechanism fits each calibration treatment, shape (treatments,).
    compounds
        Number of the compound of each calibration treatment, shape (treatments,).

    Returns
    -------
    numpy.ndarray
        Shape (rows, mechanisms); NaN where `scores` is NaN.

    Notes
    -----
    The mechanisms with p above a hold the true one with probability 1 - a or more, for treatments of a compound that
    is exchangeable with those of the calibration (Vovk et al., Algorithmic Learning in a Random World, 2005). Compounds
    are exchangeable, their doses are not independent: each compound has weight 1, shared by its treatments, as in
    Lee, Barber and Willett (arXiv 2306.06342).

    Examples
    --------
    >>> p = conformal_p(np.array([[0.5, 0.05]]), np.array([9]), np.linspace(0.1, 0.9, 9), np.arange(9))
    >>> p.tolist()
    [[0.6, 0.1]]
    """
    _, unit, size = np.unique(compounds, return_inverse=True, return_counts=True)
    weight = 1.0 / size[unit.ravel()]
    order = np.argsort(calibration, kind="stable")
    levels, cumulated = calibration[order], np.concatenate([[0.0], np.cumsum(weight[order])])
    at_most = cumulated[np.searchsorted(levels, np.nan_to_num(scores), side="right")]
    n = np.full(len(scores), float(len(size)))
    for compound in np.unique(own[np.isin(own, compounds)]):
        rows = np.flatnonzero(own == compound)
        mine = compounds == compound
        at_most[rows] -= (calibration[mine][:, None, None] <= scores[rows]).mean(axis=0)
        n[rows] -= 1
    return np.where(np.isnan(scores), np.nan, (1 + at_most) / (1 + n[:, None]))
