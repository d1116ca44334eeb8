"""Whether columns help: columns that hold the effect, columns of noise, and screens that cannot be scored."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from phenoprint.evaluation import column_gain
from phenoprint.tables import get_table


def screen(*, seed: int = 0) -> tuple[pl.DataFrame, np.ndarray]:
    """Twelve compounds of three mechanisms in four wells each, whose profiles hold nothing; and their effects."""
    rng = np.random.default_rng(seed)
    names = np.repeat(["DMSO", *(f"c{i:02d}" for i in range(12))], 4)
    effects = np.repeat(np.vstack([np.zeros(6), rng.normal(size=(3, 6)).repeat(4, axis=0)]), 4, axis=0)
    n = len(names)
    wells = pl.DataFrame(
        {
            "Metadata_Plate": ["p"] * n,
            "Metadata_Well": [f"W{i:02d}" for i in range(n)],
            "Metadata_pert_type": np.where(names == "DMSO", "negcon", "trt"),
            "Metadata_compound": names,
            "Metadata_perturbation": names,
            "Metadata_moa": [None if name == "DMSO" else f"m{int(name[1:]) // 4}" for name in names],
        }
    ).hstack(pl.DataFrame(rng.normal(size=(n, 8)), schema=[f"Cells_F{i}" for i in range(8)]))
    return wells, effects


def columns(wells: pl.DataFrame, values: np.ndarray) -> pl.DataFrame:
    frame = pl.DataFrame(values, schema=[f"Cells_F{i}_Shape" for i in range(values.shape[1])])
    return wells.select("Metadata_Plate", "Metadata_Well").hstack(frame)


def test_columns_with_the_effect_help_and_noise_does_not() -> None:
    wells, effects = screen()
    rng = np.random.default_rng(1)
    helpful = column_gain(wells, columns(wells, 6 * effects + rng.normal(size=effects.shape)))
    assert helpful.schema == get_table("heterogeneity_gain").schema
    assert helpful["status"].to_list() == ["ok"] * 3
    assert (helpful["gain_low"] > 0).all(), helpful
    assert helpful["n"].to_list() == [12] * 3
    assert helpful["n_features_with"].to_list() == [14] * 3
    noise = column_gain(wells, columns(wells, rng.normal(size=effects.shape)))
    assert (noise["gain_low"] <= 0).all(), noise
    for row in helpful.iter_rows(named=True):
        assert row["gain"] == pytest.approx(row["with_columns"] - row["without"])


def test_what_cannot_be_scored_has_a_reason() -> None:
    wells, effects = screen()
    constant = column_gain(wells, columns(wells, np.ones_like(effects)))
    assert constant["status"].unique().to_list() == ["no_columns"]
    empty = columns(wells, effects).with_columns(pl.lit(None, pl.Float64).alias(f"Cells_F{i}_Shape") for i in range(6))
    assert column_gain(wells, empty)["status"].unique().to_list() == ["no_columns"]
    single = wells.unique("Metadata_perturbation").sort("Metadata_Well")
    found = column_gain(single, columns(wells, 6 * effects))
    assert found.filter(score="activity")["status"].item() == "not_scored"
    assert found.filter(score="activity")["gain"].item() is None
    bare = column_gain(wells.drop("Metadata_moa"), columns(wells, effects))
    assert bare.filter(score="mechanism")["status"].item() == "not_scored"
    again = column_gain(wells.sample(fraction=1.0, shuffle=True, seed=3), columns(wells, effects))
    assert again.equals(column_gain(wells, columns(wells, effects)))
