from __future__ import annotations

import numpy as np
import pytest

from phenoprint.errors import UsageError
from phenoprint.pixels import check_labels, cytoplasm, fill_holes, keep_labels, touching_border


def test_cytoplasm_and_nucleus_make_the_cell():
    nuclei = np.zeros((6, 6), np.int32)
    cells = np.zeros((6, 6), np.int32)
    cells[:3], cells[3:] = 1, 2
    nuclei[1, 1], nuclei[4, 4] = 1, 2
    found = cytoplasm(nuclei, cells)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found + nuclei, cells)


def test_a_pixel_of_another_nucleus_is_not_cytoplasm():
    nuclei, cells = np.array([[0, 2, 2, 0]]), np.array([[1, 1, 2, 2]])
    assert cytoplasm(nuclei, cells).tolist() == [[1, 0, 0, 2]]


def test_a_missing_compartment_and_different_shapes_are_reported():
    with pytest.raises(UsageError, match="lack Cells"):
        check_labels({"Nuclei": np.zeros((2, 2), int)})
    with pytest.raises(UsageError, match=r"\(3, 2\).*\(2, 2\)"):
        check_labels({"Nuclei": np.zeros((2, 2), int), "Cells": np.zeros((3, 2), int)})


def test_small_holes_are_filled_and_gaps_and_bays_stay():
    mask = np.ones((12, 12), bool)
    mask[2, 2] = False
    mask[5:9, 5:9] = False
    mask[0, 6] = False
    filled = fill_holes(mask, largest=4)
    assert filled[2, 2]
    assert not filled[5:9, 5:9].any()
    assert not filled[0, 6]
    assert not mask[2, 2], "the argument must not change"


def test_labels_kept_are_numbered_without_gaps():
    labels = np.array([[1, 0, 2], [3, 3, 0]], np.int32)
    kept, number = keep_labels(labels, np.array([True, True, False, True]))
    assert kept.tolist() == [[1, 0, 0], [2, 2, 0]]
    assert number.tolist() == [0, 1, 0, 2]


def test_border_objects():
    labels = np.zeros((5, 5), np.int32)
    labels[0, 0], labels[2, 2], labels[4, 3], labels[3, 4] = 4, 1, 2, 7
    assert touching_border(labels).tolist() == [2, 4, 7]
