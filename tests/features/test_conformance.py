"""Agreement with values of CellProfiler 4.2.8, and with cp_measure on new masks."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import ndimage

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
def test_every_feature_of_cellprofiler_is_measured(report: pl.DataFrame) -> None:
    assert report.filter(~pl.col("present"))["feature"].to_list() == []
    counts = dict(report.group_by("compartment").len().iter_rows())
    assert counts.pop("Image") == 1525
    assert sum(counts.values()) == 7438


@pytest.mark.real
def test_every_value_agrees_within_tolerance(report: pl.DataFrame) -> None:
    # Rounding on another processor may change a few pixels; a wrong feature differs for many cells.
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


# Without the one-pixel and the one-row cell, on which cp_measure warns or crashes.
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


# A real field of Schwann cells on new masks. By function of cp_measure 0.3: the prefix that its names lack,
# the position of the channel in our names, and the omitted measures. Known differences (ours follow CellProfiler):
# - of several equal brightest pixels it takes the first; CellProfiler's choice depends on its sort;
# - likewise the centre of an object with several innermost pixels, and thereby the radial bins (no ties here);
# - quartiles need legacy=True, by default they are those of numpy;
# - RWC ranks the pixels of each object; CellProfiler ranks those of all objects together;
# - Costes' regression uses the pixels of each object; CellProfiler's uses the whole image with its background.
ORACLE = {
    "sizeshape": ("AreaShape_", None, ("AreaShape_FilledArea", "AreaShape_PerimeterCrofton")),
    "zernike": ("AreaShape_", None, ()),
    "feret": ("AreaShape_", None, ()),
    "intensity": ("", 3, ("Location_MaxIntensity_X", "Location_MaxIntensity_Y")),
    "texture": ("Texture_", 2, ()),
    "granularity": ("", 2, ()),
    "radial_distribution": ("", 2, ()),
    "radial_zernikes": ("", 2, ()),
}


@pytest.fixture(scope="module")
def schwann(real_data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return two channels of a part of a field, as float32, and its brightest regions as objects."""
    tifffile = pytest.importorskip("tifffile")
    folder = real_data / "nf1_schwann" / "Plate_2_images"
    names = ("D7_01_1_1_DAPI_001.tif", "D7_01_2_1_GFP_001.tif")
    planes = np.stack([tifffile.imread(folder / name)[150:650, 200:800] for name in names])
    smooth = ndimage.gaussian_filter(planes[1].astype(float), 4)
    objects, _ = ndimage.label(smooth > np.percentile(smooth, 80))
    area = np.bincount(objects.ravel())
    kept = (area > 600) & (np.arange(len(area)) > 0)
    return (planes / 65535).astype(np.float32), np.where(kept, np.cumsum(kept), 0).astype(np.int32)[objects]


@pytest.fixture(scope="module")
def schwann_frame(schwann: tuple[np.ndarray, np.ndarray]) -> pl.DataFrame:
    planes, labels = schwann
    return measure(planes, {"Nuclei": 0 * labels, "Cells": labels}, channels=["DNA", "ER"])


@pytest.mark.real
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("function", sorted(ORACLE))
def test_new_masks_agree_with_cp_measure(
    schwann: tuple[np.ndarray, np.ndarray], schwann_frame: pl.DataFrame, function: str
) -> None:
    bulk = pytest.importorskip("cp_measure.bulk")
    planes, labels = schwann
    prefix, place, left_out = ORACLE[function]
    assert schwann_frame.height >= 5
    compared = 0
    for name, expected in bulk.get_core_measurements(legacy=True)[function](labels, planes[0].astype(float)).items():
        parts = f"{prefix}{name}".split("_")
        if "_".join(parts) in left_out:
            continue
        if place is not None:
            parts.insert(place, "DNA")
        found = columns(schwann_frame, "_".join(parts), slice(None))
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6, err_msg=name)
        compared += 1
    assert compared >= {"feret": 2, "radial_distribution": 12, "granularity": 16}.get(function, 19)


@pytest.mark.real
@pytest.mark.filterwarnings("ignore")
def test_colocalization_of_new_masks_agrees_with_cp_measure_except_for_ranks_and_regression(
    schwann: tuple[np.ndarray, np.ndarray], schwann_frame: pl.DataFrame
) -> None:
    bulk = pytest.importorskip("cp_measure.bulk")
    planes, labels = schwann
    oracle = bulk.get_correlation_measurements()
    pearson = oracle["pearson"](*planes, labels)["Correlation_Pearson"]
    np.testing.assert_allclose(
        columns(schwann_frame, "Correlation_Correlation_DNA_ER", slice(None)), pearson, rtol=1e-4
    )
    manders = oracle["manders_fold"](*planes, labels)
    rwc = oracle["rwc"](*planes, labels)
    costes = oracle["costes"](*planes, labels, scale_max=65535)
    for direction, pair in (("1", "DNA_ER"), ("2", "ER_DNA")):
        found = columns(schwann_frame, f"Correlation_Manders_{pair}", slice(None))
        np.testing.assert_allclose(found, manders[f"Correlation_Manders_{direction}"], rtol=1e-4)
        for name, other in (("RWC", rwc), ("Costes", costes)):
            found = columns(schwann_frame, f"Correlation_{name}_{pair}", slice(None))
            assert not np.allclose(found, other[f"Correlation_{name}_{direction}"], rtol=1e-3)
        for number in (1, 4):  # alone, it has the pixels of all objects
            alone = (labels == number).astype(np.int32)
            single = measure(planes, {"Nuclei": 0 * alone, "Cells": alone}, channels=["DNA", "ER"])
            found = columns(single, f"Correlation_RWC_{pair}", slice(None))
            np.testing.assert_allclose(found, rwc[f"Correlation_RWC_{direction}"][number - 1], rtol=1e-4)
