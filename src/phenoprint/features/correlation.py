"""Correlation and colocalization of pairs of channels: CellProfiler's MeasureColocalization."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from phenoprint.features._context import Field, Objects
from phenoprint.features.family import Definition, FeatureFamily, register_family

__all__ = ["Correlation"]

# Measure, column of the kernel for (first, second), column for (second, first) where the measure has a direction.
_COLUMNS = (
    ("Correlation", 0, None),
    ("Overlap", 1, None),
    ("K", 2, 3),
    ("Manders", 4, 5),
    ("RWC", 6, 7),
    ("Costes", 8, 9),
)


@register_family
@dataclass(frozen=True)
class Correlation(FeatureFamily):
    """Pearson correlation of every pair of channels, and the colocalization coefficients.

    Parameters
    ----------
    threshold_percent
        Pixels below this percentage of the object's largest value do not count as stained (all but Pearson and
        Costes).
    pearson_only
        Leave out the colocalization coefficients.
    """

    name: ClassVar[str] = "correlation"
    source: ClassVar[str] = "CellProfiler 4.2.8 MeasureColocalization (Costes: Faster)"
    definitions: ClassVar[Mapping[str, Definition]] = {
        "Correlation_Correlation": Definition(
            "Pearson correlation of two channels over the object's pixels",
            "1",
            "NULL where a channel is constant; CellProfiler writes 0 or NaN",
        ),
        "Correlation_Overlap": Definition("sum of products over the root of the product of sums of squares"),
        "Correlation_K": Definition("sum of products over the sum of squares of the first channel"),
        "Correlation_Manders": Definition(
            "share of the first channel's intensity that lies where both channels are above the threshold"
        ),
        "Correlation_RWC": Definition(
            "Manders' share weighted by how near the ranks of the two channels are; ranks over all objects' pixels"
        ),
        "Correlation_Costes": Definition(
            "Manders' share with the thresholds that Costes' regression on the whole image gives"
        ),
    }

    threshold_percent: float = 15.0
    pearson_only: bool = False

    def measure(self, objects: Objects) -> dict[str, npt.NDArray[np.float64]]:
        """Measure every pair of channels; see :meth:`FeatureFamily.measure`."""
        from phenoprint.features._kernels_correlation import colocalization

        result: dict[str, npt.NDArray[np.float64]] = {}
        no_ranks = np.zeros(objects.values.shape[1], np.int32)
        no_cut = np.full(2, np.nan)
        for a, b in objects.channel_pairs:
            first, second = objects.channels[a], objects.channels[b]
            if self.pearson_only:
                ranks = ((no_ranks, 0), (no_ranks, 0))
                cut = no_cut
            else:
                ranks = (objects.ranks(a), objects.ranks(b))
                cut = objects.field.shared(("costes", a, b), _costes)
            table = colocalization(
                objects.values[a],
                objects.values[b],
                objects.offsets,
                ranks[0][0],
                ranks[1][0],
                max(ranks[0][1], ranks[1][1]) + 1,
                self.threshold_percent / 100.0,
                cut,
            )
            for measure, forward, backward in _COLUMNS[: 1 if self.pearson_only else None]:
                result[f"Correlation_{measure}_{first}_{second}"] = table[:, forward]
                if backward is not None:
                    result[f"Correlation_{measure}_{second}_{first}"] = table[:, backward]
        return result


def _costes(field: Field, key: tuple[object, ...]) -> npt.NDArray[np.float64]:
    """Costes' thresholds of two channels on the whole image, ``(2,)``."""
    from phenoprint.features._kernels_correlation import costes_threshold

    first, second = (field.flat[int(str(c))] for c in key[1:])
    return np.asarray(costes_threshold(first, second, field.levels))
