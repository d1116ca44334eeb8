"""Where wells of a plate go: controls far from each other, treatments not where they were before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Places = NDArray[np.int64]

__all__ = ["apart", "spread"]

_SWAPS = 60  # tried for each control of a plate
_TRIES = 200  # for each treatment in a position that it had before


def apart(rng: np.random.Generator, who: Places, wells: Places, taken: NDArray[np.bool_]) -> Places:
    """Assign wells to treatments so that none is where it was before; the wells beyond the treatments stay free."""
    wells = wells.copy()
    n = len(who)
    for one in range(n):
        for _ in range(_TRIES):
            if not taken[who[one], wells[one]]:
                break
            other = int(rng.integers(len(wells)))
            fits = other >= n or not taken[who[other], wells[one]]
            if fits and not taken[who[one], wells[other]]:
                wells[[one, other]] = wells[[other, one]]
    return wells[:n]


def spread(rng: np.random.Generator, at: Places, candidates: Places, n: int) -> Places:
    """Choose wells that are even over rows, columns and quadrants, and far from each other."""
    order = rng.permutation(candidates)
    chosen, others = order[:n].copy(), order[n:].copy()
    if not n or not len(others):
        return chosen
    middle = (at.max(axis=0) + 1) / 2
    quadrant = (at[:, 0] >= middle[0]) * 2 + (at[:, 1] >= middle[1])
    counts = [np.bincount(code[chosen], minlength=int(code.max()) + 1) for code in (at[:, 0], at[:, 1], quadrant)]
    codes = (at[:, 0], at[:, 1], quadrant)

    def crowding(well: int, without: int) -> float:
        squared = ((at[np.delete(chosen, without)] - at[well]) ** 2).sum(axis=1)
        return float((1 / squared).sum())

    for _ in range(max(2000, _SWAPS * n)):
        i, j = int(rng.integers(n)), int(rng.integers(len(others)))
        old, new = int(chosen[i]), int(others[j])
        # What a sum of squared counts changes by when one moves.
        change = sum(
            2.0 * float(count[code[new]] - count[code[old]] + 1) * (code[new] != code[old])
            for code, count in zip(codes, counts, strict=True)
        )
        if change + crowding(new, i) - crowding(old, i) < 0:
            for code, count in zip(codes, counts, strict=True):
                count[code[old]] -= 1
                count[code[new]] += 1
            chosen[i], others[j] = new, old
    return chosen
