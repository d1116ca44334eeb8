"""Compiled loops over permuted labels; imported only where they run, since numba is slow to load."""

# Compiled loops take flat arguments; numba infers the types.
# mypy: allow-untyped-defs, disable-error-code="no-untyped-call,untyped-decorator"

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["permuted_energy", "permuted_mahalanobis"]


@njit(cache=True)
def permuted_energy(distance, draws, n):
    """Return the energy distance of each draw of wells to the others of the pool.

    Parameters
    ----------
    distance
        Distances between the wells of the pool, shape (wells, wells), 0 on the diagonal.
    draws
        Wells taken for the treatment, shape (draws, replicates).
    n
        The other wells.
    """
    size = distance.shape[0]
    sums = np.zeros(size)
    for i in range(size):
        for j in range(size):
            sums[i] += distance[i, j]
    total = sums.sum()
    out = np.empty(draws.shape[0])
    r = draws.shape[1]
    for draw in range(draws.shape[0]):
        within, reach = 0.0, 0.0
        for a in range(r):
            i = draws[draw, a]
            reach += sums[i]
            for b in range(a):
                within += distance[i, draws[draw, b]]
        within *= 2
        between = reach - within
        rest = total - 2 * reach + within
        out[draw] = 2 * between / (r * n) - within / (r * r) - rest / (n * n)
    return out


@njit(cache=True)
def permuted_mahalanobis(gram, draws, weights, held):
    """Return the squared Mahalanobis distance of the mean of each draw to the mean of the others of its plates.

    The others also give the covariance: the wells of the draw are taken out of that of the pool, by a Cholesky
    factorization of the size of the draw (Woodbury's identity).

    Parameters
    ----------
    gram
        Products of the wells of the pool in the metric of all of them, centred by plate, shape (wells, wells).
    draws
        Wells taken for the treatment, plate by plate, shape (draws, replicates).
    weights
        Weight of each place of a draw, shape (replicates,).
    held
        What the wells of a draw hold of the covariance, shape (replicates, replicates).
    """
    r = draws.shape[1]
    out = np.empty(draws.shape[0])
    target = held @ weights
    factor = np.empty((r, r))
    local = np.empty((r, r))
    solved = np.empty(r)
    for draw in range(draws.shape[0]):
        for a in range(r):
            for b in range(r):
                local[a, b] = gram[draws[draw, a], draws[draw, b]]
        if not _factorize(held, local, factor):
            out[draw] = np.inf
            continue
        _solve(factor, target, solved)
        out[draw] = weights @ (local @ solved)
    return out


@njit(cache=True)
def _factorize(held, local, factor):
    """Write the lower Cholesky factor of the difference of two matrices; return whether it exists."""
    for a in range(len(held)):
        for b in range(a + 1):
            value = held[a, b] - local[a, b]
            for c in range(b):
                value -= factor[a, c] * factor[b, c]
            if a == b:
                if value <= 0.0:
                    return False
                factor[a, a] = np.sqrt(value)
            else:
                factor[a, b] = value / factor[b, b]
    return True


@njit(cache=True)
def _solve(factor, target, solved):
    """Write the solution of the factorized equations."""
    r = len(target)
    for a in range(r):
        value = target[a]
        for c in range(a):
            value -= factor[a, c] * solved[c]
        solved[a] = value / factor[a, a]
    for a in range(r - 1, -1, -1):
        value = solved[a]
        for c in range(a + 1, r):
            value -= factor[c, a] * solved[c]
        solved[a] = value / factor[a, a]
