"""Calls of mechanisms on simulated screens with hidden labels, and on input that allows none."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.evaluation import CALL_STATUSES, call_scores, moa_calls, treatments_of, with_shuffled_labels
from phenoprint.profiles import consensus, normalize
from phenoprint.simulation import simulate_profiles
from phenoprint.tables import feature_columns, get_table

TRUTH = pl.col("Metadata_truth").str.split("|")


def screen(seed: int, **changes: object) -> pl.DataFrame:
    """Consensus profiles with the true mechanism and the true effect."""
    design = {"n_features": 100, "layout": "random", "fidelity": 0.7, "effect_size": (0.3, 2.0)} | changes
    simulated = simulate_profiles("mechanism", seed=seed, **design)
    wells = normalize(simulated.wells, "mad_robust", reference=pl.col("Metadata_pert_type") == "negcon")
    truth = simulated.truth.select(
        "Metadata_perturbation", pl.col("mechanism").alias("Metadata_truth"), pl.col("effect").alias("Metadata_effect")
    )
    return consensus(wells, ["Metadata_perturbation"]).join(truth, on="Metadata_perturbation").sort(pl.all())


def called(profiles: pl.DataFrame, hidden: pl.Expr, **options: object) -> pl.DataFrame:
    """Call mechanisms where those of some treatments are hidden; the true ones beside the calls."""
    masked = profiles.with_columns(Metadata_moa=pl.when(~hidden).then("Metadata_truth"))
    active = profiles.select("Metadata_perturbation", below_corrected_p=pl.col("Metadata_effect") > 0.4)
    calls = moa_calls(masked.drop("Metadata_truth", "Metadata_effect"), active, **options)
    found = calls.join(profiles.select("Metadata_perturbation", "Metadata_truth"), on="Metadata_perturbation")
    return (
        found.filter(pl.col("Metadata_pert_type") == "trt")
        .sort("Metadata_perturbation")
        .with_columns(
            holds=TRUTH.list.set_intersection(pl.col("prediction_set").fill_null("").str.split("|")).list.len() > 0,
            is_right=TRUTH.list.contains(pl.col("predicted")),
            is_hidden=pl.col("Metadata_moa").is_null() & pl.col("Metadata_truth").is_not_null(),
        )
    )


@pytest.fixture(scope="module")
def hidden_labels() -> pl.DataFrame:
    """Twelve screens of 24 mechanisms; a fifth of the compounds is hidden."""
    frames = []
    for seed in range(12):
        profiles = screen(seed, n_compounds=300, n_mechanisms=24, share_inert=0.3)
        compounds = profiles["Metadata_compound"].unique().sort().to_list()
        chosen = [name for name in compounds if np.random.default_rng([seed, *name.encode()]).random() < 0.2]
        frames.append(called(profiles, pl.col("Metadata_compound").is_in(chosen)))
    return pl.concat(frames).filter(pl.col("status") != "inactive")


def test_sets_hold_the_mechanism_of_compounds_never_seen(hidden_labels: pl.DataFrame) -> None:
    hidden = hidden_labels.filter("is_hidden")
    assert hidden.height > 350
    assert 0.87 < hidden["holds"].mean() < 0.94  # 0.9 within two standard errors and two points
    known = hidden_labels.filter(pl.col("is_label_in_set").is_not_null())
    assert 0.88 < known["is_label_in_set"].mean() < 0.93
    assert (hidden["set_size"].mean() or 9) < 2.0


def test_probabilities_are_those_of_being_right(hidden_labels: pl.DataFrame) -> None:
    made = hidden_labels.filter("is_hidden").drop_nulls("probability")
    for low, high in ((0.0, 0.7), (0.7, 0.9), (0.9, 1.01)):
        part = made.filter((pl.col("probability") >= low) & (pl.col("probability") < high))
        error = 2.5 * np.sqrt(0.25 / part.height)
        assert part["is_right"].mean() == pytest.approx(part["probability"].mean(), abs=error + 0.03)
    single = made.filter(status="called")
    assert 0.84 < single["is_right"].mean() < 0.97


@pytest.mark.parametrize(
    ("design", "recall"),
    [({"mechanism_cosine": 0.2, "fidelity": 0.9}, 0.8), ({"fidelity": 0.95, "effect_size": (0.5, 3.0)}, 0.6)],
    ids=["little overlap", "pairs that overlap"],
)
def test_a_mechanism_left_out_entirely_is_novel(design: dict[str, object], recall: float) -> None:
    """In the second design mechanisms overlap with a cosine of 0.3 to 0.9, and margins alone find 4 % of novel ones."""
    novel, others = [], []
    for seed in range(8):
        profiles = screen(seed, n_compounds=300, share_inert=0.3, **design)
        left = profiles["Metadata_truth"].drop_nulls().str.split("|").explode().unique().sort()[seed]
        calls = called(profiles, TRUTH.list.contains(left).fill_null(value=False))
        active = calls.filter(pl.col("status") != "inactive")
        novel.append(active.filter(Metadata_truth=left)["status"] == "novel")
        others.append(active.filter(~pl.col("is_hidden"))["status"] == "novel")
    assert pl.concat(novel).len() > 60
    assert pl.concat(novel).mean() > recall
    assert pl.concat(others).mean() < 0.13


def test_every_treatment_has_a_row_and_a_status() -> None:
    profiles = screen(3, n_compounds=60, share_unlabelled=0.2)
    profiles = profiles.with_columns(Metadata_moa="Metadata_truth")
    treatments = profiles.filter(pl.col("Metadata_pert_type") != "negcon")["Metadata_perturbation"].sort().to_list()
    names = feature_columns(profiles)
    empty, constant, untested = treatments[:3]
    blank = pl.when(pl.col("Metadata_perturbation") == empty).then(None)
    profiles = profiles.with_columns(
        blank.when(pl.col("Metadata_perturbation") == constant).then(0.0).otherwise(pl.col(name)).alias(name)
        for name in names
    )
    active = profiles.select(
        "Metadata_perturbation", below_corrected_p=pl.col("Metadata_effect").fill_null(0.0) > 0.4
    ).filter(pl.col("Metadata_perturbation") != untested)
    calls = moa_calls(profiles, active)
    assert calls.schema == get_table("moa_call").schema
    assert calls["Metadata_perturbation"].to_list() == treatments
    assert set(calls["status"]) <= set(CALL_STATUSES)
    status = dict(calls.select("Metadata_perturbation", "status").iter_rows())
    assert [status[name] for name in (empty, constant, untested)] == ["no profile", "no profile", "not tested"]
    made = calls.filter(pl.col("status").is_in(["called", "ambiguous"]))
    assert made.height > 5
    assert made["predicted"].to_list() == made["prediction_set"].str.split("|").list.first().to_list()
    assert (made["set_size"] == made["prediction_set"].str.split("|").list.len()).all()
    assert calls["predicted"].count() == made.height
    assert (calls["n_features"] == 100).all()


def test_calls_do_not_depend_on_the_order_of_rows() -> None:
    profiles = screen(4, n_compounds=96)
    first = called(profiles, pl.col("Metadata_compound").str.ends_with("7"))
    again = called(profiles.sample(fraction=1.0, shuffle=True, seed=1), pl.col("Metadata_compound").str.ends_with("7"))
    assert first.equals(again)


def test_a_compound_never_meets_its_own_doses() -> None:
    """The only compound of a mechanism, at three doses: nothing but itself could name the mechanism."""
    profiles = screen(5, n_compounds=60, n_doses=3, share_inert=0.2)
    alone = profiles.filter(pl.col("Metadata_effect") > 0.8)["Metadata_compound"].sort()[0]
    relabelled = profiles.with_columns(
        Metadata_truth=pl.when(pl.col("Metadata_compound") == alone).then(pl.lit("own")).otherwise("Metadata_truth")
    )
    calls = called(relabelled, pl.lit(value=False)).filter(Metadata_compound=alone)
    assert calls.filter(pl.col("prediction_set").fill_null("").str.contains("own")).is_empty()
    assert calls["is_label_in_set"].null_count() == calls.height
    assert set(calls.filter(pl.col("status") != "inactive")["reason"]) == {"no other compound has its mechanism"}


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (pl.lit(None, pl.String), "no treatment has a mechanism"),
        (pl.lit("one"), "all labelled treatments have the same mechanism"),
        (
            pl.when(pl.int_range(pl.len()) < 6).then(pl.lit("a")).when(pl.int_range(pl.len()) < 8).then(pl.lit("b")),
            "needs 9",
        ),
        (pl.col("Metadata_compound"), "0 active compounds share a mechanism"),
    ],
    ids=["none", "one class", "few", "one compound each"],
)
def test_too_few_references_are_a_status(labels: pl.Expr, reason: str) -> None:
    profiles = screen(6, n_compounds=40).filter(pl.col("Metadata_pert_type") == "trt")
    profiles = profiles.with_columns(labels.alias("Metadata_moa"))
    active = profiles.select("Metadata_perturbation", below_corrected_p=pl.lit(value=True))
    calls = moa_calls(profiles, active)
    assert set(calls["status"]) == {"too few references"}
    assert reason in calls["reason"][0]
    assert (
        calls.select("predicted", "probability", "prediction_set", "set_size", "best_p").null_count().row(0)
        == (40,) * 5
    )
    scores = call_scores(calls, {}, coverage=0.9, n_total=40)
    assert scores.select("value", "n").rows() == [(None, 0)] * 2


def test_wrong_use_and_no_rows() -> None:
    profiles = screen(7, n_compounds=20)
    active = profiles.select("Metadata_perturbation", below_corrected_p=pl.lit(value=True))
    with pytest.raises(UsageError, match="coverage must be"):
        moa_calls(profiles, active, coverage=1.0)
    with pytest.raises(UnknownNameError, match="below_corrected_p"):
        moa_calls(profiles, active.drop("below_corrected_p"))
    assert moa_calls(profiles.head(0), active).is_empty()
    bare = moa_calls(profiles.drop("Metadata_moa", "Metadata_compound"), active)
    assert set(bare.filter(pl.col("status") != "inactive")["status"]) == {"too few references"}
    without = moa_calls(profiles.select(pl.col("^Metadata_.*$")), active)
    assert set(without["status"]) == {"no profile"}


def test_scores_of_calls_stand_beside_calls_by_count() -> None:
    profiles = screen(8, n_compounds=200, share_inert=0.2)
    active = profiles.select("Metadata_perturbation", below_corrected_p=pl.col("Metadata_effect").fill_null(0.0) > 0.4)
    labelled = profiles.with_columns(Metadata_moa="Metadata_truth")
    calls = moa_calls(labelled, active)
    noise = pl.Series("F", np.random.default_rng(0).normal(size=labelled.height))
    blind = moa_calls(labelled.select(pl.col("^Metadata_.*$")).with_columns(noise, (1 - noise).alias("G")), active)
    mixed = with_shuffled_labels(treatments_of(labelled), seed=1)
    assert mixed["Metadata_moa"].sort().equals(treatments_of(labelled)["Metadata_moa"].sort())
    shuffled = [moa_calls(with_shuffled_labels(treatments_of(labelled), seed=seed), active) for seed in range(3)]
    scores = call_scores(calls, {"cell_count": [blind], "shuffled_labels": shuffled}, coverage=0.9, n_total=200)
    own, other, covered = (
        scores.filter(score=score, baseline=baseline).row(0, named=True)
        for score, baseline in (
            ("moa_call_accuracy", "none"),
            ("moa_call_accuracy", "cell_count"),
            ("moa_set_coverage", "none"),
        )
    )
    single = calls.filter(pl.col("status") == "called", pl.col("is_label_in_set").is_not_null())
    assert own["n"] == single.filter(Metadata_pert_type="trt").height
    assert own["value"] > 0.8
    assert other["value"] < 0.4
    assert scores.filter(score="moa_call_accuracy", baseline="shuffled_labels")["value"][0] < 0.3
    assert own["gain_low"] > 0.3
    assert 0.85 < covered["value"] < 0.97
