"""Compiled loops for the colocalization of two channels."""

# Compiled loops: many flat arguments and long bodies are what numba wants; types are numba's to infer.
# ruff: noqa: D401, PLR0912, PLR0915, PLR0917
# mypy: allow-untyped-defs, disable-error-code="assignment,no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["colocalization", "costes_threshold"]


@njit(cache=True)
def colocalization(first, second, offsets, rank1, rank2, ranks, share, costes):
    """Colocalization of two channels in every object, (n, 10); both are given by pixel of the compartment.

    Columns: Pearson, Overlap, K 1-2, K 2-1, Manders 1-2, 2-1, RWC 1-2, 2-1, Costes 1-2, 2-1. ``share`` is the
    threshold as a part of each object's largest value, ``ranks`` the number of pooled ranks, ``costes`` the
    thresholds of the two channels.
    """
    n = offsets.size - 1
    result = np.full((n, 10), np.nan)
    for i in range(n):
        start, stop = offsets[i], offsets[i + 1]
        count = stop - start
        if count == 0:
            continue
        sum1 = 0.0
        sum2 = 0.0
        high1 = -np.inf
        high2 = -np.inf
        for k in range(start, stop):
            a = np.float64(first[k])
            b = np.float64(second[k])
            sum1 += a
            sum2 += b
            high1 = max(high1, a)
            high2 = max(high2, b)
        mean1 = sum1 / count
        mean2 = sum2 / count
        # In single precision, as CellProfiler compares: a pixel on the threshold falls on the same side.
        cut1 = np.float64(np.float32(share) * np.float32(high1))
        cut2 = np.float64(np.float32(share) * np.float32(high2))
        s11 = 0.0
        s22 = 0.0
        s12 = 0.0
        total1 = 0.0
        total2 = 0.0
        both1 = 0.0
        both2 = 0.0
        ranked1 = 0.0
        ranked2 = 0.0
        q11 = 0.0
        q22 = 0.0
        q12 = 0.0
        above1 = 0.0
        above2 = 0.0
        costes1 = 0.0
        costes2 = 0.0
        for k in range(start, stop):
            a = np.float64(first[k])
            b = np.float64(second[k])
            s11 += (a - mean1) ** 2
            s22 += (b - mean2) ** 2
            s12 += (a - mean1) * (b - mean2)
            if a >= cut1:
                total1 += a
            if b >= cut2:
                total2 += b
            if a >= cut1 and b >= cut2:
                weight = 1.0 - abs(rank1[k] - rank2[k]) / ranks
                both1 += a
                both2 += b
                ranked1 += a * weight
                ranked2 += b * weight
                q11 += a * a
                q22 += b * b
                q12 += a * b
            if a >= costes[0]:
                above1 += a
            if b >= costes[1]:
                above2 += b
            if a > costes[0] and b > costes[1]:
                costes1 += a
                costes2 += b
        spread = np.sqrt(s11) * np.sqrt(s22)
        if spread > 0:
            result[i, 0] = s12 / spread
        if q11 > 0 and q22 > 0:
            result[i, 1] = q12 / np.sqrt(q11 * q22)
            result[i, 2] = q12 / q11
            result[i, 3] = q12 / q22
        if total1 > 0:
            result[i, 4] = both1 / total1
            result[i, 6] = ranked1 / total1
        if total2 > 0:
            result[i, 5] = both2 / total2
            result[i, 7] = ranked2 / total2
        if above1 > 0:
            result[i, 8] = costes1 / above1
        if above2 > 0:
            result[i, 9] = costes2 / above2
    return result


@njit(cache=True)
def _leave(value, cuts, levels):
    """Largest whole step s <= levels with ``value < cuts[s]`` of falling cuts; 0 if none."""
    low, high = 0, levels
    while low < high:
        middle = (low + high + 1) // 2
        if value < cuts[middle]:
            low = middle
        else:
            high = middle - 1
    return low


@njit(cache=True)
def _add(table, step, da, db, sign):
    table[step, 0] += sign
    table[step, 1] += sign * da
    table[step, 2] += sign * db
    table[step, 3] += sign * da * da
    table[step, 4] += sign * db * db
    table[step, 5] += sign * da * db


@njit(cache=True)
def _bisect(table, levels):
    """The last step whose pixels below correlate positively, by CellProfiler's lopsided bisection."""
    left = 1.0
    right = float(levels)
    middle = ((right - left) // 1.2) + left
    last = 0.0
    valid = 1.0
    for _ in range(1000):
        if last == middle:
            break
        row = table[min(max(int(middle), 0), levels + 1)]
        if row[0] <= 2:
            left = middle - 1
        else:
            c11 = row[3] - row[1] * row[1] / row[0]
            c22 = row[4] - row[2] * row[2] / row[0]
            # A constant channel has no correlation: neither bound moves and the search ends there.
            if c11 > 1e-10 * row[3] and c22 > 1e-10 * row[4]:
                if row[5] - row[1] * row[2] / row[0] < 0:
                    left = middle - 1
                else:
                    right = middle + 1
                    valid = middle
        last = middle
        middle = ((right - left) // (1.2 if right - left > 6 else 2.0)) + left
    return valid


@njit(cache=True)
def costes_threshold(first, second, levels):
    """Thresholds of two whole flat channels by Costes (2004) with CellProfiler's "Faster" search, (2,).

    The pixels below a candidate are tallied once by the step at which they fall below it, so that each of the
    search's correlations is a look-up, not a pass over the image. NaN where no line can be drawn.
    """
    result = np.array((np.nan, np.nan))
    count = 0
    mean1 = 0.0
    mean2 = 0.0
    s11 = 0.0
    s22 = 0.0
    s12 = 0.0
    for k in range(first.size):
        a = np.float64(first[k])
        b = np.float64(second[k])
        count += a > 0 or b > 0
        if a > 0 or b > 0:
            mean1 += a
            mean2 += b
            s11 += a * a
            s22 += b * b
            s12 += a * b
    if count < 3:
        return result
    mean1 /= count
    mean2 /= count
    s11 -= count * mean1 * mean1
    s22 -= count * mean2 * mean2
    s12 -= count * mean1 * mean2
    if abs(s12) <= 1e-14 * count * mean1 * mean2 or s11 <= 0.0 or s22 <= 0.0:
        return result
    slope = ((s22 - s11) + np.sqrt((s22 - s11) ** 2 + 4 * s12 * s12)) / (2 * s12)
    shift = mean2 - slope * mean1
    # In single precision, as CellProfiler compares.
    cuts1 = np.empty(levels + 2, np.float32)
    cuts2 = np.empty(levels + 2, np.float32)
    for s in range(levels + 2):
        cuts1[s] = np.float32(s / levels)
        cuts2[s] = np.float32(slope * (s / levels) + shift)
    # Row s gathers the pixels below candidate s that are not below s - 1; then it is summed up from the start.
    table = np.zeros((levels + 2, 6))
    rise = levels / slope
    for k in range(first.size):
        a = first[k]
        b = second[k]
        guess = np.float64(a) * levels
        if slope > 0:
            guess = min(guess, (np.float64(b) - shift) * rise)
        enter = int(min(max(guess, 0.0), levels + 1.0))
        if slope > 0:
            while enter > 1 and (a < cuts1[enter - 1] or b < cuts2[enter - 1]):
                enter -= 1
            while enter <= levels and not (a < cuts1[enter] or b < cuts2[enter]):
                enter += 1
            _add(table, max(enter, 1), a - mean1, b - mean2, 1.0)
            continue
        while enter > 1 and a < cuts1[enter - 1]:
            enter -= 1
        while enter <= levels and not a < cuts1[enter]:
            enter += 1
        enter = max(enter, 1)
        leave = _leave(b, cuts2, levels)
        if leave + 1 >= enter:
            _add(table, np.int64(1), a - mean1, b - mean2, 1.0)
            continue
        if leave > 0:
            _add(table, np.int64(1), a - mean1, b - mean2, 1.0)
            _add(table, leave + 1, a - mean1, b - mean2, -1.0)
        _add(table, enter, a - mean1, b - mean2, 1.0)
    for s in range(1, levels + 2):
        for j in range(6):
            table[s, j] += table[s - 1, j]
    cut = (_bisect(table, levels) - 1) / levels
    result[0] = np.float32(cut)
    result[1] = np.float32(slope * cut + shift)
    return result
