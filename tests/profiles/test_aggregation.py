"""Aggregation and consensus against pycytominer, by hand, and on what goes wrong."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phenoprint.errors import SchemaError, UnknownNameError
from phenoprint.profiles import aggregate, aggregate_with_status, consensus
from phenoprint.tables import feature_columns
from phenoprint.tables.statistics import median, quantile


def cells(n: int = 300, *, seed: int = 0, missing: float = 0.0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, 7)).astype(np.float32)
    frame = pl.DataFrame(
        {
            "Metadata_Plate": rng.choice(["p2", "p1"], n),
            "Metadata_Well": rng.choice(["A01", "B12", "H07"], n),
            "Metadata_Site": rng.choice(["1", "2"], n),
            "Metadata_ObjectNumber": np.arange(n, dtype=np.int32),
        }
    )
    features = pl.DataFrame({f"Cells_F{i}": values[:, i] for i in range(7)})
    if missing:
        hide = rng.random((n, 7)) < missing
        features = pl.DataFrame({f"Cells_F{i}": np.where(hide[:, i], np.nan, values[:, i]) for i in range(7)}).cast(
            pl.Float32
        )
        features = features.fill_nan(None)
    return pl.concat([frame, features], how="horizontal")


@pytest.mark.parametrize("statistic", ["median", "mean"])
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_agrees_with_pycytominer(statistic: str, missing: float) -> None:
    import pycytominer

    data = cells(missing=missing)
    strata = ["Metadata_Plate", "Metadata_Well"]
    theirs = pycytominer.aggregate(
        data.to_pandas().rename(columns={"Metadata_ObjectNumber": "ObjectNumber"}),
        strata=strata,
        features=feature_columns(data),
        operation=statistic,
    ).sort_values(strata)
    ours = aggregate(data, strata, statistic)
    np.testing.assert_allclose(
        ours.select(feature_columns(data)).to_numpy(), theirs[feature_columns(data)].to_numpy(), rtol=1e-6, atol=1e-7
    )
    assert ours.select(strata).rows() == list(theirs[strata].itertuples(index=False, name=None))


@pytest.mark.parametrize(
    ("statistic", "reference"),
    [
        ("count", lambda x: x.notna().sum()),
        ("sd", lambda x: x.std()),
        ("mad", lambda x: 1.4826 * (x - x.median()).abs().median()),
    ],
)
def test_other_statistics_agree_with_pandas(statistic: str, reference: object) -> None:
    data = cells(missing=0.2)
    ours = aggregate(data, ["Metadata_Well"], statistic)
    theirs = data.to_pandas().groupby("Metadata_Well")[feature_columns(data)].agg(reference)
    np.testing.assert_allclose(ours.select(feature_columns(data)).to_numpy(), theirs.to_numpy(), rtol=1e-5)


def test_counts_metadata_and_types() -> None:
    data = cells().with_columns(
        Metadata_compound=pl.col("Metadata_Well").replace({"A01": "dmso", "B12": "taxol", "H07": None}),
        Metadata_varies=pl.int_range(pl.len()).cast(pl.String),
    )
    result, _ = aggregate_with_status(data)
    expected = data.group_by("Metadata_Plate", "Metadata_Well").agg(
        pl.len(), pl.col("Metadata_Site").n_unique(), pl.col("Metadata_compound").first()
    )
    assert result.select(
        "Metadata_Plate", "Metadata_Well", "Metadata_Object_Count", "Metadata_Site_Count", "Metadata_compound"
    ).rows() == sorted(expected.rows(), key=lambda row: row[:2])
    assert "Metadata_varies" not in result.columns
    assert "Metadata_ObjectNumber" not in result.columns
    assert {result.schema[name] for name in feature_columns(result)} == {pl.Float32}
    assert aggregate(data.with_columns(pl.col("Cells_F0").cast(pl.Float64))).schema["Cells_F1"] == pl.Float64


def test_counts_of_counts_are_summed() -> None:
    sites = aggregate(cells(), ["Metadata_Plate", "Metadata_Well", "Metadata_Site"])
    wells = aggregate(sites.drop("Metadata_Site_Count"))
    assert wells["Metadata_Object_Count"].sum() == 300
    assert wells["Metadata_Site_Count"].to_list() == [2] * 6


def test_pandas_and_lazy_give_the_same() -> None:
    data = cells(missing=0.1)
    expected = aggregate(data)
    assert aggregate(data.lazy()).equals(expected)
    assert aggregate(data.to_pandas()).equals(expected)


def test_null_keys_are_an_error_or_a_group() -> None:
    data = pl.DataFrame({"Metadata_Well": ["A01", None, None], "x": [1.0, 2.0, 4.0]})
    with pytest.raises(SchemaError, match="NULL Metadata_Well in 2 of 3 rows"):
        aggregate(data, ["Metadata_Well"])
    assert aggregate(data, ["Metadata_Well"], null_keys="group").rows() == [("A01", 1, 1.0), (None, 2, 3.0)]
    nan_key = pl.DataFrame({"Metadata_Dose": [1.0, float("nan")], "x": [1.0, 2.0]})
    with pytest.raises(SchemaError, match="NULL"):
        aggregate(nan_key, ["Metadata_Dose"])


def test_nan_and_infinite_are_missing_and_reported() -> None:
    data = pl.DataFrame(
        {
            "Metadata_Plate": ["p"] * 4,
            "x": [1.0, float("nan"), 3.0, float("inf")],
            "y": [None, float("nan"), None, None],
            "z": pl.Series([None] * 4, dtype=pl.Null),
        }
    )
    result, status = aggregate_with_status(data, ["Metadata_Plate"])
    assert result.rows() == [("p", 4, 2.0, None, None)]
    assert status.select("Metadata_Plate", "feature", "status", "value").rows() == [
        (None, "x", "nan_input", 1.0),
        (None, "x", "infinite_input", 1.0),
        (None, "y", "nan_input", 1.0),
        ("p", "y", "all_null", None),
        ("p", "z", "all_null", None),
    ]


def test_empty_and_keyless() -> None:
    empty = cells().clear()
    assert aggregate(empty).height == 0
    assert set(feature_columns(empty)) <= set(aggregate(empty).columns)
    whole = aggregate(cells(), [], "mean")
    assert whole.height == 1
    assert whole["Metadata_Object_Count"].item() == 300


def test_text_feature_is_named() -> None:
    with pytest.raises(SchemaError, match=r"Cells_Note \(String\)"):
        aggregate(pl.DataFrame({"Metadata_Well": ["A01"], "Cells_Note": ["nan"]}), ["Metadata_Well"])


def test_text_column_without_values_is_an_empty_feature() -> None:
    """What polars makes of a CSV column that is empty throughout."""
    data = pl.DataFrame(
        {"Metadata_Well": ["A01", "A01"], "x": [1.0, 3.0], "y": pl.Series([None, None], dtype=pl.String)}
    )
    assert aggregate(data, ["Metadata_Well"]).rows() == [("A01", 2, 2.0, None)]


def test_unknown_names() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'median'"):
        aggregate(cells(), statistic="medain")
    with pytest.raises(UnknownNameError, match="Metadata_Wel"):
        aggregate(cells(), ["Metadata_Wel"])
    with pytest.raises(UnknownNameError, match="consensus statistic"):
        consensus(cells(), ["Metadata_Well"], "mad")


def test_input_is_not_changed() -> None:
    data = cells(missing=0.1)
    before = data.clone()
    aggregate(data, statistic="mad")
    assert data.equals(before)


@pytest.mark.parametrize("statistic", ["median", "mean"])
def test_consensus_agrees_with_pycytominer(statistic: str) -> None:
    import pycytominer

    data = aggregate(cells(400, missing=0.05), ["Metadata_Plate", "Metadata_Well", "Metadata_Site"])
    theirs = pycytominer.consensus(
        data.to_pandas(), replicate_columns=["Metadata_Well"], operation=statistic, features=feature_columns(data)
    ).sort_values("Metadata_Well")
    ours = consensus(data, ["Metadata_Well"], statistic)
    np.testing.assert_allclose(
        ours.select(feature_columns(data)).to_numpy(), theirs[feature_columns(data)].to_numpy(), rtol=1e-5, atol=1e-6
    )
    assert ours["Metadata_Replicate_Count"].to_list() == [4, 4, 4]
    assert ours["Metadata_Object_Count"].sum() == 400


@given(
    st.lists(st.floats(-1e6, 1e6, width=32) | st.just(float("nan")), max_size=30),
    st.floats(0, 1),
)
@settings(max_examples=200, deadline=None)
def test_quantiles_agree_with_numpy(values: list[float], q: float) -> None:
    block = np.array([values], dtype=np.float64)
    there = block[~np.isnan(block)]
    if not len(there):
        assert np.isnan(quantile(block, q)).all()
        return
    np.testing.assert_allclose(quantile(block, q)[0], np.quantile(there, q), rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(median(block)[0], np.median(there), rtol=1e-12)


@given(st.permutations(range(40)), st.sampled_from(["median", "mean", "mad", "count", "sd"]))
@settings(max_examples=25, deadline=None)
def test_row_order_does_not_matter(order: list[int], statistic: str) -> None:
    data = cells(40, missing=0.1)
    pd.testing.assert_frame_equal(
        aggregate(data[order], statistic=statistic).to_pandas(), aggregate(data, statistic=statistic).to_pandas()
    )


def test_counts_that_nobody_made_stay_missing() -> None:
    wells = pl.DataFrame(
        {
            "Metadata_compound": ["a", "a", "b", "b", "c"],
            "Metadata_Object_Count": [None, None, 5, None, 7],
            "Cells_A": [1.0, 2.0, 3.0, 4.0, 5.0],
        },
        schema_overrides={"Metadata_Object_Count": pl.Int64},
    )
    profiles = consensus(wells, ["Metadata_compound"])
    assert profiles["Metadata_Object_Count"].to_list() == [None, 5, 7]
