"""A simulated screen on disk: image files, a plate map and the truth, the same for any number of workers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tifffile

import phenoprint
from phenoprint.images import detect_layout
from phenoprint.pipeline import RunResult, SimulatedScreen, load_config, truth_found
from phenoprint.simulation import draw_field, tiny_design


def test_image_files_are_like_those_of_a_microscope(tiny_images: SimulatedScreen) -> None:
    files = sorted(path.name for path in (tiny_images.images / "SIM-P01").iterdir())
    assert len(files) == 24 * 5
    assert files[0] == "A01_s1_AGP.tif"
    pixels = tifffile.imread(tiny_images.images / "SIM-P01" / "A01_s1_DNA.tif")
    assert (pixels.dtype, pixels.shape) == (np.uint16, (160, 160))
    drawn = draw_field(tiny_design(seed=1), "SIM-P01", "A01", "1")
    np.testing.assert_array_equal(pixels, drawn.pixels[0])


def test_the_layout_of_the_files_is_recognised(tiny_images: SimulatedScreen) -> None:
    best = detect_layout(tiny_images.images).best
    assert (best.n_matched, best.n_unmatched, best.plates) == (120, 0, ["SIM-P01"])


def test_the_truth_agrees_with_the_images(tiny_images: SimulatedScreen) -> None:
    cells = pl.read_parquet(tiny_images.truth / "cells.parquet")
    masks = [tifffile.imread(path) for path in sorted((tiny_images.truth / "masks").rglob("*.tif"))]
    assert len(masks) == 24
    assert cells.height == sum(int(len(np.unique(mask[1])) - 1) for mask in masks)
    assert {"wells", "compounds", "fields", "cells"} == {path.stem for path in tiny_images.truth.glob("*.parquet")}


def test_the_plate_map_does_not_contain_the_truth(tiny_images: SimulatedScreen) -> None:
    header = tiny_images.plate_map.read_text().splitlines()[0]
    assert header == "plate,well,pert_type,compound,concentration,unit,moa"
    assert load_config(tiny_images.config).plate_map.files == ["platemap.csv"]


@pytest.mark.slow
def test_workers_do_not_change_a_pixel(tiny_images: SimulatedScreen, tmp_path: Path) -> None:
    again = phenoprint.simulate(tmp_path / "two", design=tiny_design(seed=1), workers=2)
    for path in sorted(tiny_images.images.rglob("*.tif"))[::7]:
        assert path.read_bytes() == (again.images / path.relative_to(tiny_images.images)).read_bytes()


def test_calls_are_counted_against_the_truth(tiny_run: RunResult, tiny_images: SimulatedScreen) -> None:
    found = {row["group"]: row for row in truth_found(tiny_run.screen, tiny_images.truth).iter_rows(named=True)}
    wells = pl.read_parquet(tiny_images.truth / "wells.parquet").filter(
        pl.col("Metadata_compound").str.contains(r"^PHN-\d")
    )
    treatments = wells.unique(["Metadata_compound", "Metadata_Concentration"])
    assert found["strong"]["n"] + found["weak"]["n"] == (treatments["effect"] >= 0.1).sum()
    assert found["inert"]["n"] == treatments["mechanism"].is_null().sum() == 2
    assert (found["active compounds"]["n"], found["inert compounds"]["n"]) == (8, 1)
    active = tiny_run.screen.table("activity").filter(pl.col("below_corrected_p")).collect()["Metadata_perturbation"]
    tested = [name for name in active if not name.startswith("PHN-REF")]
    assert sum(found[group]["found"] for group in ("strong", "weak", "inert")) == len(tested)
