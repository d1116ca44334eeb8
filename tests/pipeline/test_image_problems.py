"""Files that hold more, or less, than one grey image: what the table ``problem`` lists, and what is read."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import polars as pl
import pytest
import tifffile

from phenoprint.errors import ConfigError, DataError
from phenoprint.images import read_field
from phenoprint.pipeline.config import parse_config
from phenoprint.pipeline.ingest import Ingested, ingest

PLANES = np.stack([np.full((8, 10), value, np.uint16) for value in (5, 9, 7)])
PLANES[:, 0, :5] = np.arange(3)[:, None]


def write(folder: Path, **options: object) -> Path:
    for number, well in enumerate(("A01", "A02")):
        for channel in ("DNA", "GFP"):
            tifffile.imwrite(
                folder / f"{well}_s1_{channel}.tif", PLANES + 20 * number, photometric="minisblack", **options
            )
    return folder


def take(folder: Path, more: str = "") -> Ingested:
    return ingest(parse_config(f'screen.name = "s"\nimages.root = "{folder}"\n{more}'), folder)


def kinds(found: Ingested) -> dict[str, str]:
    return dict(found.problems.select("kind", "detail").iter_rows())


def first_field(found: Ingested, folder: Path) -> np.ndarray:
    rows = found.tables["image"].filter(pl.col("Metadata_Well") == "A01", pl.col("Metadata_Channel") == "DNA")
    return read_field(rows, folder)[0]


def test_which_of_several_pages_is_read_is_said(tmp_path: Path) -> None:
    found = take(write(tmp_path))
    said = kinds(found)["several_pages"]
    assert said.startswith("4 files hold 3 pages each, such as A01_s1_DNA.tif; only page 0 is read: set page = N")
    assert found.problems.filter(pl.col("kind") == "several_pages").height == 1
    assert set(found.tables["image"]["n_planes"]) == {3}
    np.testing.assert_array_equal(first_field(found, tmp_path), PLANES[0])


def test_the_configuration_chooses_a_page_or_the_brightest_of_all(tmp_path: Path) -> None:
    write(tmp_path)
    second = take(tmp_path, "images.page = 1")
    assert "several_pages" not in kinds(second)
    assert set(second.tables["image"]["page"]) == {1}
    np.testing.assert_array_equal(first_field(second, tmp_path), PLANES[1])
    brightest = take(tmp_path, 'images.page = "max"')
    assert "several_pages" not in kinds(brightest)
    assert brightest.tables["image"].select("page", "Metadata_Z").unique().sort("page").rows() == [
        (0, 0),
        (1, 1),
        (2, 2),
    ]
    np.testing.assert_array_equal(first_field(brightest, tmp_path), PLANES.max(axis=0))
    # what steps depend on is another: rows of the image table are their keys
    assert not second.tables["image"].equals(take(tmp_path).tables["image"])


def test_a_page_that_is_not_there_is_the_reason_of_its_file(tmp_path: Path) -> None:
    found = take(write(tmp_path), "images.page = 3")
    assert set(found.tables["image"]["status"]) == {"no_page"}
    assert "page 3 (0-based) was requested, the file has 3 pages" in found.tables["site"]["reason"][0]


def test_all_pages_are_known_from_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = parse_config(f'screen.name = "s"\nimages.root = "{write(tmp_path)}"\nimages.page = "max"')
    before = ingest(config, tmp_path).tables["image"]
    monkeypatch.setattr("phenoprint.images.files._read", None)
    assert ingest(config, tmp_path, known=before).tables["image"].equals(before)


@pytest.mark.parametrize("page", ["-1", '"all"', "1.5"])
def test_pages_that_make_no_sense(page: str) -> None:
    with pytest.raises(ConfigError, match=r"images\.page"):
        parse_config(f'screen.name = "s"\nimages.root = "x"\nimages.page = {page}')


def test_pages_are_the_tables_own_with_load_data() -> None:
    with pytest.raises(ConfigError, match="'page' is for the reader 'pattern'"):
        parse_config('screen.name = "s"\nimages.root = "x"\nimages.reader = "load_data"\nimages.page = 1')


def test_several_channels_in_a_file_are_named_and_never_mixed(tmp_path: Path) -> None:
    write(tmp_path, ome=True, metadata={"axes": "CYX"})
    said = kinds(take(tmp_path))
    assert said["several_channels"].startswith(
        "4 OME-TIFF files hold 3 channels each, such as A01_s1_DNA.tif; 1 of them"
    )
    assert "Frame_<channel>" in said["several_channels"]
    assert "several_pages" not in said
    assert set(take(tmp_path, 'images.page = "max"').tables["image"]["status"]) == {"unsupported"}


def test_frames_of_a_table_read_all_channels_of_a_file(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x.ome.tif", PLANES, ome=True, photometric="minisblack", metadata={"axes": "CYX"})
    columns = [f"{kind}_{name}" for name in ("DNA", "ER", "GFP") for kind in ("FileName", "Frame")]
    line = ",".join(f"x.ome.tif,{page}" for page in range(3))
    (tmp_path / "load_data.csv").write_text(f"{','.join(columns)},Metadata_Well\n{line},A01\n")
    found = take(tmp_path, 'images.reader = "load_data"')
    assert not {"several_channels", "several_pages"} & set(kinds(found))
    rows = found.tables["image"]
    assert read_field(rows, tmp_path, channels=["DNA", "ER", "GFP"])[:, 5, 5].tolist() == [5, 9, 7]


def test_each_fault_of_a_field_has_its_own_reason(tmp_path: Path) -> None:
    grey = np.full((8, 10), 7, np.uint16)
    for well in ("A01", "A02", "A03", "A04", "A05"):
        for channel in ("DNA", "GFP"):
            tifffile.imwrite(tmp_path / f"{well}_s1_{channel}.tif", grey, photometric="minisblack")
    values = grey.astype(np.float32)
    values[0, 0] = np.nan
    tifffile.imwrite(tmp_path / "A01_s1_GFP.tif", values, photometric="minisblack")
    tifffile.imwrite(tmp_path / "A02_s1_GFP.tif", np.stack([grey, grey + 1, grey], -1), photometric="rgb")
    tifffile.imwrite(tmp_path / "A03_s1_GFP.tif", grey[:4], photometric="minisblack")
    tifffile.imwrite(tmp_path / "A04_s1_GFP.tif", grey.astype(np.uint8), photometric="minisblack")
    found = take(tmp_path)
    reasons = dict(found.tables["site"].select("Metadata_Well", "reason").iter_rows())
    assert reasons["A01"].startswith("GFP: 1 of 80 pixels are NaN or infinite")
    assert reasons["A02"].startswith("GFP: a colour image (3 samples per pixel that differ); export each stain")
    assert reasons["A03"] == "sizes differ between the channels: DNA 8 x 10, GFP 4 x 10"
    assert reasons["A04"] == "bit depths differ between the channels: DNA uint16, GFP uint8"
    assert reasons["A05"] is None
    problem = found.problems.filter(pl.col("kind") == "unreadable_file").sort("Metadata_Well")
    assert problem["Metadata_Well"].to_list() == ["A01", "A02"]
    assert "A02_s1_GFP.tif: a colour image" in problem["detail"][1]


def test_pictures_are_read_and_what_is_wrong_with_them_is_said(tmp_path: Path) -> None:
    grey = np.full((16, 16), 7, np.uint8)
    for well in ("A01", "A02"):
        (tmp_path / f"{well}_s1_DNA.jpg").write_bytes(bytes(imagecodecs.jpeg8_encode(grey)))
    found = take(tmp_path)
    assert set(found.tables["image"]["status"]) == {"ok"}
    assert kinds(found)["lossy_images"].startswith("2 files hold JPEG data, such as A01_s1_DNA.jpg")
    for well in ("A01", "A02"):
        tifffile.imwrite(tmp_path / f"{well}_s1_DNA.tif", grey, photometric="minisblack")
    (tmp_path / "holiday.png").write_bytes(b"x")
    found = take(tmp_path, 'images.pattern = "generic"')
    assert found.tables["image"]["path"].to_list() == ["A01_s1_DNA.tif", "A02_s1_DNA.tif"]
    said = kinds(found)
    assert "lossy_images" not in said
    assert said["unmatched_files"] == (
        "image files that are not used: 2 JPEG, 1 PNG, such as A01_s1_DNA.jpg, A02_s1_DNA.jpg, holiday.png; they do "
        "not fit the pattern, or are pictures beside TIFF files"
    )


def test_a_pattern_without_a_match_shows_names(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(
        DataError, match=r"matches none of the 4 image files below .*, such as A01_s1_DNA\.tif, A02_s1_DNA"
    ):
        take(tmp_path, r"images.pattern = '(?P<well>\w+)-(?P<channel>\w+)\.tif'")


@pytest.mark.parametrize("folder", ["http://[::1", "x" * 300, "a\0b", "s3://[", "//host/share"])
def test_folders_of_a_table_that_do_not_exist_are_missing_files(tmp_path: Path, folder: str) -> None:
    (tmp_path / "load_data.csv").write_text(f"FileName_DNA,PathName_DNA,Metadata_Well\na.tif,{folder},A01\n")
    found = take(tmp_path, 'images.reader = "load_data"')
    assert found.tables["image"]["status"][0] in {"missing", "unreadable"}
    assert found.tables["image"]["reason"][0]
