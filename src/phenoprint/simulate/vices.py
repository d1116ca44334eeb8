"""How strongly a simulated plate misbehaves."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Self

from phenoprint.errors import UsageError

__all__ = ["Vices"]


@dataclass(frozen=True, kw_only=True)
class Vices:
    """How strongly a plate misbehaves; zero switches a vice off.

    Parameters
    ----------
    vignette
        Loss of light in the corners, as a fraction.
    background
        Fluorescence of the medium, as a fraction of a well-exposed frame.
    row_gradient, column_gradient
        Fractional change of staining from one end of the plate to the other.
    edge_effect
        Fraction of cells lost in the outer wells; staining gains half as much.
    batch_gain, plate_gain, well_gain
        Spread of the natural logarithm of staining between batches, plates and wells, a channel each.
    density_spread
        Spread of the natural logarithm of the number of cells seeded, between wells.
    out_of_focus_rate, saturated_rate, debris_rate
        Fraction of fields affected.
    shot_noise
        Counts of the camera for one photoelectron.
    read_noise
        Standard deviation of the camera's noise, counts.
    """

    vignette: float = 0.22
    background: float = 0.018
    row_gradient: float = 0.06
    column_gradient: float = 0.08
    edge_effect: float = 0.12
    batch_gain: float = 0.12
    plate_gain: float = 0.05
    well_gain: float = 0.03
    density_spread: float = 0.10
    out_of_focus_rate: float = 0.015
    saturated_rate: float = 0.008
    debris_rate: float = 0.03
    shot_noise: float = 2.0
    read_noise: float = 14.0

    def __post_init__(self) -> None:
        """Refuse values that no plate could have."""
        for entry in fields(self):
            value = getattr(self, entry.name)
            if not (math.isfinite(value) and value >= 0):
                raise UsageError(f"Vices.{entry.name} must be a finite number of 0 or more, got {value!r}")
            if (entry.name.endswith("_rate") or entry.name in {"vignette", "edge_effect"}) and value > 1:
                raise UsageError(f"Vices.{entry.name} is a fraction between 0 and 1, got {value!r}")

    @classmethod
    def off(cls) -> Self:
        """Return a perfect microscope: no vice, no noise."""
        return cls(**{entry.name: 0.0 for entry in fields(cls)})
