"""Crops around single cells, and colour pictures of channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from phenoprint.errors import ImageError, UsageError

__all__ = ["channel_limits", "crop_cells", "to_rgb"]

UInt8 = npt.NDArray[np.uint8]
Color = tuple[float, float, float]

# The usual colours of Cell Painting composites, (red, green, blue); other channels take the spare colours in turn.
_CHANNEL_COLORS: Mapping[str, Color] = {
    "DNA": (0.2, 0.4, 1.0),
    "ER": (0.1, 0.9, 0.3),
    "RNA": (0.9, 0.8, 0.1),
    "AGP": (1.0, 0.45, 0.0),
    "Mito": (1.0, 0.1, 0.2),
    "GFP": (0.1, 1.0, 0.1),
}
# Four or five bright colours add up to white; these sum to about one in each of red, green and blue.
_MANY_CHANNELS = 4
_COLORS_OF_MANY: Mapping[str, Color] = {
    "DNA": (0.0, 0.25, 1.0),
    "ER": (0.0, 0.55, 0.25),
    "RNA": (0.35, 0.35, 0.0),
    "AGP": (0.75, 0.25, 0.0),
    "Mito": (0.65, 0.0, 0.35),
}
_SPARE_COLORS: tuple[Color, ...] = (
    (0.8, 0.8, 0.8),
    (0.9, 0.1, 0.9),
    (0.0, 0.9, 0.9),
    (0.9, 0.9, 0.0),
    (1.0, 0.5, 0.5),
)
# Percentiles of the pixels shown as black and as full colour, and how many pixels are enough to estimate them.
_LIMITS = (1.0, 99.7)
_ENOUGH_PIXELS = 100_000


def crop_cells(pixels: npt.NDArray[Any], centres: npt.NDArray[Any], *, size: int) -> npt.NDArray[Any]:
    """Cut a square around each centre; pixels beyond the border of the field are 0.

    Parameters
    ----------
    pixels
        (C, Y, X) of any type.
    centres
        (N, 2) of (y, x) in pixels; rounded to the nearest pixel, which lies at index ``size // 2`` of the crop.
    size
        Side of the square in pixels.

    Returns
    -------
    (N, C, size, size) of the type of `pixels`, a copy.

    Raises
    ------
    ImageError
        If `pixels` is not (C, Y, X).
    UsageError
        If `centres` is not (N, 2) or not finite, or `size` is not positive.

    Examples
    --------
    >>> field = np.arange(9).reshape(1, 3, 3)
    >>> crop_cells(field, np.array([[0.0, 1.0]]), size=3)[0, 0]
    array([[0, 0, 0],
           [0, 1, 2],
           [3, 4, 5]])
    """
    if pixels.ndim != 3 or 0 in pixels.shape:
        raise ImageError(f"expected pixels of shape (C, Y, X) with at least one pixel, got {pixels.shape}")
    centres = np.asarray(centres, dtype=np.float64)
    if centres.size == 0:
        centres = centres.reshape(0, 2)
    if centres.ndim != 2 or centres.shape[1] != 2 or not np.isfinite(centres).all():
        raise UsageError(f"expected finite centres of shape (N, 2) as (y, x), got shape {centres.shape}")
    if size < 1:
        raise UsageError(f"size must be at least 1 pixel, got {size}")
    height, width = pixels.shape[1:]
    # A whole crop of padding on every side, so that a centre outside the field gives a black crop.
    padded = np.pad(pixels, ((0, 0), (size, size), (size, size)))
    corner = np.floor(centres + 0.5) - size // 2 + size
    top, left = np.clip(corner, 0, (height + size, width + size)).astype(np.intp).T
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    return np.ascontiguousarray(windows[:, top, left].swapaxes(0, 1))


def channel_limits(images: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the intensities to show as black and as full colour, one pair per channel.

    Parameters
    ----------
    images
        (N, C, Y, X) or (C, Y, X): everything that will be shown side by side, so that brightness can be compared.

    Returns
    -------
    (C, 2) float64: percentiles 1 and 99.7 of the pixels of each channel over all images.

    Examples
    --------
    >>> channel_limits(np.linspace(0, 1, 1001).reshape(1, 7, 143)).round(3)
    array([[0.01 , 0.997]])
    """
    stack = _stacked(images)
    if stack.size == 0:
        return np.tile([0.0, 1.0], (stack.shape[1], 1))
    by_channel = np.moveaxis(stack, 1, 0).reshape(stack.shape[1], -1)
    step = max(1, by_channel.shape[1] // _ENOUGH_PIXELS)
    return np.asarray(np.percentile(by_channel[:, ::step], _LIMITS, axis=1).T, dtype=np.float64)


def to_rgb(
    images: npt.NDArray[Any], *, channels: Sequence[str], limits: npt.NDArray[np.float64] | None = None
) -> UInt8:
    """Blend channels into a colour picture.

    Parameters
    ----------
    images
        (N, C, Y, X) or (C, Y, X) of any type.
    channels
        Name of each channel. Cell Painting channels and GFP have fixed colours.
    limits
        (C, 2) black and full intensity of each channel; by default `channel_limits` of all images together.

    Returns
    -------
    (N, Y, X, 3) or (Y, X, 3) uint8.

    Raises
    ------
    UsageError
        If names, limits and channels differ in number.
    ImageError
        If `images` has another number of dimensions.

    Examples
    --------
    >>> to_rgb(np.array([[[0.0, 1.0]]]), channels=["AGP"], limits=np.array([[0.0, 1.0]])).tolist()
    [[[0, 0, 0], [255, 115, 0]]]
    """
    stack = _stacked(images)
    if len(channels) != stack.shape[1]:
        raise UsageError(f"expected {stack.shape[1]} channel names for images {images.shape}, got {list(channels)}")
    limits = channel_limits(stack) if limits is None else np.asarray(limits, dtype=np.float64)
    if limits.shape != (len(channels), 2):
        raise UsageError(f"expected limits of shape ({len(channels)}, 2), got {limits.shape}")
    colors = dict(_COLORS_OF_MANY if len(channels) >= _MANY_CHANNELS else _CHANNEL_COLORS)
    spare = [name for name in channels if name not in colors]
    colors |= {name: _SPARE_COLORS[place % len(_SPARE_COLORS)] for place, name in enumerate(spare)}
    low = limits[:, 0].astype(np.float32)
    span = np.maximum(limits[:, 1] - limits[:, 0], np.finfo(np.float32).tiny).astype(np.float32)
    blended = np.zeros((len(stack), *stack.shape[2:], 3), dtype=np.float32)
    for place, name in enumerate(channels):
        shown = np.clip((stack[:, place].astype(np.float32) - low[place]) / span[place], 0, 1)
        blended += shown[..., None] * np.array(colors[name], dtype=np.float32)
    picture = (np.clip(blended, 0, 1) * 255 + 0.5).astype(np.uint8)
    return picture if images.ndim == 4 else picture[0]


def _stacked(images: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if images.ndim not in (3, 4):
        raise ImageError(f"expected images of shape (N, C, Y, X) or (C, Y, X), got {images.shape}")
    return images if images.ndim == 4 else images[None]
