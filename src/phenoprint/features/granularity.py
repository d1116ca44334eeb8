"""Granularity spectrum of every channel in every object: CellProfiler's MeasureGranularity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from phenoprint.errors import UsageError
from phenoprint.features._field import Field, Objects
from phenoprint.features.family import Definition, FeatureFamily

__all__ = ["Granularity"]


@dataclass(frozen=True)
class Granularity(FeatureFamily):
    """Fraction of an object's intensity in bright structures of increasing size.

    Parameters
    ----------
    subsample
        Factor by which the image is reduced before measuring.
    background_subsample
        Further factor for the estimate of the background.
    radius
        Radius, in pixels of the reduced image, of the disk whose opening is the background.
    length
        Number of sizes.
    """

    name: ClassVar[str] = "granularity"
    source: ClassVar[str] = "CellProfiler 4.2.8 MeasureGranularity; Vincent 2000"
    definitions: ClassVar[Mapping[str, Definition]] = {
        "Granularity": Definition(
            "decrease of the mean intensity above background at the k-th erosion, relative to the mean intensity",
            "%",
        ),
    }
    image_definitions: ClassVar[Mapping[str, Definition]] = {
        "Granularity": Definition("part of the image's mean intensity above background lost at the k-th erosion", "%"),
    }

    subsample: float = 0.25
    background_subsample: float = 0.25
    radius: int = 10
    length: int = 16

    def __post_init__(self) -> None:
        if not (0 < self.subsample <= 1 and 0 < self.background_subsample <= 1):
            raise UsageError(
                f"granularity subsampling must lie in (0, 1], not {self.subsample} and {self.background_subsample}"
            )
        if self.radius < 1 or self.length < 1:
            raise UsageError(f"granularity radius and length must be at least 1, not {self.radius}, {self.length}")

    def measure(self, objects: Objects) -> dict[str, npt.NDArray[np.float64]]:
        """Measure every channel; see :meth:`FeatureFamily.measure`."""
        place = list(objects.field.compartments).index(objects.compartment) * objects.n
        area = np.where(objects.area > 0, objects.area, np.nan)
        result = {}
        for c, channel in enumerate(objects.channels):
            means, _ = objects.field.shared((self, c), self._spectrum)
            start = objects.sums[c] / area
            floor = np.maximum(start, np.finfo(np.float64).eps)
            means = means[place : place + objects.n]
            lost = (np.column_stack([start, means[:, :-1]]) - means) * 100 / floor[:, None]
            for k in range(self.length):
                result[f"Granularity_{k + 1}_{channel}"] = lost[:, k]
        return result

    def measure_image(self, field: Field) -> dict[str, float]:
        """Measure every whole channel; see :meth:`FeatureFamily.measure_image`."""
        result = {}
        for c, channel in enumerate(field.channels):
            means, start = field.shared((self, c), self._spectrum)
            lost = (np.append(start, means[-1, :-1]) - means[-1]) * 100 / max(start, np.finfo(np.float64).eps)
            for k in range(self.length):
                result[f"Granularity_{k + 1}_{channel}"] = float(lost[k])
        return result

    def _spectrum(self, field: Field, key: tuple[object, ...]) -> tuple[npt.NDArray[np.float64], float]:
        """Return the means of one channel over objects and image after each erosion, and the image mean before.

        The means are ``(objects of all compartments + 1, length)``; NaN if the image is too small to be reduced.
        """
        from phenoprint.features._kernels_granularity import disk_filter, resample, spectrum

        shape = np.array(field.shape)
        if (shape * self.subsample).astype(int).min() < 2:
            return np.full((len(field.compartments) * field.n + 1, self.length), np.nan), np.nan
        image = field.flat[int(str(key[1]))].reshape(field.shape).astype(np.float64)
        if self.subsample < 1:
            size = (shape * self.subsample).astype(int)
            image = resample(image, *(np.arange(k) / self.subsample for k in size))
        back = image
        if self.background_subsample < 1:
            # CellProfiler does not round the size: 270 * 0.25 is 67.5, sampled at 68 positions.
            size = np.array(image.shape) * self.background_subsample
            back = resample(image, *(np.arange(0, k) / self.background_subsample for k in size))
        back = disk_filter(disk_filter(back, self.radius, 1.0), self.radius, -1.0)
        if self.background_subsample < 1:
            rows, columns = (
                np.arange(k, dtype=np.float64) * ((b - 1) / (k - 1)) for k, b in zip(image.shape, size, strict=True)
            )
            back = resample(back, rows, columns)
        image = np.maximum(image - back, 0.0)
        order = np.argsort(-image.reshape(-1)).astype(np.int32)
        index, weight, ends = field.shared((self, "weights"), self._weights)
        return np.asarray(spectrum(image, order, self.length, index, weight, ends)), float(image.mean())

    def _weights(
        self, field: Field, _key: tuple[object, ...]
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Return the weights of the reduced pixels in the mean of every object, compartment after compartment."""
        from phenoprint.features._kernels_granularity import enlarge_weights

        shape = np.array(field.shape, np.int64)
        small = (shape * self.subsample).astype(np.int64)
        scale = (small - 1) / (shape - 1)
        parts = [
            enlarge_weights(each.rows, each.columns, each.offsets, each.box, small, scale)
            for each in field.compartments.values()
        ]
        before = np.cumsum([0] + [ends[-1] for _, _, ends in parts])
        ends = np.concatenate([[0], *(ends[1:] + start for (_, _, ends), start in zip(parts, before, strict=False))])
        return (
            np.concatenate([index for index, _, _ in parts]),
            np.concatenate([weight for _, weight, _ in parts]),
            ends,
        )
