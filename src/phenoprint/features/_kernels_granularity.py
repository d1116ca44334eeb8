"""Compiled loops for granularity: grey morphology on reduced images, and means of the result over objects."""

# Compiled loops: numba needs flat arguments and long bodies, and infers the types.
# ruff: noqa: PLR0917, PLW3301
# mypy: allow-untyped-defs, disable-error-code="assignment,no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["disk_filter", "enlarge_weights", "resample", "spectrum"]


@njit(cache=True)
def resample(image, rows, columns):
    """Interpolate bilinearly at a grid of row and column positions; 0 beyond the image."""
    height, width = image.shape
    result = np.zeros((rows.size, columns.size))
    for a in range(rows.size):
        if rows[a] < 0 or rows[a] > height - 1:
            continue
        y = min(int(rows[a]), max(height - 2, 0))
        fy = rows[a] - y
        y1 = min(y + 1, height - 1)
        for b in range(columns.size):
            if columns[b] < 0 or columns[b] > width - 1:
                continue
            x = min(int(columns[b]), max(width - 2, 0))
            fx = columns[b] - x
            x1 = min(x + 1, width - 1)
            result[a, b] = (image[y, x] * (1 - fx) + image[y, x1] * fx) * (1 - fy) + (
                image[y1, x] * (1 - fx) + image[y1, x1] * fx
            ) * fy
    return result


@njit(cache=True)
def disk_filter(image, radius, sign):
    """Erode (sign 1) or dilate (sign -1) with a disk; pixels outside the image are ignored."""
    height, width = image.shape
    result = np.empty((height, width))
    reach = np.empty(radius + 1, np.int64)
    for dy in range(radius + 1):
        reach[dy] = int(np.sqrt(float(radius * radius - dy * dy)))
    for y in range(height):
        for x in range(width):
            best = np.inf
            for v in range(max(0, y - radius), min(height, y + radius + 1)):
                half = reach[abs(v - y)]
                for u in range(max(0, x - half), min(width, x + half + 1)):
                    best = min(best, sign * image[v, u])
            result[y, x] = sign * best
    return result


@njit(cache=True)
def _erode_cross(image, result):
    """Return the minimum of each pixel and its four neighbours."""
    height, width = image.shape
    for y in range(height):
        above = image[max(y - 1, 0)]
        below = image[min(y + 1, height - 1)]
        row = image[y]
        out = result[y]
        for x in range(width):
            out[x] = min(row[x], min(above[x], below[x]))
        out[0] = min(out[0], row[min(1, width - 1)])
        for x in range(1, width - 1):
            out[x] = min(out[x], min(row[x - 1], row[x + 1]))
        out[width - 1] = min(out[width - 1], row[max(width - 2, 0)])


@njit(cache=True)
def _root(ancestor, k):
    while ancestor[k] != k:
        ancestor[k] = ancestor[ancestor[k]]
        k = ancestor[k]
    return k


@njit(cache=True)
def _tree(image, order):
    """Return the parent of each pixel in the tree of bright components (four neighbours), by position in ``order``.

    ``order`` lists the pixels from bright to dark, so that a parent always comes after its children
    (Berger et al. 2007).
    """
    height, width = image.shape
    count = order.size
    place = np.full(count, -1, np.int32)
    ancestor = np.empty(count, np.int32)
    parent = np.empty(count, np.int32)
    for k in range(count):
        pixel = order[k]
        place[pixel] = k
        ancestor[k] = k
        parent[k] = k
        y = pixel // width
        x = pixel - y * width
        for side in range(4):
            if side == 0 and y > 0:
                other = place[pixel - width]
            elif side == 1 and y < height - 1:
                other = place[pixel + width]
            elif side == 2 and x > 0:
                other = place[pixel - 1]
            elif side == 3 and x < width - 1:
                other = place[pixel + 1]
            else:
                other = -1
            if other >= 0:
                top = _root(ancestor, other)
                if top != k:
                    ancestor[top] = k
                    parent[top] = k
    return parent


@njit(cache=True)
def spectrum(image, order, steps, index, weight, ends):
    """Means over objects of the image reconstructed by dilation after 1, 2, ... erosions by a cross, (n + 1, steps).

    ``order`` lists the flat pixels from bright to dark; ``index``, ``weight`` and ``ends`` come from
    :func:`enlarge_weights`; the last row is the mean over the image.

    The component tree of the image is built once. Each reconstruction takes two passes over it: upwards, the brightest
    eroded value in each component; downwards, the brightest level at which a component has one.
    """
    height, width = image.shape
    count = height * width
    n = ends.size - 1
    parent = _tree(image, order)
    level = np.empty(count)
    for k in range(count):
        level[k] = image[order[k] // width, order[k] % width]
    result = np.empty((n + 1, steps))
    eroded = image.copy()
    spare = np.empty((height, width))
    best = np.empty(count)
    plane = np.empty(count)
    for step in range(steps):
        _erode_cross(eroded, spare)
        eroded, spare = spare, eroded
        flat = eroded.reshape(-1)
        # By position in the order, so that only the parents are read at random.
        for k in range(count):
            best[k] = flat[order[k]]
        for k in range(count):
            above = parent[k]
            best[above] = max(best[above], best[k])
        whole = 0.0
        for k in range(count - 1, -1, -1):
            value = min(best[k], level[k])
            above = parent[k]
            value = value if above == k else max(value, best[above])
            best[k] = value
            plane[order[k]] = value
            whole += value
        result[n, step] = whole / count
        for i in range(n):
            total = 0.0
            for k in range(ends[i], ends[i + 1]):
                total += weight[k] * plane[index[k]]
            result[i, step] = total
    return result


@njit(cache=True)
def enlarge_weights(rows, columns, offsets, box, shape, scale):
    """Return the weight of each reduced pixel in each object's mean, for bilinear enlargement.

    Returns (small flat index int32 (W,), weight float64 (W,), offsets int64 (n + 1,)).
    """
    n = offsets.size - 1
    ends = np.zeros(n + 1, np.int64)
    for i in range(n):
        room = 0
        if offsets[i + 1] > offsets[i]:
            high = int((box[i, 2] - 1) * scale[0]) - int(box[i, 0] * scale[0]) + 2
            wide = int((box[i, 3] - 1) * scale[1]) - int(box[i, 1] * scale[1]) + 2
            room = high * wide
        ends[i + 1] = ends[i] + room
    index = np.zeros(ends[n], np.int32)
    weight = np.zeros(ends[n])
    for i in range(n):
        if offsets[i + 1] == offsets[i]:
            continue
        first_y = int(box[i, 0] * scale[0])
        first_x = int(box[i, 1] * scale[1])
        wide = int((box[i, 3] - 1) * scale[1]) - first_x + 2
        for k in range(ends[i], ends[i + 1]):
            spot = k - ends[i]
            index[k] = min(first_y + spot // wide, shape[0] - 1) * shape[1] + min(first_x + spot % wide, shape[1] - 1)
        share = 1.0 / (offsets[i + 1] - offsets[i])
        for k in range(offsets[i], offsets[i + 1]):
            row = rows[k] * scale[0]
            column = columns[k] * scale[1]
            # Rounding can put the last row or column slightly outside, where the enlarged image is 0.
            if row > shape[0] - 1 or column > shape[1] - 1:
                continue
            y = int(row)
            x = int(column)
            fy = row - y
            fx = column - x
            spot = ends[i] + (y - first_y) * wide + x - first_x
            weight[spot] += (1 - fy) * (1 - fx) * share
            if fx > 0:
                weight[spot + 1] += (1 - fy) * fx * share
            if fy > 0:
                weight[spot + wide] += fy * (1 - fx) * share
                if fx > 0:
                    weight[spot + wide + 1] += fy * fx * share
    return index, weight, ends
