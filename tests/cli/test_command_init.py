"""``phenoprint init``: what it prints about a folder, and what it writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from phenoprint.images import write_tiff
from phenoprint.pipeline.config import load_config

GREY = np.arange(24 * 20, dtype=np.uint16).reshape(24, 20)


@pytest.fixture
def init(call: Callable[..., tuple[int, str, str]], columns: Callable[[int], None]):
    """Return a function that runs ``phenoprint init`` and gives exit code, standard output and standard error."""
    columns(200)
    return partial(call, "init")


def odd_names(folder: Path) -> Path:
    for well in ("A01", "A02"):
        for number, channel in enumerate(("DNA", "GFP")):
            write_tiff(folder / f"x--{well}--1--{channel}.tif", GREY + 7 * number + len(well))
    return folder


def test_names_that_nothing_explains_are_shown_and_a_pattern_reads_them(init, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    odd_names(folder)
    code, _, err = init(folder, "-o", tmp_path / "s")
    assert code == 1
    assert "such as x--A01--1--DNA.tif, x--A02--1--DNA.tif, x--A02--1--GFP.tif" in err
    assert "phenoprint init --pattern" in err
    assert not (tmp_path / "s").exists()
    pattern = r"x--(?P<well>\w+)--(?P<site>\d+)--(?P<channel>\w+)\.tif"
    code, out, err = init(folder, "-o", tmp_path / "s", "--pattern", pattern)
    assert code == 0
    assert "4 images read as pattern" in out
    assert "Hash images" in err
    text = (tmp_path / "s" / "screen.toml").read_text()
    assert f"pattern = '{pattern}'" in text
    section = load_config(tmp_path / "s" / "screen.toml").need_images()
    assert section.pattern == pattern
    assert dict(section.channels) == {"DNA": "DNA", "GFP": "GFP"}


def test_a_wrong_pattern_is_wrong_usage_or_shows_names(init, tmp_path: Path) -> None:
    odd_names(tmp_path)
    code, _, err = init(tmp_path, "-o", tmp_path / "s", "--pattern", r"(?P<channel>\w+)\.tif")
    assert code == 2
    assert "names no well" in err
    code, _, err = init(tmp_path, "-o", tmp_path / "s", "--pattern", r"(?P<well>\w+)_(?P<channel>\w+)\.tif")
    assert code == 1
    assert "matches none of the 4 image files" in err
    assert "x--A01--1--DNA.tif" in err


def test_pictures_are_read_and_other_formats_are_named(init, tmp_path: Path) -> None:
    for well in ("A01", "A02"):
        (tmp_path / f"{well}_s1_DNA.png").write_bytes(bytes(imagecodecs.png_encode(GREY + len(well))))
    (tmp_path / "raw.czi").write_bytes(b"x")
    code, out, _ = init(tmp_path, "-o", tmp_path / "s", "--json")
    said = json.loads(out)
    assert code == 0
    assert said["channels"] == ["DNA"]
    assert [one["kind"] for one in said["not_read"]] == ["Zeiss CZI"]
    _, out, _ = init(tmp_path, "-o", tmp_path / "s", "--force")
    assert "not read  1 x Zeiss CZI, such as raw.czi: export one TIFF per well, field and channel from ZEN" in out


def test_for_a_folder_without_images_its_contents_are_listed(init, tmp_path: Path) -> None:
    (tmp_path / "plate.ome.zarr").mkdir()
    (tmp_path / "plate.ome.zarr" / ".zattrs").write_text("{}")
    code, _, err = init(tmp_path, "-o", tmp_path / "s")
    assert code == 1
    assert "no TIFF, PNG or JPEG file" in err
    assert "1 x OME-Zarr, such as plate.ome.zarr: not supported" in err
