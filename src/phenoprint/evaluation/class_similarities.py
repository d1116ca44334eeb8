"""How similar each treatment is to the references of each mechanism, its own compound left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from phenoprint.evaluation.similarities import block_rows, similarity_block

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.evaluation.similarities import Vectors

    Floats = NDArray[np.float64]

__all__ = ["ClassSimilarities", "class_similarities"]


@dataclass(frozen=True)
class ClassSimilarities:
    """Similarities of some rows to mechanisms, without references of the row's own compound.

    A compound is as similar as the most similar of its references (doses).

    Attributes
    ----------
    mean
        Mean over the compounds of the mechanism, shape (rows, mechanisms); NaN without another compound.
    highest
        That of the most similar compound, likewise.
    nearest, similarity
        Row of the most similar reference of any mechanism, -1 without one, and the similarity; shape (rows,).
    n_compounds
        Other compounds with the mechanism, shape (rows, mechanisms).
    """

    mean: Floats
    highest: Floats
    nearest: NDArray[np.intp]
    similarity: Floats
    n_compounds: NDArray[np.intp]


def class_similarities(vectors: Vectors, compounds: NDArray[np.intp], labels: NDArray[np.bool_]) -> ClassSimilarities:
    """Compare every row with the references of every mechanism.

    Parameters
    ----------
    vectors
        The rows.
    compounds
        Number of the compound of each row; shape (rows,).
    labels
        Which mechanisms each row has, shape (rows, mechanisms). The rows that have one are the references.
    """
    n, n_classes = labels.shape
    references = np.flatnonzero(labels.any(axis=1))
    # One unit per compound and label: doses of a compound may have different mechanisms.
    text = np.unique(labels, axis=0, return_inverse=True)[1].ravel()
    keys = np.column_stack([compounds[references], text[references]])
    _, unit = np.unique(keys, axis=0, return_inverse=True)
    order = np.argsort(unit.ravel(), kind="stable")
    references, unit = references[order], unit.ravel()[order]
    starts = np.flatnonzero(np.concatenate([[True], unit[1:] != unit[:-1]])) if len(unit) else np.arange(0)
    of_unit, has = compounds[references[starts]], labels[references[starts]]
    members = [np.flatnonzero(has[:, number]) for number in range(n_classes)]
    mean, highest = np.full((n, n_classes), np.nan), np.full((n, n_classes), np.nan)
    counts = np.zeros((n, n_classes), np.intp)
    nearest, similarity = np.full(n, -1, np.intp), np.full(n, np.nan)
    step = block_rows(max(n, 1))
    for start in range(0, n if len(references) else 0, step):
        rows = np.arange(start, min(start + step, n))
        near = similarity_block(vectors, rows, references)
        is_own = of_unit[None, :] == compounds[rows][:, None]
        of_units = np.where(is_own, np.float32(-np.inf), np.maximum.reduceat(near, starts, axis=1))
        near[np.repeat(is_own, np.diff([*starts, len(references)]), axis=1)] = -np.inf
        best = near.argmax(axis=1)
        value = near[np.arange(len(rows)), best].astype(np.float64)
        found = np.isfinite(value)
        nearest[rows[found]], similarity[rows[found]] = references[best[found]], value[found]
        total = np.where(is_own, 0.0, of_units).astype(np.float64) @ has
        counts[rows] = (~is_own).astype(np.float64) @ has
        np.divide(total, counts[rows], out=mean[start : start + len(rows)], where=counts[rows] > 0)
        for number, own in enumerate(members):
            if len(own):
                top = of_units[:, own].max(axis=1)
                highest[rows, number] = np.where(np.isfinite(top), top, np.nan)
    return ClassSimilarities(mean, highest, nearest, similarity, counts)
