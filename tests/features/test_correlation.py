from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.stats import pearsonr, rankdata

from phenoprint.features import measure
from phenoprint.features._kernels_correlation import costes_threshold
from phenoprint.features.correlation import Correlation


@pytest.fixture(scope="module")
def frame(pixels: np.ndarray, labels: dict[str, np.ndarray], channels: list[str]) -> pl.DataFrame:
    return measure(pixels, labels, channels=channels, families=[Correlation()])


def test_coefficients_by_their_definitions(
    frame: pl.DataFrame, pixels: np.ndarray, labels: dict[str, np.ndarray]
) -> None:
    a, b = ((plane / 65535).astype(np.float32).astype(float) for plane in pixels[:2])
    cells = labels["Cells"]
    inside = cells > 0
    rank_a, rank_b = np.zeros(cells.shape), np.zeros(cells.shape)
    rank_a[inside] = rankdata(a[inside], method="dense") - 1
    rank_b[inside] = rankdata(b[inside], method="dense") - 1
    ranks = max(rank_a.max(), rank_b.max()) + 1
    weight = 1 - np.abs(rank_a - rank_b) / ranks
    for label in range(1, 6):
        row = frame.row(label - 1, named=True)
        m = cells == label
        on_a, on_b = a >= 0.15 * a[m].max(), b >= 0.15 * b[m].max()
        both = m & on_a & on_b
        for name, expected in (
            ("Correlation_DNA_ER", pearsonr(a[m], b[m])[0]),
            ("Overlap_DNA_ER", (a * b)[both].sum() / np.sqrt((a**2)[both].sum() * (b**2)[both].sum())),
            ("K_DNA_ER", (a * b)[both].sum() / (a**2)[both].sum()),
            ("K_ER_DNA", (a * b)[both].sum() / (b**2)[both].sum()),
            ("Manders_DNA_ER", a[both].sum() / a[m & on_a].sum()),
            ("Manders_ER_DNA", b[both].sum() / b[m & on_b].sum()),
            ("RWC_DNA_ER", (a * weight)[both].sum() / a[m & on_a].sum()),
            ("RWC_ER_DNA", (b * weight)[both].sum() / b[m & on_b].sum()),
        ):
            assert row[f"Cells_Correlation_{name}"] == pytest.approx(expected, rel=1e-5), name


def costes_by_the_book(first: np.ndarray, second: np.ndarray, levels: int) -> tuple[float, float]:
    """The search as CellProfiler describes it, with a correlation over the image at each step."""
    kept = (first > 0) | (second > 0)
    vx, vy = first[kept].var(ddof=1), second[kept].var(ddof=1)
    cov = 0.5 * ((first + second)[kept].var(ddof=1) - vx - vy)
    slope = (vy - vx + np.sqrt((vy - vx) ** 2 + 4 * cov**2)) / (2 * cov)
    shift = second[kept].mean() - slope * first[kept].mean()
    left, right, last, valid = 1.0, float(levels), 0.0, 1.0
    middle = ((right - left) // 1.2) + left
    while last != middle:
        below = (first < np.float32(middle / levels)) | (second < np.float32(slope * (middle / levels) + shift))
        if below.sum() <= 2 or pearsonr(first[below], second[below])[0] < 0:
            left = middle - 1
        else:
            right, valid = middle + 1, middle
        last = middle
        middle = ((right - left) // (1.2 if right - left > 6 else 2)) + left
    return (valid - 1) / levels, slope * (valid - 1) / levels + shift


@pytest.mark.parametrize("count", [25, 80, 4000])
@pytest.mark.parametrize("sign", [1, -1])
def test_costes_thresholds_by_the_book(sign: int, count: int) -> None:
    rng = np.random.default_rng(3)
    shared = rng.gamma(2.0, 0.1, count)
    first = np.clip(shared + rng.normal(0, 0.05, count), 0, 1).astype(np.float32)
    second = np.clip((shared if sign > 0 else 0.8 - shared) + rng.normal(0, 0.08, count), 0, 1).astype(np.float32)
    expected = costes_by_the_book(first.astype(float), second.astype(float), 255)
    np.testing.assert_allclose(costes_threshold(first, second, 255), expected, rtol=1e-5, atol=1e-6)


def test_a_constant_channel_has_no_correlation(channels: list[str]) -> None:
    labels = np.zeros((20, 20), np.int32)
    labels[2:12, 2:12] = 1
    planes = np.stack([np.full((20, 20), 0.5), np.random.default_rng(0).random((20, 20)), np.zeros((20, 20))])
    frame = measure(planes, {"Nuclei": labels, "Cells": labels}, channels=channels, families=[Correlation()])
    row = frame.row(0, named=True)
    assert row["Cells_Correlation_Correlation_DNA_ER"] is None
    assert row["Cells_Correlation_Overlap_DNA_ER"] == pytest.approx(
        row["Cells_Correlation_K_DNA_ER"]
        * np.sqrt(row["Cells_Correlation_K_ER_DNA"] / row["Cells_Correlation_K_DNA_ER"]),
        rel=1e-5,
    )
    assert row["Cells_Correlation_Manders_RNA_ER"] is None  # a black channel has no intensity to share


def test_pearson_only_and_one_channel() -> None:
    labels = np.ones((5, 5), np.int32)
    both = {"Nuclei": labels, "Cells": labels}
    few = measure(np.zeros((2, 5, 5)), both, channels=["A", "B"], families=[Correlation(pearson_only=True)])
    assert few.columns[1:] == [f"{c}_Correlation_Correlation_A_B" for c in ("Nuclei", "Cells", "Cytoplasm")]
    assert measure(np.zeros((1, 5, 5)), both, channels=["A"], families=[Correlation()]).width == 1
