"""Headers of image files, read and checked without decoding pixels.

Every number in a header is checked against the size of the file and against the other numbers, so that time and memory
for reading a damaged file are limited by its size.
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

# Largest size of one decoded page in bytes; a stitched well of 20,000 x 20,000 pixels of 16 bits has 0.8 GB.
LARGEST_PLANE = 1 << 31
AGAIN = "copy or export the file again"


class BadFileError(ImageError):
    """A file or a page that cannot be used.

    Parameters
    ----------
    status
        Value of the column ``status`` of the image table.
    reason
        What is wrong, and what to do.
    """

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True)
class PageHeader:
    """Header of one page.

    Parameters
    ----------
    height, width
        Pixels.
    dtype
        NumPy name, such as ``"uint16"``; None if NumPy has no such type.
    samples
        Values per pixel: 1 for grey or palette indices, 2 for grey with alpha, 3 for RGB, 4 for RGBA.
    segments
        (offset, length) of the encoded pixels, in order.
    fault
        Why the page cannot be used, or None.
    is_reduced
        Whether it is a smaller copy or a mask of another page.
    layout
        Encoding of the pixels of a TIFF page.
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
    """Header of a file.

    Parameters
    ----------
    kind
        ``"TIFF"``, ``"PNG"`` or ``"JPEG"``.
    pages
        All pages, with smaller copies.
    n_planes
        Number of images, without smaller copies: the pages, or more in files of ImageJ or MetaMorph that declare
        planes without pages.
    n_channels
        Number of channels declared in the OME-XML of the file; 1 without OME-XML.
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
            0-based, with smaller copies.

        Raises
        ------
        BadFileError
            If the file has no such page, or the page cannot be used.
        """
        if not 0 <= number < len(self.pages):
            why = f"page {number} (0-based) was requested, the file has {len(self.pages)} pages"
            raise BadFileError("no_page", f"{why}; correct the page or the file")
        found = self.pages[number]
        if found.fault is not None:
            raise found.fault
        return found


def read_image_header(handle: BinaryIO, *, file_size: int) -> ImageHeader:
    """Read the header of an image file of any file name extension.

    Parameters
    ----------
    handle
        The open file.
    file_size
        Size of the file in bytes.

    Raises
    ------
    BadFileError
        If the file is not TIFF, PNG or JPEG, or its header is damaged or truncated.
    """
    from phenoprint.images.png_jpeg import read_jpeg, read_png
    from phenoprint.images.tiff import read_tiff

    if file_size == 0:
        raise BadFileError("empty", f"the file is empty; {AGAIN}")
    handle.seek(0)
    head = handle.read(16)
    if head[:2] in (b"II", b"MM"):
        return read_tiff(handle, file_size=file_size)
    if head.startswith(b"\x89PNG"):
        return read_png(handle, file_size=file_size)
    if head.startswith(b"\xff\xd8\xff"):
        return read_jpeg(handle, file_size=file_size)
    raise BadFileError(
        "not_image", f"not a TIFF, PNG or JPEG file{looks_like(head)}; save it as TIFF, or copy it again"
    )


_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"GIF8", "GIF"), (b"BM", "BMP"), (b"\x89HDF", "HDF5"), (b"PK\x03\x04", "ZIP"), (b"\x1f\x8b", "gzip"),
    (b"<?xml", "XML"), (b"%PDF", "PDF"), (b"\x00\x00\x00\x0cjP", "JPEG 2000"), (b"ZISRAWFILE", "CZI"),
    (b"\xda\xce\xbe\x0a", "ND2"),
)  # fmt: skip


def looks_like(head: bytes) -> str:
    r"""Name the format of the first bytes of a file, if it is known.

    Examples
    --------
    >>> looks_like(b"GIF89a")
    ' but GIF'
    """
    kind = next((name for magic, name in _MAGIC if head.startswith(magic)), None)
    if kind is None and head and all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in head):
        kind = "text"
    if kind is None and head and not any(head):
        return " but zeros, as in an unfinished copy"
    return f" but {kind}" if kind else ""


def check_size(height: int, width: int, bytes_per_pixel: float) -> None:
    """Check the size of a page.

    Raises
    ------
    BadFileError
        If it has no pixel, or more than `LARGEST_PLANE` bytes.
    """
    if height < 1 or width < 1:
        raise BadFileError("damaged", f"the header declares {height} x {width} pixels; {AGAIN}")
    if height * width * bytes_per_pixel > LARGEST_PLANE:
        raise BadFileError(
            "unsupported",
            f"the header declares {height} x {width} pixels, {height * width * bytes_per_pixel / 1e9:,.1f} GB; pages "
            f"of up to {LARGEST_PLANE / 1e9:.1f} GB are read: export smaller fields or, if the size is wrong, "
            f"{AGAIN}",
        )


def hash_segments(handle: BinaryIO, page: PageHeader) -> str:
    """Hash the encoded pixels of a page with their shape and type, without other contents of the file.

    Files that differ only in time stamps or names have the same pixel hash. The bytes are not decoded, so the same
    pixels with another compression have another hash.
    """
    digest = hashlib.blake2b(f"{page.height}x{page.width}:{page.dtype}:".encode(), digest_size=16)
    for block in read_segments(handle, page):
        digest.update(block)
    return digest.hexdigest()


def read_segments(handle: BinaryIO, page: PageHeader) -> Iterator[bytes]:
    """Read the encoded segments, one after another.

    Raises
    ------
    BadFileError
        If the file became shorter.
    """
    for offset, count in page.segments:
        handle.seek(offset)
        block = handle.read(count)
        if len(block) != count:
            raise BadFileError("truncated", f"the file was truncated while it was read; {AGAIN}")
        yield block
