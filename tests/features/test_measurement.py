from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.features import feature_dictionary, measure, presets, warm_up


def test_the_frame_has_the_documented_form(
    pixels: np.ndarray, labels: dict[str, np.ndarray], channels: list[str]
) -> None:
    before = pixels.copy(), {name: each.copy() for name, each in labels.items()}
    frame = measure(pixels, labels, channels=channels)
    assert frame.columns[0] == "Metadata_ObjectNumber"
    assert frame["Metadata_ObjectNumber"].dtype == pl.Int32
    assert frame["Metadata_ObjectNumber"].to_list() == list(range(1, 8))
    assert set(frame.dtypes[1:]) == {pl.Float32}
    assert len(set(frame.columns)) == frame.width
    assert {name.split("_")[0] for name in frame.columns[1:]} == {"Nuclei", "Cells", "Cytoplasm"}
    np.testing.assert_array_equal(pixels, before[0])
    assert all((labels[name] == before[1][name]).all() for name in labels)


@pytest.mark.parametrize("preset", sorted(presets()))
def test_missing_values_are_null_not_nan_or_infinite(
    pixels: np.ndarray, labels: dict[str, np.ndarray], channels: list[str], preset: str
) -> None:
    frame = measure(pixels, labels, channels=channels, preset=preset)
    assert frame.select(pl.col(pl.Float32).is_finite().all()).row(0) == (True,) * (frame.width - 1)
    # Object 6 and its nucleus are the same pixel, so its cytoplasm is empty.
    empty = frame.row(5, named=True)
    assert {value for name, value in empty.items() if name.startswith("Cytoplasm_")} == {None}
    assert empty["Cells_AreaShape_Area"] == 1


@pytest.mark.parametrize("preset", sorted(presets()))
def test_without_objects_the_frame_is_empty_and_has_all_columns(channels: list[str], preset: str) -> None:
    nothing = np.zeros((50, 60), np.int32)
    frame = measure(
        np.zeros((3, 50, 60), np.uint16), {"Nuclei": nothing, "Cells": nothing}, channels=channels, preset=preset
    )
    assert frame.height == 0
    assert frame.columns[1:] == feature_dictionary(channels, preset=preset)["feature"].to_list()
    assert set(frame.dtypes[1:]) == {pl.Float32}


def test_rows_are_the_union_of_the_numbers(channels: list[str]) -> None:
    cells = np.zeros((40, 40), np.int64)
    nuclei = np.zeros((40, 40), np.uint16)
    cells[2:10, 2:10] = 5
    nuclei[4:7, 4:7] = 5
    cells[20:30, 20:30] = 1_000_000_007
    nuclei[34:37, 34:37] = 9
    frame = measure(np.random.default_rng(0).random((3, 40, 40)), {"Nuclei": nuclei, "Cells": cells}, channels=channels)
    assert frame["Metadata_ObjectNumber"].to_list() == [5, 9, 1_000_000_007]
    assert frame["Nuclei_AreaShape_Area"].to_list() == [9, 9, None]
    assert frame["Cells_AreaShape_Area"].to_list() == [64, None, 100]
    assert frame["Cytoplasm_AreaShape_Area"].to_list() == [55, None, 100]
    assert frame["Cytoplasm_Parent_Nuclei"].to_list() == [5, None, None]


def test_the_nucleus_of_another_cell_is_not_cytoplasm(channels: list[str]) -> None:
    cells = np.zeros((20, 20), np.int32)
    nuclei = np.zeros_like(cells)
    cells[2:12, 2:12] = 1
    cells[2:12, 12:18] = 2
    nuclei[4:6, 10:14] = 2  # extends into cell 1
    frame = measure(np.ones((3, 20, 20)), {"Nuclei": nuclei, "Cells": cells}, channels=channels, preset="minimal")
    assert frame["Cytoplasm_AreaShape_Area"].to_list() == [96, 56]


def test_float_and_integer_pixels_agree(pixels: np.ndarray, labels: dict[str, np.ndarray], channels: list[str]) -> None:
    whole = measure(pixels, labels, channels=channels)
    parts = measure((pixels / 65535).astype(np.float32), labels, channels=channels)
    assert whole.equals(parts)
    strided = measure(
        np.asfortranarray(pixels), {n: np.asfortranarray(e) for n, e in labels.items()}, channels=channels
    )
    assert whole.equals(strided)


def test_read_only_input_is_accepted(pixels: np.ndarray, labels: dict[str, np.ndarray], channels: list[str]) -> None:
    frozen = pixels.copy()
    frozen.setflags(write=False)
    fixed = {name: each.copy() for name, each in labels.items()}
    for each in fixed.values():
        each.setflags(write=False)
    assert measure(frozen, fixed, channels=channels, preset="minimal").height == 7
    floats = (pixels / 65535).astype(np.float32)
    floats.setflags(write=False)
    assert measure(floats, fixed, channels=channels).equals(measure(pixels, labels, channels=channels))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixels": np.zeros((12, 12))}, r"\(C, Y, X\)"),
        ({"channels": ["DNA"]}, "list of 2 channel names"),
        ({"channels": ["DNA", "DNA"]}, "different names"),
        ({"channels": "AB"}, "different names"),
        ({"labels": {"Nuclei": np.zeros((12, 12), int)}}, "lack Cells"),
        ({"labels": {"Nuclei": np.zeros((12, 12), int), "Cells": np.zeros((12, 13), int)}}, "same size"),
        ({"labels": {"Nuclei": np.zeros((9, 12), int), "Cells": np.zeros((9, 12), int)}}, "same image"),
        ({"labels": {"Nuclei": np.zeros((12, 12)), "Cells": np.zeros((12, 12))}}, "whole numbers"),
        ({"labels": {"Nuclei": np.full((12, 12), -1), "Cells": np.zeros((12, 12), int)}}, "include -1"),
        ({"pixels": np.full((2, 12, 12), np.nan)}, "not finite"),
        ({"pixels": np.zeros((2, 12, 12), complex)}, "integers or floats"),
    ],
)
def test_input_that_does_not_fit_is_an_error(change: dict[str, object], message: str) -> None:
    zeros = np.zeros((12, 12), int)
    given = {"pixels": np.zeros((2, 12, 12)), "labels": {"Nuclei": zeros, "Cells": zeros}, "channels": ["DNA", "ER"]}
    given |= change
    with pytest.raises(UsageError, match=message):
        measure(given["pixels"], given["labels"], channels=given["channels"])  # type: ignore[arg-type]


def test_the_error_of_an_unknown_preset_has_the_closest_name() -> None:
    zeros = np.zeros((4, 4), int)
    with pytest.raises(UnknownNameError, match="did you mean 'minimal'"):
        measure(np.zeros((1, 4, 4)), {"Nuclei": zeros, "Cells": zeros}, channels=["A"], preset="minimum")


def test_warm_up_returns_seconds() -> None:
    assert warm_up(2, preset="minimal") > 0
