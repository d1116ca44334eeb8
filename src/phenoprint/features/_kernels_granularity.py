"""Compiled loops for granularity: grey morphology on small images, and means over objects of the result."""

# Compiled loops: many flat arguments and long bodies are what numba wants; types are numba's to infer.
# ruff: noqa: D401, PLR0917, PLR1730
# mypy: allow-untyped-defs, disable-error-code="assignment,no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["disk_filter", "enlarge_weights", "resample", "spectrum", "weighted_means"]


@njit(cache=True)
def resample(image, rows, columns):
    """Bilinear values at a grid of row and column positions; 0 where a position lies beyond the image."""
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
    """Erosion (sign 1) or dilation (sign -1) by a disk; pixels outside the image take no part."""
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
    height, width = image.shape
    for y in range(height):
        for x in range(width):
            best = image[y, x]
            if y > 0:
                best = min(best, image[y - 1, x])
            if y < height - 1:
                best = min(best, image[y + 1, x])
            if x > 0:
                best = min(best, image[y, x - 1])
            if x < width - 1:
                best = min(best, image[y, x + 1])
            result[y, x] = best


@njit(cache=True)
def _root(ancestor, k):
    while ancestor[k] != k:
        ancestor[k] = ancestor[ancestor[k]]
        k = ancestor[k]
    return k


@njit(cache=True)
def _tree(image, order):
    """Parent of each pixel in the tree of the bright components (four neighbours), by place in falling order.

    ``order`` lists the pixels from bright to dark, so that a parent always has a larger place than its children
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
def spectrum(image, order, steps):
    """The image reconstructed by dilation after 1, 2, ... erosions by a cross, (Y * X, steps).

    ``order`` lists the flat pixels from bright to dark.
    The component tree of the image is built once; each reconstruction is then two passes over it: up, the
    brightest survivor of the erosions in each component; down, the brightest level whose component has one.
    """
    height, width = image.shape
    count = height * width
    parent = _tree(image, order)
    level = np.empty(count)
    for k in range(count):
        level[k] = image[order[k] // width, order[k] % width]
    result = np.empty((count, steps))
    eroded = image.copy()
    spare = np.empty((height, width))
    best = np.empty(count)
    for step in range(steps):
        _erode_cross(eroded, spare)
        eroded, spare = spare, eroded
        flat = eroded.reshape(-1)
        for k in range(count):
            best[k] = flat[order[k]]
        for k in range(count):
            if best[k] > best[parent[k]]:
                best[parent[k]] = best[k]
        for k in range(count - 1, -1, -1):
            value = min(best[k], level[k])
            if parent[k] != k:
                value = max(value, best[parent[k]])
            best[k] = value
            result[order[k], step] = value
    return result


@njit(cache=True)
def enlarge_weights(pixels, offsets, box, width, shape, scale):
    """How much each small pixel counts in each object when the small image is enlarged bilinearly.

    Returns (small flat index int32 (W,), weight float64 (W,), offsets int64 (n + 1,)).
    """
    n = offsets.size - 1
    ends = np.zeros(n + 1, np.int64)
    for i in range(n):
        room = 0
        if offsets[i + 1] > offsets[i]:
            rows = int((box[i, 2] - 1) * scale[0]) - int(box[i, 0] * scale[0]) + 2
            columns = int((box[i, 3] - 1) * scale[1]) - int(box[i, 1] * scale[1]) + 2
            room = rows * columns
        ends[i + 1] = ends[i] + room
    index = np.zeros(ends[n], np.int32)
    weight = np.zeros(ends[n])
    for i in range(n):
        if offsets[i + 1] == offsets[i]:
            continue
        first_y = int(box[i, 0] * scale[0])
        first_x = int(box[i, 1] * scale[1])
        columns = int((box[i, 3] - 1) * scale[1]) - first_x + 2
        for k in range(ends[i], ends[i + 1]):
            spot = k - ends[i]
            index[k] = min(first_y + spot // columns, shape[0] - 1) * shape[1] + min(
                first_x + spot % columns, shape[1] - 1
            )
        for k in range(offsets[i], offsets[i + 1]):
            row = (pixels[k] // width) * scale[0]
            column = (pixels[k] % width) * scale[1]
            # Rounding can put the last row or column a hair outside, where the enlarged image is 0.
            if row > shape[0] - 1 or column > shape[1] - 1:
                continue
            y = int(row)
            x = int(column)
            fy = row - y
            fx = column - x
            spot = ends[i] + (y - first_y) * columns + x - first_x
            weight[spot] += (1 - fy) * (1 - fx)
            if fx > 0:
                weight[spot + 1] += (1 - fy) * fx
            if fy > 0:
                weight[spot + columns] += fy * (1 - fx)
                if fx > 0:
                    weight[spot + columns + 1] += fy * fx
    return index, weight, ends


@njit(cache=True)
def weighted_means(images, index, weight, ends, area):
    """Mean over each object of each enlarged image (Y * X, images), by :func:`enlarge_weights`; (n, images)."""
    n = ends.size - 1
    steps = images.shape[1]
    result = np.zeros((n, steps))
    for i in range(n):
        for k in range(ends[i], ends[i + 1]):
            for step in range(steps):
                result[i, step] += weight[k] * images[index[k], step]
        for step in range(steps):
            result[i, step] = result[i, step] / area[i] if area[i] > 0 else np.nan
    return result
