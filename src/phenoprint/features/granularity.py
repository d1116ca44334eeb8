"""Granularity spectrum of every channel in every object: CellProfiler's MeasureGranularity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from phenoprint.errors import UsageError
from phenoprint.features._context import Field, Objects
from phenoprint.features.family import Definition, FeatureFamily, register_family

__all__ = ["Granularity"]


@register_family
@dataclass(frozen=True)
class Granularity(FeatureFamily):
    """How much of an object's intensity bright structures of growing size carry.

    Parameters
    ----------
    subsample
        Factor by which the image is made smaller before measuring.
    background_subsample
        Further factor for the estimation of the background.
    radius
        Radius in pixels of the disk whose opening is the background, at the smallest size.
    length
        Number of sizes.
    """

    name: ClassVar[str] = "granularity"
    source: ClassVar[str] = "CellProfiler 4.2.8 MeasureGranularity; Vincent 2000"
    definitions: ClassVar[Mapping[str, Definition]] = {
        "Granularity": Definition("share of the object's mean intensity lost at the k-th erosion", "%"),
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
        from phenoprint.features._kernels_granularity import enlarge_weights, weighted_means

        shape = np.array(objects.field.shape, np.int64)
        small = (shape * self.subsample).astype(np.int64) if self.subsample < 1 else shape
        lost = np.full((len(objects.channels), objects.n, self.length), np.nan)
        if small.min() >= 2 and objects.n:
            scale = (small - 1) / (shape - 1)
            index, weight, ends = enlarge_weights(
                objects.pixels, objects.offsets, objects.box, objects.width, small, scale
            )
            owner = np.repeat(np.arange(objects.n), np.diff(objects.offsets))
            area = np.where(objects.area > 0, objects.area, np.nan)
            for c in range(len(objects.channels)):
                images = objects.field.shared((self, c), self._spectrum)
                means = weighted_means(images, index, weight, ends, objects.area)
                start = np.bincount(owner, objects.values[c], objects.n) / area
                before = np.column_stack([start, means[:, :-1]])
                floor = np.maximum(start, np.finfo(np.float64).eps)
                lost[c] = (before - means) * 100 / floor[:, None]
        return {
            f"Granularity_{k + 1}_{channel}": np.ascontiguousarray(lost[c, :, k])
            for c, channel in enumerate(objects.channels)
            for k in range(self.length)
        }

    def _spectrum(self, field: Field, key: tuple[object, ...]) -> npt.NDArray[np.float64]:
        """Reconstructions of one channel after each erosion, ``(y * x, length)`` at the small size."""
        from phenoprint.features._kernels_granularity import disk_filter, resample, spectrum

        image = field.flat[int(str(key[1]))].reshape(field.shape).astype(np.float64)
        if self.subsample < 1:
            size = (np.array(image.shape) * self.subsample).astype(int)
            image = resample(image, *(np.arange(k) / self.subsample for k in size))
        back = image
        if self.background_subsample < 1:
            # CellProfiler keeps the fraction of a pixel in the size: 270 * 0.25 is 67.5, sampled at 68 positions.
            size = np.array(image.shape) * self.background_subsample
            back = resample(image, *(np.arange(0, k) / self.background_subsample for k in size))
        back = disk_filter(disk_filter(back, self.radius, 1.0), self.radius, -1.0)
        if self.background_subsample < 1:
            rows, columns = (
                np.arange(k, dtype=np.float64) * ((b - 1) / (k - 1)) for k, b in zip(image.shape, size, strict=True)
            )
            back = resample(back, rows, columns)
        image = np.maximum(image - back, 0.0)
        order = np.argsort(-image.reshape(-1), kind="stable").astype(np.int32)
        return np.asarray(spectrum(image, order, self.length))
