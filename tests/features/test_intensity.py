from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from skimage.segmentation import find_boundaries

from phenoprint.features import measure
from phenoprint.features.intensity import Intensity


@pytest.fixture(scope="module")
def frame(pixels: np.ndarray, labels: dict[str, np.ndarray], channels: list[str]) -> pl.DataFrame:
    return measure(pixels, labels, channels=channels, families=[Intensity()])


def test_sums_means_and_spreads(frame: pl.DataFrame, pixels: np.ndarray, labels: dict[str, np.ndarray]) -> None:
    image = pixels[1] / 65535
    for label in range(1, 8):
        row = frame.row(label - 1, named=True)
        values = image[labels["Cells"] == label]
        for name, expected in (
            ("IntegratedIntensity", values.sum()),
            ("MeanIntensity", values.mean()),
            ("StdIntensity", values.std()),
            ("MinIntensity", values.min()),
            ("MaxIntensity", values.max()),
        ):
            assert row[f"Cells_Intensity_{name}_ER"] == pytest.approx(expected, rel=1e-5, abs=1e-7), name


def test_edge_is_the_four_connected_inner_boundary(
    frame: pl.DataFrame, pixels: np.ndarray, labels: dict[str, np.ndarray]
) -> None:
    image = pixels[0] / 65535
    edge = find_boundaries(labels["Cells"], mode="inner")
    for label in (1, 2, 5):
        values = image[edge & (labels["Cells"] == label)]
        row = frame.row(label - 1, named=True)
        assert row["Cells_Intensity_IntegratedIntensityEdge_DNA"] == pytest.approx(values.sum(), rel=1e-5)
        assert row["Cells_Intensity_StdIntensityEdge_DNA"] == pytest.approx(values.std(), rel=1e-4)
        assert row["Cells_Intensity_MinIntensityEdge_DNA"] == pytest.approx(values.min(), rel=1e-5)


def test_quantiles_equal_cellprofiler(channels: list[str]) -> None:
    labels = np.zeros((4, 6), np.int32)
    labels[1, 0:5] = 1
    labels[2, 0:2] = 2
    image = np.zeros((4, 6))
    image[1, 0:5] = [0.5, 0.1, 0.4, 0.2, 0.3]
    image[2, 0:2] = [0.8, 0.6]
    frame = measure(
        np.stack([image] * 3), {"Nuclei": labels, "Cells": labels}, channels=channels, families=[Intensity()]
    )
    first, second = frame.rows(named=True)
    # Position count * fraction, interpolated: 1.25, 2.5, 3.75 of 0.1 ... 0.5, at most the last.
    assert first["Cells_Intensity_LowerQuartileIntensity_DNA"] == pytest.approx(0.225)
    assert first["Cells_Intensity_MedianIntensity_DNA"] == pytest.approx(0.35)
    assert first["Cells_Intensity_UpperQuartileIntensity_DNA"] == pytest.approx(0.475)
    # |x - 0.35| is 0.05, 0.05, 0.15, 0.15, 0.25, position 2.5
    assert first["Cells_Intensity_MADIntensity_DNA"] == pytest.approx(0.15)
    assert second["Cells_Intensity_LowerQuartileIntensity_DNA"] == pytest.approx(0.7)
    assert second["Cells_Intensity_MedianIntensity_DNA"] == pytest.approx(0.8)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9, 24])
def test_deviation_from_the_median_is_the_same_quantile(channels: list[str], count: int) -> None:
    def quantile(values: np.ndarray) -> float:
        position = len(values) * 0.5
        low = int(position)
        if low >= len(values) - 1:
            return float(values[low])
        return float(values[low] * (1 - position + low) + values[low + 1] * (position - low))

    labels = np.zeros((3, 24), np.int32)
    labels[1, :count] = 1
    planes = np.random.default_rng(count).random((3, 3, 24)).astype(np.float32)
    frame = measure(planes, {"Nuclei": labels, "Cells": labels}, channels=channels, families=[Intensity()])
    for channel, plane in zip(channels, planes, strict=True):
        values = np.sort(plane[1, :count].astype(float))
        median = quantile(values)
        assert frame[f"Cells_Intensity_MedianIntensity_{channel}"].item() == pytest.approx(median, rel=1e-6)
        expected = quantile(np.sort(np.abs(values - median)))
        assert frame[f"Cells_Intensity_MADIntensity_{channel}"].item() == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_positions_of_the_centre_of_mass_and_the_maximum(channels: list[str]) -> None:
    labels = np.zeros((9, 9), np.int32)
    labels[2:7, 2:7] = 1
    image = np.zeros((9, 9))
    image[3, 5] = 0.75
    image[6, 2] = 0.25
    frame = measure(
        np.stack([image] * 3), {"Nuclei": labels, "Cells": labels}, channels=channels, families=[Intensity()]
    )
    row = frame.row(0, named=True)
    assert (row["Cells_Location_MaxIntensity_Y_DNA"], row["Cells_Location_MaxIntensity_X_DNA"]) == (3, 5)
    assert row["Cells_Location_CenterMassIntensity_Y_DNA"] == pytest.approx(3.75)
    assert row["Cells_Location_CenterMassIntensity_X_DNA"] == pytest.approx(4.25)
    assert row["Cells_Intensity_MassDisplacement_DNA"] == pytest.approx(np.hypot(0.25, 0.25))
    assert row["Cells_Location_MaxIntensity_Z_DNA"] == 0


def test_constant_intensity_is_defined_and_black_has_no_centre_of_mass(channels: list[str]) -> None:
    labels = np.zeros((9, 9), np.int32)
    labels[2:7, 2:7] = 1
    planes = np.stack([np.full((9, 9), 0.5), np.zeros((9, 9)), np.ones((9, 9))])
    frame = measure(planes, {"Nuclei": labels, "Cells": labels}, channels=channels, families=[Intensity()])
    row = frame.row(0, named=True)
    assert row["Cells_Intensity_StdIntensity_DNA"] == 0
    assert row["Cells_Intensity_MADIntensity_DNA"] == 0
    assert row["Cells_Intensity_MassDisplacement_DNA"] == pytest.approx(0, abs=1e-6)
    assert row["Cells_Location_CenterMassIntensity_X_ER"] is None
    assert row["Cells_Location_CenterMassIntensity_Z_ER"] is None
    assert row["Cells_Location_CenterMassIntensity_Z_DNA"] == 0
    assert row["Cells_Intensity_MassDisplacement_ER"] is None


def test_without_exact_ties_the_first_in_reading_order_is_used(channels: list[str]) -> None:
    labels = np.zeros((9, 9), np.int32)
    labels[2:7, 2:7] = 1
    ones = np.ones((3, 9, 9))
    frame = measure(
        ones, {"Nuclei": labels, "Cells": labels}, channels=channels, families=[Intensity(exact_ties=False)]
    )
    assert frame.select("Cells_Location_MaxIntensity_Y_DNA", "Cells_Location_MaxIntensity_X_DNA").row(0) == (2, 2)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.int16])
def test_integers_are_divided_by_their_maximum(dtype: type, channels: list[str]) -> None:
    labels = np.ones((4, 4), np.int32)
    top = np.iinfo(dtype).max
    frame = measure(
        np.full((3, 4, 4), top // 2, dtype),
        {"Nuclei": labels, "Cells": labels},
        channels=channels,
        families=[Intensity()],
    )
    assert frame["Cells_Intensity_MeanIntensity_DNA"].item() == pytest.approx((top // 2) / top, rel=1e-6)
