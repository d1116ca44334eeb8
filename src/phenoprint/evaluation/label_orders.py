"""Which wells of a pool are taken for the treatment: the orders of labels within plates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import combinations
from math import comb, prod
from typing import TYPE_CHECKING

import numpy as np

from phenoprint.evaluation.permutations import PermutationTest, compared

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["label_orders", "label_test", "n_label_orders", "tail_p_value"]

_DIGITS = 9  # that count: sums in another order differ in the last bits only
_NO_SHAPE = 1e-6  # a tail with less is exponential
_FEW = 10  # null values at or above a score: with fewer, their share is a poor estimate of p
_MANY = 1000  # null values; with fewer, the tail is fitted for scores above all of them only
_TAIL = 250  # null values that the tail is fitted to


def n_label_orders(sizes: Sequence[tuple[int, int]]) -> int:
    """Count the ways to label wells within plates.

    Parameters
    ----------
    sizes
        By plate: wells of the treatment, and wells in all.

    Examples
    --------
    >>> n_label_orders([(1, 9), (2, 4)])
    54
    """
    return prod(comb(total, treated) for treated, total in sizes)


@lru_cache(maxsize=256)
def label_orders(sizes: tuple[tuple[int, int], ...], null_size: int, seed: int) -> NDArray[np.int64]:
    """Label wells as treated within each plate, in every way where there are no more than `null_size`.

    Parameters
    ----------
    sizes
        By plate: wells of the treatment, and wells in all.
    null_size
        Labels drawn at random where there are more.
    seed
        Seed of the draws. Equal sizes get equal draws.

    Returns
    -------
    numpy.ndarray
        Shape (orders, treated wells): places in the pool of all wells, plate by plate. The first order is the observed
        one, in which the treated wells of a plate are its first.

    Examples
    --------
    >>> label_orders(((1, 2), (1, 2)), 100, 0).tolist()
    [[0, 2], [0, 3], [1, 2], [1, 3]]
    """
    starts = np.cumsum([0, *(total for _, total in sizes)])
    if n_label_orders(sizes) <= null_size:
        orders = np.empty((1, 0), dtype=np.int64)
        for start, (treated, total) in zip(starts, sizes, strict=False):
            own = np.array(list(combinations(range(start, start + total), treated)), dtype=np.int64)
            left = np.repeat(orders, len(own), axis=0)
            orders = np.concatenate([left, np.tile(own, (len(orders), 1))], axis=1)
        return orders
    rng = np.random.default_rng([seed, *np.array(sizes).ravel().tolist()])
    parts = []
    for start, (treated, total) in zip(starts, sizes, strict=False):
        keys = rng.random((null_size, total), dtype=np.float32)
        drawn = np.argpartition(keys, treated - 1, axis=1)[:, :treated] if treated < total else np.arange(total)[None]
        drawn = np.broadcast_to(drawn, (null_size, treated)).astype(np.int64) + start
        observed = np.arange(start, start + treated)[None]
        parts.append(np.concatenate([observed, drawn]))
    return np.concatenate(parts, axis=1)


def label_test(scores: Floats, *, n_orders: int | None, null_size: int) -> PermutationTest:
    """Compare the first of some scores with all of them, and fit a tail where too few are as large.

    Parameters
    ----------
    scores
        Of each order of labels, the observed one first.
    n_orders
        Orders that there are; None where scores are not those of orders of labels, but of single wells.
    null_size
        As in `label_orders`.
    """
    digits = _DIGITS - int(np.ceil(np.log10(max(float(np.abs(scores).max(initial=0.0)), 1e-300))))
    rounded = np.round(scores, digits)
    is_exact = n_orders is not None and n_orders <= null_size
    test = compared(float(rounded[0]), float(rounded[0]), rounded, is_exact=is_exact)
    if is_exact:
        return test
    least = 1 / n_orders if n_orders else 0.0
    p = tail_p_value(rounded[1:], float(rounded[0]), smallest=least)
    if n_orders:
        test = replace(test, smallest_p=least, smallest_mid_p=least / 2)
    return replace(test, p_value=p, mid_p=min(p, test.mid_p)) if p < test.p_value else test


def tail_p_value(null: Floats, score: float, *, smallest: float) -> float:
    """Return the share of a null at or above a score, with a fitted tail where few of its values are.

    Parameters
    ----------
    null
        Scores under the null hypothesis, without the observed one.
    score
        The observed score.
    smallest
        The smallest p value that the design allows; the fitted tail stops there.

    Notes
    -----
    ``(b + 1) / (n + 1)`` with b of n null values at or above the score (Phipson and Smyth, Stat Appl Genet Mol Biol
    9:39, 2010). Where b is below 10 (with fewer than 1,000 null values: 0), a generalized Pareto distribution is fitted
    to the largest 250 values, or a tenth of all, by its moments (Knijnenburg et al., Bioinformatics 25:i161, 2009),
    with a shape of 0 or more, so that the tail has no end.

    Examples
    --------
    >>> null = np.random.default_rng(0).exponential(size=10_000)
    >>> 1e-7 < tail_p_value(null, 14.0, smallest=0.0) < 1e-5
    True
    """
    count = int((null >= score).sum())
    share = (count + 1) / (len(null) + 1)
    few = _FEW if len(null) >= _MANY else 1
    if count >= few or len(null) < 4 * _FEW:
        return max(share, smallest)
    n_tail = min(_TAIL, len(null) // 10)
    ordered = np.sort(np.partition(null, len(null) - n_tail - 1)[len(null) - n_tail - 1 :])
    threshold, excess = float(ordered[0]), ordered[1:] - ordered[0]
    middle, variance = float(excess.mean()), float(excess.var())
    if score <= threshold or not middle > 0 or not variance > 0:
        return max(share, smallest)
    shape = max(0.0, 0.5 * (1 - middle**2 / variance))
    scale = middle * (1 - shape)
    beyond = (score - threshold) / scale
    rest = float(np.exp(-beyond)) if shape < _NO_SHAPE else float((1 + shape * beyond) ** (-1 / shape))
    return max(min(share, n_tail / len(null) * rest), smallest)
