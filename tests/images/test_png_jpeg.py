"""PNG and JPEG files are read like TIFF files."""

from __future__ import annotations

import contextlib
from pathlib import Path

import imagecodecs
import numpy as np
import polars as pl
import pytest

from phenoprint.errors import ImageError
from phenoprint.images import INDEX_SCHEMA, READERS, inspect_files, read_field, read_plane, write_tiff

RANDOM = np.random.default_rng(0)
GREY16 = RANDOM.integers(0, 65535, (24, 30), dtype=np.uint16)
GREY8 = (GREY16 >> 8).astype(np.uint8)


def inspected(folder: Path, name: str) -> dict[str, object]:
    index = pl.DataFrame([("P", "A01", "1", "DNA", 0, 0, name, 0)], schema=INDEX_SCHEMA, orient="row")
    return inspect_files(index, folder, workers=1).row(0, named=True)


def png(pixels: np.ndarray) -> bytes:
    return bytes(imagecodecs.png_encode(pixels))


@pytest.mark.parametrize("pixels", [GREY8, GREY16], ids=["8", "16"])
@pytest.mark.parametrize("samples", ["grey", "rgb", "rgba", "grey and alpha"])
def test_grey_png_of_every_kind(tmp_path: Path, pixels: np.ndarray, samples: str) -> None:
    alpha = np.full_like(pixels, np.iinfo(pixels.dtype).max)
    stack = {"grey": [pixels], "rgb": [pixels] * 3, "rgba": [*[pixels] * 3, alpha], "grey and alpha": [pixels, alpha]}
    (tmp_path / "a.png").write_bytes(png(np.squeeze(np.stack(stack[samples], -1))))
    found = inspected(tmp_path, "a.png")
    assert (found["status"], found["height"], found["width"], found["dtype"]) == ("ok", 24, 30, str(pixels.dtype))
    assert (found["n_planes"], found["n_channels"]) == (1, 1)
    plane = read_plane(tmp_path / "a.png")
    assert plane.dtype == pixels.dtype
    np.testing.assert_array_equal(plane, pixels)


def test_a_grey_jpeg_is_read(tmp_path: Path) -> None:
    smooth = np.add.outer(np.arange(64), np.arange(48)).astype(np.uint8)
    (tmp_path / "a.jpg").write_bytes(bytes(imagecodecs.jpeg8_encode(smooth, level=95)))
    found = inspected(tmp_path, "a.jpg")
    assert (found["status"], found["height"], found["width"], found["dtype"]) == ("ok", 64, 48, "uint8")
    np.testing.assert_allclose(read_plane(tmp_path / "a.jpg").astype(int), smooth.astype(int), atol=3)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
def test_colour_images_have_a_status_with_advice(tmp_path: Path, name: str) -> None:
    import tifffile

    colours = np.stack([GREY8, GREY8[::-1], GREY8], -1)
    if name == "a.tif":
        tifffile.imwrite(tmp_path / name, colours, photometric="rgb")
    else:
        encode = imagecodecs.png_encode if name == "a.png" else imagecodecs.jpeg8_encode
        (tmp_path / name).write_bytes(bytes(encode(colours)))
    found = inspected(tmp_path, name)
    assert found["status"] == "colour"
    assert "export each stain as its own grey image" in str(found["reason"])
    assert found["pixel_hash"] is None
    with pytest.raises(ImageError, match="a colour image"):
        read_plane(tmp_path / name)


def test_nan_pixels_have_a_status(tmp_path: Path) -> None:
    values = np.ones((8, 9), np.float32)
    values[2, 3] = np.nan
    write_tiff(tmp_path / "a.tif", values)
    found = inspected(tmp_path, "a.tif")
    assert found["status"] == "not_finite"
    assert str(found["reason"]).startswith("1 of 72 pixels are NaN or infinite")
    write_tiff(tmp_path / "a.tif", np.ones((8, 9), np.float32))
    assert inspected(tmp_path, "a.tif")["status"] == "ok"


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_damaged_files_are_detected_quickly(tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    whole = png(GREY8) if kind == "png" else bytes(imagecodecs.jpeg8_encode(GREY8))
    path = tmp_path / f"a.{kind}"
    for length in RANDOM.permutation(len(whole) - 1)[:80].tolist():
        path.write_bytes(whole[:length])
        assert inspected(tmp_path, path.name)["status"] in {"empty", "truncated", "damaged", "not_image"}
        with pytest.raises(ImageError):
            read_plane(path)
    for place in RANDOM.permutation(len(whole))[:300].tolist():
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(RANDOM.integers(8))
        path.write_bytes(bytes(flipped))
        found = inspected(tmp_path, path.name)
        assert (found["status"] == "ok") == (found["reason"] is None)
        if kind == "png":  # every chunk of a PNG has a checksum; JPEG has none
            assert found["status"] != "ok"
        with contextlib.suppress(ImageError):
            assert read_plane(path).dtype == np.uint8
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")


def test_the_same_pixels_in_png_and_tiff_are_the_same_field(tmp_path: Path) -> None:
    for channel, pixels in (("DNA", GREY16), ("GFP", GREY16[::-1])):
        (tmp_path / f"A01_s1_{channel}.png").write_bytes(png(pixels))
        write_tiff(tmp_path / f"B01_s1_{channel}.tif", pixels)
    pictures = READERS.make("pattern", pattern=r"(?P<well>\w+)_s(?P<site>1)_(?P<channel>\w+)\.png").index(tmp_path)
    files = READERS.make("pattern", pattern="generic").index(tmp_path)
    assert files["Metadata_Well"].unique().to_list() == ["B01"]
    np.testing.assert_array_equal(read_field(pictures, tmp_path), read_field(files, tmp_path))
