"""Compiled loops; imported only where they run, since numba is slow to load."""

# Compiled loops take flat arguments; numba infers the types.
# ruff: noqa: PLR0917
# mypy: allow-untyped-defs, disable-error-code="no-untyped-call,untyped-decorator"

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["distances_of_sorted", "mid_ranks", "ranks_of_keys", "ranks_of_order"]


@njit(cache=True)
def mid_ranks(ordered, n, values, out):
    """Write the mean rank of each value among sorted reference values.

    Parameters
    ----------
    ordered
        Shape (features, references), ascending, NaN last.
    n
        Number of reference values, shape (features,); 0 makes a feature's ranks NaN.
    values
        Shape (features, rows).
    out
        Shape (features, rows), float64: number below + (number equal + 1) / 2.
    """
    for feature in range(values.shape[0]):
        size = n[feature]
        for row in range(values.shape[1]):
            value = values[feature, row]
            if size == 0 or np.isnan(value):
                out[feature, row] = np.nan
                continue
            low, high = 0, size
            while low < high:
                middle = (low + high) // 2
                if ordered[feature, middle] < value:
                    low = middle + 1
                else:
                    high = middle
            below, high = low, size
            while low < high:
                middle = (low + high) // 2
                if ordered[feature, middle] <= value:
                    low = middle + 1
                else:
                    high = middle
            out[feature, row] = below + (low - below + 1) / 2


@njit(cache=True)
def ranks_of_keys(keys, out):
    """Write mean ranks from sorted keys: value in the upper, index in the lower 32 bits; shapes (rows, features)."""
    width = keys.shape[1]
    for row in range(keys.shape[0]):
        start = 0
        while start < width:
            value = keys[row, start] >> np.uint64(32)
            stop = start + 1
            while stop < width and keys[row, stop] >> np.uint64(32) == value:
                stop += 1
            rank = (start + stop + 1) / 2
            for place in range(start, stop):
                out[row, keys[row, place] & np.uint64(0xFFFFFFFF)] = rank
            start = stop


@njit(cache=True)
def ranks_of_order(values, order, out):
    """Write mean ranks of rows from the order that sorts them; shapes (rows, features)."""
    width = values.shape[1]
    for row in range(values.shape[0]):
        start = 0
        while start < width:
            value = values[row, order[row, start]]
            stop = start + 1
            while stop < width and values[row, order[row, stop]] == value:
                stop += 1
            rank = (start + stop + 1) / 2
            for place in range(start, stop):
                out[row, order[row, place]] = rank
            start = stop


@njit(cache=True)
def distances_of_sorted(cells, n_cells, controls, n_controls, earth, energy, ks):
    """Write Wasserstein-1, energy and Kolmogorov-Smirnov distances of sorted cells to sorted controls.

    Parameters
    ----------
    cells, controls
        Shape (features, cells) and (features, controls), ascending, NaN last.
    n_cells, n_controls
        Number of values, shape (features,).
    earth, energy, ks
        Shape (features,); 0 or more; NaN if one side is empty.
    """
    for feature in range(cells.shape[0]):
        n, m = n_cells[feature], n_controls[feature]
        if n == 0 or m == 0:
            earth[feature] = np.nan
            energy[feature] = np.nan
            ks[feature] = np.nan
            continue
        i, j = 0, 0
        area, square, largest = 0.0, 0.0, 0.0
        previous = min(cells[feature, 0], controls[feature, 0])
        while i < n or j < m:
            if j >= m or (i < n and cells[feature, i] <= controls[feature, j]):
                value = cells[feature, i]
            else:
                value = controls[feature, j]
            gap = abs(j / m - i / n)
            area += gap * (value - previous)
            square += gap * gap * (value - previous)
            while i < n and cells[feature, i] == value:
                i += 1
            while j < m and controls[feature, j] == value:
                j += 1
            largest = max(largest, abs(j / m - i / n))
            previous = value
        earth[feature] = area
        energy[feature] = np.sqrt(2 * square)
        ks[feature] = largest
