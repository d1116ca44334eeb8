"""Round organelles (nucleoli, Golgi, actin clumps, vacuoles, aggresomes), and debris outside the cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phenoprint.simulation.population import Population

__all__ = ["Spots", "draw_debris", "draw_organelles"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

NUCLEUS, CYTOPLASM, CELL, ANYWHERE = range(4)


@dataclass(frozen=True)
class Spots:
    """Round spots to draw on the channels.

    Parameters
    ----------
    centres
        (m, 2) px.
    radii
        (m,) px.
    cells
        (m,) index of the cell of each spot; -1 for none.
    regions
        (m,) where the spot is visible: 0 nucleus, 1 cytoplasm, 2 cell, 3 anywhere.
    add, multiply
        (m, 5) light added, and relative change of the light already there, per channel.
    """

    centres: FloatArray
    radii: FloatArray
    cells: IntArray
    regions: IntArray
    add: FloatArray
    multiply: FloatArray


def _make(
    centres: FloatArray,
    radii: FloatArray,
    cells: IntArray,
    *,
    region: int,
    add: dict[int, FloatArray | float],
    multiply: dict[int, float],
) -> Spots:
    m = len(cells)
    added, factor = np.zeros((m, 5)), np.zeros((m, 5))
    for channel, light in add.items():
        added[:, channel] = light
    for channel, change in multiply.items():
        factor[:, channel] = change
    return Spots(centres, radii, cells, np.full(m, region, np.int64), added, factor)


def _unit(angles: FloatArray) -> FloatArray:
    """Return unit vectors (m, 2) as (y, x)."""
    return np.stack([np.sin(angles), np.cos(angles)], axis=1)


def draw_organelles(rng: np.random.Generator, population: Population, *, pixel_size_um: float) -> Spots:
    """Draw the organelles of all cells.

    Parameters
    ----------
    rng
        Random generator of the field.
    population
        The cells.
    pixel_size_um
        Size of a pixel, µm.
    """
    parts = [
        _vacuoles(rng, population, pixel_size_um),
        _golgi(rng, population, pixel_size_um),
        _actin_clumps(rng, population, pixel_size_um),
        _aggresomes(rng, population, pixel_size_um),
        _nucleoli(rng, population, pixel_size_um),
    ]
    return Spots(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("centres", "radii", "cells", "regions", "add", "multiply")
        )
    )


def _nucleoli(rng: np.random.Generator, population: Population, pixel: float) -> Spots:
    """Draw nucleoli, bright in RNA and dark in DNA."""
    looks, bodies = population.looks, population.bodies
    n = len(looks)
    # Counts vary less than a Poisson distribution: most nuclei have a few nucleoli, few have none.
    counts = np.floor(looks["nucleolus_count"] + rng.uniform(size=n)).astype(np.int64)
    cells = np.repeat(np.arange(n), counts)
    which = np.floor(rng.uniform(size=len(cells)) * population.n_nuclei[cells]).astype(np.int64)
    body = bodies.first[cells] + which
    away = 0.66 * bodies.radii[body] * np.sqrt(rng.uniform(size=len(cells)))
    centres = bodies.centres[body] + away[:, None] * _unit(rng.uniform(0, 2 * np.pi, len(cells)))
    radii = looks["nucleolus_radius_um"][cells] * np.exp(rng.normal(0, 0.22, len(cells))) / pixel
    look = looks[cells]
    rna = look["nucleolus_intensity"] * (0.4 + 0.6 * look["rna_intensity"] / 0.30)
    return _make(centres, radii, cells, region=NUCLEUS, add={2: rna}, multiply={0: -0.5})


def _golgi(rng: np.random.Generator, population: Population, pixel: float) -> Spots:
    """Draw bright pieces, in a crescent beside the nucleus or scattered over the cell where dispersed."""
    looks, n = population.looks, len(population.looks)
    counts = np.rint(9 + 14 * looks["golgi_dispersal"]).astype(np.int64)
    cells = np.repeat(np.arange(n), counts)
    look, m = looks[cells], len(cells)
    is_loose = rng.uniform(size=m) < look["golgi_dispersal"]
    side = rng.uniform(0, 2 * np.pi, n)[cells]
    angles = np.where(is_loose, rng.uniform(0, 2 * np.pi, m), side + rng.normal(0, 0.38, m))
    nuclear = np.sqrt(look["nucleus_area_um2"] / np.pi)
    room = np.maximum(look["cell_radius_um"] - nuclear, 1.0)
    away = nuclear + np.where(is_loose, 0.75 * room * rng.uniform(size=m), 1.6 + np.abs(rng.normal(0, 1.1, m)))
    centres = _nuclear_middles(population)[cells] + (away / pixel)[:, None] * _unit(angles)
    radii = np.where(is_loose, 0.75, 1.25) * np.exp(rng.normal(0, 0.15, m)) / pixel
    light = look["golgi_intensity"] * look["agp_intensity"] / 0.2 * np.where(is_loose, 0.38, 0.45)
    return _make(centres, radii, cells, region=CYTOPLASM, add={3: light}, multiply={})


def _actin_clumps(rng: np.random.Generator, population: Population, pixel: float) -> Spots:
    looks = population.looks
    cells = np.repeat(np.arange(len(looks)), rng.poisson(looks["actin_clumps"]))
    m = len(cells)
    away = looks["cell_radius_um"][cells] * np.sqrt(rng.uniform(size=m)) / pixel
    centres = population.centres[cells] + away[:, None] * _unit(rng.uniform(0, 2 * np.pi, m))
    light = 0.42 * looks["agp_intensity"][cells] / 0.2 * rng.uniform(0.5, 1.4, m)
    radii = rng.uniform(0.8, 1.5, m) / pixel
    return _make(centres, radii, cells, region=CELL, add={3: light}, multiply={})


def _vacuoles(rng: np.random.Generator, population: Population, pixel: float) -> Spots:
    """Draw vacuoles, dark in every channel that stains the cytoplasm."""
    looks = population.looks
    cells = np.repeat(np.arange(len(looks)), rng.poisson(looks["vacuole_count"]))
    look, m = looks[cells], len(cells)
    nuclear = np.sqrt(look["nucleus_area_um2"] / np.pi) + 0.8 * look["vacuole_radius_um"]
    room = np.maximum(0.85 * look["cell_radius_um"] - nuclear, 0.5)
    away = (nuclear + room * rng.uniform(size=m) ** 1.3) / pixel
    centres = _nuclear_middles(population)[cells] + away[:, None] * _unit(rng.uniform(0, 2 * np.pi, m))
    radii = look["vacuole_radius_um"] * np.exp(rng.normal(0, 0.25, m)) / pixel
    return _make(centres, radii, cells, region=CYTOPLASM, add={}, multiply={1: -0.85, 2: -0.8, 3: -0.6, 4: -0.75})


def _aggresomes(rng: np.random.Generator, population: Population, pixel: float) -> Spots:
    """Draw a large body beside the nucleus, bright in ER and RNA and dark in Mito."""
    looks = population.looks
    cells = np.repeat(np.arange(len(looks)), np.minimum(rng.poisson(looks["aggresomes"]), 3))
    look, m = looks[cells], len(cells)
    radii = rng.uniform(2.0, 3.4, m)
    away = (np.sqrt(look["nucleus_area_um2"] / np.pi) + 0.8 * radii) / pixel
    centres = _nuclear_middles(population)[cells] + away[:, None] * _unit(rng.uniform(0, 2 * np.pi, m))
    light: dict[int, FloatArray | float] = {
        1: 0.45 * look["er_intensity"] / 0.34,
        2: 0.42 * look["rna_intensity"] / 0.30,
        3: 0.15 * look["agp_intensity"] / 0.2,
    }
    return _make(centres, radii / pixel, cells, region=CYTOPLASM, add=light, multiply={4: -0.8})


def _nuclear_middles(population: Population) -> FloatArray:
    """Return the mean position of the nuclei of each cell (n, 2), px."""
    bodies, n = population.bodies, len(population.looks)
    main = np.flatnonzero(bodies.is_main)
    cells = bodies.cells[main]
    sums = [np.bincount(cells, bodies.centres[main, axis], minlength=n) for axis in (0, 1)]
    return np.stack(sums, axis=1) / np.maximum(population.n_nuclei, 1)[:, None]


def draw_debris(rng: np.random.Generator, n: int, *, field_shape: tuple[int, int], pixel_size_um: float) -> Spots:
    """Draw debris: curved threads, bright in one channel and faint in the others.

    Parameters
    ----------
    rng
        Random generator of the field.
    n
        Number of threads.
    field_shape
        (Y, X) px.
    pixel_size_um
        Size of a pixel, µm.
    """
    steps = 48
    angle = rng.uniform(0, 2 * np.pi, (n, 1)) + np.cumsum(rng.normal(0, 0.13, (n, steps)), axis=1)
    stride = rng.uniform(0.7, 1.6, (n, 1)) / pixel_size_um
    path = np.cumsum(np.stack([np.sin(angle), np.cos(angle)], axis=2) * stride[:, :, None], axis=1)
    start = rng.uniform(0.15, 0.85, (n, 2)) * np.array(field_shape)
    centres = (path + start[:, None]).reshape(-1, 2)
    radii = np.repeat(rng.uniform(1.2, 2.6, n), steps) / pixel_size_um
    add = np.full((n, 5), 0.04)
    add[np.arange(n), rng.integers(0, 5, n)] = 1.0
    add = np.repeat(add * rng.uniform(0.5, 1.4, (n, 1)), steps, axis=0)
    m = n * steps
    return Spots(centres, radii, np.full(m, -1, np.int64), np.full(m, ANYWHERE, np.int64), add, np.full((m, 5), -0.25))
