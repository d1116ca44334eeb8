"""Compiled search for Costes' thresholds of two whole channels."""

# Compiled loops: numba needs flat arguments and long bodies, and infers the types.
# ruff: noqa: D401, PLR0912, PLR0915, PLR0917
# mypy: allow-untyped-defs, disable-error-code="assignment,no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["costes_threshold"]

_REORDER = {"reassoc", "nsz"}  # sums in any order, so that several pixels are added at once


@njit(cache=True)
def _add(table, step, da, db, sign):
    table[step, 0] += sign
    table[step, 1] += sign * da
    table[step, 2] += sign * db
    table[step, 3] += sign * (da * db)


@njit(cache=True, fastmath=_REORDER)
def _image_sums(first, second):
    """Count, sums, sums of squares and sum of products over pixels where either channel is above zero."""
    count = 0
    sum1 = 0.0
    sum2 = 0.0
    s11 = 0.0
    s22 = 0.0
    s12 = 0.0
    for k in range(first.size):
        a = np.float64(first[k])
        b = np.float64(second[k])
        if a > 0 or b > 0:
            count += 1
            sum1 += a
            sum2 += b
            s11 += a * a
            s22 += b * b
            s12 += a * b
    return count, sum1, sum2, s11, s22, s12


@njit(cache=True, fastmath=_REORDER)
def _covariance_below(first, second, cut1, cut2, mean1, mean2):
    """Sums of squares and products about the mean over the pixels below either threshold, in two passes."""
    count = 0
    sum1 = 0.0
    sum2 = 0.0
    for k in range(first.size):
        if first[k] < cut1 or second[k] < cut2:
            count += 1
            sum1 += np.float64(first[k]) - mean1
            sum2 += np.float64(second[k]) - mean2
    sum1 = sum1 / count + mean1
    sum2 = sum2 / count + mean2
    s11 = 0.0
    s22 = 0.0
    s12 = 0.0
    for k in range(first.size):
        if first[k] < cut1 or second[k] < cut2:
            a = np.float64(first[k]) - sum1
            b = np.float64(second[k]) - sum2
            s11 += a * a
            s22 += b * b
            s12 += a * b
    return s11, s22, s12


@njit(cache=True)
def _bisect(table, levels, first, second, cuts1, cuts2, mean1, mean2):
    """Find the last step whose pixels below correlate positively, by CellProfiler's unequal bisection."""
    left = 1.0
    right = float(levels)
    middle = ((right - left) // 1.2) + left
    last = 0.0
    valid = 1.0
    for _ in range(1000):
        if last == middle:
            break
        step = min(max(int(middle), 0), levels + 1)
        row = table[step]
        if row[0] <= 2:
            left = middle - 1
        else:
            product = row[1] * row[2] / row[0]
            covariance = row[3] - product
            constant = False
            if abs(covariance) <= 1e-9 * (abs(row[3]) + abs(product)):
                # Too close to zero for running sums, so the correlation is computed from the pixels.
                s11, s22, covariance = _covariance_below(first, second, cuts1[step], cuts2[step], mean1, mean2)
                constant = s11 <= 1e-24 * row[0] * mean1 * mean1 or s22 <= 1e-24 * row[0] * mean2 * mean2
            # A constant channel has no correlation: neither bound changes and the search ends.
            if not constant:
                if covariance < 0:
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

    Pixels are counted once by the first candidate above them, so that each correlation of the search is a look-up and
    not a pass over the image. NaN if there is no regression line.
    """
    result = np.array((np.nan, np.nan))
    count, mean1, mean2, s11, s22, s12 = _image_sums(first, second)
    if count < 3:
        return result
    mean1 /= count
    mean2 /= count
    s11 -= count * mean1 * mean1
    s22 -= count * mean2 * mean2
    s12 -= count * mean1 * mean2
    if abs(s12) <= 1e-14 * count * mean1 * mean2 or s11 <= 0.0 or s22 <= 0.0:
        return result
    gap = s22 - s11
    root = np.sqrt(gap * gap + 4 * s12 * s12)
    # Two equal forms: neither subtracts two nearly equal numbers, which could give a slope of 0.
    slope = (gap + root) / (2 * s12) if gap > 0 else 2 * s12 / (root - gap)
    shift = mean2 - slope * mean1
    # In single precision, as in CellProfiler.
    cuts1 = np.empty(levels + 2, np.float32)
    cuts2 = np.empty(levels + 2, np.float32)
    for s in range(levels + 2):
        cuts1[s] = np.float32(s / levels)
        cuts2[s] = np.float32(slope * (s / levels) + shift)
    # Row s has count, sums and products of the pixels below candidate s and not below s - 1.
    table = np.zeros((levels + 2, 4))
    rise = levels / slope
    for k in range(first.size):
        a = first[k]
        b = second[k]
        # A whole grey level lies on its own candidate up to rounding, and below the next.
        guess = np.float64(a) * levels + 1.01
        if slope > 0:
            guess = min(guess, (np.float64(b) - shift) * rise + 1.0)
        enter = int(min(max(guess, 1.0), levels + 1.0))
        if slope > 0:
            while enter > 1 and (a < cuts1[enter - 1] or b < cuts2[enter - 1]):
                enter -= 1
            while enter <= levels and not (a < cuts1[enter] or b < cuts2[enter]):
                enter += 1
            _add(table, enter, a - mean1, b - mean2, 1.0)
            continue
        while enter > 1 and a < cuts1[enter - 1]:
            enter -= 1
        while enter <= levels and not a < cuts1[enter]:
            enter += 1
        # The candidates of the second channel decrease: up to this step the pixel is below them.
        leave = int(min(max((np.float64(b) - shift) * rise, 0.0), np.float64(levels)))
        while leave < levels and b < cuts2[leave + 1]:
            leave += 1
        while leave > 0 and not b < cuts2[leave]:
            leave -= 1
        if leave + 1 >= enter:
            _add(table, np.int64(1), a - mean1, b - mean2, 1.0)
            continue
        if leave > 0:
            _add(table, np.int64(1), a - mean1, b - mean2, 1.0)
            _add(table, leave + 1, a - mean1, b - mean2, -1.0)
        _add(table, enter, a - mean1, b - mean2, 1.0)
    for s in range(1, levels + 2):
        for j in range(4):
            table[s, j] += table[s - 1, j]
    cut = (_bisect(table, levels, first, second, cuts1, cuts2, mean1, mean2) - 1) / levels
    result[0] = np.float32(cut)
    result[1] = np.float32(slope * cut + shift)
    return result
