"""Headers of TIFF files, with tags checked against each other and against the size of the file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import BinaryIO, Literal

from phenoprint.images import tiff_directory as tag
from phenoprint.images.headers import AGAIN, LARGEST_PLANE, BadFileError, ImageHeader, PageHeader, check_size
from phenoprint.images.tiff_directory import Directory, TiffStream

__all__ = ["TiffLayout", "read_tiff"]

NONE, LZW, DEFLATE, PACKBITS = 1, 5, (8, 32946), 32773
# Largest factor by which a compression can reduce pixels; other compressions have no known limit.
_MOST_RATIO = {LZW: 2800.0, DEFLATE[0]: 1100.0, DEFLATE[1]: 1100.0, PACKBITS: 64.5}
_FAX = (2, 3, 4)
# Fax, LZW, JPEG, deflate, packbits, Aperio's JPEG 2000, LERC, LZMA, JPEG 2000, JPEG XR, Zstd, WebP, JPEG XL.
_COMPRESSIONS = frozenset({
    1, 2, 3, 4, 5, 7, 8, 32773, 32946, 33003, 33005, 34712, 34887, 34925, 34926, 22610, 34934, 50000, 50001, 50002,
    52546,
})  # fmt: skip


@dataclass(frozen=True)
class TiffLayout:
    """Encoding of the pixels of a page.

    Parameters
    ----------
    number
        Number of the page in the file, 0-based.
    order
        Byte order, ``"<"`` or ``">"``.
    bits
        Bits per sample.
    compression, predictor, photometric, fill_order
        Values of these tags.
    is_planar
        Whether each sample has segments of its own.
    block
        (height, width) of a tile, or of a strip.
    is_tiled
        Whether segments are tiles.
    has_alpha
        Whether the last sample is the opacity.
    """

    number: int
    order: Literal["<", ">"]
    bits: int
    compression: int
    predictor: int
    photometric: int
    fill_order: int
    is_planar: bool
    block: tuple[int, int]
    is_tiled: bool
    has_alpha: bool


def read_tiff(handle: BinaryIO, *, file_size: int) -> ImageHeader:
    """Read the directories of a TIFF file.

    Parameters
    ----------
    handle
        The open file.
    file_size
        Size of the file in bytes.

    Raises
    ------
    BadFileError
        If the file is truncated, or the offsets of its directories are wrong or circular. Faults of a single page are
        stored with the page.
    """
    file = TiffStream(handle, file_size)
    (offset,) = file.unpack(file.word, file.read(8 if file.is_big else 4, file.inline))
    seen: set[int] = set()
    pages: list[PageHeader] = []
    text, declared = "", 0
    while offset:
        if offset in seen:
            raise BadFileError("damaged", f"the directories of its pages form a cycle at byte {offset}; {AGAIN}")
        seen.add(offset)
        page, offset = file.directory(offset)
        try:
            pages.append(_read_page(page, len(pages)))
        except BadFileError as fault:
            pages.append(PageHeader(fault=fault))
            continue
        if len(pages) == 1:
            text = page.text()
            declared = page.entries[tag.METAMORPH_PLANES].count if tag.METAMORPH_PLANES in page.entries else 0
    if not pages:
        raise BadFileError("damaged", f"it has no page; {AGAIN}")
    if text.startswith("ImageJ=") and (images := re.search(r"^images=(\d{1,9})\s*$", text, re.MULTILINE)):
        declared = int(images.group(1))
    channels = re.search(r'\bSizeC="(\d{1,6})"', text) if "<OME" in text else None
    n_planes = max(sum(not page.is_reduced for page in pages), declared, 1)
    return ImageHeader("TIFF", tuple(pages), n_planes, 1 if channels is None else max(1, int(channels.group(1))))


def _read_page(page: Directory, number: int) -> PageHeader:
    """Check the tags of a page against each other and against the file."""
    if page.twice:
        raise BadFileError("damaged", f"the tag {page.twice[0]} occurs twice in a directory; {AGAIN}")
    height, width = page.one(tag.HEIGHT), page.one(tag.WIDTH)
    samples, bits = page.one(tag.SAMPLES, 1), page.one(tag.BITS)
    if not 0 < samples <= tag.MOST_SAMPLES:
        raise BadFileError("damaged", f"the header declares {samples} samples per pixel; {AGAIN}")
    if page.one(tag.DEPTH, 1) > 1:
        raise BadFileError(
            "unsupported", f"a volume of {page.one(tag.DEPTH)} planes in one page; export a file or page per plane"
        )
    dtype = _dtype(page.one(tag.SAMPLE_FORMAT, 1), bits)
    check_size(height, width, samples * bits / 8)
    is_tiled = tag.TILE_OFFSETS in page.entries
    rows = min(_rows_per_strip(page, height), height)
    layout = TiffLayout(
        number=number,
        order=page.file.order,
        bits=bits,
        compression=page.one(tag.COMPRESSION),
        predictor=page.one(tag.PREDICTOR, 1),
        photometric=page.one(tag.PHOTOMETRIC, 1),
        fill_order=page.one(tag.FILL_ORDER, 1),
        is_planar=_one_of(page, tag.PLANAR, (1, 2)) == 2 and samples > 1,
        block=(page.one(tag.TILE_HEIGHT), page.one(tag.TILE_WIDTH)) if is_tiled else (rows, width),
        is_tiled=is_tiled,
        has_alpha=page.one(tag.EXTRA_SAMPLES, 0) in (1, 2),
    )
    if layout.compression not in _COMPRESSIONS or (layout.compression in _FAX and bits != 1):
        raise BadFileError(
            "unsupported",
            f"compression number {layout.compression} is not supported: save without, or with LZW or deflate, or, if "
            f"that is not its compression, {AGAIN}",
        )
    _one_of(page, tag.PREDICTOR, (1, 2, 3))
    _one_of(page, tag.FILL_ORDER, (1, 2))
    segments = _segments(page, layout, height=height, width=width, samples=samples)
    return PageHeader(
        height=height,
        width=width,
        dtype=dtype,
        samples=samples,
        segments=segments,
        # 1 a smaller copy, 4 a transparency mask
        is_reduced=bool(page.one(tag.SUBFILE, 0) & 0b101),
        layout=layout,
    )


def _one_of(page: Directory, code: int, known: tuple[int, ...]) -> int:
    """Return the value of a tag with few valid values; the first is the default."""
    value = page.one(code, known[0])
    if value not in known:
        raise BadFileError("damaged", f"the tag {tag.NAMES[code]} is {value}, which is not valid; {AGAIN}")
    return value


def _rows_per_strip(page: Directory, height: int) -> int:
    """Return the rows of a strip; all rows of the page if the tag is absent."""
    rows = page.one(tag.ROWS_PER_STRIP, height)
    if rows < 1:
        raise BadFileError("damaged", f"strips of {rows} rows; {AGAIN}")
    return rows


def _dtype(sample_format: int, bits: int) -> str:
    """Return the name of the type to which samples are decoded."""
    kinds = {
        1: {1: "bool", 8: "uint8", 16: "uint16", 32: "uint32", 64: "uint64"},
        2: {8: "int8", 16: "int16", 32: "int32", 64: "int64"},
        3: {16: "float16", 32: "float32", 64: "float64"},
    }
    # Samples of other sizes are unpacked to the next larger type; format 4 is "undefined" and read as integers.
    known = kinds.get(1 if sample_format == 4 else sample_format, {})
    packed = ("uint8" if bits < 8 else "uint16") if sample_format in (1, 4) and 1 < bits < 16 else None
    name = known.get(bits, packed)
    if name is None:
        raise BadFileError("unsupported", f"pixels of {bits} bits in a form that is not supported; save as 8 or 16 bit")
    return name


def _segments(
    page: Directory, layout: TiffLayout, *, height: int, width: int, samples: int
) -> tuple[tuple[int, int], ...]:
    """Return the segments of encoded pixels, checked against the sizes of the page and of the file."""
    tall, wide = layout.block
    if tall < 1 or wide < 1:
        raise BadFileError("damaged", f"tiles of {tall} x {wide} pixels; {AGAIN}")
    per_plane = ceil(height / tall) * ceil(width / wide)
    planes = samples if layout.is_planar else 1
    offset_code, count_code = (
        (tag.TILE_OFFSETS, tag.TILE_COUNTS) if layout.is_tiled else (tag.STRIP_OFFSETS, tag.STRIP_COUNTS)
    )
    n = per_plane * planes
    if offset_code not in page.entries:
        raise BadFileError("damaged", f"the page has no pixels: the tag {tag.NAMES[offset_code]} is missing; {AGAIN}")
    # The size of the file limits the number of values, and thereby all arrays below.
    offsets = page.values(offset_code, count=n)
    row_bytes = ceil(wide * (1 if layout.is_planar else samples) * layout.bits / 8)
    if n * tall * row_bytes > 2 * LARGEST_PLANE:
        raise BadFileError("damaged", f"tiles of {tall} x {wide} pixels around a page of {height} x {width}; {AGAIN}")
    rows_of = [tall if layout.is_tiled else min(tall, height - tall * number) for number in range(per_plane)]
    needed = [rows * row_bytes for rows in rows_of] * planes
    if count_code in page.entries:
        counts = page.values(count_code, count=n)
    elif layout.compression == NONE:
        counts = tuple(needed)
    else:
        raise BadFileError("damaged", f"the tag {tag.NAMES[count_code]} is missing; {AGAIN}")
    end = max(offset + count for offset, count in zip(offsets, counts, strict=True))
    if end > page.file.size:
        raise BadFileError("truncated", f"truncated: {page.file.size} of at least {end} bytes are there; {AGAIN}")
    if not all(counts):
        empty = sum(not count for count in counts)
        raise BadFileError("damaged", f"{empty} of {n} blocks of pixels are empty; {AGAIN}")
    is_subsampled = layout.photometric == 6
    most = _MOST_RATIO.get(layout.compression, 1.0 if layout.compression == NONE else float("inf"))
    small = next((i for i in range(n) if needed[i] > most * counts[i] + 64 * (most > 1)), None)
    if small is not None and not is_subsampled:
        raise BadFileError(
            "damaged",
            f"block {small + 1} of {n} holds {counts[small]} bytes, too few for its {needed[small]} bytes of pixels; "
            f"{AGAIN}",
        )
    # Without compression a block has no additional rows, except in a padded last strip.
    much = [i for i in range(n) if counts[i] >= needed[i] + row_bytes and counts[i] != tall * row_bytes]
    if layout.compression == NONE and much and not is_subsampled:
        raise BadFileError(
            "damaged",
            f"block {much[0] + 1} of {n} holds {counts[much[0]]} bytes where its pixels take {needed[much[0]]}; "
            f"{AGAIN}",
        )
    segments = tuple(zip(offsets, counts, strict=True))
    # Only empty tiles may share their bytes.
    blocks = sorted([*(set(segments) if layout.is_tiled else segments), page.span])
    if blocks[0][0] < 8 or any(start + count > after for (start, count), (after, _) in pairwise(blocks)):
        raise BadFileError("damaged", f"its blocks of pixels overlap; {AGAIN}")
    if sum(counts) > 4 * page.file.size:
        raise BadFileError("damaged", f"its blocks of pixels share too many bytes; {AGAIN}")
    return segments
