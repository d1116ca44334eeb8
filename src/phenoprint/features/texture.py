"""Textures by grey-level co-occurrence: CellProfiler's MeasureTexture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from phenoprint.errors import UsageError
from phenoprint.features._field import Field, Objects
from phenoprint.features._whole import Frame
from phenoprint.features.family import Definition, FeatureFamily

__all__ = ["Texture"]

_NO_PAIRS = "NULL for an object too small for a pair of pixels in some direction; CellProfiler writes 0"
_TEXTS = {
    "AngularSecondMoment": ("sum of squared co-occurrence probabilities; 1 for a uniform object", "1"),
    "Contrast": ("mean squared difference of grey levels of pixel pairs", "level^2"),
    "Correlation": ("linear dependence of the grey levels of pixel pairs", "1"),
    "Variance": ("variance of the grey levels in pairs", "level^2"),
    "InverseDifferenceMoment": ("mean of 1 / (1 + squared difference of grey levels)", "1"),
    "SumAverage": ("mean of the sum of the grey levels of pairs", "level"),
    "SumVariance": ("variance of the sum of the grey levels of pairs", "level^2"),
    "SumEntropy": ("entropy of the sum of the grey levels of pairs", "bit"),
    "Entropy": ("entropy of the co-occurrence probabilities", "bit"),
    "DifferenceVariance": ("variance of the probabilities of grey-level differences", "1"),
    "DifferenceEntropy": ("entropy of the difference of the grey levels of pairs", "bit"),
    "InfoMeas1": ("mutual information of the grey levels of pairs over the entropy of one, negative", "1"),
    "InfoMeas2": ("root of 1 - exp(-2 mutual information) of the grey levels of pairs", "1"),
}
_MEASURES = {name: Definition(text, unit, _NO_PAIRS) for name, (text, unit) in _TEXTS.items()}


PairTable = npt.NDArray[np.float64]
_WHOLE = np.zeros(0, np.bool_)


@dataclass(frozen=True)
class Texture(FeatureFamily):
    """Haralick's texture measures at several scales in four directions.

    Parameters
    ----------
    scales
        Distances of the pixel pairs, in pixels.
    levels
        Number of grey levels of full scale, at most 256.
    """

    name: ClassVar[str] = "texture"
    source: ClassVar[str] = "CellProfiler 4.2.8 MeasureTexture (mahotas haralick); Haralick et al. 1973"
    definitions: ClassVar[Mapping[str, Definition]] = {f"Texture_{name}": d for name, d in _MEASURES.items()}
    image_definitions: ClassVar[Mapping[str, Definition]] = {
        f"Texture_{name}": Definition(text, unit) for name, (text, unit) in _TEXTS.items()
    }

    scales: tuple[int, ...] = (3, 5, 10)
    levels: int = 256

    def __post_init__(self) -> None:
        if not self.scales or min(self.scales) < 1:
            raise UsageError(f"texture scales must be whole numbers of at least 1 pixel, not {self.scales}")
        if not 2 <= self.levels <= 256:
            raise UsageError(f"texture levels must lie in 2 to 256, not {self.levels}")

    def alias(self, name: str) -> str | None:
        """Return the name in CellProfiler 3, which had 256 grey levels but not in the name."""
        return name.removesuffix("_256") if self.levels == 256 else None

    def measure(self, objects: Objects) -> dict[str, npt.NDArray[np.float64]]:
        """Measure every channel; see :meth:`FeatureFamily.measure`."""
        if objects.compartment in {"Cells", "Cytoplasm"}:
            tables = objects.field.shared((self, "cells"), self._cells)[objects.compartment == "Cytoplasm"]
        else:
            tables = self._tables(objects.values, objects, _WHOLE)[0]
        result: dict[str, npt.NDArray[np.float64]] = {}
        for table, channel in zip(tables, objects.channels, strict=True):
            for name, place in self._columns(channel):
                result[name] = table[:, *place]
        return result

    def measure_image(self, field: Field) -> dict[str, float]:
        """Measure every whole channel, with grey level 0; see :meth:`FeatureFamily.measure_image`."""
        result: dict[str, float] = {}
        for table, channel in zip(self._tables(field.flat, field.frame, _WHOLE, 0)[0], field.channels, strict=True):
            for name, place in self._columns(channel):
                result[name] = float(table[0, *place])
        return result

    def _cells(self, field: Field, _key: tuple[object, ...]) -> tuple[list[PairTable], list[PairTable]]:
        """Return the tables of all channels for the cells and for the cytoplasm, whose pixels are a subset."""
        cells, cytoplasm = field.compartments["Cells"], field.compartments["Cytoplasm"]
        part = cytoplasm.labels.reshape(-1)[cells.pixels] > 0
        return self._tables(cells.values, cells, part)

    def _tables(
        self,
        values: npt.NDArray[np.float32],
        pixels: Objects | Frame,
        part: npt.NDArray[np.bool_],
        lowest: int = 1,
    ) -> tuple[list[PairTable], list[PairTable]]:
        """Return every measure of every object (n, scales, 4, 13) of each channel, for the whole and for the part."""
        from phenoprint.features._kernels_texture import haralick, quantize

        scales = np.array(self.scales, np.int64)
        lists = (pixels.rows, pixels.columns, pixels.offsets, pixels.box, part, scales, lowest)
        tables = [haralick(quantize(channel, self.levels), *lists) for channel in values]
        return [whole for whole, _ in tables], [inner for _, inner in tables]

    def _columns(self, channel: str) -> Iterator[tuple[str, tuple[int, int, int]]]:
        """Yield name and position in the table (scale, direction, measure) of every feature of a channel."""
        for k, measure in enumerate(_MEASURES):
            for s, scale in enumerate(self.scales):
                for direction in range(4):
                    yield f"Texture_{measure}_{channel}_{scale}_{direction:02d}_{self.levels}", (s, direction, k)
