"""Nuclei: foreground by threshold, then one object a nucleus."""

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
    """Pixels of nuclei, empty where nothing rises above the noise.

    ``"local"`` starts from the minimum-cross-entropy threshold and moves it, pixel by pixel, half way between
    the foreground and the background of the surroundings (Ridler and Calvard's rule, locally), so that the
    outline of a dim nucleus and of a bright one lie where each falls to half. A field without cells has no
    valley in its histogram and any threshold would cut its noise: therefore thresholds stay
    ``minimum_snr / 2`` noise levels above the background and an object counts only when its mean contrast is
    `minimum_snr` of them; see `phenoprint.segmentation.threshold.noise_level`.

    Parameters
    ----------
    image
        ``(Y, X)`` float32.
    diameter
        Typical diameter of a nucleus in pixels.
    threshold
        ``"local"``, ``"minimum_cross_entropy"`` or ``"otsu"``.
    threshold_factor
        Multiplies the height of the threshold over the background.
    minimum_snr
        Least contrast of an object in noise levels; 0 switches the test off.

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
    """Drop objects that are noise or single hot pixels from a mask.

    Parameters
    ----------
    image, smoothed
        ``(Y, X)`` float32, as measured and smoothed.
    mask
        ``(Y, X)`` boolean.
    around
        Background, everywhere or around each pixel.
    height
        Of the threshold over the background. Four in ten pixels of an object must exceed it as measured too:
        smoothing makes a disc of a hot pixel.
    least
        Contrast that the smoothed object must exceed on average.

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
    """One label a nucleus, clumps cut at their necks.

    The landscape is the distance to the outline (``"shape"``), the smoothed contrast (``"intensity"``) or
    their product (``"combined"``: a slight waist and a slight dip add up to a cut). Two basins are one
    nucleus unless the pass between them lies below `neck` of the lower summit. Details finer than a share of
    the diameter are smoothed away first.

    Parameters
    ----------
    image, mask
        ``(Y, X)`` float32 and boolean, as for and from `nuclear_mask`.
    diameter
        Typical diameter in pixels: sets smoothing and the least distance of two nuclei.
    declump
        ``"combined"``, ``"shape"``, ``"intensity"`` or ``"none"``.
    neck
        In (0, 1); higher splits more.

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
    # 16 bits sort by radix, stably: the same order on every platform.
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
    """Label the nuclei of one channel.

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
        Objects whose equivalent diameter is below or above these multiples of `diameter` are dropped as
        debris or as something else.

    Returns
    -------
    ndarray
        ``(Y, X)`` int32 labels 1..n, numbered from top to bottom and left to right by their first pixel.
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
