"""Compiled loops for co-occurrence textures."""

# Compiled loops: many flat arguments and long bodies are what numba wants; types are numba's to infer.
# ruff: noqa: D401, PLR0912, PLR0915, PLR0917
# mypy: allow-untyped-defs, disable-error-code="assignment,no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["haralick", "quantize"]


@njit(cache=True)
def quantize(values, levels):
    """Grey level of each value: full scale is 255, rounded half to even, then cut down to ``levels``."""
    result = np.empty(values.size, np.uint8)
    for k in range(values.size):
        level = np.float32(np.rint(values[k] * np.float32(255)))
        level = min(max(level, np.float32(0)), np.float32(255))
        if levels != 256:
            level = np.float32(int(level / 255.0 * (levels - 1)))
        result[k] = np.uint8(level)
    return result


@njit(cache=True)
def _entropy(tally, top, total, xlogx):
    """Entropy in bits of whole counts that sum to ``total``."""
    inner = 0.0
    for k in range(top):
        inner += xlogx[tally[k]]
    return max(0.0, np.log2(float(total)) - inner / total)


@njit(cache=True)
def _features(codes, used, counts, side, grey, top, out, xlogx, sums, differences, margin):
    """The 13 measures of one symmetric matrix, given as upper-triangle counts at ``codes``; clears the counts."""
    for k in range(top):
        sums[k] = sums[top + k] = 0
        differences[k] = margin[k] = 0
    total = np.int64(0)
    squares = 0.0
    inner = 0.0
    product = 0.0
    for k in range(used):
        code = codes[k]
        count = counts[code]
        counts[code] = 0
        a = grey[code // side]
        b = grey[code % side]
        total += 2 * count
        sums[a + b] += 2 * count
        differences[abs(a - b)] += 2 * count
        margin[a] += count
        margin[b] += count
        product += 2.0 * count * a * b
        if a == b:
            squares += 4.0 * count * count
            inner += xlogx[2 * count]
        else:
            squares += 2.0 * count * count
            inner += 2.0 * xlogx[count]
    if total == 0:
        return False
    first = 0.0
    second = 0.0
    for k in range(top):
        first += float(k) * margin[k]
        second += float(k) * k * margin[k]
    mean = first / total
    variance = (second * total - first * first) / total / total
    contrast = 0.0
    homogeneity = 0.0
    spread = 0.0
    for k in range(top):
        p = differences[k] / total
        contrast += p * k * k
        homogeneity += p / (1.0 + k * k)
        spread += p * p
    sum_mean = 0.0
    sum_square = 0.0
    for k in range(2 * top):
        sum_mean += float(k) * sums[k]
        sum_square += float(k) * k * sums[k]
    entropy = max(0.0, np.log2(float(total)) - inner / total)
    single = _entropy(margin, top, total, xlogx)
    out[0] = squares / total / total
    out[1] = contrast
    out[2] = (product / total - mean * mean) / variance if variance > 0 else 1.0
    out[3] = variance
    out[4] = homogeneity
    out[5] = sum_mean / total
    out[6] = (sum_square * total - sum_mean * sum_mean) / total / total
    out[7] = _entropy(sums, 2 * top, total, xlogx)
    out[8] = entropy
    out[9] = spread / top - 1.0 / (float(top) * top)
    out[10] = _entropy(differences, top, total, xlogx)
    # For a symmetric matrix both joint entropies of the marginals are twice the entropy of one.
    out[11] = (entropy - 2 * single) / single if single > 1e-12 else 0.0
    out[12] = np.sqrt(max(0.0, 1.0 - np.exp(-2.0 * (2 * single - entropy))))
    return True


@njit(cache=True)
def haralick(levels, pixels, offsets, box, width, scales):
    """Haralick's 13 measures of every object, scale and direction, (n, scales, 4, 13).

    ``levels`` holds the grey level at each of ``pixels``; level 0 takes no part. Directions are (dy, dx) = (0, 1),
    (1, 1), (1, 0), (1, -1) times the scale. An object with a direction without pairs is NaN at that scale.
    """
    n = offsets.size - 1
    result = np.full((n, scales.size, 4, 13), np.nan)
    reach = scales.max()
    largest = 0
    room = 0
    for i in range(n):
        count = offsets[i + 1] - offsets[i]
        largest = max(largest, count)
        if count > 0:
            room = max(room, (box[i, 2] - box[i, 0] + reach) * (box[i, 3] - box[i, 1] + 2 * reach) + 2 * reach)
    xlogx = np.zeros(2 * largest + 1)
    for k in range(2, 2 * largest + 1):
        xlogx[k] = k * np.log2(float(k))
    patch = np.empty(room, np.int16)
    place = np.empty(largest, np.int32)
    mine = np.empty(largest, np.int16)
    counts = np.zeros(256 * 256, np.int32)
    codes = np.empty(min(largest + 1, 256 * 256), np.int32)
    sums = np.zeros(512, np.int64)
    differences = np.zeros(256, np.int64)
    margin = np.zeros(256, np.int64)
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
        top = np.int64(1)
        for level in range(1, 256):
            if compact[level] == 0:
                compact[level] = side
                grey[side] = level
                side += 1
                top = level + 1
        compact[0] = -1
        if side == 0:
            continue
        stride = box[i, 3] - box[i, 1] + 2 * reach
        rows = box[i, 2] - box[i, 0] + reach
        for k in range(rows * stride + reach):
            patch[k] = -1
        count = 0
        for k in range(start, stop):
            level = compact[levels[k]]
            if level >= 0:
                spot = (pixels[k] // width - box[i, 0]) * stride + pixels[k] % width - box[i, 1] + reach
                patch[spot] = level
                place[count] = spot
                mine[count] = level
                count += 1
        for s in range(scales.size):
            complete = True
            for direction in range(4):
                step = scales[s] * (1 if direction == 0 else stride + 2 - direction)
                used = np.int64(0)
                for k in range(count):
                    b = patch[place[k] + step]
                    if b >= 0:
                        a = mine[k]
                        code = a * side + b if a <= b else b * side + a
                        if counts[code] == 0:
                            codes[used] = code
                            used += 1
                        counts[code] += 1
                found = _features(
                    codes,
                    used,
                    counts,
                    side,
                    grey,
                    top,
                    result[i, s, direction],
                    xlogx,
                    sums,
                    differences,
                    margin,
                )
                complete = complete and found
            if not complete:
                for direction in range(4):
                    for k in range(13):
                        result[i, s, direction, k] = np.nan
    return result
