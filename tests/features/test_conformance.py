"""Equality with what CellProfiler 4.2.8 printed, and with cp_measure on new masks."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from phenoprint.features import measure

pytest.importorskip("tifffile")


@pytest.fixture(scope="module")
def report(reference_data: Path, project_root: Path) -> pl.DataFrame:
    path = project_root / "tests" / "benchmarks" / "conformance.py"
    spec = importlib.util.spec_from_file_location("conformance", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.conformance(reference_data)


@pytest.mark.real
def test_every_feature_of_cellprofiler_is_there(report: pl.DataFrame) -> None:
    assert report.filter(~pl.col("present"))["feature"].to_list() == []
    counts = dict(report.group_by("compartment").len().iter_rows())
    assert counts.pop("Image") == 1525
    assert sum(counts.values()) == 7438


@pytest.mark.real
def test_every_value_agrees_within_tolerance(report: pl.DataFrame) -> None:
    # A handful of pixels may fall either way on another processor; a feature that is wrong fails for many cells.
    assert report["share"].min() >= 0.95
    by_family = report.group_by("family").agg(pl.col("share").mean(), (pl.col("share") == 1).mean().alias("equal"))
    assert by_family["share"].min() >= 0.999
    assert by_family["equal"].min() >= 0.99


@pytest.mark.real
def test_every_feature_correlates(report: pl.DataFrame) -> None:
    assert report["r"].min() >= 0.999


@pytest.fixture(scope="module")
def frame(pixels: np.ndarray, labels: dict[str, np.ndarray], channels: list[str]) -> pl.DataFrame:
    return measure(pixels, labels, channels=channels)


def columns(frame: pl.DataFrame, name: str, rows: slice) -> np.ndarray:
    return frame[f"Cells_{name}"].cast(pl.Float64).to_numpy()[rows]


# The one-pixel and the one-row cell are left out: cp_measure warns and crashes on some of them.
BIG = slice(0, 5)


@pytest.fixture(scope="module")
def big_labels(labels: dict[str, np.ndarray]) -> np.ndarray:
    return np.where(labels["Cells"] <= 5, labels["Cells"], 0)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("scale", [3, 5])
def test_texture_agrees_with_cp_measure(
    frame: pl.DataFrame, pixels: np.ndarray, big_labels: np.ndarray, scale: int
) -> None:
    oracle = pytest.importorskip("cp_measure.core.measuretexture")
    unit = (pixels[1] / 65535).astype(np.float32)
    for name, expected in oracle.get_texture(big_labels, unit, scale=scale).items():
        measure_name, rest = name.split("_", 1)
        found = columns(frame, f"Texture_{measure_name}_ER_{rest}", BIG)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.filterwarnings("ignore")
def test_granularity_agrees_with_cp_measure(frame: pl.DataFrame, pixels: np.ndarray, big_labels: np.ndarray) -> None:
    oracle = pytest.importorskip("cp_measure.core.measuregranularity")
    unit = pixels[0] / 65535
    for name, expected in oracle.get_granularity(big_labels, unit).items():
        np.testing.assert_allclose(columns(frame, f"{name}_DNA", BIG), expected, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.filterwarnings("ignore")
def test_zernikes_agree_with_cp_measure(frame: pl.DataFrame, pixels: np.ndarray, big_labels: np.ndarray) -> None:
    shape = pytest.importorskip("cp_measure.core.measureobjectsizeshape")
    radial = pytest.importorskip("cp_measure.core.measureobjectintensitydistribution")
    unit = pixels[2] / 65535
    for name, expected in shape.get_zernike(big_labels, unit).items():
        np.testing.assert_allclose(
            columns(frame, f"AreaShape_{name}", BIG), expected, rtol=1e-4, atol=1e-6, err_msg=name
        )
    for name, expected in radial.get_radial_zernikes(big_labels, unit).items():
        if "Magnitude" in name:
            kind, n, m = name.rsplit("_", 2)
            found = columns(frame, f"{kind}_RNA_{n}_{m}", BIG)
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6, err_msg=name)
