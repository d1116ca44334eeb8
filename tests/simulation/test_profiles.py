"""Simulated well profiles without images: what was asked for is in them."""

from __future__ import annotations

import time

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.simulation import PROFILE_DESIGNS, ProfileDesign, simulate_profiles

FEATURES = pl.exclude("^Metadata_.*$")


def standard(frame: pl.DataFrame, reference: pl.Expr) -> NDArray[np.float64]:
    """Features of all rows in standard deviations of the reference rows."""
    fitted = frame.filter(reference).select(FEATURES).to_numpy().astype(float)
    return np.asarray((frame.select(FEATURES).to_numpy() - fitted.mean(axis=0)) / fitted.std(axis=0))


def cosines(frame: pl.DataFrame) -> NDArray[np.float64]:
    vectors = frame.select(FEATURES).to_numpy()
    return np.asarray(vectors @ vectors.T)


@pytest.mark.parametrize("name", list(PROFILE_DESIGNS))
def test_every_design_has_one_row_per_well_and_the_replicates_it_states(name: str) -> None:
    simulated = simulate_profiles(name, n_features=40)
    wells = simulated.wells
    assert wells.select("Metadata_Plate", "Metadata_Well").is_unique().all()
    counts = wells.filter(Metadata_pert_type="trt").group_by("Metadata_perturbation").len()
    assert counts["len"].unique().to_list() == [PROFILE_DESIGNS[name].n_replicates]
    joined = wells.join(simulated.truth, on="Metadata_perturbation", how="anti")
    assert joined.is_empty()


def test_the_same_seed_gives_the_same_profiles() -> None:
    first, again, other = (simulate_profiles("mechanism", n_features=30, seed=seed) for seed in (1, 1, 2))
    assert first.wells.equals(again.wells)
    assert not first.wells.equals(other.wells)


def test_ten_plates_take_less_than_a_second() -> None:
    begun = time.process_time()
    simulated = simulate_profiles("null", n_plates=10, n_replicates=5)
    assert time.process_time() - begun < 1
    assert simulated.wells.shape == (3840, 310)


def test_layouts_repeat_only_where_they_should() -> None:
    key = ["Metadata_perturbation", "Metadata_Well"]
    treated = {
        layout: simulate_profiles("null", layout=layout, n_features=30).wells.filter(Metadata_pert_type="trt")
        for layout in ("same", "random")
    }
    assert treated["same"].select(key).n_unique() == 352
    assert treated["random"].select(key).n_unique() > 1300


def test_noise_has_the_effective_dimension_and_tails_of_the_design() -> None:
    wide = {"n_plates": 2, "n_replicates": 1, "plate_format": 1536, "plate_error": 0.0, "effective_dimension": 15.0}
    x = standard(simulate_profiles("null", n_features=200, **wide).wells, pl.lit(True))
    values = np.linalg.eigvalsh(np.cov(x.T))
    assert values.sum() ** 2 / (values**2).sum() == pytest.approx(15, rel=0.25)
    lengths = np.linalg.norm(x, axis=1)
    heavy = standard(simulate_profiles("null", n_features=200, tail_df=3.0, **wide).wells, pl.lit(True))
    assert np.linalg.norm(heavy, axis=1).max() > 2 * lengths.max()


def test_effects_have_the_lengths_and_directions_of_the_truth() -> None:
    simulated = simulate_profiles(
        "mechanism", n_plates=4, n_replicates=32, n_compounds=36, n_controls=64, plate_error=0.0, fidelity=0.95, seed=3
    )
    x = standard(simulated.wells, pl.col("Metadata_pert_type") == "negcon")
    about = simulated.wells.select("Metadata_perturbation")
    rows = simulated.truth.filter(Metadata_pert_type="trt", is_active=True)
    inert = simulated.truth.filter(Metadata_pert_type="trt", is_active=False)
    assert (rows.height, inert.height) == (18, 18)
    directions = dict(
        zip(simulated.directions["Metadata_compound"], simulated.directions.select(FEATURES).rows(), strict=True)
    )
    for row in rows.iter_rows(named=True):
        shift = x[(about["Metadata_perturbation"] == row["Metadata_perturbation"]).to_numpy()].mean(axis=0)
        assert shift @ np.array(directions[row["Metadata_compound"]]) / np.sqrt(300) == pytest.approx(
            row["effect"], abs=0.2
        )
    for name in inert["Metadata_perturbation"]:
        shift = x[(about["Metadata_perturbation"] == name).to_numpy()].mean(axis=0)
        assert np.linalg.norm(shift) / np.sqrt(300) < 0.4  # the mean of 32 wells and of 256 controls


def test_mechanisms_have_the_cosines_of_the_design() -> None:
    pure = {"fidelity": 1.0, "n_compounds": 24, "n_replicates": 4, "share_inert": 0.0, "share_two_mechanisms": 0.0}
    pairs = cosines(simulate_profiles("mechanism", **pure).directions[:12])
    expected = np.eye(12)
    for index, value in enumerate(np.linspace(0.3, 0.9, 6)):
        expected[2 * index, 2 * index + 1] = expected[2 * index + 1, 2 * index] = value
    np.testing.assert_allclose(pairs, expected, atol=1e-9)
    equal = cosines(simulate_profiles("mechanism", mechanism_cosine=0.5, **pure).directions[:12])
    np.testing.assert_allclose(equal, 0.5 + 0.5 * np.eye(12), atol=1e-9)


def test_compounds_of_two_mechanisms_have_both_labels_and_resemble_both() -> None:
    simulated = simulate_profiles("mechanism", share_two_mechanisms=0.5, share_unlabelled=0.25, fidelity=1.0)
    truth = simulated.truth.filter(Metadata_pert_type="trt", is_active=True)
    both = truth["mechanism"].str.contains("|", literal=True)
    assert both.sum() == 24
    assert truth["Metadata_moa"].null_count() == 12
    assert truth["mechanism"].null_count() == 0
    similar = cosines(simulated.directions)[both.to_numpy().nonzero()[0][0]]
    first, second = truth.filter(both)["mechanism"][0].split("|")
    for name in (first, second):
        alone = (truth["mechanism"] == name).to_numpy().nonzero()[0]
        assert similar[alone].max() > 0.65


def test_dose_curves_rise_and_cytotoxic_compounds_lose_cells_at_the_top() -> None:
    truth = simulate_profiles("dose", n_features=40, seed=2).truth.filter(Metadata_pert_type="trt")
    for _, rows in truth.sort("Metadata_Concentration").group_by("Metadata_compound"):
        assert rows.height == 8
        assert rows["survival"].is_sorted(descending=True)
    top = truth.filter(pl.col("Metadata_Concentration") == pl.col("Metadata_Concentration").max())
    assert (top["survival"] < 0.8).sum() == 6
    assert (truth.filter(pl.col("Metadata_Concentration") < 0.1)["survival"] > 0.99).all()
    assert truth["ec50_um"].drop_nulls().is_between(0.03, 30).all()
    assert truth.filter(pl.col("emax") == 0)["ec50_um"].null_count() == 20 * 8


def test_position_effects_are_the_same_on_all_plates_and_as_large_as_asked() -> None:
    quiet, loud = (
        standard(
            simulate_profiles("position", position_effect=size, plate_error=0.0, seed=4).wells.sort("Metadata_Well"),
            pl.lit(True),
        ).reshape(384, 4, 300)
        for size in (0.0, 1.0)
    )
    # Part of the variance that wells of one position share, over four plates.
    shared = [
        (x.mean(axis=1).var(axis=0).mean() - x.var(axis=1, ddof=1).mean() / 4) / x.var(axis=(0, 1)).mean()
        for x in (quiet, loud)
    ]
    np.testing.assert_allclose(shared, [0.0, 0.5], atol=0.04)


def test_batches_and_plates_shift_all_their_wells() -> None:
    wells = simulate_profiles("batch", seed=5).wells
    x = standard(wells, pl.lit(True))
    apart = {
        name: [x[(wells[name] == value).to_numpy()].mean(axis=0) for value in wells[name].unique().sort()]
        for name in ("Metadata_Batch", "Metadata_Plate")
    }
    assert len(apart["Metadata_Batch"]) == 2
    between = np.linalg.norm(np.subtract(*apart["Metadata_Batch"]))
    within = np.linalg.norm(apart["Metadata_Plate"][0] - apart["Metadata_Plate"][1])
    assert between > 2 * within > 0
    compounds = (
        wells.filter(Metadata_pert_type="trt").group_by("Metadata_compound").agg(pl.col("Metadata_Batch").n_unique())
    )
    assert compounds["Metadata_Batch"].unique().to_list() == [1]


def test_missing_values_are_null_and_damaged_wells_lack_half_of_the_features() -> None:
    wells = simulate_profiles("null", n_features=50, missing=0.01, n_damaged=2, seed=6).wells
    lacking = wells.select(FEATURES).null_count().sum_horizontal().item() / (wells.height * 50)
    assert lacking == pytest.approx(0.01, abs=0.003)
    per_well = wells.select(pl.sum_horizontal(FEATURES.is_null()))
    assert (per_well.to_series() >= 25).sum() == 2
    assert not wells.select(pl.any_horizontal(FEATURES.is_nan()).any()).item()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_plates": 3, "n_replicates": 2}, "multiple"),
        ({"n_compounds": 500}, "room for 352"),
        ({"effect_size": (2.0, 1.0)}, "the smaller first"),
        ({"share_inert": 1.5}, "between 0 and 1"),
        ({"mechanism_cosine": 1.0}, "below 1"),
        ({"n_batches": 9}, "at most"),
    ],
)
def test_impossible_designs_are_refused_with_the_reason(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        simulate_profiles("null", **changes)


def test_unknown_names_are_named() -> None:
    with pytest.raises(UnknownNameError, match="mechanism"):
        simulate_profiles("mechanisms")
    with pytest.raises(UnknownNameError, match="n_plates"):
        simulate_profiles(n_plate=3)
    assert isinstance(ProfileDesign(), ProfileDesign)
