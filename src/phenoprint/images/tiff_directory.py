"""Directories of TIFF files, read with limited time and memory even if the file is damaged.

Only tags on the position and meaning of pixels are read. A wrong tag is a fault of the page and is never ignored:
programs that ignore it decode other pixels.

The format: *TIFF Revision 6.0* (Adobe, 1992), and the BigTIFF extension of libtiff.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO, Literal

from phenoprint.images.headers import AGAIN, BadFileError

__all__ = ["Directory", "TiffStream"]

# Size of a value in bytes by the type of its tag.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_INTEGERS = {3: "H", 4: "I", 16: "Q"}
_MOST_TAGS = 4096
_MOST_TEXT = 1 << 18

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, DESCRIPTION = 256, 257, 258, 259, 262, 266, 270
STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_COUNTS, PLANAR, PREDICTOR = 273, 277, 278, 279, 284, 317
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS, SAMPLE_FORMAT = 322, 323, 324, 325, 339
SUBFILE, EXTRA_SAMPLES, DEPTH, METAMORPH_PLANES = 254, 338, 32997, 33629

NAMES = {
    WIDTH: "ImageWidth", HEIGHT: "ImageLength", BITS: "BitsPerSample", COMPRESSION: "Compression",
    PHOTOMETRIC: "PhotometricInterpretation", FILL_ORDER: "FillOrder", STRIP_OFFSETS: "StripOffsets",
    SAMPLES: "SamplesPerPixel", ROWS_PER_STRIP: "RowsPerStrip", STRIP_COUNTS: "StripByteCounts",
    PLANAR: "PlanarConfiguration", PREDICTOR: "Predictor", TILE_WIDTH: "TileWidth", TILE_HEIGHT: "TileLength",
    TILE_OFFSETS: "TileOffsets", TILE_COUNTS: "TileByteCounts", SAMPLE_FORMAT: "SampleFormat",
    SUBFILE: "NewSubfileType", EXTRA_SAMPLES: "ExtraSamples", DEPTH: "ImageDepth",
}  # fmt: skip
# Tags that may have one value per sample.
_LISTS = {BITS, SAMPLE_FORMAT, EXTRA_SAMPLES, STRIP_OFFSETS, STRIP_COUNTS, TILE_OFFSETS, TILE_COUNTS}
MOST_SAMPLES = 64


@dataclass(frozen=True)
class _Entry:
    """A tag of a directory; ``place`` is the offset of its values."""

    kind: int
    count: int
    place: int


class TiffStream:
    """A TIFF file with the field widths of its format."""

    def __init__(self, handle: BinaryIO, size: int) -> None:
        self.handle = handle
        self.size = size
        head = self.read(0, 4)
        self.order: Literal["<", ">"] = "<" if head[:2] == b"II" else ">"
        version = self.unpack("H", head[2:])[0]
        if version not in (42, 43):
            raise BadFileError("damaged", f"there is no TIFF version {version}; {AGAIN}")
        self.is_big = version == 43
        if self.is_big and self.unpack("HH", self.read(4, 4)) != (8, 0):
            raise BadFileError("damaged", f"the BigTIFF header is damaged; {AGAIN}")
        self.word, self.count_word, self.entry = ("Q", "Q", "HHQQ") if self.is_big else ("I", "H", "HHII")
        self.inline = 8 if self.is_big else 4

    def read(self, offset: int, length: int) -> bytes:
        """Read bytes; raise if the file is too short."""
        if offset + length > self.size:
            raise BadFileError(
                "truncated", f"truncated: {self.size} of at least {offset + length} bytes are there; {AGAIN}"
            )
        self.handle.seek(offset)
        data = self.handle.read(length)
        if len(data) != length:
            raise BadFileError("truncated", f"the file was truncated while it was read; {AGAIN}")
        return data

    def unpack(self, form: str, data: bytes) -> tuple[int, ...]:
        """Unpack integers in the byte order of the file; ``form`` as for `struct`."""
        return struct.unpack(self.order + form, data)

    def directory(self, offset: int) -> tuple[Directory, int]:
        """Read a directory; return it and the offset of the next one (0 for none)."""
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
        return Directory(self, entries, twice, (offset, start + len(data) - offset)), self.unpack(
            self.word, data[-self.inline :]
        )[0]


class Directory:
    """The tags of one page, checked when they are read."""

    def __init__(self, file: TiffStream, entries: dict[int, _Entry], twice: list[int], span: tuple[int, int]) -> None:
        self.file = file
        self.entries = entries
        self.twice = [NAMES[code] for code in twice if code in NAMES]
        self.span = span

    def values(self, code: int, *, count: int | None = None) -> tuple[int, ...]:
        """Return all values of an integer tag; ``count`` is the expected number."""
        found = self.entries[code]
        letter = _INTEGERS.get(found.kind)
        if letter is None:
            raise BadFileError("damaged", f"the tag {NAMES[code]} is of type {found.kind}, not integer; {AGAIN}")
        limit = 1 if code not in _LISTS else MOST_SAMPLES if count is None else count
        if not 0 < found.count <= limit or (count is not None and found.count != count):
            raise BadFileError(
                "damaged", f"the tag {NAMES[code]} has {found.count} values, expected {count or 1}; {AGAIN}"
            )
        data = self.file.read(found.place, found.count * _SIZES[found.kind])
        return self.file.unpack(f"{found.count}{letter}", data)

    def one(self, code: int, default: int | None = None) -> int:
        """Return the value of a tag; those of several samples must agree."""
        if code not in self.entries:
            if default is None:
                raise BadFileError("damaged", f"the tag {NAMES[code]} is missing; {AGAIN}")
            return default
        values = self.values(code)
        if len(set(values)) > 1:
            raise BadFileError("unsupported", f"samples of different {NAMES[code]} {values}; save as 8 or 16 bit")
        return values[0]

    def text(self) -> str:
        """Return the description as far as it can be read; pixels do not depend on it."""
        found = self.entries.get(DESCRIPTION)
        if found is None or found.kind not in (2, 1, 7) or found.place + found.count > self.file.size:
            return ""
        return self.file.read(found.place, min(found.count, _MOST_TEXT)).decode("utf-8", errors="replace")
