"""Scores of cell count alone and of well position alone, under the rules of the real score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.errors import PlateMapError, SchemaError
from phenoprint.tables import well_places

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["count_baseline", "known_places", "nearest_accuracy", "position_baseline"]


def count_baseline(data: pl.DataFrame, labels: NDArray[np.intp], keys: Sequence[NDArray[np.intp]]) -> float | None:
    """Accuracy of the nearest neighbour by cell count; None where a row has no ``Metadata_Object_Count``."""
    name = "Metadata_Object_Count"
    if name not in data.columns or data.get_column(name).null_count() or not data.height:
        return None
    counts = data.get_column(name).cast(pl.Float64).to_numpy()
    return nearest_accuracy(counts[:, None], labels, keys)


def position_baseline(data: pl.DataFrame, labels: NDArray[np.intp], keys: Sequence[NDArray[np.intp]]) -> float | None:
    """Accuracy of the nearest neighbour by row and column of the well; None where a row has none."""
    positions = known_places(data)
    if positions is None or not len(positions):
        return None
    return nearest_accuracy(positions, labels, keys)


def known_places(data: pl.DataFrame) -> NDArray[np.float64] | None:
    """Row and column of each well, 0-based, shape (rows, 2); None where a row has no position."""
    try:
        return well_places(data).astype(np.float64)
    except (PlateMapError, SchemaError):
        return None


def nearest_accuracy(points: NDArray[np.float64], labels: NDArray[np.intp], keys: Sequence[NDArray[np.intp]]) -> float:
    """Share of rows whose nearest eligible neighbour has their label.

    Parameters
    ----------
    points
        Shape (rows, dimensions); Euclidean distance.
    labels
        Shape (rows,).
    keys
        A neighbour differs in each; shape (rows,).

    Returns
    -------
    float
        Between 0 and 1. Neighbours at the same distance share the vote, which integer counts make common. NaN
        where no row has a neighbour.
    """
    n = len(points)
    right, has = np.zeros(n), np.zeros(n, dtype=bool)
    for start in range(0, n, 1024):
        block = slice(start, min(start + 1024, n))
        allowed = np.arange(n)[block][:, None] != np.arange(n)[None, :]
        for key in keys:
            allowed &= key[block][:, None] != key[None, :]
        distance = np.zeros(allowed.shape)
        for axis in points.T:
            distance += (axis[block][:, None] - axis[None, :]) ** 2
        distance[~allowed] = np.inf
        nearest = (distance == distance.min(axis=1, keepdims=True)) & allowed
        hits = (nearest & (labels[block][:, None] == labels[None, :])).sum(axis=1)
        has[block] = nearest.any(axis=1)
        right[block] = hits / np.maximum(nearest.sum(axis=1), 1)
    return float(right[has].mean()) if has.any() else float("nan")
