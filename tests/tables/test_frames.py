"""Frames become matrices and frames again without a change, whatever their layout."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.testing import assert_array_equal

from phenoprint.tables.frames import Groups, feature_columns, feature_matrix, rows_with_values, with_series


@given(
    arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=5), elements=st.sampled_from([np.nan, 0.0, 1.0]))
)
def test_rows_with_values(values: np.ndarray) -> None:
    assert_array_equal(rows_with_values(values), ~np.isnan(values).all(axis=0))


def test_rows_of_a_matrix_without_features_all_count() -> None:
    assert rows_with_values(np.empty((0, 3))).tolist() == [True] * 3


@pytest.mark.parametrize("columns", [["m", "a", "b"], ["a", "m", "b"], ["a", "b"], ["m"], []])
def test_with_series_is_with_columns(columns: list[str]) -> None:
    frame = pl.DataFrame({name: [name, name] for name in columns})
    new = [pl.Series("a", [1.0, 2.0]), pl.Series("b", [3.0, None])]
    assert with_series(frame, new).equals(frame.with_columns(new) if columns else pl.DataFrame(new))
    assert frame.equals(pl.DataFrame({name: [name, name] for name in columns}))


def test_a_matrix_is_as_wide_as_its_widest_feature() -> None:
    frame = pl.DataFrame({"a": [1.5, None], "b": [1, 2], "c": [None, None], "m": ["x", "y"]})
    narrow = frame.cast({"a": pl.Float32})
    assert feature_matrix(narrow, ["a", "c"]).dtype == np.float32
    assert feature_matrix(narrow, ["a", "b"]).dtype == np.float64
    assert_array_equal(feature_matrix(frame, ["b", "a", "c"]), [[1, 2], [1.5, np.nan], [np.nan, np.nan]])
    assert feature_matrix(frame, []).shape == (0, 2)
    assert feature_matrix(frame.clear(), ["a"]).shape == (1, 0)


def test_a_matrix_can_be_written_without_the_frame() -> None:
    frame = pl.DataFrame({"a": [1.0, 2.0]})
    feature_matrix(frame, ["a"])[:] = 7
    assert frame["a"].to_list() == [1.0, 2.0]
    assert_array_equal(feature_matrix(pl.DataFrame({"a": [1e101, -np.inf, 1e99]}), ["a"]), [[np.nan, np.nan, 1e99]])


def test_items_name_their_groups() -> None:
    frame = pl.DataFrame({"Metadata_k": ["b", "a", "b"], "x": [1.0, 2.0, 3.0]})
    assert [(key, rows.tolist()) for key, rows in Groups.of(frame, ["Metadata_k"]).items()] == [
        (("a",), [1]),
        (("b",), [0, 2]),
    ]
    assert [(key, rows.tolist()) for key, rows in Groups.of(frame, []).items()] == [((), [0, 1, 2])]
    assert list(Groups.of(frame.clear(), ["Metadata_k"]).items()) == []


def test_features_of_lazy_frames_are_those_of_frames() -> None:
    frame = pl.DataFrame({"Metadata_k": ["b"], "x": [1.0], "y": [1]})
    assert feature_columns(frame.lazy()) == feature_columns(frame) == ["x", "y"]
