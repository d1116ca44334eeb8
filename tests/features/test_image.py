"""Whole images: CellProfiler's Image_ measurements."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import UsageError
from phenoprint.features import feature_dictionary, measure, measure_field, presets
from phenoprint.features.granularity import Granularity
from phenoprint.features.imagequality import ImageQuality
from phenoprint.features.intensity import Intensity
from phenoprint.features.texture import Texture


@pytest.fixture(scope="module")
def row(pixels: np.ndarray, labels: dict[str, np.ndarray], channels: list[str]) -> dict[str, float | None]:
    return measure_field(pixels, labels, channels=channels)[1].row(0, named=True)


def test_intensity_agrees_with_numpy(row: dict[str, float], pixels: np.ndarray, channels: list[str]) -> None:
    for channel, plane in zip(channels, pixels / 65535, strict=True):
        median = np.median(plane)
        for name, expected in {
            "TotalIntensity": plane.sum(),
            "MeanIntensity": plane.mean(),
            "MedianIntensity": median,
            "StdIntensity": plane.std(),
            "MADIntensity": np.median(np.abs(plane - median)),
            "MaxIntensity": plane.max(),
            "MinIntensity": plane.min(),
            "TotalArea": plane.size,
            "PercentMaximal": 100 * (plane == plane.max()).mean(),
            "LowerQuartileIntensity": np.percentile(plane, 25),
            "UpperQuartileIntensity": np.percentile(plane, 75),
        }.items():
            assert row[f"Image_Intensity_{name}_{channel}"] == pytest.approx(expected, rel=1e-5), name


def test_the_median_of_an_even_number_of_pixels_is_interpolated(labels: dict[str, np.ndarray]) -> None:
    plane = np.array([[[0.0, 0.125], [0.5, 1.0]]])
    both = {name: np.zeros((2, 2), int) for name in labels}
    row = measure_field(plane, both, channels=["A"], preset="minimal")[1].row(0, named=True)
    assert row["Image_Intensity_MedianIntensity_A"] == pytest.approx(0.3125)
    assert row["Image_Intensity_MADIntensity_A"] == pytest.approx(0.25)
    assert row["Image_Count_Cells"] == 0


def test_objects_are_counted(row: dict[str, float]) -> None:
    assert [row[f"Image_Count_{kind}"] for kind in ("Nuclei", "Cells", "Cytoplasm")] == [7, 7, 6]


def test_the_texture_of_an_image_is_that_of_an_object_of_its_size(pixels: np.ndarray, channels: list[str]) -> None:
    bright = np.maximum(pixels, 600)  # no grey level 0, which is ignored in objects
    everything = {"Nuclei": np.zeros(bright.shape[1:], int), "Cells": np.ones(bright.shape[1:], int)}
    cells, image = measure_field(bright, everything, channels=channels, families=[Texture()])
    names = [name for name in cells.columns if name.startswith("Cells_")]
    np.testing.assert_allclose(
        cells.select(names).to_numpy(), image.select(name.replace("Cells", "Image") for name in names).to_numpy()
    )


def test_black_pixels_count_in_the_texture_of_an_image() -> None:
    labels = np.zeros((4, 4), int)
    plane = np.zeros((1, 4, 4))
    plane[0, :, ::2] = 1.0
    families = [Texture(scales=(1,))]
    row = measure_field(plane, {"Nuclei": labels, "Cells": labels}, channels=["A"], families=families)[1].row(
        0, named=True
    )
    assert row["Image_Texture_Contrast_A_1_00_256"] == 255**2
    assert row["Image_Texture_Contrast_A_1_02_256"] == 0


def test_quality_agrees_with_numpy(row: dict[str, float], pixels: np.ndarray) -> None:
    plane = (pixels[1] / 65535).astype(np.float32)
    assert row["Image_ImageQuality_FocusScore_ER"] == pytest.approx(plane.var() / plane.mean(), rel=1e-4)
    assert row["Image_ImageQuality_PercentMinimal_ER"] == pytest.approx(100 * (plane == plane.min()).mean())
    assert row["Image_ImageQuality_MeanIntensity_ER"] == row["Image_Intensity_MeanIntensity_ER"]
    grey = np.minimum((plane - plane.min()) / np.ptp(plane) * 8, 7).astype(int)
    expected = np.corrcoef(grey[:, :-20].ravel(), grey[:, 20:].ravel())[0, 1]
    assert row["Image_ImageQuality_Correlation_ER_20"] == pytest.approx(expected, rel=1e-5)


def test_quality_of_a_flat_or_narrow_image_is_zero_as_in_cellprofiler() -> None:
    labels = np.zeros((30, 12), int)
    both = {"Nuclei": labels, "Cells": labels}
    planes = np.stack([np.zeros((30, 12)), np.random.default_rng(0).random((30, 12))])
    row = measure_field(planes, both, channels=["A", "B"], families=[ImageQuality()])[1].row(0, named=True)
    assert row["Image_ImageQuality_FocusScore_A"] == 0
    assert row["Image_ImageQuality_Correlation_A_20"] == 0
    assert row["Image_ImageQuality_Correlation_B_20"] == 0
    with pytest.raises(UsageError, match="scale"):
        ImageQuality(scale=0)


@pytest.mark.parametrize("preset", sorted(presets()))
def test_columns_are_described_and_never_nan(
    pixels: np.ndarray, labels: dict[str, np.ndarray], channels: list[str], preset: str
) -> None:
    frame = measure_field(pixels, labels, channels=channels, preset=preset)[1]
    table = feature_dictionary(channels, preset=preset, image=True)
    assert frame.height == 1
    assert frame.columns == table["feature"].to_list()
    assert table["description"].null_count() == 0
    assert set(table["compartment"]) == {"Image"}
    assert set(frame.dtypes) == {pl.Float32}
    assert frame.select(pl.all().is_finite()).row(0) == (True,) * frame.width


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (30, 30)])
def test_empty_and_constant_images_do_not_crash(size: tuple[int, int]) -> None:
    labels = np.zeros(size, int)
    both = {"Nuclei": labels, "Cells": labels}
    for level in (0.0, 0.3):
        frame = measure_field(np.full((2, *size), level), both, channels=["A", "B"])[1]
        assert frame["Image_Correlation_Correlation_A_B"].item() is None
        assert frame["Image_Intensity_StdIntensity_A"].item() == 0
        assert frame.select(pl.all().is_nan().any()).row(0).count(True) == 0


def test_measuring_images_does_not_change_the_objects(
    pixels: np.ndarray, labels: dict[str, np.ndarray], channels: list[str]
) -> None:
    objects, _ = measure_field(pixels, labels, channels=channels)
    assert objects.equals(measure(pixels, labels, channels=channels))


def test_a_tiny_image_has_no_granularity() -> None:
    labels = np.zeros((6, 6), int)
    both = {"Nuclei": labels, "Cells": labels}
    frame = measure_field(np.ones((1, 6, 6)), both, channels=["A"], families=[Granularity()])[1]
    assert frame["Image_Granularity_1_A"].item() is None


# Output of CellProfiler 4.2.8.1 for the reference fields; the reference lacks image intensity and quality.
PRINTED = {
    "nf1_D6_3ch": {
        "ImageQuality_Correlation_AGP_20": 0.47724160157965967,
        "ImageQuality_Correlation_DNA_20": 0.5831234985757319,
        "ImageQuality_FocusScore_AGP": 0.07458608218507122,
        "ImageQuality_PercentMinimal_DNA": 0.06244938978541269,
        "ImageQuality_StdIntensity_AGP": 0.09225469082593918,
        "Intensity_MADIntensity_AGP": 0.06666667014360428,
        "Intensity_PercentMaximal_AGP": 0.00515139684192261,
        "Intensity_TotalIntensity_DNA": 103561.8671875,
        "Intensity_UpperQuartileIntensity_DNA": 0.05882352963089943,
    },
    "simulated_5ch": {
        "ImageQuality_Correlation_AGP_20": 0.3226092430291153,
        "ImageQuality_Correlation_DNA_20": 0.02715781995840496,
        "ImageQuality_FocusScore_AGP": 0.03309113085856275,
        "ImageQuality_PercentMinimal_DNA": 8.573388203017832e-05,
        "ImageQuality_StdIntensity_AGP": 0.050434667617082596,
        "Intensity_MADIntensity_AGP": 0.03735408931970596,
        "Intensity_PercentMaximal_AGP": 8.573388203017832e-05,
        "Intensity_TotalIntensity_DNA": 34761.51171875,
        "Intensity_UpperQuartileIntensity_DNA": 0.008453498594462872,
    },
}


@pytest.mark.real
@pytest.mark.parametrize("field", sorted(PRINTED))
def test_intensity_and_quality_equal_cellprofiler(reference_data: Path, field: str) -> None:
    tifffile = pytest.importorskip("tifffile")
    folder = reference_data / field
    pixels = np.stack([tifffile.imread(folder / f"{channel}.tif") for channel in ("DNA", "AGP")])
    labels = {name: tifffile.imread(folder / f"{name.lower()}.tif").astype(np.int32) for name in ("Nuclei", "Cells")}
    row = measure_field(pixels, labels, channels=["DNA", "AGP"], families=[ImageQuality(), Intensity()])[1].row(
        0, named=True
    )
    for name, expected in PRINTED[field].items():
        assert row[f"Image_{name}"] == pytest.approx(expected, rel=1e-5), name
