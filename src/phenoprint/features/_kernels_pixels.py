"""Compiled loops that turn a label image and its channels into per-object pixel lists.

Every kernel of the package takes the same few dtypes (labels int32, pixel indices int32, offsets int64,
intensities float32, results float64, all C-contiguous), so that each compiles once and is then read from
numba's disk cache.
"""

# Compiled loops: many flat arguments and long bodies are what numba wants; types are numba's to infer.
# mypy: allow-untyped-defs, disable-error-code="assignment,no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["distribute", "gather", "group_pixels", "inner_edge", "outline", "pick", "radix_order"]


@njit(cache=True)
def group_pixels(labels, n):
    """Pixel indices grouped by label, in raster order inside each, with offsets and bounding boxes.

    Returns (flat index int32 (P,), offsets int64 (n + 1,), box int32 (n, 4) as y0, x0, y1, x1 half open).
    """
    height, width = labels.shape
    offsets = np.zeros(n + 1, np.int64)
    box = np.zeros((n, 4), np.int32)
    for i in range(n):
        box[i, 0] = height
        box[i, 1] = width
    for y in range(height):
        for x in range(width):
            label = labels[y, x]
            if label > 0:
                i = label - 1
                offsets[label] += 1
                box[i, 0] = min(box[i, 0], y)
                box[i, 1] = min(box[i, 1], x)
                box[i, 2] = y + 1
                box[i, 3] = max(box[i, 3], x + 1)
    for i in range(n):
        offsets[i + 1] += offsets[i]
    place = np.empty(n, np.int64)
    for i in range(n):
        place[i] = offsets[i]
    pixels = np.empty(offsets[n], np.int32)
    for y in range(height):
        for x in range(width):
            label = labels[y, x]
            if label > 0:
                pixels[place[label - 1]] = y * width + x
                place[label - 1] += 1
    return pixels, offsets, box


@njit(cache=True)
def outline(labels):
    """Pixels of an object with one of eight neighbours that is not of it, or on the image border."""
    height, width = labels.shape
    edge = np.zeros((height, width), np.bool_)
    for y in range(height):
        for x in range(width):
            label = labels[y, x]
            if label == 0:
                continue
            if y == 0 or x == 0 or y == height - 1 or x == width - 1:
                edge[y, x] = True
                continue
            edge[y, x] = (
                labels[y - 1, x] != label
                or labels[y + 1, x] != label
                or labels[y, x - 1] != label
                or labels[y, x + 1] != label
                or labels[y - 1, x - 1] != label
                or labels[y - 1, x + 1] != label
                or labels[y + 1, x - 1] != label
                or labels[y + 1, x + 1] != label
            )
    return edge


@njit(cache=True)
def inner_edge(labels, pixels):
    """Whether each listed pixel has one of four neighbours that is not of its object; the border is no edge."""
    height, width = labels.shape
    edge = np.zeros(pixels.size, np.bool_)
    for k in range(pixels.size):
        y = pixels[k] // width
        x = pixels[k] % width
        label = labels[y, x]
        edge[k] = (
            (y > 0 and labels[y - 1, x] != label)
            or (y < height - 1 and labels[y + 1, x] != label)
            or (x > 0 and labels[y, x - 1] != label)
            or (x < width - 1 and labels[y, x + 1] != label)
        )
    return edge


@njit(cache=True)
def gather(flat, pixels):
    """Every flat channel at the listed pixels, (C, P)."""
    result = np.empty((flat.shape[0], pixels.size), np.float32)
    for c in range(flat.shape[0]):
        for k in range(pixels.size):
            result[c, k] = flat[c, pixels[k]]
    return result


@njit(cache=True)
def radix_order(values, pixels):
    """Pixel indices in ascending order of value, and the values so ordered; equals keep the order of ``pixels``.

    A radix sort on the bits of the float32 values: three passes, linear in the number of pixels.
    """
    count = pixels.size
    bits = values.view(np.uint32)
    sign = np.uint32(0x80000000)
    keys = np.empty(count, np.uint32)
    order = pixels.copy()
    for k in range(count):
        key = bits[pixels[k]]
        if key == sign:  # minus zero sorts with zero
            key = np.uint32(0)
        keys[k] = ~key if key & sign else key | sign
    spare_keys = np.empty(count, np.uint32)
    spare_order = np.empty(count, np.int32)
    for shift in (np.uint32(0), np.uint32(11), np.uint32(22)):
        tally = np.zeros(2049, np.int64)
        for k in range(count):
            tally[((keys[k] >> shift) & np.uint32(2047)) + 1] += 1
        if tally.max() == count:
            continue
        for d in range(2048):
            tally[d + 1] += tally[d]
        for k in range(count):
            digit = (keys[k] >> shift) & np.uint32(2047)
            spot = tally[digit]
            tally[digit] += 1
            spare_keys[spot] = keys[k]
            spare_order[spot] = order[k]
        keys, spare_keys = spare_keys, keys
        order, spare_order = spare_order, order
    for k in range(count):
        keys[k] = keys[k] & ~sign if keys[k] & sign else ~keys[k]
    return order, keys.view(np.float32)


@njit(cache=True)
def distribute(order, ordered, stacked, starts, place):
    """From the pixels ordered by value: each object's sorted values, and ranks inside each compartment.

    ``stacked`` holds a column of labels a compartment (P, K), ``starts`` where each compartment begins in the
    output and ``place`` (changed) where each of its objects begins, (K, n). Returns (sorted values, dense rank of
    each pixel (P, K), largest rank of each compartment); ranks count the compartment's distinct values from 0.
    """
    kinds = stacked.shape[1]
    result = np.empty(starts[kinds], np.float32)
    ranks = np.empty(stacked.shape, np.int32)
    last = np.zeros(kinds, np.float32)
    top = np.full(kinds, -1, np.int64)
    for k in range(order.size):
        pixel = order[k]
        value = ordered[k]
        for c in range(kinds):
            label = stacked[pixel, c]
            if label > 0:
                if top[c] < 0 or value != last[c]:
                    top[c] += 1
                    last[c] = value
                ranks[pixel, c] = top[c]
                spot = place[c, label - 1]
                place[c, label - 1] = spot + 1
                result[starts[c] + spot] = value
    return result, ranks, top


@njit(cache=True)
def pick(ranks, column, pixels):
    """One column of ``ranks`` at the listed pixels."""
    result = np.empty(pixels.size, np.int32)
    for k in range(pixels.size):
        result[k] = ranks[pixels[k], column]
    return result
