"""Nuclei: foreground by threshold, then clumps split into single nuclei."""

from __future__ import annotations

from typing import Any

import numpy as np

from phenoprint.pixels import fill_holes, keep_labels, squared_distance
from phenoprint.segmentation.threshold import (
    THRESHOLDS,
    background_level,
    gaussian_smooth,
    local_levels,
    noise_level,
)

__all__ = ["find_nuclei", "nuclear_mask", "split_clumps", "standing_out"]

Array = np.ndarray[Any, Any]


def nuclear_mask(
    image: Array,
    *,
    diameter: float,
    threshold: str = "local",
    threshold_factor: float = 1.0,
    minimum_snr: float = 6.0,
) -> Array:
    """Return the pixels of nuclei; none where nothing exceeds the noise.

    ``"local"`` starts from the minimum-cross-entropy threshold and moves it, pixel by pixel, midway between the
    foreground and the background of the neighbourhood (Ridler and Calvard's rule, applied locally). The outlines of dim
    and of bright nuclei thereby lie where their intensity falls to half. The histogram of a field without cells has no
    valley, and any threshold would segment its noise. Thresholds therefore stay ``minimum_snr / 2`` noise levels above
    the background, and the mean contrast of an object must exceed `minimum_snr` noise levels; see
    `phenoprint.segmentation.threshold.noise_level`.

    Parameters
    ----------
    image
        ``(Y, X)`` float32.
    diameter
        Typical diameter of a nucleus in pixels.
    threshold
        ``"local"``, ``"minimum_cross_entropy"`` or ``"otsu"``.
    threshold_factor
        Multiplies the height of the threshold above the background.
    minimum_snr
        Smallest contrast of an object in noise levels; 0 disables the test.

    Returns
    -------
    ndarray
        ``(Y, X)`` boolean.
    """
    smoothed = gaussian_smooth(image, max(0.03 * diameter, 0.7))
    cut = THRESHOLDS[threshold](smoothed)
    back = background_level(smoothed, below=cut)
    noise = noise_level(image, back)
    least = 0.5 * minimum_snr * noise
    mask: Array = smoothed > back.level + max(threshold_factor * (cut - back.level), least)
    if not mask.any():
        return mask
    fore, around = local_levels(smoothed, mask, max(0.6 * diameter, 2.0))
    height = np.maximum(np.float32(0.5 * threshold_factor) * (fore - around), np.float32(least))
    if threshold == "local":
        mask = smoothed > around + height
    mask = fill_holes(mask, largest=0.4 * diameter**2)
    return standing_out(image, smoothed, mask, around=around, height=height, least=2 * least)


def standing_out(
    image: Array, smoothed: Array, mask: Array, *, around: Array | float, height: Array | float, least: float
) -> Array:
    """Remove objects that are noise or single hot pixels from a mask.

    Parameters
    ----------
    image, smoothed
        ``(Y, X)`` float32, the image as recorded and smoothed.
    mask
        ``(Y, X)`` boolean.
    around
        Background, one value or per pixel.
    height
        Height of the threshold above the background. Four in ten pixels of an object must exceed it in the unsmoothed
        image, because smoothing turns a hot pixel into a disc.
    least
        Mean contrast that the smoothed object must exceed.

    Returns
    -------
    ndarray
        ``(Y, X)`` boolean.
    """
    from scipy.ndimage import label

    objects, count = label(mask, np.ones((3, 3), bool))
    number = objects[mask]
    area = np.maximum(np.bincount(number, minlength=count + 1), 1)
    contrast = np.bincount(number, (smoothed - around)[mask], count + 1) / area
    solid = np.bincount(number, ((image - around) > height)[mask], count + 1) / area
    good = (contrast > least) & (solid > 0.4)
    good[0] = False
    return np.asarray(good[objects])


def split_clumps(image: Array, mask: Array, *, diameter: float, declump: str = "combined", neck: float = 0.9) -> Array:
    """Split clumps at their necks and label the nuclei.

    The landscape is the distance to the outline (``"shape"``), the smoothed contrast (``"intensity"``) or their product
    (``"combined"``, in which a slight waist and a slight dip together separate two nuclei). Two basins are one nucleus
    unless the pass between them is lower than `neck` times the lower summit. Details finer than a fraction of the
    diameter are smoothed away first.

    Parameters
    ----------
    image, mask
        ``(Y, X)`` float32 and boolean, the input and the output of `nuclear_mask`.
    diameter
        Typical diameter in pixels; sets the smoothing and the smallest distance between two nuclei.
    declump
        ``"combined"``, ``"shape"``, ``"intensity"`` or ``"none"``.
    neck
        In (0, 1); higher values split more.

    Returns
    -------
    ndarray
        ``(Y, X)`` int32 labels 1..n.
    """
    from scipy.ndimage import label

    from phenoprint.segmentation.flooding import flood_basins

    if not mask.any():
        return np.zeros(mask.shape, np.int32)
    if declump == "none":
        objects: Array = label(mask, np.ones((3, 3), bool))[0].astype(np.int32)
        return objects
    landscape = np.ones(mask.shape, np.float32)
    if declump in {"combined", "shape"}:
        # The distance is infinite where the mask fills the image.
        depth = np.sqrt(np.minimum(squared_distance(mask), np.float32(np.square(mask.shape).sum())))
        landscape *= gaussian_smooth(depth, max(0.03 * diameter, 0.5))
    if declump in {"combined", "intensity"}:
        grain = gaussian_smooth(image, max(0.12 * diameter, 0.7))
        outside = grain[~mask]
        dark = np.percentile(outside[:: max(1, outside.size // 65_536)], 10) if outside.size else grain.min()
        landscape *= np.maximum(grain - np.float32(dark), np.float32(1e-6))
    landscape[~mask] = 0
    flat = landscape.ravel()
    pixels = np.flatnonzero(mask)
    # 16-bit integers are sorted by a stable radix sort: the same order on every platform.
    rank = (65_535 - flat[pixels] * np.float32(65_534 / flat.max())).astype(np.uint16)
    order = pixels[np.argsort(rank, kind="stable")]
    basins: Array = flood_basins(landscape, order, neck, 0.3 * diameter, max(1, int(0.02 * diameter**2)))
    return basins


def find_nuclei(
    image: Array,
    *,
    diameter: float,
    threshold: str = "local",
    threshold_factor: float = 1.0,
    minimum_snr: float = 6.0,
    declump: str = "combined",
    neck: float = 0.9,
    diameter_range: tuple[float, float] = (0.35, 3.0),
) -> Array:
    """Segment the nuclei in one channel.

    Parameters
    ----------
    image
        ``(Y, X)`` float32.
    diameter
        Typical diameter in pixels.
    threshold, threshold_factor, minimum_snr
        See `nuclear_mask`.
    declump, neck
        See `split_clumps`.
    diameter_range
        Objects whose equivalent diameter is below or above these multiples of `diameter` are removed.

    Returns
    -------
    ndarray
        ``(Y, X)`` int32 labels 1..n, numbered by their first pixel, from top to bottom and left to right.
    """
    mask = nuclear_mask(
        image,
        diameter=diameter,
        threshold=threshold,
        threshold_factor=threshold_factor,
        minimum_snr=minimum_snr,
    )
    basins = split_clumps(image, mask, diameter=diameter, declump=declump, neck=neck)
    area = np.bincount(basins.ravel())
    low, high = (np.pi / 4 * (share * diameter) ** 2 for share in diameter_range)
    objects, _ = keep_labels(basins, (area >= low) & (area <= high))
    return _in_reading_order(objects)


def _in_reading_order(labels: Array) -> Array:
    """Return the labels numbered by the first pixel of each object."""
    pixels = np.flatnonzero(labels)
    if pixels.size == 0:
        return labels
    owner = labels.ravel()[pixels]
    first = np.full(int(owner.max()) + 1, pixels.size)
    np.minimum.at(first, owner, np.arange(pixels.size))
    present = np.flatnonzero(first < pixels.size)
    lookup = np.zeros(first.size, np.int32)
    lookup[present[np.argsort(first[present])]] = np.arange(1, present.size + 1, dtype=np.int32)
    return lookup[labels]
