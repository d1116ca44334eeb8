"""Replicate reproducibility: by hand, on noise, on effects."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.evaluation import replicate_reproducibility


def wells(effect: float, *, groups: int = 40, replicates: int = 3, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    centers = np.repeat(rng.normal(size=(groups, 15)) * effect, replicates, axis=0)
    values = centers + rng.normal(size=centers.shape)
    return pl.DataFrame({"Metadata_t": [f"t{i:02d}" for i in range(groups) for _ in range(replicates)]}).with_columns(
        pl.Series(f"F{i}", column) for i, column in enumerate(values.T)
    )


@pytest.mark.parametrize("metric", ["pearson", "cosine", "euclidean"])
def test_median_similarity_by_hand(metric: str) -> None:
    data = wells(1.0)
    result = replicate_reproducibility(data, ["Metadata_t"], metric=metric, null_size=50)
    x = data.filter(Metadata_t="t07").drop("Metadata_t").to_numpy()
    pairs = {
        "pearson": lambda a, b: np.corrcoef(a, b)[0, 1],
        "cosine": lambda a, b: a @ b / np.linalg.norm(a) / np.linalg.norm(b),
        "euclidean": lambda a, b: 1 / (1 + np.linalg.norm(a - b)),
    }[metric]
    expected = np.median([pairs(x[0], x[1]), pairs(x[0], x[2]), pairs(x[1], x[2])])
    assert result.groups.filter(Metadata_t="t07")["median_similarity"].item() == pytest.approx(expected, rel=1e-5)


def test_strong_effects_replicate_and_noise_does_at_the_rate_of_the_null() -> None:
    strong = replicate_reproducibility(wells(3.0), ["Metadata_t"])
    assert strong.fraction == 1.0
    assert strong.n_groups == 40
    noise = replicate_reproducibility(wells(0.0, groups=400), ["Metadata_t"])
    assert noise.fraction == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 400))


def test_null_is_matched_in_size() -> None:
    data = pl.concat(
        [
            wells(0.0, replicates=2),
            wells(0.0, replicates=6, seed=1).with_columns(Metadata_t=pl.lit("s") + pl.col("Metadata_t")),
        ]
    )
    groups = replicate_reproducibility(data, ["Metadata_t"]).groups
    small = groups.filter(n_replicates=2)["threshold"][0]
    large = groups.filter(n_replicates=6)["threshold"][0]
    assert small > 2 * large  # a single pair scatters more than the median of fifteen


def test_singles_nulls_and_too_few_treatments() -> None:
    data = wells(1.0).with_columns(
        Metadata_t=pl.when(pl.int_range(pl.len()) == 0)
        .then(pl.lit("alone"))
        .when(pl.int_range(pl.len()) == 1)
        .then(None)
        .otherwise(pl.col("Metadata_t"))
    )
    result = replicate_reproducibility(data, ["Metadata_t"], null_size=100)
    assert result.groups.filter(Metadata_t="alone")["is_reproducible"].to_list() == [None]
    assert result.groups["n_replicates"].sum() == 119
    assert result.n_groups == 39
    few = replicate_reproducibility(wells(1.0, groups=2), ["Metadata_t"])
    assert few.n_groups == 0
    assert np.isnan(few.fraction)


def test_seed_and_wrong_use() -> None:
    a, b = (replicate_reproducibility(wells(0.3), ["Metadata_t"], seed=4) for _ in range(2))
    assert a.groups.equals(b.groups)
    assert not a.groups.equals(replicate_reproducibility(wells(0.3), ["Metadata_t"], seed=5).groups)
    with pytest.raises(UsageError, match="quantile"):
        replicate_reproducibility(wells(1.0), ["Metadata_t"], 95)
    with pytest.raises(UnknownNameError, match="Metadata_x"):
        replicate_reproducibility(wells(1.0), ["Metadata_x"])


@pytest.mark.parametrize("metric", ["pearson", "euclidean"])
def test_the_order_of_rows_changes_nothing(metric: str) -> None:
    data = wells(0.4).vstack(
        wells(0.4, replicates=5, seed=3).with_columns(Metadata_t=pl.lit("u") + pl.col("Metadata_t"))
    )
    found = replicate_reproducibility(data, ["Metadata_t"], metric=metric, null_size=200)
    for seed in range(3):
        again = replicate_reproducibility(
            data.sample(fraction=1, shuffle=True, seed=seed), ["Metadata_t"], metric=metric, null_size=200
        )
        assert again.groups.equals(found.groups)
        assert again.fraction == found.fraction


def test_rows_without_a_treatment_are_counted_and_it_prints_as_one_line() -> None:
    data = wells(3.0).with_columns(Metadata_dose=pl.lit(1.0))
    holes = data.with_columns(
        Metadata_t=pl.when(pl.int_range(pl.len()) < 3).then(None).otherwise("Metadata_t"),
        Metadata_dose=pl.when(pl.int_range(pl.len()) == 5).then(float("nan")).otherwise("Metadata_dose"),
    )
    result = replicate_reproducibility(holes, ["Metadata_t", "Metadata_dose"])
    assert result.n_null == 4
    assert result.n_groups == 39
    text = str(result)
    assert text == repr(result)
    assert text.startswith("replicate_reproducibility(Metadata_t, Metadata_dose) = ")
    assert ", n = 39 of 39; chance 0.050; pearson, 15 features; 4 rows without Metadata_t or Metadata_dose" in text
    assert replicate_reproducibility(data, ["Metadata_t"]).n_null == 0
    with pytest.raises(UsageError, match="Metadata_t is NULL in 120 of 120 rows"):
        replicate_reproducibility(data.with_columns(Metadata_t=pl.lit(None, dtype=pl.String)), ["Metadata_t"])
