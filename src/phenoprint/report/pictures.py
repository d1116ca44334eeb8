"""Small pictures inside the page: decoded, scaled down and encoded as JPEG within a byte budget."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from phenoprint.errors import ImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["data_uri", "decode_picture", "shrink"]

JPEG_START, PNG_START = b"\xff\xd8\xff", b"\x89PNG"


def data_uri(content: bytes) -> str:
    r"""Return a PNG or JPEG as the data URI of an inline picture.

    Raises
    ------
    ImageError
        The bytes are neither.

    Examples
    --------
    >>> data_uri(b"\x89PNG-and-so-on")[:22]
    'data:image/png;base64,'
    """
    return f"data:image/{_kind(content)};base64,{base64.b64encode(content).decode('ascii')}"


def _kind(content: bytes) -> str:
    if content.startswith(JPEG_START):
        return "jpeg"
    if content.startswith(PNG_START):
        return "png"
    raise ImageError(f"expected the bytes of a PNG or a JPEG; found {content[:8]!r}")


def decode_picture(content: bytes) -> NDArray[np.uint8]:
    """Read a PNG or JPEG as (Y, X, 3) uint8; grey becomes three equal channels, transparency is dropped.

    Raises
    ------
    ImageError
        The bytes are neither, or are damaged.
    """
    import imagecodecs

    reader = imagecodecs.jpeg8_decode if _kind(content) == "jpeg" else imagecodecs.png_decode
    try:
        pixels = np.asarray(reader(content))
    except (RuntimeError, ValueError) as error:
        raise ImageError(f"a picture of {len(content)} bytes cannot be read: {error}") from error
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    if pixels.ndim == 2:
        pixels = np.stack([pixels] * 3, axis=-1)
    return np.ascontiguousarray(pixels[..., :3], dtype=np.uint8)


def shrink(content: bytes, *, side: int, quality: int = 80, most: int | None = None) -> bytes:
    """Scale a picture down to at most `side` pixels and encode it as JPEG.

    Parameters
    ----------
    content
        Bytes of a PNG or JPEG.
    side
        Longer side of the result in pixels, at most; pictures are never enlarged.
    quality
        JPEG quality, 1 to 100.
    most
        A JPEG of at most this many bytes is returned unchanged, whatever its size in pixels.

    Raises
    ------
    ImageError
        The content cannot be read.
    """
    import imagecodecs

    pixels = decode_picture(content)
    if most is not None and len(content) <= most and _kind(content) == "jpeg":
        return content
    height, width = pixels.shape[:2]
    longest = max(height, width)
    if longest > side:
        scaled = _area_means(pixels.astype(np.float32), max(1, round(height * side / longest)))
        scaled = _area_means(scaled.swapaxes(0, 1), max(1, round(width * side / longest))).swapaxes(0, 1)
        pixels = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return bytes(imagecodecs.jpeg8_encode(np.ascontiguousarray(pixels), level=quality))


def _area_means(pixels: NDArray[np.float32], m: int) -> NDArray[np.float32]:
    """Average the first axis over `m` equal intervals; a pixel on a boundary is shared by both sides."""
    # cumulative sums at each boundary; the threads of BLAS would cost more than the work on such small pictures
    n = pixels.shape[0]
    sums = np.zeros((n + 1, *pixels.shape[1:]), dtype=np.float32)
    np.cumsum(pixels, axis=0, out=sums[1:])
    seams = np.arange(m + 1) * (n / m)
    whole = np.minimum(seams.astype(np.int64), n - 1)
    part = (seams - whole).astype(np.float32).reshape(-1, *[1] * (pixels.ndim - 1))
    at = sums[whole] + part * (sums[whole + 1] - sums[whole])
    means: NDArray[np.float32] = np.diff(at, axis=0) * np.float32(m / n)
    return means


def read_bytes(path: Path) -> bytes | None:
    """Return the bytes of a file, or None where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return None
