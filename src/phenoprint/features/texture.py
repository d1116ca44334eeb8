"""Textures by grey-level co-occurrence: CellProfiler's MeasureTexture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from phenoprint.errors import UsageError
from phenoprint.features._context import Objects
from phenoprint.features.family import Definition, FeatureFamily, register_family

__all__ = ["Texture"]

_MEASURES = {
    "AngularSecondMoment": Definition("sum of squared co-occurrence probabilities; 1 for a uniform object"),
    "Contrast": Definition("mean squared difference of grey levels of pixel pairs", "level^2"),
    "Correlation": Definition("linear dependence of the grey levels of pixel pairs"),
    "Variance": Definition("variance of the grey levels in pairs", "level^2"),
    "InverseDifferenceMoment": Definition("mean of 1 / (1 + squared difference of grey levels)"),
    "SumAverage": Definition("mean of the sum of the grey levels of pairs", "level"),
    "SumVariance": Definition("variance of the sum of the grey levels of pairs", "level^2"),
    "SumEntropy": Definition("entropy of the sum of the grey levels of pairs", "bit"),
    "Entropy": Definition("entropy of the co-occurrence probabilities", "bit"),
    "DifferenceVariance": Definition("variance of the probabilities of grey-level differences"),
    "DifferenceEntropy": Definition("entropy of the difference of the grey levels of pairs", "bit"),
    "InfoMeas1": Definition("mutual information of the grey levels of pairs over the entropy of one, negative"),
    "InfoMeas2": Definition("root of 1 - exp(-2 mutual information) of the grey levels of pairs"),
}


@register_family
@dataclass(frozen=True)
class Texture(FeatureFamily):
    """Haralick's measures at several scales in four directions.

    Parameters
    ----------
    scales
        Distances of the pixel pairs, in pixels.
    levels
        Number of grey levels full scale is divided into, at most 256.
    """

    name: ClassVar[str] = "texture"
    source: ClassVar[str] = "CellProfiler 4.2.8 MeasureTexture (mahotas haralick); Haralick et al. 1973"
    definitions: ClassVar[Mapping[str, Definition]] = {f"Texture_{name}": d for name, d in _MEASURES.items()}

    scales: tuple[int, ...] = (3, 5, 10)
    levels: int = 256

    def __post_init__(self) -> None:
        if not self.scales or min(self.scales) < 1:
            raise UsageError(f"texture scales must be whole numbers of at least 1 pixel, not {self.scales}")
        if not 2 <= self.levels <= 256:
            raise UsageError(f"texture levels must lie in 2 to 256, not {self.levels}")

    def measure(self, objects: Objects) -> dict[str, npt.NDArray[np.float64]]:
        """Measure every channel; see :meth:`FeatureFamily.measure`."""
        from phenoprint.features._kernels_texture import haralick, quantize

        result: dict[str, npt.NDArray[np.float64]] = {}
        scales = np.array(self.scales, np.int64)
        for c, channel in enumerate(objects.channels):
            grey = quantize(objects.values[c], self.levels)
            table = haralick(grey, objects.pixels, objects.offsets, objects.box, objects.width, scales)
            for k, measure in enumerate(_MEASURES):
                for s, scale in enumerate(self.scales):
                    for direction in range(4):
                        name = f"Texture_{measure}_{channel}_{scale}_{direction:02d}_{self.levels}"
                        result[name] = np.ascontiguousarray(table[:, s, direction, k])
        return result
