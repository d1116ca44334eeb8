"""Missing values: one damaged well costs one well, and no feature."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from phenoprint.tables import Blocks, find_gaps


def blocks_of(values: np.ndarray, size: int | None = None) -> Blocks:
    """Return the values, shape (features, profiles), in blocks of profiles, the last first."""
    n = values.shape[1]
    step = size or max(n, 1)

    def blocks() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in reversed(range(0, n, step)):
            rows = np.arange(start, min(start + step, n))
            yield rows, values[:, rows]

    return blocks


def profiles(n: int = 40, n_features: int = 20) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n_features, n))


def test_complete_profiles_are_read_once() -> None:
    calls = []
    values = profiles()

    def blocks() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        calls.append(1)
        yield np.arange(40), values

    gaps = find_gaps(blocks, 20)
    assert len(calls) == 1
    assert gaps.rows.tolist() == list(range(40))
    assert gaps.is_used.all()
    assert gaps.complete(values) is not None
    np.testing.assert_array_equal(gaps.complete(values), values)


@pytest.mark.parametrize("size", [None, 7])
def test_each_kind_of_gap(size: int | None) -> None:
    values = profiles()
    values[:11, 3] = np.nan  # more than half: no profile
    values[:9, 5] = np.nan  # 45 %: damaged
    values[0, 7] = np.nan  # imputed
    values[12, 10:13] = np.nan  # a feature that 3 of 39 profiles lack
    gaps = find_gaps(blocks_of(values, size), 20)
    assert gaps.no_profile.tolist() == [3]
    assert gaps.damaged.tolist() == [5]
    assert gaps.n_lacked.tolist() == [9]
    assert np.flatnonzero(~gaps.is_used).tolist() == [12]
    assert dict(zip(gaps.rows.tolist(), gaps.n_imputed.tolist(), strict=True))[7] == 1
    assert gaps.n_imputed.sum() == 1
    kept = gaps.complete(values[:, gaps.rows])
    assert kept.shape == (19, 38)
    assert kept[0, gaps.rows.tolist().index(7)] == pytest.approx(np.nanmedian(values[0, gaps.rows]))


def test_nothing_is_imputed_where_no_profile_is_whole() -> None:
    values = profiles(3, 10)
    for row in range(3):
        values[3 * row : 3 * row + 3, row] = np.nan
    gaps = find_gaps(blocks_of(values), 10)
    assert gaps.rows.tolist() == [0, 1, 2]
    assert np.flatnonzero(gaps.is_used).tolist() == [9]
    assert not gaps.n_imputed.any()


def test_a_feature_without_any_value_is_not_used() -> None:
    values = profiles(1, 10)
    values[4] = np.nan
    gaps = find_gaps(blocks_of(values), 10)
    assert gaps.is_used.sum() == 9
    assert not np.isnan(gaps.complete(values)).any()


@pytest.mark.parametrize("shape", [(0, 5), (5, 0)])
def test_nothing_at_all(shape: tuple[int, int]) -> None:
    gaps = find_gaps(blocks_of(np.empty(shape)), shape[0])
    assert gaps.rows.tolist() == []
