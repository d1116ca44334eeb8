"""Agreement of replicates with random groups of wells of the same plates, on screens whose answer is known."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from phenoprint.evaluation import activity_beside_baselines, replicate_agreement, replicate_reproducibility
from phenoprint.profiles import apply_recipe, cross_fit
from phenoprint.simulation import simulate_profiles

COUNT = "Metadata_Object_Count"


def profiles(design: str = "null", **changes: object) -> pl.DataFrame:
    simulated = simulate_profiles(design, **{"n_features": 60, "n_compounds": 40, "n_controls": 16, **changes})
    return apply_recipe(simulated.wells)[-1].frame


def shares(score: pl.DataFrame) -> dict[str, float]:
    return dict(score.select("baseline", "value").iter_rows())


def test_replicates_are_scored_beside_baselines() -> None:
    agreement, null, score = replicate_agreement(profiles("mechanism"), count=COUNT)
    found = shares(score)
    assert found["none"] == agreement["is_reproducible"].mean()
    assert found["none"] > 0.4
    assert max(found["cell_count"], found["plate"], found["well_position"], found["shuffled_labels"]) < 0.2
    assert set(score["score"]) == {"replicates_reproducible"}
    assert {4} <= set(null["n_replicates"])
    threshold = agreement.filter(pl.col("n_replicates") == 4)["threshold"][0]
    assert threshold == pytest.approx(null.filter(n_replicates=4)["median_similarity"].quantile(0.95, "linear"))


def test_inert_treatments_replicate_at_the_rate_of_the_null() -> None:
    found = replicate_agreement(profiles(layout="random", n_compounds=200))[0]
    assert found["is_reproducible"].mean() == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 200))


def test_differences_between_plates_are_not_agreement() -> None:
    """Two sets of plates that differ: random groups over all plates would make every treatment replicate."""
    wells = profiles(n_plates=4, n_replicates=2, n_compounds=80, layout="random")
    last = pl.col("Metadata_Plate").is_in(["SIM-P03", "SIM-P04"]).cast(pl.Float32)
    shifted = wells.with_columns(pl.col("^[A-Z].*_.*$").exclude("^Metadata_.*$") + 3 * last)
    plain = replicate_reproducibility(shifted.filter(pl.col("Metadata_pert_type") == "trt"), ["Metadata_perturbation"])
    matched, _, _ = replicate_agreement(shifted)
    assert plain.groups["median_similarity"].median() > plain.null["median_similarity"].median() + 0.01
    assert matched["is_reproducible"].mean() < 0.15


def test_position_is_not_agreement() -> None:
    """Four plates of one layout with position effects and no treatment effect."""
    wells = simulate_profiles("position", n_features=60, n_compounds=60, n_controls=16).wells
    whole = apply_recipe(wells)[-1].frame
    active, _ = activity_beside_baselines(cross_fit(wells), count=COUNT, null_size=500)
    naive = replicate_agreement(whole)[0]["is_reproducible"].mean()
    found, _, score = replicate_agreement(whole, active=active, count=COUNT)
    assert naive > 0.5
    assert found["is_reproducible"].mean() <= 0.15
    assert shares(score)["well_position"] <= 0.2


def test_too_few_treatments_have_no_rows() -> None:
    wells = profiles(n_compounds=1)
    assert [table.height for table in replicate_agreement(wells)] == [0, 0, 0]


def test_pairs_and_random_groups_follow_their_columns() -> None:
    """Two wells of each treatment on each of two plates; only pairs between plates count, as in random groups."""
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "Metadata_t": [f"t{i:02d}" for i in range(30) for _ in range(4)],
            "Metadata_Plate": ["p", "p", "q", "q"] * 30,
        }
    ).hstack(pl.DataFrame(rng.normal(size=(120, 8)), schema=list("abcdefgh")))
    found = replicate_reproducibility(
        frame, ["Metadata_t"], pos_diffby=["Metadata_Plate"], null_sameby=["Metadata_Plate"], null_size=200
    )
    x = frame.filter(Metadata_t="t03").select(pl.exclude("^Metadata_.*$")).to_numpy()
    expected = np.median([np.corrcoef(x[i], x[j])[0, 1] for i in (0, 1) for j in (2, 3)])
    assert found.groups.filter(Metadata_t="t03")["median_similarity"].item() == pytest.approx(expected, rel=1e-5)
    one_plate = frame.filter(Metadata_Plate="p")
    alone = replicate_reproducibility(one_plate, ["Metadata_t"], pos_diffby=["Metadata_Plate"])
    assert alone.groups["median_similarity"].null_count() == 30
    assert alone.n_groups == 0
