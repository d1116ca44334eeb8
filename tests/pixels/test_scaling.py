from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp

from phenoprint.errors import UsageError
from phenoprint.pixels import check_field, to_unit


def test_shapes_and_names_must_fit() -> None:
    with pytest.raises(UsageError, match=r"not \(4, 4\); pass pixels\[None\]"):
        check_field(np.zeros((4, 4)), ["DNA"])
    with pytest.raises(UsageError, match=r"list of 2 channel names, .* given: DNA"):
        check_field(np.zeros((2, 4, 4)), ["DNA"])
    with pytest.raises(UsageError, match="list of different names"):
        check_field(np.zeros((3, 4, 4)), "DNA")
    with pytest.raises(UsageError, match="ER occurs more than once"):
        check_field(np.zeros((3, 4, 4)), ["DNA", "ER", "ER"])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.int16])
def test_integers_are_divided_by_the_maximum_of_their_type(dtype: type[np.integer]) -> None:
    largest = np.iinfo(dtype).max
    unit = to_unit(np.array([0, largest // 2, largest], dtype))
    assert unit.dtype == np.float32
    np.testing.assert_allclose(unit, [0, (largest // 2) / largest, 1], rtol=1e-7)
    assert unit[2] == 1


def test_floats_and_booleans_keep_their_values() -> None:
    np.testing.assert_array_equal(to_unit(np.array([0.25, 1.5])), np.array([0.25, 1.5], np.float32))
    np.testing.assert_array_equal(to_unit(np.array([True, False])), np.array([1, 0], np.float32))
    with pytest.raises(UsageError, match="complex128"):
        to_unit(np.zeros(2, complex))


@given(hnp.arrays(np.uint16, 16))
def test_16_bit_values_can_be_recovered(pixels: np.ndarray) -> None:
    before = pixels.copy()
    unit = to_unit(pixels)
    np.testing.assert_array_equal(np.rint(unit * 65535).astype(np.uint16), pixels)
    np.testing.assert_array_equal(pixels, before)
