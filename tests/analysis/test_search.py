"""Neighbours of profiles, and the chance that unrelated profiles are as similar."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from phenoprint.analysis import nearest_profiles, search, unrelated_p
from phenoprint.analysis.nearest import largest
from phenoprint.errors import SchemaError, UnknownNameError, UsageError

NAME, GROUP = "Metadata_perturbation", "Metadata_compound"


def frame(values: np.ndarray, *, per_group: int = 1, prefix: str = "t") -> pl.DataFrame:
    n, width = values.shape
    about = {
        NAME: [f"{prefix}{i:04d}" for i in range(n)],
        GROUP: [f"{prefix}{i // per_group:04d}" for i in range(n)],
    }
    return pl.DataFrame(about).hstack([pl.Series(f"F{k}", values[:, k], dtype=pl.Float32) for k in range(width)])


def noise(n: int, width: int = 40, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, width))


@pytest.mark.parametrize("k", [1, 3, 9, 10])
def test_the_largest_are_those_of_a_stable_sort(k: int) -> None:
    rng = np.random.default_rng(k)
    for values in (rng.normal(size=(50, 10)), rng.integers(0, 3, (50, 10)), np.zeros((4, 10))):
        narrow = values.astype(np.float32)
        np.testing.assert_array_equal(largest(narrow, k), np.argsort(-narrow, axis=1, kind="stable")[:, :k])


def test_neighbours_equal_scikit_learn() -> None:
    from sklearn.neighbors import NearestNeighbors

    values = noise(300)
    found = nearest_profiles(frame(values), k=7).table
    distance, index = NearestNeighbors(n_neighbors=8, metric="cosine").fit(values).kneighbors(values)
    np.testing.assert_allclose(found["similarity"].to_numpy().reshape(300, 7), 1 - distance[:, 1:], atol=1e-6)
    assert found["neighbour"].to_list() == [f"t{i:04d}" for i in index[:, 1:].ravel()]
    assert set(found["n_searched"]) == {299}


class Counted(Sequence[pl.DataFrame]):
    """Blocks that are read when they are asked for."""

    def __init__(self, whole: pl.DataFrame, size: int) -> None:
        self.whole, self.size = whole, size

    def __len__(self) -> int:
        return (self.whole.height + self.size - 1) // self.size

    def __getitem__(self, number: int) -> pl.DataFrame:  # type: ignore[override]
        if number >= len(self):
            raise IndexError
        return self.whole.slice(number * self.size, self.size)

    def __iter__(self) -> Iterator[pl.DataFrame]:
        return (self[number] for number in range(len(self)))


def test_blocks_of_a_library_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    library, queries = frame(noise(500), per_group=2), frame(noise(30, seed=1), prefix="q")
    whole = nearest_profiles(queries, library, k=5).table
    assert_frame_equal(nearest_profiles(queries, Counted(library, 77), k=5).table, whole)
    monkeypatch.setattr(search, "_QUERIES", 7)
    monkeypatch.setattr(search, "_BLOCK_VALUES", 900)
    assert_frame_equal(nearest_profiles(queries, Counted(library, 120), k=5).table, whole, abs_tol=1e-6)
    itself = nearest_profiles(library, k=5).table
    monkeypatch.undo()
    assert_frame_equal(nearest_profiles(library, k=5).table, itself, abs_tol=1e-6)
    shuffled = nearest_profiles(library.sample(fraction=1, shuffle=True, seed=2), k=5).table
    assert_frame_equal(shuffled.sort(NAME, "rank"), itself.sort(NAME, "rank"), abs_tol=1e-6)
    one = nearest_profiles(library, k=5, only=["t0017"]).table
    assert_frame_equal(one, itself.filter(pl.col(NAME) == "t0017"), abs_tol=1e-6)


@pytest.mark.parametrize("n", [26, 40, 150, 600])
def test_p_is_calibrated_for_unrelated_profiles(n: int) -> None:
    """Profiles share a common direction, but are otherwise unrelated."""
    p: list[np.ndarray] = []
    for seed in range(max(3, 4000 // n)):
        values = noise(n, 30, seed=seed) + 0.4
        unit = (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)
        p += [unrelated_p(row[:1], row[1:]) for row in unit[:5] @ unit[5:].T]
    found = np.concatenate(p)
    for level, slack in ((0.05, 0.008), (0.2, 0.03)):
        error = 3.5 * np.sqrt(level * (1 - level) / len(found))
        assert abs((found < level).mean() - level) < error + slack


def test_one_unrelated_profile_per_library_is_expected_at_e_of_one() -> None:
    found = nearest_profiles(frame(noise(400, 60)), k=20).table
    expected = (found["e_value"] < 1).sum() / 400
    assert 0.8 < expected < 1.25


def test_related_profiles_stand_out_and_do_not_spoil_the_null() -> None:
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(12, 50))
    values = 1.5 * np.repeat(directions, 8, axis=0) + rng.normal(size=(96, 50))
    found = nearest_profiles(frame(values, per_group=2), k=7).table
    own = (found[NAME].str.slice(1).cast(pl.Int32) // 8) == (found["neighbour"].str.slice(1).cast(pl.Int32) // 8)
    assert own.all()
    assert found["e_value"].median() < 1e-4  # type: ignore[operator]
    assert (found["e_value"] < 0.1).mean() > 0.97
    assert found["is_same_group"].sum() == 96


def test_library_of_other_features_is_aligned_by_name() -> None:
    values = noise(60)
    own, other = frame(values), frame(values, prefix="x")
    renamed = other.rename({"F0": "G0"}).select(pl.exclude("F5"), pl.col("F5"))
    found = nearest_profiles(own, renamed, k=1)
    assert (found.only_queries, found.only_library) == (("F0",), ("G0",))
    assert len(found.features) == 39
    assert found.table["neighbour"].to_list() == [name.replace("t", "x") for name in own[NAME]]
    assert found.table["similarity"].min() == pytest.approx(1, abs=1e-6)
    with pytest.raises(SchemaError, match="share none of their 40 and 40 features, such as F0 and G0"):
        nearest_profiles(own, other.rename({f"F{k}": f"G{k}" for k in range(40)}))


def test_what_cannot_be_compared_is_counted() -> None:
    values = noise(30)
    values[0], values[1, :25], values[2, :10] = 0, np.nan, np.nan
    data = frame(values).with_columns(
        pl.when(pl.int_range(pl.len()) != 3).then(pl.col(NAME)).alias(NAME), pl.col("^F.*$").fill_nan(None)
    )
    found = nearest_profiles(data, k=3)
    assert found.lost == {
        "the profile has no name": 1,
        "lacks more than half of the features": 1,
        "does not differ from the controls in any feature": 1,
    }
    assert set(found.table[NAME]) == {f"t{i:04d}" for i in range(30) if i not in (0, 1, 3)}
    filled = frame(np.nan_to_num(values)).filter(~pl.col(NAME).is_in(["t0000", "t0001", "t0003"]))
    assert_frame_equal(nearest_profiles(filled, k=3).table, found.table)
    assert nearest_profiles(data.select(NAME)).table.is_empty()
    assert nearest_profiles(data.select(NAME)).lost == {"no feature to compare by": 30}
    assert nearest_profiles(data.clear()).table.is_empty()
    assert nearest_profiles(frame(noise(1))).table.is_empty()
    with pytest.raises(UsageError, match="k must be 1"):
        nearest_profiles(data, k=0)
    with pytest.raises(UnknownNameError, match="Metadata_name"):
        nearest_profiles(data, name="Metadata_name")


def test_no_p_without_enough_unrelated_profiles() -> None:
    few = nearest_profiles(frame(noise(20)), k=2).table
    assert few["p_value"].null_count() == few["e_value"].null_count() == few.height
    related = nearest_profiles(frame(noise(40), per_group=25), k=2).table
    assert related.filter(pl.col(NAME) < "t0025")["p_value"].null_count() == 50
    same = nearest_profiles(frame(np.ones((40, 5))), k=2).table
    assert same["p_value"].null_count() == same.height, "all are equally similar"


def test_an_index_finds_almost_all() -> None:
    pytest.importorskip("usearch")
    library, queries = frame(noise(3000, 20)), frame(noise(50, 20, seed=1), prefix="q")
    exact, found = (
        nearest_profiles(queries, Counted(library, 1000), k=10, approximate=approximate).table
        for approximate in (False, True)
    )
    both = exact.join(found, on=[NAME, "neighbour"], suffix="_found")
    assert both.height >= 0.9 * exact.height
    np.testing.assert_allclose(both["similarity"], both["similarity_found"], atol=1e-5)
    np.testing.assert_allclose(both["p_value"], both["p_value_found"], rtol=1e-3, atol=1e-9)
    own = nearest_profiles(library.head(400), k=3, approximate=True).table
    assert (own[NAME] != own["neighbour"]).all()
