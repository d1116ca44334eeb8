"""How well each mechanism fits each treatment: a probability, and a conformal p value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from phenoprint.evaluation.class_probabilities import (
    class_evidence,
    conformal_p,
    fit_logistic,
    fold_of_compounds,
    logistic,
)
from phenoprint.evaluation.class_similarities import class_similarities
from phenoprint.evaluation.class_tightness import class_tightness

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.evaluation.similarities import Vectors

    Floats = NDArray[np.float64]

__all__ = ["ClassFit", "fit_classes", "least_compounds"]

_N_FOLDS = 5


@dataclass(frozen=True)
class ClassFit:
    """How well each mechanism fits each row; nothing of a row's own compound was used for it.

    Attributes
    ----------
    probability
        Probability that the row has the mechanism, shape (rows, mechanisms); NaN without another compound of it.
    p_value
        Conformal p value: how often a true mechanism fits no better; shape (rows, mechanisms).
    nearest, similarity
        The most similar reference and the similarity to it, as in `ClassSimilarities`; shape (rows,).
    n_compounds
        Other compounds with the mechanism, shape (rows, mechanisms).
    n_calibrated
        Compounds that the fit was calibrated on.
    reason
        Why there is no probability and no p value; None where there are.
    """

    probability: Floats
    p_value: Floats
    nearest: NDArray[np.intp]
    similarity: Floats
    n_compounds: NDArray[np.intp]
    n_calibrated: int
    reason: str | None


def least_compounds(coverage: float) -> int:
    """Compounds that a calibration needs, so that its smallest p value lets a mechanism be left out of a set.

    Examples
    --------
    >>> least_compounds(0.9), least_compounds(0.95)
    (9, 19)
    """
    return math.ceil(round(1 / (1 - coverage), 9)) - 1


def fit_classes(
    vectors: Vectors,
    compounds: NDArray[np.intp],
    labels: NDArray[np.bool_],
    is_calibration: NDArray[np.bool_],
    *,
    strength: Floats,
    coverage: float = 0.9,
    seed: int = 0,
) -> ClassFit:
    """Fit every mechanism to every row.

    Parameters
    ----------
    vectors
        The rows: treatments, and positive controls with a mechanism.
    compounds
        Number of the compound of each row; shape (rows,).
    labels
        Which mechanisms each row has, shape (rows, mechanisms). All labelled rows are references.
    is_calibration
        Rows like those to be called, such as active treatments; the labelled ones among them calibrate. Shape (rows,).
    strength
        Logarithm of the length of each profile; shape (rows,). A weak profile is less like its own mechanism.
    coverage
        The coverage that sets will be made for; it decides how many compounds the calibration needs.
    seed
        Seed of the folds of compounds.

    Notes
    -----
    The similarity of a treatment to a mechanism is the mean over the other compounds of the mechanism of their highest
    similarity at any dose. A logistic regression turns it, that of the most similar compound, and the margins of both
    over all other mechanisms into a probability. It is fitted on the labelled treatments, each compared with other
    compounds; a labelled treatment gets its probability from a fit on other folds of compounds.

    A mechanism fits as well as the worse of two ranks among the true mechanisms of the calibration: that of the mean
    similarity, less what is usual for profiles of that strength and for a mechanism whose compounds are that alike (by
    linear regression), and that of the probability. The first finds treatments that are like no mechanism, the second
    those that are like another one more. The conformal p value is the rank of that number in turn.
    """
    near = class_similarities(vectors, compounds, labels)
    evidence = class_evidence(near.mean, near.highest)
    there = ~np.isnan(near.mean)
    own = labels & there
    rows = np.flatnonzero(is_calibration & own.any(axis=1))
    units = compounds[rows]
    n_units = len(np.unique(units))
    unknown = np.full(labels.shape, np.nan)
    reason = _too_few(labels, n_units, coverage)
    if reason is not None:
        return ClassFit(unknown, unknown, near.nearest, near.similarity, near.n_compounds, n_units, reason)
    _, unit, size = np.unique(units, return_inverse=True, return_counts=True)
    weights = 1.0 / size[unit.ravel()]
    tightness = class_tightness(vectors, compounds, labels, rows, weights)

    def fit(chosen: NDArray[np.bool_], applied: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        here, weight = rows[chosen], weights[chosen]
        row, column = np.nonzero(there[here])
        beta = fit_logistic(evidence[here][row, column], labels[here][row, column], weight[row])
        row, column = np.nonzero(own[here])
        known = np.column_stack([strength[here][row], tightness[here][row, column]])
        usual = _regression(known, near.mean[here][row, column], weight[row])
        expected = usual[0] + usual[1] * strength[applied][:, None] + usual[2] * tightness[applied]
        return logistic(evidence[applied], beta), near.mean[applied] - expected

    probability, excess = fit(np.ones(len(rows), dtype=bool), np.ones(len(labels), dtype=bool))
    folds = fold_of_compounds(units, _N_FOLDS, seed)
    # Also the treatments of these compounds that are not in the calibration.
    fold_of = {int(compound): int(fold) for compound, fold in zip(units, folds, strict=True)}
    fold_of_row = np.array([fold_of.get(int(compound), -1) for compound in compounds])
    for fold in range(_N_FOLDS):
        held_out = fold_of_row == fold
        probability[held_out], excess[held_out] = fit(folds != fold, held_out)
    fit_of_all = np.minimum(
        _ranks(excess, _of_true(excess, own, rows)), _ranks(probability, _of_true(probability, own, rows))
    )
    calibration = _of_true(fit_of_all, own, rows)
    p_value = conformal_p(fit_of_all, compounds, calibration, units)
    return ClassFit(probability, p_value, near.nearest, near.similarity, near.n_compounds, n_units, None)


def _too_few(labels: NDArray[np.bool_], n_units: int, coverage: float) -> str | None:
    n_classes = int(labels.any(axis=0).sum())
    if not n_classes:
        return "no treatment has a mechanism"
    if n_classes < 2:
        return "all labelled treatments have the same mechanism, so no other can be told from it"
    least = least_compounds(coverage)
    if n_units < least:
        return (
            f"{n_units} active compounds share a mechanism with another compound; a set with a coverage of "
            f"{coverage:.0%} needs {least}"
        )
    return None


def _regression(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Intercept and slopes of a weighted linear regression."""
    root = np.sqrt(weights)
    with_intercept = np.column_stack([np.ones(len(x)), x]) * root[:, None]
    found: Floats = np.linalg.lstsq(with_intercept, root * y, rcond=None)[0]
    return found


def _of_true(values: Floats, own: NDArray[np.bool_], rows: NDArray[np.intp]) -> Floats:
    """Return the value of the true mechanism of each row, the best of several; shape (rows,)."""
    best: Floats = np.where(own[rows], values[rows], -np.inf).max(axis=1)
    return best


def _ranks(values: Floats, of_true: Floats) -> Floats:
    """Share of the true mechanisms with a value as low or lower; NaN stays."""
    ranks = np.searchsorted(np.sort(of_true), np.nan_to_num(values), side="right") / (len(of_true) + 1)
    return np.where(np.isnan(values), np.nan, ranks)
