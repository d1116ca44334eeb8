from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from phenoprint.segmentation.nuclei import find_nuclei, nuclear_mask, split_clumps


def disc(shape, row, column, radius):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.hypot(y - row, x - column) < radius


@pytest.mark.parametrize("threshold", ["local", "minimum_cross_entropy", "otsu"])
@pytest.mark.parametrize("diameter", [10.0, 30.0])
@pytest.mark.parametrize("field", ["white", "vignette", "haze", "hot pixels", "counts"])
def test_a_field_without_cells_has_no_nuclei(field, diameter, threshold):
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:300, :300] / 300 - 0.5
    image = 0.1 + rng.normal(0, 0.005, (300, 300))
    if field == "vignette":
        image -= 0.08 * (y**2 + x**2)
    elif field == "haze":
        image += 0.02 * gaussian_filter(rng.normal(0, 1, (300, 300)), 20) * 40
    elif field == "hot pixels":
        image[rng.integers(0, 300, 20), rng.integers(0, 300, 20)] = 1
    elif field == "counts":
        image = rng.poisson(3, (300, 300)) / 255
    found = find_nuclei(image.clip(0, 1).astype(np.float32), diameter=diameter, threshold=threshold)
    assert found.max() == 0


@pytest.mark.parametrize("declump", ["combined", "shape"])
def test_a_mask_without_background_is_one_object(declump):
    image = gaussian_filter(disc((30, 40), 15, 20, 3).astype(np.float32), 8)
    assert (split_clumps(image, np.ones((30, 40), bool), diameter=30.0, declump=declump) == 1).all()


def test_noise_is_segmented_without_the_noise_test():
    image = np.random.default_rng(1).normal(0.1, 0.005, (200, 200)).astype(np.float32)
    assert find_nuclei(image, diameter=10, minimum_snr=0).max() > 0


@pytest.mark.parametrize("threshold", ["local", "minimum_cross_entropy", "otsu"])
def test_one_dim_cell_in_a_large_field_is_found(threshold):
    rng = np.random.default_rng(0)
    truth = disc((400, 400), 200, 150, 10)
    image = (0.05 + 0.06 * gaussian_filter(truth.astype(float), 1) + rng.normal(0, 0.004, truth.shape)).astype(
        np.float32
    )
    found = find_nuclei(image, diameter=20, threshold=threshold)
    assert found.max() == 1
    assert ((found > 0) & truth).sum() / ((found > 0) | truth).sum() > 0.8


def test_the_local_threshold_gives_dim_and_bright_nuclei_the_same_size():
    dim, bright = disc((120, 200), 60, 50, 12), disc((120, 200), 60, 150, 12)
    image = gaussian_filter(0.05 + 0.3 * dim + 0.9 * bright, 2).astype(np.float32)
    local = nuclear_mask(image, diameter=24)
    assert local[:, :100].sum() == pytest.approx(local[:, 100:].sum(), rel=0.06)
    plain = nuclear_mask(image, diameter=24, threshold="minimum_cross_entropy")
    assert plain[:, :100].sum() < 0.85 * plain[:, 100:].sum()


@pytest.mark.parametrize(("declump", "count"), [("combined", 2), ("shape", 2), ("none", 1)])
def test_touching_nuclei_are_cut_at_the_waist(declump, count):
    pair = disc((60, 90), 30, 32, 12) | disc((60, 90), 30, 54, 12)
    image = gaussian_filter(0.02 + 0.5 * pair, 1).astype(np.float32)
    found = split_clumps(image, pair, diameter=24, declump=declump)
    assert found.max() == count
    np.testing.assert_array_equal(found > 0, pair)
    if count == 2:
        # The labels change at the waist.
        assert abs(int((found[30] == found[30, 32]).sum()) - int((found[30] == found[30, 54]).sum())) <= 3


def test_intensity_splits_nuclei_that_shape_does_not():
    y, x = np.mgrid[:40, :80]
    bar = (np.abs(y - 20) < 10) & (np.abs(x - 40) < 24)
    image = (bar * (0.2 + 0.3 * np.abs(np.sin((x - 40) / 24 * np.pi)))).astype(np.float32)
    assert split_clumps(image, bar, diameter=20, declump="intensity").max() == 2
    assert split_clumps(image, bar, diameter=20, declump="shape").max() == 1


def test_one_long_nucleus_is_not_split():
    y, x = np.mgrid[:60, :100]
    ellipse = ((y - 30) / 11) ** 2 + ((x - 50) / 26) ** 2 < 1
    image = gaussian_filter(0.02 + 0.5 * ellipse, 1).astype(np.float32)
    assert find_nuclei(image, diameter=32).max() == 1


def test_size_limits_remove_specks_and_giants():
    speck, good, giant = disc((200, 300), 40, 40, 3), disc((200, 300), 40, 120, 10), disc((200, 300), 110, 220, 45)
    image = gaussian_filter(0.02 + 0.5 * (speck | good | giant), 0.7).astype(np.float32)
    found = find_nuclei(image, diameter=20)
    assert found.max() == 1
    assert found[40, 120] == 1
    assert find_nuclei(image, diameter=20, diameter_range=(0.1, 10)).max() == 3


def test_holes_are_filled():
    ring = disc((60, 60), 30, 30, 14) & ~disc((60, 60), 30, 30, 4)
    image = gaussian_filter(0.02 + 0.5 * ring, 0.7).astype(np.float32)
    found = find_nuclei(image, diameter=28)
    assert found.max() == 1
    assert found[30, 30] == 1
