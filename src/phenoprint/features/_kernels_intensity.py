"""Compiled loops for the intensity of one channel in every object of a compartment."""

# Compiled loops: many flat arguments and long bodies are what numba wants; types are numba's to infer.
# ruff: noqa: D401, PLR0915, PLR0917
# mypy: allow-untyped-defs, disable-error-code="assignment,no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["intensity", "intensity_columns"]

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
    """CellProfiler's quantile: position ``count * fraction``, linear between neighbours, the last at the end."""
    position = count * fraction
    low = int(position)
    if low < count - 1:
        part = position - low
        return values[start + low] * (1.0 - part) + values[start + low + 1] * part
    return float(values[start + low])


@njit(cache=True)
def _median_deviation(values, start, count, median):
    """The same quantile of |value - median|, by merging the two sorted halves outwards from the median."""
    right = start
    stop = start + count
    while right < stop and values[right] < median:
        right += 1
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


@njit(cache=True)
def intensity(values, pixels, offsets, ordered, edge, width):
    """The measures of ``intensity_columns`` and whether several pixels share the largest value, (n, 20).

    ``values`` holds the channel at ``pixels``, ``ordered`` the same sorted inside each object, ``edge`` whether a
    pixel is on its object's outline. Of several brightest pixels the first in reading order is named.
    """
    n = offsets.size - 1
    result = np.full((n, 20), np.nan)
    for i in range(n):
        start, stop = offsets[i], offsets[i + 1]
        count = stop - start
        if count == 0:
            continue
        total = 0.0
        edge_total = 0.0
        edge_count = 0
        edge_low = np.inf
        edge_high = -np.inf
        sum_x = 0.0
        sum_y = 0.0
        mass_x = 0.0
        mass_y = 0.0
        high = ordered[stop - 1]
        high_at = -1
        for k in range(start, stop):
            pixel = pixels[k]
            value = np.float64(values[k])
            y = pixel // width
            x = pixel % width
            total += value
            sum_x += x
            sum_y += y
            mass_x += x * value
            mass_y += y * value
            if high_at < 0 and values[k] == high:
                high_at = pixel
            if edge[k]:
                edge_count += 1
                edge_total += value
                edge_low = min(edge_low, value)
                edge_high = max(edge_high, value)
        mean = total / count
        edge_mean = edge_total / edge_count if edge_count > 0 else np.nan
        squares = 0.0
        edge_squares = 0.0
        for k in range(start, stop):
            value = np.float64(values[k])
            squares += (value - mean) ** 2
            if edge[k]:
                edge_squares += (value - edge_mean) ** 2
        median = _quantile(ordered, start, count, 0.5)
        result[i, 0] = total
        result[i, 1] = mean
        result[i, 2] = np.sqrt(squares / count)
        result[i, 3] = ordered[start]
        result[i, 4] = high
        if edge_count > 0:
            result[i, 5] = edge_total
            result[i, 6] = edge_mean
            result[i, 7] = np.sqrt(edge_squares / edge_count)
            result[i, 8] = edge_low
            result[i, 9] = edge_high
        if total != 0.0:
            centre_x = mass_x / total
            centre_y = mass_y / total
            result[i, 10] = np.sqrt((sum_x / count - centre_x) ** 2 + (sum_y / count - centre_y) ** 2)
            result[i, 15] = centre_x
            result[i, 16] = centre_y
        result[i, 11] = _quantile(ordered, start, count, 0.25)
        result[i, 12] = median
        result[i, 13] = _median_deviation(ordered, start, count, median)
        result[i, 14] = _quantile(ordered, start, count, 0.75)
        result[i, 17] = high_at % width
        result[i, 18] = high_at // width
        result[i, 19] = 1.0 if count > 1 and ordered[stop - 2] == high else 0.0
    return result
