"""Decoding of pixels after the header was checked."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable
from math import ceil
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from phenoprint.images.headers import AGAIN, BadFileError, ImageHeader, PageHeader, read_segments
from phenoprint.images.tiff import DEFLATE, LZW, NONE, PACKBITS, TiffLayout

__all__ = ["decode_page"]

Pixels = npt.NDArray[Any]

# tifffile logs damaged files; the cause is reported as the reason of the file instead.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_ZSTD = (34926, 50000)
# Warning filters apply to the whole process, but files are inspected in threads.
_WARNINGS = threading.Lock()
_YCBCR, _COLOUR_FILTER = 6, 32803


def decode_page(handle: BinaryIO, header: ImageHeader, number: int) -> Pixels:
    """Decode one page to one plane.

    Parameters
    ----------
    handle
        The open file that the header was read from.
    header
        Header of the file.
    number
        Page, 0-based.

    Returns
    -------
    ndarray, shape (Y, X)
        Values as stored; the indices of a TIFF palette, the first sample of grey saved as RGB, without alpha.

    Raises
    ------
    BadFileError
        If the page cannot be decoded, has colours, or has values that are not finite.
    """
    page = header.page(number)
    try:
        pixels = _decode_tiff(handle, page) if header.kind == "TIFF" else _decode_picture(handle, header.kind)
    except (BadFileError, OSError, MemoryError):
        raise
    except Exception as error:
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise BadFileError("damaged", f"its pixels cannot be decoded ({why}); {AGAIN}") from error
    has_alpha = header.kind == "PNG" if page.layout is None else page.layout.has_alpha
    return _one_plane(pixels, page, has_alpha=has_alpha)


def _decode_picture(handle: BinaryIO, kind: str) -> Pixels:
    """Decode a PNG or JPEG file: (Y, X) or (Y, X, samples)."""
    import imagecodecs

    handle.seek(0)
    decode = imagecodecs.png_decode if kind == "PNG" else imagecodecs.jpeg_decode
    return np.asarray(decode(handle.read()))


def _decode_tiff(handle: BinaryIO, page: PageHeader) -> Pixels:
    """Decode a TIFF page: (Y, X), (Y, X, samples), or (samples, Y, X) for planar samples."""
    layout = page.layout
    assert layout is not None  # noqa: S101 - every TIFF page without a fault has one
    dtype = np.dtype(str(page.dtype))
    is_plain = (
        layout.bits == 8 * dtype.itemsize
        and dtype.kind != "b"
        and layout.fill_order == 1
        and (layout.predictor == 1 or (layout.predictor == 2 and dtype.kind in "iu"))
        and layout.photometric not in (_YCBCR, _COLOUR_FILTER)
        and layout.compression in (NONE, LZW, *DEFLATE, PACKBITS, *_ZSTD)
    )
    return _decode_blocks(handle, page, layout) if is_plain else _decode_by_tifffile(handle, page, layout)


def _decode_blocks(handle: BinaryIO, page: PageHeader, layout: TiffLayout) -> Pixels:
    """Decode strips or tiles of whole bytes; each must have exactly the size in the header.

    tifffile crops and pads blocks of a wrong size, so that a damaged width would give sheared pixels without an error.
    """
    import imagecodecs

    height, width, samples = int(page.height or 0), int(page.width or 0), page.samples
    planes, depth = (samples, 1) if layout.is_planar else (1, samples)
    tall, wide = layout.block
    across = ceil(width / wide)
    per_plane = ceil(height / tall) * across
    dtype = np.dtype(str(page.dtype)).newbyteorder(layout.order)
    pixels = np.empty((planes, height, width, depth), dtype.newbyteorder("="))
    for number, block in enumerate(read_segments(handle, page)):
        plane, place = divmod(number, per_plane)
        y, x = place // across * tall, place % across * wide
        rows = tall if layout.is_tiled else min(tall, height - y)
        row_bytes = wide * depth * dtype.itemsize
        data = _decompress(block, layout.compression, tall * row_bytes)
        if len(data) not in (rows * row_bytes, tall * row_bytes):
            raise BadFileError(
                "damaged",
                f"block {number + 1} of {len(page.segments)} holds {len(data)} bytes of pixels where "
                f"{rows * row_bytes} belong; {AGAIN}",
            )
        values = np.frombuffer(data, dtype, rows * wide * depth).reshape(rows, wide, depth)
        values = values.astype(pixels.dtype, copy=layout.predictor != 1)
        if layout.predictor != 1:
            imagecodecs.delta_decode(values, axis=-2, out=values)
        pixels[plane, y : y + rows, x : x + wide] = values[: height - y, : width - x]
    if layout.is_planar:
        return pixels[..., 0]
    return pixels[0] if depth > 1 else pixels[0, :, :, 0]


def _decompress(block: bytes, compression: int, most: int) -> bytes | bytearray:
    """Decompress bytes; a result of more than ``most`` bytes is truncated or is an error."""
    import imagecodecs

    if compression == NONE:
        return block[:most]
    decoders: dict[int, Callable[..., bytes | bytearray]] = {
        **dict.fromkeys(DEFLATE, imagecodecs.deflate_decode),
        **dict.fromkeys(_ZSTD, imagecodecs.zstd_decode),
        LZW: imagecodecs.lzw_decode,
        PACKBITS: imagecodecs.packbits_decode,
    }
    return decoders[compression](block, out=most + 1)


def _decode_by_tifffile(handle: BinaryIO, page: PageHeader, layout: TiffLayout) -> Pixels:
    """Decode other formats: JPEG, JPEG 2000, samples of 12 bits, floating-point predictors."""
    from tifffile import TiffFile

    handle.seek(0)
    with _WARNINGS, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as for the log
        with TiffFile(handle) as file:
            found = file.pages[layout.number].aspage()
            seen = (found.imagelength, found.imagewidth, found.samplesperpixel, tuple(found.dataoffsets))
            if seen != (page.height, page.width, page.samples, tuple(offset for offset, _ in page.segments)):
                raise BadFileError("damaged", f"its header can be read in two ways; {AGAIN}")
            return np.asarray(found.asarray())


def _one_plane(pixels: Pixels, page: PageHeader, *, has_alpha: bool) -> Pixels:
    """Reduce grey saved as RGB to one plane; raise for colours, unexpected shapes and values."""
    if pixels.ndim == 3 and pixels.shape[:2] == (page.height, page.width):
        samples = [pixels[..., number] for number in range(pixels.shape[2])]
    elif pixels.ndim == 3 and pixels.shape[1:] == (page.height, page.width):
        samples = list(pixels)
    else:
        samples = [pixels]
    if has_alpha and len(samples) in (2, 4):
        samples = samples[:-1]
    if len(samples) > 3 or not all(np.array_equal(samples[0], other) for other in samples[1:]):
        raise BadFileError(
            "colour",
            f"a colour image ({page.samples} samples per pixel that differ); export each stain as its own grey image, "
            "because the colours of a rendering are not intensities",
        )
    plane = np.ascontiguousarray(samples[0])
    if plane.shape != (page.height, page.width):
        raise BadFileError(
            "damaged", f"an array of shape {pixels.shape}, expected {page.height} x {page.width}; {AGAIN}"
        )
    if plane.dtype.kind not in "biuf":
        raise BadFileError("unsupported", f"{plane.dtype} values; expected integers or floats")
    if plane.dtype.kind == "f" and not np.isfinite(plane).all():
        n = int(plane.size - np.isfinite(plane).sum())
        raise BadFileError(
            "not_finite", f"{n} of {plane.size} pixels are NaN or infinite; export the image again without these values"
        )
    return plane
