"""Quality of whole images: the measures of CellProfiler's MeasureImageQuality without thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from phenoprint.errors import UsageError
from phenoprint.features._field import Field, Objects
from phenoprint.features.family import Definition, FeatureFamily

__all__ = ["ImageQuality"]

_LEVELS = 8  # grey levels of CellProfiler's correlation measure
_COPIED = (
    "TotalIntensity",
    "MeanIntensity",
    "MedianIntensity",
    "StdIntensity",
    "MADIntensity",
    "MaxIntensity",
    "MinIntensity",
    "TotalArea",
    "PercentMaximal",
    "PercentMinimal",
)


@dataclass(frozen=True)
class ImageQuality(FeatureFamily):
    """Sharpness, saturation and intensity of each whole channel; it does not measure objects.

    The slope of the power spectrum and the local focus score are measured on raw images, by
    :func:`phenoprint.images.image_quality`.

    Parameters
    ----------
    scale
        Distance in pixels of the correlation.
    """

    name: ClassVar[str] = "image_quality"
    source: ClassVar[str] = "CellProfiler 4.2.8 MeasureImageQuality"
    image_definitions: ClassVar[Mapping[str, Definition]] = {
        "ImageQuality_FocusScore": Definition(
            "variance of the intensities over their mean; 0 for a black image", "intensity"
        ),
        "ImageQuality_Correlation": Definition(
            "correlation of grey levels (of 8) of pixels and those at the distance to their right; 0 if undefined"
        ),
        "ImageQuality_PercentMaximal": Definition("percentage of pixels at the largest intensity of the image", "%"),
        "ImageQuality_PercentMinimal": Definition("percentage of pixels at the smallest intensity of the image", "%"),
        "ImageQuality_TotalIntensity": Definition("sum of the intensities of the image", "intensity"),
        "ImageQuality_MeanIntensity": Definition("mean intensity of the image", "intensity"),
        "ImageQuality_MedianIntensity": Definition("median intensity of the image", "intensity"),
        "ImageQuality_StdIntensity": Definition("standard deviation of the image's intensities", "intensity"),
        "ImageQuality_MADIntensity": Definition("median absolute deviation from the median", "intensity"),
        "ImageQuality_MaxIntensity": Definition("largest intensity in the image", "intensity"),
        "ImageQuality_MinIntensity": Definition("smallest intensity in the image", "intensity"),
        "ImageQuality_TotalArea": Definition("number of pixels of the image", "px^2"),
    }

    scale: int = 20

    def __post_init__(self) -> None:
        if self.scale < 1:
            raise UsageError(f"the scale of image quality must be at least 1 pixel, not {self.scale}")

    def measure(self, objects: Objects) -> dict[str, npt.NDArray[np.float64]]:  # noqa: ARG002 - measures images only
        """Return no features; see :meth:`FeatureFamily.measure`."""
        return {}

    def measure_image(self, field: Field) -> dict[str, float]:
        """Measure every whole channel; see :meth:`FeatureFamily.measure_image`."""
        result: dict[str, float] = {}
        for c, (channel, values) in enumerate(zip(field.channels, field.statistics, strict=True)):
            mean = values["MeanIntensity"]
            focus = values["StdIntensity"] ** 2 / mean if mean > 0 else 0.0
            result[f"ImageQuality_FocusScore_{channel}"] = focus
            result[f"ImageQuality_Correlation_{channel}_{self.scale}"] = self._correlation(
                field.flat[c].reshape(field.shape), values["MinIntensity"], values["MaxIntensity"]
            )
            for name in _COPIED:
                result[f"ImageQuality_{name}_{channel}"] = values[name]
        return result

    def _correlation(self, image: npt.NDArray[np.float32], low: float, high: float) -> float:
        """Return Haralick's correlation of 8 grey levels between the image's extremes; 0 if undefined."""
        if image.shape[1] <= self.scale:
            return 0.0
        span = np.float32(high - low) if high > low else np.float32(1)
        grey = np.minimum((image - np.float32(low)) / span * np.float32(_LEVELS), _LEVELS - 1).astype(np.int64)
        pairs = grey[:, : -self.scale] * _LEVELS + grey[:, self.scale :]
        share = np.bincount(pairs.reshape(-1), minlength=_LEVELS**2).reshape(_LEVELS, _LEVELS) / pairs.size
        level = np.arange(1, _LEVELS + 1)
        left, right = share.sum(axis=1), share.sum(axis=0)
        mean_left, mean_right = (level * left).sum(), (level * right).sum()
        spread = np.sqrt(((level - mean_left) ** 2 * left).sum() * ((level - mean_right) ** 2 * right).sum())
        together = (np.outer(level, level) * share).sum() - mean_left * mean_right
        return float(together / spread) if spread > 0 else 0.0
