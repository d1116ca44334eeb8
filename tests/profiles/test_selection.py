"""Feature selection against pycytominer and its own promises."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from phenoprint.errors import SchemaError, UnknownNameError, UsageError
from phenoprint.profiles import DEFAULT_OPERATIONS, normalize, select_features, select_features_with_status
from phenoprint.profiles.correlations import CorrelationMoments, ExactCorrelations
from phenoprint.profiles.redundancy import redundant
from phenoprint.profiles.selection_rules import DEFAULT_BLOCKLIST
from phenoprint.tables import feature_columns


def center_and_spread(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give what keeps the digits of correlations: mean and standard deviation, 0 for a feature that is constant."""
    rows = values.astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a feature without any value
        return np.nanmean(rows, axis=1), np.nanstd(rows, axis=1)


def correlation_matrix(values: np.ndarray) -> np.ndarray:
    """Correlate all pairs of features, 4,096 rows at a time as a selection does."""
    moments = CorrelationMoments(*center_and_spread(values))
    for start in range(0, values.shape[1], 4096):
        moments.add(values[:, start : start + 4096])
    return moments.result()


def exact_correlations(values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Correlate some features with all in float64."""
    exact = ExactCorrelations(*center_and_spread(values), wanted)
    for start in range(0, values.shape[1], 4096):
        exact.add(values[:, start : start + 4096])
    return exact.result()


def table(*, n: int = 120, seed: int = 0, missing: float = 0.0) -> pl.DataFrame:
    """Correlated, anticorrelated, constant, rare-valued and independent features."""
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(n, 6))
    columns = {f"Cells_F{i}": base[:, i] for i in range(6)}
    columns |= {f"Cells_Near{i}": base[:, i] + rng.normal(size=n) * 0.1 * (i + 1) for i in range(4)}
    columns["Cells_Chain"] = base[:, 0] + 0.35 * rng.normal(size=n)
    columns["Cells_Constant"] = np.ones(n)
    columns["Cells_Rare"] = np.where(np.arange(n) < 2, 1.0, 0.0)
    columns["Cells_Few"] = np.where(np.arange(n) % 15 == 0, 1.0, 0.0)
    columns["Cells_Third"] = (np.arange(n) % 3).astype(float)
    frame = pl.DataFrame({"Metadata_Well": [f"w{i}" for i in range(n)], **columns})
    if missing:
        hide = rng.random((n, len(columns))) < missing
        frame = frame.with_columns(
            pl.Series(name, np.where(hide[:, i], np.nan, frame[name].to_numpy()), nan_to_null=True)
            for i, name in enumerate(columns)
        )
    return frame


@pytest.mark.parametrize("missing", [0.0, 0.04])
@pytest.mark.parametrize(
    ("operation", "theirs", "options"),
    [
        ("variance_threshold", "frequency_threshold", {"common_cut": 0.0}),
        ("frequency_threshold", "frequency_threshold", {"unique_cut": 0.05, "freq_cut": 0.5, "common_cut": 0.0}),
        ("min_variance", "variance_threshold", {"min_variance": 0.02}),
        ("drop_na_columns", "drop_na_columns", {"na_cutoff": 0.03}),
        ("drop_outliers", "drop_outliers", {"outlier_cutoff": 2.6}),
        ("correlation_threshold", "correlation_threshold", {"signed_correlation": True, "greedy_correlation": False}),
    ],
)
def test_agrees_with_pycytominer(operation: str, theirs: str, options: dict[str, float], missing: float) -> None:
    from pycytominer import feature_select

    data = table(missing=missing)
    if operation == "correlation_threshold":
        data = data.drop("Cells_Constant")  # correlations with a constant are NaN there, 0 here
    ours = ("signed_correlation", "greedy_correlation", "common_cut")
    names = {k: v for k, v in options.items() if k not in ours}
    expected = feature_select(
        data.to_pandas(), features=feature_columns(data), operation=[theirs], **names
    ).columns.tolist()
    assert select_features(data, [operation], **options).columns == expected


def test_the_median_well_of_each_plate_and_wells_at_a_limit_make_no_feature_constant() -> None:
    """Normalized to an odd number of wells, one well of each plate is 0; a strong response is at the limit often."""
    rng = np.random.default_rng(0)
    n_plates, n_wells = 40, 21
    values = rng.normal(size=(n_plates, n_wells))
    centred = (values - np.median(values, axis=1, keepdims=True)).ravel()
    strong = np.minimum(rng.normal(size=n_plates * n_wells) + 25 * (rng.random(n_plates * n_wells) < 0.2), 20)
    mostly = np.where(rng.random(n_plates * n_wells) < 0.7, 0.0, rng.normal(size=n_plates * n_wells))
    wells = pl.DataFrame({"Cells_Centred": centred, "Cells_Strong": strong, "Cells_Mostly": mostly})
    assert select_features(wells, ["variance_threshold"]).columns == ["Cells_Centred", "Cells_Strong"]
    assert select_features(wells, ["variance_threshold"], common_cut=0.0).columns == []


def test_blocklist_is_pycytominers() -> None:
    from pycytominer.cyto_utils.blocklist import Blocklist

    expected = set(Blocklist.from_name("default").features) if hasattr(Blocklist, "from_name") else None
    if expected is None:
        from pathlib import Path as _Path

        import pycytominer

        text = (_Path(pycytominer.__file__).parent / "data" / "blocklist_features.txt").read_text()
        expected = set(text.split()[1:])
    assert set(DEFAULT_BLOCKLIST) == expected
    frame = pl.DataFrame({name: [1.0, 2.0] for name in (*DEFAULT_BLOCKLIST[:3], "Cells_X")})
    assert select_features(frame, ["blocklist"]).columns == ["Cells_X"]
    assert "Cells_X" not in select_features(frame, ["blocklist"], blocklist=["Cells_X"]).columns


def test_anticorrelated_features_go_too() -> None:
    data = table().with_columns(Cells_Minus=-pl.col("Cells_F5") + 0.01 * pl.col("Cells_F4"))
    kept = select_features(data, ["correlation_threshold"]).columns
    assert ("Cells_Minus" in kept) != ("Cells_F5" in kept)
    signed = select_features(data, ["correlation_threshold"], signed_correlation=True).columns
    assert {"Cells_Minus", "Cells_F5"} <= set(signed)


@given(st.integers(0, 10_000), st.floats(0.3, 0.95))
@settings(max_examples=30, deadline=None)
def test_greedy_selection_covers_and_separates(seed: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(25, 4)) @ rng.normal(size=(4, 60)) + rng.normal(size=(25, 60)) * 0.5
    correlation = correlation_matrix(values)
    gone = redundant(correlation, threshold=threshold)
    dropped = {i for i, _, _ in gone}
    kept = sorted(set(range(25)) - dropped)
    among = np.abs(correlation[np.ix_(kept, kept)])
    np.fill_diagonal(among, 0)
    assert (among <= threshold).all()  # no two that stay are redundant
    for _, partner, r in gone:
        assert partner not in dropped  # whoever goes has a representative that stays
        assert abs(r) > threshold


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_correlations_agree_with_pandas(missing: float) -> None:
    data = table(n=5000, missing=missing).drop("Metadata_Well", "Cells_Constant")
    ours = correlation_matrix(data.to_numpy().astype(float).T)
    # Where a feature is constant over the rows of a pair, pandas returns NaN and we return 0.
    np.testing.assert_allclose(ours, np.nan_to_num(data.to_pandas().corr().to_numpy()), atol=2e-5)


@given(arrays(np.float64, (5, 9), elements=st.floats(-1e3, 1e3) | st.just(float("nan"))))
@settings(max_examples=100, deadline=None)
def test_correlations_are_symmetric_and_bounded(values: np.ndarray) -> None:
    result = correlation_matrix(values)
    assert np.isfinite(result).all()
    assert (np.abs(result) <= 1).all()
    np.testing.assert_allclose(result, result.T, atol=1e-4)


def test_every_feature_has_a_row_with_its_reason() -> None:
    data = table().with_columns(
        Cells_Sparse=pl.when(pl.int_range(pl.len()) % 10 != 0).then(pl.col("Cells_F5") ** 2),
        Cells_Blown=pl.when(pl.int_range(pl.len()) == 3).then(1e13).otherwise(pl.col("Cells_F4") ** 2),
        Nuclei_Granularity_15_ER=pl.col("Cells_F3") ** 2,
    )
    result, status = select_features_with_status(data)
    verdicts = dict(status.select("feature", "status").iter_rows())
    assert set(verdicts) == set(feature_columns(data))
    assert {name for name, word in verdicts.items() if word == "ok"} == set(feature_columns(result))
    assert verdicts["Cells_Sparse"] == "missing_values"
    assert verdicts["Cells_Blown"] == "outlier"
    assert verdicts["Cells_Constant"] == "constant"
    assert verdicts["Cells_Rare"] == "low_variance"
    assert verdicts["Nuclei_Granularity_15_ER"] == "blocklisted"
    correlated = status.filter(status="correlated")
    assert correlated.height
    assert all("r = " in reason and " with Cells_" in reason for reason in correlated["reason"])
    assert status["Metadata_Plate"].null_count() == status.height
    assert set(DEFAULT_OPERATIONS) <= set(__import__("phenoprint.profiles", fromlist=["OPERATIONS"]).OPERATIONS)


@pytest.mark.parametrize("seed", range(3))
def test_deterministic_whatever_the_order_of_rows(seed: int) -> None:
    data = table(n=200).with_columns(Cells_Copy=pl.col("Cells_F2"))
    shuffled = data.sample(fraction=1, shuffle=True, seed=seed)
    assert select_features(shuffled).columns == select_features(data).columns


def test_rows_to_judge_on_and_wells_without_cells() -> None:
    data = table()
    empty = pl.concat(
        [
            data,
            data.head(60).select(
                pl.col("Metadata_Well"), *(pl.lit(None, dtype=pl.Float64).alias(n) for n in feature_columns(data))
            ),
        ]
    )
    assert select_features(empty).columns == select_features(data).columns
    assert select_features(empty).height == 180
    spike = data.with_columns(Cells_F0=pl.when(pl.int_range(pl.len()) == 0).then(1e6).otherwise(pl.col("Cells_F0")))
    assert "Cells_F0" not in select_features(spike, ["drop_outliers"]).columns
    assert "Cells_F0" in select_features(spike, ["drop_outliers"], rows=pl.col("Metadata_Well") != "w0").columns


def test_nan_and_infinite_leave_as_null() -> None:
    data = pl.DataFrame(
        {"Metadata_Well": ["a", "b", "c"], "x": [1.0, float("nan"), 3.0], "y": [float("inf"), 2.0, 1.0], "z": [1, 2, 3]}
    )
    assert select_features(data, []).rows() == [("a", 1.0, None, 1), ("b", None, 2.0, 2), ("c", 3.0, 1.0, 3)]


def test_wrong_use() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'drop_outliers'"):
        select_features(table(), ["drop_outlier"])
    with pytest.raises(UnknownNameError, match="corr_threshold"):
        select_features(table(), corr_threshold=0.8)  # type: ignore[call-arg]
    with pytest.raises(UsageError, match="na_cutoff must lie between 0 and 1; found 5"):
        select_features(table(), na_cutoff=5)
    with pytest.raises(UsageError, match="list of names"):
        select_features(table(), "blocklist")
    with pytest.raises(SchemaError, match="Cells_Text"):
        select_features(table().with_columns(Cells_Text=pl.lit("a")))
    assert select_features(table().clear()).height == 0


@pytest.mark.real
def test_published_selection(real_data: Path) -> None:
    """The published level 4b, from the published level 4a, with pycytominer's signed rule: the same features."""
    stem = real_data / "varchamp_golden" / "2022_08_08_PPL8_100-800"
    level4a = pl.read_csv(f"{stem}_normalized.csv.gz", infer_schema_length=None)
    published = pl.read_csv(f"{stem}_normalized_feature_select_batch.csv.gz", infer_schema_length=None)
    recipe = ["variance_threshold", "correlation_threshold", "drop_na_columns", "blocklist"]
    ours = select_features(level4a, recipe, signed_correlation=True, greedy_correlation=False)
    mine, theirs = set(feature_columns(ours)), set(feature_columns(published))
    assert len(mine ^ theirs) <= 0.02 * len(theirs), (len(mine - theirs), len(theirs - mine), len(theirs))


@pytest.mark.real
def test_default_selection_on_a_published_plate(real_data: Path) -> None:
    stem = real_data / "varchamp_golden" / "2022_08_08_PPL8_100-800"
    level3 = pl.read_csv(f"{stem}_augmented.csv.gz", infer_schema_length=None)
    selected, status = select_features_with_status(normalize(level3))
    kept = feature_columns(selected)
    assert 200 < len(kept) < 1500
    assert status.height == len(feature_columns(level3))
    correlation = np.abs(correlation_matrix(selected.select(kept).to_numpy().astype(float).T))
    np.fill_diagonal(correlation, 0)
    assert correlation.max() <= 0.9 + 1e-5


@pytest.mark.parametrize("missing", [0.0, 0.05])
def test_correlations_are_those_of_float64(missing: float) -> None:
    """Through several blocks, with features far from zero, tiny, huge, constant and with an outlier of 1e13."""
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(24, 6)) @ rng.normal(size=(6, 9000)) + rng.normal(size=(24, 9000))) * 3
    values *= 10.0 ** rng.integers(-12, 12, 24)[:, None]
    values[3] += 1000 * values[3].std()
    values[5], values[6, 17] = 0.1, 1e13 * values[6].std()
    values[:, 18:][rng.random((24, 8982)) < missing] = np.nan
    for block in (values, values.astype(np.float32)):
        exact = exact_correlations(block, np.arange(24))
        expected = pl.DataFrame(block.astype(np.float64).T).to_pandas().corr().fillna(0).to_numpy().copy()
        expected[5], expected[:, 5] = 0, 0
        np.fill_diagonal(expected, 1)
        np.testing.assert_allclose(exact, expected, atol=1e-9 if block.dtype == np.float64 else 1e-7)
        np.testing.assert_allclose(correlation_matrix(block), exact, atol=1e-6)


def test_what_rounding_could_decide_is_asked_for() -> None:
    """A pair at the threshold and a tie in rank: both are decided by the exact values, not by rounded ones."""
    exact = np.eye(5)
    exact[0, 1] = exact[1, 0] = 0.9 + 1e-9
    exact[2, 3] = exact[3, 2] = 0.95
    exact[2, 4] = exact[4, 2] = 0.2 + 1e-9
    exact[3, 4] = exact[4, 3] = 0.2
    rounded = exact + 3e-7 * np.array([[0, -1, 0, 0, 0], [-1, 0, 0, 0, 0], [0, 0, 0, 0, -1], [0] * 5, [0, 0, -1, 0, 0]])
    asked: list[list[int]] = []

    def rows(wanted: np.ndarray) -> np.ndarray:
        asked.append(wanted.tolist())
        return exact[wanted]

    without = [pair[:2] for pair in redundant(rounded, threshold=0.9)]
    found = [pair[:2] for pair in redundant(rounded, threshold=0.9, exact=rows)]
    assert asked == [[0, 2, 3]]
    assert found == [pair[:2] for pair in redundant(exact, threshold=0.9)] == [(1, 0), (2, 3)]
    assert without == [(3, 2)]
    redundant(exact[2:, 2:], threshold=0.5, exact=lambda wanted: asked.append(wanted.tolist()) or exact[2:, 2:][wanted])
    assert asked[1:] == [[0, 1]]  # the tie only
    assert redundant(np.eye(3), threshold=0.9, exact=rows) == []


def test_copies_keep_the_first_column() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(size=(4, 500))
    values = np.vstack([base, base[::-1] * 3 + 1, base[[2]] * -7]).astype(np.float32)
    gone = redundant(correlation_matrix(values), threshold=0.9, exact=lambda wanted: exact_correlations(values, wanted))
    assert [(feature, partner) for feature, partner, _ in gone] == [(4, 3), (5, 2), (6, 1), (7, 0), (8, 2)]
