"""Headers of TIFF files: directories walked by our own reader, which nothing in a damaged file can keep busy.

Of the many tags only those are read that say where pixels are and what they mean. A tag that is wrong is a fault of
the page and is never passed over: a program that skips a broken tag decodes other pixels.

The format: *TIFF Revision 6.0* (Adobe, 1992), and the BigTIFF extension of libtiff.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import BinaryIO, Literal

from phenoprint.images.headers import AGAIN, LARGEST_PLANE, BadFileError, ImageHeader, PageHeader, check_size

__all__ = ["TiffLayout", "read_tiff"]

# Bytes of a value by the type of its tag.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_INTEGERS = {3: "H", 4: "I", 16: "Q"}
_MOST_TAGS = 4096
_MOST_TEXT = 1 << 18

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, DESCRIPTION = 256, 257, 258, 259, 262, 266, 270
STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_COUNTS, PLANAR, PREDICTOR = 273, 277, 278, 279, 284, 317
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS, SAMPLE_FORMAT = 322, 323, 324, 325, 339
SUBFILE, EXTRA_SAMPLES, DEPTH, METAMORPH_PLANES = 254, 338, 32997, 33629

_NAMES = {
    WIDTH: "ImageWidth", HEIGHT: "ImageLength", BITS: "BitsPerSample", COMPRESSION: "Compression",
    PHOTOMETRIC: "PhotometricInterpretation", FILL_ORDER: "FillOrder", STRIP_OFFSETS: "StripOffsets",
    SAMPLES: "SamplesPerPixel", ROWS_PER_STRIP: "RowsPerStrip", STRIP_COUNTS: "StripByteCounts",
    PLANAR: "PlanarConfiguration", PREDICTOR: "Predictor", TILE_WIDTH: "TileWidth", TILE_HEIGHT: "TileLength",
    TILE_OFFSETS: "TileOffsets", TILE_COUNTS: "TileByteCounts", SAMPLE_FORMAT: "SampleFormat",
    SUBFILE: "NewSubfileType", EXTRA_SAMPLES: "ExtraSamples", DEPTH: "ImageDepth",
}  # fmt: skip
# Of these every sample may have a value of its own.
_LISTS = {BITS, SAMPLE_FORMAT, EXTRA_SAMPLES, STRIP_OFFSETS, STRIP_COUNTS, TILE_OFFSETS, TILE_COUNTS}
_MOST_SAMPLES = 64

NONE, LZW, DEFLATE, PACKBITS = 1, 5, (8, 32946), 32773
# How many times a compression can shrink pixels at the most; of the others no bound is known.
_MOST_RATIO = {LZW: 2800.0, DEFLATE[0]: 1100.0, DEFLATE[1]: 1100.0, PACKBITS: 64.5}
_FAX = (2, 3, 4)
# Fax, LZW, JPEG, deflate, packbits, Aperio's JPEG 2000, LERC, LZMA, JPEG 2000, JPEG XR, Zstd, WebP, JPEG XL.
_COMPRESSIONS = frozenset(
    {
        1,
        2,
        3,
        4,
        5,
        7,
        8,
        32773,
        32946,
        33003,
        33005,
        34712,
        34887,
        34925,
        34926,
        22610,
        34934,
        50000,
        50001,
        50002,
        52546,
    }
)


@dataclass(frozen=True)
class TiffLayout:
    """How the pixels of a page are encoded.

    Parameters
    ----------
    number
        Of the page within the file, 0-based.
    order
        ``"<"`` or ``">"``.
    bits
        Per sample.
    compression, predictor, photometric, fill_order
        As the tags of these names.
    is_planar
        Whether the samples lie in segments of their own.
    block
        (height, width) of a tile, or of a strip.
    is_tiled
        Whether segments are tiles.
    has_alpha
        Whether the last sample says how opaque a pixel is.
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


@dataclass(frozen=True)
class _Entry:
    """A tag as it stands in a directory; ``place`` is where its values begin."""

    kind: int
    count: int
    place: int


class _File:
    """A TIFF file with the widths of its format."""

    def __init__(self, handle: BinaryIO, size: int) -> None:
        self.handle = handle
        self.size = size
        head = self.read(0, 4)
        self.order: Literal["<", ">"] = "<" if head[:2] == b"II" else ">"
        version = self.unpack("H", head[2:])[0]
        if version not in (42, 43):
            raise BadFileError("damaged", f"no TIFF version has the number {version}; {AGAIN}")
        self.is_big = version == 43
        if self.is_big and self.unpack("HH", self.read(4, 4)) != (8, 0):
            raise BadFileError("damaged", f"the BigTIFF header is damaged; {AGAIN}")
        self.word, self.count_word, self.entry = ("Q", "Q", "HHQQ") if self.is_big else ("I", "H", "HHII")
        self.inline = 8 if self.is_big else 4

    def read(self, offset: int, length: int) -> bytes:
        """Read bytes that must be there."""
        if offset + length > self.size:
            raise BadFileError(
                "truncated", f"truncated: {self.size} of at least {offset + length} bytes are there; {AGAIN}"
            )
        self.handle.seek(offset)
        data = self.handle.read(length)
        if len(data) != length:
            raise BadFileError("truncated", f"the file was cut while it was read; {AGAIN}")
        return data

    def unpack(self, form: str, data: bytes) -> tuple[int, ...]:
        return struct.unpack(self.order + form, data)

    def directory(self, offset: int) -> tuple[_Page, int]:
        """Read a directory; return it and where the next one is (0: nowhere)."""
        (n_tags,) = self.unpack(self.count_word, self.read(offset, struct.calcsize("<" + self.count_word)))
        if not 0 < n_tags <= _MOST_TAGS:
            raise BadFileError("damaged", f"a directory of {n_tags} tags at byte {offset}; {AGAIN}")
        start = offset + struct.calcsize("<" + self.count_word)
        step = struct.calcsize("<" + self.entry)
        data = self.read(start, n_tags * step + self.inline)
        entries: dict[int, _Entry] = {}
        twice = []
        for number in range(n_tags):
            code, kind, count, place = self.unpack(self.entry, data[number * step : (number + 1) * step])
            if count * _SIZES.get(kind, 1) <= self.inline:
                place = start + (number + 1) * step - self.inline
            if code in entries:
                twice.append(code)
            entries.setdefault(code, _Entry(kind, count, place))
        return _Page(self, entries, twice, (offset, start + len(data) - offset)), self.unpack(
            self.word, data[-self.inline :]
        )[0]


class _Page:
    """The tags of one page, with a check at every reading."""

    def __init__(self, file: _File, entries: dict[int, _Entry], twice: list[int], span: tuple[int, int]) -> None:
        self.file = file
        self.entries = entries
        self.twice = [_NAMES[code] for code in twice if code in _NAMES]
        self.span = span

    def values(self, code: int, *, count: int | None = None) -> tuple[int, ...]:
        """Return all values of a tag of whole numbers; ``count`` is how many there must be."""
        found = self.entries[code]
        letter = _INTEGERS.get(found.kind)
        if letter is None:
            raise BadFileError("damaged", f"the tag {_NAMES[code]} has the type {found.kind}, no whole number; {AGAIN}")
        limit = 1 if code not in _LISTS else _MOST_SAMPLES if count is None else count
        if not 0 < found.count <= limit or (count is not None and found.count != count):
            raise BadFileError(
                "damaged", f"the tag {_NAMES[code]} has {found.count} values where {count or 1} belong; {AGAIN}"
            )
        data = self.file.read(found.place, found.count * _SIZES[found.kind])
        return self.file.unpack(f"{found.count}{letter}", data)

    def one(self, code: int, default: int | None = None) -> int:
        """Return the value of a tag; those of several samples must agree."""
        if code not in self.entries:
            if default is None:
                raise BadFileError("damaged", f"the tag {_NAMES[code]} is missing; {AGAIN}")
            return default
        values = self.values(code)
        if len(set(values)) > 1:
            raise BadFileError("unsupported", f"samples of different {_NAMES[code]} {values}; save as 8 or 16 bit")
        return values[0]

    def text(self) -> str:
        """Return the description, as far as it can be read; it is not needed for pixels."""
        found = self.entries.get(DESCRIPTION)
        if found is None or found.kind not in (2, 1, 7) or found.place + found.count > self.file.size:
            return ""
        return self.file.read(found.place, min(found.count, _MOST_TEXT)).decode("utf-8", errors="replace")


def read_tiff(handle: BinaryIO, *, file_size: int) -> ImageHeader:
    """Read the directories of a TIFF file.

    Parameters
    ----------
    handle
        The open file.
    file_size
        Its bytes.

    Raises
    ------
    BadFileError
        The file is cut off, or its directories lead nowhere or in a circle. What is wrong with a single page is kept
        with the page.
    """
    file = _File(handle, file_size)
    (offset,) = file.unpack(file.word, file.read(8 if file.is_big else 4, file.inline))
    seen: set[int] = set()
    pages: list[PageHeader] = []
    text, declared = "", 0
    while offset:
        if offset in seen:
            raise BadFileError("damaged", f"its directories of pages lead in a circle, back to byte {offset}; {AGAIN}")
        seen.add(offset)
        page, offset = file.directory(offset)
        try:
            pages.append(_read_page(page, len(pages)))
        except BadFileError as fault:
            pages.append(PageHeader(fault=fault))
            continue
        if len(pages) == 1:
            text = page.text()
            declared = page.entries[METAMORPH_PLANES].count if METAMORPH_PLANES in page.entries else 0
    if not pages:
        raise BadFileError("damaged", f"it has no page; {AGAIN}")
    if text.startswith("ImageJ=") and (images := re.search(r"^images=(\d{1,9})\s*$", text, re.MULTILINE)):
        declared = int(images.group(1))
    channels = re.search(r'\bSizeC="(\d{1,6})"', text) if "<OME" in text else None
    n_planes = max(sum(not page.is_reduced for page in pages), declared, 1)
    return ImageHeader("TIFF", tuple(pages), n_planes, 1 if channels is None else max(1, int(channels.group(1))))


def _read_page(page: _Page, number: int) -> PageHeader:
    """Check the tags of a page against each other and against the file."""
    if page.twice:
        raise BadFileError("damaged", f"the tag {page.twice[0]} stands twice in a directory; {AGAIN}")
    height, width = page.one(HEIGHT), page.one(WIDTH)
    samples, bits = page.one(SAMPLES, 1), page.one(BITS)
    if not 0 < samples <= _MOST_SAMPLES:
        raise BadFileError("damaged", f"the header declares {samples} samples per pixel; {AGAIN}")
    if page.one(DEPTH, 1) > 1:
        raise BadFileError(
            "unsupported", f"a volume of {page.one(DEPTH)} planes in one page; export a file or page per plane"
        )
    dtype = _dtype(page.one(SAMPLE_FORMAT, 1), bits)
    check_size(height, width, samples * bits / 8)
    is_tiled = TILE_OFFSETS in page.entries
    rows = min(_rows_per_strip(page, height), height)
    layout = TiffLayout(
        number=number,
        order=page.file.order,
        bits=bits,
        compression=page.one(COMPRESSION),
        predictor=page.one(PREDICTOR, 1),
        photometric=page.one(PHOTOMETRIC, 1),
        fill_order=page.one(FILL_ORDER, 1),
        is_planar=_one_of(page, PLANAR, (1, 2)) == 2 and samples > 1,
        block=(page.one(TILE_HEIGHT), page.one(TILE_WIDTH)) if is_tiled else (rows, width),
        is_tiled=is_tiled,
        has_alpha=page.one(EXTRA_SAMPLES, 0) in (1, 2),
    )
    if layout.compression not in _COMPRESSIONS or (layout.compression in _FAX and bits != 1):
        raise BadFileError(
            "unsupported",
            f"compression number {layout.compression} is not supported: save without, or with LZW or deflate, or, if "
            f"that is not its compression, {AGAIN}",
        )
    _one_of(page, PREDICTOR, (1, 2, 3))
    _one_of(page, FILL_ORDER, (1, 2))
    segments = _segments(page, layout, height=height, width=width, samples=samples)
    return PageHeader(
        height=height,
        width=width,
        dtype=dtype,
        samples=samples,
        segments=segments,
        # 1 a smaller copy, 4 a transparency mask
        is_reduced=bool(page.one(SUBFILE, 0) & 0b101),
        layout=layout,
    )


def _one_of(page: _Page, code: int, known: tuple[int, ...]) -> int:
    """Return the value of a tag that has few; the first is the default."""
    value = page.one(code, known[0])
    if value not in known:
        raise BadFileError("damaged", f"the tag {_NAMES[code]} is {value}, which has no meaning; {AGAIN}")
    return value


def _rows_per_strip(page: _Page, height: int) -> int:
    """Rows of a strip; all of them where the tag is absent."""
    rows = page.one(ROWS_PER_STRIP, height)
    if rows < 1:
        raise BadFileError("damaged", f"strips of {rows} rows; {AGAIN}")
    return rows


def _dtype(sample_format: int, bits: int) -> str:
    """Name of the type that samples are decoded to."""
    kinds = {
        1: {1: "bool", 8: "uint8", 16: "uint16", 32: "uint32", 64: "uint64"},
        2: {8: "int8", 16: "int16", 32: "int32", 64: "int64"},
        3: {16: "float16", 32: "float32", 64: "float64"},
    }
    # Samples of odd sizes are unpacked into the next larger type; 4 is "undefined", taken for whole numbers.
    known = kinds.get(1 if sample_format == 4 else sample_format, {})
    packed = ("uint8" if bits < 8 else "uint16") if sample_format in (1, 4) and 1 < bits < 16 else None
    name = known.get(bits, packed)
    if name is None:
        raise BadFileError("unsupported", f"pixels of {bits} bits in a form that is not supported; save as 8 or 16 bit")
    return name


def _segments(page: _Page, layout: TiffLayout, *, height: int, width: int, samples: int) -> tuple[tuple[int, int], ...]:
    """Where the encoded pixels are, checked against what the page needs and the file holds."""
    tall, wide = layout.block
    if tall < 1 or wide < 1:
        raise BadFileError("damaged", f"tiles of {tall} x {wide} pixels; {AGAIN}")
    per_plane = ceil(height / tall) * ceil(width / wide)
    planes = samples if layout.is_planar else 1
    offset_code, count_code = (TILE_OFFSETS, TILE_COUNTS) if layout.is_tiled else (STRIP_OFFSETS, STRIP_COUNTS)
    n = per_plane * planes
    if offset_code not in page.entries:
        raise BadFileError("damaged", f"the page holds no pixels: the tag {_NAMES[offset_code]} is missing; {AGAIN}")
    # The number of values is bounded by the file, so that nothing below is larger than it.
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
        raise BadFileError("damaged", f"the tag {_NAMES[count_code]} is missing; {AGAIN}")
    end = max(offset + count for offset, count in zip(offsets, counts, strict=True))
    if end > page.file.size:
        raise BadFileError("truncated", f"truncated: {page.file.size} of at least {end} bytes are there; {AGAIN}")
    if not all(counts):
        empty = sum(not count for count in counts)
        raise BadFileError("damaged", f"{empty} of {n} blocks of pixels hold no byte; {AGAIN}")
    is_subsampled = layout.photometric == 6
    most = _MOST_RATIO.get(layout.compression, 1.0 if layout.compression == NONE else float("inf"))
    small = next((i for i in range(n) if needed[i] > most * counts[i] + 64 * (most > 1)), None)
    if small is not None and not is_subsampled:
        raise BadFileError(
            "damaged",
            f"block {small + 1} of {n} holds {counts[small]} bytes, too few for its {needed[small]} bytes of pixels; "
            f"{AGAIN}",
        )
    segments = tuple(zip(offsets, counts, strict=True))
    # Empty tiles may share their bytes; nothing else does.
    blocks = sorted([*(set(segments) if layout.is_tiled else segments), page.span])
    if blocks[0][0] < 8 or any(start + count > after for (start, count), (after, _) in pairwise(blocks)):
        raise BadFileError("damaged", f"its blocks of pixels overlap; {AGAIN}")
    if sum(counts) > 4 * page.file.size:
        raise BadFileError("damaged", f"its blocks of pixels share too many bytes; {AGAIN}")
    return segments
