"""Imported profiles that were selected elsewhere: columns that are not phenotypes are left out of results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import UsageError
from phenoprint.exchange.importing import import_profiles
from phenoprint.pipeline.config import ScreenConfig
from phenoprint.pipeline.context import Context
from phenoprint.pipeline.imported import given_tables
from phenoprint.pipeline.phenotypes import nuisance_message
from phenoprint.pipeline.recipe import recipe_of
from phenoprint.pipeline.status import screen_notes
from phenoprint.pipeline.steps import Unit
from phenoprint.pipeline.steps.profiles import ApplyRecipe, Consensus
from phenoprint.pipeline.wellprofiles import WellProfiles
from phenoprint.store import check_balance
from phenoprint.store import open as open_screen
from phenoprint.tables import feature_columns


def table(path: Path, *, only_images: bool = False) -> Path:
    """Write selected profiles of a plate with columns of images to 161,980, and one feature beyond all measure."""
    rng = np.random.default_rng(0)
    kinds = ["trt" if k % 4 else "negcon" for k in range(24)]
    frame = pl.DataFrame(
        {
            "Metadata_Plate": "P1",
            "Metadata_Well": [f"{row}{column:02d}" for row in "ABCD" for column in range(1, 7)],
            "Metadata_compound": [f"c{k % 6}" if k % 4 else "DMSO" for k in range(24)],
            "Metadata_pert_type": kinds,
        }
    )
    names = [] if only_images else [f"Cells_Texture_F{k}" for k in range(4)]
    frame = frame.with_columns(pl.Series(name, rng.normal(size=24)) for name in names)
    frame = frame.with_columns(Image_Intensity_Total=pl.Series(rng.uniform(0, 161_980, 24)))
    if not only_images:
        frame = frame.with_columns(Cells_Blown=pl.Series([3e13, *[0.5] * 23]))
    frame.write_csv(path)
    return path


def context_of(folder: Path, **section: Any) -> Context:
    config = ScreenConfig.model_validate({"screen": {"name": "screen"}, "profiles": section})
    return Context(folder, config, folder, (), given=given_tables(open_screen(folder)))


def test_selected_profiles_of_another_tool(tmp_path: Path) -> None:
    source = table(tmp_path / "P1_normalized_feature_select_negcon.csv")
    summary = import_profiles(source, tmp_path / "screen")
    noted = dict(summary.notes.select("kind", "column").rows())
    assert noted["extreme"] == "Cells_Blown"
    assert noted["nuisance"] == "Image_Intensity_Total"
    context = context_of(summary.screen.path)
    stored = context.profiles("profile_selected")
    assert {"Image_Intensity_Total", "Cells_Blown"} <= set(stored.columns)  # kept, and can be queried
    used = list(WellProfiles.of(context, "profile_selected").features)
    assert used == [f"Cells_Texture_F{k}" for k in range(4)]

    outcome = Consensus().run(Unit(), context)
    assert feature_columns(outcome.tables["profile_consensus"]) == used
    status = outcome.tables["feature_status"].select("feature", "step", "status").sort("feature").rows()
    assert status == [("Cells_Blown", "consensus", "extreme"), ("Image_Intensity_Total", "consensus", "nuisance")]
    check_balance(outcome.ledger)
    features = outcome.ledger.filter(unit_of_count="features").select("n_in", "n_out", "n_lost", "reason").rows()
    assert sorted(features) == [(6, 4, 1, "extreme"), (6, 4, 1, "nuisance")]

    kept = context_of(summary.screen.path, keep_features=["Image_*", "nothing of the kind"])
    assert list(WellProfiles.of(kept, "profile_selected").features) == [*used, "Image_Intensity_Total"]


def test_a_table_of_nothing_but_image_columns_is_named(tmp_path: Path) -> None:
    source = table(tmp_path / "P1_normalized_feature_select.csv", only_images=True)
    screen = import_profiles(source, tmp_path / "screen").screen
    with pytest.raises(UsageError, match=r"none of the 1 features of profile_selected is a phenotype.*keep_features"):
        WellProfiles.of(context_of(screen.path), "profile_selected")


def test_the_setting_reaches_the_selection_of_a_recipe(tmp_path: Path) -> None:
    source = table(tmp_path / "P1_normalized.csv")
    screen = import_profiles(source, tmp_path / "screen").screen
    selected = ApplyRecipe().run(Unit(), context_of(screen.path)).tables["feature_status"].filter(step="select")
    found = dict(selected.select("feature", "status").rows())
    assert found["Image_Intensity_Total"] == "nuisance"
    assert found["Cells_Blown"] in ("outlier", "low_variance")
    recipe = recipe_of(context_of(screen.path, keep_features=["Image_*"]).config.profiles)
    assert [step.parameters.get("keep") for step in recipe.steps] == [None, None, ["Image_*"]]


def test_a_run_reports_what_was_left_out_and_what_is_extreme(tmp_path: Path) -> None:
    screen = import_profiles(table(tmp_path / "P1_normalized.csv"), tmp_path / "screen").screen
    keeps_all = [{"operation": "select", "operations": ["drop_na_columns"]}]
    for recipe, outcome in (("phenoprint", None), (keeps_all, "kept by the recipe")):
        made = ApplyRecipe().run(Unit(), context_of(screen.path, recipe=recipe)).tables["feature_status"]
        screen.write("feature_status", made, part="recipe")
        texts = [message.text for message in nuisance_message(screen)]
        if outcome is None:
            assert texts[0].startswith("left out of the selected profiles because they are not phenotypes")
            assert ": 1 of the columns;" in texts[0]
        else:
            assert texts == []
            assert screen_notes(screen)[-1] == (
                f"2 features hold values of 10,000 spreads or more and were {outcome}: "
                "Cells_Blown, Image_Intensity_Total"
            )
