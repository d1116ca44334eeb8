"""Signatures of clusters."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats

from phenoprint.analysis import cluster_signatures
from phenoprint.errors import UnknownNameError, UsageError

CLUSTER = "Metadata_cluster"


def clusters(seed: int = 0) -> pl.DataFrame:
    """Three clusters; cluster c lies high in feature Fc, cluster 3 low in F0 as well."""
    rng = np.random.default_rng(seed)
    labels = np.repeat([1, 2, 3], [12, 9, 7])
    values = rng.normal(size=(28, 6))
    for c in (1, 2, 3):
        values[labels == c, c] += 8
    values[labels == 3, 0] -= 8
    columns = {f"F{k}": values[:, k] for k in range(6)}
    return pl.DataFrame({CLUSTER: pl.Series(labels, dtype=pl.Int32), **columns})


def test_the_features_that_set_a_cluster_apart_come_first() -> None:
    found = cluster_signatures(clusters())
    first = found.filter(rank=1).sort("cluster")
    assert first["feature"].to_list()[:2] == ["F1", "F2"]
    assert set(found.filter((pl.col("cluster") == 3) & (pl.col("rank") <= 2))["feature"]) == {"F0", "F3"}
    assert found.filter(cluster=3, feature="F0")["effect"].item() < -3
    assert found.filter(cluster=3, feature="F0")["cliffs_delta"].item() == -1
    assert first["n_wells"].to_list() == [12, 9, 7]
    assert first["n_others"].to_list() == [16, 19, 21]


def test_effects_equal_scipy_and_a_hand_computation() -> None:
    data = clusters().with_columns(pl.when(pl.int_range(pl.len()) == 3).then(None).otherwise(pl.col("F4")).alias("F4"))
    found = cluster_signatures(data)
    for name, cluster in (("F4", 1), ("F5", 2)):
        own = data.filter(pl.col(CLUSTER) == cluster)[name].drop_nulls().to_numpy()
        others = data.filter(pl.col(CLUSTER) != cluster)[name].drop_nulls().to_numpy()
        row = found.filter(cluster=cluster, feature=name).row(0, named=True)
        u = stats.mannwhitneyu(own, others).statistic
        assert row["cliffs_delta"] == pytest.approx(2 * u / (len(own) * len(others)) - 1, rel=1e-6)
        spreads = [1.4826 * np.median(np.abs(x - np.median(x))) for x in (own, others)]
        expected = (np.median(own) - np.median(others)) / np.sqrt(np.mean(np.square(spreads)))
        assert row["effect"] == pytest.approx(expected, rel=1e-5)


def test_what_has_no_cluster_or_no_spread_takes_no_part() -> None:
    data = clusters()
    with_strangers = pl.concat([data, data.with_columns(pl.lit(None, pl.Int32).alias(CLUSTER), F1=pl.lit(900.0))])
    assert cluster_signatures(with_strangers).equals(cluster_signatures(data))
    assert "F9" not in set(cluster_signatures(data.with_columns(F9=pl.lit(1.0)))["feature"])
    assert cluster_signatures(data.filter(pl.col(CLUSTER) == 1)).is_empty()


def test_top_and_wrong_use() -> None:
    data = clusters()
    assert cluster_signatures(data, top=2).equals(cluster_signatures(data).filter(pl.col("rank") <= 2))
    with pytest.raises(UsageError, match="0 for all"):
        cluster_signatures(data, top=-1)
    with pytest.raises(UnknownNameError, match="Metadata_cluster"):
        cluster_signatures(data.drop(CLUSTER))
