"""Hits: calibration on screens without effects, power on true ones, statuses."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import UsageError
from phenoprint.evaluation import HitLimits, find_hits, relative_counts
from phenoprint.profiles import cross_fit
from phenoprint.simulation import simulate_profiles
from phenoprint.tables import get_table

STANDARD = [{"operation": "normalize", "method": "mad_robust", "by": ["Metadata_Plate"], "reference": "negcon"}]


def screen(design: str = "null", *, seed: int = 0, **changes: object) -> list[pl.DataFrame]:
    """Cross-fitted profiles of a simulated screen."""
    return cross_fit(simulate_profiles(design, seed=seed, **changes).wells, STANDARD)


def find(folds: list[pl.DataFrame], **options: object) -> pl.DataFrame:
    return find_hits(folds, null_size=500, **options)


@pytest.mark.parametrize(
    "design",
    [
        {"n_plates": 1, "n_replicates": 3, "n_controls": 24},
        {"n_plates": 2, "n_replicates": 2, "n_controls": 16},
        {"n_plates": 4, "n_replicates": 4, "n_controls": 16},
        {"n_plates": 4, "n_replicates": 4, "n_controls": 32, "tail_df": 4.0},
        {"n_plates": 10, "n_replicates": 1, "n_controls": 24},
    ],
    ids=str,
)
def test_p_values_of_screens_without_effects_are_uniform(design: dict[str, float]) -> None:
    found = [find(screen(seed=seed, layout="random", n_features=40, n_compounds=40, **design)) for seed in range(16)]
    whole = pl.concat(found)
    for name in ("p_value", "energy_p_value"):
        assert 0.03 < (whole[name] < 0.05).mean() < 0.07
        assert 0.15 < (whole[name] < 0.2).mean() < 0.25
    # False discoveries are few screens' work: treatments share their controls.
    assert np.mean([(frame["is_hit"]).any() for frame in found]) < 0.2


def test_true_effects_are_found_and_ranked_before_all_others() -> None:
    simulated = simulate_profiles(
        "mechanism", layout="random", n_features=60, n_compounds=40, effect_size=(2.0, 3.0), share_inert=0.5, seed=1
    )
    found = find_hits(cross_fit(simulated.wells, STANDARD), null_size=2000)
    truth = found.drop("is_active").join(simulated.truth, on="Metadata_perturbation")
    assert truth.filter("is_active")["is_hit"].mean() > 0.9
    assert truth.filter(~pl.col("is_active"))["is_hit"].mean() <= 0.1
    assert truth.filter("is_active")["rank"].median() < truth.filter(~pl.col("is_active"))["rank"].min()
    assert truth.filter(~pl.col("is_active"))["effect"].median() < truth.filter("is_active")["effect"].min()
    assert found.schema == get_table("hit").schema


def test_the_effect_does_not_depend_on_the_number_of_wells() -> None:
    medians = []
    for replicates in (2, 8):
        simulated = simulate_profiles(
            "mechanism", layout="random", n_plates=2, n_replicates=replicates, n_positive=0, n_features=60,
            n_compounds=20, effect_size=(2.0, 2.0), share_inert=0.0, seed=4,
        )  # fmt: skip
        medians.append(find(cross_fit(simulated.wells, STANDARD))["effect"].median())
    assert medians[0] == pytest.approx(medians[1], rel=0.2)


def test_strong_single_wells_are_found_among_controls_of_many_plates() -> None:
    simulated = simulate_profiles(
        "mechanism", layout="random", n_plates=6, n_replicates=1, n_compounds=120, n_positive=0, n_controls=32,
        effect_size=(4.0, 5.0), share_inert=0.9, n_features=60, seed=2,
    )  # fmt: skip
    found = find_hits(cross_fit(simulated.wells, STANDARD), null_size=500)
    truth = found.drop("is_active").join(simulated.truth, on="Metadata_perturbation")
    assert set(truth["status"]) == {"one well"}
    assert truth.filter("is_active")["is_hit"].mean() > 0.8
    assert truth.filter(~pl.col("is_active"))["is_hit"].mean() < 0.05
    assert "one well, judged against single controls of all plates" in set(found["reason"])


def test_effects_do_not_grow_with_the_number_of_wells_of_an_inert_treatment() -> None:
    for replicates in (2, 8):
        found = find(
            screen(layout="random", n_plates=2, n_replicates=replicates, n_features=40, n_compounds=40, seed=3)
        )
        assert found["effect"].median() < 0.5
        assert 0.2 < (found["effect"] == 0).mean() < 0.8


def test_the_result_does_not_depend_on_the_order_of_rows() -> None:
    folds = screen(layout="random", n_plates=2, n_replicates=2, n_features=24, n_compounds=20)
    shuffled = [fold.sample(fraction=1.0, shuffle=True, seed=1) for fold in folds]
    assert find(folds).equals(find(shuffled))


def test_missing_values_cost_neither_a_treatment_nor_a_feature() -> None:
    folds = screen(layout="random", n_plates=2, n_replicates=2, n_features=40, n_compounds=20, n_damaged=3, seed=5)
    found = find(folds)
    assert found["n_features"].unique().to_list() == [40]
    assert found["p_value"].null_count() == 0


def control(plate: str, number: int) -> tuple[str, str, str, str]:
    return (plate, f"B{number:02d}", "negcon", "DMSO")


def frame(rows: list[tuple[str, str, str, str | None]], seed: int = 0) -> pl.DataFrame:
    names = ["Metadata_Plate", "Metadata_Well", "Metadata_pert_type", "Metadata_perturbation"]
    values = np.random.default_rng(seed).normal(size=(len(rows), 6))
    return pl.DataFrame(rows, schema=names, orient="row").hstack(pl.DataFrame(values, schema=list("abcdef")))


def test_statuses_say_why_a_treatment_is_not_judged() -> None:
    rows = [control("p", i) for i in range(3)]
    rows += [("p", "A01", "trt", "few"), ("p", "A02", "trt", "few")]
    rows += [("q", "A01", "trt", "elsewhere"), ("p", "A03", "trt", None)]
    found = find([frame(rows)])
    assert dict(found.select("Metadata_perturbation", "status").iter_rows()) == {
        "few": "cannot pass",
        "elsewhere": "no controls",
    }
    assert found.filter(status="no controls")["is_hit"].to_list() == [None]
    assert "the smallest p is 0.1" in found.filter(status="cannot pass")["reason"][0]


def test_without_controls_or_with_constant_profiles_there_is_no_distance() -> None:
    treated = [("p", "A01", "trt", "a"), ("p", "A02", "trt", "a")]
    assert find([frame(treated)])["status"].to_list() == ["no controls"]
    constant = frame([*treated, *(control("p", i) for i in range(8))]).with_columns(
        pl.lit(1.0).alias(n) for n in "abcdef"
    )
    found = find([constant])
    assert found.select("status", "p_value", "effect").row(0) == ("no controls", None, None)


def test_a_screen_without_treatments_has_no_hits() -> None:
    assert find([frame([control("p", i) for i in range(8)])]).height == 0


def test_controls_that_were_not_held_out_are_named() -> None:
    folds = screen(n_plates=1, n_replicates=2, n_features=24, n_compounds=4)
    found = find(folds[:1], is_cross_fitted=False)
    assert found["reason"].str.contains("p values are too small").all()
    assert not found["is_cross_fitted"].any()


def test_limits_and_other_tables_decide_too() -> None:
    simulated = simulate_profiles(
        "mechanism", layout="random", n_features=40, n_compounds=20, effect_size=(3.0, 3.0), share_inert=0.0, seed=1
    )
    folds = cross_fit(simulated.wells, STANDARD)
    names = simulated.truth.filter(Metadata_pert_type="trt").select("Metadata_perturbation")
    first = names["Metadata_perturbation"][0]
    plain = find(folds)
    assert plain["is_hit"].mean() > 0.9
    assert find(folds, limits=HitLimits(min_effect=1e6))["is_hit"].sum() == 0
    induced = find(folds, limits=HitLimits(min_inducing_share=1.0))
    assert induced["is_hit"].sum() == 0
    assert "fewer than 100% of the features are induced" in induced["reason"][0]
    agreement = names.with_columns(median_similarity=0.1, is_reproducible=pl.col("Metadata_perturbation") != first)
    strict = find(folds, limits=HitLimits(needs_agreement=True), agreement=agreement)
    assert strict.filter(Metadata_perturbation=first)["reason"].to_list() == ["its replicates do not agree"]
    active = names.with_columns(
        status=pl.lit("judged against control positions"), below_corrected_p=pl.col("Metadata_perturbation") != first
    )
    placed = find(folds, active=active).filter(Metadata_perturbation=first).row(0, named=True)
    assert (placed["is_hit"], placed["status"]) == (False, "position")
    unknown = find(folds, active=active.with_columns(status=pl.lit("position not judged"))).filter("is_hit")
    assert unknown["reason"].str.contains("too few controls share a position").all()
    counted = find(folds, counts=relative_counts(simulated.wells))
    assert counted["toxicity"].to_list().count("not toxic") > 15


def test_wrong_limits_are_named() -> None:
    with pytest.raises(UsageError, match="found 'euclidean'"):
        HitLimits(distance="euclidean")
    with pytest.raises(UsageError, match="max_q"):
        HitLimits(max_q=0)
