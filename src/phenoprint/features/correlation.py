"""Correlation and colocalization of pairs of channels: CellProfiler's MeasureColocalization."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.features._field import Field, Objects
from phenoprint.features.family import Definition, FeatureFamily

__all__ = ["Correlation"]

# Columns of each measure in the kernel's result for (first, second), and for (second, first) if it is directed.
_COLUMNS = {
    "Correlation": (0,),
    "Overlap": (2,),
    "K": (3, 4),
    "Manders": (5, 6),
    "RWC": (7, 8),
    "Costes": (9, 10),
}
_SLOPE = 1
_NO_COSTES = (
    "NULL if no pixel of the first channel reaches its threshold, or an image is constant and has no regression line; "
    "CellProfiler writes 0 or NaN. Images of floats are searched in 65,535 steps; CellProfiler uses 255 for images of "
    "unknown bit depth"
)
_NO_RANKS = (np.zeros((0, 0), np.int32), np.zeros(0, np.int64))


@dataclass(frozen=True)
class Correlation(FeatureFamily):
    """Pearson correlation of every pair of channels, and the colocalization coefficients.

    Parameters
    ----------
    threshold_percent
        Pixels below this percentage of the object's largest value do not count as stained (not for Pearson and
        Costes).
    measures
        Any of ``"Correlation"`` (Pearson), ``"Overlap"``, ``"K"``, ``"Manders"``, ``"RWC"`` and ``"Costes"``.
    """

    name: ClassVar[str] = "correlation"
    source: ClassVar[str] = "CellProfiler 4.2.8 MeasureColocalization (Costes: Faster)"
    definitions: ClassVar[Mapping[str, Definition]] = {
        "Correlation_Correlation": Definition(
            "Pearson correlation of two channels over the object's pixels",
            "1",
            "NULL if a channel is constant; CellProfiler writes 0 or NaN",
        ),
        "Correlation_Overlap": Definition(
            "sum of products over the root of the product of sums of squares, where both channels reach the threshold"
        ),
        "Correlation_K": Definition(
            "sum of products over the sum of squares of the first channel, where both reach the threshold",
            "1",
            "NULL if a channel is black; CellProfiler writes 0 or NaN",
        ),
        "Correlation_Manders": Definition(
            "fraction of the first channel's intensity above its threshold in pixels where the second reaches its own"
        ),
        "Correlation_RWC": Definition(
            "Manders' fraction weighted by the similarity of the channels' ranks; ranks over the pixels of all objects"
        ),
        "Correlation_Costes": Definition(
            "Manders' fraction with the thresholds of Costes' regression on the whole image", "1", _NO_COSTES
        ),
    }

    image_definitions: ClassVar[Mapping[str, Definition]] = {
        "Correlation_Slope": Definition(
            "slope of the least-squares line of the second channel over the first",
            "1",
            "NULL if the first channel is constant; CellProfiler writes 0",
        ),
        "Correlation_Correlation": Definition(
            "Pearson correlation of two channels over the image",
            "1",
            "NULL if a channel is constant; CellProfiler writes NaN",
        ),
        "Correlation_RWC": Definition(
            "Manders' fraction weighted by the similarity of the channels' ranks; ranks over the pixels of the image"
        ),
    }

    threshold_percent: float = 15.0
    measures: tuple[str, ...] = tuple(_COLUMNS)

    def __post_init__(self) -> None:
        for measure in self.measures:
            if measure not in _COLUMNS:
                raise UnknownNameError("correlation measure", measure, _COLUMNS)
        if not 0 <= self.threshold_percent <= 100:
            raise UsageError(f"threshold_percent must lie between 0 and 100, not {self.threshold_percent}")

    def measure(self, objects: Objects) -> dict[str, npt.NDArray[np.float64]]:
        """Measure every pair of channels; see :meth:`FeatureFamily.measure`."""
        ranks = objects.ranks if "RWC" in self.measures else _NO_RANKS
        table = self._table(objects.field, objects.values, objects.offsets, ranks, strict=False)
        return {name: table[:, p, column] for name, p, column in self._columns(objects.field)}

    def measure_image(self, field: Field) -> dict[str, float]:
        """Measure every pair of whole channels, with the slope; see :meth:`FeatureFamily.measure_image`."""
        ranks = field.ranks if "RWC" in self.measures else _NO_RANKS
        table = self._table(field, field.flat, field.frame.offsets, ranks, strict=True)[0]
        result = {name: float(table[p, column]) for name, p, column in self._columns(field)}
        for p, (a, b) in enumerate(field.channel_pairs):
            result[f"Correlation_Slope_{field.channels[a]}_{field.channels[b]}"] = float(table[p, _SLOPE])
        return result

    def _table(
        self,
        field: Field,
        values: npt.NDArray[np.float32],
        offsets: npt.NDArray[np.int64],
        ranks: tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]],
        *,
        strict: bool,
    ) -> npt.NDArray[np.float64]:
        from phenoprint.features._kernels_correlation import colocalization

        pairs = field.channel_pairs
        cuts = np.zeros((0, 2))
        if "Costes" in self.measures and len(pairs):
            cuts = np.array([field.shared(("costes", int(a), int(b)), _costes) for a, b in pairs])
        overlap = not {"Overlap", "K", "Manders"}.isdisjoint(self.measures)
        return np.asarray(colocalization(values, offsets, pairs, self.threshold_percent, overlap, *ranks, cuts, strict))

    def _columns(self, field: Field) -> Iterator[tuple[str, int, int]]:
        """Yield name, index of the pair and column in the table of every feature."""
        for p, (a, b) in enumerate(field.channel_pairs):
            first, second = field.channels[a], field.channels[b]
            for measure in self.measures:
                forward, *backward = _COLUMNS[measure]
                yield f"Correlation_{measure}_{first}_{second}", p, forward
                if backward:
                    yield f"Correlation_{measure}_{second}_{first}", p, backward[0]


def _costes(field: Field, key: tuple[object, ...]) -> npt.NDArray[np.float64]:
    """Return Costes' thresholds of two channels on the whole image, ``(2,)``."""
    from phenoprint.features._kernels_costes import costes_threshold

    first, second = (field.flat[int(str(c))] for c in key[1:])
    return np.asarray(costes_threshold(first, second, field.levels))
