"""Neighbours of each cell: CellProfiler's MeasureObjectNeighbors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from phenoprint.features._context import Objects
from phenoprint.features.family import Definition, FeatureFamily, register_family

__all__ = ["Neighbors"]

_NONE = "NULL where there is no such neighbour; CellProfiler writes 0"


@register_family
@dataclass(frozen=True)
class Neighbors(FeatureFamily):
    """Adjacent objects, the share of the outline that touches them, and the two nearest centres.

    Parameters
    ----------
    compartments
        The compartments to measure; neighbours of cells say it all for a nucleus in each cell.
    """

    name: ClassVar[str] = "neighbors"
    source: ClassVar[str] = "CellProfiler 4.2.8 MeasureObjectNeighbors (adjacent)"
    definitions: ClassVar[Mapping[str, Definition]] = {
        "Neighbors_NumberOfNeighbors": Definition("number of objects that share a pixel side with it", "count"),
        "Neighbors_PercentTouching": Definition("share of outline pixels that touch another object", "%"),
        "Neighbors_FirstClosestObjectNumber": Definition("number of the object with the nearest centre", "1", _NONE),
        "Neighbors_FirstClosestDistance": Definition("distance to the nearest centre", "px", _NONE),
        "Neighbors_SecondClosestObjectNumber": Definition("number of the second nearest", "1", _NONE),
        "Neighbors_SecondClosestDistance": Definition("distance to the second nearest centre", "px", _NONE),
        "Neighbors_AngleBetweenNeighbors": Definition(
            "angle at the centre between the two nearest centres", "degree", _NONE
        ),
    }

    compartments: tuple[str, ...] = ("Cells",)

    def measure(self, objects: Objects) -> dict[str, npt.NDArray[np.float64]]:
        """Measure one compartment; see :meth:`FeatureFamily.measure`."""
        if objects.compartment not in self.compartments:
            return {}
        from phenoprint.features._kernels_neighbors import closest, contacts

        codes, outline, touched = contacts(objects.labels, objects.outline, objects.n)
        neighbours = np.bincount(np.unique(codes) // (objects.n + 1), minlength=objects.n + 1)[1:]
        near = closest(*objects.centre)
        numbers = np.append(objects.field.numbers.astype(np.float64), np.nan)
        first, second = (
            numbers[np.where(np.isnan(near[:, k]), objects.n + 1, near[:, k]).astype(np.int64) - 1] for k in (0, 2)
        )
        return {
            "Neighbors_NumberOfNeighbors_Adjacent": neighbours.astype(np.float64),
            "Neighbors_PercentTouching_Adjacent": 100.0 * touched / np.maximum(outline, 1),
            "Neighbors_FirstClosestObjectNumber_Adjacent": first,
            "Neighbors_FirstClosestDistance_Adjacent": near[:, 1],
            "Neighbors_SecondClosestObjectNumber_Adjacent": second,
            "Neighbors_SecondClosestDistance_Adjacent": near[:, 3],
            "Neighbors_AngleBetweenNeighbors_Adjacent": near[:, 4],
        }
