"""Compiled kernels that split clumps of nuclei and grow cells.

Import this module inside functions only: numba takes half a second to load. Its compiled code is cached on disk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

__all__ = ["flood_basins", "propagate"]

Array = np.ndarray[Any, Any]

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(kernel: Kernel) -> Kernel:
    """Compile a kernel once, cache the machine code on disk, and release the GIL while it runs."""
    return cast("Kernel", numba.njit(cache=True, nogil=True)(kernel))


@compiled
def _root(parent: Array, node: int) -> int:
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@compiled
def flood_basins(  # noqa: PLR0912  a kernel is one nest of loops
    value: Array, order: Array, neck: float, reach: float, speck: int
) -> Array:
    """Split a mask into the basins of a landscape; basins without a neck between them are merged.

    Pixels are visited from the highest to the lowest. A pixel without a visited neighbour starts a basin. Where two
    basins meet, they are merged if the pass is nearly as high as the lower summit (``pass >= neck * summit``), if the
    summits are closer than `reach`, or if the smaller basin has fewer than `speck` pixels so far. This is a watershed
    with a *relative* dynamics criterion, so that one threshold suits large and small objects.

    Parameters
    ----------
    value
        ``(Y, X)`` float32 landscape; only pixels above 0 are flooded.
    order
        Flat indices of the pixels above 0, highest first.
    neck
        Fraction of the lower summit in [0, 1] from which a pass does not separate two basins; 0 merges all, 1 none.
    reach
        Summits closer than this many pixels belong to one basin.
    speck
        Basins of fewer pixels than this are merged with the neighbour they meet first.

    Returns
    -------
    ndarray
        ``(Y, X)`` int32 labels 1..n, in descending order of their summits.
    """
    height, width = value.shape
    flat = value.ravel()
    owner = np.full(height * width, -1, np.int32)
    parent = np.empty(order.size + 1, np.int32)
    summit = np.empty(order.size + 1, np.int32)
    area = np.zeros(order.size + 1, np.int32)
    count = 0
    reach2 = reach * reach
    for position in order:
        y, x = position // width, position % width
        best = -1
        best_value = np.float32(-1)
        for dy in range(-1, 2):
            for dx in range(-1, 2):
                ny, nx = y + dy, x + dx
                if ny < 0 or nx < 0 or ny >= height or nx >= width:
                    continue
                near = ny * width + nx
                if owner[near] < 0:
                    continue
                basin = _root(parent, owner[near])
                if best < 0:
                    best, best_value = basin, flat[near]
                    continue
                if basin == best:
                    best_value = max(best_value, flat[near])
                    continue
                a, b = summit[best], summit[basin]
                low = min(flat[a], flat[b])
                gap = (a // width - b // width) ** 2 + (a % width - b % width) ** 2
                if flat[position] >= neck * low or gap < reach2 or min(area[best], area[basin]) < speck:
                    # The older basin has the higher summit, because pixels come in descending order.
                    keep, gone = min(best, basin), max(best, basin)
                    parent[gone] = keep
                    area[keep] += area[gone]
                    best, best_value = keep, max(best_value, flat[near])
                elif flat[near] > best_value:
                    best, best_value = basin, flat[near]
        if best < 0:
            parent[count] = count
            summit[count] = position
            best = count
            count += 1
        owner[position] = best
        area[best] += 1
    number = np.zeros(count + 1, np.int32)
    total = 0
    for basin in range(count):
        if parent[basin] == basin:
            total += 1
            number[basin] = total
    labels = np.zeros(height * width, np.int32)
    for position in order:
        labels[position] = number[_root(parent, owner[position])]
    return labels.reshape(height, width)


@compiled
def _step_costs(image: Array, regularization: float) -> Array:
    """Return the cost of the steps (0, 1), (1, -1), (1, 0), (1, 1) from every pixel, ``((Y + 2) * (X + 2), 4)``.

    Rows are the pixels of the image with a frame of one pixel around it. For the differences, coordinates beyond the
    border are clamped to it, as in CellProfiler.
    """
    height, width = image.shape
    squared = np.float32(regularization * regularization)
    out = np.zeros(((height + 2) * (width + 2), 4), np.float32)
    rows = np.zeros((3, width), np.float32)
    for direction in range(4):
        dy = 0 if direction == 0 else 1
        dx = 1 if direction == 0 else direction - 2
        length = np.float32(abs(dy) + abs(dx))
        for y in range(height):
            for w in range(3):
                ay = min(max(y + w - 1, 0), height - 1)
                by = min(max(y + dy + w - 1, 0), height - 1)
                # One row of differences, summed over windows of three columns.
                left = abs(image[ay, 0] - image[by, min(max(dx - 1, 0), width - 1)])
                middle = abs(image[ay, 0] - image[by, min(max(dx, 0), width - 1)])
                for x in range(width):
                    a, b = min(x + 1, width - 1), min(max(x + 1 + dx, 0), width - 1)
                    right = abs(image[ay, a] - image[by, b])
                    rows[w, x] = left + middle + right
                    left, middle = middle, right
            first = (y + 1) * (width + 2) + 1
            for x in range(width):
                change = rows[0, x] + rows[1, x] + rows[2, x]
                out[first + x, direction] = np.sqrt(change * change + length * squared)
    return out


@compiled
def propagate(  # noqa: PLR0912, PLR0915  a kernel is one nest of loops
    image: Array, seeds: Array, mask: Array, regularization: float
) -> Array:
    """Grow labels over a mask along paths of little change in intensity.

    The distance of Jones, Carpenter and Golland (2005) as CellProfiler's *Propagation* computes it. The cost of a step
    between neighbours is the sum of absolute differences of their 3 x 3 neighbourhoods and the regularization times
    the length of the step, added in quadrature. A pixel belongs to the seed with the cheapest path. Every step costs
    at least the regularization, so a queue of buckets of that width visits pixels in exact order in linear time.

    Parameters
    ----------
    image
        ``(Y, X)`` float32, background near 0 and bright cytoplasm near 1.
    seeds
        ``(Y, X)`` int32 labels to grow.
    mask
        ``(Y, X)`` boolean; labels grow inside it only. Seeds keep their pixels outside the mask, too.
    regularization
        Above 0. With small values labels follow the image, with large ones the distance to the seed.

    Returns
    -------
    ndarray
        ``(Y, X)`` int32 labels with the numbers of `seeds`.
    """
    height, width = image.shape
    wide = width + 2
    cost = _step_costs(image, regularization)
    # A frame of closed pixels around the image makes checks for the border unnecessary.
    labels = np.zeros((height + 2) * wide, np.int32)
    distance = np.full((height + 2) * wide, np.float32(np.inf), np.float32)
    closed = np.ones((height + 2) * wide, np.bool_)
    # A pixel may be in several buckets; entries of closed pixels are skipped.
    capacity = np.int64(2 * height * width + 16)
    link = np.empty(capacity, np.int32)
    item = np.empty(capacity, np.int32)
    used = np.int32(0)
    first = np.int32(-1)
    for y in range(height):
        for x in range(width):
            pixel = (y + 1) * wide + x + 1
            closed[pixel] = not mask[y, x] and seeds[y, x] == 0
            if seeds[y, x] > 0:
                labels[pixel] = seeds[y, x]
                distance[pixel] = 0
                item[used], link[used] = pixel, first
                first = used
                used += 1
    inverse = 1.0 / regularization
    buckets = np.int64(cost.max() * inverse) + 3
    head = np.full(buckets, -1, np.int32)
    head[0] = first
    waiting = np.int64(used)
    free = np.int32(-1)
    level, slot = np.int64(0), np.int64(0)
    side = np.array([1, wide - 1, wide, wide + 1, -1, 1 - wide, -wide, -wide - 1])
    while waiting > 0:
        while head[slot] < 0:
            level += 1
            slot = (slot + 1) % buckets
        current = head[slot]
        head[slot] = -1
        while current >= 0:
            pixel = item[current]
            following = link[current]
            link[current] = free
            free = current
            current = following
            waiting -= 1
            if closed[pixel]:
                continue
            closed[pixel] = True
            here = distance[pixel]
            for k in range(8):
                near = pixel + side[k]
                if closed[near]:
                    continue
                # The cost of a step is stored once, at the first of its two pixels.
                there = here + (cost[pixel, k] if k < 4 else cost[near, k - 4])
                if there >= distance[near]:
                    continue
                distance[near] = there
                labels[near] = labels[pixel]
                if free >= 0:
                    entry = free
                    free = link[entry]
                else:
                    if used == capacity:
                        capacity *= 2
                        link, item = _grown(link, capacity), _grown(item, capacity)
                    entry = used
                    used += np.int32(1)
                ahead = slot + np.int64(there * inverse) - level
                if ahead >= buckets:
                    ahead -= buckets
                item[entry], link[entry] = near, head[ahead]
                head[ahead] = entry
                waiting += 1
    return labels.reshape(height + 2, wide)[1:-1, 1:-1].copy()


@compiled
def _grown(array: Array, size: np.int64) -> Array:
    out = np.empty(size, array.dtype)
    out[: array.size] = array
    return out
