"""Thresholds, background level and noise of fluorescence images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "THRESHOLDS",
    "Background",
    "background_level",
    "gaussian_smooth",
    "local_levels",
    "minimum_cross_entropy",
    "noise_level",
    "otsu",
    "white_noise",
]

Array = np.ndarray[Any, Any]

BINS = 4096


class Background(NamedTuple):
    """Intensity of the background of an image.

    Attributes
    ----------
    level
        The most common intensity among the dark pixels.
    spread
        Robust standard deviation of the intensities below `level`, which bright pixels do not affect.
    """

    level: float
    spread: float


def gaussian_smooth(image: Array, sigma: float) -> Array:
    """Smooth an image with a Gaussian, reflected at the border, in float32.

    Parameters
    ----------
    image
        ``(Y, X)`` float.
    sigma
        Standard deviation in pixels; 0 returns a copy.
    """
    from scipy.ndimage import gaussian_filter

    out: Array = gaussian_filter(np.asarray(image, np.float32), sigma, mode="reflect", truncate=3.0)
    return out


def _binned_counts(values: Array) -> tuple[Array, Array]:
    """Count values in equal bins over their range; return counts and centres, one bin if all values are equal."""
    low, high = float(values.min()), float(values.max())
    if not high > low:
        return np.array([values.size]), np.array([low])
    scaled = (values.ravel() - np.float32(low)) * np.float32((BINS - 1) / (high - low))
    counts = np.bincount((scaled + np.float32(0.5)).astype(np.uint16), minlength=BINS)
    return counts, low + np.arange(counts.size) * ((high - low) / (BINS - 1))


def otsu(values: Array) -> float:
    """Return the threshold with the largest variance between the two classes (Otsu 1979).

    Parameters
    ----------
    values
        Float array of any shape, not empty.

    Returns
    -------
    float
        The threshold; values above it are foreground. If all values are equal, it is this value.

    Examples
    --------
    >>> import numpy as np
    >>> 0.1 < otsu(np.array([0.1, 0.1, 0.1, 0.9], dtype="float32")) < 0.9
    True
    """
    counts, centres = _binned_counts(values)
    if counts.size == 1:
        return float(centres[0])
    weight = np.cumsum(counts)[:-1].astype(np.float64)
    mass = np.cumsum(counts * centres)
    total, whole, mass = float(counts.sum()), mass[-1], mass[:-1]
    between = (whole * weight - total * mass) ** 2 / (weight * (total - weight))
    best = np.flatnonzero(between == between.max())
    return float(centres[best].mean())


def minimum_cross_entropy(values: Array) -> float:
    """Return the threshold with the smallest cross entropy between image and classes (Li and Lee 1993).

    Iterated as in Li and Tam (1998). It is lower than Otsu's if bright pixels are few, so that it includes dim nuclei
    beside bright ones.

    Parameters
    ----------
    values
        Float array of any shape, not empty; shifted internally so that the smallest value is 0.

    Returns
    -------
    float
        The threshold; values above it are foreground. If all values are equal, it is this value.

    Examples
    --------
    >>> import numpy as np
    >>> 0.1 < minimum_cross_entropy(np.array([0.1, 0.1, 0.1, 0.9], dtype="float32")) < 0.9
    True
    """
    counts, centres = _binned_counts(values)
    if counts.size == 1:
        return float(centres[0])
    bin_width = centres[1] - centres[0]
    # Logarithms need positive values, so the darkest bin lies one bin width above 0.
    level = centres - centres[0] + bin_width
    weight = np.cumsum(counts).astype(np.float64)
    mass = np.cumsum(counts * level)
    total, whole = weight[-1], mass[-1]
    threshold = whole / total
    for _ in range(200):
        last = int(np.clip(np.searchsorted(level, threshold, side="right") - 1, 0, counts.size - 2))
        back, fore = mass[last] / weight[last], (whole - mass[last]) / (total - weight[last])
        previous, threshold = threshold, (fore - back) / (np.log(fore) - np.log(back))
        if abs(threshold - previous) < 0.1 * bin_width:
            break
    return float(threshold + centres[0] - bin_width)


THRESHOLDS: dict[str, Callable[[Array], float]] = {
    "local": minimum_cross_entropy,
    "minimum_cross_entropy": minimum_cross_entropy,
    "otsu": otsu,
}


def background_level(values: Array, *, below: float) -> Background:
    """Estimate level and spread of the background of an image.

    The level is the middle of the shortest interval that contains a quarter of the pixels up to `below`. The spread is
    estimated from the pixels darker than the level.

    Parameters
    ----------
    values
        Float array of any shape.
    below
        Brighter pixels are foreground and are ignored.
    """
    counts, centres = _binned_counts(values)
    if counts.size == 1:
        return Background(float(centres[0]), 0.0)
    counts = np.where(centres <= below, counts, 0)
    cumulative = np.concatenate([[0], np.cumsum(counts)])
    end = np.searchsorted(cumulative, cumulative[:-1] + 0.25 * cumulative[-1])
    width = np.where(end < cumulative.size, end - np.arange(end.size), cumulative.size)
    first = int(np.argmin(width))
    middle = min((first + int(end[first]) - 1) // 2, centres.size - 1)
    darker = cumulative[middle]
    median = int(np.searchsorted(cumulative, darker / 2))
    spread = 1.4826 * (centres[middle] - centres[max(median - 1, 0)]) if darker else 0.0
    return Background(float(centres[middle]), float(spread))


def white_noise(image: Array) -> float:
    """Estimate the standard deviation of the pixel noise of an image from mixed second differences.

    Gradients and shading cancel in them (after Immerkær 1996). The largest tenth of the differences, at edges, is
    ignored.

    Parameters
    ----------
    image
        ``(Y, X)`` float32; one pixel high or wide gives 0.
    """
    if min(image.shape) < 2:
        return 0.0
    mixed = np.abs(image[1:, 1:] - image[:-1, 1:] - image[1:, :-1] + image[:-1, :-1]).ravel()
    kept = mixed[:: max(1, mixed.size // 262_144)]
    kept = np.partition(kept, int(0.9 * kept.size))[: max(1, int(0.9 * kept.size))]
    # 0.6577 is the mean of |z| over the central 90% of a normal distribution; a difference sums four variances.
    return float(kept.mean(dtype=np.float64) / 0.6577 / 2)


def noise_level(image: Array, back: Background) -> float:
    """Return the noise level: contrast of this size in an image has no meaning.

    It is the largest of three values: the pixel noise, the spread of the background, and one grey step of the image, of
    an 8-bit image at most (images with few grey levels are masks or drawings rather than noisy).

    Parameters
    ----------
    image
        ``(Y, X)`` float32, not smoothed.
    back
        Background of the smoothed image.
    """
    values = image.ravel()
    levels = np.unique(values[:: max(1, values.size // 32_768)])
    step = min(float(np.diff(levels).min()), 1 / 255) if levels.size > 1 else 0.0
    return max(back.spread, white_noise(image), step)


def local_levels(image: Array, mask: Array, sigma: float) -> tuple[Array, Array]:
    """Return the mean intensity of the foreground and of the background around every pixel.

    Normalized convolution on a grid with a spacing of a quarter of `sigma`. Far from any foreground (background) the
    value tends to the mean of the whole foreground (background).

    Parameters
    ----------
    image
        ``(Y, X)`` float32, smoothed.
    mask
        ``(Y, X)`` boolean foreground.
    sigma
        Standard deviation of the Gaussian neighbourhood in pixels.

    Returns
    -------
    foreground, background
        Two ``(Y, X)`` float32 arrays.
    """
    step = max(1, min(int(sigma / 4), *image.shape))
    thin = image[step // 2 :: step, step // 2 :: step]
    inside = mask[step // 2 :: step, step // 2 :: step].astype(np.float32)
    levels = []
    for weight, whole in ((inside, mask), (1 - inside, ~mask)):
        typical = float(image[whole].mean(dtype=np.float64)) if whole.any() else float(image.mean())
        share = gaussian_smooth(weight, sigma / step) + np.float32(1e-3)
        level = (gaussian_smooth(thin * weight, sigma / step) + np.float32(1e-3 * typical)) / share
        levels.append(_enlarge(level, image.shape, step))
    return levels[0], levels[1]


def _enlarge(grid: Array, shape: tuple[int, ...], step: int) -> Array:
    """Interpolate a thinned grid bilinearly to all pixels."""
    if step == 1:
        return grid
    for axis in (0, 1):
        at = (np.arange(shape[axis]) - step // 2) / step
        low = np.clip(np.floor(at).astype(np.intp), 0, grid.shape[axis] - 1)
        high = np.minimum(low + 1, grid.shape[axis] - 1)
        part = np.clip(at - low, 0, 1).astype(np.float32)
        part = part[:, None] if axis == 0 else part[None, :]
        grid = np.take(grid, low, axis) * (1 - part) + np.take(grid, high, axis) * part
    return grid
