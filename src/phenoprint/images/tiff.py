"""Headers of TIFF files: what a page holds and whether its bytes are there."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PageHeader", "read_headers"]

# tifffile reports damaged files to its logger; we report them ourselves, so keep its voice from stderr
logging.getLogger("tifffile").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class PageHeader:
    """What the header says of one page.

    Parameters
    ----------
    height, width
        Pixels.
    dtype
        NumPy name, such as ``"uint16"``; None where the page has no such type.
    samples
        Values a pixel: 1 grey or palette, 3 RGB, 4 RGBA.
    problem
        Why the page cannot be used, or None.
    segments
        (offset, length) of the encoded strips or tiles.
    """

    height: int
    width: int
    dtype: str | None
    samples: int
    problem: str | None
    segments: tuple[tuple[int, int], ...]


def describe_page(page: Any, *, file_size: int) -> PageHeader:
    """Header of a tifffile page.

    Parameters
    ----------
    page
        ``tifffile.TiffPage``.
    file_size
        Bytes of the file; strips that reach beyond it make the page truncated.
    """
    segments = tuple(zip(page.dataoffsets, page.databytecounts, strict=True))
    end = max((offset + count for offset, count in segments), default=0)
    samples = int(page.samplesperpixel)
    problem = None
    if page.dtype is None:
        problem = f"pixels of {page.bitspersample} bits in a form that is not supported; save as 8 or 16 bit"
    elif not segments or not any(count for _, count in segments):
        problem = "the page holds no pixels; export or copy the file again"
    elif end > file_size:
        problem = f"truncated: {file_size} of at least {end} bytes are there; copy or export the file again"
    elif getattr(page, "imagedepth", 1) > 1:
        problem = f"a volume of {page.imagedepth} planes in one page; export a file or a page a plane"
    dtype = None if page.dtype is None else str(page.dtype.newbyteorder("="))
    return PageHeader(int(page.imagelength), int(page.imagewidth), dtype, samples, problem, segments)


def read_headers(handle: BinaryIO, *, file_size: int) -> list[PageHeader]:
    """Headers of all pages; no pixel is decoded.

    Parameters
    ----------
    handle
        An open TIFF file.
    file_size
        Its bytes.

    Raises
    ------
    Exception
        Whatever tifffile raises where the file is no TIFF or its directory is damaged.
    """
    from tifffile import TiffFile

    with TiffFile(handle) as file:
        return [describe_page(page.aspage(), file_size=file_size) for page in file.pages]


def hash_segments(handle: BinaryIO, header: PageHeader) -> str:
    """Hash a page's encoded pixels with their shape and type, whatever the file says beside them.

    Two files that differ in their time stamps or names only have one pixel hash. The bytes are not decoded,
    so that the same pixels under another compression differ.
    """
    digest = hashlib.blake2b(f"{header.height}x{header.width}:{header.dtype}:".encode(), digest_size=16)
    for block in _blocks(handle, header):
        digest.update(block)
    return digest.hexdigest()


def _blocks(handle: BinaryIO, header: PageHeader) -> Iterator[bytes]:
    """Read the encoded strips or tiles one after the other."""
    for offset, count in header.segments:
        handle.seek(offset)
        yield handle.read(count)
