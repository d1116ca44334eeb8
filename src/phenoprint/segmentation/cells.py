"""Cells, grown from the nuclei."""

from __future__ import annotations

from typing import Any

import numpy as np

from phenoprint.pixels import fill_holes, squared_distance
from phenoprint.segmentation.threshold import background_level, gaussian_smooth, minimum_cross_entropy, white_noise

__all__ = ["cell_image", "grow_cells"]

Array = np.ndarray[Any, Any]


def cell_image(pixels: Array, nuclei: Array) -> tuple[Array, float]:
    """Combine the cell channels into one image of the cytoplasm.

    Each channel is scaled to 0 at its background and to 1 at the typical level close to the nuclei, where there is
    cytoplasm for certain, and limited to 2. The channels are then averaged. Thresholds and regularization thereby mean
    the same for every stain and camera, and neither bright neighbours nor stain inside the nuclei move the outline of
    a dim cell.

    Parameters
    ----------
    pixels
        ``(C, Y, X)`` float32: the cell channels, at least one.
    nuclei
        ``(Y, X)`` int32 labels, at least one object.

    Returns
    -------
    image, noise
        ``(Y, X)`` float32, and its noise level; infinite if no channel shows cytoplasm.
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
        # Smoothing by one pixel reduces white noise to 0.28 of its level.
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
    """Grow one cell from every nucleus.

    The foreground is where the cell channels exceed both the noise and the lower of two thresholds: `threshold` times
    the level close to the nuclei, and their minimum-cross-entropy threshold. A thin rim around each nucleus is added,
    so that a cell has cytoplasm unless neighbours enclose it on all sides. The foreground is divided among the nuclei
    within `reach`. Without cell channels, or if they show no cytoplasm above the noise, cells are the nuclei dilated by
    `blind_reach`.

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
        Fraction of the cytoplasm's typical level, in (0, 1).
    regularization
        Regularization of the propagation: small values follow the image, large ones the distance to the nucleus.
    reach, blind_reach
        Largest distance from the nucleus, in nuclear diameters, with and without visible cytoplasm.

    Returns
    -------
    ndarray
        ``(Y, X)`` int32 labels with the numbers of `nuclei`; each cell contains its own nucleus and no other.
    """
    from phenoprint.segmentation.flooding import propagate

    if not nuclei.any():
        return np.zeros(nuclei.shape, np.int32)
    away = squared_distance(nuclei == 0)
    image, noise = cell_image(pixels, nuclei) if len(pixels) else (np.zeros(nuclei.shape, np.float32), np.inf)
    if np.isfinite(noise):
        # Where a few thick cells set the scale, the histogram gives the better threshold for their thin margins.
        cut = min(threshold, max(minimum_cross_entropy(image), 0.15))
        mask = (image > max(cut, 4 * noise)) & (away <= (reach * diameter) ** 2)
        mask |= away <= max(0.08 * diameter, 1.5) ** 2
        mask = fill_holes(mask, largest=0.25 * diameter**2)
    else:
        mask, method = away <= max(blind_reach * diameter, 1.5) ** 2, "distance"
    if method == "watershed":
        return _watershed(image, nuclei, mask, diameter)
    if method == "distance":
        # On a constant image the cost of propagation is the length of the path inside the mask.
        image, regularization = np.zeros_like(image), 1.0
    cells: Array = propagate(image, nuclei, mask, regularization)
    return cells


def _watershed(image: Array, nuclei: Array, mask: Array, diameter: float) -> Array:
    from scipy.ndimage import gaussian_gradient_magnitude
    from skimage.segmentation import watershed

    slope = gaussian_gradient_magnitude(image, max(0.04 * diameter, 1.0))
    cells: Array = watershed(slope, markers=nuclei, mask=mask | (nuclei > 0)).astype(np.int32)
    return cells
