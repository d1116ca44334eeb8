"""The comparison of recipes: the right one wins, held-out plates do not decide, failures are reported."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import UsageError
from phenoprint.evaluation import SCORES, compare
from phenoprint.evaluation.comparison import apply_held_out
from phenoprint.profiles import apply_recipe, fit_normalization
from phenoprint.simulation import simulate_profiles
from phenoprint.tables import feature_columns

RAW = [{"operation": "select", "operations": ["drop_na_columns"]}]
PLAIN = [{"operation": "normalize", "method": "standardize", "reference": "all"}]
SPHERED = [
    *PLAIN,
    {"operation": "normalize", "name": "sphering", "method": "sphering", "by": [], "reference": "negcon"},
]


def screen(*, plates: int = 8, seed: int = 0) -> pl.DataFrame:
    """Treatments with a small effect under large plate effects; four mechanisms."""
    rng = np.random.default_rng(seed)
    moa = rng.normal(size=(4, 15))
    effect = moa[np.arange(12) % 4] * 1.5 + rng.normal(size=(12, 15)) * 0.6
    frames = []
    for plate in range(plates):
        treatment = rng.permutation(np.concatenate([np.repeat(-1, 24), np.arange(12), np.arange(12)]))
        values = rng.normal(size=(48, 15)) + np.where(treatment[:, None] >= 0, effect[treatment], 0)
        values = values * np.exp(rng.normal(size=15)) + rng.normal(size=15) * 20
        frames.append(
            pl.DataFrame(values, schema=[f"Cells_F{i}" for i in range(15)]).select(
                pl.lit(f"p{plate}").alias("Metadata_Plate"),
                pl.Series("Metadata_Well", [f"{'ABCD'[i // 12]}{i % 12 + 1:02d}" for i in range(48)]),
                pl.Series("Metadata_pert_type", np.where(treatment < 0, "negcon", "trt")),
                pl.Series("Metadata_compound", [f"c{t}" if t >= 0 else "DMSO" for t in treatment]),
                pl.Series("Metadata_moa", [f"m{t % 4}" if t >= 0 else None for t in treatment], dtype=pl.String),
                pl.all(),
            )
        )
    return pl.concat(frames)


def test_normalization_beats_none() -> None:
    found = compare(screen(), {"raw": RAW, "plain": PLAIN, "sphered": SPHERED})
    summary = {row["recipe"]: row for row in found.summary.to_dicts()}
    assert summary["plain"]["replicate_retrieval"] > 0.3 > summary["raw"]["replicate_retrieval"]
    assert summary["plain"]["batch_mixing"] > 0.8
    assert summary["raw"]["batch_mixing"] < 0.3
    assert summary["plain"]["moa_consistency"] > 0.7
    assert abs(summary["plain"]["position_leakage"]) < 0.1
    assert found.summary["recipe"][-1] == "raw"
    best = found.summary.row(0, named=True)
    assert str(found) == (
        f"compare(replicate_retrieval): {best['recipe']} = {best['replicate_retrieval']:.3f} held out, "
        "best of 3 recipes over 2 folds"
    )
    assert found.scores.height == 3 * 2 * 2
    assert found.scores.filter(part="train")["n_plates"].to_list() == [4] * 6
    assert found.scores["error"].null_count() == found.scores.height
    assert set(found.choices["recipe"]) <= {"plain", "sphered"}
    held = found.scores.filter(part="held_out", fold=0, recipe=found.choices["recipe"][0])
    assert found.choices["replicate_retrieval"][0] == held["replicate_retrieval"].item()
    assert set(SCORES) <= set(found.choices.columns)


def test_the_same_seed_gives_the_same_and_folds_cover_all_plates() -> None:
    data = screen()
    first = compare(data, {"plain": PLAIN}, folds=4)
    assert first.scores.equals(compare(data, {"plain": PLAIN}, folds=4).scores)
    assert first.scores.filter(part="held_out")["n_plates"].sum() == 8
    batches = data.with_columns(Metadata_Batch=pl.col("Metadata_Plate").str.tail(1).cast(pl.Int32) % 2)
    by_batch = compare(batches.cast({"Metadata_Batch": pl.String}), {"plain": PLAIN}, leave_out="Metadata_Batch")
    assert by_batch.scores.filter(part="held_out")["n_plates"].to_list() == [4, 4]


def test_held_out_plates_do_not_affect_the_fit() -> None:
    """Whatever the held-out plates hold, the training profiles and the learned parts stay the same."""
    data = screen()
    train, held = (data.filter(pl.col("Metadata_Plate").is_in(names)) for names in (["p0", "p1", "p2"], ["p3", "p4"]))
    wild = held.with_columns(pl.col(feature_columns(held)) ** 3)
    recipe = [*SPHERED, {"operation": "select", "operations": ["correlation_threshold"], "correlation": 0.1}]
    first, second = apply_held_out(train, held, recipe)
    again, other = apply_held_out(train, wild, recipe)
    assert first.equals(again)
    assert feature_columns(first) == feature_columns(second) == feature_columns(other)
    assert not second.equals(other)
    # A sphering over all plates is that of the training plates.
    control = pl.col("Metadata_pert_type") == "negcon"
    before, there = (apply_recipe(part, PLAIN)[-1].frame for part in (train, held))
    learned = fit_normalization(before, "sphering", [], reference=control)
    assert apply_held_out(train, held, SPHERED)[1].equals(learned.apply(there))
    # Steps within a plate are the plate's own: the same as applied alone.
    alone = apply_recipe(held, PLAIN)[-1].frame
    assert apply_held_out(train, held, PLAIN)[1].equals(alone)


def test_a_recipe_that_fails_is_reported_and_the_others_continue() -> None:
    broken = [{"operation": "correct_count"}]
    found = compare(screen(), {"plain": PLAIN, "broken": broken})
    rows = found.scores.filter(recipe="broken")
    assert rows["replicate_retrieval"].null_count() == rows.height
    assert all("Metadata_Object_Count" in text for text in rows["error"])
    assert found.summary["recipe"].to_list() == ["plain", "broken"]
    assert found.choices["recipe"].to_list() == ["plain", "plain"]


@pytest.mark.parametrize(("n_replicates", "is_fair"), [(8, True), (4, False)])
def test_wells_in_the_same_position_are_no_replicates_where_there_are_others(n_replicates: int, is_fair: bool) -> None:
    """Without any effect of treatments, position retrieves them only where each has one position on all plates."""
    design = {"n_plates": 4, "plate_format": 96, "n_controls": 16, "n_features": 40, "position_effect": 2.0}
    wells = simulate_profiles("position", seed=3, n_replicates=n_replicates, **design).wells
    found = compare(wells, {"plain": PLAIN}, treatment=["Metadata_perturbation"], label=None)
    assert (found.summary["replicate_retrieval"].item() < 0.1) is is_fair


def test_wrong_use() -> None:
    with pytest.raises(UsageError, match="different names"):
        compare(screen(), [PLAIN, RAW])
    with pytest.raises(UsageError, match="criterion"):
        compare(screen(), {"plain": PLAIN}, criterion="beauty")
    with pytest.raises(UsageError, match="folds"):
        compare(screen(plates=2), {"plain": PLAIN}, folds=3)
