"""Compounds and their Hill curves."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phenoprint.simulation import (
    compound_truth,
    demo_design,
    draw_field,
    hill_effect,
    layout,
    tiny_design,
    well_truth,
)


@given(
    st.floats(1e-6, 1e6),
    st.floats(1e-3, 1e3),
    st.floats(0.3, 6.0),
    st.floats(0.0, 1.0),
    st.floats(1.0, 100.0),
)
def test_effect_rises_with_dose_up_to_emax(dose: float, ec50: float, slope: float, emax: float, by: float) -> None:
    low = hill_effect(dose, ec50_um=ec50, hill_slope=slope, emax=emax)
    high = hill_effect(dose * by, ec50_um=ec50, hill_slope=slope, emax=emax)
    assert 0 <= low <= high <= emax


def test_hill_values() -> None:
    doses = np.array([0.0, 3.0, 9.0])
    effects = hill_effect(doses, ec50_um=3.0, hill_slope=2.0, emax=0.8)
    np.testing.assert_allclose(effects, [0.0, 0.4, 0.8 * 0.9])


def test_library_is_complete_and_anonymous() -> None:
    design = demo_design()
    truth = compound_truth(design)
    assert truth["Metadata_compound"].n_unique() == truth.height
    per_mechanism = truth.filter(pl.col("Metadata_pert_type") == "trt").group_by("mechanism").len()
    counts = dict(per_mechanism.iter_rows())
    assert counts.pop(None) == design.n_inert
    two = [name for name in counts if "|" in name]
    assert sum(counts.pop(name) for name in two) == design.n_two_mechanisms
    assert set(counts.values()) == {design.compounds_per_mechanism}
    # The numbers in the names do not depend on the mechanism.
    tested = truth.filter(pl.col("Metadata_pert_type") == "trt")["Metadata_compound"].to_list()
    assert tested != sorted(tested)


def test_potencies_differ_within_a_mechanism() -> None:
    truth = compound_truth(demo_design()).filter(pl.col("Metadata_pert_type") == "trt")
    spread = (
        truth.filter(pl.col("mechanism").is_in(demo_design().mechanisms))
        .group_by("mechanism")
        .agg(pl.col("ec50_um").max() / pl.col("ec50_um").min())
    )
    assert spread["ec50_um"].to_numpy().min() > 1.02
    assert np.median(spread["ec50_um"]) > 2.5


def test_inert_compounds_have_no_effect() -> None:
    truth = well_truth(demo_design())
    assert truth.filter(pl.col("mechanism").is_null())["effect"].max() == 0
    assert truth.filter(pl.col("mechanism").is_not_null())["effect"].min() > 0  # type: ignore[operator]


@pytest.mark.parametrize("seed", [0, 11])
def test_well_truth_agrees_with_the_plate_map(seed: int) -> None:
    design = tiny_design(seed=seed)
    keys = ["Metadata_Plate", "Metadata_Well"]
    both = layout(design).join(well_truth(design), on=keys, how="full", coalesce=True)
    assert both.height == 24
    assert both["Metadata_compound"].equals(both["Metadata_compound_right"], null_equal=True)
    assert both["Metadata_moa"].equals(both["mechanism"], null_equal=True)
    strongest = both.group_by("Metadata_pert_type").agg(pl.col("effect").min())
    assert dict(strongest.iter_rows())["poscon"] > 0.9


def test_half_of_the_demo_is_inert_and_a_few_compounds_are_special() -> None:
    truth = compound_truth(demo_design()).filter(Metadata_pert_type="trt")
    assert (truth["is_inert"].sum(), truth["mechanism"].str.contains("|", literal=True).sum()) == (9, 1)
    assert truth["toxic_um"].is_not_null().sum() == 3
    assert truth.filter("is_inert")["toxic_um"].null_count() == 9
    emax = truth.filter(~pl.col("is_inert"))["emax"].to_numpy()
    assert 0.25 <= emax.min() < 0.5 < emax.max() <= 1


def test_cytotoxic_compounds_kill_cells_only_near_the_top_dose() -> None:
    design = demo_design()
    toxic = compound_truth(design).drop_nulls("toxic_um")["Metadata_compound"]
    wells = well_truth(design).filter(pl.col("Metadata_compound").is_in(toxic.to_list()))
    by_dose = dict(wells.group_by("Metadata_Concentration").agg(pl.col("toxicity").mean()).iter_rows())
    assert by_dose[24.3] > 0.7
    assert by_dose[2.7] < 0.1
    top = wells.filter(Metadata_Concentration=24.3)["Metadata_Well"]
    control = layout(design).filter(Metadata_pert_type="negcon")["Metadata_Well"][:8]
    cells = [np.mean([draw_field(design, "SIM-P01", w).cells_truth.height for w in some]) for some in (top, control)]
    assert cells[0] < 0.6 * cells[1]


def test_the_null_designs_have_no_effect() -> None:
    for kind in ("null", "position", "batch"):
        design = demo_design(n_plates=2, kind=kind)
        assert well_truth(design).filter(pl.col("Metadata_compound").str.contains(r"^PHN-\d"))["effect"].max() == 0
        maps = layout(design).partition_by("Metadata_Plate", include_key=False)
        same = maps[0]["Metadata_compound"].equals(maps[1]["Metadata_compound"], null_equal=True)
        assert same == (kind == "position")
