"""From profiles to calls, on profiles whose answer is known."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from phenoprint.evaluation import activity, also_controls, moa_calls, replicate_agreement
from phenoprint.profiles import consensus


def profiles(*, replicates: int = 4, controls: int = 12, seed: int = 0) -> pl.DataFrame:
    """Three mechanisms of two compounds each, one inert compound, controls; 30 features."""
    rng = np.random.default_rng(seed)
    axes = {moa: rng.normal(size=30) * 3 for moa in ("alpha", "beta", "gamma")}
    rows, values = [], []
    for compound, moa in [(f"{m}-{i}", m) for m in axes for i in (1, 2)] + [("inert", None)]:
        for _ in range(replicates):
            rows.append((compound, moa, "trt"))
            values.append((axes[moa] if moa else 0.0) + rng.normal(size=30) * 0.5)
    for _ in range(controls):
        rows.append(("DMSO", None, "negcon"))
        values.append(rng.normal(size=30) * 0.5)
    frame = pl.DataFrame(rows, schema=["Metadata_compound", "Metadata_moa", "Metadata_pert_type"], orient="row")
    features = pl.DataFrame(np.array(values), schema=[f"Cells_F_{i}" for i in range(30)])
    described = frame.with_columns(
        pl.lit("P").alias("Metadata_Plate"),
        pl.Series("Metadata_Well", [f"{chr(65 + i // 24)}{i % 24 + 1:02d}" for i in range(frame.height)]),
        (pl.col("Metadata_compound") + "@1 uM").alias("Metadata_perturbation"),
        pl.lit(1.0).alias("Metadata_Concentration"),
        pl.lit("uM").alias("Metadata_Concentration_Unit"),
        pl.lit(100).cast(pl.Int64).alias("Metadata_Object_Count"),
    )
    return pl.concat([described, features], how="horizontal")


def test_active_compounds_are_distinguished_from_inert_ones() -> None:
    result = activity(profiles(), null_size=2000)
    called = dict(result.select("Metadata_compound", "below_corrected_p").iter_rows())
    assert called.pop("inert") is False
    assert all(called.values())
    assert set(result["n_replicates"]) == {4}


def test_the_smallest_p_shows_when_nothing_could_be_significant() -> None:
    result = activity(profiles(replicates=2, controls=4), null_size=2000)
    assert result["smallest_p"].min() > 0.01
    assert not result["below_corrected_p"].any()


def test_without_controls_or_replicates_there_is_no_activity() -> None:
    frame = profiles()
    assert activity(frame.filter(pl.col("Metadata_pert_type") == "trt")).is_empty()
    assert activity(frame.unique("Metadata_perturbation")).is_empty()


def test_controls_without_a_name_are_controls() -> None:
    """Plate maps often leave the compound of DMSO wells empty: unnamed, they are no treatment, but controls."""
    frame = profiles()
    is_control = pl.col("Metadata_pert_type") == "negcon"
    unnamed = frame.with_columns(
        pl.when(~is_control).then(name).alias(name) for name in ("Metadata_compound", "Metadata_perturbation")
    )
    assert activity(unnamed, null_size=500).equals(activity(frame, null_size=500))


def test_positive_controls_are_no_negatives() -> None:
    """A positive control that looks like a treatment must not count against it."""
    frame = profiles()
    alone = activity(frame, null_size=2000)
    twin = frame.filter(pl.col("Metadata_compound") == "alpha-1").with_columns(
        pl.lit("poscon").alias("Metadata_pert_type"),
        pl.lit("reference@1 uM").alias("Metadata_perturbation"),
        pl.Series("Metadata_Well", ["P21", "P22", "P23", "P24"]),
    )
    beside = activity(pl.concat([frame, twin]), null_size=2000)
    score = [
        table.filter(pl.col("Metadata_compound") == "alpha-1")["mean_average_precision"][0] for table in (alone, beside)
    ]
    assert score[0] == pytest.approx(score[1])


def test_profiles_without_annotation_have_no_calls() -> None:
    bare = profiles().drop("Metadata_moa", "Metadata_compound")
    predictions, scores = moa_calls(bare, activity(profiles(), null_size=500))
    assert predictions.is_empty()
    assert scores.is_empty()


def test_mechanisms_are_called_beside_their_baselines() -> None:
    frame = profiles()
    treatments = consensus(frame, by=["Metadata_perturbation"])
    predictions, scores = moa_calls(treatments, activity(frame, null_size=2000))
    value = dict(scores.select("baseline", "value").iter_rows())
    assert value["none"] == 1.0
    assert value["shuffled_labels"] < 0.7
    # six active treatments of seven: a score of 1.000 that is no result of a screen
    counted = scores.select("n", "n_total", "is_headline").unique().rows()
    assert counted == [(6, 7, False)]
    assert predictions.height == 6
    assert predictions["is_correct"].all()
    neighbours = predictions.select("Metadata_compound", "nearest").rows()
    assert all(compound != nearest and compound[:-1] == nearest[:-1] for compound, nearest in neighbours)


def test_replicates_are_scored() -> None:
    agreement, null, score = replicate_agreement(profiles())
    assert score.select("score", "baseline").rows() == [("replicates_reproducible", "none")]
    assert 0.8 < score["value"][0] <= 1.0
    assert score.select("n", "n_total", "is_headline").rows() == [(7, 7, False)]
    assert agreement["is_reproducible"].mean() == score["value"][0]
    assert agreement["n_replicates"].unique().to_list() == null["n_replicates"].unique().to_list() == [4]
    assert agreement["threshold"][0] == pytest.approx(null["median_similarity"].quantile(0.95, "linear"))


def test_a_treatment_that_is_also_a_negative_control_counts_as_the_control() -> None:
    """It is scored against nothing, and no other treatment's score changes."""
    frame = profiles()
    is_misnamed = (pl.col("Metadata_pert_type") == "negcon") & pl.col("Metadata_Well").is_in(
        frame.filter(pl.col("Metadata_pert_type") == "negcon")["Metadata_Well"].head(3).implode()
    )
    mixed = frame.with_columns(
        pl.when(is_misnamed).then(pl.lit("trt")).otherwise("Metadata_pert_type").alias("Metadata_pert_type")
    )
    assert also_controls(mixed).height == 3
    assert activity(mixed, null_size=500).equals(activity(frame.filter(~is_misnamed), null_size=500))
    assert replicate_agreement(mixed)[2].equals(replicate_agreement(frame)[2])
