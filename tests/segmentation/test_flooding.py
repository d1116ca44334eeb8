"""The compiled kernels compared with slow independent implementations."""

from __future__ import annotations

import heapq

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phenoprint.segmentation.flooding import flood_basins, propagate

STEPS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]


def slow_propagation(image, seeds, mask, regularization):
    """Propagation of Jones et al. 2005 with a heap, in float64, as in CellProfiler's C code."""
    height, width = image.shape
    padded = np.pad(image.astype(float), 1, mode="edge")
    window = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
    labels, settled = seeds.copy(), np.zeros(image.shape, bool)
    distance = np.where(seeds > 0, 0.0, np.inf)
    queue = [(0.0, int(y), int(x)) for y, x in zip(*np.nonzero(seeds), strict=True)]
    heapq.heapify(queue)
    while queue:
        here, y, x = heapq.heappop(queue)
        if settled[y, x]:
            continue
        settled[y, x] = True
        for dy, dx in STEPS:
            ny, nx = y + dy, x + dx
            if not (0 <= ny < height and 0 <= nx < width) or settled[ny, nx] or not mask[ny, nx]:
                continue
            change = np.abs(window[y, x] - window[ny, nx]).sum()
            there = here + np.sqrt(change**2 + (abs(dy) + abs(dx)) * regularization**2)
            if there < distance[ny, nx]:
                distance[ny, nx], labels[ny, nx] = there, labels[y, x]
                heapq.heappush(queue, (there, ny, nx))
    return labels


@pytest.mark.parametrize("regularization", [0.02, 0.5, 3.0])
@pytest.mark.parametrize("seed", range(3))
def test_propagation_equals_the_published_algorithm(seed, regularization):
    rng = np.random.default_rng(seed)
    image = rng.random((31, 28)).astype(np.float32)
    seeds = np.zeros((31, 28), np.int32)
    seeds[rng.integers(0, 31, 6), rng.integers(0, 28, 6)] = np.arange(1, 7)
    mask = rng.random((31, 28)) < 0.8
    found = propagate(image, seeds, mask, regularization)
    np.testing.assert_array_equal(found, slow_propagation(image, seeds, mask, regularization))


def test_propagation_follows_the_image_or_the_distance():
    image = np.zeros((3, 30), np.float32)
    image[:, 8:] = 1
    seeds = np.zeros((3, 30), np.int32)
    seeds[:, 0], seeds[:, 29] = 1, 2
    everywhere = np.ones_like(image, bool)
    assert (propagate(image, seeds, everywhere, 0.01)[1] == 1).sum() == 8
    assert (propagate(image, seeds, everywhere, 100.0)[1] == 1).sum() == 15


def test_propagation_does_not_cross_the_mask_and_keeps_seeds_outside_it():
    seeds = np.zeros((5, 9), np.int32)
    seeds[2, 1] = 1
    seeds[0, 8] = 2
    mask = np.zeros((5, 9), bool)
    mask[:, :4] = True
    found = propagate(np.zeros((5, 9), np.float32), seeds, mask, 1.0)
    assert (found[:, :4] == 1).all()
    assert found[0, 8] == 2
    assert (found > 0).sum() == 21


def basins(landscape, **options):
    flat = landscape.ravel()
    order = np.flatnonzero(flat > 0)
    order = order[np.argsort(-flat[order], kind="stable")]
    return flood_basins(landscape, order, options.get("neck", 0.9), options.get("reach", 0), options.get("speck", 0))


def test_a_deep_pass_separates_and_a_shallow_one_does_not():
    ridge = np.array([[0, 5, 10, 6, 8, 3, 0]], np.float32)
    assert basins(ridge, neck=0.7).max() == 1
    assert basins(ridge, neck=0.8).tolist() == [[0, 1, 1, 1, 2, 2, 0]]


def test_close_summits_and_specks_are_merged():
    ridge = np.array([[9, 1, 8, 0, 0, 0, 0]], np.float32)
    assert basins(ridge).max() == 2
    assert basins(ridge, reach=3).max() == 1
    assert basins(ridge, speck=2).max() == 1


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), neck=st.floats(0.05, 0.99))
def test_basins_cover_the_mask_and_do_not_depend_on_scale(seed, neck):
    rng = np.random.default_rng(seed)
    landscape = (rng.integers(0, 9, (14, 17)) * (rng.random((14, 17)) < 0.8)).astype(np.float32)
    found = basins(landscape, neck=neck)
    np.testing.assert_array_equal(found > 0, landscape > 0)
    np.testing.assert_array_equal(np.unique(found[found > 0]), np.arange(1, found.max() + 1))
    np.testing.assert_array_equal(found, basins(landscape * 4, neck=neck))
