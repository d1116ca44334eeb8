"""Distribution of intensity between centre and edge: CellProfiler's MeasureObjectIntensityDistribution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from phenoprint.errors import UsageError
from phenoprint.features._field import Objects
from phenoprint.features._zernike import ZERNIKE_INDEXES, zernike_moments
from phenoprint.features.family import Definition, FeatureFamily

__all__ = ["RadialDistribution"]

_NO_PHASE = "the angle of a vanishing moment (a symmetric object of one intensity) is rounding error in both"


@dataclass(frozen=True)
class RadialDistribution(FeatureFamily):
    """Intensity in rings around the innermost pixel, and intensity-weighted Zernike moments.

    Parameters
    ----------
    bins
        Number of rings, of equal width in distance from the centre relative to the distance to the edge.
    zernike
        Whether to add magnitude and phase of the Zernike moments of each channel up to order 9.
    exact_ties
        If several pixels are equally far from the edge, use the centre that CellProfiler uses. Its choice depends on an
        unstable sort of the whole image. With False it is the first in reading order, so that the values of an object
        do not depend on the rest of the image.
    """

    name: ClassVar[str] = "radial"
    source: ClassVar[str] = "CellProfiler 4.2.8 MeasureObjectIntensityDistribution (scaled bins, own centres)"
    definitions: ClassVar[Mapping[str, Definition]] = {
        "RadialDistribution_FracAtD": Definition("fraction of the object's intensity in a ring (1 is innermost)"),
        "RadialDistribution_MeanFrac": Definition(
            "fraction of the intensity in a ring over its fraction of the pixels; 0 for an empty ring"
        ),
        "RadialDistribution_RadialCV": Definition(
            "coefficient of variation of the mean intensities of a ring's eight wedges; 0 for an empty or black ring"
        ),
        "RadialDistribution_ZernikeMagnitude": Definition(
            "magnitude of a Zernike moment of the intensity in the enclosing circle over the object's area", "intensity"
        ),
        "RadialDistribution_ZernikePhase": Definition(
            "angle of a Zernike moment of the intensity, from the imaginary axis as in CellProfiler",
            "rad",
            _NO_PHASE,
        ),
    }

    bins: int = 4
    zernike: bool = True
    exact_ties: bool = True

    def __post_init__(self) -> None:
        if self.bins < 1:
            raise UsageError(f"radial bins must be at least 1, not {self.bins}")

    def measure(self, objects: Objects) -> dict[str, npt.NDArray[np.float64]]:
        """Measure every channel; see :meth:`FeatureFamily.measure`."""
        from phenoprint.features._kernels_radial import radial_bins, radial_profile

        result: dict[str, npt.NDArray[np.float64]] = {}
        codes = radial_bins(
            objects.edge_distance2,
            objects.pixels,
            objects.rows,
            objects.columns,
            objects.offsets,
            objects.box,
            objects.width,
            objects.innermost(exact=self.exact_ties),
            self.bins,
        )
        for c, channel in enumerate(objects.channels):
            table = radial_profile(objects.values[c], codes, objects.offsets, self.bins)
            for k, measure in enumerate(("FracAtD", "MeanFrac", "RadialCV")):
                for ring in range(self.bins):
                    name = f"RadialDistribution_{measure}_{channel}_{ring + 1}of{self.bins}"
                    result[name] = np.ascontiguousarray(table[:, k, ring])
            if self.zernike:
                result |= _zernike(objects, c, channel)
        return result


def _zernike(objects: Objects, c: int, channel: str) -> dict[str, npt.NDArray[np.float64]]:
    real, imaginary = zernike_moments(objects.power_sums[:, 1 + c])
    with np.errstate(divide="ignore", invalid="ignore"):
        magnitude = np.hypot(real, imaginary) / objects.area[:, None]
    phase = np.arctan2(real, imaginary)  # in this order, as in CellProfiler
    # The circle of a single pixel has no area and therefore no moments.
    magnitude[~(objects.circles[:, 2] > 0)] = phase[~(objects.circles[:, 2] > 0)] = np.nan
    result = {}
    for k, (n, m) in enumerate(ZERNIKE_INDEXES):
        result[f"RadialDistribution_ZernikeMagnitude_{channel}_{n}_{m}"] = np.ascontiguousarray(magnitude[:, k])
        result[f"RadialDistribution_ZernikePhase_{channel}_{n}_{m}"] = np.ascontiguousarray(phase[:, k])
    return result
