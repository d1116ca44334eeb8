"""Average precision and its significance against copairs, scikit-learn, enumeration and permutation."""

from __future__ import annotations

from itertools import permutations
from math import comb
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phenoprint.errors import SchemaError, UnknownNameError, UsageError
from phenoprint.evaluation import average_precision, mean_average_precision, retrieval, similarities
from phenoprint.evaluation.retrieval import _score, expected_average_precision
from phenoprint.evaluation.significance import null_average_precision

ACTIVITY = {
    "pos_sameby": ["Metadata_compound"],
    "pos_diffby": [],
    "neg_sameby": ["Metadata_Plate"],
    "neg_diffby": ["Metadata_pert_type", "Metadata_compound"],
}
CONSISTENCY = {
    "pos_sameby": ["Metadata_moa"],
    "pos_diffby": ["Metadata_compound"],
    "neg_sameby": [],
    "neg_diffby": ["Metadata_moa", "Metadata_compound"],
}


def screen(
    *, seed: int = 0, plates: int = 3, compounds: int = 9, controls: int = 8, n_features: int = 20
) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for plate in range(plates):
        rows += [(f"p{plate}", "DMSO", "negcon", None)] * controls
        rows += [(f"p{plate}", f"c{i}", "trt", f"m{i % 3}") for i in range(compounds)]
    frame = pl.DataFrame(
        rows,
        schema=["Metadata_Plate", "Metadata_compound", "Metadata_pert_type", "Metadata_moa"],
        orient="row",
    )
    effect = {f"c{i}": rng.normal(size=n_features) * (i % 4) / 2 for i in range(compounds)}
    values = rng.normal(size=(frame.height, n_features))
    values += np.stack([effect.get(c, np.zeros(n_features)) for c in frame["Metadata_compound"]])
    return frame.with_columns(pl.Series(f"Cells_F{i}", values[:, i]) for i in range(n_features))


def theirs(data: pl.DataFrame, metric: str, pairs: dict[str, list[str]]) -> dict[str, np.ndarray]:
    from copairs.map import average_precision as reference

    table = data.select(pl.selectors.starts_with("Metadata_")).to_pandas()
    values = data.select(pl.selectors.starts_with("Cells_")).to_numpy()
    result = reference(table, values, **pairs, distance=metric, progress_bar=False)
    return {name: result[name].to_numpy() for name in result.columns if not name.startswith("Metadata_")}


@pytest.mark.parametrize("metric", ["cosine", "correlation", "euclidean"])
@pytest.mark.parametrize("pairs", [ACTIVITY, CONSISTENCY], ids=["activity", "consistency"])
def test_agrees_with_copairs(metric: str, pairs: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    data = screen()
    if pairs is CONSISTENCY:
        data = data.filter(pl.col("Metadata_moa").is_not_null())
    expected = theirs(data, metric, pairs)
    monkeypatch.setattr(similarities, "_BLOCK_BYTES", 4 * data.height * 7)  # too small for all queries at once
    monkeypatch.setattr(retrieval, "_QUERIES", 7)
    ours = average_precision(data, **pairs, metric=metric)
    for name in ("n_pos_pairs", "n_total_pairs", "average_precision", "normalized_average_precision"):
        got = ours[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        wanted = expected[name].astype(float)
        if name == "normalized_average_precision":
            wanted = np.where(np.isnan(expected["average_precision"]), np.nan, wanted)
        np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-9, err_msg=name)
    assert ours["n_features"].unique().to_list() == [20]


def test_null_in_a_key_is_in_no_pair() -> None:
    data = screen()
    unknown = data.with_columns(
        Metadata_compound=pl.when(pl.int_range(pl.len()) == 10).then(None).otherwise(pl.col("Metadata_compound"))
    )
    scored = average_precision(unknown, **ACTIVITY)
    assert scored.row(10, named=True)["n_total_pairs"] == 0
    rest = pl.int_range(pl.len()) != 10
    assert scored.filter(rest).equals(average_precision(data.filter(rest), **ACTIVITY))


def test_an_error_without_pairs_names_the_column_and_counts_its_nulls() -> None:
    controls = pl.col("Metadata_pert_type") == "negcon"
    data = screen(plates=2, compounds=4, controls=4).with_columns(
        Metadata_compound=pl.when(~controls).then("Metadata_compound"),  # DMSO without a name, as in many plate maps
        Metadata_dose=pl.when(controls).then(float("nan")).otherwise(1.0),
    )
    with pytest.raises(UsageError, match=r"no negative pair.*Metadata_compound is NULL in 8 of 16 rows.*fill_null"):
        average_precision(data, **ACTIVITY)
    with pytest.raises(UsageError, match=r"no positive pair: no two of 16 rows agree in Metadata_empty; Met"):
        average_precision(
            data.with_columns(Metadata_empty=pl.lit(None)), ["Metadata_empty"], neg_diffby=["Metadata_compound"]
        )
    with pytest.raises(UsageError, match="Metadata_dose is NULL in 8 of 16 rows"):
        average_precision(data, ["Metadata_compound"], neg_diffby=["Metadata_pert_type", "Metadata_dose"])
    with pytest.raises(UsageError) as whole:
        average_precision(data.filter(controls), ["Metadata_pert_type"], neg_diffby=["Metadata_pert_type"])
    assert "NULL" not in str(whole.value)
    scored = average_precision(data.with_columns(pl.col("Metadata_compound").fill_null("DMSO")), **ACTIVITY)
    assert scored.filter(controls)["n_total_pairs"].min() > 0
    scored = scored.with_columns(Metadata_group=pl.when(pl.int_range(pl.len()) > 2).then("Metadata_compound"))
    with pytest.raises(SchemaError, match="Metadata_group is NULL in 3 of 16 rows with a score"):
        mean_average_precision(scored, ["Metadata_group"])


@given(st.integers(1, 8), st.integers(1, 12), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_score_agrees_with_scikit_learn(n_pos: int, n_neg: int, seed: int) -> None:
    from sklearn.metrics import average_precision_score

    rng = np.random.default_rng(seed)
    similarity = rng.permutation(np.linspace(-1, 1, n_pos + n_neg)).astype(np.float32)
    positive = np.zeros((1, n_pos + n_neg), dtype=bool)
    positive[0, rng.choice(n_pos + n_neg, n_pos, replace=False)] = True
    ours = _score(similarity[None, :], positive, ~positive)[0]
    assert ours == pytest.approx(average_precision_score(positive[0], similarity), rel=1e-9)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=6).filter(lambda x: any(p for _, p in x))
)
@settings(max_examples=60, deadline=None)
def test_ties_count_with_the_mean_over_all_orders(items: list[tuple[int, bool]]) -> None:
    similarity = np.array([[s for s, _ in items]], dtype=np.float32)
    positive = np.array([[p for _, p in items]])
    scores = []
    for order in permutations(range(len(items))):
        ranked = sorted(order, key=lambda i: -items[i][0])  # stable: ties keep the permutation's order
        hits = np.array([items[i][1] for i in ranked], dtype=float)
        scores.append((hits * np.cumsum(hits) / np.arange(1, len(hits) + 1)).sum() / hits.sum())
    assert _score(similarity, positive, ~positive)[0] == pytest.approx(np.mean(scores), rel=1e-9)


def without(data: pl.DataFrame, features: list[str], rows: list[int]) -> pl.DataFrame:
    """Remove the values of some features in some rows."""
    is_gone = pl.int_range(pl.len()).is_in(rows)
    return data.with_columns(pl.when(is_gone).then(None).otherwise(pl.col(name)).alias(name) for name in features)


def test_missing_values() -> None:
    data = screen()
    # One value is imputed by the median of the feature.
    holes = without(data, ["Cells_F3"], [4])
    filled = holes.with_columns(pl.col("Cells_F3").fill_null(pl.col("Cells_F3").median()))
    assert average_precision(holes, **ACTIVITY).equals(average_precision(filled, **ACTIVITY))
    # One damaged well costs one well, and no feature.
    damaged = without(data, [f"Cells_F{i}" for i in range(8)], [4])
    scored = average_precision(damaged, **ACTIVITY)
    others = pl.int_range(pl.len()) != 4
    assert scored["n_features"][0] == 20
    assert scored.filter(others).equals(average_precision(data.filter(others), **ACTIVITY))
    assert scored["average_precision"][4] is None
    # A feature that many wells lack is left out.
    sparse = average_precision(without(data, ["Cells_F3"], [1, 4, 5, 6, 7, 8]), **ACTIVITY)
    assert sparse["n_features"][0] == 19
    assert sparse.drop("n_features").equals(average_precision(data.drop("Cells_F3"), **ACTIVITY).drop("n_features"))
    with pytest.raises(SchemaError, match="Cells_F3"):
        average_precision(holes, **ACTIVITY, missing="error")
    # A well without cells is no profile; it costs no feature.
    empty = without(data, [f"Cells_F{i}" for i in range(20)], [9])
    scored = average_precision(empty, **ACTIVITY)
    assert scored["n_features"][0] == 20
    assert scored["average_precision"][9] is None
    assert scored.row(9, named=True)["n_total_pairs"] == 0
    rest = pl.int_range(pl.len()) != 9
    assert scored.filter(rest).equals(average_precision(data.filter(rest), **ACTIVITY))


def test_wrong_use() -> None:
    data = screen()
    with pytest.raises(UnknownNameError, match="Metadata_compund"):
        average_precision(data, **{**ACTIVITY, "pos_sameby": ["Metadata_compund"]})
    with pytest.raises(UnknownNameError, match="metric"):
        average_precision(data, **ACTIVITY, metric="cosin")
    with pytest.raises(UsageError, match="no positive pair"):
        average_precision(data, **{**ACTIVITY, "pos_diffby": ["Metadata_pert_type"]})
    with pytest.raises(UsageError, match="no negative pair"):
        average_precision(data.filter(Metadata_pert_type="negcon"), **ACTIVITY)
    with pytest.raises(UsageError, match="positive and negative at once"):
        average_precision(
            data, **{**ACTIVITY, "neg_diffby": ["Metadata_Well"], "neg_sameby": []} | {"neg_diffby": ["Metadata_Plate"]}
        )


def test_chance_of_a_random_order() -> None:
    for n_pos, n_total in [(1, 2), (2, 5), (3, 9), (4, 4)]:
        exact = null_average_precision(n_pos, n_total, null_size=10_000)
        assert len(exact) == comb(n_total, n_pos)
        expected = expected_average_precision(np.array([n_pos]), np.array([n_total]))[0]
        assert exact.mean() == pytest.approx(expected, rel=1e-12)
    sampled = null_average_precision(3, 40, null_size=20_000, exact=True)
    assert sampled.mean() == pytest.approx(
        expected_average_precision(np.array([3]), np.array([40]))[0], abs=4 * sampled.std() / 141
    )


def test_strict_p_agrees_with_copairs(tmp_path: Path) -> None:
    from copairs.map import mean_average_precision as reference

    scored = average_precision(screen(controls=16), **ACTIVITY).filter(Metadata_pert_type="trt")
    table = scored.to_pandas()
    table["normalized_average_precision"] = table["normalized_average_precision"].astype(float)
    expected = reference(
        table, ["Metadata_compound"], null_size=20_000, threshold=0.05, seed=3, progress_bar=False, cache_dir=tmp_path
    ).sort_values("Metadata_compound")
    ours = mean_average_precision(scored, ["Metadata_compound"], null_size=20_000, seed=3, strict=True)
    np.testing.assert_allclose(ours["mean_average_precision"], expected["mean_average_precision"], rtol=1e-6)
    np.testing.assert_allclose(
        ours["mean_normalized_average_precision"], expected["mean_normalized_average_precision"], rtol=1e-6
    )
    p, q = ours["p_value"].to_numpy(), expected["p_value"].to_numpy()
    # Two independent samples of one null; float32 in copairs moves ties by at most one atom.
    noise = 5 * np.sqrt(2 * np.maximum(p * (1 - p), 1e-4) / 20_000)
    assert (np.abs(p - q) < noise + 0.01).all()
    from statsmodels.stats.multitest import multipletests

    np.testing.assert_allclose(ours["corrected_p_value"], multipletests(p, method="fdr_bh")[1], rtol=1e-12)


def test_exact_null_by_hand() -> None:
    """One positive among 16 controls: a perfect score has p = 1/17, which copairs reports as 1/10,001."""
    scored = pl.DataFrame(
        {
            "Metadata_compound": ["a", "a", "b", "b"],
            "average_precision": [1.0, 1.0, 0.5, 0.5],
            "normalized_average_precision": [1.0, 1.0, 0.4, 0.4],
            "n_pos_pairs": [1] * 4,
            "n_total_pairs": [17] * 4,
        }
    )
    result = mean_average_precision(scored, ["Metadata_compound"])
    assert result["p_value"].to_list() == pytest.approx([1 / 17, 2 / 17])
    assert result["smallest_p"].to_list() == pytest.approx([1 / 17, 1 / 17])
    assert result["null"].to_list() == ["exact", "exact"]
    assert result["below_corrected_p"].to_list() == [False, False]
    strict = mean_average_precision(scored, ["Metadata_compound"], strict=True)
    assert strict["p_value"][0] == pytest.approx(1 / 10_001)


def test_p_values_hold_their_level_without_effects() -> None:
    """Under the null of no effect at most 5% (and noise) of p values lie below 5%."""
    data = screen(plates=2, compounds=300, controls=12, seed=5).with_columns(
        pl.Series(f"Cells_F{i}", np.random.default_rng(i).normal(size=624)) for i in range(20)
    )
    scored = average_precision(data, **ACTIVITY).filter(Metadata_pert_type="trt")
    p = mean_average_precision(scored, ["Metadata_compound"])["p_value"].to_numpy()
    assert (p < 0.1).mean() < 0.1 + 3 * np.sqrt(0.1 * 0.9 / 300)


def test_null_depends_on_nothing_else_and_groups_are_kept() -> None:
    scored = average_precision(screen(controls=40), **ACTIVITY).filter(Metadata_pert_type="trt")
    full = mean_average_precision(scored, ["Metadata_compound"], null_size=500, seed=1)
    part = mean_average_precision(scored.filter(Metadata_compound="c3"), ["Metadata_compound"], null_size=500, seed=1)
    assert full.filter(Metadata_compound="c3")["p_value"].item() == part["p_value"].item()
    assert full["n_replicates"].to_list() == [3] * 9
    assert (full["smallest_p"] <= full["p_value"]).all()
    mixed = scored.with_columns(
        n_total_pairs=pl.when(Metadata_Plate="p0").then(30).otherwise(pl.col("n_total_pairs")).cast(pl.Int64)
    )
    result = mean_average_precision(mixed, ["Metadata_compound"], null_size=500)
    assert set(result["null"]) == {"sampled"}


def test_queries_without_score_are_left_out() -> None:
    scored = average_precision(screen(), **ACTIVITY)
    assert mean_average_precision(scored.clear(), ["Metadata_compound"]).height == 0
    with pytest.raises(UsageError, match="null_size"):
        mean_average_precision(scored, ["Metadata_compound"], null_size=0)


def test_corrected_p_values_agree_with_statsmodels() -> None:
    from statsmodels.stats.multitest import multipletests

    scores = mean_average_precision(average_precision(screen(), **ACTIVITY), ["Metadata_compound"], null_size=500)
    assert scores["p_value"].n_unique() > 2
    expected = multipletests(scores["p_value"].to_numpy(), method="fdr_bh")[1]
    np.testing.assert_allclose(scores["corrected_p_value"], expected, rtol=1e-12)
