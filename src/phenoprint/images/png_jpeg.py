"""Headers of PNG and JPEG files."""

from __future__ import annotations

import struct
import zlib
from typing import BinaryIO

from phenoprint.images.headers import AGAIN, BadFileError, ImageHeader, PageHeader, check_size

__all__ = ["read_jpeg", "read_png"]

# Colour type of a PNG to values per pixel; palettes (3) are decoded to RGB.
_SAMPLES = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
_START_OF_FRAME = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_NO_LENGTH = {0x01, *range(0xD0, 0xD9)}
# Some programs append thumbnails and notes after the end of a JPEG.
_TAIL = 1 << 16
# A header with more markers than this is damaged.
_MOST_MARKERS = 10_000


def read_png(handle: BinaryIO, *, file_size: int) -> ImageHeader:
    """Read the header of a PNG file.

    Parameters
    ----------
    handle
        The open file.
    file_size
        Size of the file in bytes.

    Raises
    ------
    BadFileError
        If the file is damaged or truncated.
    """
    handle.seek(0)
    head = handle.read(33)
    if len(head) < 33:
        raise BadFileError("truncated", f"truncated within the header; {AGAIN}")
    length, kind = struct.unpack(">I4s", head[8:16])
    width, height, depth, colour = struct.unpack(">IIBB", head[16:26])
    is_right = zlib.crc32(head[12:29]) == struct.unpack(">I", head[29:33])[0]
    if head[:8] != b"\x89PNG\r\n\x1a\n" or length != 13 or kind != b"IHDR" or not is_right or colour not in _SAMPLES:
        raise BadFileError("damaged", f"the PNG header is damaged; {AGAIN}")
    samples = _SAMPLES[colour]
    check_size(height, width, samples * (2 if depth == 16 else 1))
    segments = []
    offset = 33
    while True:
        handle.seek(offset)
        chunk = handle.read(8)
        if len(chunk) < 8:
            raise BadFileError("truncated", f"truncated: the PNG has no end; {AGAIN}")
        length, kind = struct.unpack(">I4s", chunk)
        # Never read more than the size of the file.
        body = handle.read(length + 4) if offset + 12 + length <= file_size else b""
        if len(body) < length + 4:
            raise BadFileError(
                "truncated", f"truncated: {file_size} of at least {offset + 12 + length} bytes are there; {AGAIN}"
            )
        # Checked here, because libpng reports wrong checksums to the terminal.
        if zlib.crc32(kind + body[:-4]) != struct.unpack(">I", body[-4:])[0]:
            raise BadFileError("damaged", f"the checksum of the PNG at byte {offset} is wrong; {AGAIN}")
        if kind == b"IEND":
            break
        if kind == b"IDAT":
            segments.append((offset + 8, length))
        offset += 12 + length
    if not segments:
        raise BadFileError("damaged", f"the PNG has no pixels; {AGAIN}")
    dtype = "uint16" if depth == 16 else "uint8"
    page = PageHeader(height=height, width=width, dtype=dtype, samples=samples, segments=tuple(segments))
    return ImageHeader("PNG", (page,), 1)


def read_jpeg(handle: BinaryIO, *, file_size: int) -> ImageHeader:
    """Read the header of a JPEG file.

    Parameters
    ----------
    handle
        The open file.
    file_size
        Size of the file in bytes.

    Raises
    ------
    BadFileError
        If the file is damaged or truncated.
    """
    handle.seek(max(0, file_size - _TAIL))
    if b"\xff\xd9" not in handle.read(_TAIL):
        raise BadFileError("truncated", f"truncated: the JPEG has no end; {AGAIN}")
    offset = 2
    page: PageHeader | None = None
    for _ in range(_MOST_MARKERS):
        handle.seek(offset)
        mark = handle.read(2)
        if len(mark) < 2 or mark[0] != 0xFF:
            raise BadFileError("damaged", f"the JPEG header is damaged at byte {offset}; {AGAIN}")
        code = mark[1]
        if code == 0xFF or code in _NO_LENGTH:  # fill bytes, and markers without a length
            offset += 1 if code == 0xFF else 2
            continue
        body = handle.read(8)
        length = struct.unpack(">H", body[:2])[0] if len(body) >= 2 else 0
        if length < 2 or offset + 2 + length > file_size:
            raise BadFileError("damaged", f"the JPEG header is damaged at byte {offset}; {AGAIN}")
        if code in _START_OF_FRAME:
            precision, height, width, samples = struct.unpack(">BHHB", body[2:8])
            check_size(height, width, samples * (1 if precision <= 8 else 2))
            page = PageHeader(
                height=height,
                width=width,
                dtype="uint8" if precision <= 8 else "uint16",
                samples=samples,
                segments=((offset, file_size - offset),),
            )
        offset += 2 + length
        if code == 0xDA:
            break
    if page is None:
        raise BadFileError("damaged", f"the JPEG declares no size; {AGAIN}")
    return ImageHeader("JPEG", (page,), 1)
