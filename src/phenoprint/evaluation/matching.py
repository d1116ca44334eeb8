"""Percent matching: mechanisms whose compounds correlate above random groups of compounds of other mechanisms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import IntArray

__all__ = ["matching_groups"]

_ROUNDS = 40


def matching_groups(
    vectors: NDArray[np.floating],
    membership: NDArray[np.bool_],
    *,
    quantile: float = 0.95,
    null_size: int = 1000,
    seed: int = 0,
) -> list[bool | None]:
    """Compare the median correlation of the members of each group with random groups of as many.

    Known as percent matching (Way et al., Cell Systems 13:911, 2022).

    Parameters
    ----------
    vectors
        Of the compounds, shape (compounds, features).
    membership
        Which compounds belong to which mechanism, shape (compounds, mechanisms). No two compounds of a random group
        share a mechanism; compounds without any are in no group.
    quantile
        Of the random groups, that the median correlation must exceed.
    null_size
        Random groups of each size.
    seed
        Seed of the draws.

    Returns
    -------
    list
        For each mechanism whether it matches; None for fewer than two compounds, or where there are hardly any random
        groups of its size.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> membership = np.repeat(np.eye(10, dtype=bool), 3, axis=0)
    >>> vectors = rng.normal(size=(30, 20)) + 9 * membership[:, :1] * rng.normal(size=20)
    >>> matching_groups(vectors, membership)[0]
    True
    """
    labelled = np.flatnonzero(membership.any(axis=1))
    member = membership[labelled]
    centred = vectors[labelled] - vectors[labelled].mean(axis=1, keepdims=True)
    centred = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    similarity = centred @ centred.T
    codes = member.astype(np.float32)
    related = codes @ codes.T > 0
    thresholds: dict[int, float | None] = {}
    found: list[bool | None] = []
    for own in member.T:
        n = int(own.sum())
        if n < 2:
            found.append(None)
            continue
        if n not in thresholds:
            groups = _random_groups(related, n, null_size, seed)
            thresholds[n] = None if groups is None else float(np.quantile(_medians(similarity, groups), quantile))
        threshold = thresholds[n]
        score = float(_medians(similarity, np.flatnonzero(own)[None, :])[0])
        found.append(None if threshold is None else score > threshold)
    return found


def _random_groups(related: NDArray[np.bool_], size: int, null_size: int, seed: int) -> IntArray | None:
    """Draw groups in which no two are related, shape (null_size, size)."""
    rng = np.random.default_rng([seed, size])
    first, second = np.triu_indices(size, 1)
    found: list[IntArray] = []
    for _ in range(_ROUNDS):
        drawn = rng.integers(len(related), size=(null_size, size))
        found.append(drawn[~related[drawn[:, first], drawn[:, second]].any(axis=1)])
        if sum(map(len, found)) >= null_size:
            return np.concatenate(found)[:null_size]
    return None


def _medians(similarity: NDArray[np.floating], groups: IntArray) -> NDArray[np.float64]:
    first, second = np.triu_indices(groups.shape[1], 1)
    return np.asarray(np.median(similarity[groups[:, first], groups[:, second]], axis=1), dtype=np.float64)
