"""Compiled loops for the intensity of one channel in every object of a compartment."""

# Compiled loops: numba needs flat arguments and long bodies, and infers the types.
# ruff: noqa: D401, PLR0917
# mypy: allow-untyped-defs, disable-error-code="assignment,no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["intensity", "intensity_columns"]

_REORDER = {"reassoc", "nsz"}  # sums in any order, so that several pixels are added at once

intensity_columns = (
    "IntegratedIntensity",
    "MeanIntensity",
    "StdIntensity",
    "MinIntensity",
    "MaxIntensity",
    "IntegratedIntensityEdge",
    "MeanIntensityEdge",
    "StdIntensityEdge",
    "MinIntensityEdge",
    "MaxIntensityEdge",
    "MassDisplacement",
    "LowerQuartileIntensity",
    "MedianIntensity",
    "MADIntensity",
    "UpperQuartileIntensity",
    "CenterMassIntensity_X",
    "CenterMassIntensity_Y",
    "MaxIntensity_X",
    "MaxIntensity_Y",
)


@njit(cache=True)
def _quantile(values, start, count, fraction):
    """Return CellProfiler's quantile: position ``count * fraction``, interpolated, at most the last value."""
    position = count * fraction
    low = int(position)
    if low < count - 1:
        part = position - low
        return values[start + low] * (1.0 - part) + values[start + low + 1] * part
    return float(values[start + low])


@njit(cache=True)
def _median_deviation(values, start, count, median):
    """Return the same quantile of |value - median|, by merging the two sorted halves outwards from the median."""
    stop = start + count
    # The median lies at or before the middle, so that few steps are needed.
    right = start + count // 2
    while right < stop and values[right] < median:
        right += 1
    while right > start and values[right - 1] >= median:
        right -= 1
    left = right - 1
    position = count * 0.5
    low = int(position)
    part = position - low if low < count - 1 else 0.0
    low_value = 0.0
    for step in range(count):
        below = median - values[left] if left >= start else np.inf
        above = values[right] - median if right < stop else np.inf
        if below <= above:
            value = below
            left -= 1
        else:
            value = above
            right += 1
        if step == low:
            low_value = value
            if low >= count - 1:
                return value
        elif step == low + 1:
            return low_value * (1.0 - part) + value * part
    return low_value


@njit(cache=True, fastmath=_REORDER)
def _weighted_sums(values, rows, columns):
    """Sum of the values, and of the values times row and column."""
    total = 0.0
    mass_y = 0.0
    mass_x = 0.0
    for k in range(values.size):
        value = np.float64(values[k])
        total += value
        mass_y += value * np.float64(rows[k])
        mass_x += value * np.float64(columns[k])
    return total, mass_y, mass_x


@njit(cache=True, fastmath=_REORDER)
def _squares(values, mean):
    """Sum of the squared differences from the mean."""
    squares = 0.0
    for k in range(values.size):
        gap = np.float64(values[k]) - mean
        squares += gap * gap
    return squares


@njit(cache=True)
def intensity(values, rows, columns, offsets, ordered, edge, edge_offsets, centre_y, centre_x):
    """The measures of ``intensity_columns`` and whether several pixels have the largest value, (n, 20).

    ``values`` has one entry per pixel, ``ordered`` the same sorted within each object, ``edge`` the positions in
    ``values`` of the outline pixels, object after object. The position of several brightest pixels is that of the first
    in reading order.
    """
    n = offsets.size - 1
    result = np.full((n, 20), np.nan)
    for i in range(n):
        start, stop = offsets[i], offsets[i + 1]
        count = stop - start
        if count == 0:
            continue
        mine = values[start:stop]
        total, mass_y, mass_x = _weighted_sums(mine, rows[start:stop], columns[start:stop])
        median = _quantile(ordered, start, count, 0.5)
        high = ordered[stop - 1]
        high_at = start
        while values[high_at] != high:
            high_at += 1
        result[i, 0] = total
        result[i, 1] = total / count
        result[i, 2] = np.sqrt(_squares(mine, total / count) / count)
        result[i, 3] = ordered[start]
        result[i, 4] = high
        edge_count = edge_offsets[i + 1] - edge_offsets[i]
        if edge_count > 0:
            outline = values[edge[edge_offsets[i] : edge_offsets[i + 1]]]
            edge_total = 0.0
            for value in outline:
                edge_total += np.float64(value)
            result[i, 5] = edge_total
            result[i, 6] = edge_total / edge_count
            result[i, 7] = np.sqrt(_squares(outline, edge_total / edge_count) / edge_count)
            result[i, 8] = outline.min()
            result[i, 9] = outline.max()
        if total != 0.0:
            result[i, 15] = mass_x / total
            result[i, 16] = mass_y / total
            result[i, 10] = np.sqrt((centre_x[i] - result[i, 15]) ** 2 + (centre_y[i] - result[i, 16]) ** 2)
        result[i, 11] = _quantile(ordered, start, count, 0.25)
        result[i, 12] = median
        result[i, 13] = _median_deviation(ordered, start, count, median)
        result[i, 14] = _quantile(ordered, start, count, 0.75)
        result[i, 17] = columns[high_at]
        result[i, 18] = rows[high_at]
        result[i, 19] = 1.0 if count > 1 and ordered[stop - 2] == high else 0.0
    return result
