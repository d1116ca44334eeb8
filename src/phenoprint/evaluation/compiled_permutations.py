"""Compiled loops of average precision and permutations; imported only where they run, since numba is slow to load."""

# Compiled loops take flat arguments; numba infers the types.
# ruff: noqa: PLR0912, PLR0917
# mypy: allow-untyped-defs, disable-error-code="no-untyped-call,untyped-decorator"

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["drawn_scores", "pairs_in_one_place", "precision_of_queries", "ranks_among_candidates", "scores_of_sets"]


@njit(cache=True)
def ranks_among_candidates(similarity, plate, place, own_plate_counts, exclude_same_place):
    """Rank the candidates of each well by similarity, the most similar first; equal ones share their mean rank.

    Parameters
    ----------
    similarity
        Shape (wells, wells).
    plate, place
        Codes of plate and well position, shape (wells,).
    own_plate_counts
        By plate code: whether other wells of a query's own plate are candidates.
    exclude_same_place
        Whether wells in the position of the query are no candidates.

    Returns
    -------
    ranks
        Shape (wells, wells), float64; 0 for no candidate.
    """
    n = similarity.shape[0]
    ranks = np.zeros((n, n))
    chosen = np.empty(n, np.int64)
    values = np.empty(n)
    for query in range(n):
        m = 0
        for other in range(n):
            if other == query:
                continue
            if plate[other] == plate[query] and not own_plate_counts[plate[query]]:
                continue
            if exclude_same_place and place[other] == place[query]:
                continue
            chosen[m] = other
            values[m] = -similarity[query, other]
            m += 1
        order = np.argsort(values[:m])
        start = 0
        while start < m:
            stop = start + 1
            while stop < m and values[order[stop]] == values[order[start]]:
                stop += 1
            for at in range(start, stop):
                ranks[query, chosen[order[at]]] = (start + stop + 1) / 2
            start = stop
    return ranks


_TIE = 1e-6  # weight of the similarity beside the precision


@njit(cache=True)
def _score(ranks, similarity, chosen, found):
    """Mean over the chosen wells of the average precision of the other chosen wells; NaN without any pair.

    The mean similarity of the pairs, with a weight of a millionth, decides between sets of the same precision.
    """
    total, queries, alike, pairs = 0.0, 0, 0.0, 0
    r = chosen.shape[0]
    for a in range(r):
        m = 0
        row = ranks[chosen[a]]
        for b in range(r):
            if a == b:
                continue
            rank = row[chosen[b]]
            if rank == 0.0:
                continue
            alike += similarity[chosen[a], chosen[b]]
            pairs += 1
            at = m
            if r <= 24:  # insertion sort, the fastest for few values
                while at > 0 and found[at - 1] > rank:
                    found[at] = found[at - 1]
                    at -= 1
            found[at] = rank
            m += 1
        if m:
            if r > 24:
                found[:m].sort()
            precision = 0.0
            for k in range(m):
                precision += min((k + 1) / found[k], 1.0)
            total += precision / m
            queries += 1
    return total / queries + _TIE * alike / pairs if queries else np.nan


@njit(cache=True)
def scores_of_sets(ranks, similarity, sets):
    """Mean average precision of each set of wells, shape (sets, replicates) to (sets,); see `drawn_scores`."""
    result = np.empty(sets.shape[0])
    found = np.empty(max(sets.shape[1], 1))
    for at in range(sets.shape[0]):
        result[at] = _score(ranks, similarity, sets[at], found)
    return result


@njit(cache=True)
def drawn_scores(ranks, similarity, starts, sizes, n_draws, seed):
    """Mean average precision of random sets with the same number of wells of each plate.

    Parameters
    ----------
    ranks, similarity
        What `ranks_among_candidates` returned and was given; wells are sorted by plate.
    starts
        First well of each plate and the end, shape (plates + 1,).
    sizes
        How many wells of each plate are drawn, shape (plates,).
    n_draws, seed
        Number of draws, and the state of the generator (not 0).

    Returns
    -------
    scores
        Shape (n_draws,); NaN where no two wells of a set are a pair. A millionth of the mean similarity of the pairs is
        added to the precision, so that sets of the same precision differ: few replicates that all find each other first
        have the highest precision whatever their effect.
    """
    result = np.empty(n_draws)
    pool = np.arange(starts[-1])
    r = sizes.sum()
    chosen = np.empty(r, np.int64)
    found = np.empty(max(r, 1))
    state = np.uint64(seed)
    for draw in range(n_draws):
        at = 0
        for plate in range(sizes.shape[0]):
            low, high = starts[plate], starts[plate + 1]
            for k in range(sizes[plate]):
                state ^= state >> np.uint64(12)  # xorshift64*, Vigna 2016
                state ^= state << np.uint64(25)
                state ^= state >> np.uint64(27)
                number = (state * np.uint64(2685821657736338717)) >> np.uint64(11)
                swap = low + k + int(np.float64(number) / 9007199254740992.0 * (high - low - k))
                other = pool[swap]
                pool[swap] = pool[low + k]
                pool[low + k] = other
                chosen[at] = other
                at += 1
        result[draw] = _score(ranks, similarity, chosen, found)
    return result


@njit(cache=True)
def pairs_in_one_place(similarity, wells, n_draws, seed):
    """Sum the similarities of wells in the same place of different plates, as they are and shuffled within plates.

    Parameters
    ----------
    similarity
        Shape (wells, wells).
    wells
        The well in each place of each plate, shape (places, plates); -1 for none.
    n_draws, seed
        Number of shuffles, and the state of the generator (not 0).

    Returns
    -------
    sums
        Shape (n_draws + 1,); the first is that of the wells as they are.
    """
    n_places, n_plates = wells.shape
    table = wells.copy()
    sums = np.empty(n_draws + 1)
    own = np.empty(n_places, np.int64)
    state = np.uint64(seed)
    for draw in range(n_draws + 1):
        if draw:
            for plate in range(n_plates):
                m = 0
                for place in range(n_places):
                    if table[place, plate] >= 0:
                        own[m] = place
                        m += 1
                for k in range(m - 1):
                    state ^= state >> np.uint64(12)
                    state ^= state << np.uint64(25)
                    state ^= state >> np.uint64(27)
                    number = (state * np.uint64(2685821657736338717)) >> np.uint64(11)
                    swap = k + int(np.float64(number) / 9007199254740992.0 * (m - k))
                    other = table[own[swap], plate]
                    table[own[swap], plate] = table[own[k], plate]
                    table[own[k], plate] = other
        total = 0.0
        for place in range(n_places):
            for a in range(n_plates):
                i = table[place, a]
                if i < 0:
                    continue
                for b in range(a + 1, n_plates):
                    j = table[place, b]
                    if j >= 0:
                        total += similarity[i, j]
        sums[draw] = total
    return sums


@njit(cache=True)
def precision_of_queries(similarity, positive, negative, scores):
    """Write the average precision of each query; NaN without positives.

    Parameters
    ----------
    similarity, positive, negative
        Shape (queries, candidates).
    scores
        Shape (queries,), float64. Candidates of equal similarity count with the average over all their orders.
    """
    n = similarity.shape[1]
    values = np.empty(n, similarity.dtype)
    above = np.empty(n + 1, np.int64)
    equal = np.empty(n, np.int64)
    for query in range(similarity.shape[0]):
        m = 0
        for other in range(n):
            if positive[query, other]:
                values[m] = similarity[query, other]
                m += 1
        if m == 0:
            scores[query] = np.nan
            continue
        values[:m].sort()  # ascending
        above[: m + 1] = 0  # negatives that lie between the positives, by the number of positives below them
        equal[:m] = 0
        for other in range(n):
            if not negative[query, other]:
                continue
            value = similarity[query, other]
            low, high = 0, m
            while low < high:
                middle = (low + high) // 2
                if values[middle] < value:
                    low = middle + 1
                else:
                    high = middle
            if low < m and values[low] == value:
                equal[low] += 1  # of equal positives the first
            else:
                above[low] += 1
        total, before, better = 0.0, 0, 0  # positives and negatives that are more alike
        last = m
        while last > 0:
            first = last - 1
            while first > 0 and values[first - 1] == values[last - 1]:
                first -= 1
            better += above[last]
            own = last - first
            size = own + equal[first]
            for position in range(size):
                among = position * (own - 1) / max(size - 1, 1)
                total += own / size * (before + 1 + among) / (before + better + position + 1)
            before += own
            better += equal[first]
            for place in range(first + 1, last):
                better += above[place]
            last = first
        scores[query] = total / m
