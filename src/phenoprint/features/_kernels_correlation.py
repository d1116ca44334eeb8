"""Compiled loops for the colocalization of two channels."""

# Compiled loops: numba needs flat arguments and long bodies, and infers the types.
# ruff: noqa: PLR0917
# mypy: allow-untyped-defs, disable-error-code="assignment,no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["colocalization"]

_REORDER = {"reassoc", "nsz"}  # sums in any order, so that several pixels are added at once


@njit(cache=True, fastmath=_REORDER)
def _sums(values, percent, strict, out):
    """Mean, squared differences, threshold and sum above it of one channel of an object, for all its pairs."""
    total = 0.0
    high = values[0]
    for k in range(values.size):
        total += np.float64(values[k])
        high = max(high, values[k])
    mean = total / values.size
    # In single precision, as in CellProfiler, so that pixels on the threshold are treated equally.
    if strict:
        cut = np.nextafter(np.float32(percent * np.float64(high) / 100.0), np.float32(np.inf))
    else:
        cut = np.float32(percent / 100.0) * high
    squares = 0.0
    above = 0.0
    for k in range(values.size):
        value = np.float64(values[k])
        squares += (value - mean) * (value - mean)
        above += value * (1.0 if values[k] >= cut else 0.0)
    out[0] = mean
    out[1] = squares
    out[2] = cut
    out[3] = above


@njit(cache=True, fastmath=_REORDER)
def _covariation(first, second, mean1, mean2):
    """Sum of the products of the differences from the means."""
    product = 0.0
    for k in range(first.size):
        product += (np.float64(first[k]) - mean1) * (np.float64(second[k]) - mean2)
    return product


@njit(cache=True, fastmath=_REORDER)
def _overlap(first, second, sums1, sums2, out):
    """Write Overlap, K 1-2, 2-1, Manders 1-2, 2-1 of one object to ``out``."""
    cut1 = np.float32(sums1[2])
    cut2 = np.float32(sums2[2])
    both1 = 0.0
    both2 = 0.0
    q11 = 0.0
    q22 = 0.0
    q12 = 0.0
    # Weights of 0 and 1 replace branches, here and below, so that several pixels are added at once.
    for k in range(first.size):
        stained = 1.0 if first[k] >= cut1 else 0.0
        stained *= 1.0 if second[k] >= cut2 else 0.0
        a = np.float64(first[k]) * stained
        b = np.float64(second[k]) * stained
        both1 += a
        both2 += b
        q11 += a * a
        q22 += b * b
        q12 += a * b
    if q11 > 0 and q22 > 0:
        out[0] = q12 / np.sqrt(q11 * q22)
        out[1] = q12 / q11
        out[2] = q12 / q22
    if sums1[3] > 0:
        out[3] = both1 / sums1[3]
    if sums2[3] > 0:
        out[4] = both2 / sums2[3]


@njit(cache=True, fastmath=_REORDER)
def _rank_weighted(first, second, rank1, rank2, ranks, sums1, sums2, out):
    """Write RWC 1-2 and 2-1 of one object to ``out``."""
    cut1 = np.float32(sums1[2])
    cut2 = np.float32(sums2[2])
    step = 1.0 / ranks
    both1 = 0.0
    both2 = 0.0
    for k in range(first.size):
        weight = 1.0 - abs(np.float64(rank1[k]) - np.float64(rank2[k])) * step
        weight *= 1.0 if first[k] >= cut1 else 0.0
        weight *= 1.0 if second[k] >= cut2 else 0.0
        both1 += np.float64(first[k]) * weight
        both2 += np.float64(second[k]) * weight
    if sums1[3] > 0:
        out[0] = both1 / sums1[3]
    if sums2[3] > 0:
        out[1] = both2 / sums2[3]


@njit(cache=True, fastmath=_REORDER)
def _above_costes(first, second, cuts, strict, out):
    """Write Costes 1-2 and 2-1 of one object to ``out``."""
    # Both sides in single precision, as in CellProfiler.
    cut1 = np.float32(cuts[0])
    cut2 = np.float32(cuts[1])
    whole1 = np.nextafter(cut1, np.float32(np.inf)) if strict else cut1
    whole2 = np.nextafter(cut2, np.float32(np.inf)) if strict else cut2
    above1 = 0.0
    above2 = 0.0
    both1 = 0.0
    both2 = 0.0
    for k in range(first.size):
        a = np.float64(first[k])
        b = np.float64(second[k])
        above1 += a * (1.0 if first[k] >= whole1 else 0.0)
        above2 += b * (1.0 if second[k] >= whole2 else 0.0)
        over = 1.0 if first[k] > cut1 else 0.0
        over *= 1.0 if second[k] > cut2 else 0.0
        both1 += a * over
        both2 += b * over
    if above1 > 0:
        out[0] = both1 / above1
    if above2 > 0:
        out[1] = both2 / above2


@njit(cache=True)
def colocalization(values, offsets, pairs, percent, overlap, ranks, tops, costes, strict):
    """Colocalization of pairs of channels in every object, (n, pairs, 11).

    Columns: Pearson, slope of 2 over 1, Overlap, K 1-2, K 2-1, Manders 1-2, 2-1, RWC 1-2, 2-1, Costes 1-2, 2-1.
    ``values`` (C, P) and ``ranks`` (C, P) have one entry per pixel of the compartment, ``tops`` has the largest rank of
    each channel, ``costes`` the thresholds of each pair (pairs, 2). The threshold of the other measures is ``percent``
    of the object's largest value. Columns without ranks or thresholds (size 0), or with ``overlap`` False, are NaN. In
    CellProfiler a pixel on a threshold is above it in objects, and below it in whole images (``strict``).
    """
    n = offsets.size - 1
    channels = values.shape[0]
    result = np.full((n, pairs.shape[0], 11), np.nan)
    sums = np.zeros((channels, 4))
    # All pairs of one object before the next, so that its pixels stay in the cache.
    for i in range(n):
        start, stop = offsets[i], offsets[i + 1]
        if start == stop:
            continue
        for c in range(channels):
            _sums(values[c, start:stop], percent, strict, sums[c])
        for p in range(pairs.shape[0]):
            a, b = pairs[p, 0], pairs[p, 1]
            first = values[a, start:stop]
            second = values[b, start:stop]
            out = result[i, p]
            product = _covariation(first, second, sums[a, 0], sums[b, 0])
            spread = np.sqrt(sums[a, 1]) * np.sqrt(sums[b, 1])
            if spread > 0:
                out[0] = product / spread
            if sums[a, 1] > 0:
                out[1] = product / sums[a, 1]
            if overlap:
                _overlap(first, second, sums[a], sums[b], out[2:7])
            if tops.size > 0:
                rank1 = ranks[a, start:stop]
                rank2 = ranks[b, start:stop]
                _rank_weighted(first, second, rank1, rank2, max(tops[a], tops[b]) + 1, sums[a], sums[b], out[7:9])
            if costes.shape[0] > 0:
                _above_costes(first, second, costes[p], strict, out[9:11])
    return result
