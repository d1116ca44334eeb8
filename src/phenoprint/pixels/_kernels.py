"""Compiled distance transform of label images."""

# Compiled loops: numba infers the types.
# ruff: noqa: PLR0912, PLR0915
# mypy: allow-untyped-defs, disable-error-code="assignment,no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["label_distance"]


@njit(cache=True, nogil=True)
def label_distance(labels):
    """Squared distances for int32 labels (Y, X); see :func:`phenoprint.pixels.squared_distance`."""
    height, width = labels.shape
    far = np.int32(1 << 28)
    column = np.empty((height, width), np.int32)
    for y in range(height):
        for x in range(width):
            if labels[y, x] == 0:
                column[y, x] = 0
            elif y == 0:
                column[y, x] = far
            else:
                column[y, x] = column[y - 1, x] + 1 if labels[y, x] == labels[y - 1, x] else 1
    run = np.full(width, far, np.int32)
    for y in range(height - 1, -1, -1):
        for x in range(width):
            if y < height - 1:
                run[x] = run[x] + 1 if labels[y, x] == labels[y + 1, x] else 1
            column[y, x] = min(column[y, x], run[x])
    # Whole numbers, exact in single precision for distances of up to 4096 pixels.
    result = np.zeros((height, width), np.float32)
    spot = np.empty(width + 2, np.int64)
    level = np.empty(width + 2, np.float64)
    cut = np.empty(width + 3, np.float64)
    for y in range(height):
        x = 0
        while x < width:
            label = labels[y, x]
            stop = x + 1
            while stop < width and labels[y, stop] == label:
                stop += 1
            if label > 0:
                top = -1
                first = x - 1 if x > 0 else x
                last = stop if stop < width else stop - 1
                for u in range(first, last + 1):
                    if u < x or u >= stop:
                        height_u = 0.0
                    else:
                        reach = column[y, u]
                        if reach >= far:
                            continue
                        height_u = float(reach) * float(reach)
                    start = -1e18
                    while top >= 0:
                        start = ((height_u + u * u) - (level[top] + spot[top] * spot[top])) / (2.0 * (u - spot[top]))
                        if start > cut[top]:
                            break
                        top -= 1
                    top += 1
                    spot[top] = u
                    level[top] = height_u
                    cut[top] = start if top > 0 else -1e18
                part = 0
                for u in range(x, stop):
                    if top < 0:
                        result[y, u] = np.inf
                        continue
                    while part < top and cut[part + 1] < u:
                        part += 1
                    gap = float(u - spot[part])
                    result[y, u] = gap * gap + level[part]
            x = stop
    return result
