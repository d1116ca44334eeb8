"""Cells, grown from their nuclei."""

from __future__ import annotations

from typing import Any

import numpy as np

from phenoprint.pixels import fill_holes, squared_distance
from phenoprint.segmentation.threshold import background_level, gaussian_smooth, minimum_cross_entropy, white_noise

__all__ = ["cell_image", "grow_cells"]

Array = np.ndarray[Any, Any]


def cell_image(pixels: Array, nuclei: Array) -> tuple[Array, float]:
    """One picture of the cytoplasm from one or several channels, and the height of its noise.

    Each channel is set to 0 at its background and to 1 at the typical level close around the nuclei, where
    there is cytoplasm for certain, and cut at 2; the channels are then averaged. So a share of the cytoplasm
    and a regularization mean the same for every stain and camera, and neither a bright neighbour nor a
    nucleus full of the stain moves the outline of a dim cell.

    Parameters
    ----------
    pixels
        ``(C, Y, X)`` float32: the cell channels, at least one.
    nuclei
        ``(Y, X)`` int32 labels, at least one object.

    Returns
    -------
    image, noise
        ``(Y, X)`` float32, and the noise level on its scale: infinite where no channel shows cytoplasm.
    """
    from scipy.ndimage import maximum_filter

    ring = maximum_filter(nuclei > 0, 7) & (nuclei == 0)
    if not ring.any():
        ring = nuclei > 0
    total = np.zeros(pixels.shape[1:], np.float32)
    noises = []
    for channel in pixels:
        smoothed = gaussian_smooth(channel, 1.0)
        back = background_level(smoothed, below=minimum_cross_entropy(smoothed))
        height = float(np.median(smoothed[ring])) - back.level
        # Smoothing by one pixel leaves 0.28 of white noise.
        noise = max(back.spread, 0.3 * white_noise(channel))
        if height > max(3 * noise, 1e-9):
            total += np.minimum((smoothed - np.float32(back.level)) * np.float32(1 / height), np.float32(2))
            noises.append(noise / height)
    if not noises:
        return total, float("inf")
    return total / np.float32(len(noises)), float(np.mean(noises))


def grow_cells(
    pixels: Array,
    nuclei: Array,
    *,
    diameter: float,
    method: str = "propagation",
    threshold: float = 0.33,
    regularization: float = 0.5,
    reach: float = 5.0,
    blind_reach: float = 0.75,
) -> Array:
    """Give every nucleus its cell.

    Cytoplasm is what exceeds `threshold` of the level close around the nuclei in the cell channels, or their
    minimum-cross-entropy threshold where that is lower, but in any case the noise; and a thin rim around
    each nucleus, so that no cell is without cytoplasm unless neighbours press on it from all sides. It is
    shared out among the nuclei within `reach`. Where the channels show no cytoplasm above the noise, or
    there are none, cells are the nuclei widened by `blind_reach`.

    Parameters
    ----------
    pixels
        ``(C, Y, X)`` float32: the cell channels, possibly none.
    nuclei
        ``(Y, X)`` int32 labels 1..n.
    diameter
        Typical diameter of a nucleus in pixels.
    method
        ``"propagation"`` (Jones et al. 2005: paths of little change), ``"watershed"`` (basins of the
        gradient) or ``"distance"`` (the nearest nucleus).
    threshold
        Share of the cytoplasm's typical level, in (0, 1).
    regularization
        Of the propagation: small follows the image, large the distance to the nucleus.
    reach, blind_reach
        Largest distance from the nucleus, in nuclear diameters.

    Returns
    -------
    ndarray
        ``(Y, X)`` int32 labels with the numbers of `nuclei`; each cell holds its nucleus, and no other's.
    """
    from phenoprint.segmentation.flooding import propagate

    if not nuclei.any():
        return np.zeros(nuclei.shape, np.int32)
    away = squared_distance(nuclei == 0)
    image, noise = cell_image(pixels, nuclei) if len(pixels) else (np.zeros(nuclei.shape, np.float32), np.inf)
    if np.isfinite(noise):
        # Where few thick cells set the scale, the histogram knows better where their thin margins end.
        cut = min(threshold, max(minimum_cross_entropy(image), 0.15))
        mask = (image > max(cut, 4 * noise)) & (away <= (reach * diameter) ** 2)
        mask |= away <= max(0.08 * diameter, 1.5) ** 2
        mask = fill_holes(mask, largest=0.25 * diameter**2)
    else:
        mask, method = away <= max(blind_reach * diameter, 1.5) ** 2, "distance"
    if method == "watershed":
        return _watershed(image, nuclei, mask, diameter)
    if method == "distance":
        # With nothing but the step to pay for, propagation is a path length inside the mask.
        image, regularization = np.zeros_like(image), 1.0
    cells: Array = propagate(image, nuclei, mask, regularization)
    return cells


def _watershed(image: Array, nuclei: Array, mask: Array, diameter: float) -> Array:
    from scipy.ndimage import gaussian_gradient_magnitude
    from skimage.segmentation import watershed

    slope = gaussian_gradient_magnitude(image, max(0.04 * diameter, 1.0))
    cells: Array = watershed(slope, markers=nuclei, mask=mask | (nuclei > 0)).astype(np.int32)
    return cells
