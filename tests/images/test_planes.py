from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from phenoprint.errors import ImageError, SchemaError, UsageError
from phenoprint.images import INDEX_SCHEMA, READERS, read_field, read_plane, rename_channels, write_tiff


def site(*files: tuple[str, str] | tuple[str, str, int, int]) -> pl.DataFrame:
    """Return the rows of one site from (channel, path[, z, t])."""
    rows = [("P", "A01", "1", one[0], *(one[2:] or (0, 0)), one[1], 0) for one in files]
    return pl.DataFrame(rows, schema=INDEX_SCHEMA, orient="row")


def plane(value: int, shape: tuple[int, int] = (4, 6), dtype: type[np.generic] = np.uint16) -> np.ndarray:
    return np.full(shape, value, dtype)


def test_channels_have_the_requested_order(tmp_path: Path) -> None:
    for number, name in enumerate(("a", "b", "c")):
        write_tiff(tmp_path / f"{name}.tif", plane(number))
    rows = site(("ER", "a.tif"), ("DNA", "b.tif"), ("AGP", "c.tif"))
    assert read_field(rows, tmp_path, channels=["ER", "DNA"])[:, 0, 0].tolist() == [0, 1]
    assert read_field(rows, tmp_path)[:, 0, 0].tolist() == [2, 1, 0]
    assert read_field(rows, tmp_path, channels=["AGP"]).shape == (1, 4, 6)
    assert read_field(rows.reverse(), tmp_path, channels=["ER", "DNA"])[:, 0, 0].tolist() == [0, 1]


def test_z_planes_are_projected_and_the_first_time_point_is_read(tmp_path: Path) -> None:
    for name, value in (("z1", 5), ("z2", 9), ("z3", 7), ("late", 99)):
        write_tiff(tmp_path / f"{name}.tif", plane(value))
    rows = site(("DNA", "late.tif", 1, 2), ("DNA", "z1.tif", 1, 1), ("DNA", "z2.tif", 2, 1), ("DNA", "z3.tif", 3, 1))
    assert read_field(rows, tmp_path).max() == 9


def test_pages_of_one_file_are_channels(tmp_path: Path) -> None:
    write_tiff(tmp_path / "stack.tif", np.stack([plane(1), plane(2)]))
    rows = site(("DNA", "stack.tif"), ("ER", "stack.tif")).with_columns(page=pl.Series([0, 1], dtype=pl.Int32))
    assert read_field(rows, tmp_path)[:, 0, 0].tolist() == [1, 2]


@pytest.mark.parametrize("compression", [None, "zlib"])
@given(
    pixels=hnp.arrays(
        st.sampled_from([np.uint8, np.uint16, np.int32, np.uint32, np.float32]),
        st.tuples(st.integers(1, 3), st.integers(1, 20), st.integers(1, 20)),
        elements=st.integers(0, 255),
    )
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, compression: str | None, pixels: np.ndarray
) -> None:
    path = tmp_path_factory.mktemp("t") / "a.tif"
    write_tiff(path, pixels, compression=compression)
    for page, one in enumerate(pixels):
        back = read_plane(path, page=page)
        assert back.dtype == pixels.dtype
        np.testing.assert_array_equal(back, one)
    assert [file.name for file in path.parent.iterdir()] == ["a.tif"]


def test_palette_files_give_their_indices(tmp_path: Path) -> None:
    values = np.arange(24, dtype=np.uint8).reshape(4, 6)
    palette = np.random.default_rng(0).integers(0, 65535, (3, 256), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "p.tif", values, photometric="palette", colormap=palette)
    np.testing.assert_array_equal(read_plane(tmp_path / "p.tif"), values)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_grey_saved_as_rgb_is_grey_and_colour_is_refused(tmp_path: Path, planar: str) -> None:
    grey = np.arange(24, dtype=np.uint8).reshape(4, 6)
    axis = -1 if planar == "contig" else 0
    tifffile.imwrite(tmp_path / "g.tif", np.stack([grey] * 3, axis), photometric="rgb", planarconfig=planar)
    np.testing.assert_array_equal(read_plane(tmp_path / "g.tif"), grey)
    tifffile.imwrite(tmp_path / "c.tif", np.stack([grey, grey, grey + 1], axis), photometric="rgb", planarconfig=planar)
    with pytest.raises(ImageError, match=r"c\.tif: a colour image .* export each stain as its own grey image"):
        read_plane(tmp_path / "c.tif")


def test_channels_of_different_shape_name_both_files(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", plane(1, (4, 6)))
    write_tiff(tmp_path / "b.tif", plane(1, (8, 6)))
    said = r"plate P well A01 site 1: a\.tif has 4 x 6 pixels, b\.tif has 8 x 6"
    with pytest.raises(ImageError, match=said):
        read_field(site(("ER", "a.tif"), ("DNA", "b.tif")), tmp_path)


def test_channels_of_different_depth_name_both_files(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", plane(1, dtype=np.uint8))
    write_tiff(tmp_path / "b.tif", plane(1))
    with pytest.raises(ImageError, match=r"a\.tif holds uint8, b\.tif holds uint16"):
        read_field(site(("ER", "a.tif"), ("DNA", "b.tif")), tmp_path)


def test_the_error_of_a_missing_channel_lists_the_channels(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", plane(1))
    with pytest.raises(ImageError, match="no file of channel AGP, Mito; there are: DNA"):
        read_field(site(("DNA", "a.tif")), tmp_path, channels=["DNA", "AGP", "Mito"])


def test_two_files_of_one_plane_are_an_error(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", plane(1))
    write_tiff(tmp_path / "b.tif", plane(2))
    with pytest.raises(ImageError, match=r"2 files claim channel DNA: a\.tif, b\.tif"):
        read_field(site(("DNA", "a.tif"), ("DNA", "b.tif")), tmp_path)


def test_several_sites_are_an_error(tmp_path: Path) -> None:
    rows = pl.concat([site(("DNA", "a.tif")), site(("DNA", "b.tif")).with_columns(Metadata_Site=pl.lit("2"))])
    with pytest.raises(ImageError, match="reads one site, the rows hold 2"):
        read_field(rows, tmp_path)
    with pytest.raises(ImageError, match="no image to read"):
        read_field(rows.clear(), tmp_path)
    with pytest.raises(SchemaError, match="path is missing"):
        read_field(rows.drop("path"), tmp_path)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "does not exist"),
        (b"", "the file is empty"),
        (b"hello there", "not a TIFF, PNG or JPEG file but text"),
        (b"II*\x00\x08\x00", "truncated: 6 of at least 8 bytes"),
    ],
)
def test_errors_of_bad_files_have_path_and_advice(tmp_path: Path, data: bytes | None, said: str) -> None:
    path = tmp_path / "a.tif"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ImageError, match=said) as caught:
        read_field(site(("DNA", "a.tif")), tmp_path)
    assert str(path) in str(caught.value)
    assert "copy" in str(caught.value)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("kept", [0.3, 0.9, 0.999])
def test_truncated_files_never_give_pixels(tmp_path: Path, compression: str | None, kept: float) -> None:
    path = tmp_path / "a.tif"
    write_tiff(path, np.random.default_rng(0).integers(0, 999, (64, 64), dtype=np.uint16), compression=compression)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(ImageError, match=r"a\.tif"):
        read_plane(path)


def test_folders_missing_pages_and_nan_are_errors(tmp_path: Path) -> None:
    (tmp_path / "d.tif").mkdir()
    with pytest.raises(ImageError, match="a folder where an image file was expected"):
        read_plane(tmp_path / "d.tif")
    write_tiff(tmp_path / "a.tif", plane(1))
    with pytest.raises(ImageError, match=r"page 2 \(0-based\) was requested, the file has 1 pages"):
        read_plane(tmp_path / "a.tif", page=2)
    tifffile.imwrite(tmp_path / "n.tif", np.array([[0.5, np.nan]], np.float32))
    with pytest.raises(ImageError, match="1 of 2 pixels are NaN or infinite"):
        read_plane(tmp_path / "n.tif")


def test_images_one_pixel_high_are_planes(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", np.arange(7, dtype=np.uint8).reshape(1, 7))
    assert read_plane(tmp_path / "a.tif").shape == (1, 7)


def test_a_full_disk_leaves_no_partial_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a.tif"
    write_tiff(target, plane(1))
    before = target.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ImageError, match=r"cannot write .*a\.tif: No space left on device; free space"):
        write_tiff(target, plane(2))
    assert target.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.tif"]


def test_a_missing_folder_and_wrong_shapes_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="cannot write"):
        write_tiff(tmp_path / "missing" / "a.tif", plane(1))
    with pytest.raises(UsageError, match="not an array of shape"):
        write_tiff(tmp_path / "a.tif", np.zeros(3, np.uint8))


@pytest.mark.real
def test_bbbc013_gives_the_raw_palette_values(real_data: Path) -> None:
    root = real_data / "bbbc013"
    index = rename_channels(
        READERS.make("pattern").index(root), {"Channel1": "GFP", "Channel2": "DNA"}, where="the folder"
    )
    rows = index.filter(pl.col("Metadata_Well") == "C07")
    field = read_field(rows, root, channels=["DNA", "GFP"])
    assert (field.shape, field.dtype) == ((2, 640, 640), np.uint8)
    with tifffile.TiffFile(root / "images" / "Channel2-31-C-07.tif") as file:
        np.testing.assert_array_equal(field[0], file.pages[0].asarray())


@pytest.mark.real
def test_a_stack_is_read_by_maximum_projection(real_data: Path) -> None:
    root = real_data / "imagexpress_3434"
    index = READERS.make("pattern").index(root)
    rows = index.filter((pl.col("Metadata_Well") == "B02") & (pl.col("Metadata_Site") == "1"))
    field = read_field(rows, root, channels=["w1"])
    planes = [tifffile.imread(root / path) for path in rows.filter(pl.col("Metadata_Channel") == "w1")["path"]]
    assert len(planes) == 3
    np.testing.assert_array_equal(field[0], np.max(planes, axis=0))
