"""Data sets by manifest: fetching verifies, resumes, and names what is missing."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from phenoprint.errors import DataError, UnknownNameError, UsageError
from phenoprint.pipeline import datasets
from phenoprint.pipeline.datasets import (
    dataset_folder,
    fetch_dataset,
    layout_frame,
    list_manifests,
    load_manifest,
    verify_dataset,
)

MANIFEST = """
name = "toy"
title = "Two files"
description = "For tests."
license = "CC0-1.0"
citation = "none"
homepage = "https://example.org"
plate_format = 6
plates = ["T"]
[channels]
DNA = "c1"
[[layout]]
rows = "A-B"
columns = "1-2"
pert_type = "trt"
compound = "x"
concentrations = [1, 2]
unit = "nM"
[files]
"a.txt" = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
"sub/b.txt" = "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d"
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A manifest of two files, a mirror that holds them, and a home of its own."""
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    (manifests / "toy.toml").write_text(MANIFEST)
    monkeypatch.setattr(datasets, "_manifest_folder", lambda: manifests)
    monkeypatch.setenv("PHENOPRINT_HOME", str(tmp_path / "home"))
    mirror = tmp_path / "mirror"
    (mirror / "toy" / "sub").mkdir(parents=True)
    (mirror / "toy" / "a.txt").write_text("a")
    (mirror / "toy" / "sub" / "b.txt").write_text("b")
    return mirror


def test_fetch_places_verifies_and_resumes(toy: Path) -> None:
    first = fetch_dataset("toy", mirror=toy)
    assert (first.placed, first.held) == (2, 0)
    (first.folder / "a.txt").write_text("broken")
    assert verify_dataset("toy") == {"a.txt": "changed: sha256 differs from the manifest"}
    again = fetch_dataset("toy", mirror=toy)
    assert (again.placed, again.held) == (1, 1)
    assert verify_dataset("toy") == {}
    assert dataset_folder("toy") == first.folder


def test_plate_map_is_written_beside_the_files(toy: Path) -> None:
    folder = fetch_dataset("toy", mirror=toy).folder
    written = pl.read_csv(folder / "platemap.csv")
    assert written["Metadata_Well"].to_list() == ["A01", "A02", "B01", "B02"]
    assert written["Metadata_Concentration"].to_list() == [1, 2, 1, 2]


def test_wrong_content_is_refused(toy: Path) -> None:
    (toy / "toy" / "a.txt").write_text("other")
    with pytest.raises(DataError, match="sha256"):
        fetch_dataset("toy", mirror=toy)
    assert not list(datasets.phenoprint_home().rglob("a.txt*"))


def test_missing_file_and_mirror_are_named(toy: Path, tmp_path: Path) -> None:
    (toy / "toy" / "sub" / "b.txt").unlink()
    with pytest.raises(DataError, match=r"b\.txt is missing"):
        fetch_dataset("toy", mirror=toy)
    with pytest.raises(UsageError, match="not a folder"):
        fetch_dataset("toy", mirror=tmp_path / "no_folder")


def test_without_address_the_mirror_is_asked_for(toy: Path) -> None:
    with pytest.raises(UsageError, match="--mirror"):
        fetch_dataset("toy")


def test_the_error_for_absent_data_names_the_command_to_fetch_them(toy: Path) -> None:
    with pytest.raises(UsageError, match="phenoprint data fetch toy"):
        dataset_folder("toy")


def test_unknown_name_offers_the_close_one() -> None:
    with pytest.raises(UnknownNameError, match="bbbc013"):
        load_manifest("bbbc13")


def test_overlapping_layout_is_an_error() -> None:
    manifest = load_manifest("bbbc013")
    twice = manifest.model_copy(update={"layout": (*manifest.layout, manifest.layout[0])})
    with pytest.raises(DataError, match="A01"):
        layout_frame(twice)


@pytest.mark.parametrize("name", list_manifests())
def test_every_manifest_is_sound(name: str) -> None:
    manifest = load_manifest(name)
    assert manifest.name == name
    assert all(len(digest) == 64 for digest in manifest.files.values())
    wells = layout_frame(manifest)
    assert wells.height <= manifest.plate_format * max(1, len(manifest.plates))


def test_bbbc013_layout_is_the_published_one() -> None:
    wells = layout_frame(load_manifest("bbbc013"))
    counts = dict(wells.group_by("Metadata_pert_type").len().iter_rows())
    assert counts == {"trt": 72, "negcon": 12, "poscon": 8, "empty": 4}
    conflict = wells.filter(pl.col("Metadata_Well").is_in(["E01", "F01", "G01", "H01"]))
    assert conflict["Metadata_pert_type"].unique().to_list() == ["poscon"]
    assert conflict["Metadata_Concentration"].null_count() == 4
