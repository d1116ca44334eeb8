"""Headers of image files: what a page holds and whether its bytes are there; no pixel is decoded.

A header is the only thing that is trusted about a file before its pixels are read, so every number in it is checked
against the size of the file and against the other numbers. Whatever a damaged file holds, looking at it takes a time
and a memory that its size limits.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from phenoprint.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from phenoprint.images.tiff import TiffLayout

__all__ = [
    "LARGEST_PLANE",
    "BadFileError",
    "ImageHeader",
    "PageHeader",
    "hash_segments",
    "looks_like",
    "read_image_header",
]

# Decoded bytes of one page; a stitched well of 20,000 x 20,000 pixels of 16 bits takes 0.8 GB.
LARGEST_PLANE = 1 << 31
AGAIN = "copy or export the file again"


class BadFileError(ImageError):
    """A file, or a page of it, that cannot be used.

    Parameters
    ----------
    status
        The word for the column ``status`` of the image table.
    reason
        What is wrong and what to do.
    """

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


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
        Values per pixel: 1 grey or indices of a palette, 2 grey with alpha, 3 RGB, 4 RGBA.
    segments
        (offset, length) of the encoded pixels, in order.
    fault
        Why the page cannot be used, or None.
    is_reduced
        Whether it is a smaller copy or a mask of another page.
    layout
        How the pixels of a TIFF page are encoded.
    """

    height: int | None = None
    width: int | None = None
    dtype: str | None = None
    samples: int = 1
    segments: tuple[tuple[int, int], ...] = ()
    fault: BadFileError | None = None
    is_reduced: bool = False
    layout: TiffLayout | None = None


@dataclass(frozen=True)
class ImageHeader:
    """What the header says of a file.

    Parameters
    ----------
    kind
        ``"TIFF"``, ``"PNG"`` or ``"JPEG"``.
    pages
        Its pages, smaller copies included.
    n_planes
        How many images it holds, smaller copies not counted: pages, or more where a file of ImageJ or MetaMorph
        declares planes that have no page of their own.
    n_channels
        Channels that the OME-XML of the file declares; 1 without one.
    """

    kind: str
    pages: tuple[PageHeader, ...]
    n_planes: int
    n_channels: int = 1

    def page(self, number: int) -> PageHeader:
        """Return one page.

        Parameters
        ----------
        number
            0-based, smaller copies counted.

        Raises
        ------
        BadFileError
            The file has no such page, or the page cannot be used.
        """
        if not 0 <= number < len(self.pages):
            why = f"page {number} was asked for (0-based), the file has {len(self.pages)} pages"
            raise BadFileError("no_page", f"{why}; correct the page or the file")
        found = self.pages[number]
        if found.fault is not None:
            raise found.fault
        return found


def read_image_header(handle: BinaryIO, *, file_size: int) -> ImageHeader:
    """Read the header of an image file, whatever its name ends in.

    Parameters
    ----------
    handle
        The open file.
    file_size
        Its bytes.

    Raises
    ------
    BadFileError
        The file is no TIFF, PNG or JPEG, or its header is damaged or cut off.
    """
    from phenoprint.images.png_jpeg import read_jpeg, read_png
    from phenoprint.images.tiff import read_tiff

    if file_size == 0:
        raise BadFileError("empty", f"the file has no byte; {AGAIN}")
    handle.seek(0)
    head = handle.read(16)
    if head[:2] in (b"II", b"MM"):
        return read_tiff(handle, file_size=file_size)
    if head.startswith(b"\x89PNG"):
        return read_png(handle, file_size=file_size)
    if head.startswith(b"\xff\xd8\xff"):
        return read_jpeg(handle, file_size=file_size)
    raise BadFileError("not_image", f"no TIFF, PNG or JPEG file{looks_like(head)}; save it as TIFF, or copy it again")


_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"GIF8", "GIF"), (b"BM", "BMP"), (b"\x89HDF", "HDF5"), (b"PK\x03\x04", "ZIP"), (b"\x1f\x8b", "gzip"),
    (b"<?xml", "XML"), (b"%PDF", "PDF"), (b"\x00\x00\x00\x0cjP", "JPEG 2000"), (b"ZISRAWFILE", "CZI"),
    (b"\xda\xce\xbe\x0a", "ND2"),
)  # fmt: skip


def looks_like(head: bytes) -> str:
    r"""Say what the first bytes look like, if we know.

    Examples
    --------
    >>> looks_like(b"GIF89a")
    ' but GIF'
    """
    kind = next((name for magic, name in _MAGIC if head.startswith(magic)), None)
    if kind is None and head and all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in head):
        kind = "text"
    if kind is None and head and not any(head):
        return " but zeros, as an unfinished copy leaves them"
    return f" but {kind}" if kind else ""


def check_size(height: int, width: int, bytes_per_pixel: float) -> None:
    """Refuse a page whose pixels would not fit.

    Raises
    ------
    BadFileError
        It has no pixel, or more than `LARGEST_PLANE` bytes.
    """
    if height < 1 or width < 1:
        raise BadFileError("damaged", f"the header declares {height} x {width} pixels; {AGAIN}")
    if height * width * bytes_per_pixel > LARGEST_PLANE:
        raise BadFileError(
            "unsupported",
            f"the header declares {height} x {width} pixels, {height * width * bytes_per_pixel / 1e9:,.1f} GB; pages "
            f"of up to {LARGEST_PLANE / 1e9:.1f} GB are read: export smaller fields, or, if that is not its size, "
            f"{AGAIN}",
        )


def hash_segments(handle: BinaryIO, page: PageHeader) -> str:
    """Hash a page's encoded pixels with their shape and type, whatever the file says beside them.

    Two files that differ in their time stamps or names only have one pixel hash. The bytes are not decoded,
    so that the same pixels under another compression differ.
    """
    digest = hashlib.blake2b(f"{page.height}x{page.width}:{page.dtype}:".encode(), digest_size=16)
    for block in read_segments(handle, page):
        digest.update(block)
    return digest.hexdigest()


def read_segments(handle: BinaryIO, page: PageHeader) -> Iterator[bytes]:
    """Read the encoded segments one after the other.

    Raises
    ------
    BadFileError
        The file is shorter than it was.
    """
    for offset, count in page.segments:
        handle.seek(offset)
        block = handle.read(count)
        if len(block) != count:
            raise BadFileError("truncated", f"the file was cut while it was read; {AGAIN}")
        yield block
