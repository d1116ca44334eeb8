"""Compiled loops for the neighbours of each object."""

# Compiled loops: numba needs flat arguments and long bodies, and infers the types.
# ruff: noqa: PLR0917, PLR1714
# mypy: allow-untyped-defs, disable-error-code="assignment,no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["closest", "contacts"]


@njit(cache=True)
def contacts(labels, edge, rows, columns, offsets, distance):
    """Count the neighbours of each object, its outline pixels, and those of them near another object, (n,) each.

    ``edge`` (Y, X) marks the outlines. A neighbour has a pixel not farther than ``distance``; an outline pixel is near
    another object up to half a pixel more.
    """
    height, width = labels.shape
    n = offsets.size - 1
    near = np.zeros(n)
    outline = np.zeros(n)
    touched = np.zeros(n)
    met = np.full(n + 1, -1, np.int64)
    inner = distance * distance
    outer = (distance + 0.5) * (distance + 0.5)
    for i in range(n):
        label = i + 1
        for k in range(offsets[i], offsets[i + 1]):
            y = rows[k]
            x = columns[k]
            if not edge[y, x]:
                continue
            outline[i] += 1
            touches = False
            for v in range(max(0, y - distance), min(height, y + distance + 1)):
                for u in range(max(0, x - distance), min(width, x + distance + 1)):
                    other = labels[v, u]
                    if other == 0 or other == label:
                        continue
                    gap = (v - y) * (v - y) + (u - x) * (u - x)
                    if gap > outer:
                        continue
                    touches = True
                    if gap <= inner and met[other] != i:
                        met[other] = i
                        near[i] += 1
            touched[i] += touches
    return near, outline, touched


@njit(cache=True)
def closest(centre_y, centre_x):
    """Find the two nearest other centres of each object and the angle between them.

    Returns (n, 5): first index (from 1), first distance, second index, second distance, angle in degrees; NaN if there
    is no such neighbour.
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
