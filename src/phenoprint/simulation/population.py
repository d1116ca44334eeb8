"""The cells of a field: number, positions, states, traits, outlines and nuclei."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phenoprint.simulation.conditions import Conditions
from phenoprint.simulation.design import ScreenDesign
from phenoprint.simulation.library import TOXIC_SLOPE, hill_effect, response
from phenoprint.simulation.mechanisms import CYTOTOXICITY, STATE_CHANGES, STATE_FREQUENCIES, STATES
from phenoprint.simulation.outlines import outline_tables
from phenoprint.simulation.platelayout import WellContent
from phenoprint.simulation.traits import TRAITS, express, shift_vector

__all__ = ["Bodies", "Population", "draw_population"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_MARGIN_UM = 28.0  # margin around the frame, whose cells may extend into it
_TRIES = 24  # positions tried for each cell; the one with most room is taken if none is free
_SENSITIVITY = 0.45  # spread of the natural logarithm of the effective dose between cells
_TOXIC_SHIFT = shift_vector(CYTOTOXICITY.changes)
_STATE_SHIFTS = np.stack([shift_vector(STATE_CHANGES[state]) for state in STATES])


@dataclass(frozen=True)
class Bodies:
    """Nuclei, fragments and micronuclei, sorted by cell.

    Parameters
    ----------
    cells
        (m,) index of the cell.
    centres
        (m, 2) px.
    radii
        (m,) radius of a circle of the same area, px.
    tables
        (m, DIRECTIONS) radius in each direction, px.
    is_main
        (m,) False for micronuclei, which are not in the masks.
    first
        (n + 1,) index of the first body of each cell.
    """

    cells: IntArray
    centres: FloatArray
    radii: FloatArray
    tables: FloatArray
    is_main: NDArray[np.bool_]
    first: IntArray


@dataclass(frozen=True)
class Population:
    """The cells of a field, including those outside the frame that extend into it.

    Parameters
    ----------
    looks
        (n,) records of `LOOK_DTYPE`.
    states
        (n,) index into `STATES`.
    effects
        (n,) effect of the treatment on the cell, 0 to 1.
    centres
        (n, 2) centres of the cell outlines, px.
    tables
        (n, DIRECTIONS) radii of the cell outlines, px.
    poses
        (n, 4) texture offset y and x (px), rotation of the texture and direction of the fibres (radians).
    bodies
        The nuclei.
    n_nuclei
        (n,) number of nuclei or fragments, without micronuclei.
    """

    looks: NDArray[np.void]
    states: IntArray
    effects: FloatArray
    centres: FloatArray
    tables: FloatArray
    poses: FloatArray
    bodies: Bodies
    n_nuclei: IntArray


def draw_population(
    rng: np.random.Generator, design: ScreenDesign, content: WellContent, *, here: Conditions
) -> Population:
    """Draw the cells of a field.

    Parameters
    ----------
    rng
        Random generator of the field.
    design
        The screen.
    content
        Treatment of the well.
    here
        Imaging conditions of the field.
    """
    n = _draw_count(rng, design, content, here)
    effects, toxicities = _cell_effects(rng, content, here, n)
    states = _cell_states(rng, content, effects, toxicities)
    shifts = here.shift + _shifts(content, effects, toxicities)
    looks = express(shifts + _STATE_SHIFTS[states], rng.standard_normal((n, len(TRAITS))))
    n_nuclei = _nuclei_each(rng, states, effects)
    extents = np.sqrt(looks["nucleus_area_um2"] / np.pi) * (1 + 0.55 * (n_nuclei > 1))
    nuclei, has_room = _positions(rng, design, extents)
    keep = np.flatnonzero(has_room)
    looks, states, effects = looks[keep], states[keep], effects[keep]
    n_nuclei, extents, nuclei = n_nuclei[keep], extents[keep], nuclei[keep]
    n = len(keep)

    angles = rng.uniform(0, 2 * np.pi, n)
    radii = np.maximum(looks["cell_radius_um"], 1.22 * extents)
    off = np.minimum(looks["polarity"], 0.8 * (1 - extents / radii)) * radii / design.pixel_size_um
    lean = angles + rng.integers(0, 2, n) * np.pi + rng.normal(0, 0.5, n)
    centres = nuclei + off[:, None] * np.stack([np.sin(lean), np.cos(lean)], axis=1)
    tables = outline_tables(
        rng,
        radii / design.pixel_size_um,
        axis_ratios=looks["cell_axis_ratio"],
        angles=angles,
        irregularities=looks["cell_irregularity"],
        harmonics=9,
    )
    poses = np.column_stack([rng.uniform(0, 256, (n, 2)), rng.uniform(0, 2 * np.pi, n), angles])
    bodies = _draw_bodies(rng, design, looks, n_nuclei, nuclei=nuclei, states=states)
    return Population(looks, states, effects, centres, tables, poses, bodies, n_nuclei)


def _draw_count(rng: np.random.Generator, design: ScreenDesign, content: WellContent, here: Conditions) -> int:
    """Draw the number of cells in the field and the margin around it."""
    if content.pert_type == "empty":
        return 0
    survival = 1 - (1 - CYTOTOXICITY.survival) * content.toxicity
    if content.compound is not None:
        survival *= 1 - (1 - response(content.compound).survival) * content.effect
    sides = np.array(design.field_shape) * design.pixel_size_um
    # A nucleus counts if a good part of it is in the frame: up to about 5 µm outside on all sides.
    share = np.prod(sides + 2 * _MARGIN_UM) / np.prod(sides + 10.0)
    return int(rng.poisson(design.cells_per_field * here.density * survival * share))


def _cell_effects(
    rng: np.random.Generator, content: WellContent, here: Conditions, n: int
) -> tuple[FloatArray, FloatArray]:
    """Draw effect and cytotoxicity of each cell from its sensitivity to the dose and whether it can respond."""
    sensitivity, susceptibility = rng.normal(0, _SENSITIVITY, n), rng.uniform(size=n)
    compound, dose = content.compound, content.dose_um
    if compound is None or compound.mechanism is None or dose is None:
        return np.zeros(n), np.zeros(n)
    doses = dose * here.sensitivity * np.exp(sensitivity)
    effect = hill_effect(doses, ec50_um=compound.ec50_um, hill_slope=compound.hill_slope, emax=compound.emax)
    toxicity = hill_effect(doses, ec50_um=compound.toxic_um, hill_slope=TOXIC_SLOPE)
    return np.where(susceptibility < response(compound).penetrance, effect, 0.0), toxicity


def _shifts(content: WellContent, effects: FloatArray, toxicities: FloatArray) -> FloatArray:
    """Return the shift of every trait of every cell by the treatment, (n, traits)."""
    if content.compound is None:
        return np.zeros((len(effects), len(TRAITS)))
    return np.outer(effects, response(content.compound).shift) + np.outer(toxicities, _TOXIC_SHIFT)


def _cell_states(
    rng: np.random.Generator, content: WellContent, effects: FloatArray, toxicities: FloatArray
) -> IntArray:
    """Draw the state of each cell, as an index into `STATES`."""
    added = response(content.compound).states if content.compound else {}
    draw = rng.uniform(size=len(effects))
    states = np.zeros(len(effects), np.int64)
    ceiling = np.zeros(len(effects))
    for index, state in enumerate(STATES[1:], start=1):
        floor = ceiling
        toxic = CYTOTOXICITY.states.get(state, 0.0) * toxicities
        ceiling = floor + STATE_FREQUENCIES[state] + added.get(state, 0.0) * effects + toxic
        states[(draw >= floor) & (draw < ceiling)] = index
    return states


def _nuclei_each(rng: np.random.Generator, states: IntArray, effects: FloatArray) -> IntArray:
    """Draw the number of nuclei or fragments of each cell."""
    n = len(states)
    several = 2 + rng.binomial(3, 0.4 * np.clip(effects, 0, 1), n)
    fragments = rng.integers(4, 8, n)
    counts = np.where(states == STATES.index("multinucleate"), several, 1)
    return np.where(states == STATES.index("apoptotic"), fragments, counts).astype(np.int64)


def _positions(
    rng: np.random.Generator, design: ScreenDesign, extents_um: FloatArray
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Choose the centres (n, 2) px of the nuclei; also return whether there was room for each."""
    from phenoprint.simulation.rendering import place

    margin = _MARGIN_UM / design.pixel_size_um
    low, high = -margin, np.array(design.field_shape) + margin
    candidates = rng.uniform(low, high, (len(extents_um), _TRIES, 2))
    # Cells keep some distance where they can; nuclei of neighbours may touch but not overlap.
    chosen, has_room = place(candidates, extents_um / design.pixel_size_um, 0.25)
    return chosen, has_room


def _draw_bodies(
    rng: np.random.Generator,
    design: ScreenDesign,
    looks: NDArray[np.void],
    n_nuclei: IntArray,
    *,
    nuclei: FloatArray,
    states: IntArray,
) -> Bodies:
    """Place nuclei, fragments and micronuclei around the nuclear centre of each cell."""
    n = len(looks)
    small = rng.poisson(looks["micronuclei"])
    counts = n_nuclei + small
    cells = np.repeat(np.arange(n), counts)
    first = np.concatenate([[0], np.cumsum(counts)])
    rank = np.arange(len(cells)) - first[cells]
    is_main = rank < n_nuclei[cells]
    look, siblings = looks[cells], n_nuclei[cells]
    is_fragment = (states[cells] == STATES.index("apoptotic")) & is_main

    whole = look["nucleus_area_um2"]
    area = np.where(siblings > 1, whole * 1.25 / siblings**0.75, whole)
    area = np.where(is_fragment, whole / siblings * rng.uniform(0.4, 1.8, len(cells)), area)
    area = np.where(is_main, area, rng.uniform(5.0, 16.0, len(cells)))
    # Sister nuclei lie side by side; fragments lie within and a little beyond the area of the former nucleus.
    apart = np.sqrt(area / np.pi) * (0.75 + 0.17 * siblings) * rng.uniform(0.95, 1.15, len(cells))
    scattered = np.sqrt(whole / np.pi) * (0.35 + 1.15 * np.sqrt(rng.uniform(size=len(cells))))
    away = np.where(siblings > 1, np.where(is_fragment, scattered, apart), 0.0)
    beyond = np.sqrt(whole / np.pi) + rng.uniform(1.0, 4.5, len(cells))
    away = np.where(is_main, away, beyond)
    turn = rng.uniform(0, 2 * np.pi, n)[cells] + 2 * np.pi * rank / siblings + rng.normal(0, 0.18, len(cells))
    turn = np.where(is_main, turn, rng.uniform(0, 2 * np.pi, len(cells)))
    centres = nuclei[cells] + (away / design.pixel_size_um)[:, None] * np.stack([np.sin(turn), np.cos(turn)], axis=1)
    radii = np.sqrt(area / np.pi) / design.pixel_size_um
    is_single = is_main & (siblings == 1)
    tables = outline_tables(
        rng,
        radii,
        axis_ratios=np.where(is_single, look["nucleus_axis_ratio"], 1.12),
        angles=rng.uniform(0, 2 * np.pi, len(cells)),
        irregularities=look["nucleus_irregularity"],
        harmonics=5,
    )
    return Bodies(cells, centres, radii, tables, is_main, first)
