from __future__ import annotations

import numpy as np
import pytest

from phenoprint.features import measure
from phenoprint.features.location import Location
from phenoprint.features.neighbors import Neighbors


def test_neighbours_of_a_row_of_squares(channels: list[str]) -> None:
    labels = np.zeros((12, 40), np.int32)
    labels[2:8, 2:8] = 1
    labels[2:8, 8:14] = 2  # touches 1 along a side
    labels[8:11, 14:17] = 3  # touches 2 at a corner only
    labels[3:6, 30:33] = 4
    frame = measure(
        np.zeros((3, 12, 40)), {"Nuclei": labels, "Cells": labels}, channels=channels, families=[Neighbors()]
    )
    assert not [name for name in frame.columns if name.startswith(("Nuclei_", "Cytoplasm_"))]
    count = frame["Cells_Neighbors_NumberOfNeighbors_Adjacent"].to_list()
    assert count == [1, 1, 0, 0]
    touching = frame["Cells_Neighbors_PercentTouching_Adjacent"].to_list()
    assert touching == pytest.approx([100 * 6 / 20, 100 * 7 / 20, 100 * 1 / 8, 0])
    assert frame["Cells_Neighbors_FirstClosestObjectNumber_Adjacent"].to_list() == [2, 1, 2, 3]
    assert frame["Cells_Neighbors_SecondClosestObjectNumber_Adjacent"].to_list() == [3, 3, 1, 2]
    assert frame["Cells_Neighbors_FirstClosestDistance_Adjacent"][0] == pytest.approx(6)
    assert frame["Cells_Neighbors_SecondClosestDistance_Adjacent"][0] == pytest.approx(np.hypot(10.5, 4.5))
    angle = np.degrees(np.arccos(10.5 / np.hypot(10.5, 4.5)))
    assert frame["Cells_Neighbors_AngleBetweenNeighbors_Adjacent"][0] == pytest.approx(angle, rel=1e-5)


def test_object_numbers_are_the_callers(channels: list[str]) -> None:
    labels = np.zeros((10, 30), np.int32)
    labels[2:5, 2:5] = 40
    labels[2:5, 10:13] = 7
    frame = measure(
        np.zeros((3, 10, 30)),
        {"Nuclei": labels, "Cells": labels},
        channels=channels,
        families=[Neighbors(), Location()],
    )
    assert frame["Metadata_ObjectNumber"].to_list() == [7, 40]
    assert frame["Cells_Neighbors_FirstClosestObjectNumber_Adjacent"].to_list() == [40, 7]
    assert frame["Cells_Neighbors_SecondClosestObjectNumber_Adjacent"].to_list() == [None, None]
    assert frame["Cells_Neighbors_AngleBetweenNeighbors_Adjacent"].to_list() == [None, None]
    assert frame["Cells_Number_Object_Number"].to_list() == [7, 40]


def test_family_ties_nucleus_cell_and_cytoplasm(channels: list[str]) -> None:
    cells = np.zeros((10, 30), np.int32)
    cells[2:6, 2:6] = 1
    cells[2:6, 10:14] = 2
    nuclei = np.zeros_like(cells)
    nuclei[3:5, 3:5] = 1
    nuclei[2:6, 10:14] = 2  # fills its cell: no cytoplasm
    nuclei[7:9, 20:22] = 3  # no cell
    frame = measure(np.zeros((3, 10, 30)), {"Nuclei": nuclei, "Cells": cells}, channels=channels, families=[Location()])
    assert frame["Cells_Children_Cytoplasm_Count"].to_list() == [1, 0, None]
    assert frame["Nuclei_Children_Cytoplasm_Count"].to_list() == [1, 0, 0]
    assert frame["Cytoplasm_Parent_Cells"].to_list() == [1, None, None]
    assert frame["Cytoplasm_Parent_Nuclei"].to_list() == [1, None, None]
    assert frame["Cells_Location_Center_X"].to_list() == [3.5, 11.5, None]
    assert frame["Nuclei_Location_Center_Y"].to_list() == [3.5, 3.5, 7.5]
