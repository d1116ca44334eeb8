"""Activity beside what needs no morphology, on screens whose answer is known."""

from __future__ import annotations

import polars as pl
import pytest

from phenoprint.evaluation import activity_beside_baselines
from phenoprint.evaluation.activity_baselines import shuffled_treatments
from phenoprint.profiles import cross_fit
from phenoprint.simulation import simulate_profiles

COUNT = "Metadata_Object_Count"


def shares(scores: pl.DataFrame) -> dict[str, float]:
    assert scores["score"].unique().to_list() == ["active"]
    return dict(scores.select("baseline", "value").iter_rows())


def test_phenotypes_are_found_by_profiles_and_not_by_baselines() -> None:
    folds = cross_fit(simulate_profiles("mechanism", n_features=60, n_compounds=40, n_controls=16).wells)
    tables, scores = activity_beside_baselines(folds, count=COUNT, null_size=1000)
    table, found = tables["none"], shares(scores)
    assert found["none"] > 0.3
    assert max(found[name] for name in ("cell_count", "well_position", "plate", "shuffled_labels")) < 0.1
    profiles = scores.filter(baseline="none").row(0, named=True)
    assert 0 < profiles["gain_low"] < profiles["gain"] < profiles["gain_high"]
    assert (profiles["n"], profiles["n_total"]) == (table["p_value"].count(), table.height)


def test_position_alone_makes_no_treatment_active() -> None:
    """In one layout on all plates replicates share their position: so do the controls that they are judged against."""
    folds = cross_fit(simulate_profiles("null", n_features=30, n_compounds=20, n_controls=16).wells)
    _, scores = activity_beside_baselines(folds, count=COUNT, null_size=500)
    assert shares(scores) == pytest.approx(dict.fromkeys(shares(scores), 0.0), abs=0.06)


def test_toxicity_without_another_phenotype_is_a_status() -> None:
    """Profiles that differ with density only, in wells with fewer cells."""
    wells = simulate_profiles(
        "dose", n_compounds=12, n_doses=3, n_features=60, n_controls=16, density_effect=2.0, share_cytotoxic=0.6,
        effect_size=(0.1, 0.3),
    ).wells  # fmt: skip
    tables, _ = activity_beside_baselines(cross_fit(wells), count=COUNT, null_size=1000)
    active = tables["none"].filter("below_corrected_p", Metadata_pert_type="trt")
    assert active.height > 1
    assert set(active["status"]) == {"active only by cell count"}


def test_wells_without_cell_counts_have_no_such_baseline() -> None:
    folds = cross_fit(simulate_profiles("null", n_features=30, n_compounds=10, n_controls=8).wells.drop(COUNT))
    _, scores = activity_beside_baselines(folds, count=COUNT, null_size=200)
    assert "cell_count" not in shares(scores)


def test_shuffled_treatments_stay_on_their_plates() -> None:
    folds = cross_fit(simulate_profiles("null", n_plates=2, n_replicates=2, n_features=30, n_compounds=10).wells)
    shuffled = shuffled_treatments(folds)
    for before, after in zip(folds, shuffled, strict=True):
        counts = [
            frame.group_by("Metadata_Plate", "Metadata_perturbation").len().sort(pl.all()) for frame in (before, after)
        ]
        assert counts[0].equals(counts[1])
        assert not before["Metadata_perturbation"].equals(after["Metadata_perturbation"])
        treated = pl.col("Metadata_pert_type") != "negcon"
        keys = ["Metadata_Plate", "Metadata_Well"]
        assert (
            after.filter(treated)
            .sort(keys)["Metadata_perturbation"]
            .equals(shuffled[0].filter(treated).sort(keys)["Metadata_perturbation"])
        )
