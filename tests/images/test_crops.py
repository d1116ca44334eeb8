"""Crops around cells and colour composites."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phenoprint.errors import ImageError, UsageError
from phenoprint.images.crops import channel_limits, crop_cells, to_rgb


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 9),
    st.lists(st.tuples(st.floats(-30, 40), st.floats(-30, 40)), max_size=5),
)
def test_every_pixel_of_a_crop_is_the_field_or_black(size: int, centres: list[tuple[float, float]]) -> None:
    field = np.arange(1, 2 * 11 * 13 + 1, dtype=np.uint16).reshape(2, 11, 13)
    crops = crop_cells(field, np.array(centres), size=size)
    assert crops.shape == (len(centres), 2, size, size)
    assert crops.dtype == field.dtype
    for crop, (y, x) in zip(crops, centres, strict=True):
        for row in range(size):
            for column in range(size):
                at = int(np.floor(y + 0.5)) - size // 2 + row, int(np.floor(x + 0.5)) - size // 2 + column
                inside = 0 <= at[0] < 11 and 0 <= at[1] < 13
                expected = field[:, at[0], at[1]] if inside else np.zeros(2)
                np.testing.assert_array_equal(crop[:, row, column], expected)


def test_a_crop_is_a_copy() -> None:
    field = np.ones((1, 8, 8), dtype=np.float32)
    crops = crop_cells(field, np.array([[4, 4]]), size=4)
    crops[:] = 0
    assert field.all()


def test_wrong_centres_are_errors() -> None:
    field = np.ones((1, 8, 8))
    with pytest.raises(UsageError, match="finite centres"):
        crop_cells(field, np.array([[np.nan, 1]]), size=4)
    with pytest.raises(UsageError, match=r"shape \(2, 3\)"):
        crop_cells(field, np.ones((2, 3)), size=4)
    with pytest.raises(UsageError, match="at least 1 pixel"):
        crop_cells(field, np.ones((2, 2)), size=0)
    with pytest.raises(ImageError, match=r"\(C, Y, X\)"):
        crop_cells(field[0], np.ones((2, 2)), size=4)


def test_brightness_is_shared_over_the_pictures() -> None:
    dim, bright = np.full((1, 1, 20, 20), 10.0), np.linspace(0, 100, 400).reshape(1, 1, 20, 20)
    pictures = to_rgb(np.concatenate([dim, bright]), channels=["x"])
    assert pictures.shape == (2, 20, 20, 3)
    assert pictures.dtype == np.uint8
    assert pictures[0].max() < 32
    assert pictures[1].max() == 204  # the first spare colour is a light grey
    assert pictures[1].min() == 0


def test_colors_add_up() -> None:
    images = np.zeros((2, 4, 4))
    images[0, 0], images[1, :, 0] = 1, 1
    limits = np.array([[0.0, 1.0], [0.0, 1.0]])
    picture = to_rgb(images, channels=["AGP", "DNA"], limits=limits)
    assert picture.shape == (4, 4, 3)
    assert picture[0, 1].tolist() == [255, 115, 0]
    assert picture[1, 0].tolist() == [51, 102, 255]
    assert picture[0, 0].tolist() == [255, 217, 255]
    assert picture[1, 1].tolist() == [0, 0, 0]


def test_unknown_channels_have_different_colors_and_flat_ones_do_not_warn() -> None:
    images = np.zeros((3, 4, 4), dtype=np.uint16)
    images[0, 0] = images[1, 1] = 9
    picture = to_rgb(images, channels=["one", "two", "blank"])
    assert not np.array_equal(picture[0, 0], picture[1, 0])
    with pytest.raises(UsageError, match="3 channel names"):
        to_rgb(images, channels=["one"])
    with pytest.raises(UsageError, match=r"limits of shape \(3, 2\)"):
        to_rgb(images, channels=["a", "b", "c"], limits=np.ones((1, 2)))
    with pytest.raises(ImageError, match=r"\(N, C, Y, X\)"):
        channel_limits(images[0])


def test_limits_are_percentiles_of_all_images() -> None:
    images = np.arange(2 * 1 * 50 * 50, dtype=np.float64).reshape(2, 1, 50, 50)
    np.testing.assert_allclose(channel_limits(images), [np.percentile(images, [1, 99.7])])
    assert channel_limits(images[:0]).tolist() == [[0, 1]]
