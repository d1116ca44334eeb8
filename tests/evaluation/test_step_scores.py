"""Scores of steps: planted effects, agreement with the comparison, reasons for scores that are undefined."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.evaluation import (
    STEP_SCORES,
    TREATMENT_SCORES,
    batch_mixing,
    compare,
    replicate_reproducibility,
    score_steps,
)
from phenoprint.evaluation.step_profiles import drawn_plates, on_one_scale
from phenoprint.profiles import apply_recipe
from phenoprint.tables import Result, feature_columns

RECIPE: list[dict[str, Any]] = [
    {"operation": "correct_position", "method": "median_polish", "reference": "all"},
    {"operation": "normalize", "method": "mad_robust", "reference": "negcon"},
    {"operation": "select"},
]


def screen(
    *, plates: int = 4, features: int = 20, edge: float = 10.0, plate_shift: float = 8.0, seed: int = 0
) -> pl.DataFrame:
    """Raw features in units of their own: 24 treatments of four mechanisms, row, plate and batch effects."""
    rng = np.random.default_rng(seed)
    moa = rng.normal(size=(4, features)) * 2
    effect = moa[np.arange(24) % 4] + rng.normal(size=(24, features)) * 0.5
    unit = 10.0 ** rng.uniform(-4, 5, features)
    level = rng.uniform(10, 30, features)
    slope = rng.normal(size=features) * edge
    frames = []
    for plate in range(plates):
        treatment = rng.permutation(np.concatenate([np.repeat(-1, 24), np.tile(np.arange(24), 3)]))
        row, col = np.divmod(np.arange(96), 12)
        values = rng.normal(size=(96, features)) + np.where(treatment[:, None] >= 0, effect[treatment], 0)
        values += (row[:, None] / 7 - 0.5) * slope + rng.normal(size=features) * plate_shift
        frames.append(
            pl.DataFrame((values + level) * unit, schema=[f"Cells_F{i}" for i in range(features)]).select(
                pl.lit(f"p{plate}").alias("Metadata_Plate"),
                pl.lit(f"b{plate % 2}").alias("Metadata_Batch"),
                pl.Series("Metadata_Well", [f"{'ABCDEFGH'[r]}{c + 1:02d}" for r, c in zip(row, col, strict=True)]),
                pl.Series("Metadata_pert_type", np.where(treatment < 0, "negcon", "trt")),
                pl.Series("Metadata_compound", [f"c{t}" if t >= 0 else "DMSO" for t in treatment]),
                pl.Series("Metadata_moa", [f"m{t % 4}" if t >= 0 else None for t in treatment], dtype=pl.String),
                pl.Series("Metadata_Object_Count", rng.integers(50, 60, 96)),
                pl.all(),
            )
        )
    return pl.concat(frames)


def table(scores: pl.DataFrame) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for row in scores.iter_rows(named=True):
        found.setdefault(row["score"], {})[row["step"]] = row["value"]
    return found


def test_each_step_shows_in_the_score_it_is_meant_for() -> None:
    data = screen()
    scores = score_steps(apply_recipe(data, RECIPE), level3=data)
    assert scores.schema == {
        "step": pl.String,
        "number": pl.Int32,
        "score": pl.String,
        "value": pl.Float64,
        "baseline": pl.Float64,
        "n": pl.Int64,
        "n_total": pl.Int64,
        "reason": pl.String,
    }
    assert scores["score"].to_list() == list(STEP_SCORES) * 4
    assert scores.select("step", "number").unique(maintain_order=True).rows() == [
        ("level3", 0),
        ("correct_position", 1),
        ("normalize", 2),
        ("select", 3),
    ]
    assert scores["value"].null_count() == scores["n"].eq(0).sum() == 0
    totals = dict(scores.filter(number=3).select("score", "n_total").rows())
    treatments = data.filter(Metadata_pert_type="trt")["Metadata_compound"].n_unique()
    assert {totals[name] for name in TREATMENT_SCORES} == {treatments}
    assert {total for name, total in totals.items() if name not in TREATMENT_SCORES} == {data.height}
    assert (scores["n"] <= scores["n_total"]).all()
    assert scores["reason"].null_count() == scores.height
    of = table(scores)
    assert of["position_variance"]["level3"] > 0.4
    assert of["position_variance"]["correct_position"] < 0.1
    assert of["position_leakage"]["level3"] > of["position_leakage"]["normalize"] + 0.02
    assert of["plate_variance"]["correct_position"] > 0.9
    assert of["plate_variance"]["normalize"] < 0.1
    assert of["batch_variance"]["correct_position"] > 0.1 > of["batch_variance"]["normalize"]
    assert of["batch_mixing"]["normalize"] > 0.9
    assert of["batch_mixing"]["level3"] < 0.5
    assert of["replicate_retrieval"]["normalize"] > of["replicate_retrieval"]["level3"] + 0.3
    assert of["moa_consistency"]["select"] == 1
    assert of["treatment_variance"]["normalize"] > of["treatment_variance"]["level3"] + 0.3
    assert of["control_retrieval"]["normalize"] > of["control_retrieval"]["level3"] + 0.3
    assert of["reproducible_share"]["select"] == 1
    assert of["n_features"]["level3"] == 20
    chance = dict(scores.filter(step="select").select("score", "baseline").rows())
    assert chance["moa_consistency"] == chance["moa_by_count"] < 0.4
    assert chance["reproducible_share"] == pytest.approx(0.05)
    assert chance["batch_mixing"] == 1
    assert chance["control_retrieval"] < of["control_retrieval"]["select"] - 0.3
    assert of["moa_by_count"]["select"] < 0.7 < of["moa_consistency"]["select"]


def test_the_last_step_scores_as_the_comparison_does() -> None:
    data = screen(plates=6)
    held = compare(data, {"ours": RECIPE}, folds=2).scores.filter(part="train", fold=0)
    dealt = np.random.default_rng(0).permutation(6) % 2
    train = data.filter(pl.col("Metadata_Plate").is_in([f"p{i}" for i in range(6) if dealt[i] != 0]))
    of = table(score_steps(apply_recipe(train, RECIPE)))
    for name in ("replicate_retrieval", "position_leakage", "moa_consistency"):
        assert of[name]["select"] is not None
        assert of[name]["select"] == held[name].item(), name


def test_batches_are_compared_by_what_they_share() -> None:
    data = screen()
    sphered: list[dict[str, Any]] = [
        *RECIPE,
        {"operation": "normalize", "name": "tvn", "method": "tvn", "by": ["Metadata_Batch"]},
    ]
    made = apply_recipe(data, sphered)
    rows = {row["score"]: row for row in score_steps(made[-1:]).iter_rows(named=True)}
    treated = made[-1].frame.filter(Metadata_pert_type="trt")
    # The controls that TVN was fitted on keep off each other; wells of the same treatments lie together.
    assert rows["batch_mixing"]["value"] == batch_mixing(treated).mixing > 0.8
    assert rows["batch_mixing"]["n"] == treated.height
    # Where batches hold different treatments, mixing treatments would not be mixing batches.
    own = data.with_columns(
        pl.when(Metadata_pert_type="trt")
        .then(pl.col("Metadata_compound") + pl.col("Metadata_Batch"))
        .otherwise("Metadata_compound")
        .alias("Metadata_compound")
    )
    apart = {row["score"]: row for row in score_steps(apply_recipe(own, RECIPE)[-1:]).iter_rows(named=True)}
    assert {name: apart[name]["n"] for name in ("batch_mixing", "plate_variance", "batch_variance")} == dict.fromkeys(
        ("batch_mixing", "plate_variance", "batch_variance"), 96
    )


def test_the_order_of_rows_does_not_matter() -> None:
    data = screen(plates=3)
    mixed = data.sample(fraction=1, shuffle=True, seed=5)
    ours, theirs = (score_steps([], level3=frame) for frame in (data, mixed))
    assert ours.drop("value", "baseline").equals(theirs.drop("value", "baseline"))
    np.testing.assert_allclose(ours["value"].to_numpy(), theirs["value"].to_numpy())


def test_shares_of_variance_by_hand() -> None:
    values = np.array([1.0, 2.0, 4.0, 8.0, 9.0, 13.0])
    wells = pl.DataFrame(
        {
            "Metadata_Plate": list("ppqqrr"),
            "Metadata_compound": list("ababab"),
            "Metadata_Well": ["A01"] * 6,
            "F": values,
        }
    )
    within = sum(((pair - pair.mean()) ** 2).sum() for pair in values.reshape(3, 2)) / (6 - 3)
    total = ((values - values.mean()) ** 2).sum() / (6 - 1)
    scores = score_steps([], level3=wells, label=None)
    assert scores.filter(score="plate_variance")["value"].item() == pytest.approx(1 - within / total)


def test_noise_reaches_the_baselines_only() -> None:
    """Chance is as given in the table: wells of a plate share its controls' noise, as the baselines show."""
    rng = np.random.default_rng(1)
    data = screen(features=400)
    values = pl.DataFrame(rng.normal(size=(data.height, 400)), schema=feature_columns(data))
    noise = data.select(pl.selectors.starts_with("Metadata_")).hstack(values)
    made = apply_recipe(noise, [{"operation": "normalize", "method": "standardize", "reference": "negcon"}])
    scores = score_steps(made)
    rows = {row["score"]: row for row in scores.iter_rows(named=True)}
    assert abs(rows["position_leakage"]["value"]) < 0.02
    assert rows["replicate_retrieval"]["value"] < -0.03
    assert rows["replicate_retrieval"]["value"] == pytest.approx(rows["replicate_retrieval"]["baseline"], abs=0.02)
    for name in ("plate_variance", "treatment_variance", "position_variance"):
        assert abs(rows[name]["value"]) < 0.1, name
    assert rows["control_retrieval"]["value"] > 0.05
    assert rows["control_retrieval"]["value"] == pytest.approx(rows["control_retrieval"]["baseline"], abs=0.03)
    assert rows["batch_mixing"]["value"] == pytest.approx(1, abs=0.25)


def test_reproducible_share_is_that_of_the_public_function() -> None:
    data = screen(plates=2)
    made = apply_recipe(data, RECIPE)
    row = score_steps(made, seed=3).filter(step="select", score="reproducible_share").row(0, named=True)
    treated = made[-1].frame.filter(Metadata_pert_type="trt")
    alone = replicate_reproducibility(treated, ["Metadata_compound"], metric="cosine", null_size=200, seed=3)
    assert (row["value"], row["n"]) == (alone.fraction, alone.n_groups)


def test_gaps_and_outliers_in_raw_features() -> None:
    data = screen()
    first, second, third = feature_columns(data)[:3]
    place = pl.int_range(pl.len())
    wild = data.with_columns(
        pl.when(place % 50 == 3).then(None).otherwise(first).alias(first),
        pl.when(place == 7).then(1e13).otherwise(second).alias(second),
        pl.when(place == 9).then(float("inf")).otherwise(third).alias(third),
        pl.lit(None, dtype=pl.Float64).alias("Cells_Nothing"),
        pl.lit(3.0).alias("Cells_Constant"),
    ).with_columns(
        pl.when(place == 11).then(None).otherwise(pl.col(name)).alias(name) for name in feature_columns(data)
    )
    scores = score_steps([], level3=wild)
    plain = score_steps([], level3=data)
    assert scores["value"].null_count() == 0
    assert scores.filter(score="replicate_retrieval")["value"].item() == pytest.approx(
        plain.filter(score="replicate_retrieval")["value"].item(), abs=0.05
    )


def test_only_features_in_their_own_units_are_scaled() -> None:
    data = screen()
    scaled = on_one_scale(data)
    first = feature_columns(data)[0]
    assert scaled[first].median() == pytest.approx(0, abs=1e-9)
    assert scaled[first].abs().median() == pytest.approx(1 / 1.4826)
    assert scaled.select(pl.selectors.starts_with("Metadata_")).equals(data.select(pl.selectors.starts_with("Meta")))
    normalized = apply_recipe(data, RECIPE)[1].frame
    assert on_one_scale(normalized) is normalized
    # A score of cosines must not hang on the units: another unit of a feature leaves raw scores alone.
    other = data.with_columns(pl.col(first) * 1e6)
    ours, theirs = (score_steps([], level3=frame)["value"] for frame in (data, other))
    np.testing.assert_allclose(ours.to_numpy(), theirs.to_numpy(), rtol=1e-5, atol=1e-6)


def test_a_single_mechanism_is_never_found_again() -> None:
    data = screen(plates=1).with_columns(Metadata_moa=pl.lit("the only one"))
    rows = score_steps(apply_recipe(data, RECIPE)[-1:]).filter(score="moa_consistency")
    assert rows.select("value", "reason").rows() == [
        (None, "all treated wells have the same Metadata_moa, so every neighbour has it")
    ]


def test_an_undefined_score_is_null_with_a_reason() -> None:
    data = screen(plates=1).drop("Metadata_moa")
    made = apply_recipe(data, [*RECIPE, {"operation": "consensus", "by": ["Metadata_compound"]}])
    scores = score_steps(made)
    assert scores.filter(pl.col("value").is_null() != pl.col("reason").is_not_null()).is_empty()
    why = {(row["step"], row["score"]): row["reason"] for row in scores.iter_rows(named=True)}
    assert "differ in Metadata_Plate" in why["select", "replicate_retrieval"]
    assert "at least two batches" in why["select", "batch_mixing"]
    assert "no position has different treatments" in why["select", "position_leakage"]
    assert why["select", "moa_consistency"] == "the profiles have no Metadata_moa"
    assert why["select", "control_retrieval"] is None
    assert "Metadata_Plate" not in made[-1].frame.columns or why["consensus", "replicate_retrieval"]
    assert "two usable wells" in why["consensus", "reproducible_share"]
    assert "several groups" in why["consensus", "treatment_variance"]
    assert score_steps(made, label=None)["reason"].str.contains("no column of mechanisms").sum() == 8
    nothing = [Result(data.select(pl.selectors.starts_with("Metadata_")), made[0].status, name="empty")]
    assert score_steps(nothing).filter(pl.col("score") != "n_features")["value"].null_count() == len(STEP_SCORES) - 1


def test_doses_are_treatments_but_no_neighbours_of_each_other() -> None:
    dose = pl.col("Metadata_Well").str.tail(1)
    data = screen().with_columns(
        Metadata_perturbation=pl.col("Metadata_compound") + "@" + dose,
        Metadata_moa=pl.when(Metadata_pert_type="trt").then("Metadata_compound"),
    )
    # Each compound is its own mechanism: a neighbour of the same compound would be always right.
    of = table(score_steps(apply_recipe(data, RECIPE), treatment=["Metadata_perturbation"]))
    assert of["moa_consistency"]["select"] == 0


def test_many_wells_are_drawn_by_plates_that_share_treatments() -> None:
    pairs = pl.concat(
        [
            screen(plates=2, seed=i).with_columns(pl.col("Metadata_Plate", "Metadata_compound") + f"-{i}")
            for i in range(5)
        ]
    )
    drawn = drawn_plates(pairs, ["Metadata_compound"], "Metadata_Plate", max_wells=400, seed=0)
    assert drawn is not None
    assert len(drawn) == 4
    assert len({name.split("-")[1] for name in drawn}) == 2
    assert drawn == drawn_plates(pairs, ["Metadata_compound"], "Metadata_Plate", max_wells=400, seed=0)
    seeds = [drawn_plates(pairs, ["Metadata_compound"], "Metadata_Plate", max_wells=400, seed=s) for s in range(9)]
    assert len({tuple(sorted(names)) for names in seeds if names}) > 1
    assert drawn_plates(pairs, ["Metadata_compound"], "Metadata_Plate", max_wells=960, seed=0) is None
    assert len(drawn_plates(pairs, ["Metadata_compound"], "Metadata_Plate", max_wells=50, seed=0) or []) == 1
    scores = score_steps([], level3=pairs, max_wells=400)
    assert scores.filter(score="position_variance")["n"].item() == 384
    assert scores.filter(score="n_features")["value"].item() == 20
    assert scores.equals(score_steps([], level3=pairs, max_wells=400))


def test_wrong_use() -> None:
    with pytest.raises(UsageError, match="neither"):
        score_steps([])
    with pytest.raises(UnknownNameError, match="Metadata_drug"):
        score_steps([], level3=screen(plates=1), treatment=["Metadata_drug"])
    with pytest.raises(UnknownNameError, match="Metadata_Lot"):
        score_steps([], level3=screen(plates=1), batch="Metadata_Lot")
    with pytest.raises(UsageError, match="max_wells"):
        score_steps([], level3=screen(plates=1), max_wells=1)
