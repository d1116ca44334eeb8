"""Compiled loops for the distribution of intensity between centre and edge."""

# Compiled loops: numba needs flat arguments and long bodies, and infers the types.
# ruff: noqa: PLR0912, PLR0917
# mypy: allow-untyped-defs, disable-error-code="assignment,no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["radial_bins", "radial_profile"]


@njit(cache=True)
def _spread(distance, inside, rows, stride):
    """Fill in the shortest paths from the zero of ``distance``, in steps of 1 and root 2, by repeated sweeps."""
    diagonal = np.sqrt(2.0)
    begun = False
    while True:
        changed = False
        for y in range(1, rows - 1):
            for x in range(1, stride - 1):
                k = y * stride + x
                if inside[k]:
                    best = min(
                        min(distance[k - 1], distance[k - stride]) + 1.0,
                        min(distance[k - stride - 1], distance[k - stride + 1]) + diagonal,
                    )
                    if best < distance[k]:
                        distance[k] = best
                        changed = True
        # From a centre at the right end of the last row, the first sweep changes nothing and the second does.
        if begun and not changed:
            break
        begun = True
        changed = False
        for y in range(rows - 2, 0, -1):
            for x in range(stride - 2, 0, -1):
                k = y * stride + x
                if inside[k]:
                    best = min(
                        min(distance[k + 1], distance[k + stride]) + 1.0,
                        min(distance[k + stride + 1], distance[k + stride - 1]) + diagonal,
                    )
                    if best < distance[k]:
                        distance[k] = best
                        changed = True
        if not changed:
            break


@njit(cache=True)
def radial_bins(distance2, pixels, rows, columns, offsets, box, width, centres, bins):
    """Return ring and wedge of every pixel as ring * 8 + wedge, or -1 if no path leads from the centre, int32 (P,).

    ``distance2`` is the squared distance to the edge, ``centres`` has the flat index of each object's centre.
    """
    n = offsets.size - 1
    result = np.full(pixels.size, -1, np.int32)
    room = 0
    for i in range(n):
        if offsets[i + 1] > offsets[i]:
            room = max(room, (box[i, 2] - box[i, 0] + 2) * (box[i, 3] - box[i, 1] + 2))
    distance = np.empty(room)
    inside = np.empty(room, np.bool_)
    for i in range(n):
        start, stop = offsets[i], offsets[i + 1]
        if start == stop:
            continue
        height = box[i, 2] - box[i, 0] + 2
        stride = box[i, 3] - box[i, 1] + 2
        for k in range(height * stride):
            distance[k] = np.inf
            inside[k] = False
        for k in range(start, stop):
            inside[(rows[k] - box[i, 0] + 1) * stride + columns[k] - box[i, 1] + 1] = True
        centre_y = centres[i] // width
        centre_x = centres[i] % width
        distance[(centre_y - box[i, 0] + 1) * stride + centre_x - box[i, 1] + 1] = 0.0
        _spread(distance, inside, height, stride)
        for k in range(start, stop):
            y = rows[k]
            x = columns[k]
            from_centre = distance[(y - box[i, 0] + 1) * stride + x - box[i, 1] + 1]
            if from_centre == np.inf:
                continue
            part = from_centre / (from_centre + np.sqrt(np.float64(distance2[pixels[k]])) + 0.001)
            ring = min(int(part * bins), bins)
            wedge = int(y > centre_y) + 2 * int(x > centre_x) + 4 * int(abs(y - centre_y) > abs(x - centre_x))
            result[k] = ring * 8 + wedge
    return result


@njit(cache=True)
def radial_profile(values, bin_of, offsets, bins):
    """Return FracAtD, MeanFrac and RadialCV of each object and ring, (n, 3, bins)."""
    n = offsets.size - 1
    result = np.full((n, 3, bins), np.nan)
    mass = np.empty((bins + 1, 8))
    count = np.empty((bins + 1, 8))
    for i in range(n):
        all_mass = 0.0
        all_count = 0.0
        for ring in range(bins + 1):
            for wedge in range(8):
                mass[ring, wedge] = 0.0
                count[ring, wedge] = 0.0
        for k in range(offsets[i], offsets[i + 1]):
            code = bin_of[k]
            if code >= 0:
                mass[code // 8, code % 8] += values[k]
                count[code // 8, code % 8] += 1.0
                all_mass += values[k]
                all_count += 1.0
        if all_count == 0:
            continue
        for ring in range(bins):
            ring_mass = 0.0
            ring_count = 0.0
            for wedge in range(8):
                ring_mass += mass[ring, wedge]
                ring_count += count[ring, wedge]
            if all_mass != 0:
                part = ring_mass / all_mass
                result[i, 0, ring] = part
                result[i, 1, ring] = part / (ring_count / all_count + 2.220446049250313e-16)
            wedges = 0
            mean = 0.0
            for wedge in range(8):
                if count[ring, wedge] > 0:
                    wedges += 1
                    mean += mass[ring, wedge] / count[ring, wedge]
            result[i, 2, ring] = 0.0  # also for an empty or black ring
            if wedges == 0:
                continue
            mean /= wedges
            square = 0.0
            for wedge in range(8):
                if count[ring, wedge] > 0:
                    square += (mass[ring, wedge] / count[ring, wedge] - mean) ** 2
            if mean != 0:
                result[i, 2, ring] = np.sqrt(square / wedges) / mean
    return result
