from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.filters import threshold_li, threshold_otsu

from phenoprint.segmentation.threshold import (
    background_level,
    gaussian_smooth,
    local_levels,
    minimum_cross_entropy,
    otsu,
    white_noise,
)


@pytest.fixture(scope="module")
def two_peaks():
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(0.1, 0.02, 9000), rng.normal(0.5, 0.1, 1000)]).clip(0).astype(np.float32)


def test_otsu_equals_scikit_image(two_peaks):
    assert otsu(two_peaks) == pytest.approx(threshold_otsu(two_peaks, nbins=4096), abs=5e-3)


def test_minimum_cross_entropy_equals_scikit_image(two_peaks):
    assert minimum_cross_entropy(two_peaks) == pytest.approx(threshold_li(two_peaks), abs=2e-3)


@pytest.mark.parametrize("rule", [otsu, minimum_cross_entropy])
@settings(max_examples=50, deadline=None)
@given(values=st.lists(st.floats(0, 1, width=32), min_size=1, max_size=40))
def test_thresholds_lie_within_the_values(rule, values):
    array = np.array(values, np.float32)
    step = float(array.max() - array.min()) / 4095
    assert array.min() - step <= rule(array) <= array.max() + step


@pytest.mark.parametrize("rule", [otsu, minimum_cross_entropy])
def test_equal_values_have_no_foreground(rule):
    values = np.full(10, 0.3, np.float32)
    assert not (values > rule(values)).any()


def test_the_background_does_not_depend_on_bright_pixels(two_peaks):
    alone = background_level(two_peaks[:9000], below=1.0)
    both = background_level(two_peaks, below=minimum_cross_entropy(two_peaks))
    assert both.level == pytest.approx(0.1, abs=0.01)
    assert both.level == pytest.approx(alone.level, abs=0.01)
    assert both.spread == pytest.approx(0.02, rel=0.4)


@pytest.mark.parametrize("sd", [0.001, 0.02])
def test_white_noise_is_measured_on_a_slope_with_objects(sd):
    y, x = np.mgrid[:200, :200]
    image = 0.1 + 0.002 * x + 0.4 * (np.hypot(y - 100, x - 100) < 20)
    image = image + np.random.default_rng(0).normal(0, sd, image.shape)
    assert white_noise(image.astype(np.float32)) == pytest.approx(sd, rel=0.15)


def test_local_levels_follow_dim_and_bright_neighbourhoods():
    image = np.full((120, 240), 0.1, np.float32)
    image[:, 120:] += 0.1
    image[50:70, 50:70], image[50:70, 170:190] = 0.3, 0.9
    mask = image > 0.25
    fore, back = local_levels(gaussian_smooth(image, 0.5), mask, 12.0)
    assert fore[60, 60] == pytest.approx(0.3, abs=0.03)
    assert fore[60, 180] == pytest.approx(0.9, abs=0.05)
    assert back[60, 40] == pytest.approx(0.1, abs=0.03)
    assert back[60, 200] == pytest.approx(0.2, abs=0.03)
    assert fore.shape == back.shape == image.shape


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 2), (33, 47)])
def test_local_levels_work_for_any_size(shape):
    image = np.linspace(0, 1, shape[0] * shape[1], dtype=np.float32).reshape(shape)
    for level in local_levels(image, image > 0.5, 30.0):
        assert level.shape == shape
        assert np.isfinite(level).all()
