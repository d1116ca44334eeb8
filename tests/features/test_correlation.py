from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.stats import pearsonr, rankdata

from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.features import measure, measure_field
from phenoprint.features._kernels_correlation import colocalization
from phenoprint.features._kernels_costes import costes_threshold
from phenoprint.features.correlation import Correlation


@pytest.fixture(scope="module")
def frame(pixels: np.ndarray, labels: dict[str, np.ndarray], channels: list[str]) -> pl.DataFrame:
    return measure(pixels, labels, channels=channels, families=[Correlation()])


def test_coefficients_agree_with_their_definitions(
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
    """CellProfiler's search, with a correlation over the image at each step."""
    kept = (first > 0) | (second > 0)
    vx, vy = first[kept].var(ddof=1), second[kept].var(ddof=1)
    cov = 0.5 * ((first + second)[kept].var(ddof=1) - vx - vy)
    slope = (vy - vx + np.sqrt((vy - vx) ** 2 + 4 * cov**2)) / (2 * cov)
    shift = second[kept].mean() - slope * first[kept].mean()
    left, right, last, valid = 1.0, float(levels), 0.0, 1.0
    middle = ((right - left) // 1.2) + left
    while last != middle:
        below = (first < np.float32(middle / levels)) | (second < np.float32(slope * (middle / levels) + shift))
        r = pearsonr(first[below], second[below])[0] if below.sum() > 2 else -1.0
        if r < 0:
            left = middle - 1
        elif r >= 0:  # no branch for a constant channel
            right, valid = middle + 1, middle
        last = middle
        middle = ((right - left) // (1.2 if right - left > 6 else 2)) + left
    return (valid - 1) / levels, slope * (valid - 1) / levels + shift


@pytest.mark.parametrize("count", [25, 80, 4000])
@pytest.mark.parametrize("sign", [1, -1])
def test_costes_thresholds_agree_with_a_direct_search(sign: int, count: int) -> None:
    rng = np.random.default_rng(3)
    shared = rng.gamma(2.0, 0.1, count)
    first = np.clip(shared + rng.normal(0, 0.05, count), 0, 1).astype(np.float32)
    second = np.clip((shared if sign > 0 else 0.8 - shared) + rng.normal(0, 0.08, count), 0, 1).astype(np.float32)
    expected = costes_by_the_book(first.astype(float), second.astype(float), 255)
    np.testing.assert_allclose(costes_threshold(first, second, 255), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:An input array is constant")
def test_costes_thresholds_of_few_pixels_agree_with_a_direct_search() -> None:
    # With few pixels and steps the search meets every case: two pixels below, three, a flat background, all.
    for seed in range(300):
        rng = np.random.default_rng(seed)
        count, levels = int(rng.integers(3, 14)), int(rng.choice([15, 31, 255]))
        first = rng.random(count).astype(np.float32)
        second = np.abs(first * rng.choice([1, -0.5]) + rng.normal(0.3, 0.3, count)).astype(np.float32)
        if seed % 2:
            flat = np.full(int(rng.integers(1, 9)), rng.choice([0.0, 0.1]), np.float32)
            uneven = 0.1 * rng.random(len(flat)).astype(np.float32)
            grounds = ((flat, flat), (flat, uneven), (uneven, flat))[rng.integers(3)]
            first, second = np.append(first, grounds[0]), np.append(second, grounds[1])
        expected = costes_by_the_book(first.astype(float), second.astype(float), levels)
        found = costes_threshold(first, second, levels)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6, err_msg=str(seed))


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
    assert row["Cells_Correlation_Manders_RNA_ER"] is None  # a black channel has no intensity


@pytest.mark.parametrize("stray", [1 / 65535, 1e-7])
def test_one_bright_pixel_in_a_dark_channel_does_not_crash(stray: float) -> None:
    rng = np.random.default_rng(2)
    first = rng.random(4000).astype(np.float32)
    second = np.zeros(4000, np.float32)
    second[7] = stray  # so small that the slope of the regression could be rounded to 0
    assert np.isfinite(costes_threshold(first, second, 65535)).all()
    assert np.isfinite(costes_threshold(second, first, 65535)).all()


@pytest.mark.filterwarnings("ignore:An input array is constant")
def test_a_constant_background_ends_the_search_of_costes() -> None:
    # All pixels below the threshold have one value and thus no correlation, as in CellProfiler.
    rng = np.random.default_rng(8)
    first, second = np.full((2, 5000), 0.1, np.float32)
    first[:300] = rng.uniform(0.5, 1, 300)
    second[:300] = 0.1 + 0.9 * (first[:300] - 0.5) + rng.uniform(0, 0.01, 300)
    found = costes_threshold(first, second, 255)
    np.testing.assert_allclose(found, costes_by_the_book(first.astype(float), second.astype(float), 255), rtol=1e-5)


@pytest.mark.parametrize("left_out", ["Costes", "RWC", "Manders"])
def test_measures_can_be_omitted(
    frame: pl.DataFrame, pixels: np.ndarray, labels: dict[str, np.ndarray], channels: list[str], left_out: str
) -> None:
    kept = tuple(name for name in Correlation().measures if name != left_out)
    fewer = measure(pixels, labels, channels=channels, families=[Correlation(measures=kept)])
    assert fewer.equals(frame.drop(name for name in frame.columns if f"_{left_out}_" in name))


def test_pearson_alone_and_one_channel() -> None:
    labels = np.ones((5, 5), np.int32)
    both = {"Nuclei": labels, "Cells": labels}
    only = Correlation(measures=("Correlation",))
    few = measure(np.zeros((2, 5, 5)), both, channels=["A", "B"], families=[only])
    assert few.columns[1:] == [f"{c}_Correlation_Correlation_A_B" for c in ("Nuclei", "Cells", "Cytoplasm")]
    assert measure(np.zeros((1, 5, 5)), both, channels=["A"], families=[Correlation()]).width == 1


def test_whole_images_agree_with_the_definitions(pixels: np.ndarray, labels: dict[str, np.ndarray]) -> None:
    a, b = ((plane / 65535).astype(np.float32).astype(float) for plane in pixels[:2])
    row = measure_field(pixels[:2], labels, channels=["A", "B"], families=[Correlation()])[1].row(0, named=True)
    on_a, on_b = a > np.float32(0.15 * a.max()), b > np.float32(0.15 * b.max())
    cut_a, cut_b = costes_threshold(a.ravel().astype(np.float32), b.ravel().astype(np.float32), 65535)
    over = (a > cut_a) & (b > cut_b)
    ranks = [rankdata(x.ravel(), method="dense").reshape(x.shape) for x in (a, b)]
    weight = 1 - np.abs(ranks[0] - ranks[1]) / max(r.max() for r in ranks)
    both = on_a & on_b
    for name, expected in (
        ("Correlation_A_B", pearsonr(a.ravel(), b.ravel())[0]),
        ("Slope_A_B", np.polyfit(a.ravel(), b.ravel(), 1)[0]),
        ("Manders_B_A", b[both].sum() / b[on_b].sum()),
        ("RWC_A_B", (a * weight)[both].sum() / a[on_a].sum()),
        ("Costes_A_B", a[over].sum() / a[a > cut_a].sum()),
        ("Costes_B_A", b[over].sum() / b[b > cut_b].sum()),
    ):
        assert row[f"Image_Correlation_{name}"] == pytest.approx(expected, rel=1e-5), name


@pytest.mark.parametrize("swapped", [False, True])
def test_a_pixel_on_the_threshold_is_stained_in_objects_not_in_images(swapped: bool) -> None:
    labels = np.ones((2, 2), np.int32)
    planes = np.array([[[1.0, 0.5], [0.1, 0.1]], [[1.0, 1.0], [1.0, 1.0]]])
    cells, image = measure_field(
        planes[::-1] if swapped else planes,
        {"Nuclei": 0 * labels, "Cells": labels},
        channels=["B", "A"] if swapped else ["A", "B"],
        families=[Correlation(threshold_percent=50)],
    )
    pair = "B_A" if swapped else "A_B"
    for name, in_cell, in_image in (
        ("Manders_B_A", 2 / 4, 1 / 4),
        ("K_A_B", 1.5 / 1.25, 1.0),
        ("K_B_A", 1.5 / 2, 1.0),
        (f"Overlap_{pair}", 1.5 / np.sqrt(2.5), 1.0),
        ("RWC_A_B", (1 / 3 + 0.5 * 2 / 3) / 1.5, 1 / 3),  # ranks 2, 1, 0, 0 and 0, 0, 0, 0
        ("RWC_B_A", (1 / 3 + 2 / 3) / 4, 1 / 3 / 4),
    ):
        assert cells[f"Cells_Correlation_{name}"].item() == pytest.approx(in_cell, rel=1e-6), name
        assert image[f"Image_Correlation_{name}"].item() == pytest.approx(in_image, rel=1e-6), name


@pytest.mark.parametrize(("strict", "expected"), [(False, (0.5 / 1.5, 0.5 / 1.25)), (True, (0.5 / 1.25, 0.5))])
def test_a_pixel_on_costes_threshold(strict: bool, expected: tuple[float, float]) -> None:
    # A pixel on its threshold counts in the total of an object, but not in that of an image.
    values = np.array([[0.25, 0.5, 0.75], [0.5, 0.5, 0.25]], np.float32)
    none = np.zeros((0, 0), np.int32), np.zeros(0, np.int64)
    pairs, cuts = np.array([[0, 1]]), np.array([[0.25, 0.25]])
    table = colocalization(values, np.array([0, 3]), pairs, 15.0, False, *none, cuts, strict)
    assert table[0, 0, 9:] == pytest.approx(expected)


def test_impossible_parameters_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'Manders'"):
        Correlation(measures=("Mander",))
    with pytest.raises(UsageError, match="between 0 and 100"):
        Correlation(threshold_percent=150)
