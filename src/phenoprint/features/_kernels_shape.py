"""Compiled loops for size and shape: moments, perimeter, Euler number and radius."""

# Compiled loops: numba needs flat arguments and long bodies, and infers the types.
# ruff: noqa: D401, PLR0917, PLR1714, PLW3301
# mypy: allow-untyped-defs, disable-error-code="assignment,no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["euler_numbers", "moments", "perimeters", "radius_statistics"]


@njit(cache=True)
def _power_table(rows, columns, start, stop, corner_y, corner_x, mean_y, mean_x, out):
    """Sums of y**p * x**q for p, q up to 3 about a point relative to the box corner; powers of y once per row."""
    row = np.zeros(4)
    k = start
    while k < stop:
        line = rows[k]
        for q in range(4):
            row[q] = 0.0
        while k < stop and rows[k] == line:
            x = (columns[k] - corner_x) - mean_x
            row[0] += 1.0
            row[1] += x
            row[2] += x * x
            row[3] += x * x * x
            k += 1
        y = (line - corner_y) - mean_y
        power = 1.0
        for p in range(4):
            for q in range(4):
                out[p, q] += power * row[q]
            power *= y


@njit(cache=True)
def moments(rows, columns, offsets, box):
    """Spatial moments about the box corner and central moments, both (n, 4, 4) as [y power, x power]."""
    n = offsets.size - 1
    spatial = np.zeros((n, 4, 4))
    central = np.zeros((n, 4, 4))
    for i in range(n):
        start, stop = offsets[i], offsets[i + 1]
        if start == stop:
            continue
        _power_table(rows, columns, start, stop, box[i, 0], box[i, 1], 0.0, 0.0, spatial[i])
        mean_y = spatial[i, 1, 0] / spatial[i, 0, 0]
        mean_x = spatial[i, 0, 1] / spatial[i, 0, 0]
        _power_table(rows, columns, start, stop, box[i, 0], box[i, 1], mean_y, mean_x, central[i])
    return spatial, central


@njit(cache=True)
def perimeters(labels, n):
    """Boundary length by the weights of Benkrid and Crookes (2000), as in scikit-image's ``perimeter``."""
    height, width = labels.shape
    border = np.zeros((height + 2, width + 2), np.int32)
    for y in range(height):
        for x in range(width):
            label = labels[y, x]
            if label > 0 and (
                y == 0
                or x == 0
                or y == height - 1
                or x == width - 1
                or labels[y - 1, x] != label
                or labels[y + 1, x] != label
                or labels[y, x - 1] != label
                or labels[y, x + 1] != label
            ):
                border[y + 1, x + 1] = label
    weight = np.zeros(50)
    for code in (5, 7, 15, 17, 25, 27):
        weight[code] = 1.0
    for code in (21, 33):
        weight[code] = np.sqrt(2.0)
    for code in (13, 23):
        weight[code] = (1.0 + np.sqrt(2.0)) / 2.0
    result = np.zeros(n)
    for y in range(1, height + 1):
        for x in range(1, width + 1):
            label = border[y, x]
            if label > 0:
                code = 1
                code += 2 * (
                    (border[y - 1, x] == label)
                    + (border[y + 1, x] == label)
                    + (border[y, x - 1] == label)
                    + (border[y, x + 1] == label)
                )
                code += 10 * (
                    (border[y - 1, x - 1] == label)
                    + (border[y - 1, x + 1] == label)
                    + (border[y + 1, x - 1] == label)
                    + (border[y + 1, x + 1] == label)
                )
                result[label - 1] += weight[code]
    return result


@njit(cache=True)
def _quad_score(a, b, c, d):
    count = int(a) + int(b) + int(c) + int(d)
    if count == 1:
        return 1
    if count == 3:
        return -1
    if count == 2 and a == d:
        return -2
    return 0


@njit(cache=True)
def euler_numbers(labels, n):
    """Components minus holes for eight-connected objects, by counting the 2 x 2 patterns of Gray (1971)."""
    height, width = labels.shape
    score = np.zeros(n, np.int64)
    for y in range(height + 1):
        for x in range(width + 1):
            a = labels[y - 1, x - 1] if y > 0 and x > 0 else 0
            b = labels[y - 1, x] if y > 0 and x < width else 0
            c = labels[y, x - 1] if y < height and x > 0 else 0
            d = labels[y, x] if y < height and x < width else 0
            if a == b and b == c and c == d:
                continue
            if a > 0:
                score[a - 1] += _quad_score(True, b == a, c == a, d == a)
            if b > 0 and b != a:
                score[b - 1] += _quad_score(False, True, c == b, d == b)
            if c > 0 and c != a and c != b:
                score[c - 1] += _quad_score(False, False, True, d == c)
            if d > 0 and d != a and d != b and d != c:
                score[d - 1] += 1
    result = np.zeros(n)
    for i in range(n):
        result[i] = score[i] / 4.0
    return result


@njit(cache=True)
def _select(values, left, right, place):
    """Move the value of rank ``place`` to its position, smaller ones before it and larger ones after it (Hoare)."""
    while right > left:
        pivot = values[place]
        i = left
        j = right
        while i <= j:
            while values[i] < pivot:
                i += 1
            while pivot < values[j]:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if j < place:
            left = i
        if place < i:
            right = j
    return values[place]


@njit(cache=True)
def radius_statistics(distance2, pixels, rows, columns, offsets, height, width):
    """Largest, mean and median distance to the edge of each object, (n, 3); the image border is also an edge."""
    n = offsets.size - 1
    result = np.full((n, 3), np.nan)
    for i in range(n):
        count = offsets[i + 1] - offsets[i]
        if count == 0:
            continue
        values = np.empty(count)
        total = 0.0
        high = 0.0
        for k in range(count):
            pixel = pixels[offsets[i] + k]
            y = rows[offsets[i] + k]
            x = columns[offsets[i] + k]
            border = float(min(min(y + 1, height - y), min(x + 1, width - x)))
            values[k] = np.sqrt(min(np.float64(distance2[pixel]), border * border))
            total += values[k]
            high = max(high, values[k])
        low_middle = _select(values, np.int64(0), count - 1, (count - 1) // 2)
        result[i, 0] = high
        result[i, 1] = total / count
        result[i, 2] = (low_middle + _select(values, (count - 1) // 2, count - 1, count // 2)) / 2.0
    return result
