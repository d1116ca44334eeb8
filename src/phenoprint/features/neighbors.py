"""Neighbours of each cell: CellProfiler's MeasureObjectNeighbors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from phenoprint.errors import UsageError
from phenoprint.features._field import Objects
from phenoprint.features.family import Definition, FeatureFamily

__all__ = ["Neighbors"]

_NONE = "NULL if there is no such neighbour; CellProfiler writes 0"


@dataclass(frozen=True)
class Neighbors(FeatureFamily):
    """Number of neighbours, fraction of the outline that touches them, and the two nearest centres.

    Parameters
    ----------
    distance
        Objects up to this many pixels away are neighbours (CellProfiler's "Within a specified distance"); the names end
        in the number, as in ``Cells_Neighbors_NumberOfNeighbors_10``. By default only adjacent objects are neighbours,
        and the names end in ``Adjacent``.
    compartments
        The compartments to measure; those of nuclei would add little to those of their cells.

    Examples
    --------
    >>> from phenoprint.features import measure
    >>> labels = np.zeros((6, 12), np.int32)
    >>> labels[1:5, 1:4], labels[1:5, 7:10] = 1, 2
    >>> both = {"Nuclei": labels, "Cells": labels}
    >>> near = measure(np.zeros((1, 6, 12)), both, channels=["DNA"], families=[Neighbors(distance=4)])
    >>> near["Cells_Neighbors_NumberOfNeighbors_4"].to_list()
    [1.0, 1.0]
    """

    name: ClassVar[str] = "neighbors"
    source: ClassVar[str] = "CellProfiler 4.2.8 MeasureObjectNeighbors (adjacent, within a distance)"
    definitions: ClassVar[Mapping[str, Definition]] = {
        "Neighbors_NumberOfNeighbors": Definition(
            "number of objects that share a pixel side with it (Adjacent) or lie within the distance", "count"
        ),
        "Neighbors_PercentTouching": Definition(
            "percentage of outline pixels within 1.5 pixels (Adjacent) or the distance plus 0.5 of another object",
            "%",
        ),
        "Neighbors_FirstClosestObjectNumber": Definition("number of the object with the nearest centre", "1", _NONE),
        "Neighbors_FirstClosestDistance": Definition("distance to the nearest centre", "px", _NONE),
        "Neighbors_SecondClosestObjectNumber": Definition("number of the second nearest", "1", _NONE),
        "Neighbors_SecondClosestDistance": Definition("distance to the second nearest centre", "px", _NONE),
        "Neighbors_AngleBetweenNeighbors": Definition(
            "angle at the centre between the two nearest centres", "degree", _NONE
        ),
    }

    compartments: tuple[str, ...] = ("Cells",)
    distance: int | None = None

    def __post_init__(self) -> None:
        if self.distance is not None and (self.distance != int(self.distance) or self.distance < 1):
            raise UsageError(
                f"the distance of neighbours must be a whole number of at least 1 pixel, not {self.distance}; "
                "omit it for adjacent objects"
            )

    def measure(self, objects: Objects) -> dict[str, npt.NDArray[np.float64]]:
        """Measure one compartment; see :meth:`FeatureFamily.measure`."""
        if objects.compartment not in self.compartments:
            return {}
        from phenoprint.features._kernels_neighbors import closest, contacts

        # Adjacent objects share a pixel side, which is a distance of 1.
        neighbours, outline, touched = contacts(
            objects.labels, objects.outline, objects.rows, objects.columns, objects.offsets, int(self.distance or 1)
        )
        near = closest(*objects.centre)
        numbers = np.append(objects.field.numbers.astype(np.float64), np.nan)
        first, second = (
            numbers[np.where(np.isnan(near[:, k]), objects.n + 1, near[:, k]).astype(np.int64) - 1] for k in (0, 2)
        )
        result = {
            "NumberOfNeighbors": neighbours,
            "PercentTouching": 100.0 * touched / np.maximum(outline, 1),
            "FirstClosestObjectNumber": first,
            "FirstClosestDistance": near[:, 1],
            "SecondClosestObjectNumber": second,
            "SecondClosestDistance": near[:, 3],
            "AngleBetweenNeighbors": near[:, 4],
        }
        scale = "Adjacent" if self.distance is None else str(int(self.distance))
        return {f"Neighbors_{measure}_{scale}": values for measure, values in result.items()}
