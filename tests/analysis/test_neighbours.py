"""Neighbours of profiles."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from phenoprint.analysis import similarity
from phenoprint.analysis.neighbours import _largest


@pytest.mark.parametrize("k", [1, 3, 9, 10])
def test_the_largest_are_those_of_a_stable_sort(k: int) -> None:
    rng = np.random.default_rng(k)
    for values in (rng.normal(size=(50, 10)), rng.integers(0, 3, (50, 10)), np.zeros((4, 10))):
        narrow = values.astype(np.float32)
        np.testing.assert_array_equal(_largest(narrow, k), np.argsort(-narrow, axis=1, kind="stable")[:, :k])


def test_neighbours_equal_scikit_learn() -> None:
    from sklearn.neighbors import NearestNeighbors

    rng = np.random.default_rng(0)
    values = rng.normal(size=(300, 40))
    frame = pl.DataFrame({"Metadata_perturbation": [f"t{i:03d}" for i in range(300)]}).hstack(
        [pl.Series(f"F{k}", values[:, k]) for k in range(40)]
    )
    found = similarity(frame, k=7)
    distance, index = NearestNeighbors(n_neighbors=8, metric="cosine").fit(values).kneighbors(values)
    np.testing.assert_allclose(found["similarity"].to_numpy().reshape(300, 7), 1 - distance[:, 1:], atol=1e-6)
    assert found["Metadata_perturbation_neighbour"].to_list() == [f"t{i:03d}" for i in index[:, 1:].ravel()]
