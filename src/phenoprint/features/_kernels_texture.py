"""Compiled loops for co-occurrence textures."""

# Compiled loops: numba needs flat arguments and long bodies, and infers the types.
# ruff: noqa: D401, PLR0912, PLR0915, PLR0917
# mypy: allow-untyped-defs, disable-error-code="assignment,no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["haralick", "quantize"]

_TABLE = 1 << 16


@njit(cache=True)
def quantize(values, levels):
    """Grey level of each value: full scale is 255, rounded half to even, then reduced to ``levels``."""
    result = np.empty(values.size, np.uint8)
    for k in range(values.size):
        level = np.float32(np.rint(values[k] * np.float32(255)))
        level = min(max(level, np.float32(0)), np.float32(255))
        if levels != 256:
            level = np.float32(int(level / 255.0 * (levels - 1)))
        result[k] = np.uint8(level)
    return result


@njit(cache=True)
def _xlogx(count, table):
    """``count * log2(count)``, from the table where it is long enough."""
    return table[count] if count < table.size else count * np.log2(float(count))


@njit(cache=True)
def _entropy(tally, first, stop, total, table):
    """Entropy in bits of whole counts that sum to ``total``."""
    inner = 0.0
    for k in range(first, stop):
        inner += _xlogx(tally[k], table)
    return max(0.0, np.log2(float(total)) - inner / total)


@njit(cache=True)
def _features(codes, used, counts, shift, grey, low, top, out, table, sums, differences, margin):
    """The 13 measures of one symmetric matrix, given as upper-triangle counts at ``codes``.

    ``grey`` holds the grey level by index; a code is the index of the lower level shifted left, plus that of the
    higher. All levels lie from ``low`` and below ``top``.
    """
    for k in range(2 * low, 2 * top):
        sums[k] = 0
    for k in range(top - low):
        differences[k] = 0
    for k in range(low, top):
        margin[k] = 0
    mask = (1 << shift) - 1
    pairs = np.int64(0)
    squares = np.int64(0)
    product = np.int64(0)
    inner = 0.0
    for k in range(used):
        code = codes[k]
        count = np.int64(counts[code])
        a = grey[code >> shift]
        b = grey[code & mask]
        pairs += count
        sums[a + b] += 2 * count
        differences[b - a] += 2 * count
        margin[a] += count
        margin[b] += count
        product += count * a * b
        if a == b:
            squares += 2 * count * count
            inner += _xlogx(2 * count, table)
        else:
            squares += count * count
            inner += 2.0 * _xlogx(count, table)
    if pairs == 0:
        return False
    total = 2.0 * pairs
    first = np.int64(0)
    second = np.int64(0)
    for k in range(low, top):
        first += k * margin[k]
        second += k * k * margin[k]
    mean = first / total
    variance = (second * total - float(first) * first) / total / total
    contrast = np.int64(0)
    homogeneity = 0.0
    spread = np.int64(0)
    for k in range(top - low):
        count = np.int64(differences[k])
        contrast += count * k * k
        homogeneity += count / (1.0 + k * k)
        spread += count * count
    sum_mean = np.int64(0)
    sum_square = np.int64(0)
    for k in range(2 * low, 2 * top):
        sum_mean += k * sums[k]
        sum_square += k * k * sums[k]
    entropy = max(0.0, np.log2(total) - inner / total)
    single = _entropy(margin, low, top, total, table)
    out[0] = 2.0 * squares / total / total
    out[1] = contrast / total
    out[2] = (2.0 * product / total - mean * mean) / variance if variance > 0 else 1.0
    out[3] = variance
    out[4] = homogeneity / total
    out[5] = sum_mean / total
    out[6] = (sum_square * total - float(sum_mean) * sum_mean) / total / total
    out[7] = _entropy(sums, 2 * low, 2 * top, total, table)
    out[8] = entropy
    out[9] = spread / total / total / top - 1.0 / (float(top) * top)
    out[10] = _entropy(differences, 0, top - low, total, table)
    # For a symmetric matrix both joint entropies of the marginals are twice the entropy of one marginal.
    out[11] = (entropy - 2 * single) / single if single > 1e-12 else 0.0
    out[12] = np.sqrt(max(0.0, 1.0 - np.exp(-2.0 * (2 * single - entropy))))
    return True


@njit(cache=True)
def _tally(patch, place, mine, first, stop, step, shift, counts, codes, used, later):
    """Count the pairs of the listed pixels with the pixels ``step`` further on.

    The codes of pairs with pixels outside the part (256 and above in ``patch``) are not counted but stored in
    ``later``, unless that is empty. Returns the number of codes and of stored codes.
    """
    put_off = np.int64(0)
    split = later.size > 0
    for k in range(first, stop):
        b = np.int64(patch[place[k] + step])
        if b < 0:
            continue
        a = np.int64(mine[k])
        other = b & 255
        code = (min(a, other) << shift) | max(a, other)
        if split and b > 255:
            later[put_off] = code
            put_off += 1
            continue
        # Always written, and kept if new: a branch here would be unpredictable.
        codes[used] = code
        used += counts[code] == 0
        counts[code] += 1
    return used, put_off


@njit(cache=True)
def haralick(levels, rows, columns, offsets, box, part, scales, lowest):
    """Haralick's 13 measures of every object, and of a part of it, for each scale and direction.

    ``levels`` has the grey level at each pixel of ``rows`` and ``columns``; levels below ``lowest`` are ignored.
    ``part`` marks the pixels of the part (the cytoplasm of a cell), or is empty. The pairs of the part are pairs of the
    whole, so that both together take little longer than the whole. Directions are (dy, dx) = (0, 1), (1, 1), (1, 0),
    (1, -1) times the scale. Values of an object without pairs in one direction are NaN at that scale. Returns (whole
    and part, n, scales, 4, 13).
    """
    n = offsets.size - 1
    result = np.full((2, n, scales.size, 4, 13), np.nan)
    reach = scales.max()
    largest = 0
    room = 0
    for i in range(n):
        count = offsets[i + 1] - offsets[i]
        largest = max(largest, count)
        if count > 0:
            room = max(room, (box[i, 2] - box[i, 0] + reach) * (box[i, 3] - box[i, 1] + 2 * reach) + 2 * reach)
    # Only huge objects have counts beyond the table.
    table = np.zeros(min(2 * largest + 1, _TABLE))
    for k in range(2, table.size):
        table[k] = k * np.log2(float(k))
    patch = np.empty(room, np.int16)
    place = np.empty(largest, np.int32)
    mine = np.empty(largest, np.int16)
    counts = np.zeros(256 * 256, np.int32)
    codes = np.empty(largest + 1, np.int32)
    later = np.empty(largest if part.size > 0 else 0, np.int32)
    nothing = np.empty(0, np.int32)
    sums = np.zeros(512, np.int32)
    differences = np.zeros(256, np.int32)
    margin = np.zeros(256, np.int32)
    compact = np.empty(256, np.int16)
    grey = np.empty(256, np.int64)
    for i in range(n):
        start, stop = offsets[i], offsets[i + 1]
        if start == stop:
            continue
        for level in range(256):
            compact[level] = -1
        for k in range(start, stop):
            compact[levels[k]] = 0
        side = np.int64(0)
        for level in range(256):
            if compact[level] == 0 and level >= lowest:
                compact[level] = side
                grey[side] = level
                side += 1
            else:
                compact[level] = -1
        if side == 0:
            continue
        shift = np.int64(0)
        while (1 << shift) < side:
            shift += 1
        stride = box[i, 3] - box[i, 1] + 2 * reach
        for k in range((box[i, 2] - box[i, 0] + reach) * stride + reach):
            patch[k] = -1
        # The pixels of the part are stored from the start, the others from the end.
        inside = np.int64(0)
        count = largest
        low, high = np.int64(255), np.int64(0)
        base = reach - np.int64(box[i, 0]) * stride - box[i, 1]
        for k in range(start, stop):
            level = compact[levels[k]]
            if level >= 0:
                spot = base + rows[k] * stride + columns[k]
                if part.size > 0 and part[k]:
                    patch[spot] = level
                    place[inside] = spot
                    mine[inside] = level
                    inside += 1
                    low = min(low, np.int64(levels[k]))
                    high = max(high, np.int64(levels[k]))
                else:
                    patch[spot] = level + 256
                    count -= 1
                    place[count] = spot
                    mine[count] = level
        top = grey[side - 1] + 1
        for s in range(scales.size):
            complete = True
            complete_part = inside > 0
            for direction in range(4):
                step = scales[s] * (1 if direction == 0 else stride + 2 - direction)
                used = np.int64(0)
                if inside > 0:
                    used, put_off = _tally(
                        patch, place, mine, np.int64(0), inside, step, shift, counts, codes, used, later
                    )
                    found = _features(
                        codes,
                        used,
                        counts,
                        shift,
                        grey,
                        low,
                        high + 1,
                        result[1, i, s, direction],
                        table,
                        sums,
                        differences,
                        margin,
                    )
                    complete_part = complete_part and found
                    for k in range(put_off):
                        code = later[k]
                        codes[used] = code
                        used += counts[code] == 0
                        counts[code] += 1
                used, _ = _tally(patch, place, mine, count, largest, step, shift, counts, codes, used, nothing)
                found = _features(
                    codes,
                    used,
                    counts,
                    shift,
                    grey,
                    grey[0],
                    top,
                    result[0, i, s, direction],
                    table,
                    sums,
                    differences,
                    margin,
                )
                complete = complete and found
                for k in range(used):
                    counts[codes[k]] = 0
            for direction in range(4):
                for k in range(13):
                    if not complete:
                        result[0, i, s, direction, k] = np.nan
                    if not complete_part:
                        result[1, i, s, direction, k] = np.nan
    return result
