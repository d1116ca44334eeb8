"""The step that ranks treatments."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from phenoprint.errors import ConfigError
from phenoprint.pipeline.config import ScreenConfig, parse_config
from phenoprint.pipeline.context import Context
from phenoprint.pipeline.steps import Outcome, Unit
from phenoprint.pipeline.steps.hits import FindHits
from phenoprint.pipeline.wellprofiles import fold_part
from phenoprint.profiles import cross_fit_with_status
from phenoprint.simulation import simulate_profiles
from phenoprint.store import Screen
from phenoprint.tables import conform

STANDARD = [{"operation": "normalize", "method": "mad_robust", "by": ["Metadata_Plate"], "reference": "negcon"}]


def find(folder: Path, *, toml: str = "", held_out: bool = True) -> Outcome:
    """Run the step on a simulated screen of two plates, one treatment of which lost all its cells."""
    simulated = simulate_profiles(
        "mechanism", layout="random", n_plates=2, n_replicates=2, n_compounds=8, n_controls=24, n_positive=0,
        n_features=24, n_mechanisms=4, effect_size=(4.0, 4.0), seed=3,
    )  # fmt: skip
    fitted = cross_fit_with_status(simulated.wells, STANDARD)
    screen = Screen(folder)
    for fold, frame in enumerate(fitted.folds):
        for (plate,), own in frame.group_by("Metadata_Plate"):
            screen.write("profile_cross_fitted", conform(own, "profile_cross_fitted"), str(plate), part=fold_part(fold))
    status = fitted.status.with_columns(cross_fitted=pl.lit(held_out))
    screen.write("cross_fit", status)
    dead = pl.DataFrame(
        {
            "Metadata_Plate": ["SIM-P01", "SIM-P02"],
            "Metadata_Well": ["P24", "P24"],
            "Metadata_pert_type": ["trt"] * 2,
            "Metadata_perturbation": ["poison@1 uM"] * 2,
            "Metadata_compound": ["poison"] * 2,
        }
    )
    wells = simulated.wells.select(pl.col("^Metadata_.*$")).filter(~pl.col("Metadata_Well").eq("P24"))
    annotated = pl.concat([wells, dead], how="diagonal").with_columns(
        has_images=pl.lit(True), is_annotated=pl.lit(True)
    )
    for (plate,), own in annotated.group_by("Metadata_Plate"):
        screen.write("well", conform(own, "well"), str(plate))
    config = parse_config(f'screen.name = "screen"\nevaluation.null_size = 500\n{toml}')
    return FindHits().run(Unit(), Context(folder, config, folder, ()))


def test_every_treatment_is_ranked_those_without_a_profile_too(tmp_path: Path) -> None:
    outcome = find(tmp_path)
    table = outcome.tables["hit"]
    assert table["rank"].to_list() == list(range(1, 10))
    assert table["is_hit"].sum() == 4
    lost = table.filter(Metadata_perturbation="poison@1 uM").row(0, named=True)
    assert (lost["status"], lost["is_hit"], lost["n_wells"], lost["Metadata_compound"]) == (
        "no profile",
        None,
        0,
        "poison",
    )
    assert table.filter(status="hit")["toxicity"].unique().to_list() == ["not toxic"]
    assert table["is_cross_fitted"].all()
    assert outcome.ledger is not None
    assert outcome.ledger["n_in"].sum() == 16


def test_the_limits_are_those_of_the_configuration(tmp_path: Path) -> None:
    table = find(tmp_path, toml='hits.min_effect = 100\nhits.distance = "energy"').tables["hit"]
    assert table["is_hit"].sum() == 0
    assert "the effect is below 100" in table["reason"].drop_nulls().to_list()


def test_controls_that_were_not_held_out_are_named(tmp_path: Path) -> None:
    table = find(tmp_path, held_out=False).tables["hit"]
    assert table.filter(pl.col("n_wells") > 0)["reason"].str.contains("p values are too small").all()


def test_wrong_limits_are_named() -> None:
    with pytest.raises(ConfigError, match=r"hits\.distance"):
        parse_config('screen.name = "screen"\nhits.distance = "cosine"')
    assert ScreenConfig.model_validate({"screen": {"name": "s"}}).hits.max_q == 0.05
