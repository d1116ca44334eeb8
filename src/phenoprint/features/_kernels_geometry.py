"""Compiled loops on convex hulls: area, Feret diameters, enclosing circle, Zernike moments."""

# Compiled loops: numba needs flat arguments and long bodies, and infers the types.
# ruff: noqa: D401, PLR0912, PLR0917
# mypy: allow-untyped-defs, disable-error-code="assignment,no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["convex_areas", "enclosing_circles", "feret", "hulls", "power_sums"]


@njit(cache=True)
def _chain(edge, used, sign):
    """Rows with corners of the hull on one side; ``edge`` is the extreme x of each row, ``sign`` 1 for the left."""
    stack = np.empty(edge.size, np.int64)
    top = 0
    for y in range(edge.size):
        if not used[y]:
            continue
        while top >= 2:
            y0, y1 = stack[top - 2], stack[top - 1]
            cross = (edge[y1] - edge[y0]) * (y - y0) - (edge[y] - edge[y0]) * (y1 - y0)
            if cross * sign < 0:
                break
            top -= 1
        stack[top] = y
        top += 1
    return stack[:top]


@njit(cache=True)
def hulls(rows, columns, offsets, box):
    """Corners of the convex hull of each object's pixel centres, in order around it.

    Returns (points int64 (H, 2) as y, x; offsets int64 (n + 1,)).
    """
    n = offsets.size - 1
    total = 0
    for i in range(n):
        total += 2 * max(0, box[i, 2] - box[i, 0])
    points = np.empty((total, 2), np.int64)
    turned = np.empty((total, 2), np.int64)
    ends = np.zeros(n + 1, np.int64)
    count = 0
    for i in range(n):
        if offsets[i + 1] > offsets[i]:
            height = box[i, 2] - box[i, 0]
            left = np.full(height, np.int64(1 << 40))
            right = np.full(height, np.int64(-1))
            used = np.zeros(height, np.bool_)
            for k in range(offsets[i], offsets[i + 1]):
                y = rows[k] - box[i, 0]
                x = np.int64(columns[k])
                used[y] = True
                left[y] = min(left[y], x)
                right[y] = max(right[y], x)
            down = _chain(left, used, np.int64(1))
            up = _chain(right, used, np.int64(-1))
            for k in range(down.size):
                points[count, 0] = down[k] + box[i, 0]
                points[count, 1] = left[down[k]]
                count += 1
            for k in range(up.size - 1, -1, -1):
                y = up[k]
                if left[y] == right[y] and (k == 0 or k == up.size - 1):
                    continue  # the tip is one pixel wide and is already on the left side
                points[count, 0] = y + box[i, 0]
                points[count, 1] = right[y]
                count += 1
            _start_leftmost(points, ends[i], count, turned)
        ends[i + 1] = count
    return turned[:count], ends


@njit(cache=True)
def _start_leftmost(points, start, stop, out):
    """Reverse the order, starting at the smallest x (and then the smallest y).

    This is centrosome's order. The rounding of the circle through three corners depends on their order, and decides
    whether pixels on that circle are part of the Zernike moments.
    """
    first = start
    for k in range(start + 1, stop):
        if points[k, 1] < points[first, 1] or (points[k, 1] == points[first, 1] and points[k, 0] < points[first, 0]):
            first = k
    source = first
    for k in range(start, stop):
        out[k, 0] = points[source, 0]
        out[k, 1] = points[source, 1]
        source = source - 1 if source > start else stop - 1


@njit(cache=True)
def _reach(edge, chain, y, part):
    """Numerator, denominator and segment of the hull side at row ``y``."""
    while part < chain.size - 2 and chain[part + 1] < y:
        part += 1
    if chain.size == 1:
        return edge[chain[0]], np.int64(1), part
    y0, y1 = chain[part], chain[part + 1]
    return edge[y0] * (y1 - y0) + (edge[y1] - edge[y0]) * (y - y0), y1 - y0, part


@njit(cache=True)
def convex_areas(rows, columns, offsets, box):
    """Pixels whose centre lies in the convex hull of the object's pixel edge midpoints, border included.

    Exact in integers: coordinates are doubled, so that the midpoints are whole numbers.
    """
    n = offsets.size - 1
    result = np.full(n, np.nan)
    for i in range(n):
        if offsets[i + 1] == offsets[i]:
            continue
        height = box[i, 2] - box[i, 0]
        left = np.full(2 * height + 1, np.int64(1 << 40))
        right = np.full(2 * height + 1, np.int64(-(1 << 40)))
        used = np.zeros(2 * height + 1, np.bool_)
        for k in range(offsets[i], offsets[i + 1]):
            y = 2 * (rows[k] - box[i, 0]) + 1
            x = 2 * np.int64(columns[k])
            left[y] = min(left[y], x - 1)
            right[y] = max(right[y], x + 1)
            for other in (y - 1, y + 1):
                left[other] = min(left[other], x)
                right[other] = max(right[other], x)
            used[y - 1] = used[y] = used[y + 1] = True
        down = _chain(left, used, np.int64(1))
        up = _chain(right, used, np.int64(-1))
        part_l = np.int64(0)
        part_r = np.int64(0)
        area = np.int64(0)
        for row in range(height):
            y = 2 * row + 1
            top, bottom, part_l = _reach(left, down, y, part_l)
            first = -((-top) // (2 * bottom))
            top, bottom, part_r = _reach(right, up, y, part_r)
            last = top // (2 * bottom)
            if last >= first:
                area += last - first + 1
        result[i] = area
    return result


@njit(cache=True)
def feret(points, ends):
    """Smallest and largest distance between two parallel lines that enclose the hull, (n, 2)."""
    n = ends.size - 1
    result = np.full((n, 2), np.nan)
    for i in range(n):
        start, stop = ends[i], ends[i + 1]
        if start == stop:
            continue
        longest = np.int64(0)
        for a in range(start, stop):
            for b in range(a + 1, stop):
                dy = points[a, 0] - points[b, 0]
                dx = points[a, 1] - points[b, 1]
                longest = max(longest, dy * dy + dx * dx)
        narrowest = np.inf if stop - start > 2 else 0.0
        if stop - start > 2:
            for a in range(start, stop):
                b = a + 1 if a + 1 < stop else start
                ey = points[b, 0] - points[a, 0]
                ex = points[b, 1] - points[a, 1]
                widest = np.int64(0)
                for c in range(start, stop):
                    cross = ey * (points[c, 1] - points[a, 1]) - ex * (points[c, 0] - points[a, 0])
                    widest = max(widest, abs(cross))
                narrowest = min(narrowest, widest / np.sqrt(float(ey * ey + ex * ex)))
        result[i, 0] = narrowest
        result[i, 1] = np.sqrt(float(longest))
    return result


@njit(cache=True)
def _circle_of(y0, x0, y1, x1, y2, x2):
    turn = 2 * (x0 * (y1 - y2) + x1 * (y2 - y0) + x2 * (y0 - y1))
    s0, s1, s2 = x0 * x0 + y0 * y0, x1 * x1 + y1 * y1, x2 * x2 + y2 * y2
    cx = (s0 * (y1 - y2) + s1 * (y2 - y0) + s2 * (y0 - y1)) / turn
    cy = (s0 * (x2 - x1) + s1 * (x0 - x2) + s2 * (x1 - x0)) / turn
    return cy, cx, np.sqrt((y0 - cy) ** 2 + (x0 - cx) ** 2)


@njit(cache=True)
def enclosing_circles(points, ends):
    """Centre y, centre x and radius of the smallest circle around each hull, (n, 3).

    Chrystal's method (1885): for a side, the corner that sees it under the smallest angle either completes the circle
    or, if the triangle is obtuse, replaces the end of the side with the obtuse angle.
    """
    n = ends.size - 1
    result = np.full((n, 3), np.nan)
    for i in range(n):
        start, stop = ends[i], ends[i + 1]
        if stop - start == 0:
            continue
        if stop - start == 1:
            result[i, 0] = points[start, 0]
            result[i, 1] = points[start, 1]
            result[i, 2] = 0.0
            continue
        a, b = start, start + 1
        while True:
            ay, ax = points[a, 0], points[a, 1]
            by, bx = points[b, 0], points[b, 1]
            best = -1
            best_cos = -2.0
            for c in range(start, stop):
                if c in (a, b):
                    continue
                uy, ux = ay - points[c, 0], ax - points[c, 1]
                vy, vx = by - points[c, 0], bx - points[c, 1]
                cosine = (uy * vy + ux * vx) / np.sqrt(float(uy * uy + ux * ux) * float(vy * vy + vx * vx))
                if cosine > best_cos:
                    best_cos = cosine
                    best = c
            if best < 0 or best_cos <= 0:
                result[i, 0] = (ay + by) / 2.0
                result[i, 1] = (ax + bx) / 2.0
                result[i, 2] = np.sqrt(float((ay - by) ** 2 + (ax - bx) ** 2)) / 2.0
                break
            cy, cx = points[best, 0], points[best, 1]
            at_a = (by - ay) * (cy - ay) + (bx - ax) * (cx - ax)
            at_b = (ay - by) * (cy - by) + (ax - bx) * (cx - bx)
            if at_a >= 0 and at_b >= 0:
                oy, ox, radius = _circle_of(float(ay), float(ax), float(by), float(bx), float(cy), float(cx))
                result[i, 0] = oy
                result[i, 1] = ox
                result[i, 2] = radius
                break
            if at_a < 0:
                a = best
            else:
                b = best
    return result


@njit(cache=True)
def power_sums(rows, columns, offsets, circles, values):
    """Sums of weight * x**a * y**b (a + b <= 9) in the unit circle, (n, channels + 1, 10, 10) as [.., a, b].

    Entry 0 of the second axis has weight one, entry 1 + c the values of channel c. Zernike moments are linear in these
    sums. A pixel needs only ten products per weight, because powers of y are applied once per row.
    """
    n = offsets.size - 1
    weights = 1 + values.shape[0]
    result = np.zeros((n, weights, 10, 10))
    px = np.ones(10)
    py = np.ones(10)
    row = np.zeros((weights, 10))
    for i in range(n):
        start, stop = offsets[i], offsets[i + 1]
        radius = circles[i, 2]
        if start == stop or not radius > 0:
            continue
        k = start
        while k < stop:
            y = rows[k]
            yn = (y - circles[i, 0]) / radius
            for c in range(weights):
                for a in range(10):
                    row[c, a] = 0.0
            while k < stop and rows[k] == y:
                xn = (columns[k] - circles[i, 1]) / radius
                if xn * xn + yn * yn <= 1.0:
                    for a in range(1, 10):
                        px[a] = px[a - 1] * xn
                    for a in range(10):
                        row[0, a] += px[a]
                    for c in range(1, weights):
                        value = np.float64(values[c - 1, k])
                        for a in range(10):
                            row[c, a] += value * px[a]
                k += 1
            for b in range(1, 10):
                py[b] = py[b - 1] * yn
            for c in range(weights):
                for a in range(10):
                    for b in range(10 - a):
                        result[i, c, a, b] += row[c, a] * py[b]
    return result
