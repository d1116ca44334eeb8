"""MODZ against pycytominer and by hand; ranks against scipy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata

from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.profiles import consensus, normalize, select_features
from phenoprint.profiles.modz import modz_weights, row_ranks
from phenoprint.tables import feature_columns


def replicates(*, seed: int = 0, width: int = 60, float32: bool = False) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    frames = []
    for number, n in enumerate([1, 2, 3, 5, 8]):
        signal = rng.normal(size=width)
        values = signal + rng.normal(size=(n, width)) * (0.5 + number)
        frames.append(
            pl.DataFrame(values, schema=[f"Cells_F{i}" for i in range(width)]).select(
                pl.lit(f"c{number}").alias("Metadata_compound"), pl.all().cast(pl.Float32 if float32 else pl.Float64)
            )
        )
    return pl.concat(frames).sample(fraction=1, shuffle=True, seed=seed)


def theirs(frame: pl.DataFrame, **options: object) -> np.ndarray:
    import pycytominer

    table = pycytominer.consensus(
        frame.to_pandas(),
        replicate_columns=["Metadata_compound"],
        operation="modz",
        features=feature_columns(frame),
        modz_args=options or None,
    )
    return table.sort_values("Metadata_compound")[feature_columns(frame)].to_numpy()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("float32", [False, True])
@pytest.mark.parametrize("options", [{}, {"method": "pearson", "min_weight": 0.1, "precision": 3}])
def test_agrees_with_pycytominer(options: dict[str, object], float32: bool) -> None:
    data = replicates(float32=float32)
    renamed = {"correlation" if k == "method" else k: v for k, v in options.items()}
    ours = consensus(data, statistic="modz", **renamed)
    expected = theirs(data.with_columns(pl.col(feature_columns(data)).cast(pl.Float64)), **options)
    np.testing.assert_allclose(ours.select(feature_columns(data)).to_numpy(), expected, rtol=1e-6, atol=1e-6)
    assert ours["Metadata_Replicate_Count"].to_list() == [1, 2, 3, 5, 8]


@pytest.mark.real
@pytest.mark.filterwarnings("ignore")
def test_agrees_with_pycytominer_on_a_published_plate(real_data: Path) -> None:
    stem = real_data / "varchamp_golden" / "2022_08_08_PPL8_100-800"
    level3 = pl.read_csv(f"{stem}_augmented.csv.gz", infer_schema_length=None)
    data = select_features(normalize(level3), na_cutoff=0).with_columns(
        Metadata_compound=pl.concat_str("Metadata_allele", pl.lit("-"), "Metadata_control_type", ignore_nulls=True)
    )
    ours = consensus(data, statistic="modz")
    expected = theirs(data.select("Metadata_compound", *feature_columns(data)))
    np.testing.assert_allclose(ours.select(feature_columns(data)).to_numpy(), expected, rtol=1e-6, atol=1e-6)


def test_by_hand() -> None:
    frame = pl.DataFrame(
        {"Metadata_compound": ["a"] * 3, "x": [1.0, 1.0, 3.0], "y": [2.0, 2.0, 2.0], "z": [3.0, 3.0, 1.0]}
    )
    # Spearman: 1 between the first two, -1 (taken as 0) with the third: mean correlations 0.5, 0.5, 0.01.
    weight = np.round(np.array([0.5, 0.5, 0.01]) / 1.01, 4)
    expected = weight @ frame.select("x", "y", "z").to_numpy()
    np.testing.assert_allclose(consensus(frame, statistic="modz").select("x", "y", "z").row(0), expected)


def test_missing_values_do_not_shrink_the_consensus() -> None:
    data = replicates()
    hole = data.with_columns(
        pl.when(pl.int_range(pl.len()) % 3 == 0).then(None).otherwise(pl.col("Cells_F5")).alias("Cells_F5")
    )
    ours = consensus(hole, statistic="modz")
    same = pl.DataFrame({name: ours[name] for name in ours.columns if name == "Cells_F5"})
    low, high = hole["Cells_F5"].min(), hole["Cells_F5"].max()
    assert same["Cells_F5"].drop_nulls().is_between(low, high).all()
    constant = hole.with_columns(pl.when(pl.col("Cells_F5").is_not_null()).then(4.0).alias("Cells_F5"))
    np.testing.assert_allclose(consensus(constant, statistic="modz")["Cells_F5"].drop_nulls().to_numpy(), 4, atol=1e-2)
    empty = data.with_columns(
        pl.when(pl.col("Metadata_compound") != "c1").then(pl.col(feature_columns(data))).name.keep()
    )
    assert consensus(empty, statistic="modz").filter(Metadata_compound="c1")["Cells_F0"].item() is None


@given(arrays(np.float32, (3, 17), elements=st.floats(-1e6, 1e6, width=32)))
@settings(max_examples=100, deadline=None)
def test_ranks_are_scipys(values: np.ndarray) -> None:
    np.testing.assert_array_equal(row_ranks(values), rankdata(values, axis=1))
    np.testing.assert_array_equal(row_ranks(values.astype(np.float64)), rankdata(values, axis=1))
    np.testing.assert_array_equal(row_ranks(-np.abs(values)), rankdata(-np.abs(values), axis=1))


def test_weights_of_profiles_that_do_not_vary() -> None:
    np.testing.assert_allclose(modz_weights(np.zeros((4, 3))), 0.25)
    assert modz_weights(np.zeros((1, 3))).tolist() == [1.0]


def test_wrong_use() -> None:
    data = replicates()
    with pytest.raises(UnknownNameError, match="did you mean 'spearman'"):
        consensus(data, statistic="modz", correlation="sperman")
    with pytest.raises(UnknownNameError, match="option of 'median'"):
        consensus(data, statistic="median", min_weight=0.1)
    with pytest.raises(UsageError, match="min_weight"):
        consensus(data, statistic="modz", min_weight=2)
    with pytest.raises(UnknownNameError, match="did you mean 'modz'"):
        consensus(data, statistic="mod_z")
