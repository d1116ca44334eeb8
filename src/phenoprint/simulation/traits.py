"""Traits of a simulated cell, with units and natural variation.

Every phenotype is a shift of these traits. The truth of a cell is therefore one row of numbers, and the drawing code
does not depend on mechanisms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phenoprint.errors import UnknownNameError

__all__ = ["LOOK_DTYPE", "TRAITS", "Trait", "express", "shift_vector"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Trait:
    """One trait of a cell.

    Parameters
    ----------
    name
        Column name in the truth tables, with the unit.
    typical
        Value of an untreated cell.
    spread
        Standard deviation between untreated cells, of the natural logarithm for a fold trait, otherwise of the value.
    is_fold
        Whether changes multiply the trait; they are added to other traits.
    low, high
        Limits of the value.
    """

    name: str
    typical: float
    spread: float
    is_fold: bool
    low: float
    high: float


def _fold(name: str, typical: float, spread: float, *, low: float = 1e-3, high: float = 1e4) -> Trait:
    return Trait(name, typical, spread, True, low, high)


def _sum(name: str, typical: float, spread: float, *, low: float = 0.0, high: float = 1.0) -> Trait:
    return Trait(name, typical, spread, False, low, high)


# Sizes of U2OS cells in Cell Painting images; intensities as fractions of a well-exposed image.
TRAITS: tuple[Trait, ...] = (
    _fold("nucleus_area_um2", 205.0, 0.15, low=35.0, high=900.0),
    _fold("nucleus_axis_ratio", 1.25, 0.09, low=1.0, high=4.0),
    _sum("nucleus_irregularity", 0.025, 0.008, high=0.4),
    _fold("cell_radius_um", 23.0, 0.11, low=7.0, high=60.0),
    _fold("cell_axis_ratio", 1.35, 0.16, low=1.0, high=5.0),
    _sum("cell_irregularity", 0.060, 0.018, high=0.4),
    _sum("polarity", 0.22, 0.08, high=0.8),  # distance of the nucleus from the centre of the cell
    _sum("roundedness", 0.15, 0.04),  # 0 flat and spread, 1 spherical
    _fold("dna_intensity", 0.36, 0.10),
    _sum("chromatin_contrast", 0.16, 0.03, high=0.9),
    _fold("nucleolus_count", 3.2, 0.20, low=0.05, high=12.0),
    _fold("nucleolus_radius_um", 1.55, 0.13, low=0.4, high=5.0),
    _fold("nucleolus_intensity", 0.42, 0.14),
    _fold("rna_intensity", 0.30, 0.12),
    _fold("er_intensity", 0.34, 0.13),
    _fold("er_reach_um", 12.0, 0.12, low=2.0, high=60.0),  # decay length away from the nucleus
    _sum("er_reticulum", 0.50, 0.06),
    _fold("agp_intensity", 0.20, 0.12),
    _fold("actin_fibres", 0.20, 0.20, low=1e-4),
    _fold("membrane_rim", 0.24, 0.16, low=1e-4),
    _fold("actin_clumps", 1.0, 0.30, low=1e-3, high=40.0),
    _fold("golgi_intensity", 1.2, 0.17),
    _sum("golgi_dispersal", 0.12, 0.05),
    _fold("mito_intensity", 0.34, 0.14),
    _fold("mito_reach_um", 10.0, 0.13, low=1.5, high=60.0),
    _sum("mito_fragmentation", 0.20, 0.07),
    _fold("vacuole_count", 0.4, 0.40, low=1e-3, high=30.0),
    _fold("vacuole_radius_um", 1.5, 0.18, low=0.4, high=5.0),
    _fold("aggresomes", 0.02, 0.30, low=1e-3, high=4.0),
    _fold("micronuclei", 0.02, 0.30, low=1e-3, high=8.0),
)

LOOK_DTYPE = np.dtype([(trait.name, np.float64) for trait in TRAITS])

_POSITION = {trait.name: index for index, trait in enumerate(TRAITS)}
_TYPICAL = np.array([np.log(trait.typical) if trait.is_fold else trait.typical for trait in TRAITS])
_SPREAD = np.array([trait.spread for trait in TRAITS])
_IS_FOLD = np.array([trait.is_fold for trait in TRAITS])
_LOW = np.array([trait.low for trait in TRAITS])
_HIGH = np.array([trait.high for trait in TRAITS])


def shift_vector(changes: Mapping[str, float]) -> FloatArray:
    """Convert named changes to a vector over all traits.

    Parameters
    ----------
    changes
        Trait name to its change at full effect: a factor for a fold trait, an addend for other traits.

    Returns
    -------
    numpy.ndarray
        float64 (len(TRAITS),), natural logarithms for fold traits.

    Raises
    ------
    UnknownNameError
        For an unknown trait.

    Examples
    --------
    >>> float(shift_vector({"cell_radius_um": 0.5}).min().round(3))
    -0.693
    """
    shift = np.zeros(len(TRAITS))
    for name, change in changes.items():
        if name not in _POSITION:
            raise UnknownNameError("cell trait", name, _POSITION)
        index = _POSITION[name]
        shift[index] = np.log(change) if _IS_FOLD[index] else change
    return shift


def express(shifts: FloatArray, deviates: FloatArray) -> NDArray[np.void]:
    """Return the traits of each cell.

    Parameters
    ----------
    shifts
        (n, len(TRAITS)) summed shifts of each cell, in the units of `shift_vector`.
    deviates
        (n, len(TRAITS)) standard normal deviates: natural variation.

    Returns
    -------
    numpy.ndarray
        (n,) records of `LOOK_DTYPE`, within the limits of each trait.
    """
    raw = _TYPICAL + _SPREAD * deviates + shifts
    values = np.clip(np.where(_IS_FOLD, np.exp(np.where(_IS_FOLD, raw, 0.0)), raw), _LOW, _HIGH)
    looks = np.empty(len(values), LOOK_DTYPE)
    for index, trait in enumerate(TRAITS):
        looks[trait.name] = values[:, index]
    return looks


def spread_of() -> FloatArray:
    """Return the standard deviation of each trait between untreated cells, float64 (len(TRAITS),)."""
    return _SPREAD.copy()
