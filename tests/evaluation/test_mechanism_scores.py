"""Protocols of mechanisms: by hand, beside baselines, and on input that allows none."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import UnknownNameError
from phenoprint.evaluation import (
    MECHANISM_PROTOCOLS,
    MechanismScores,
    baseline_profiles,
    mechanism_scores,
    moa_accuracy,
)
from phenoprint.tables import get_table

NSC, NSCB, PLATES, VOTES = MECHANISM_PROTOCOLS


def treatments(*, n_moa: int = 5, compounds: int = 4, noise: float = 1.0, seed: int = 0) -> pl.DataFrame:
    """Two doses per compound on two plates of two batches; 8 features; counts that name the mechanism."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(n_moa, 8))
    rows, values = [], []
    for moa in range(n_moa):
        for compound in range(compounds):
            for dose in (1, 2):
                for plate in "pq":
                    name = f"m{moa}c{compound}"
                    rows.append((f"{name}@{dose}", name, f"m{moa}", plate, f"b{(compound + ord(plate)) % 2}"))
                    values.append(centers[moa] + noise * rng.normal(size=8))
    names = ["perturbation", "compound", "moa", "Plate", "Batch"]
    frame = pl.DataFrame(rows, schema=[f"Metadata_{name}" for name in names], orient="row")
    return frame.with_columns(
        *(pl.Series(f"F{i}", column) for i, column in enumerate(np.array(values).T)),
        Metadata_pert_type=pl.lit("trt"),
        Metadata_Object_Count=100 + 40 * pl.col("Metadata_moa").str.slice(1).cast(pl.Int64),
    )


def scores(protocol: object, frame: pl.DataFrame, **options: object) -> MechanismScores:
    active = options.pop("active", frame["Metadata_perturbation"].unique().to_list())
    given = {"baselines": {}, "n_total": 99} | options
    return mechanism_scores(protocol, frame, given.pop("baselines"), active, **given)  # type: ignore[arg-type]


def value(found: MechanismScores, score: str, baseline: str = "none") -> float:
    return float(found.scores.filter(score=score, baseline=baseline)["value"][0])


def test_not_same_compound_is_the_accuracy_of_the_function() -> None:
    frame = treatments().filter(Metadata_Plate="p")
    found = scores(NSC, frame)
    expected = moa_accuracy(frame, n_shuffles=200)
    assert value(found, "moa_accuracy") == pytest.approx(expected.accuracy)
    assert value(found, "moa_accuracy", "shuffled_labels") == pytest.approx(expected.shuffled_accuracy, abs=0.03)
    assert found.predictions["share_correct"].mean() == pytest.approx(expected.accuracy)
    assert found.predictions.select("Metadata_perturbation", "predicted").rows() == (
        expected.predictions.sort("Metadata_perturbation").select("Metadata_perturbation", "predicted").rows()
    )
    voted = scores(VOTES, frame, k=3)
    assert value(voted, "moa_accuracy_neighbours") == pytest.approx(moa_accuracy(frame, k=3, n_shuffles=0).accuracy)
    for name, part in (
        ("moa_prediction", found.predictions),
        ("moa_confusion", found.confusion),
        ("score", found.scores),
    ):
        assert part.schema == get_table(name).schema


@pytest.mark.parametrize(("protocol", "column"), [(PLATES, "Metadata_Plate"), (NSCB, "Metadata_Batch")])
def test_neighbours_on_other_plates_and_in_other_batches_by_hand(protocol: object, column: str) -> None:
    frame = treatments(seed=1).sample(fraction=1.0, shuffle=True, seed=2)
    found = scores(protocol, frame)
    x = frame.select(pl.col("^F.*$")).to_numpy()
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    compound, moa, apart, treatment = (
        frame[name].to_list() for name in ("Metadata_compound", "Metadata_moa", column, "Metadata_perturbation")
    )
    right: dict[str, list[bool]] = {}
    for i in range(len(x)):
        others = [j for j in range(len(x)) if compound[j] != compound[i] and apart[j] != apart[i]]
        best = max(others, key=lambda j: float(x[i] @ x[j]))
        right.setdefault(treatment[i], []).append(moa[best] == moa[i])
    own = {name: np.mean(values) for name, values in right.items()}
    made = dict(found.predictions.select("Metadata_perturbation", "share_correct").iter_rows())
    assert made == pytest.approx(own)
    row = found.scores.row(0, named=True)
    assert (row["value"], row["n"]) == (pytest.approx(np.mean(list(own.values()))), 40)


def test_a_baseline_as_good_as_the_profiles_leaves_no_gain() -> None:
    frame = treatments(noise=0.05)
    one = frame.filter(Metadata_Plate="p")
    baselines = baseline_profiles(frame, by=["Metadata_perturbation"])
    found = scores(NSC, one, baselines=baselines)
    own = found.scores.filter(score="moa_accuracy", baseline="none").row(0, named=True)
    assert (own["value"], own["best_baseline"], own["gain"]) == (1.0, "cell_count", 0.0)
    assert own["gain_low"] < 0 < own["gain_high"]
    assert value(found, "moa_accuracy", "plate") < 0.4
    with pytest.raises(UnknownNameError, match="baseline"):
        scores(NSC, one, baselines={"count": one})


def test_active_treatments_are_compared_with_active_ones_and_all_with_all() -> None:
    frame = treatments(noise=0.1).filter(Metadata_Plate="p")
    flat = frame.with_columns(
        pl.when(pl.col("Metadata_perturbation").str.ends_with("@2"))
        .then(pl.col(f"F{i}"))
        .otherwise(1.0 + i)
        .alias(f"F{i}")
        for i in range(8)
    )
    active = [name for name in frame["Metadata_perturbation"] if name.endswith("@2")]
    found = scores(NSC, flat, active=active)
    assert value(found, "moa_accuracy") == 1.0
    assert value(found, "moa_accuracy_all_treatments") < 0.7
    counts = found.scores.filter(baseline="none").select("score", "n", "n_total").rows()
    assert counts == [
        ("moa_accuracy", 20, 99),
        ("moa_accuracy_macro", 20, 99),
        ("moa_accuracy_all_treatments", 40, 99),
        ("moa_accuracy_macro_all_treatments", 40, 99),
    ]
    assert found.predictions.height == 40
    assert found.confusion["n"].sum() == 20
    assert found.confusion.filter(pl.col("mechanism") == pl.col("predicted"))["share"].to_list() == [1.0] * 5


def test_positive_controls_are_references_and_not_predicted() -> None:
    frame = treatments(n_moa=3, compounds=1, noise=0.05).filter(Metadata_Plate="p")
    control = pl.col("Metadata_perturbation").str.ends_with("@2")
    named = frame.with_columns(
        Metadata_pert_type=pl.when(control).then(pl.lit("poscon")).otherwise(pl.lit("trt")),
        Metadata_compound=pl.when(control).then("ref " + pl.col("Metadata_compound")).otherwise("Metadata_compound"),
    )
    found = scores(NSC, named)
    assert found.predictions["Metadata_perturbation"].to_list() == ["m0c0@1", "m1c0@1", "m2c0@1"]
    assert found.predictions["nearest"].to_list() == ["m0c0@2", "m1c0@2", "m2c0@2"]


def test_the_mean_over_mechanisms_weighs_rare_ones_and_several_labels() -> None:
    frame = treatments(n_moa=2, compounds=6, noise=0.05).filter(Metadata_Plate="p")
    rare = pl.col("Metadata_moa") == "m1"
    lone = frame.filter(~rare | pl.col("Metadata_compound").is_in(["m1c0", "m1c1"]))
    # One of the two compounds of the rare mechanism looks like the other mechanism.
    odd = lone.filter(Metadata_compound="m0c0").select(pl.col("^F.*$")).row(0)
    mixed = lone.with_columns(
        pl.when(pl.col("Metadata_compound") == "m1c1").then(odd[i]).otherwise(f"F{i}").alias(f"F{i}") for i in range(8)
    )
    found = scores(NSC, mixed)
    by_mechanism = found.predictions.group_by("Metadata_moa").agg(pl.col("share_correct").mean())
    assert value(found, "moa_accuracy_macro") == pytest.approx(by_mechanism["share_correct"].mean())
    assert value(found, "moa_accuracy_macro") < value(found, "moa_accuracy")
    double = frame.with_columns(
        Metadata_moa=pl.when(pl.col("Metadata_compound") == "m0c0").then(pl.lit("m0 | m1")).otherwise("Metadata_moa")
    )
    both = scores(NSC, double)
    assert both.predictions["is_correct"].all()
    assert both.confusion["n"].sum() == 24 + 2
    assert both.scores.filter(baseline="none")["n"].to_list() == [24] * 4


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"Metadata_moa": pl.lit(None, pl.String)}, "no such treatment has a mechanism"),
        ({"Metadata_moa": pl.lit("one")}, "fewer than two mechanisms"),
        ({"Metadata_moa": pl.col("Metadata_compound")}, "fewer than two mechanisms"),
    ],
)
def test_what_cannot_be_scored_is_a_row_with_the_reason(change: dict[str, pl.Expr], reason: str) -> None:
    found = scores(NSC, treatments().filter(Metadata_Plate="p").with_columns(**change))
    assert found.scores["value"].null_count() == found.scores.height
    assert set(found.scores["n"]) == {0}
    assert all(reason in text for text in found.scores["description"])
    assert found.predictions.is_empty()
    assert found.confusion.is_empty()


def test_one_batch_is_no_comparison_between_batches() -> None:
    found = scores(NSCB, treatments().with_columns(Metadata_Batch=pl.lit("b")))
    assert "all are in the same Metadata_Batch" in found.scores["description"][0]
    unknown = treatments().with_columns(Metadata_Batch=pl.lit(None, pl.String))
    assert scores(NSCB, unknown).scores["value"].null_count() > 0


def test_a_single_partner_on_another_plate_is_enough() -> None:
    frame = treatments(n_moa=2, compounds=2, noise=0.01).filter(pl.col("Metadata_perturbation").str.ends_with("@1"))
    assert scores(PLATES, frame).scores.row(0, named=True)["n"] == 4
