"""The artefacts of a simulated plate and their strengths."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Self

from phenoprint.errors import UsageError

__all__ = ["PlateArtefacts"]


@dataclass(frozen=True, kw_only=True)
class PlateArtefacts:
    """Strengths of the artefacts of a simulated plate; zero switches an artefact off.

    Parameters
    ----------
    vignette
        Fraction of the light lost in the corners of a field.
    background
        Fluorescence of the medium, as a fraction of a well-exposed image.
    row_gradient, column_gradient
        Fractional change of staining from one end of the plate to the other.
    edge_effect
        Fraction of cells lost in the outer wells; staining gains half as much.
    batch_gain, plate_gain, well_gain
        Standard deviation of the natural logarithm of staining between batches, plates and wells, drawn for each
        channel.
    position_effect
        Standard deviation, between the positions of a plate, of each trait of a cell, in standard deviations between
        cells; the same on all plates. Most of it follows rows, columns and the edge.
    batch_effect
        Standard deviation of each trait of a cell between batches, in standard deviations between cells.
    density_spread
        Standard deviation of the natural logarithm of the number of seeded cells, between wells.
    out_of_focus_rate, saturated_rate, debris_rate
        Fraction of fields affected.
    shot_noise
        Camera counts per photoelectron.
    read_noise
        Standard deviation of the camera's read noise, counts.

    Raises
    ------
    UsageError
        If a value is negative or not finite, or a fraction exceeds 1.

    Examples
    --------
    >>> from phenoprint.simulation import PlateArtefacts
    >>> PlateArtefacts(vignette=0.4).vignette, PlateArtefacts.off().vignette
    (0.4, 0.0)
    """

    vignette: float = 0.22
    background: float = 0.018
    row_gradient: float = 0.06
    column_gradient: float = 0.08
    edge_effect: float = 0.12
    batch_gain: float = 0.12
    plate_gain: float = 0.05
    well_gain: float = 0.03
    position_effect: float = 0.0
    batch_effect: float = 0.0
    density_spread: float = 0.10
    out_of_focus_rate: float = 0.015
    saturated_rate: float = 0.008
    debris_rate: float = 0.03
    shot_noise: float = 2.0
    read_noise: float = 14.0

    def __post_init__(self) -> None:
        """Check that every value is finite, not negative and, for fractions, at most 1."""
        for entry in fields(self):
            value = getattr(self, entry.name)
            if not (math.isfinite(value) and value >= 0):
                raise UsageError(f"PlateArtefacts.{entry.name} must be a finite number of 0 or more, got {value!r}")
            if (entry.name.endswith("_rate") or entry.name in {"vignette", "edge_effect"}) and value > 1:
                raise UsageError(f"PlateArtefacts.{entry.name} is a fraction between 0 and 1, got {value!r}")

    @classmethod
    def off(cls) -> Self:
        """Return settings without artefacts and without camera noise."""
        return cls(**{entry.name: 0.0 for entry in fields(cls)})
