from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from phenoprint.errors import UsageError
from phenoprint.features import measure
from phenoprint.features.location import Location
from phenoprint.features.neighbors import Neighbors


def test_neighbours_of_squares_in_a_row(channels: list[str]) -> None:
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


def test_of_equally_close_neighbours_the_lower_numbers_are_reported(channels: list[str]) -> None:
    labels = np.zeros((25, 25), np.int32)
    for number, (y, x) in enumerate([(12, 12), (4, 12), (12, 4), (12, 20), (20, 12)], start=1):
        labels[y, x] = number
    both = {"Nuclei": labels, "Cells": labels}
    row = measure(np.zeros((3, 25, 25)), both, channels=channels, families=[Neighbors()]).row(0, named=True)
    assert row["Cells_Neighbors_FirstClosestObjectNumber_Adjacent"] == 2
    assert row["Cells_Neighbors_SecondClosestObjectNumber_Adjacent"] == 3
    assert row["Cells_Neighbors_AngleBetweenNeighbors_Adjacent"] == pytest.approx(90)


def test_object_numbers_are_those_of_the_labels(channels: list[str]) -> None:
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


def test_locations_link_nucleus_cell_and_cytoplasm(channels: list[str]) -> None:
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


def neighbours_by_the_book(labels: np.ndarray, distance: int) -> tuple[list[int], list[float]]:
    """Count labels within the distance, and outline pixels within half a pixel more, from distance maps."""
    counts, shares = [], []
    numbers = [n for n in np.unique(labels) if n]
    for number in numbers:
        inside = labels == number
        square = np.ones((3, 3), bool)
        edge = inside & ~ndimage.binary_erosion(inside, square)  # outside the image is outside the object
        others = (labels != 0) & ~inside
        to_others = ndimage.distance_transform_edt(~others) if others.any() else np.full(labels.shape, np.inf)
        shares.append(100 * (to_others[edge] <= distance + 0.5).mean())
        own = ndimage.distance_transform_edt(~inside)
        counts.append(sum(own[labels == other].min() <= distance for other in numbers if other != number))
    return counts, shares


@pytest.mark.parametrize("distance", [1, 2, 5, 9])
def test_neighbours_within_a_distance(channels: list[str], distance: int) -> None:
    labels = np.zeros((60, 70), np.int32)
    rng = np.random.default_rng(distance)
    for number in range(1, 9):
        y, x = rng.integers(0, 50), rng.integers(0, 60)
        patch = labels[y : y + rng.integers(1, 14), x : x + rng.integers(1, 14)]
        patch[patch == 0] = number
    labels = np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int32)
    both = {"Nuclei": labels, "Cells": labels}
    frame = measure(np.zeros((3, 60, 70)), both, channels=channels, families=[Neighbors(distance=distance)])
    counts, shares = neighbours_by_the_book(labels, distance)
    assert frame[f"Cells_Neighbors_NumberOfNeighbors_{distance}"].to_list() == counts
    assert frame[f"Cells_Neighbors_PercentTouching_{distance}"].to_list() == pytest.approx(shares, rel=1e-6)
    if distance == 1:
        adjacent = measure(np.zeros((3, 60, 70)), both, channels=channels, families=[Neighbors()])
        assert adjacent.rows() == frame.rows()


def test_neighbours_of_nuclei_can_be_measured(channels: list[str], labels: dict[str, np.ndarray]) -> None:
    frame = measure(
        np.zeros((3, 120, 140)),
        labels,
        channels=channels,
        families=[Neighbors(), Neighbors(compartments=("Nuclei",), distance=2)],
    )
    assert "Nuclei_Neighbors_NumberOfNeighbors_2" in frame.columns
    assert "Cells_Neighbors_NumberOfNeighbors_Adjacent" in frame.columns
    assert not [name for name in frame.columns if name.startswith("Cytoplasm")]


@pytest.mark.parametrize("distance", [0, -3, 2.5])
def test_distances_that_are_not_whole_pixels_are_refused(distance: float) -> None:
    with pytest.raises(UsageError, match="whole number of at least 1 pixel"):
        Neighbors(distance=distance)  # type: ignore[arg-type]


# Output of CellProfiler 4.2.8.1 for the reference field, by distance in pixels: sums over the 191 cells.
@pytest.mark.real
@pytest.mark.parametrize(
    ("distance", "neighbours", "touching"), [(3, 556.0, 8858.1737), (6, 592.0, 10317.04933), (10, 648.0, 12036.025044)]
)
def test_sums_equal_cellprofiler(reference_data: Path, distance: int, neighbours: float, touching: float) -> None:
    tifffile = pytest.importorskip("tifffile")
    folder = reference_data / "simulated_5ch"
    given = {name: tifffile.imread(folder / f"{name.lower()}.tif").astype(np.int32) for name in ("Nuclei", "Cells")}
    blank = np.zeros((1, *given["Cells"].shape), np.uint8)
    frame = measure(blank, given, channels=["DNA"], families=[Neighbors(distance=distance)])
    assert frame[f"Cells_Neighbors_NumberOfNeighbors_{distance}"].sum() == neighbours
    assert frame[f"Cells_Neighbors_PercentTouching_{distance}"].cast(float).sum() == pytest.approx(touching, rel=1e-6)
