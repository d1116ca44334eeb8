"""Compiled choice among equal largest values, as in CellProfiler."""

# Compiled loops: numba needs flat arguments and long bodies, and infers the types.
# mypy: allow-untyped-defs, disable-error-code="assignment,no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["largest_like_cellprofiler"]

_SMALL = 15  # numpy sorts up to 16 values by insertion


@njit(cache=True)
def _partition(values, order, left, right):
    """One round of numpy's argsort: median of three as pivot, Hoare's exchange; returns the pivot's position."""
    middle = left + ((right - left) >> 1)
    if values[order[middle]] < values[order[left]]:
        order[middle], order[left] = order[left], order[middle]
    if values[order[right]] < values[order[middle]]:
        order[right], order[middle] = order[middle], order[right]
    if values[order[middle]] < values[order[left]]:
        order[middle], order[left] = order[left], order[middle]
    pivot = values[order[middle]]
    i = left
    j = right - 1
    order[middle], order[j] = order[j], order[middle]
    while True:
        i += 1
        while values[order[i]] < pivot:
            i += 1
        j -= 1
        while pivot < values[order[j]]:
            j -= 1
        if i >= j:
            break
        order[i], order[j] = order[j], order[i]
    order[i], order[right - 1] = order[right - 1], order[i]
    return i


@njit(cache=True)
def _insertion(values, order, left, right):
    for i in range(left + 1, right + 1):
        mine = order[i]
        value = values[mine]
        j = i
        while j > left and value < values[order[j - 1]]:
            order[j] = order[j - 1]
            j -= 1
        order[j] = mine


@njit(cache=True)
def _sort_between(values, low, high):
    """Order of the values by numpy's unstable quicksort, completed only where values lie in low..high."""
    order = np.arange(values.size, dtype=np.int32)
    edges = np.empty((128, 2), np.int64)
    limits = np.empty((128, 2))
    left, right = np.int64(0), np.int64(values.size - 1)
    least, most = -np.inf, np.inf
    waiting = 0
    while True:
        if least <= high and most >= low:
            while right - left > _SMALL:
                place = _partition(values, order, left, right)
                pivot = values[order[place]]
                if place - left < right - place:
                    edges[waiting, 0], edges[waiting, 1] = place + 1, right
                    limits[waiting, 0], limits[waiting, 1] = pivot, most
                    right, most = place - 1, pivot
                else:
                    edges[waiting, 0], edges[waiting, 1] = left, place - 1
                    limits[waiting, 0], limits[waiting, 1] = least, pivot
                    left, least = place + 1, pivot
                waiting += 1
                if least > high or most < low:
                    break
            if least <= high and most >= low:
                _insertion(values, order, left, right)
        if waiting == 0:
            return order
        waiting -= 1
        left, right = edges[waiting, 0], edges[waiting, 1]
        least, most = limits[waiting, 0], limits[waiting, 1]


@njit(cache=True)
def largest_like_cellprofiler(values, owner, n, exact):
    """Position of each object's largest value in ``values``, int64 (n,); -1 for an object without one.

    ``owner`` is the object's row plus one, 0 for none. Of several equal values it is the first, or if ``exact`` the one
    in CellProfiler: the last in the order of numpy's unstable sort of all values together. Only the parts of that sort
    with tied values are carried out.
    """
    peak = np.full(n, -np.inf)
    first = np.full(n, -1, np.int64)
    tied = np.zeros(n, np.bool_)
    for k in range(values.size):
        if owner[k] > 0:
            i = owner[k] - 1
            if values[k] > peak[i]:
                peak[i] = values[k]
                first[i] = k
                tied[i] = False
            elif values[k] == peak[i]:
                tied[i] = True
    if not exact or not tied.any():
        return first
    low = np.inf
    high = -np.inf
    for i in range(n):
        if tied[i]:
            low = min(low, peak[i])
            high = max(high, peak[i])
    order = _sort_between(values, low, high)
    for k in range(order.size):
        spot = order[k]
        if owner[spot] > 0 and tied[owner[spot] - 1] and values[spot] == peak[owner[spot] - 1]:
            first[owner[spot] - 1] = spot
    return first
