"""How alike the compounds of a mechanism are to each other, which is what a member of it may be expected to reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from phenoprint.evaluation.similarities import similarity_block

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.evaluation.similarities import Vectors

    Floats = NDArray[np.float64]

__all__ = ["class_tightness"]

_PRIOR: Final = 1.0  # compounds; with few of its own, a mechanism is taken to be as tight as others


def class_tightness(
    vectors: Vectors,
    compounds: NDArray[np.intp],
    labels: NDArray[np.bool_],
    members: NDArray[np.intp],
    weights: Floats,
) -> Floats:
    """Return the mean similarity between the compounds of each mechanism, for each row without its own compound.

    Parameters
    ----------
    vectors
        The rows.
    compounds
        Number of the compound of each row; shape (rows,).
    labels
        Which mechanisms each row has, shape (rows, mechanisms).
    members
        The rows whose similarity to the other compounds of their mechanism counts, such as active treatments.
    weights
        Weight of each of them; shape (members,).

    Returns
    -------
    numpy.ndarray
        Shape (rows, mechanisms). A row's own compound is neither a member nor a reference, so that a labelled row and a
        new one are treated alike. Few compounds are shrunk to the mean of all mechanisms.
    """
    n, n_classes = labels.shape
    totals, sizes = np.zeros(n_classes), np.zeros(n_classes)
    own: list[dict[int, tuple[float, float]]] = []
    for column in range(n_classes):
        chosen = labels[members, column]
        total, size, without = _one_class(
            vectors, compounds, np.flatnonzero(labels[:, column]), members[chosen], weights[chosen]
        )
        totals[column], sizes[column] = total, size
        own.append(without)
    usual = totals.sum() / sizes.sum() if sizes.sum() else 0.0
    tightness = np.tile((totals + _PRIOR * usual) / (sizes + _PRIOR), (n, 1))
    for column, without in enumerate(own):
        rows = np.flatnonzero(labels[:, column])
        for row, compound in zip(rows.tolist(), compounds[rows].tolist(), strict=True):
            if compound in without:
                total, size = without[compound]
                tightness[row, column] = (total + _PRIOR * usual) / (size + _PRIOR)
    return tightness


def _one_class(
    vectors: Vectors,
    compounds: NDArray[np.intp],
    references: NDArray[np.intp],
    members: NDArray[np.intp],
    weights: Floats,
) -> tuple[float, float, dict[int, tuple[float, float]]]:
    """Sum the similarities of the members to the other compounds, and the weights; also without each compound."""
    order = np.argsort(compounds[references], kind="stable")
    references = references[order]
    units, starts = np.unique(compounds[references], return_index=True)
    if len(units) < 2 or not len(members):
        return 0.0, 0.0, dict.fromkeys(units.tolist(), (0.0, 0.0))
    near = np.maximum.reduceat(similarity_block(vectors, members, references), starts, axis=1).astype(np.float64)
    is_own = compounds[members][:, None] == units[None, :]
    near[is_own] = 0.0
    total, count = near.sum(axis=1), (~is_own).sum(axis=1)
    mean = total / count
    without = {}
    for number, compound in enumerate(units.tolist()):
        others = compounds[members] != compound
        left = count[others] - 1
        if not others.any() or not left.all():
            without[compound] = (0.0, 0.0)
            continue
        reduced = (total[others] - near[others, number]) / left
        without[compound] = (float(weights[others] @ reduced), float(weights[others].sum()))
    return float(weights @ mean), float(weights.sum()), without
