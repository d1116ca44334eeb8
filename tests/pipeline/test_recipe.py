"""The recipe of a screen: the configuration, and its result in a run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from phenoprint.errors import ConfigError, UnknownNameError
from phenoprint.pipeline import RunResult, run_screen
from phenoprint.pipeline.config import parse_config
from phenoprint.pipeline.recipe import after_4a, level_4a, recipe_of, reference_kind
from phenoprint.pipeline.sections import ProfilesSection
from phenoprint.profiles import RECIPES, apply_recipe
from phenoprint.store import check_balance
from phenoprint.tables import feature_columns

OWN = """
[profiles]
reference = "all"
[[profiles.recipe]]
operation = "correct_position"
method = "median_polish"
[[profiles.recipe]]
operation = "normalize"
method = "standardize"
[[profiles.recipe]]
operation = "select"
operations = ["drop_na_columns", "correlation_threshold"]
[[profiles.recipe]]
name = "white"
operation = "normalize"
method = "sphering"
by = []
"""


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_named_recipe_can_be_asked_for(name: str) -> None:
    recipe = recipe_of(ProfilesSection(recipe=name))
    assert [step.name for step in recipe.steps] == [step.name for step in RECIPES[name].steps]
    assert level_4a(recipe) in [step.name for step in recipe.steps]
    assert [*[step.name for step in recipe.steps]][-len(after_4a(recipe).steps) :] == [
        step.name for step in after_4a(recipe).steps
    ]


def test_a_selection_that_comes_first_is_done_on_normalized_profiles() -> None:
    recipe = recipe_of(ProfilesSection.model_validate({"recipe": [{"operation": "select"}, {"operation": "limit"}]}))
    assert [step.name for step in after_4a(recipe).steps] == ["select", "limit"]


def test_reference_and_least_cells_reach_the_steps() -> None:
    section = ProfilesSection(recipe="jump-production", reference="all", min_cells=5)
    recipe = recipe_of(section)
    assert reference_kind(recipe) == "all"
    assert all(step.parameters.get("reference", "all") == "all" for step in recipe.steps)
    assert [step.parameters.get("min_cells") for step in recipe.steps if step.operation == "normalize"] == [5, 5]
    assert reference_kind(recipe_of(ProfilesSection())) == "negcon"


def test_without_counts_every_well_may_serve() -> None:
    steps = recipe_of(ProfilesSection(), has_counts=False).steps
    assert "min_cells" not in steps[0].parameters
    assert recipe_of(ProfilesSection()).steps[0].parameters["min_cells"] == "enough"


def test_corrections_use_the_controls_unless_they_need_all_wells() -> None:
    steps = [
        {"operation": "correct_batch"},
        {"operation": "correct_batch", "name": "harmony", "method": "harmony"},
        {"operation": "correct_count"},
        {"operation": "correct_position"},
        {"operation": "correct_position", "name": "well_mean", "method": "well_mean"},
    ]
    recipe = recipe_of(ProfilesSection.model_validate({"recipe": steps}))
    assert [step.reference for step in recipe.steps] == ["negcon", "all", "negcon", "negcon", "all"]
    recipe = recipe_of(ProfilesSection.model_validate({"recipe": steps, "reference": "all"}))
    assert {step.reference for step in recipe.steps} == {"all"}


@pytest.mark.parametrize(
    ("recipe", "error", "message"),
    [
        ("phenoprints", UnknownNameError, "phenoprint"),
        ([{"operation": "consensus"}], ConfigError, "profiles.consensus"),
        ([{"operation": "normalise"}], UnknownNameError, "normalize"),
        ([{"method": "rank"}], ConfigError, "operation"),
        ([{"operation": "select"}, {"operation": "select"}], ConfigError, "different names"),
        ([{"operation": "select", "name": "x" * 300}], ConfigError, "too long"),
        ([], ConfigError, "no step"),
    ],
)
def test_wrong_recipes_are_named(recipe: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        recipe_of(ProfilesSection.model_construct(recipe=recipe))


def test_a_wrong_method_is_an_error_before_anything_runs(own_screen: Path) -> None:
    config = own_screen / "screen.toml"
    config.write_text(
        config.read_text() + '\n[[profiles.recipe]]\noperation = "normalize"\nname = "z"\nmethod = "mad_robst"\n'
    )
    with pytest.raises(ConfigError, match=r"profiles\.recipe: .*mad_robst.*mad_robust"):
        run_screen(config.parent, workers=1)


def test_a_run_gives_what_the_recipe_gives(tiny_run: RunResult) -> None:
    screen = tiny_run.screen
    recipe = recipe_of(parse_config((screen.path / "screen.toml").read_text()).profiles)
    steps = apply_recipe(screen.table("profile_well").collect(), recipe)
    keys = ["Metadata_Plate", "Metadata_Well"]
    for number, step in enumerate(steps, start=1):
        rows = screen.table("profile_step").filter(pl.col("Metadata_Step") == step.name).collect()
        assert rows["Metadata_Step_Number"].unique().to_list() == [number]
        assert_frame_equal(rows.select(step.frame.columns).sort(keys), step.frame.sort(keys))
    tables = {"profile_normalized": level_4a(recipe), "profile_selected": steps[-1].name}
    for table, name in tables.items():
        expected = next(step.frame for step in steps if step.name == name)
        assert_frame_equal(screen.table(table).collect().sort(keys), expected.sort(keys), check_column_order=False)
    assert set(screen.table("step_score").collect()["step"]) == {"level3", *(step.name for step in steps)}


def test_steps_of_ones_own(own_screen: Path) -> None:
    config = own_screen / "screen.toml"
    config.write_text(config.read_text() + OWN)
    result = run_screen(own_screen, workers=1)
    assert not result.is_partial
    screen = result.screen
    order = screen.sql("SELECT DISTINCT Metadata_Step AS step, Metadata_Step_Number AS n FROM profile_step ORDER BY n")[
        "step"
    ].to_list()
    assert order == ["correct_position", "normalize", "select", "white"]
    assert feature_columns(screen.table("profile_normalized").collect()) == feature_columns(
        screen.table("profile_well").collect()
    )
    ledger = screen.table("ledger").collect()
    check_balance(ledger)
    selected = ledger.filter((pl.col("step") == "select") & (pl.col("unit_of_count") == "features"))
    step = screen.sql("SELECT * FROM profile_step WHERE Metadata_Step = 'select' LIMIT 1")
    kept = [name for name in feature_columns(step) if step[name].null_count() == 0]
    assert selected["n_out"].unique().to_list() == [len(kept)]
    reported = screen.sql("SELECT DISTINCT step FROM feature_status")["step"].to_list()
    assert {"correct_position", "normalize", "select"} <= set(reported)
    recipe = recipe_of(parse_config(config.read_text()).profiles)
    expected = apply_recipe(screen.table("profile_well").collect(), recipe)[-1].frame
    keys = ["Metadata_Plate", "Metadata_Well"]
    found = screen.table("profile_selected").collect()
    assert_frame_equal(found.sort(keys), expected.sort(keys), check_column_order=False)
    again = run_screen(own_screen, workers=1)
    assert sum(count.done for count in again.summary.steps.values()) == 0


def test_what_was_fitted_is_kept_and_gives_the_same_again(tiny_run: RunResult) -> None:
    screen = tiny_run.screen
    with np.load(screen.path / "models" / "01_normalize.npz", allow_pickle=False) as model:
        facts = json.loads(str(model["facts"]))
        center, scale = model["0/center"], model["0/scale"]
    assert facts["step"]["operation"] == "normalize"
    wells = screen.table("profile_well").sort("Metadata_Well").collect().select(facts["features"]).to_numpy()
    normalized = screen.table("profile_normalized").sort("Metadata_Well").collect().select(facts["features"]).to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        again = (wells - center) / scale
    known = ~np.isnan(normalized)
    assert known.mean() > 0.5
    np.testing.assert_allclose(again[known], normalized[known], rtol=1e-4, atol=1e-4)


def test_steps_that_are_no_more_leave_no_rows(own_screen: Path) -> None:
    config = own_screen / "screen.toml"
    config.write_text(config.read_text() + '\n[profiles]\nreference = "all"\nrecipe = "profiling-recipe"\n')
    screen = run_screen(own_screen, workers=1).screen
    assert set(screen.table("profile_step").collect()["Metadata_Step"]) == {"normalize", "select"}
    assert set(screen.table("step_score").collect()["step"]) == {"level3", "normalize", "select"}
