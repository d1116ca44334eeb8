"""Compiled loops for the neighbours of each object."""

# Compiled loops: many flat arguments and long bodies are what numba wants; types are numba's to infer.
# ruff: noqa: D401, PLR1714
# mypy: allow-untyped-defs, disable-error-code="assignment,no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["closest", "contacts"]


@njit(cache=True)
def contacts(labels, edge, n):
    """Pairs of objects that share a pixel side, and what part of each outline touches another object.

    Returns (codes int64, one for each contact of pixels: label * (n + 1) + other; outline pixels (n,); those with
    another object among their eight neighbours (n,)).
    """
    height, width = labels.shape
    outline_count = np.zeros(n)
    touch_count = np.zeros(n)
    room = 0
    for y in range(height):
        for x in range(width):
            room += edge[y, x]
    codes = np.empty(4 * room, np.int64)
    used = 0
    for y in range(height):
        for x in range(width):
            label = labels[y, x]
            if label == 0 or not edge[y, x]:
                continue
            outline_count[label - 1] += 1
            touches = False
            for dy in range(-1, 2):
                for dx in range(-1, 2):
                    v = y + dy
                    u = x + dx
                    if v < 0 or u < 0 or v >= height or u >= width:
                        continue
                    other = labels[v, u]
                    if other == 0 or other == label:
                        continue
                    touches = True
                    if dy == 0 or dx == 0:
                        codes[used] = np.int64(label) * (n + 1) + other
                        used += 1
            if touches:
                touch_count[label - 1] += 1
    return codes[:used], outline_count, touch_count


@njit(cache=True)
def closest(centre_y, centre_x):
    """The two nearest other centres of each object, by number (1 upwards) and distance, and the angle between.

    Returns (n, 5): first index, first distance, second index, second distance, angle in degrees; NaN where
    there is no such neighbour.
    """
    n = centre_y.size
    result = np.full((n, 5), np.nan)
    for i in range(n):
        first = -1
        second = -1
        first_d = np.inf
        second_d = np.inf
        for j in range(n):
            if j == i or np.isnan(centre_y[j]):
                continue
            d = (centre_y[j] - centre_y[i]) ** 2 + (centre_x[j] - centre_x[i]) ** 2
            if d < first_d:
                second, second_d = first, first_d
                first, first_d = j, d
            elif d < second_d:
                second, second_d = j, d
        if first >= 0:
            result[i, 0] = first + 1
            result[i, 1] = np.sqrt(first_d)
        if second >= 0:
            result[i, 2] = second + 1
            result[i, 3] = np.sqrt(second_d)
            dot = (centre_y[first] - centre_y[i]) * (centre_y[second] - centre_y[i]) + (
                centre_x[first] - centre_x[i]
            ) * (centre_x[second] - centre_x[i])
            scale = np.sqrt(first_d * second_d)
            if scale > 0:
                result[i, 4] = np.degrees(np.arccos(min(1.0, max(-1.0, dot / scale))))
    return result
