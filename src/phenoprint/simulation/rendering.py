"""Compiled loops that draw cells. All lengths are in px; numba caches the compiled code on disk.

Outlines are tables of the radius in `DIRECTIONS` directions. A pixel in several cells belongs to the one in which its
relative distance from the centre is smallest, so that neighbours share nearly straight borders as crowded cells do.
"""

# ruff: noqa: PLR0917 (compiled functions have no keyword-only arguments)

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from phenoprint.simulation.outlines import DIRECTIONS

__all__ = ["expose", "place", "raster_bodies", "raster_cells", "shade", "splash"]

_CHROMATIN, _GRAIN, _RETICULUM, _NETWORK, _PUNCTA, _FIBRES = range(6)
_DNA, _ER, _RNA, _AGP, _MITO = range(5)


def _radius(table: Any, dy: float, dx: float) -> Any:
    """Return the radius of an outline in the direction of (dy, dx)."""
    turn = (np.arctan2(dy, dx) / (2 * np.pi) + 0.5) * DIRECTIONS
    low = int(turn)
    share = turn - low
    return table[low % DIRECTIONS] * (1 - share) + table[(low + 1) % DIRECTIONS] * share


_radius = njit(cache=True)(_radius)


def _sample(texture: Any, y: float, x: float) -> Any:
    """Interpolate a tiling texture bilinearly."""
    y0, x0 = int(np.floor(y)), int(np.floor(x))
    sy, sx = y - y0, x - x0
    mask = texture.shape[0] - 1
    top, bottom, left, right = y0 & mask, (y0 + 1) & mask, x0 & mask, (x0 + 1) & mask
    upper = texture[top, left] * (1 - sx) + texture[top, right] * sx
    lower = texture[bottom, left] * (1 - sx) + texture[bottom, right] * sx
    return upper * (1 - sy) + lower * sy


_sample = njit(cache=True)(_sample)


def _place(candidates: Any, extents: Any, crowding: float) -> Any:
    """Choose positions at which nuclei do not overlap: the first free candidate of each, or else the most distant one.

    `candidates` (n, k, 2) px, `extents` (n,) px; returns (n, 2) positions and (n,) whether there was room.
    """
    n, k = candidates.shape[:2]
    chosen = np.empty((n, 2))
    has_room = np.zeros(n, np.bool_)
    for i in range(n):
        best, which = -np.inf, 0
        for j in range(k):
            clearance = np.inf
            for other in range(i):
                if has_room[other]:
                    dy = candidates[i, j, 0] - chosen[other, 0]
                    dx = candidates[i, j, 1] - chosen[other, 1]
                    gap = np.sqrt(dy * dy + dx * dx) / (extents[i] + extents[other]) - 1
                    clearance = min(clearance, gap)
            if clearance > best:
                best, which = clearance, j
            if best >= crowding:
                break
        chosen[i] = candidates[i, which]
        has_room[i] = best >= 0.0
    return chosen, has_room


place = njit(cache=True)(_place)


def _raster_cells(owner: Any, depth: Any, rival: Any, centres: Any, tables: Any) -> None:
    """Fill `owner` with the cell of each pixel; `depth`, `rival` with the relative radius in the two nearest cells."""
    height, width = owner.shape
    for cell in range(len(centres)):
        cy, cx = centres[cell]
        reach = tables[cell].max()
        for y in range(max(0, int(cy - reach)), min(height, int(cy + reach) + 2)):
            for x in range(max(0, int(cx - reach)), min(width, int(cx + reach) + 2)):
                dy, dx = y - cy, x - cx
                rho = np.sqrt(dy * dy + dx * dx) / _radius(tables[cell], dy, dx)
                if rho < depth[y, x]:
                    rival[y, x] = depth[y, x]
                    depth[y, x] = rho
                    owner[y, x] = cell
                elif rho < rival[y, x]:
                    rival[y, x] = rho


raster_cells = njit(cache=True)(_raster_cells)


def _raster_bodies(owner: Any, body: Any, depth: Any, centres: Any, tables: Any, cells: Any) -> None:
    """Fill `body` with the nuclear body of each pixel, and `owner` with the cell of this body."""
    height, width = owner.shape
    for b in range(len(centres)):
        cy, cx = centres[b]
        reach = tables[b].max()
        for y in range(max(0, int(cy - reach)), min(height, int(cy + reach) + 2)):
            for x in range(max(0, int(cx - reach)), min(width, int(cx + reach) + 2)):
                dy, dx = y - cy, x - cx
                rho = np.sqrt(dy * dy + dx * dx) / _radius(tables[b], dy, dx)
                if rho < depth[y, x]:
                    depth[y, x] = rho
                    body[y, x] = b
                    owner[y, x] = cells[b]


raster_bodies = njit(cache=True)(_raster_bodies)


def _nuclear_distance(y: int, x: int, centres: Any, tables: Any, first: int, last: int) -> Any:
    """Return the distance (px) to the nearest of the bodies first..last of a cell, 0 inside."""
    nearest = np.inf
    for b in range(first, last):
        dy, dx = y - centres[b, 0], x - centres[b, 1]
        nearest = min(nearest, np.sqrt(dy * dy + dx * dx) - _radius(tables[b], dy, dx))
    return max(nearest, 0.0)


_nuclear_distance = njit(cache=True)(_nuclear_distance)


def _shade_cytoplasm(signal: Any, y: int, x: int, look: Any, bank: Any, at: Any, place_um: Any) -> None:
    """Stain a pixel outside the nucleus; `place_um`: distance to the nucleus and the edge, thickness."""
    nuclear, edge, thick = place_um
    grain = _sample(bank[_GRAIN], at[0], at[1])
    net = _sample(bank[_RETICULUM], at[0], at[1])
    er = (0.12 + 0.88 * np.exp(-nuclear / look.er_reach_um)) * (1 - look.er_reticulum + look.er_reticulum * net)
    signal[_ER, y, x] = look.er_intensity * thick * er
    rna = (0.5 + 0.5 * np.exp(-nuclear / 9.0)) * (1 + 0.16 * grain)
    signal[_RNA, y, x] = look.rna_intensity * thick * rna
    network = _sample(bank[_NETWORK], at[1], at[0])
    puncta = _sample(bank[_PUNCTA], at[1], at[0])
    mito = (1 - look.mito_fragmentation) * network + look.mito_fragmentation * puncta
    signal[_MITO, y, x] = look.mito_intensity * thick * (0.03 + np.exp(-nuclear / look.mito_reach_um) * mito)
    signal[_DNA, y, x] = 0.012 * thick
    fibres = look.actin_fibres * _sample(bank[_FIBRES], at[2], at[3]) * (1 - np.exp(-edge / 2.0))
    rim = look.membrane_rim * np.exp(-((edge / 1.3) ** 2)) * (0.6 + thick)
    signal[_AGP, y, x] = look.agp_intensity * (thick * (1 + 0.15 * grain) + fibres) + rim * look.agp_intensity / 0.2


_shade_cytoplasm = njit(cache=True)(_shade_cytoplasm)


def _shade_nucleus(signal: Any, y: int, x: int, look: Any, bank: Any, at: Any, depth: float, thick: float) -> None:
    """Stain a pixel of the nucleus; `depth` runs from 0 in the middle to 1 at its edge."""
    dome = np.sqrt(max(0.0, 1 - depth * depth))
    chromatin = _sample(bank[_CHROMATIN], at[0], at[1])
    grain = _sample(bank[_GRAIN], at[0], at[1])
    signal[_DNA, y, x] = look.dna_intensity * (0.62 + 0.38 * dome) * max(0.1, 1 + look.chromatin_contrast * chromatin)
    signal[_RNA, y, x] = look.rna_intensity * (0.50 + 0.10 * dome) * (1 + 0.08 * grain)
    signal[_ER, y, x] = look.er_intensity * (0.30 + 0.45 * depth**6)
    signal[_MITO, y, x] = look.mito_intensity * 0.09
    fibres = look.actin_fibres * 0.5 * _sample(bank[_FIBRES], at[2], at[3])
    signal[_AGP, y, x] = look.agp_intensity * (0.55 * min(thick, 1.0) + fibres)


_shade_nucleus = njit(cache=True)(_shade_nucleus)


def _shade(
    signal: Any, maps: Any, cells: Any, bodies: Any, looks: Any, poses: Any, bank: Any, pixel_size_um: float
) -> None:
    """Stain every pixel of every cell in all five channels.

    `maps` (owner, cell depth, rival depth, body, body depth), `cells` (centres, tables), `bodies` (centres,
    tables, first body of each cell), `poses` (n, 4): texture offset y, x, texture turn, fibre direction.
    """
    owner, depth, rival, body, body_depth = maps
    centres, tables = cells
    body_centres, body_tables, first_body = bodies
    height, width = owner.shape
    for y in range(height):
        for x in range(width):
            cell = owner[y, x]
            if cell < 0:
                continue
            look = looks[cell]
            dy, dx = y - centres[cell, 0], x - centres[cell, 1]
            turn, fibre = poses[cell, 2], poses[cell, 3]
            at = (
                poses[cell, 0] + np.cos(turn) * dy - np.sin(turn) * dx,
                poses[cell, 1] + np.sin(turn) * dy + np.cos(turn) * dx,
                poses[cell, 0] + np.cos(fibre) * dy - np.sin(fibre) * dx,
                poses[cell, 1] + np.sin(fibre) * dy + np.cos(fibre) * dx,
            )
            inside = min(depth[y, x], 1.0)
            ball = 1.7 * np.sqrt(max(0.0, 1 - inside * inside))
            if body[y, x] >= 0:
                _shade_nucleus(signal, y, x, look, bank, at, body_depth[y, x], 1.0 + look.roundedness * (ball - 1))
                continue
            radius = _radius(tables[cell], dy, dx)
            contact = 0.5 if rival[y, x] < 1.0 else 1.0
            edge = max(rival[y, x] - depth[y, x], 0.0) * contact * radius * pixel_size_um
            nuclear = pixel_size_um * _nuclear_distance(
                y, x, body_centres, body_tables, first_body[cell], first_body[cell + 1]
            )
            flat = (1 - np.exp(-(edge + 0.4) / 2.0)) * (0.42 + 0.58 * np.exp(-nuclear / 9.0))
            thick = (1 - look.roundedness) * flat + look.roundedness * ball
            _shade_cytoplasm(signal, y, x, look, bank, at, (nuclear, edge, thick))


shade = njit(cache=True)(_shade)


def _splash(
    signal: Any,
    owner: Any,
    body: Any,
    centres: Any,
    radii: Any,
    cells: Any,
    regions: Any,
    add: Any,
    multiply: Any,
) -> None:
    """Add flat-topped spots; `add` and `multiply` (n, 5) have one value per channel.

    `regions` 0 nucleus, 1 cytoplasm, 2 the whole cell of `cells`, 3 anywhere.
    """
    height, width = owner.shape
    for s in range(len(centres)):
        cy, cx = centres[s]
        radius = max(radii[s], 0.6)
        reach = 1.6 * radius
        for y in range(max(0, int(np.ceil(cy - reach))), min(height, int(cy + reach) + 1)):
            for x in range(max(0, int(np.ceil(cx - reach))), min(width, int(cx + reach) + 1)):
                in_body = body[y, x] >= 0
                if regions[s] < 3 and (
                    owner[y, x] != cells[s] or (regions[s] == 0 and not in_body) or (regions[s] == 1 and in_body)
                ):
                    continue
                square = ((y - cy) ** 2 + (x - cx) ** 2) / (radius * radius)
                weight = np.exp(-square * square)
                for channel in range(5):
                    factor = max(0.0, 1 + multiply[s, channel] * weight)
                    signal[channel, y, x] = signal[channel, y, x] * factor + add[s, channel] * weight


splash = njit(cache=True)(_splash)


def _expose(
    signal: Any,
    noise: Any,
    gain: Any,
    background: Any,
    vignette: float,
    light_centre: Any,
    camera: Any,
    out: Any,
) -> None:
    """Convert light to counts; `camera`: full exposure, offset, counts per photoelectron, read noise."""
    channels, height, width = signal.shape
    full, offset, shot, read = camera
    for channel in range(channels):
        cy, cx = light_centre[channel, 0] * height, light_centre[channel, 1] * width
        corner = max(cy, height - cy) ** 2 + max(cx, width - cx) ** 2
        for y in range(height):
            for x in range(width):
                loss = vignette * ((y - cy) ** 2 + (x - cx) ** 2) / corner
                light = full * (signal[channel, y, x] * gain[channel] + background[channel]) * (1 - loss)
                counts = offset + light + noise[channel, y, x] * np.sqrt(shot * light + read * read)
                out[channel, y, x] = np.uint16(min(max(counts + 0.5, 0.0), 65535.0))


expose = njit(cache=True)(_expose)
