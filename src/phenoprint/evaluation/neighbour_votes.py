"""Mechanisms by the votes of nearest neighbours; profiles and baselines go through this code alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from phenoprint.evaluation.similarities import block_rows, similarity_block

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    from phenoprint.evaluation.similarities import Vectors

    Floats = NDArray[np.float64]

__all__ = ["NeighbourVotes", "neighbour_votes"]

_EQUAL = 1e-9
_BY_RANK = 1e-3  # how much the nearest neighbour's vote exceeds others, which decides between labels of equal votes


@dataclass(frozen=True)
class NeighbourVotes:
    """What the neighbours of some rows voted for.

    Attributes
    ----------
    predicted
        Column of the label with most votes, -1 without a neighbour; shape (rows,). Between equals that of the nearest
        neighbour, then the first.
    correct
        1 where that is a label of the row, 0 where it is not, a fraction where labels are equal in votes and nearness;
        NaN without a neighbour. Shape (rows,).
    shuffled
        The same with labels shuffled, mean over the shuffles; shape (rows,).
    shuffled_means
        Mean over rows of each shuffle, shape (shuffles,).
    nearest, similarity
        Row of the nearest neighbour, -1 without one, and the similarity to it; shape (rows,).
    """

    predicted: NDArray[np.intp]
    correct: Floats
    shuffled: Floats
    shuffled_means: Floats
    nearest: NDArray[np.intp]
    similarity: Floats


def neighbour_votes(
    vectors: Vectors,
    labels: NDArray[np.bool_],
    keys: Sequence[NDArray[np.intp]],
    *,
    queries: NDArray[np.bool_] | None = None,
    k: int = 1,
    n_shuffles: int = 0,
    seed: int = 0,
) -> NeighbourVotes:
    """Let the `k` nearest neighbours of each row vote for its label.

    Parameters
    ----------
    vectors
        The rows, all of them candidates.
    labels
        Which labels each row has, shape (rows, labels).
    keys
        A neighbour differs in each; shape (rows,). The first is the unit that shuffles keep together.
    queries
        The rows that are predicted; None: all.
    k
        Neighbours that vote. Those at equal distance share what is left of the votes.
    n_shuffles
        Shuffles of the labels between units.
    seed
        Seed of the shuffles.
    """
    n, n_labels = labels.shape
    asked = np.ones(n, dtype=bool) if queries is None else queries
    predicted, nearest = np.full(n, -1, np.intp), np.full(n, -1, np.intp)
    correct, shuffled, similarity = np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan)
    given = _shuffles(labels, keys, n_shuffles, seed)
    sums, counted = np.zeros(n_shuffles), 0
    for rows, weights, nearest_rows, nearest_values in _blocks(vectors, keys, np.flatnonzero(asked), k):
        has = nearest_rows >= 0
        nearest[rows], similarity[rows] = nearest_rows, nearest_values
        if not n_labels or not has.any():
            continue
        winners = _winners(weights, labels)
        predicted[rows[has]] = winners[has].argmax(axis=1)
        correct[rows[has]] = _share_right(winners, labels[rows])[has]
        if n_shuffles:
            total = np.zeros(len(rows))
            for number, order in enumerate(given):
                own = labels[order]
                right = _share_right(_winners(weights, own), own[rows])
                total += right
                sums[number] += right[has].sum()
            shuffled[rows[has]] = total[has] / n_shuffles
            counted += int(has.sum())
    return NeighbourVotes(predicted, correct, shuffled, sums / max(counted, 1), nearest, similarity)


def _blocks(
    vectors: Vectors, keys: Sequence[NDArray[np.intp]], asked: NDArray[np.intp], k: int
) -> Iterator[tuple[NDArray[np.intp], csr_array, NDArray[np.intp], Floats]]:
    """Yield some queries with the weights of their neighbours, and the nearest one with its similarity."""
    from scipy.sparse import csr_array

    n = len(vectors.values)
    step = block_rows(n)
    for start in range(0, len(asked), step):
        rows = asked[start : start + step]
        allowed = rows[:, None] != np.arange(n)[None, :]
        for key in keys:
            allowed &= key[rows][:, None] != key[None, :]
        near = np.where(allowed, similarity_block(vectors, rows), np.float32(-np.inf))
        last = np.partition(near, n - k, axis=1)[:, n - k] if n > k else np.full(len(rows), np.float32(-np.inf))
        query, other = np.nonzero(allowed & (near >= last[:, None]))
        found = near[query, other]
        order = np.lexsort([other, -found, query])
        query, other, found = query[order], other[order], found[order]
        is_last = found == last[query]
        n_before = np.bincount(query[~is_last], minlength=len(rows))
        n_last = np.bincount(query[is_last], minlength=len(rows))
        weight = np.where(is_last, ((k - n_before) / np.maximum(n_last, 1))[query], 1.0)
        weight *= 1 + _BY_RANK * 0.5 ** np.minimum(_dense_ranks(query, found), 20)
        best, value = np.full(len(rows), -1, np.intp), np.full(len(rows), np.nan)
        first = np.flatnonzero(np.concatenate([[True], query[1:] != query[:-1]])) if len(query) else np.arange(0)
        best[query[first]], value[query[first]] = other[first], found[first]
        yield rows, csr_array((weight, (query, other)), shape=(len(rows), n)), best, value


def _dense_ranks(query: NDArray[np.intp], found: NDArray[np.float32]) -> NDArray[np.intp]:
    """Rank from 0 of each neighbour of a query, equal for equal similarities; sorted by query and similarity."""
    if not len(query):
        return np.arange(0)
    is_new_query = np.concatenate([[True], query[1:] != query[:-1]])
    is_new_value = np.concatenate([[True], found[1:] != found[:-1]]) | is_new_query
    number = np.cumsum(is_new_value) - 1
    starts = np.flatnonzero(is_new_query)
    ranks: NDArray[np.intp] = number - np.repeat(number[starts], np.diff([*starts, len(query)]))
    return ranks


def _winners(weights: csr_array, labels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark the labels with most votes, shape (queries, labels)."""
    votes = weights @ labels.astype(np.float64)
    most = votes.max(axis=1, keepdims=True)
    winners: NDArray[np.bool_] = (votes >= most - _EQUAL) & (most > 0)
    return winners


def _share_right(winners: NDArray[np.bool_], labels: NDArray[np.bool_]) -> Floats:
    right: Floats = (winners & labels).sum(axis=1) / np.maximum(winners.sum(axis=1), 1)
    return right


def _shuffles(
    labels: NDArray[np.bool_], keys: Sequence[NDArray[np.intp]], n_shuffles: int, seed: int
) -> Iterator[NDArray[np.intp]] | list[NDArray[np.intp]]:
    """For each shuffle, the row whose labels each row is given; rows of a unit with equal labels stay together."""
    if not n_shuffles:
        return []
    unit_key = keys[0] if keys else np.arange(len(labels))
    text = np.unique(labels, axis=0, return_inverse=True)[1].ravel()
    _, first, unit = np.unique(np.column_stack([unit_key, text]), axis=0, return_index=True, return_inverse=True)
    rng = np.random.default_rng(seed)
    return [rng.permutation(first)[unit.ravel()] for _ in range(n_shuffles)]
