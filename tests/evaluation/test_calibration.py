"""Controls taken as treatments: whether p values of activity hold in a screen."""

from __future__ import annotations

import polars as pl
import pytest
from scipy.stats import beta

from phenoprint.evaluation import calibration, calibration_plates
from phenoprint.evaluation.calibration import typical_pattern
from phenoprint.simulation import simulate_profiles


def table_of(design: str = "null", recipe: str = "phenoprint", **changes: object) -> pl.DataFrame:
    wells = simulate_profiles(design, **{"n_features": 30, "n_compounds": 12, "n_controls": 24, **changes}).wells
    return calibration(wells.partition_by("Metadata_Plate"), recipe, null_size=300)


def test_p_values_hold_for_controls_in_random_and_in_one_position() -> None:
    found = table_of()
    assert found.select("variant", "n", "n_replicates", "n_plates", "cross_fitted", "status").rows() == [
        ("random", 24, 4, 4, True, "ok"),
        ("same position", 24, 4, 4, True, "ok"),
        ("in sample", 24, 4, 4, False, "ok"),
    ]
    assert found["position_share"].null_count() == 3  # replicates are not alike
    for row in found.iter_rows(named=True):
        k, n = round(row["below_20"] * row["n"]), row["n"]
        assert row["below_20_high"] == pytest.approx(beta.ppf(0.975, k + 1, n - k))  # Clopper and Pearson


def test_a_recipe_fitted_on_the_negatives_is_off() -> None:
    """Sphering of a single plate, and half of the groups of controls look active without cross-fitting."""
    design = {"n_plates": 1, "n_replicates": 3, "n_controls": 64, "n_features": 40, "n_compounds": 30}
    found = table_of(recipe="phenoprint-sphering", **design)
    rows = {row["variant"]: row for row in found.iter_rows(named=True)}
    assert rows["random"]["status"] == "ok"
    assert rows["in sample"]["status"] == "off"
    assert rows["in sample"]["below_05"] > 2 * rows["random"]["below_05"]
    assert "of the groups have p < 0.05" in rows["in sample"]["reason"]


def test_position_effects_are_seen_among_controls() -> None:
    found = table_of("position")
    assert found["position_p_value"].max() < 0.05
    assert found["position_share"].min() > 0.8
    plain = table_of("mechanism", n_compounds=24)
    assert plain["position_share"].max() < 0.3
    assert set(found.filter("cross_fitted")["status"]) == {"ok"}


@pytest.mark.parametrize(
    ("changes", "status"),
    [({"n_controls": 3}, "too few controls"), ({"n_replicates": 1, "n_plates": 1}, "no replicates")],
)
def test_what_cannot_be_calibrated_has_a_status(changes: dict[str, object], status: str) -> None:
    found = table_of(**changes)
    assert found.select("variant", "n", "status").rows() == [("random", 0, status)]
    assert found["below_05"].null_count() == 1
    assert found["reason"][0]


def test_groups_have_the_pattern_of_the_treatments() -> None:
    wells = simulate_profiles("null", n_plates=4, n_replicates=2, n_compounds=20, n_features=30).wells
    assert typical_pattern(wells) == (2, [("SIM-P01", "SIM-P02"), ("SIM-P03", "SIM-P04")])
    assert calibration_plates(wells) == ["SIM-P01", "SIM-P02", "SIM-P03", "SIM-P04"]
