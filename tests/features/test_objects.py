from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import UsageError
from phenoprint.features import measure, object_table


def test_object_table(pixels: np.ndarray, labels: dict[str, np.ndarray], channels: list[str]) -> None:
    table = object_table(labels)
    assert table.schema == pl.Schema(
        {"Metadata_ObjectNumber": pl.Int32}
        | dict.fromkeys(("Location_Center_Y", "Location_Center_X", "nucleus_center_y", "nucleus_center_x"), pl.Float32)
        | dict.fromkeys(
            (f"{kind}_box_{side}" for kind in ("cell", "nucleus") for side in ("y0", "x0", "y1", "x1")), pl.Int32
        )
        | {"touches_border": pl.Boolean}
    )
    frame = measure(pixels, labels, channels=channels, preset="minimal")
    for ours, theirs in (
        ("Location_Center_Y", "Cells_Location_Center_Y"),
        ("nucleus_center_x", "Nuclei_Location_Center_X"),
        ("cell_box_x1", "Cells_AreaShape_BoundingBoxMaximum_X"),
        ("nucleus_box_y0", "Nuclei_AreaShape_BoundingBoxMinimum_Y"),
    ):
        assert table[ours].cast(pl.Float32).to_list() == frame[theirs].to_list()
    assert table["touches_border"].to_list() == [False, False, False, False, True, False, False]


def test_absent_parts_are_null_and_numbers_are_kept() -> None:
    cells = np.zeros((10, 10), np.int32)
    nuclei = np.zeros_like(cells)
    cells[2:4, 2:4] = 8
    nuclei[0:2, 6:8] = 3
    table = object_table({"Nuclei": nuclei, "Cells": cells})
    first, second = table.rows(named=True)
    assert first["Metadata_ObjectNumber"] == 3
    assert first["cell_box_y0"] is None
    assert first["Location_Center_Y"] is None
    assert first["touches_border"] is True  # by its nucleus
    assert second["nucleus_box_x1"] is None
    assert second["touches_border"] is False
    empty = object_table({"Nuclei": np.zeros((4, 4), int), "Cells": np.zeros((4, 4), int)})
    assert empty.height == 0
    assert empty.schema == table.schema


def test_labels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="lack Nuclei"):
        object_table({"Cells": np.zeros((4, 4), int)})
