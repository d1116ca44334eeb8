"""Readouts that every well gets: cell counts and the distance to the negative controls."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

from phenoprint.analysis import DEFAULT_READOUTS, default_readouts
from phenoprint.errors import UnknownNameError


def wells(*, n_controls: int = 6, treated: int = 10, features: int = 12, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    n = n_controls + treated
    values = rng.normal(size=(n, features))
    values[-1] += 6
    return pl.DataFrame(
        {
            "Metadata_Plate": ["P1"] * n,
            "Metadata_Well": [f"A{i + 1:02d}" for i in range(n)],
            "Metadata_pert_type": ["negcon"] * n_controls + ["trt"] * treated,
            "Metadata_Object_Count": rng.integers(50, 150, n),
            **{f"F{k}": values[:, k] for k in range(features)},
        }
    )


def value(table: pl.DataFrame, readout: str) -> np.ndarray:
    return table.filter(readout=readout).sort("Metadata_Well")["value"].to_numpy()


def test_they_equal_a_computation_by_hand() -> None:
    data = wells()
    table = default_readouts(data)
    frame = data.to_pandas().set_index("Metadata_Well")
    features = frame[[f"F{k}" for k in range(12)]]
    is_control = frame["Metadata_pert_type"] == "negcon"
    counts = frame["Metadata_Object_Count"]
    np.testing.assert_array_equal(value(table, "cell_count"), counts)
    np.testing.assert_allclose(value(table, "cell_count_relative"), counts / counts[is_control].median())
    raw = pd.Series(index=frame.index, dtype=float)
    for well in frame.index:
        others = features[is_control & (frame.index != well)]
        raw[well] = np.sqrt(((features.loc[well] - others.median()) ** 2).mean())
    np.testing.assert_allclose(value(table, "distance_to_controls"), raw / raw[is_control].median(), rtol=1e-12)


def test_a_control_is_not_compared_with_itself() -> None:
    """Else controls would lie nearer than wells that do nothing: they pull the median towards themselves."""
    ratios = []
    for seed in range(60):
        data = wells(n_controls=4, treated=30, seed=seed).head(33)
        table = default_readouts(data)
        distance = value(table, "distance_to_controls")
        ratios.append(np.median(distance[4:]) / np.median(distance[:4]))
    assert np.mean(ratios) == pytest.approx(1, abs=0.06)


def test_a_well_that_was_changed_is_far_from_the_controls() -> None:
    distance = value(default_readouts(wells()), "distance_to_controls")
    assert distance.argmax() == 15
    assert distance[-1] > 3


def test_missing_values_have_a_reason() -> None:
    names = [f"F{k}" for k in range(12)]
    data = wells().with_columns(
        pl.when(pl.col("Metadata_Well") == "A08").then(None).otherwise(pl.col(name)).alias(name) for name in names
    )
    table = default_readouts(data.with_columns(Metadata_Object_Count=pl.lit(None, pl.Int64)))
    assert table.height == 16 * len(DEFAULT_READOUTS)
    assert table.filter(pl.col("value").is_null() == pl.col("reason").is_null()).is_empty()
    assert set(table.filter(readout="cell_count")["reason"]) == {"the cells were not counted"}
    (reason,) = table.filter(Metadata_Well="A08", readout="distance_to_controls")["reason"]
    assert reason == "no profile: the well lacks more than half of the features"
    few = default_readouts(wells(n_controls=2))
    assert few.filter(readout="distance_to_controls")["value"].null_count() == 12
    assert "fewer than 3 negative controls" in few.filter(readout="distance_to_controls")["reason"][0]
    assert few.filter(readout="cell_count_relative")["value"].null_count() == 0
    none = default_readouts(wells(n_controls=0))
    assert "no negative control" in none.filter(readout="cell_count_relative")["reason"][0]
    same = default_readouts(wells().with_columns(pl.lit(1.0).alias(name) for name in names))
    assert set(same.filter(readout="distance_to_controls")["reason"]) == {"the negative controls do not differ"}


def test_plates_are_judged_apart_and_order_is_of_no_account() -> None:
    data = wells()
    other = wells(seed=4).with_columns(pl.col("^F.*$") * 7 + 100, Metadata_Plate=pl.lit("P2"))
    both = default_readouts(pl.concat([other, data]).sample(fraction=1, shuffle=True, seed=1))
    assert both.filter(Metadata_Plate="P1").equals(default_readouts(data))
    unscaled = default_readouts(wells(seed=4))
    np.testing.assert_allclose(
        value(both.filter(Metadata_Plate="P2"), "distance_to_controls"), value(unscaled, "distance_to_controls")
    )


def test_a_column_that_is_absent_is_named() -> None:
    with pytest.raises(UnknownNameError, match="Metadata_pert_type"):
        default_readouts(wells().drop("Metadata_pert_type"))
