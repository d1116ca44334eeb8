"""Permutation test of one treatment: do its replicates find each other before the controls of the same plates."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product
from math import comb, prod
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import IntArray

__all__ = ["PermutationTest", "compared", "permutation_test"]

_DIGITS = 11  # scores are sums of fractions: in another order they differ in the last bits
_LOOKUPS = 2e8  # that all draws of one test may take
_LEAST_DRAWS = 999


@dataclass(frozen=True)
class PermutationTest:
    """Outcome of `permutation_test`.

    Attributes
    ----------
    precision
        Mean average precision of the treatment.
    chance
        Its mean over all orders.
    p_value
        Share of the orders with a score as high, the treatment's own among them.
    mid_p
        The same, with half of the orders of the same score.
    spread
        Variance of the normal score of `mid_p` over all orders: 1 for many distinct scores, less for few.
    smallest_p, smallest_mid_p
        The p values of a treatment that scores above all other orders.
    n_orders
        Orders that were compared.
    is_exact
        Whether these are all.
    """

    precision: float
    chance: float
    p_value: float
    mid_p: float
    spread: float
    smallest_p: float
    smallest_mid_p: float
    n_orders: int
    is_exact: bool

    @property
    def is_at_floor(self) -> bool:
        """Whether no other random order scores as high, so that more draws could lower p."""
        return not self.is_exact and self.p_value * self.n_orders < 1.5


def permutation_test(
    similarity: NDArray[np.floating],
    plates: IntArray,
    places: IntArray,
    is_treated: NDArray[np.bool_],
    *,
    distinct_places: bool = False,
    null_size: int = 10_000,
    seed: int = 1,
) -> PermutationTest:
    """Test whether wells of a treatment are more alike than as many random wells of the same plates.

    Each well of the treatment ranks the others among all wells that lie on the plates of these others: positives and
    negatives come from the same plates. The score is the mean average precision. A random order replaces the wells of
    the treatment on each plate by as many wells of this plate, controls or not; where the treatment does nothing, all
    such orders are equally likely, whatever the distribution of the profiles and the differences between plates. Of
    orders with the same mean average precision, the one with more similar pairs scores higher.

    Parameters
    ----------
    similarity
        Of the wells of the treatment and the controls on the same plates, shape (wells, wells).
    plates, places
        Codes of plate (0, 1, ...) and well position, shape (wells,).
    is_treated
        Which wells are those of the treatment, two or more; shape (wells,).
    distinct_places
        Two wells in the same position are no pair.
    null_size
        Random orders; where there are no more than these, each is taken once and the p value is exact. For treatments
        with very many wells fewer are drawn, 999 at least.
    seed
        Seed of the draws, a positive number.

    Returns
    -------
    PermutationTest
        Score and p values.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> profiles = rng.normal(size=(12, 5)) + 9 * np.array([[1] * 5] * 3 + [[0] * 5] * 9)
    >>> alike = profiles @ profiles.T
    >>> zeros = np.zeros(12, dtype=np.intp)
    >>> found = permutation_test(alike, zeros, np.arange(12), np.arange(12) < 3)
    >>> found.precision, round(1 / found.p_value), found.is_exact
    (1.0, 220, True)
    """
    from phenoprint.evaluation.compiled_permutations import drawn_scores, ranks_among_candidates, scores_of_sets

    order = np.lexsort((~is_treated, plates))
    plate, place, treated = plates[order], places[order], is_treated[order]
    n_plates = int(plate[-1]) + 1
    sizes = np.bincount(plate[treated], minlength=n_plates)
    starts = np.concatenate([[0], np.cumsum(np.bincount(plate, minlength=n_plates))])
    alike = np.ascontiguousarray(similarity[np.ix_(order, order)], dtype=np.float64)
    ranks = ranks_among_candidates(alike, plate.astype(np.int64), place.astype(np.int64), sizes > 1, distinct_places)
    chosen = np.flatnonzero(treated)[None, :]
    precision = float(scores_of_sets(ranks, np.zeros_like(alike), chosen)[0])
    own = float(scores_of_sets(ranks, alike, chosen)[0])
    n_orders = prod(comb(int(starts[q + 1] - starts[q]), int(sizes[q])) for q in range(n_plates))
    is_exact = n_orders <= null_size
    if is_exact:
        null = scores_of_sets(ranks, alike, _every_set(starts, sizes))
    else:
        few = max(_LEAST_DRAWS, int(_LOOKUPS / int(sizes.sum()) ** 2))
        drawn = drawn_scores(ranks, alike, starts, sizes, min(null_size, few), seed)
        null = np.concatenate([[own], drawn])
    return compared(precision, round(own, _DIGITS), np.round(null, _DIGITS), is_exact=is_exact)


def _every_set(starts: IntArray, sizes: IntArray) -> NDArray[np.int64]:
    """Every choice of as many wells of each plate, shape (orders, wells)."""
    by_plate = [
        list(combinations(range(int(low), int(high)), int(size)))
        for low, high, size in zip(starts[:-1], starts[1:], sizes, strict=True)
    ]
    return np.array([sum(chosen, ()) for chosen in product(*by_plate)], dtype=np.int64)


def compared(precision: float, own: float, null: NDArray[np.float64], *, is_exact: bool) -> PermutationTest:
    """Compare a score with those of all orders, its own among them; equal scores must be equal numbers."""
    from scipy.special import ndtri

    # An order without any pair scores nothing; it cannot be the treatment's own.
    values, counts = np.unique(np.nan_to_num(null, nan=0.0), return_counts=True)
    n = len(null)
    higher = n - np.cumsum(counts)
    mid = (higher + counts / 2) / n
    at = int(np.searchsorted(values, own))
    return PermutationTest(
        precision=precision,
        chance=float((values * counts).sum() / n),
        p_value=float((higher[at] + counts[at]) / n),
        mid_p=float(mid[at]),
        spread=float((counts * ndtri(mid) ** 2).sum() / n),
        smallest_p=1 / n,
        smallest_mid_p=0.5 / n,
        n_orders=n,
        is_exact=is_exact,
    )
