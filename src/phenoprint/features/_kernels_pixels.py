"""Compiled loops that convert a label image and its channels to pixel lists per object.

All kernels of the package use the same types (labels int32, pixel indices int32, offsets int64, intensities float32,
results float64, all C-contiguous), so that each is compiled once and then read from numba's disk cache.
"""

# Compiled loops: numba needs flat arguments and long bodies, and infers the types.
# ruff: noqa: PLR0917
# mypy: allow-untyped-defs, disable-error-code="assignment,no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = [
    "channel_values",
    "dense_ranks",
    "distribute",
    "enrol",
    "group_pixels",
    "inner_edge",
    "object_sums",
    "outline",
    "radix_order",
    "rank_values",
]


@njit(cache=True)
def group_pixels(labels, n):
    """Group pixel indices by label, in raster order within each; also return offsets and bounding boxes.

    Returns (flat index, row and column int32 (P,) each; offsets int64 (n + 1,); box int32 (n, 4) as y0, x0, y1, x1
    half open).
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
    rows = np.empty(offsets[n], np.int32)
    columns = np.empty(offsets[n], np.int32)
    for y in range(height):
        for x in range(width):
            label = labels[y, x]
            if label > 0:
                spot = place[label - 1]
                place[label - 1] = spot + 1
                pixels[spot] = y * width + x
                rows[spot] = y
                columns[spot] = x
    return pixels, rows, columns, offsets, box


@njit(cache=True)
def outline(labels):
    """Mark object pixels with one of eight neighbours outside their object, or on the image border."""
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
def inner_edge(labels, rows, columns, offsets):
    """Find listed pixels with one of four neighbours outside their object; the image border is not an edge.

    Returns (position in the list int32 (E,), offsets int64 (n + 1,)).
    """
    height, width = labels.shape
    edge = np.empty(rows.size, np.int32)
    ends = np.zeros(offsets.size, np.int64)
    count = 0
    for i in range(offsets.size - 1):
        label = i + 1
        for k in range(offsets[i], offsets[i + 1]):
            y = rows[k]
            x = columns[k]
            edge[count] = k
            count += (
                (y > 0 and labels[y - 1, x] != label)
                or (y < height - 1 and labels[y + 1, x] != label)
                or (x > 0 and labels[y, x - 1] != label)
                or (x < width - 1 and labels[y, x + 1] != label)
            )
        ends[i + 1] = count
    return edge[:count].copy(), ends


@njit(cache=True)
def channel_values(flat, pixels):
    """Return every flat channel at the listed pixels, (C, P)."""
    result = np.empty((flat.shape[0], pixels.size), np.float32)
    for c in range(flat.shape[0]):
        for k in range(pixels.size):
            result[c, k] = flat[c, pixels[k]]
    return result


@njit(cache=True)
def enrol(pixels, offsets, owner, index, foreground, owners, rows):
    """Add a compartment's pixel lists to the foreground of the field; return the number of foreground pixels.

    ``index`` (Y * X) has the row of each pixel in ``foreground`` (the pixel) and in ``owners`` (F, K): the object, plus
    ``owner``, of each of up to K compartments with this pixel. ``rows`` is filled with the row of every listed pixel.
    All four are changed; free entries are -1.
    """
    count = 0
    while count < foreground.size and foreground[count] >= 0:
        count += 1
    for i in range(offsets.size - 1):
        for k in range(offsets[i], offsets[i + 1]):
            f = index[pixels[k]]
            if f < 0:
                f = count
                index[pixels[k]] = f
                foreground[f] = pixels[k]
                count += 1
            rows[k] = f
            j = 0
            while owners[f, j] >= 0:
                j += 1
            owners[f, j] = owner + i
    return count


@njit(cache=True)
def radix_order(values, pixels, order, keys, spare_order, spare_keys):
    """Sort positions in ``pixels`` by value, ascending and stable.

    A radix sort on the bits of the float32 values: three passes, linear in the number of pixels. The last four
    arguments are its buffers. Returns (positions int32, values float32), both in these buffers.
    """
    count = pixels.size
    bits = values.view(np.uint32)
    sign = np.uint32(0x80000000)
    for k in range(count):
        order[k] = k
        key = bits[pixels[k]]
        if key == sign:  # minus zero sorts with zero
            key = np.uint32(0)
        keys[k] = ~key if key & sign else key | sign
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
def rank_values(order, values, codes):
    """Fill ``codes`` with the dense rank, from 0, of each position's value; return the largest; see radix_order."""
    code = -1
    last = np.float32(np.nan)
    for k in range(order.size):
        if values[k] != last:
            code += 1
            last = values[k]
        codes[order[k]] = code
    return code


@njit(cache=True)
def distribute(order, values, owners, place, ordered):
    """Fill ``ordered`` with each owner's values in ascending order.

    ``order`` has the rows of ``owners`` (see :func:`enrol`) by ascending value, ``place`` (changed) the start of each
    owner's values.
    """
    for k in range(order.size):
        for j in range(owners.shape[1]):
            owner = owners[order[k], j]
            if owner < 0:
                break
            spot = place[owner]
            ordered[spot] = values[k]
            place[owner] = spot + 1


@njit(cache=True)
def dense_ranks(codes, rows):
    """Return the ranks of the listed pixels among themselves, (C, P), and the largest of each channel, (C,).

    ``codes`` has the ranks of each channel among more pixels (C, F), ``rows`` the positions of the listed pixels among
    these; gaps between the ranks are closed.
    """
    channels = codes.shape[0]
    ranks = np.empty((channels, rows.size), np.int32)
    tops = np.full(channels, -1, np.int64)
    table = np.empty(codes.shape[1], np.int32)
    for c in range(channels):
        table[:] = 0
        for k in range(rows.size):
            table[codes[c, rows[k]]] = 1
        top = -1
        for code in range(table.size):
            top += table[code]
            table[code] = top
        for k in range(rows.size):
            ranks[c, k] = table[codes[c, rows[k]]]
        tops[c] = top
    return ranks, tops


@njit(cache=True, fastmath={"reassoc", "nsz"})
def object_sums(values, offsets):
    """Return the sum of every channel over the pixels of each object, (C, n)."""
    result = np.zeros((values.shape[0], offsets.size - 1))
    for c in range(values.shape[0]):
        for i in range(offsets.size - 1):
            total = 0.0
            for k in range(offsets[i], offsets[i + 1]):
                total += np.float64(values[c, k])
            result[c, i] = total
    return result
