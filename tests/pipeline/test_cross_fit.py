"""The step that writes cross-fitted profiles: from images, and from imported profiles of each level."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from phenoprint.exchange.importing import import_profiles
from phenoprint.pipeline.config import ScreenConfig
from phenoprint.pipeline.context import Context
from phenoprint.pipeline.imported import given_tables
from phenoprint.pipeline.recipe_run import RecipeRun
from phenoprint.pipeline.steps import Outcome, Unit
from phenoprint.pipeline.steps.cross_fit import CrossFit
from phenoprint.pipeline.steps.profiles import ApplyRecipe
from phenoprint.pipeline.wellprofiles import WellProfiles
from phenoprint.profiles import cross_fit
from phenoprint.simulation import simulate_profiles
from phenoprint.store import check_balance
from phenoprint.store import open as open_screen

DESIGN: dict[str, Any] = {"n_plates": 3, "n_replicates": 3, "plate_format": 96, "n_controls": 16, "n_features": 40}


def imported(folder: Path, wells: pl.DataFrame, level: str = "3", **profiles: Any) -> Context:
    """Import well profiles, and return what a step sees of the screen."""
    folder.mkdir(parents=True)
    wells.write_parquet(folder / "wells.parquet")
    screen = import_profiles(folder / "wells.parquet", folder / "screen", level=level).screen
    config = ScreenConfig.model_validate({"screen": {"name": "screen"}, "profiles": profiles})
    return Context(screen.path, config, screen.path, (), given=given_tables(open_screen(screen.path)))


def run(context: Context) -> Outcome:
    """Run the recipe, where it runs, and the cross-fit; write the status."""
    if "profile_selected" not in context.given:
        ApplyRecipe().run(Unit(), context)
    outcome = CrossFit().run(Unit(), context)
    assert outcome.ledger is not None
    check_balance(outcome.ledger)
    return outcome


def test_a_run_gives_what_the_function_gives(tmp_path: Path) -> None:
    context = imported(tmp_path / "a", simulate_profiles("null", seed=2, **DESIGN).wells, recipe="phenoprint-sphering")
    outcome = run(context)
    given = RecipeRun.of(context)
    expected = cross_fit(context.profiles("profile_well"), given.recipe)
    folds = WellProfiles.folds(context)
    assert [fold.fold for fold in folds] == [0, 1]
    assert outcome.tables["cross_fit"]["status"].unique().to_list() == ["ok"]
    for fold, frame in zip(folds, expected, strict=True):
        whole = frame.sort("Metadata_Plate", "Metadata_Well")
        names = list(fold.features)
        assert names == [name for name in whole.columns if not name.startswith("Metadata_")]
        read = fold.read(fold.wells)
        assert_frame_equal(read.select(whole.select(pl.col("^Metadata_.*$")).columns), whole.select("^Metadata_.*$"))
        np.testing.assert_allclose(read.select(names).to_numpy(), whole.select(names).to_numpy(), rtol=2e-3, atol=2e-3)
        vectors = fold.vectors(fold.wells, metric="cosine")
        assert vectors.values.shape == (whole.height, len(names))


@pytest.mark.parametrize(
    ("level", "recipe", "expected"),
    [
        ("4a", "phenoprint", (1, "normalized_before_import", False)),
        ("4a", "phenoprint-sphering", (2, "normalized_before_import", True)),
        ("4b", "phenoprint", (1, "selected_before_import", False)),
        ("3", "profiling-recipe", (1, "symmetric", True)),
    ],
)
def test_each_level_has_its_status(tmp_path: Path, level: str, recipe: str, expected: tuple[int, str, bool]) -> None:
    wells = simulate_profiles("null", seed=2, **DESIGN).wells
    context = imported(tmp_path / "a", wells, level, recipe=recipe)
    n_folds, status, is_fair = expected
    table = run(context).tables["cross_fit"]
    assert table.select("status", "cross_fitted").unique().rows() == [(status, is_fair)]
    own = WellProfiles.folds(context)
    assert len(own) == n_folds
    if n_folds == 1:
        assert own[0].wells.height == wells.height


def test_gaps_are_recorded_and_a_damaged_well_costs_no_feature(tmp_path: Path) -> None:
    wells = simulate_profiles("null", seed=2, **DESIGN).wells.sort("Metadata_Plate", "Metadata_Well")
    names = [name for name in wells.columns if not name.startswith("Metadata_")]
    is_gone = pl.int_range(pl.len()) == 5
    holes = wells.with_columns(pl.when(~is_gone).then(pl.col(name)).alias(name) for name in names[:15])
    context = imported(tmp_path / "a", holes)
    outcome = run(context)
    gaps = outcome.tables["profile_gap"]
    keys = wells.select("Metadata_Plate", "Metadata_Well").rows()
    assert gaps.select("Metadata_Plate", "Metadata_Well", "status").rows() == [(*keys[5], "damaged")]
    lost = outcome.ledger.filter(pl.col("n_out") < pl.col("n_in"))  # type: ignore[union-attr]
    assert lost.select("Metadata_Plate", "Metadata_Well").rows() == [keys[5]]
    for fold in WellProfiles.folds(context):
        assert len(fold.vectors(fold.wells, metric="cosine").features) == len(fold.features)
