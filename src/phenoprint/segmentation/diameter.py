"""Estimate of the typical diameter of the nuclei of a plate."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from phenoprint.errors import DataError
from phenoprint.pixels import fill_holes, squared_distance, touching_border
from phenoprint.segmentation.inputs import unit_pixels
from phenoprint.segmentation.nuclei import find_nuclei, standing_out
from phenoprint.segmentation.threshold import background_level, gaussian_smooth, minimum_cross_entropy, noise_level

__all__ = ["estimate_nucleus_diameter"]

Array = np.ndarray[Any, Any]

# Objects of a smaller diameter are noise, dust or hot pixels.
_LEAST_PX = 5.0
# How often the fields are segmented again with the last estimate.
_REFINEMENTS = 2
# Fields of at least so many pixels are binned 2 x 2 to save time, if nuclei then still have this diameter.
_LARGE_FIELD = 1 << 19
_ENOUGH_PX = 12.0


def estimate_nucleus_diameter(images: Iterable[Array]) -> float:
    """Estimate the typical diameter of the nuclei of a plate from some of its fields.

    The first estimate is the median, weighted by area, over round objects above the threshold that do not touch the
    border; the weights keep specks of debris from counting as much as nuclei. The fields are then segmented with this
    diameter, and the median of the segmented nuclei is the next estimate. A dozen fields spread over the plate are
    enough. The result is deterministic. On the images of the 2018 Data Science Bowl it lies within 20% of the median
    labelled nucleus for nine in ten fields.

    Parameters
    ----------
    images
        Nuclear channel of each field, ``(Y, X)``, any integer type or floats in [0, 1]; sizes may differ.

    Returns
    -------
    float
        Diameter of a disc of the same area, in pixels.

    Raises
    ------
    DataError
        If no field has an object above the noise.

    Examples
    --------
    >>> import numpy as np
    >>> y, x = np.mgrid[:100, :100]
    >>> disc = ((y - 50) ** 2 + (x - 50) ** 2 < 10**2) * 0.5
    >>> 18 < estimate_nucleus_diameter([disc]) < 22
    True
    """
    fields = [unit_pixels(np.asarray(image)) for image in images]
    areas = np.concatenate([_round_areas(field) for field in fields] or [np.zeros(0)])
    if areas.size == 0:
        raise DataError(
            f"no nucleus is brighter than the noise in {len(fields)} fields, so their diameter cannot be estimated; "
            "give nucleus_diameter_um or nucleus_diameter_px, or use other fields"
        )
    diameter = _equivalent_diameter(areas, weights=areas)
    # Binned pixels give the same median over the many nuclei of a large field in a quarter of the time.
    large = max(field.size for field in fields) >= _LARGE_FIELD and diameter >= 2 * _ENOUGH_PX
    step = 2 if large else 1
    fields = [_binned(field, step) for field in fields]
    for _ in range(_REFINEMENTS):
        areas = np.concatenate([_segmented_areas(field, diameter / step) for field in fields]) * step**2
        if areas.size == 0:
            break
        diameter = max(_equivalent_diameter(areas, weights=np.ones_like(areas)), _LEAST_PX)
    return diameter


def _binned(image: Array, step: int) -> Array:
    """Return the means of blocks of `step` by `step` pixels; incomplete blocks at the right and below are cut off."""
    if step == 1:
        return image
    height, width = (size // step * step for size in image.shape)
    total = sum(image[y:height:step, x:width:step] for y in range(step) for x in range(step))
    return np.asarray(total * np.float32(1 / step**2), np.float32)


def _equivalent_diameter(areas: Array, *, weights: Array) -> float:
    """Return the diameter of a disc of the weighted median area."""
    order = np.argsort(areas, kind="stable")
    share = np.cumsum(weights[order])
    return float(np.sqrt(4 / np.pi * areas[order][np.searchsorted(share, 0.5 * share[-1])]))


def _round_areas(image: Array) -> Array:
    """Return the areas of round objects away from the border, those at most twice their inscribed circle."""
    from scipy.ndimage import label

    smoothed = gaussian_smooth(image, 1.0)
    cut = minimum_cross_entropy(smoothed)
    back = background_level(smoothed, below=cut)
    noise = noise_level(image, back)
    height = max(cut - back.level, 3 * noise)
    mask = fill_holes(smoothed > back.level + height, largest=0.01 * image.size)
    mask = standing_out(image, smoothed, mask, around=back.level, height=height, least=6 * noise)
    objects, count = label(mask)
    if count == 0:
        return np.zeros(0)
    numbers = np.arange(1, count + 1)
    area = np.bincount(objects.ravel(), minlength=count + 1)[1:]
    inner = np.zeros(count + 1, np.float32)
    np.maximum.at(inner, objects[mask], squared_distance(mask)[mask])
    inner = inner[1:]
    whole = ~np.isin(numbers, touching_border(objects))
    # An ellipse twice as long as wide has twice the area of its inscribed circle.
    compact = area < 2 * np.pi * inner
    large = area >= np.pi / 4 * _LEAST_PX**2
    chosen = whole & compact & large
    if chosen.any():
        return np.asarray(area[chosen], np.float64)
    # Only clumps and cut nuclei: their inscribed circles are the better estimate.
    return np.asarray(np.pi * inner[large], np.float64)


def _segmented_areas(image: Array, diameter: float) -> Array:
    """Return the areas of the nuclei found with a diameter, without those at the border unless there are no others."""
    nuclei = find_nuclei(image, diameter=diameter)
    area = np.bincount(nuclei.ravel())
    whole = np.ones(area.size, bool)
    whole[touching_border(nuclei)] = False
    whole[0] = False
    if not whole.any():
        whole[1:] = True
    return area[whole].astype(np.float64)
