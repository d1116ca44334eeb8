"""Size and shape of every object: CellProfiler's MeasureObjectSizeShape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from phenoprint.features._field import Objects
from phenoprint.features._zernike import ZERNIKE_INDEXES, zernike_moments
from phenoprint.features.family import Definition, FeatureFamily

__all__ = ["AreaShape"]

Columns = dict[str, npt.NDArray[np.float64]]

_ROUND = "NULL if the perimeter is 0 (one or two pixels); CellProfiler writes infinity"


@dataclass(frozen=True)
class AreaShape(FeatureFamily):
    """Area, bounding box, ellipse, perimeter, convex hull, radii, moments and Zernike features of the shape.

    Parameters
    ----------
    advanced
        Whether to add spatial, central, normalized and Hu moments and the inertia tensor.
    zernike
        Whether to add the Zernike magnitudes of the shape up to order 9.
    """

    name: ClassVar[str] = "shape"
    source: ClassVar[str] = "CellProfiler 4.2.8 MeasureObjectSizeShape (scikit-image regionprops, centrosome)"
    definitions: ClassVar[Mapping[str, Definition]] = {
        "AreaShape_Area": Definition("number of pixels", "px^2"),
        "AreaShape_BoundingBoxArea": Definition("area of the upright bounding box", "px^2"),
        "AreaShape_BoundingBoxMinimum": Definition("first row (Y) or column (X) of the object", "px"),
        "AreaShape_BoundingBoxMaximum": Definition("row (Y) or column (X) after the last of the object", "px"),
        "AreaShape_Center": Definition("row (Y) or column (X) of the centroid", "px"),
        "AreaShape_CentralMoment": Definition(
            "sum of the powers of the distance to the centroid, power of rows then of columns", "px^(2 + powers)"
        ),
        "AreaShape_Compactness": Definition("squared perimeter over 4 pi area; 1 for a disk"),
        "AreaShape_ConvexArea": Definition("pixels in the convex hull", "px^2"),
        "AreaShape_Eccentricity": Definition("eccentricity of the ellipse with the same second moments; 0 is round"),
        "AreaShape_EquivalentDiameter": Definition("diameter of the disk of the same area", "px"),
        "AreaShape_EulerNumber": Definition("components minus holes (eight-connected)", "count"),
        "AreaShape_Extent": Definition("area over bounding box area"),
        "AreaShape_FormFactor": Definition("4 pi area over squared perimeter; 1 for a disk", "1", _ROUND),
        "AreaShape_HuMoment": Definition("moment invariant to shift, scale and rotation (Hu 1962)"),
        "AreaShape_InertiaTensor": Definition(
            "inertia of the pixels about the centroid over the area: spread of columns, -covariance, spread of rows",
            "px^2",
        ),
        "AreaShape_InertiaTensorEigenvalues": Definition("eigenvalues of the inertia tensor, larger first", "px^2"),
        "AreaShape_MajorAxisLength": Definition("long axis of the ellipse with the same second moments", "px"),
        "AreaShape_MaxFeretDiameter": Definition("largest caliper width", "px"),
        "AreaShape_MaximumRadius": Definition(
            "largest distance of a pixel to the nearest pixel outside the object or image", "px"
        ),
        "AreaShape_MeanRadius": Definition("mean distance of the pixels to the nearest pixel outside", "px"),
        "AreaShape_MedianRadius": Definition("median distance of the pixels to the nearest pixel outside", "px"),
        "AreaShape_MinFeretDiameter": Definition("smallest caliper width", "px"),
        "AreaShape_MinorAxisLength": Definition("short axis of the ellipse with the same second moments", "px"),
        "AreaShape_NormalizedMoment": Definition(
            "central moment over the area to the power of half the order plus one; NULL for orders below 2"
        ),
        "AreaShape_Orientation": Definition(
            "angle of the long axis to the vertical, -90 to 90, positive towards larger columns", "degree"
        ),
        "AreaShape_Perimeter": Definition("length of the line through the centres of the border pixels", "px"),
        "AreaShape_Solidity": Definition("area over convex area"),
        "AreaShape_SpatialMoment": Definition(
            "sum of the powers of the distance to the box corner, power of rows then of columns", "px^(2 + powers)"
        ),
        "AreaShape_Zernike": Definition(
            "magnitude of a Zernike moment of the shape over the area of its enclosing circle"
        ),
    }

    advanced: bool = True
    zernike: bool = True

    def alias(self, name: str) -> str | None:
        """Return the name of the centroid in other modules of CellProfiler."""
        return name.replace("AreaShape_", "Location_") if name.startswith("AreaShape_Center_") else None

    def measure(self, objects: Objects) -> Columns:
        """Measure one compartment; see :meth:`FeatureFamily.measure`."""
        with np.errstate(divide="ignore", invalid="ignore"):
            result = _simple(objects) | _outlined(objects) | _ellipse(objects)
            if self.advanced:
                result |= _moments(objects)
            if self.zernike:
                result |= _zernike(objects)
        return {f"AreaShape_{name}": values for name, values in result.items()}


def _simple(objects: Objects) -> Columns:
    box = objects.box.astype(np.float64)
    box_area = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
    y, x = objects.centre
    return {
        "Area": objects.area,
        "BoundingBoxArea": box_area,
        "BoundingBoxMaximum_X": box[:, 3],
        "BoundingBoxMaximum_Y": box[:, 2],
        "BoundingBoxMinimum_X": box[:, 1],
        "BoundingBoxMinimum_Y": box[:, 0],
        "Center_X": x,
        "Center_Y": y,
        "EquivalentDiameter": np.sqrt(4 * objects.area / np.pi),
        "Extent": objects.area / box_area,
    }


def _outlined(objects: Objects) -> Columns:
    from phenoprint.features import _kernels_geometry as geometry
    from phenoprint.features import _kernels_shape as kernels

    perimeter = kernels.perimeters(objects.labels, objects.n)
    convex = geometry.convex_areas(objects.rows, objects.columns, objects.offsets, objects.box)
    ferets = geometry.feret(*objects.hulls)
    radii = kernels.radius_statistics(
        objects.edge_distance2, objects.pixels, objects.rows, objects.columns, objects.offsets, *objects.field.shape
    )
    return {
        "Perimeter": perimeter,
        "FormFactor": 4 * np.pi * objects.area / perimeter**2,
        "Compactness": perimeter**2 / (4 * np.pi * objects.area),
        "ConvexArea": convex,
        "Solidity": objects.area / convex,
        "EulerNumber": kernels.euler_numbers(objects.labels, objects.n),
        "MinFeretDiameter": ferets[:, 0],
        "MaxFeretDiameter": ferets[:, 1],
        "MaximumRadius": radii[:, 0],
        "MeanRadius": radii[:, 1],
        "MedianRadius": radii[:, 2],
    }


def _tensor(objects: Objects) -> tuple[npt.NDArray[np.float64], ...]:
    """Return the inertia tensor's entries (0,0), (0,1), (1,1) and its eigenvalues, larger first."""
    central = objects.moments[1]
    area = np.where(objects.area > 0, objects.area, np.nan)
    a, b, c = central[:, 0, 2] / area, -central[:, 1, 1] / area, central[:, 2, 0] / area
    middle, spread = (a + c) / 2, np.sqrt(((a - c) / 2) ** 2 + b**2)
    return a, b, c, np.maximum(middle + spread, 0), np.maximum(middle - spread, 0)


def _ellipse(objects: Objects) -> Columns:
    a, b, c, large, small = _tensor(objects)
    tilt = np.where(a == c, np.where(b < 0, -np.pi / 4, np.pi / 4), 0.5 * np.arctan2(-2 * b, c - a))
    return {
        "MajorAxisLength": 4 * np.sqrt(large),
        "MinorAxisLength": 4 * np.sqrt(small),
        "Eccentricity": np.where(large == 0, 0.0, np.sqrt(np.maximum(1 - small / large, 0))),
        "Orientation": np.degrees(tilt),
    }


def _moments(objects: Objects) -> Columns:
    spatial, central = objects.moments
    mass = central[:, 0, 0]
    powers = [(p, q) for p in range(3) for q in range(4)]
    result = {f"SpatialMoment_{p}_{q}": spatial[:, p, q] for p, q in powers}
    result |= {f"CentralMoment_{p}_{q}": central[:, p, q] for p, q in powers}
    nu = np.full_like(central, np.nan)
    for p in range(4):
        for q in range(4):
            if p + q >= 2:
                nu[:, p, q] = central[:, p, q] / mass ** ((p + q) / 2 + 1)
            result[f"NormalizedMoment_{p}_{q}"] = nu[:, p, q]
    result |= {f"HuMoment_{k}": values for k, values in enumerate(_hu(nu))}
    a, b, c, large, small = _tensor(objects)
    result |= {f"InertiaTensor_{p}_{q}": v for p, q, v in ((0, 0, a), (0, 1, b), (1, 0, b), (1, 1, c))}
    return result | {"InertiaTensorEigenvalues_0": large, "InertiaTensorEigenvalues_1": small}


def _hu(nu: npt.NDArray[np.float64]) -> list[npt.NDArray[np.float64]]:
    """Compute the seven invariants of Hu (1962) from normalized moments ``(n, 4, 4)`` [y power, x power]."""
    t, u, v, w = nu[:, 3, 0], nu[:, 1, 2], nu[:, 2, 1], nu[:, 0, 3]
    s, d, m = nu[:, 2, 0] + nu[:, 0, 2], nu[:, 2, 0] - nu[:, 0, 2], nu[:, 1, 1]
    tu, vw, t3, v3 = t + u, v + w, t - 3 * u, 3 * v - w
    return [
        s,
        d**2 + 4 * m**2,
        t3**2 + v3**2,
        tu**2 + vw**2,
        t3 * tu * (tu**2 - 3 * vw**2) + v3 * vw * (3 * tu**2 - vw**2),
        d * (tu**2 - vw**2) + 4 * m * tu * vw,
        v3 * tu * (tu**2 - 3 * vw**2) - t3 * vw * (3 * tu**2 - vw**2),
    ]


def _zernike(objects: Objects) -> Columns:
    real, imaginary = zernike_moments(objects.power_sums[:, 0])
    radius = objects.circles[:, 2]
    magnitude = np.hypot(real, imaginary) / (np.pi * radius**2)[:, None]
    return {f"Zernike_{n}_{m}": magnitude[:, k] for k, (n, m) in enumerate(ZERNIKE_INDEXES)}
