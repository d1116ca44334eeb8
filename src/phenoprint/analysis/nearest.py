"""Nearest profiles by exact matrix products, a block at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from phenoprint.evaluation import block_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["largest", "nearest_rows", "unit_rows"]


def unit_rows(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Scale each profile to length 1; profiles of length 0 stay 0.

    Examples
    --------
    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])).round(2).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    length = np.sqrt(np.einsum("ij,ij->i", values, values, dtype=np.float64)).astype(np.float32)[:, None]
    unit = np.zeros(values.shape, np.float32)
    np.divide(values, length, out=unit, where=length > 0, casting="same_kind")
    return unit


def nearest_rows(unit: NDArray[np.float32], k: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Find the nearest other profiles of each profile.

    Parameters
    ----------
    unit
        Profiles of length 1, shape (profiles, features).
    k
        Neighbours of a profile, at most.

    Returns
    -------
    tuple
        Numbers of the neighbours and their cosine similarity, both of shape (profiles, k) or narrower where there are
        fewer others; most alike first, and of equal ones the one with the lowest number.
    """
    n = len(unit)
    k = min(k, max(n - 1, 0))
    index, alike = np.zeros((n, k), np.intp), np.zeros((n, k), np.float32)
    step = block_rows(n)
    for start in range(0, n if k else 0, step):
        block = slice(start, min(start + step, n))
        found = unit[block] @ unit.T
        found[np.arange(len(found)), np.arange(n)[block]] = -np.inf
        index[block] = largest(found, k)
        alike[block] = np.take_along_axis(found, index[block], axis=1)
    return index, alike


def largest(values: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """Return the columns of the k largest values of each row, largest first; of equal ones the first column first.

    The same as a stable sort of each row, without sorting all of it.
    """
    if k >= values.shape[1] or k < 1:
        return np.argsort(-values, axis=1, kind="stable")[:, : max(k, 0)]
    chosen = np.argpartition(values, -k, axis=1)[:, -k:]
    chosen.sort(axis=1)
    held = np.take_along_axis(values, chosen, axis=1)
    # Where others equal the smallest one chosen, argpartition takes any of them: sort these rows.
    least = held.min(axis=1, keepdims=True)
    tied = np.flatnonzero((values == least).sum(axis=1) > (held == least).sum(axis=1))
    order = np.take_along_axis(chosen, np.argsort(-held, axis=1, kind="stable"), axis=1)
    order[tied] = np.argsort(-values[tied], axis=1, kind="stable")[:, :k]
    return order
