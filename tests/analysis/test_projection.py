"""Projection and similarities."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from phenoprint.analysis import project, project_with_status, similarity_matrix
from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.tables import feature_columns


def wells(*, groups: int = 3, each: int = 12, distance: float = 12.0, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    n = groups * each
    values = rng.normal(size=(n, 8)) + np.repeat(np.eye(8)[:groups] * distance, each, axis=0)
    return pl.DataFrame(
        {
            "Metadata_Plate": ["p"] * n,
            "Metadata_Well": [f"w{i:03d}" for i in range(n)],
            "Metadata_group": [f"g{i // each}" for i in range(n)],
        }
    ).with_columns(pl.Series(f"F{i}", values[:, i]) for i in range(8))


def purity(frame: pl.DataFrame, labels: pl.Series) -> float:
    """Share of points whose nearest point in the layout is of their group."""
    placed, groups = frame.select("x", "y").to_numpy(), labels.to_numpy()
    distance = np.linalg.norm(placed[:, None] - placed[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    return float((groups[distance.argmin(axis=1)] == groups).mean())


def test_pca_agrees_with_scikit_learn() -> None:
    from sklearn.decomposition import PCA

    data = wells()
    ours = project(data, "pca").select("x", "y").to_numpy()
    theirs = PCA(2).fit_transform(data.select(feature_columns(data)).to_numpy())
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-9)


@pytest.mark.parametrize("method", ["pca", "umap"])
def test_groups_stay_apart_and_seeds_repeat(method: str) -> None:
    data = wells()
    result = project(data, method)
    assert result.columns == ["Metadata_Plate", "Metadata_Well", "method", "x", "y"]
    assert result["Metadata_Well"].to_list() == data["Metadata_Well"].to_list()
    assert purity(result, data["Metadata_group"]) == 1
    assert project(data, method).equals(result)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 16])
def test_few_rows(n: int) -> None:
    result = project(wells().head(n))
    assert result.height == n
    assert result.select(pl.col("x", "y").is_finite().all()).row(0) == (True, True)


def test_missing_values() -> None:
    data = wells()
    holes = data.with_columns(
        F3=pl.when(pl.int_range(pl.len()) > 3).then(pl.col("F3")),
    )
    empty = pl.concat(
        [holes, holes.head(1).with_columns(pl.lit(None, dtype=pl.Float64).alias(f"F{i}") for i in range(8))]
    )
    result, status = project_with_status(empty, "pca")
    assert status.select("feature", "status", "value").rows() == [("F3", "missing_values", 4.0)]
    assert result["x"].null_count() == 1
    assert result["x"][-1] is None
    assert result.head(36).equals(project(data.drop("F3"), "pca"))
    gaps = pl.DataFrame({"Metadata_Well": ["a", "b"], "F0": [1.0, None], "F1": [None, 2.0]})
    with pytest.raises(UsageError, match="each of 2 features is missing in many of 2 profiles"):
        project(gaps, "pca")


def test_wrong_use() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'umap'"):
        project(wells(), "umpa")
    with pytest.raises(UnknownNameError, match="Metadata_x"):
        project(wells(), "pca", keep=["Metadata_x"])
    assert project(wells(), "pca", keep=["Metadata_group"]).columns == ["Metadata_group", "method", "x", "y"]
    assert project(wells().clear()).height == 0


@pytest.mark.parametrize("metric", ["cosine", "correlation", "euclidean"])
def test_matrix_agrees_with_scipy(metric: str) -> None:
    from scipy.spatial.distance import cdist

    data = wells()
    x = data.select(feature_columns(data)).to_numpy()
    distance = cdist(x, x, metric)
    expected = 1 / (1 + distance) if metric == "euclidean" else 1 - distance
    np.testing.assert_allclose(similarity_matrix(data, metric=metric), expected, atol=1e-5)
