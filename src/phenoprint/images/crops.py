"""Single cells cut out of a field, and small pictures of them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from phenoprint.errors import ImageError, UsageError

__all__ = ["CHANNEL_COLORS", "channel_limits", "crop_cells", "encode_png", "montage", "to_rgb"]

UInt8 = npt.NDArray[np.uint8]
Color = tuple[float, float, float]

# The usual look of Cell Painting composites; any other channel takes the next of the spare colours.
CHANNEL_COLORS: Mapping[str, Color] = {
    "DNA": (0.2, 0.4, 1.0),
    "ER": (0.1, 0.9, 0.3),
    "RNA": (0.9, 0.8, 0.1),
    "AGP": (1.0, 0.45, 0.0),
    "Mito": (1.0, 0.1, 0.2),
    "GFP": (0.1, 1.0, 0.1),
}
# Four or five bright colours add up to white: these sum to about one in each of red, green and blue.
CROWDED_COLORS: dict[str, Color] = {
    "DNA": (0.0, 0.25, 1.0),
    "ER": (0.0, 0.55, 0.25),
    "RNA": (0.35, 0.35, 0.0),
    "AGP": (0.75, 0.25, 0.0),
    "Mito": (0.65, 0.0, 0.35),
}
_CROWD = 4
_SPARE_COLORS: tuple[Color, ...] = (
    (0.8, 0.8, 0.8),
    (0.9, 0.1, 0.9),
    (0.0, 0.9, 0.9),
    (0.9, 0.9, 0.0),
    (1.0, 0.5, 0.5),
)


def crop_cells(pixels: npt.NDArray[Any], centres: npt.NDArray[Any], *, size: int) -> npt.NDArray[Any]:
    """Cut a square around each centre, black beyond the field's rim.

    Parameters
    ----------
    pixels
        (C, Y, X) of any type.
    centres
        (N, 2) of (y, x) in pixels; rounded to the nearest pixel, which lands at index ``size // 2``.
    size
        Side of the square in pixels.

    Returns
    -------
    (N, C, size, size) of the type of `pixels`, a copy.

    Raises
    ------
    ImageError
        `pixels` is not (C, Y, X).
    UsageError
        `centres` is not (N, 2) or not finite, or `size` is not positive.

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
    # A whole crop of padding on every side: a centre outside the field yields black, not an error.
    padded = np.pad(pixels, ((0, 0), (size, size), (size, size)))
    corner = np.floor(centres + 0.5) - size // 2 + size
    top, left = np.clip(corner, 0, (height + size, width + size)).astype(np.intp).T
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    return np.ascontiguousarray(windows[:, top, left].swapaxes(0, 1))


def channel_limits(
    images: npt.NDArray[Any], *, percentiles: tuple[float, float] = (1.0, 99.7)
) -> npt.NDArray[np.float64]:
    """Return the intensities shown as black and as full colour, one pair a channel.

    Parameters
    ----------
    images
        (N, C, Y, X) or (C, Y, X): everything that will be shown side by side, so that brightness compares.
    percentiles
        Of the pixels of a channel over all images.

    Returns
    -------
    (C, 2) float64.
    """
    stack = _stacked(images)
    if not 0 <= percentiles[0] < percentiles[1] <= 100:
        raise UsageError(f"expected 0 <= low < high <= 100 percent, got {percentiles}")
    if stack.size == 0:
        return np.tile([0.0, 1.0], (stack.shape[1], 1))
    by_channel = np.moveaxis(stack, 1, 0).reshape(stack.shape[1], -1)
    # A hundred thousand pixels tell a percentile well enough.
    step = max(1, by_channel.shape[1] // 100_000)
    return np.asarray(np.percentile(by_channel[:, ::step], percentiles, axis=1).T, dtype=np.float64)


def to_rgb(
    images: npt.NDArray[Any],
    *,
    channels: Sequence[str],
    colors: Mapping[str, Color] | None = None,
    limits: npt.NDArray[np.float64] | None = None,
) -> UInt8:
    """Blend channels into a colour picture.

    Parameters
    ----------
    images
        (N, C, Y, X) or (C, Y, X) of any type.
    channels
        Name of each channel.
    colors
        (red, green, blue) in [0, 1] by channel, beyond those of `CHANNEL_COLORS`.
    limits
        (C, 2) black and full intensity a channel; by default `channel_limits` of the images together.

    Returns
    -------
    (N, Y, X, 3) or (Y, X, 3) uint8.

    Raises
    ------
    UsageError
        Names, limits and channels differ in number.
    ImageError
        `images` has another number of dimensions.
    """
    stack = _stacked(images)
    if len(channels) != stack.shape[1]:
        raise UsageError(f"expected {stack.shape[1]} channel names for images {images.shape}, got {list(channels)}")
    limits = channel_limits(stack) if limits is None else np.asarray(limits, dtype=np.float64)
    if limits.shape != (len(channels), 2):
        raise UsageError(f"expected limits of shape ({len(channels)}, 2), got {limits.shape}")
    usual = CROWDED_COLORS if len(channels) >= _CROWD else CHANNEL_COLORS
    known = {**usual, **(colors or {})}
    spare = [name for name in channels if name not in known]
    known |= {name: _SPARE_COLORS[place % len(_SPARE_COLORS)] for place, name in enumerate(spare)}
    low = limits[:, 0].astype(np.float32)
    span = np.maximum(limits[:, 1] - limits[:, 0], np.finfo(np.float32).tiny).astype(np.float32)
    blended = np.zeros((len(stack), *stack.shape[2:], 3), dtype=np.float32)
    for place, name in enumerate(channels):
        shown = np.clip((stack[:, place].astype(np.float32) - low[place]) / span[place], 0, 1)
        blended += shown[..., None] * np.array(known[name], dtype=np.float32)
    picture = (np.clip(blended, 0, 1) * 255 + 0.5).astype(np.uint8)
    return picture if images.ndim == 4 else picture[0]


def montage(pictures: npt.NDArray[Any], *, columns: int | None = None, gap: int = 2, fill: int = 0) -> npt.NDArray[Any]:
    """Lay pictures of one size out in rows.

    Parameters
    ----------
    pictures
        (N, Y, X) or (N, Y, X, 3).
    columns
        Pictures a row; by default as square as can be.
    gap
        Pixels between them.
    fill
        Value of the gaps and of empty places.

    Returns
    -------
    (rows * (Y + gap) - gap, columns * (X + gap) - gap[, 3]) of the type of `pictures`.

    Raises
    ------
    UsageError
        No picture, or a number out of range.
    ImageError
        `pictures` has another number of dimensions.

    Examples
    --------
    >>> montage(np.ones((3, 2, 2), dtype=np.uint8), columns=2, gap=1)
    array([[1, 1, 0, 1, 1],
           [1, 1, 0, 1, 1],
           [0, 0, 0, 0, 0],
           [1, 1, 0, 0, 0],
           [1, 1, 0, 0, 0]], dtype=uint8)
    """
    if pictures.ndim not in (3, 4):
        raise ImageError(f"expected pictures of shape (N, Y, X) or (N, Y, X, 3), got {pictures.shape}")
    n_pictures, height, width = pictures.shape[:3]
    if columns is None:
        columns = int(np.ceil(np.sqrt(n_pictures)))
    if n_pictures == 0 or columns < 1 or gap < 0:
        raise UsageError(f"expected pictures, columns >= 1 and gap >= 0, got {n_pictures}, {columns} and {gap}")
    rows = -(-n_pictures // columns)
    tail = pictures.shape[3:]
    tiles = np.full((rows * columns, height + gap, width + gap, *tail), fill, dtype=pictures.dtype)
    tiles[:n_pictures, :height, :width] = pictures
    sheet = tiles.reshape(rows, columns, height + gap, width + gap, *tail).swapaxes(1, 2)
    sheet = sheet.reshape(rows * (height + gap), columns * (width + gap), *tail)
    return np.ascontiguousarray(sheet[: rows * (height + gap) - gap, : columns * (width + gap) - gap])


def encode_png(picture: UInt8) -> bytes:
    """Encode a picture as PNG.

    Parameters
    ----------
    picture
        (Y, X, 3) colour or (Y, X) grey, uint8.

    Returns
    -------
    The bytes of a PNG file, the same for the same picture.

    Raises
    ------
    ImageError
        Another shape or type.

    Examples
    --------
    >>> encode_png(np.zeros((2, 2), dtype=np.uint8))[1:4]
    b'PNG'
    """
    is_color = picture.ndim == 3 and picture.shape[2] == 3
    if picture.dtype != np.uint8 or not (is_color or picture.ndim == 2) or 0 in picture.shape:
        raise ImageError(f"expected uint8 of shape (Y, X, 3) or (Y, X), got {picture.dtype} {picture.shape}")
    height, width = picture.shape[:2]
    lines = picture.reshape(height, -1)
    # Filter 2 (difference to the line above) compresses photographs better than plain bytes.
    above = np.vstack([np.zeros_like(lines[:1]), lines[:-1]])
    filtered = np.hstack([np.full((height, 1), 2, dtype=np.uint8), lines - above])
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if is_color else 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(filtered.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def _stacked(images: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if images.ndim not in (3, 4):
        raise ImageError(f"expected images of shape (N, C, Y, X) or (C, Y, X), got {images.shape}")
    return images if images.ndim == 4 else images[None]
