"""TIFF files with damaged directories give a reason quickly, or the right pixels."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tifffile

from phenoprint.errors import ImageError
from phenoprint.images import INDEX_SCHEMA, inspect_files, read_plane
from phenoprint.images.headers import BadFileError, ImageHeader, read_image_header

PIXELS = (np.arange(40 * 48).reshape(40, 48) // 9 * 20 + np.random.default_rng(0).integers(0, 3, (40, 48))).astype(
    np.uint16
)
# Files with strips or tiles, compressed or not, classic or BigTIFF, of either byte order, with one page or several.
KINDS: dict[str, dict[str, object]] = {
    "plain": {"rowsperstrip": 7, "metadata": None},
    "one strip": {"metadata": None},
    "deflate": {"compression": "zlib", "predictor": True, "rowsperstrip": 16},
    "lzw": {"compression": "lzw", "byteorder": ">", "rowsperstrip": 40},
    "zstd tiles": {"compression": "zstd", "tile": (16, 32)},
    "big": {"bigtiff": True, "compression": "packbits"},
    "lerc": {"compression": "lerc"},
}
INDEX = pl.DataFrame([("P", "A01", "1", "DNA", 0, 0, "a.tif", 0)], schema=INDEX_SCHEMA, orient="row")


def encoded(kind: str, pixels: np.ndarray = PIXELS) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, photometric="minisblack", **KINDS[kind])
    return stream.getvalue()


def header(data: bytes) -> ImageHeader:
    return read_image_header(io.BytesIO(data), file_size=len(data))


def inspected(folder: Path, data: bytes) -> dict[str, object]:
    (folder / "a.tif").write_bytes(data)
    return inspect_files(INDEX, folder, workers=1).row(0, named=True)


def tag_place(data: bytes, code: int) -> int:
    """Return the offset of a tag of the first page."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        return int(file.pages.first.tags[code].offset)


def patched(data: bytes, place: int, form: str, *values: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into("<" + form, changed, place, *values)
    return bytes(changed)


@pytest.mark.parametrize("kind", KINDS)
def test_valid_files_are_read_as_by_another_program(tmp_path: Path, kind: str) -> None:
    found = inspected(tmp_path, encoded(kind))
    assert (found["status"], found["height"], found["width"], found["dtype"]) == ("ok", 40, 48, "uint16")
    assert (found["n_planes"], found["n_channels"]) == (1, 1)
    plane = read_plane(tmp_path / "a.tif")
    assert plane.dtype == np.uint16
    np.testing.assert_array_equal(plane, PIXELS)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "float32", "float64"])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib", "predictor": True}, {"byteorder": ">"}])
def test_types_and_predictors(tmp_path: Path, dtype: str, options: dict[str, object]) -> None:
    pixels = (PIXELS % 200).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack", **options)
    plane = read_plane(tmp_path / "a.tif")
    assert plane.dtype == pixels.dtype
    np.testing.assert_array_equal(plane, pixels)


def test_a_cycle_of_pages_is_detected(tmp_path: Path) -> None:
    data = encoded("plain", np.stack([PIXELS, PIXELS]))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        first, second = (page.offset for page in file.pages)
    (n_tags,) = struct.unpack_from("<H", data, second)
    found = inspected(tmp_path, patched(data, second + 2 + 12 * n_tags, "I", first))
    assert found["status"] == "damaged"
    assert "form a cycle" in str(found["reason"])
    assert "copy or export the file again" in str(found["reason"])
    with pytest.raises(ImageError, match="form a cycle"):
        read_plane(tmp_path / "a.tif")


@pytest.mark.parametrize("kind", [2, 5, 11, 12, 99])
@pytest.mark.parametrize(
    ("code", "name"), [(273, "StripOffsets"), (279, "StripByteCounts"), (256, "ImageWidth"), (258, "BitsPerSample")]
)
def test_tags_of_another_type_give_a_reason(tmp_path: Path, code: int, name: str, kind: int) -> None:
    data = encoded("plain")
    found = inspected(tmp_path, patched(data, tag_place(data, code) + 2, "H", kind))
    assert found["status"] in {"damaged", "truncated"}
    assert name in str(found["reason"])
    assert found["pixel_hash"] is None


@pytest.mark.parametrize(
    ("code", "count", "value"),
    [
        (256, 1, 2**31),
        (257, 1, 2**32 - 1),
        (277, 1, 60),
        (278, 1, 1),
        (279, 2**31, 0),
        (273, 2**32 - 1, 8),
        (258, 999, 8),
    ],
)
def test_absurd_sizes_take_neither_time_nor_memory(tmp_path: Path, code: int, count: int, value: int) -> None:
    data = encoded("plain")
    damaged = patched(data, tag_place(data, code) + 2, "HII", 4, count, value)
    tracemalloc.start()
    begun = time.perf_counter()
    found = inspected(tmp_path, damaged)
    with pytest.raises(ImageError):
        read_plane(tmp_path / "a.tif")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found["status"] != "ok"
    assert peak < 20e6
    assert time.perf_counter() - begun < 5


@pytest.mark.parametrize(("code", "value"), [(256, 32), (257, 33)])
def test_more_bytes_than_pixels_are_a_damaged_size(tmp_path: Path, code: int, value: int) -> None:
    data = encoded("one strip")
    found = inspected(tmp_path, patched(data, tag_place(data, code) + 8, "I", value))
    assert found["status"] == "damaged"
    assert "holds 3840 bytes where its pixels take" in str(found["reason"])


def test_a_width_that_leaves_pixels_missing_is_refused(tmp_path: Path) -> None:
    data = encoded("deflate")
    inspected(tmp_path, patched(data, tag_place(data, 256) + 8, "I", 50))
    with pytest.raises(ImageError, match="block 1 of 3 holds 1536 bytes of pixels where 1600 belong"):
        read_plane(tmp_path / "a.tif")


def test_a_width_that_shears_the_pixels_is_refused(tmp_path: Path) -> None:
    # a program that truncates the excess returns pixels here
    data = encoded("deflate")
    found = inspected(tmp_path, patched(data, tag_place(data, 256) + 8, "I", 32))
    assert (found["status"], found["width"]) == ("ok", 32)
    with pytest.raises(ImageError, match=r"its pixels cannot be decoded .*; copy or export the file again"):
        read_plane(tmp_path / "a.tif")


@pytest.mark.parametrize("kind", KINDS)
def test_flipped_bits_of_a_directory_give_a_reason_or_the_right_pixels(tmp_path: Path, kind: str) -> None:
    data = encoded(kind)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        begin, end = page.offset, max(tag.offset for tag in page.tags) + 24
    places = [(place, bit) for place in (*range(8), *range(begin, end)) for bit in range(8)]
    wrong = []
    for place, bit in np.random.default_rng(0).permutation(places)[:300].tolist():
        flipped = bytearray(data)
        flipped[place] ^= 1 << bit
        found = inspected(tmp_path, bytes(flipped))
        assert (found["status"] == "ok") == (found["reason"] is None)
        try:
            plane = read_plane(tmp_path / "a.tif")
        except ImageError:
            continue
        assert found["status"] == "ok"
        # Another type or size can be valid; the field is then refused because its channels differ.
        is_alike = (plane.dtype, plane.shape) == (PIXELS.dtype, PIXELS.shape)
        if is_alike and not np.array_equal(plane, PIXELS):
            wrong.append((place, bit))
    # Not detectable: a missing tag of the predictor, and missing last bits of LZW.
    unseen = {"deflate": (317, range(2)), "lzw": (279, range(8, 12))}
    code, hidden = unseen.get(kind, (256, range(0)))
    assert [(place, bit) for place, bit in wrong if place - tag_place(data, code) not in hidden] == []


@pytest.mark.parametrize("kind", KINDS)
def test_truncation_at_any_byte_gives_a_reason(tmp_path: Path, kind: str) -> None:
    data = encoded(kind)
    for length in np.random.default_rng(0).permutation(len(data))[:60].tolist():
        (tmp_path / "a.tif").write_bytes(data[:length])
        with pytest.raises(ImageError):
            read_plane(tmp_path / "a.tif")
        assert inspect_files(INDEX, tmp_path, workers=1)["status"][0] in {"empty", "truncated", "not_image", "damaged"}


def test_damage_of_one_page_does_not_affect_others(tmp_path: Path) -> None:
    data = encoded("plain", np.stack([PIXELS, PIXELS + 1]))
    damaged = header(patched(data, tag_place(data, 257) + 8, "I", 41))
    assert isinstance(damaged.pages[0].fault, BadFileError)
    assert damaged.page(1).height == 40


def test_smaller_copies_are_not_counted_as_pages(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(PIXELS)
        file.write(PIXELS[::2, ::2], subfiletype=1)
    data = (tmp_path / "a.tif").read_bytes()
    assert [page.is_reduced for page in header(data).pages] == [False, True]
    assert header(data).n_planes == 1


def test_planes_and_channels_that_a_file_declares() -> None:
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.stack([PIXELS] * 3), ome=True, photometric="minisblack", metadata={"axes": "CYX"})
    found = header(stream.getvalue())
    assert (found.n_planes, found.n_channels) == (3, 3)
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.stack([PIXELS] * 5), imagej=True, truncate=True, metadata={"axes": "ZYX"})
    found = header(stream.getvalue())
    assert (len(found.pages), found.n_planes) == (1, 5)
