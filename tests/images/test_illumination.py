"""Illumination functions: recovered from fields, and ones where they cannot be estimated."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from phenoprint.errors import ImageError, UnknownNameError, UsageError
from phenoprint.images.blocks import block_means, block_stack, choose_smoothing, smooth_onto
from phenoprint.images.illumination import Illumination, estimate_illumination

SHAPE = (270, 324)


def vignette(shape: tuple[int, int] = SHAPE, *, depth: float = 0.45) -> np.ndarray:
    y, x = (np.linspace(0, 1, length) for length in shape)
    light = 1 - depth * ((y[:, None] - 0.45) ** 2 + (x[None, :] - 0.55) ** 2) / 0.5
    return light / light.mean()


def fields(
    n_fields: int, *, n_cells: int = 60, offset: float = 0.0, shape: tuple[int, int] = SHAPE, seed: int = 0
) -> Iterator[np.ndarray]:
    """Yield fields of bright cells (5 times the background) under one vignette, with noise."""
    random = np.random.default_rng(seed)
    light = vignette(shape)
    for _ in range(n_fields):
        cells = np.zeros(shape)
        count = random.poisson(n_cells * random.lognormal(0, 0.3))
        places = (random.random((count, 2)) * shape).astype(int)
        cells[tuple(places.T)] = random.lognormal(0, 0.4, count)
        cells = ndimage.gaussian_filter(cells, 5, mode="wrap") * 2 * np.pi * 25 * 0.1
        clean = (cells + 0.02 * random.lognormal(0, 0.2)) * light
        yield np.clip(clean + random.normal(0, 0.001, shape) + offset, 0, 1)


def error(illumination: Illumination, truth: np.ndarray) -> float:
    ratio = illumination.flat / truth
    return float((ratio / ratio.mean()).std())


@pytest.mark.parametrize(("method", "n_fields"), [("cellprofiler", 48), ("basic", 48), ("basic", 12)])
def test_recovers_a_vignette_under_cells(method: str, n_fields: int) -> None:
    truth = vignette()
    found = estimate_illumination(fields(n_fields), method=method)
    assert np.corrcoef(found.flat.ravel(), truth.ravel())[0, 1] > 0.99
    assert error(found, truth) < 0.02
    assert found.range == pytest.approx(truth.max() / truth.min(), rel=0.15)
    assert found.n_fields == n_fields
    assert found.reason is None
    assert found.unevenness_after < 0.5 * found.unevenness_before
    assert found.split_half_error < 0.1
    # A uniform sample is even within a few percent after the correction.
    corrected = found.apply(0.3 * truth)
    assert corrected.std() / corrected.mean() < 0.02


def test_default_scale_only_dims_and_stays_in_unit_range() -> None:
    found = estimate_illumination(fields(20))
    assert found.flat.dtype == np.float32
    assert found.flat.min() == 1.0
    assert found.apply(np.ones(SHAPE)).max() <= 1.0


@pytest.mark.parametrize("method", ["cellprofiler", "basic"])
def test_even_light_stays_nearly_even(method: str) -> None:
    random = np.random.default_rng(1)
    even = [field / vignette() for field in fields(30, n_cells=20, seed=int(random.integers(99)))]
    assert estimate_illumination(even, method=method).range < 1.15


def test_debris_does_not_change_the_robust_average() -> None:
    stack = list(fields(30, n_cells=20))
    for field in stack[:4]:
        field[:90, :90] = 1.0  # a bright clump in one corner
    truth = vignette()
    robust, plain = (error(estimate_illumination(stack, average=name), truth) for name in ("trimmed", "mean"))
    assert robust < 0.02 < plain


def test_camera_offset_is_subtracted_before_dividing() -> None:
    truth, stack = vignette(), list(fields(40, n_cells=20, offset=0.03))
    ignored = estimate_illumination(stack)
    known = estimate_illumination(stack, offset=0.03)
    estimated = estimate_illumination(stack, dark=True)
    assert error(ignored, truth) > 0.05
    assert error(known, truth) < 0.015
    assert error(estimated, truth) < 0.03
    assert estimated.dark is not None
    assert estimated.dark.mean() == pytest.approx(0.03, abs=0.004)
    corrected = known.apply(0.3 * truth + 0.03)
    assert corrected.std() / corrected.mean() < 0.02
    assert known.apply(np.zeros(SHAPE)).min() == 0


def test_no_offset_is_estimated_from_fields_of_one_brightness() -> None:
    found = estimate_illumination([vignette() * 0.2] * 10, dark=True)
    assert np.isfinite(found.flat).all()
    assert error(found, vignette()) < 0.005


@pytest.mark.parametrize("method", ["cellprofiler", "basic"])
def test_blank_fields_give_ones_and_a_reason(method: str) -> None:
    found = estimate_illumination([np.zeros(SHAPE, dtype=np.uint16)] * 9, method=method)
    assert (found.flat == 1).all()
    assert found.method == "none"
    assert (found.n_fields, found.n_skipped) == (0, 9)
    assert "0 usable fields of 9" in found.reason


def test_a_single_field_gives_ones_and_a_reason() -> None:
    field = next(fields(1))
    found = estimate_illumination([field], offset=0.01)
    assert "1 usable fields of 1" in found.reason
    np.testing.assert_allclose(found.apply(field), np.maximum(field - 0.01, 0), atol=1e-6)


def test_fields_that_are_not_finite_or_blank_are_skipped_and_counted() -> None:
    stack = list(fields(10))
    stack += [np.full(SHAPE, np.nan), np.full(SHAPE, 0.5), np.zeros(SHAPE)]
    found = estimate_illumination(stack)
    assert (found.n_fields, found.n_skipped) == (10, 3)
    np.testing.assert_array_equal(found.flat, estimate_illumination(stack[:10]).flat)


def test_fields_beyond_the_limit_are_sampled_evenly_and_reproducibly() -> None:
    numbered = [np.array([[number, number + 1.0]]) for number in range(1, 401)]
    _, kept, _ = block_stack(iter(numbered), grid=2, offset=0, max_fields=50, needed=5, seed=3)
    _, again, _ = block_stack(iter(numbered), grid=2, offset=0, max_fields=50, needed=5, seed=3)
    assert len(kept) == 50
    assert 150 < kept[:, 0, 0].mean() < 250
    assert len(np.unique(kept[:, 0, 0])) == 50
    np.testing.assert_array_equal(kept, again)


def test_does_not_change_its_input() -> None:
    stack = list(fields(6))
    copies = [field.copy() for field in stack]
    estimate_illumination(stack, offset=0.01).apply(stack[0])
    for field, copy in zip(stack, copies, strict=True):
        np.testing.assert_array_equal(field, copy)


def test_integer_fields_and_unit_fields_agree() -> None:
    stack = [np.round(field * 65535).astype(np.uint16) for field in fields(10)]
    whole = estimate_illumination(stack)
    unit = estimate_illumination([field / 65535 for field in stack])
    np.testing.assert_allclose(whole.flat, unit.flat, rtol=1e-5)


def test_wrong_input_is_an_error() -> None:
    with pytest.raises(UsageError, match="no field given, at least 5"):
        estimate_illumination([])
    with pytest.raises(ImageError, match=r"field 1 has shape \(4, 4\), the first has \(5, 5\)"):
        estimate_illumination([np.ones((5, 5)), np.ones((4, 4))])
    with pytest.raises(ImageError, match=r"expected fields of shape \(Y, X\)"):
        estimate_illumination([np.ones((3, 5, 5))])
    with pytest.raises(UnknownNameError, match="did you mean 'basic'"):
        estimate_illumination([], method="Basic")
    with pytest.raises(UnknownNameError, match="average"):
        estimate_illumination([], average="mode")
    with pytest.raises(UsageError, match="smoothing_px must be a positive"):
        estimate_illumination([], smoothing_px=0)
    with pytest.raises(UsageError, match="min_fields <= max_fields"):
        estimate_illumination([], min_fields=9, max_fields=5)
    with pytest.raises(ImageError, match="cannot correct an image of shape"):
        Illumination.identity((4, 4), reason="off").apply(np.ones((5, 5)))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 12))
def test_block_means_keep_the_total(height: int, width: int, grid: int) -> None:
    field = np.random.default_rng(height * 100 + width).random((height, width))
    blocks = block_means(field, grid)
    assert max(blocks.shape) <= grid
    assert field.min() <= blocks.min()
    assert blocks.max() <= field.max()
    if height % blocks.shape[0] == 0 and width % blocks.shape[1] == 0:
        assert blocks.mean() == pytest.approx(field.mean())


@settings(max_examples=30, deadline=None)
@given(st.floats(0.05, 1), st.integers(4, 20), st.integers(4, 20))
def test_smoothing_preserves_a_paraboloid_up_to_the_rim(sigma: float, rows: int, columns: int) -> None:
    y, x = ((np.arange(length) + 0.5) / length for length in (rows, columns))
    blocks = 1 + 0.5 * y[:, None] - 0.8 * x[None, :] ** 2
    pixel_y, pixel_x = ((np.arange(length) + 0.5) / length for length in (60, 50))
    expected = 1 + 0.5 * pixel_y[:, None] - 0.8 * pixel_x[None, :] ** 2
    np.testing.assert_allclose(smooth_onto(blocks, (60, 50), sigma=sigma), expected, atol=1e-6)


def test_the_smoothing_depends_on_the_detail_of_the_function() -> None:
    random = np.random.default_rng(0)
    x = (np.arange(40) + 0.5) / 40
    plain = np.broadcast_to(1 - 0.4 * (x - 0.5) ** 2, (40, 40))
    rippled = plain + 0.2 * np.sin(2 * np.pi * 3 * x)
    noise = random.normal(0, 0.05, (5, 40, 40))
    candidates = (1 / 16, 1 / 4, 1.0)
    assert choose_smoothing(plain + noise, candidates) == 1.0
    assert choose_smoothing(rippled + noise, candidates) == 1 / 16


@pytest.mark.real
@pytest.mark.parametrize("method", ["cellprofiler", "basic"])
def test_real_plate_is_lit_unevenly_and_corrected_alike(real_data, method: str) -> None:
    tifffile = pytest.importorskip("tifffile")
    paths = sorted((real_data / "bbbc013" / "images").glob("Channel2-*.tif"))
    assert len(paths) == 96
    found = estimate_illumination((tifffile.imread(path) for path in paths), method=method)
    assert found.n_fields == 96
    # The right third of its fields is brighter than the left third, visibly even in single images.
    left, right = found.flat[:, 60:200].mean(), found.flat[:, 440:580].mean()
    assert 1.1 < right / left < 1.5
    assert found.unevenness_after < 0.6 * found.unevenness_before
    assert found.split_half_error < 0.05
