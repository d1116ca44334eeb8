"""Intensity of every channel in every object: CellProfiler's MeasureObjectIntensity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from phenoprint.features._field import Field, Objects
from phenoprint.features.family import Definition, FeatureFamily

__all__ = ["Intensity"]


_IMAGE = {
    "TotalIntensity": Definition("sum of the intensities of the image", "intensity"),
    "MeanIntensity": Definition("mean intensity of the image", "intensity"),
    "MedianIntensity": Definition("median intensity of the image", "intensity"),
    "StdIntensity": Definition("standard deviation (population) of the image's intensities", "intensity"),
    "MADIntensity": Definition("median absolute deviation from the median of the image", "intensity"),
    "MaxIntensity": Definition("largest intensity in the image", "intensity"),
    "MinIntensity": Definition("smallest intensity in the image", "intensity"),
    "TotalArea": Definition("number of pixels of the image", "px^2"),
    "PercentMaximal": Definition("percentage of pixels at the largest intensity of the image", "%"),
    "LowerQuartileIntensity": Definition("lower quartile of the image's intensities", "intensity"),
    "UpperQuartileIntensity": Definition("upper quartile of the image's intensities", "intensity"),
}


@dataclass(frozen=True)
class Intensity(FeatureFamily):
    """Sum, mean, spread, quantiles and position of the intensity, of the whole object and of its outline.

    Parameters
    ----------
    exact_ties
        If several pixels are equally bright (saturation), report the one that CellProfiler reports. Its choice depends
        on an unstable sort of the pixels of all objects; with False it is the first in reading order.
    """

    name: ClassVar[str] = "intensity"
    source: ClassVar[str] = "CellProfiler 4.2.8 MeasureObjectIntensity, MeasureImageIntensity"
    definitions: ClassVar[Mapping[str, Definition]] = {
        "Intensity_IntegratedIntensity": Definition("sum of the intensities of the object's pixels", "intensity"),
        "Intensity_MeanIntensity": Definition("mean intensity of the object's pixels", "intensity"),
        "Intensity_StdIntensity": Definition("standard deviation (population) of the intensities", "intensity"),
        "Intensity_MinIntensity": Definition("smallest intensity in the object", "intensity"),
        "Intensity_MaxIntensity": Definition("largest intensity in the object", "intensity"),
        "Intensity_IntegratedIntensityEdge": Definition(
            "sum of the intensities of the outline pixels (with a side to the outside, but not to the image border)",
            "intensity",
        ),
        "Intensity_MeanIntensityEdge": Definition("mean intensity of the outline pixels", "intensity"),
        "Intensity_StdIntensityEdge": Definition(
            "standard deviation (population) of the intensities of the outline pixels", "intensity"
        ),
        "Intensity_MinIntensityEdge": Definition("smallest intensity of the outline pixels", "intensity"),
        "Intensity_MaxIntensityEdge": Definition("largest intensity of the outline pixels", "intensity"),
        "Intensity_MassDisplacement": Definition(
            "distance from the centroid to the centre of mass by intensity; NULL for a black object", "px"
        ),
        "Intensity_LowerQuartileIntensity": Definition("lower quartile of the intensities", "intensity"),
        "Intensity_MedianIntensity": Definition("median of the intensities", "intensity"),
        "Intensity_MADIntensity": Definition("median absolute deviation from the median of the pixels", "intensity"),
        "Intensity_UpperQuartileIntensity": Definition("upper quartile of the intensities", "intensity"),
        "Location_CenterMassIntensity_X": Definition(
            "column of the centre of mass by intensity; NULL for a black object", "px"
        ),
        "Location_CenterMassIntensity_Y": Definition(
            "row of the centre of mass by intensity; NULL for a black object", "px"
        ),
        "Location_CenterMassIntensity_Z": Definition(
            "plane of the centre of mass: 0 in two dimensions, NULL for a black object", "px"
        ),
        "Location_MaxIntensity_X": Definition("column of the brightest pixel", "px"),
        "Location_MaxIntensity_Y": Definition("row of the brightest pixel", "px"),
        "Location_MaxIntensity_Z": Definition("plane of the brightest pixel: 0 in two dimensions", "px"),
    }

    image_definitions: ClassVar[Mapping[str, Definition]] = {f"Intensity_{name}": d for name, d in _IMAGE.items()}

    exact_ties: bool = True

    def measure(self, objects: Objects) -> dict[str, npt.NDArray[np.float64]]:
        """Measure every channel; see :meth:`FeatureFamily.measure`."""
        from phenoprint.features._kernels_intensity import intensity, intensity_columns
        from phenoprint.features._kernels_pixels import inner_edge

        edge, edge_offsets = inner_edge(objects.labels, objects.rows, objects.columns, objects.offsets)
        y, x = objects.centre
        result: dict[str, npt.NDArray[np.float64]] = {}
        for c, channel in enumerate(objects.channels):
            table = intensity(
                objects.values[c],
                objects.rows,
                objects.columns,
                objects.offsets,
                objects.ordered[c],
                edge,
                edge_offsets,
                y,
                x,
            )
            for k, column in enumerate(intensity_columns):
                group = "Location" if column.endswith(("_X", "_Y")) else "Intensity"
                result[f"{group}_{column}_{channel}"] = table[:, k]
            if self.exact_ties and np.any(table[:, -1] == 1):
                brightest = objects.brightest(c)
                result[f"Location_MaxIntensity_X_{channel}"] = (brightest % objects.width).astype(np.float64)
                result[f"Location_MaxIntensity_Y_{channel}"] = (brightest // objects.width).astype(np.float64)
            black = np.isnan(result[f"Location_CenterMassIntensity_X_{channel}"])
            result[f"Location_CenterMassIntensity_Z_{channel}"] = np.where(black, np.nan, 0.0)
            result[f"Location_MaxIntensity_Z_{channel}"] = np.zeros(objects.n)
        return result

    def measure_image(self, field: Field) -> dict[str, float]:
        """Measure every whole channel; see :meth:`FeatureFamily.measure_image`."""
        return {
            f"Intensity_{name}_{channel}": values[name]
            for channel, values in zip(field.channels, field.statistics, strict=True)
            for name in _IMAGE
        }
