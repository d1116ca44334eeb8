from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from phenoprint.features._kernels_pixels import group_pixels, inner_edge, outline, radix_order, rank_values


@pytest.fixture(scope="module")
def ragged() -> np.ndarray:
    """Draw three irregular objects that touch each other and the border."""
    noise = ndimage.gaussian_filter(np.random.default_rng(7).random((40, 50)), 1.0)
    labels = np.where(noise > 0.47, 1 + np.arange(50)[None, :] // 17, 0)
    labels[8, 8] = 2  # a single pixel in another object, and two pixels that meet at a corner
    labels[20:24, 20:24] = 0
    labels[21, 21] = labels[22, 22] = 3
    return labels.astype(np.int32)


def test_outlines_agree_with_erosion(ragged: np.ndarray) -> None:
    expected, edges = np.zeros(ragged.shape, bool), np.zeros(ragged.shape, bool)
    for label in (1, 2, 3):
        mask = ragged == label
        expected |= mask & ~ndimage.binary_erosion(mask, np.ones((3, 3)))
        edges |= mask & ~ndimage.binary_erosion(mask, border_value=1)
    np.testing.assert_array_equal(outline(ragged), expected)
    pixels, rows, columns, offsets, _ = group_pixels(ragged, 3)
    places, ends = inner_edge(ragged, rows, columns, offsets)
    found = np.zeros(ragged.size, bool)
    found[pixels[places]] = True
    np.testing.assert_array_equal(found.reshape(ragged.shape), edges)
    assert np.diff(ends).tolist() == [int((edges & (ragged == label)).sum()) for label in (1, 2, 3)]


def test_pixel_lists_and_boxes_agree_with_numpy(ragged: np.ndarray) -> None:
    pixels, rows, columns, offsets, box = group_pixels(ragged, 3)
    for label in (1, 2, 3):
        mine = slice(offsets[label - 1], offsets[label])
        assert pixels[mine].tolist() == np.flatnonzero(ragged == label).tolist()
        y, x = np.nonzero(ragged == label)
        assert (rows[mine].tolist(), columns[mine].tolist()) == (y.tolist(), x.tolist())
        assert box[label - 1].tolist() == [y.min(), x.min(), y.max() + 1, x.max() + 1]


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).normal(0, 1, 3000),
        np.random.default_rng(1).integers(-3, 4, 3000) * np.random.default_rng(2).choice([-0.0, 1.0], 3000),
        np.linspace(-1e-30, 1e30, 777),
        np.append(np.full(99, 0.5), 0.25),
        np.full(5, -2.0),
        np.zeros(0),
    ],
    ids=["both signs", "both zeros", "all sizes", "one apart", "equal", "none"],
)
def test_radix_order_is_a_stable_sort(values: np.ndarray) -> None:
    values = values.astype(np.float32)
    listed = np.random.default_rng(3).permutation(len(values)).astype(np.int32)
    scratch = [np.empty(len(values), kind) for kind in (np.int32, np.uint32, np.int32, np.uint32)]
    order, ascending = radix_order(values, listed, *scratch)
    expected = np.argsort(values[listed], kind="stable")
    assert order.tolist() == expected.tolist()
    assert ascending.tolist() == values[listed][expected].tolist()
    codes = np.empty(len(values), np.int32)
    top = rank_values(order, ascending, codes)
    distinct, ranks = np.unique(values[listed], return_inverse=True)
    assert codes.tolist() == ranks.tolist()
    assert top == len(distinct) - 1
