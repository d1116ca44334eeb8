"""Activity of treatments: p values that hold where nothing acts, and effects that are found."""

from __future__ import annotations

from math import comb

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from phenoprint.evaluation import activity, also_controls, average_precision
from phenoprint.evaluation.activity import correlation_of_folds
from phenoprint.evaluation.permutations import PermutationTest, permutation_test
from phenoprint.profiles import apply_recipe, cross_fit
from phenoprint.simulation import simulate_profiles


def plate_of(
    *, treatments: dict[str, float], replicates: int = 4, controls: int = 12, seed: int = 0, plate: str = "P"
) -> pl.DataFrame:
    """One plate: treatments with their shift of all 30 features, and controls."""
    rng = np.random.default_rng(seed)
    names = [name for name in treatments for _ in range(replicates)] + ["DMSO"] * controls
    shift = np.array([treatments.get(name, 0.0) for name in names])
    axis = rng.normal(size=30)
    values = rng.normal(size=(len(names), 30)) + shift[:, None] * axis
    return pl.DataFrame(
        {
            "Metadata_Plate": [plate] * len(names),
            "Metadata_Well": [f"{chr(65 + i // 24)}{i % 24 + 1:02d}" for i in range(len(names))],
            "Metadata_compound": names,
            "Metadata_perturbation": [f"{name}@1 uM" for name in names],
            "Metadata_pert_type": ["negcon" if name == "DMSO" else "trt" for name in names],
        }
    ).hstack(pl.DataFrame(values, schema=[f"Cells_F_{i}" for i in range(30)]))


def row(table: pl.DataFrame, compound: str) -> dict[str, object]:
    return table.filter(pl.col("Metadata_compound") == compound).row(0, named=True)


def test_active_compounds_are_distinguished_from_inert_ones() -> None:
    result = activity([plate_of(treatments={"strong": 3.0, "other": -3.0, "inert": 0.0})], is_cross_fitted=True)
    called = dict(result.select("Metadata_compound", "below_corrected_p").iter_rows())
    assert called == {"strong": True, "other": True, "inert": False}
    assert result.select("n_replicates", "n_controls", "n_features", "status").unique().rows() == [(4, 12, 30, "ok")]


def test_the_score_is_the_mean_average_precision_against_controls_of_the_plate() -> None:
    """On one plate the score is that of `average_precision`, which is tested against copairs."""
    wells = plate_of(treatments={"a": 0.5, "b": 0.0})
    found = activity([wells])
    for compound in ("a", "b"):
        own = wells.filter(pl.col("Metadata_compound").is_in([compound, "DMSO"]))
        scored = average_precision(own, ["Metadata_compound"], neg_diffby=["Metadata_compound"])
        expected = scored.filter(pl.col("Metadata_compound") == compound)["average_precision"].mean()
        assert row(found, compound)["mean_average_precision"] == pytest.approx(expected, abs=1e-9)


def test_the_exact_p_value_counts_every_order() -> None:
    """Three replicates that find each other first among nine controls: one of C(12, 3) orders is as good."""
    found = row(activity([plate_of(treatments={"a": 9.0}, replicates=3, controls=9)]), "a")
    assert found["mean_average_precision"] == 1.0
    assert found["p_value"] == pytest.approx(1 / comb(12, 3))
    assert found["smallest_p"] == found["p_value"]


def similarity_of(wells: int, seed: int = 0) -> NDArray[np.float64]:
    values = np.random.default_rng(seed).normal(size=(wells, 6))
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return values @ values.T


def test_sampled_and_exact_permutations_agree() -> None:
    plates = np.repeat(np.arange(3), 6)
    treated = np.tile(np.arange(6) == 2, 3)
    arguments = (similarity_of(18), plates, np.arange(18), treated)
    exact, sampled = (permutation_test(*arguments, null_size=size, seed=5) for size in (216, 215))
    assert (exact.is_exact, sampled.is_exact, exact.n_orders) == (True, False, 216)
    many = permutation_test(*arguments, null_size=10_000)
    assert many.is_exact
    assert exact.mid_p == pytest.approx(many.mid_p)
    assert sampled.mid_p == pytest.approx(exact.mid_p, abs=0.1)
    assert sampled.chance == pytest.approx(exact.chance, abs=0.02)


def test_all_orders_of_one_score_are_no_evidence() -> None:
    found = permutation_test(np.ones((8, 8)), np.zeros(8, np.intp), np.arange(8), np.arange(8) < 3)
    assert (found.p_value, found.mid_p, found.spread) == (1.0, 0.5, 0.0)
    wells = plate_of(treatments={"a": 1.0}).with_columns(pl.col("^Cells.*$") * 0)
    constant = row(activity([wells, wells]), "a")
    assert (constant["p_value"], constant["below_corrected_p"], constant["status"]) == (1.0, False, "all alike")


def test_bad_input_has_a_named_status() -> None:
    wells = plate_of(treatments={"a": 9.0, "lone": 9.0, "empty": 9.0})
    seen = pl.col("Metadata_compound").cum_count().over("Metadata_compound")
    wells = wells.filter((pl.col("Metadata_compound") != "lone") | (seen == 1))
    wells = wells.with_columns(pl.when(pl.col("Metadata_compound") != "empty").then(pl.col("^Cells.*$")).name.keep())
    found = activity([wells], is_cross_fitted=True)
    assert dict(found.select("Metadata_compound", "status").iter_rows()) == {
        "a": "ok",
        "lone": "one replicate",
        "empty": "no profile",
    }
    untested = found.filter(pl.col("Metadata_compound") != "a")
    for column in ("p_value", "corrected_p_value", "below_corrected_p", "mean_average_precision"):
        assert untested[column].null_count() == 2
    bare = activity([wells.filter(pl.col("Metadata_pert_type") == "trt")])
    assert row(bare, "a")["status"] == "no controls"
    assert row(activity([wells]), "a")["status"] == "not cross-fitted"
    assert activity([]).is_empty()
    assert activity([wells.head(0)]).is_empty()
    few = activity([plate_of(treatments={"a": 9.0}, replicates=2, controls=4)], is_cross_fitted=True)
    assert row(few, "a")["status"] == "too few controls"
    assert row(few, "a")["smallest_p"] == pytest.approx(1 / 15)


def test_controls_without_a_name_are_controls() -> None:
    """Plate maps often leave the compound of DMSO wells empty: unnamed, they are no treatment, but controls."""
    frame = plate_of(treatments={"a": 1.0})
    is_control = pl.col("Metadata_pert_type") == "negcon"
    unnamed = frame.with_columns(
        pl.when(~is_control).then(name).alias(name) for name in ("Metadata_compound", "Metadata_perturbation")
    )
    assert activity([unnamed], null_size=500).equals(activity([frame], null_size=500))


def test_positive_controls_are_no_negatives() -> None:
    """A positive control that looks like a treatment must not count against it."""
    frame = plate_of(treatments={"a": 1.0, "b": 0.0})
    twin = frame.filter(pl.col("Metadata_compound") == "a").with_columns(
        pl.lit("poscon").alias("Metadata_pert_type"),
        pl.lit("reference@1 uM").alias("Metadata_perturbation"),
        pl.Series("Metadata_Well", ["P21", "P22", "P23", "P24"]),
    )
    alone, beside = activity([frame]), activity([pl.concat([frame, twin])])
    assert row(alone, "a")["p_value"] == row(beside, "a")["p_value"]


def test_a_treatment_that_is_also_a_negative_control_counts_as_the_control() -> None:
    """It is scored against nothing, and no other treatment's score changes."""
    frame = plate_of(treatments={"a": 1.0})
    is_misnamed = (pl.col("Metadata_pert_type") == "negcon") & pl.col("Metadata_Well").is_in(["A05", "A06", "A07"])
    mixed = frame.with_columns(
        pl.when(is_misnamed).then(pl.lit("trt")).otherwise("Metadata_pert_type").alias("Metadata_pert_type")
    )
    assert also_controls(mixed).height == 3
    assert activity([mixed]).equals(activity([frame.filter(~is_misnamed)]))


def test_results_do_not_depend_on_the_order_of_rows() -> None:
    wells = simulate_profiles("mechanism", n_features=30, n_compounds=12, n_controls=8, n_mechanisms=3, seed=1).wells
    folds = cross_fit(wells)
    shuffled = [fold.sample(fraction=1.0, shuffle=True, seed=4) for fold in folds]
    assert activity(folds, null_size=300).equals(activity(shuffled, null_size=300))


def p_values(
    design: str = "null", *, screens: int = 12, recipe: str = "phenoprint", **changes: object
) -> NDArray[np.float64]:
    """P values of treatments without effect, in several screens."""
    found = []
    for seed in range(screens):
        wells = simulate_profiles(design, seed=seed, n_features=40, **{"n_compounds": 24, **changes}).wells
        found.append(activity(cross_fit(wells, recipe), null_size=400)["p_value"].to_numpy())
    return np.array(found)


def holds(found: NDArray[np.float64], level: float) -> bool:
    """Whether the share of p values below a level is within 3.5 standard errors over screens of it."""
    shares = (found < level).mean(axis=1)
    return abs(shares.mean() - level) < 3.5 * max(shares.std(ddof=1), 0.01) / np.sqrt(len(shares))


@pytest.mark.parametrize(
    ("recipe", "design"),
    [
        ("phenoprint", {"n_plates": 1, "n_controls": 16}),
        ("phenoprint-sphering", {"n_plates": 1, "n_controls": 24, "n_replicates": 3}),
        ("phenoprint-sphering", {"layout": "random", "n_controls": 16, "tail_df": 3.0}),
        ("phenoprint", {"layout": "random", "n_controls": 4, "effective_dimension": 5.0}),
    ],
)
def test_p_values_hold_where_nothing_acts(recipe: str, design: dict[str, object]) -> None:
    found = p_values(recipe=recipe, **design)
    assert holds(found, 0.05)
    assert holds(found, 0.2)


def test_controls_that_the_recipe_was_fitted_on_are_no_fair_negatives() -> None:
    """The fault that cross-fitting removes: after sphering nearly half of inert treatments look active."""
    wells = simulate_profiles("null", n_plates=1, n_controls=24, n_replicates=3, n_features=40, n_compounds=40).wells
    naive = activity([apply_recipe(wells, "phenoprint-sphering")[-1].frame], null_size=400)
    assert (naive["p_value"] < 0.05).mean() > 0.15
    assert set(naive["status"]) == {"not cross-fitted"}


def test_position_is_not_taken_for_activity() -> None:
    """Four plates of one layout, position effects as large as the noise, no treatment effect."""
    found = activity(cross_fit(simulate_profiles("position", n_features=60, n_compounds=60, n_controls=16).wells))
    assert found["below_corrected_p"].mean() <= 0.07
    assert (found["p_value"] < 0.05).mean() <= 0.15
    assert set(found["status"]) == {"judged against control positions"}
    assert found["position_share"].median() > 0.5


def test_strong_effects_pass_beside_position_effects() -> None:
    design = {"share_inert": 0.0, "effect_size": (4.0, 4.0), "n_compounds": 20, "n_controls": 16, "n_features": 60}
    found = activity(cross_fit(simulate_profiles("position", **design).wells))
    assert found["below_corrected_p"].mean() > 0.8
    assert found["position_share"].median() < 0.2


def test_wells_in_one_position_are_no_pair_where_there_are_others() -> None:
    """Two positions on two plates each: position effects must not make the pairs of one position count."""
    wells = simulate_profiles("position", n_compounds=40, n_controls=16, n_features=40, seed=2).wells
    twins = wells["Metadata_perturbation"].unique().sort().to_list()
    twin_of = {name: twins[i - i % 2] for i, name in enumerate(twins) if name != "DMSO"}
    paired = wells.with_columns(
        pl.when(pl.col("Metadata_pert_type") == "trt")
        .then(pl.col("Metadata_perturbation").replace(twin_of))
        .otherwise("Metadata_perturbation")
        .alias("Metadata_perturbation")
    )
    found = activity(cross_fit(paired), null_size=500)
    assert set(found["n_replicates"].unique()) <= {4, 8}
    assert set(found["status"].unique()) <= {"ok", "judged against control positions"}
    several = found.filter(pl.col("n_replicates") == 8)
    assert set(several["status"]) == {"judged against control positions"}
    assert (several["p_value"] < 0.05).mean() <= 0.16


def test_too_few_control_positions_are_a_status() -> None:
    wells = simulate_profiles("null", n_plates=2, n_replicates=2, n_controls=4, n_compounds=10, n_features=30).wells
    found = activity(cross_fit(wells))
    assert set(found["status"]) <= {"position not judged", "too few controls"}


def test_the_correlation_of_folds_is_estimated_from_inert_treatments() -> None:
    rng = np.random.default_rng(0)
    latent = rng.multivariate_normal([0, 0], [[1, 0.7], [0.7, 1]], size=400)
    latent[:100] += 6  # active treatments do not count
    from scipy.stats import norm

    tests = [
        [PermutationTest(0.5, 0.5, p, p, 1.0, 0.0, 0.0, 1000, is_exact=False) for p in norm.sf(pair).tolist()]
        for pair in latent
    ]
    assert correlation_of_folds(tests) == pytest.approx(0.7, abs=0.07)
    assert correlation_of_folds(tests[:3]) == 0.5
