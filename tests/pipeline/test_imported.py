"""Screens that start from imported tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from phenoprint.errors import ConfigError
from phenoprint.exchange.importing import import_profiles
from phenoprint.pipeline import RunResult, run_screen, schedule_of
from phenoprint.pipeline.config import ScreenConfig
from phenoprint.pipeline.context import Context
from phenoprint.pipeline.events import Event, Message
from phenoprint.pipeline.imported import forget, given_tables, imported_keys
from phenoprint.pipeline.recipe_run import RecipeRun
from phenoprint.pipeline.steps import Unit
from phenoprint.pipeline.steps.profiles import ApplyRecipe
from phenoprint.profiles import apply_recipe
from phenoprint.report import write_report
from phenoprint.simulation import simulate_profiles
from phenoprint.store import check_balance, load_receipts
from phenoprint.store import open as open_screen

KEYS = ["Metadata_Plate", "Metadata_Well"]


def level_3(folder: Path, *, seed: int = 0, controls: bool = True) -> Path:
    """Write well profiles of two plates as another tool would."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for plate in ("P1", "P2"):
        wells = [f"{row}{column:02d}" for row in "ABCD" for column in range(1, 7)]
        compounds = [f"c{i % 6}" if i % 4 or not controls else "DMSO" for i in range(24)]
        frame = pl.DataFrame({"Metadata_Plate": plate, "Metadata_Well": wells, "Metadata_compound": compounds})
        if controls:
            kinds = ["trt" if i % 4 else "negcon" for i in range(24)]
            frame = frame.with_columns(pl.Series("Metadata_pert_type", kinds))
        shift = np.array([int(c[1]) if c != "DMSO" else 0 for c in compounds])
        for k in range(12):
            values = rng.normal(size=24) + shift * (k % 3) + (5 if plate == "P2" else 0)
            frame = frame.with_columns(pl.Series(f"Cells_Texture_F{k}", values))
        frame.write_csv(folder / f"{plate}_augmented.csv")
    return folder


@pytest.fixture
def imported(tmp_path: Path) -> Path:
    return import_profiles(level_3(tmp_path / "tables"), tmp_path / "screen").screen.path


def test_profiles_without_images_are_taken_to_calls_and_report(imported: Path) -> None:
    result = run_screen(imported, workers=1)
    assert not result.is_partial
    screen = result.screen
    assert 'name = "screen"' in (imported / "screen.toml").read_text()
    tables = ("profile_normalized", "profile_selected", "profile_step", "projection")
    for table in tables:
        assert screen.table(table).select(KEYS).unique().collect().height == 48, table
    assert screen.table("activity").collect().height == 6
    assert screen.table("profile_consensus").collect().height == 7
    ledger = screen.table("ledger").collect()
    check_balance(ledger)
    assert {"import profile_well", "normalize", "select", "consensus"} <= set(ledger["step"])
    assert "What did each step do?" in write_report(screen).read_text(encoding="utf-8")
    assert not any(count.done for count in run_screen(imported, workers=1).summary.steps.values())


def test_what_was_imported_is_never_replaced(imported: Path, tmp_path: Path) -> None:
    before = run_screen(imported, workers=1).screen.table("profile_well").collect()
    normalized = tmp_path / "P1_normalized.csv"
    pl.read_csv(tmp_path / "tables" / "P1_augmented.csv").with_columns(pl.col("^Cells_.*$") + 12).write_csv(normalized)
    import_profiles(normalized, tmp_path / "other")
    screen = run_screen(tmp_path / "other", workers=1).screen
    assert screen.table("profile_normalized").collect()["Cells_Texture_F0"].min() > 8
    assert set(screen.table("profile_step").collect()["Metadata_Step"]) == {"limit", "select"}
    assert_frame_equal(run_screen(imported, workers=1).screen.table("profile_well").collect(), before)


def test_imported_selected_profiles_go_straight_to_calls(imported: Path, tmp_path: Path) -> None:
    source = run_screen(imported, workers=1).screen.table("profile_selected").collect()
    for (plate,), rows in source.group_by("Metadata_Plate"):
        rows.write_csv(tmp_path / f"{plate}_normalized_feature_select_negcon_plate.csv")
    files = sorted(tmp_path.glob("*_negcon_plate.csv"))
    import_profiles(files, tmp_path / "selected")
    result = run_screen(tmp_path / "selected", workers=1)
    assert "recipe" not in result.summary.steps
    found, expected = (screen.table("activity").collect() for screen in (result.screen, run_screen(imported).screen))
    assert found["Metadata_perturbation"].to_list() == expected["Metadata_perturbation"].to_list()
    assert set(found["status"]) == {"not cross-fitted"}  # they may have been fitted on all controls


def test_other_tables_run_again_and_the_same_do_not(imported: Path, tmp_path: Path) -> None:
    run_screen(imported, workers=1)
    import_profiles(level_3(tmp_path / "tables"), imported)
    assert not any(count.done for count in run_screen(imported, workers=1).summary.steps.values())
    import_profiles(level_3(tmp_path / "tables", seed=1), imported)
    assert run_screen(imported, workers=1).summary.steps["recipe"].done == 1


def as_level(folder: Path, suffix: str, *, seed: int = 0) -> Path:
    """Write the profiles of two plates under the names of another level."""
    for path in level_3(folder, seed=seed).glob("*_augmented.csv"):
        path.rename(path.with_name(path.name.replace("_augmented", suffix)))
    return folder


@pytest.mark.parametrize("suffix", ["_normalized", "_normalized_feature_select"])
def test_other_normalized_profiles_run_again(tmp_path: Path, suffix: str) -> None:
    import_profiles(as_level(tmp_path / "tables", suffix), tmp_path / "screen")
    before = run_screen(tmp_path / "screen", workers=1).screen.table("profile_consensus").collect()
    import_profiles(as_level(tmp_path / "others", suffix, seed=1), tmp_path / "screen")
    after = run_screen(tmp_path / "screen", workers=1).screen.table("profile_consensus").collect()
    assert not before.equals(after)


def test_other_annotation_runs_again(imported: Path, tmp_path: Path) -> None:
    """Annotation that comes with another table is that of the wells, whatever the profiles carried."""
    run_screen(imported, workers=1)
    files = sorted((tmp_path / "tables").glob("*.csv"))
    wells = pl.concat([pl.read_csv(path).select("^Metadata_.*$") for path in files])
    other = wells.with_columns(Metadata_compound=pl.lit("new-") + pl.col("Metadata_compound"))
    import_profiles(as_level(tmp_path / "4a", "_normalized"), imported, plate_map=parsed(other, tmp_path))
    screen = run_screen(imported, workers=1).screen
    assert all("new-" in name for name in screen.table("profile_consensus").collect()["Metadata_compound"])
    before = imported_keys(screen)
    others = wells.with_columns(Metadata_compound=pl.lit("newer-") + pl.col("Metadata_compound"))
    import_profiles(tmp_path / "4a", imported, plate_map=parsed(others, tmp_path))
    assert {place for place, key in imported_keys(screen).items() if before[place] != key} == set(before)
    names = run_screen(imported, workers=1).screen.table("profile_consensus").collect()["Metadata_compound"]
    assert all("newer-" in name for name in names)


def parsed(wells: pl.DataFrame, folder: Path) -> Path:
    """Write a plate map."""
    wells.write_csv(folder / "map.csv")
    return folder / "map.csv"


@pytest.mark.parametrize("suffix", ["_normalized", "_normalized_feature_select"])
def test_plates_of_another_level_are_reported(tmp_path: Path, suffix: str) -> None:
    tables = level_3(tmp_path / "tables")
    (tables / "P2_augmented.csv").rename(tables / f"P2{suffix}.csv")
    result = run_screen(import_profiles(tables, tmp_path / "screen").screen.path, workers=1)
    assert result.is_partial
    assert "P1" in str(result.screen.status().failures["message"].to_list())
    (tables / "P1_augmented.csv").rename(tables / f"P1{suffix}.csv")
    import_profiles(tables / f"P1{suffix}.csv", tmp_path / "screen")
    result = run_screen(tmp_path / "screen", workers=1)
    assert not result.is_partial
    assert result.screen.table("profile_selected").select(KEYS).collect().height == 48


def test_what_an_import_replaced_is_forgotten(imported: Path, tmp_path: Path) -> None:
    run_screen(imported, workers=1)
    import_profiles(as_level(tmp_path / "4b", "_normalized_feature_select", seed=1), imported)
    screen = open_screen(imported)
    before = screen.table("profile_selected").collect()
    forget(screen, schedule_of(screen).left_out)
    assert not {"profile_normalized", "profile_step", "step_score"} & set(screen.tables())
    assert not list((imported / "models").glob("*"))
    assert_frame_equal(screen.table("profile_selected").collect(), before)
    assert "select" not in set(screen.table("feature_status").collect()["step"])
    assert not load_receipts(imported, "recipe")
    ledger = run_screen(imported, workers=1).screen.table("ledger").filter(pl.col("Metadata_Plate").is_null()).collect()
    assert not {"normalize", "select", "limit"} & set(ledger["step"])


def test_a_plate_that_is_imported_later_is_included(imported: Path, tmp_path: Path) -> None:
    run_screen(imported, workers=1)
    third = pl.read_csv(tmp_path / "tables" / "P1_augmented.csv").with_columns(Metadata_Plate=pl.lit("P3"))
    third.write_csv(tmp_path / "P3_augmented.csv")
    import_profiles(tmp_path / "P3_augmented.csv", imported)
    screen = run_screen(imported, workers=1).screen
    for table in ("profile_normalized", "profile_selected", "projection"):
        assert screen.table(table).select(KEYS).unique().collect().height == 72, table


def test_treatments_alone_are_no_run(tmp_path: Path) -> None:
    pl.DataFrame({"Metadata_compound": ["a", "b"], "Cells_Texture_F0": [1.0, 2.0]}).write_csv(
        tmp_path / "x_consensus.csv"
    )
    import_profiles(tmp_path / "x_consensus.csv", tmp_path / "screen")
    with pytest.raises(ConfigError, match="level 5"):
        run_screen(tmp_path / "screen", workers=1)


def test_a_folder_of_any_name_can_be_run(tmp_path: Path) -> None:
    path = import_profiles(level_3(tmp_path / "tables"), tmp_path / "a+b, é").screen.path
    assert not run_screen(path, workers=1).is_partial


def test_a_plate_whose_counts_are_unknown_keeps_its_controls(tmp_path: Path) -> None:
    tables = level_3(tmp_path / "tables")
    first = tables / "P1_augmented.csv"
    pl.read_csv(first).with_columns(Metadata_Object_Count=pl.lit(100)).write_csv(first)
    screen = run_screen(import_profiles(tables, tmp_path / "screen").screen.path, workers=1).screen
    normalized = screen.table("profile_normalized").filter(Metadata_Plate="P2").collect()
    assert normalized["Cells_Texture_F0"].null_count() == 0


def test_the_ledger_counts_features_that_a_step_left_without_values(imported: Path, tmp_path: Path) -> None:
    """Sphering makes NULL of a feature that one plate lacks; the next step does not have it any more."""
    run_screen(imported, workers=1)
    plate = tmp_path / "tables" / "P2_augmented.csv"
    pl.read_csv(plate).with_columns(Cells_Texture_F3=pl.lit(None, pl.Float32)).write_csv(plate)
    import_profiles(plate, imported)
    steps = ({"name": "mad"}, {"name": "white", "method": "sphering", "by": []}, {"name": "pcs", "kind": "PCA"})
    text = "".join(
        f'[[profiles.recipe]]\noperation = "normalize"\nname = "{step["name"]}"\n'
        + "".join(f"{key} = {json.dumps(value)}\n" for key, value in step.items() if key != "name")
        for step in (*steps[:2], steps[2] | {"method": "sphering", "by": []})
    )
    (imported / "screen.toml").write_text(f'[screen]\nname = "screen"\n{text}')
    screen = run_screen(imported, workers=1).screen
    ledger = screen.table("ledger").filter(pl.col("unit_of_count") == "features").collect()
    check_balance(ledger)
    rows = ledger.filter(pl.col("step").is_in(["mad", "white", "pcs"])).sort("step", "Metadata_Plate", nulls_last=True)
    assert rows.select("step", "Metadata_Plate", "n_in", "n_out", "reason").rows() == [
        ("mad", "P2", 12, 11, "all_null"),
        ("mad", None, 12, 12, None),
        ("pcs", None, 11, 0, "replaced by the step"),
        ("white", None, 12, 11, "missing_values"),
    ]


TOGETHER: list[dict[str, Any]] = [
    {"operation": "correct_position", "method": "well_mean"},
    {"operation": "correct_position", "name": "polish", "reference": "all"},
    {"operation": "drop_invariant", "reference": "all"},
    {"operation": "normalize", "reference": "all"},
    {"operation": "select", "operations": ["correlation_threshold", "blocklist"]},
]


def context_of(folder: Path, **section: Any) -> Context:
    """Give what a step sees of a screen of imported tables."""
    config = ScreenConfig.model_validate({"screen": {"name": "screen"}, "profiles": section})
    return Context(folder, config, folder, (), given=given_tables(open_screen(folder)))


def test_steps_that_see_all_plates_report_everything_once(imported: Path) -> None:
    context = context_of(imported, recipe=TOGETHER, reference="all")
    outcome = ApplyRecipe().run(Unit(), context)
    given = context.profiles("profile_well")
    expected = apply_recipe(given, RecipeRun.of(context).recipe)
    reported = outcome.tables["feature_status"]
    assert not reported.select("Metadata_Plate", "feature", "step", "status").is_duplicated().any()
    for number, step in enumerate(expected, start=1):
        rows = context.table("profile_step").filter(Metadata_Step=step.name).collect().sort(KEYS)
        assert_frame_equal(rows.select(step.frame.columns), step.frame.sort(KEYS), rel_tol=1e-4, abs_tol=1e-4)
        kept = imported / "models" / f"{number:02d}_{step.name}.npz"
        assert kept.exists() == (number in (1, 2, 4))
    with np.load(imported / "models" / "02_polish.npz", allow_pickle=False) as model:
        assert set(model) == {"facts", "P1/rows", "P1/cols", "P2/rows", "P2/cols"}
        np.testing.assert_allclose(model["P2/rows"], expected[1].arrays["P2/rows"], rtol=1e-3, atol=1e-4)
    assert outcome.ledger is not None
    check_balance(outcome.ledger)
    wells = outcome.ledger.filter(pl.col("unit_of_count") == "wells")
    assert wells.height == 2 * len(TOGETHER)


def test_many_wells_are_scored_by_some_plates(imported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    third = pl.read_csv(tmp_path / "tables" / "P1_augmented.csv").with_columns(Metadata_Plate=pl.lit("P3"))
    third.write_csv(tmp_path / "P3_augmented.csv")
    import_profiles(tmp_path / "P3_augmented.csv", imported)
    run = RecipeRun.of(context_of(imported))
    assert run.scored_wells() == ["P1", "P2", "P3"]
    monkeypatch.setattr("phenoprint.pipeline.recipe_run._SCORED_WELLS", 71)
    assert len(set(run.scored_wells())) == 2


def test_a_recipe_that_fails_leaves_nothing_behind(imported: Path) -> None:
    run_screen(imported, workers=1)
    assert (imported / "models" / "01_normalize.npz").exists()
    later = '[[profiles.recipe]]\noperation = "normalize"\n[[profiles.recipe]]\noperation = "correct_count"\n'
    (imported / "screen.toml").write_text(f'[screen]\nname = "screen"\n{later}')
    result = run_screen(imported, workers=1)
    assert result.is_partial
    assert not list((imported / "models").glob("*.npz"))
    left = {"profile_normalized", "profile_selected", "profile_step", "step_score"} & set(result.screen.tables())
    assert not left
    assert "recipe" not in set(result.screen.table("feature_status").collect()["step"])


def test_a_run_killed_within_the_recipe_starts_it_again(imported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = run_screen(imported, workers=1).screen.table("profile_step").collect().sort(*KEYS, "Metadata_Step")
    config = imported / "screen.toml"
    before = config.read_text()
    config.write_text(before + 'recipe = "profiling-recipe"\n')

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("phenoprint.pipeline.steps.profiles._ledger", die)  # one step is written
        with pytest.raises(KeyboardInterrupt):
            run_screen(imported, workers=1)
    config.write_text(before)
    result = run_screen(imported, workers=1)
    assert result.summary.steps["recipe"].done == 1
    assert_frame_equal(result.screen.table("profile_step").collect().sort(*KEYS, "Metadata_Step"), expected)


def test_missing_negative_controls_are_reported_and_all_wells_can_be_the_reference(tmp_path: Path) -> None:
    import_profiles(level_3(tmp_path / "tables", controls=False), tmp_path / "screen")
    result = run_screen(tmp_path / "screen", workers=1)
    assert 'reference = "all"' in (tmp_path / "screen" / "screen.toml").read_text()
    assert not result.is_partial
    config = tmp_path / "screen" / "screen.toml"
    config.write_text(config.read_text().replace('"all"', '"negcon"'))
    result = run_screen(tmp_path / "screen", workers=1)
    assert result.is_partial
    assert "negcon" in str(result.screen.status().failures.rows())


def test_a_recipe_that_leaves_no_feature_fails_with_the_reason(imported: Path) -> None:
    run_screen(imported, workers=1)
    config = imported / "screen.toml"
    config.write_text(config.read_text() + "min_cells = 3\n")
    result = run_screen(imported, workers=1)
    assert result.is_partial
    reported = str(result.screen.status().failures.rows())
    assert "left no feature" in reported
    assert "too_few_reference" in reported


def test_cells_without_images_are_aggregated(tiny_run: RunResult, tmp_path: Path) -> None:
    cells = tiny_run.screen.table("cell").collect()
    cells.write_parquet(tmp_path / "cells.parquet")
    wells = tiny_run.screen.table("well").collect().select(pl.col("^Metadata_.*$"))
    import_profiles(tmp_path / "cells.parquet", tmp_path / "screen", level="2", plate_map=wells)
    result = run_screen(tmp_path / "screen", workers=1)
    assert not result.is_partial, result.screen.status().failures
    screen = result.screen
    assert screen.table("profile_well").collect().height == 24
    counted = screen.table("profile_well").select(pl.col("Metadata_Object_Count").sum()).collect().item()
    flagged = screen.table("cell_quality").filter("is_outlier").select(pl.len()).collect().item()
    assert counted == cells.height - flagged
    check_balance(screen.table("ledger").collect())
    assert screen.table("profile_heterogeneity").collect().height == 24


def test_a_run_undoes_an_import_that_was_killed(
    imported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = run_screen(imported, workers=1).screen.table("profile_selected").collect()

    def die(*_: object, **__: object) -> None:
        raise OSError("killed")

    with monkeypatch.context() as patch:  # a process that is killed puts nothing back
        patch.setattr("phenoprint.store.journal._restore", lambda *_: None)
        patch.setattr("phenoprint.exchange.importing.write_records", die)
        with pytest.raises(OSError, match="killed"):
            import_profiles(level_3(tmp_path / "tables", seed=5), imported)
    events: list[Event] = []
    again = run_screen(imported, workers=1, on_event=events.append)
    assert any("killed" in event.text for event in events if isinstance(event, Message))
    assert_frame_equal(again.screen.table("profile_selected").collect(), before)


def test_wrong_configurations_are_named(imported: Path, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('[screen]\nname = "empty"\n')
    with pytest.raises(ConfigError, match="nothing was imported"):
        run_screen(tmp_path / "c.toml", output=tmp_path / "empty", workers=1)
    run_screen(imported, workers=1)
    config = imported / "screen.toml"
    config.write_text(config.read_text() + '\n[plate_map]\nfiles = ["map.csv"]\n')
    with pytest.raises(ConfigError, match="--plate-map"):
        run_screen(imported, workers=1)


def test_simulated_profiles_go_through_the_whole_pipeline(tmp_path: Path) -> None:
    simulated = simulate_profiles(
        "mechanism", n_plates=2, n_replicates=2, plate_format=96, n_controls=12, n_compounds=60, n_features=60
    )
    simulated.wells.write_parquet(tmp_path / "simulated_augmented.parquet")
    screen = import_profiles(tmp_path / "simulated_augmented.parquet", tmp_path / "screen").screen
    result = run_screen(screen.path, workers=1)
    assert not result.is_partial
    assert result.screen.table("profile_well").collect().height == simulated.wells.height
    activity = result.screen.table("activity").collect().join(simulated.truth, on="Metadata_perturbation")
    means = dict(
        activity.filter(Metadata_pert_type="trt").group_by("is_active").agg(pl.mean("mean_average_precision")).rows()
    )
    assert means[True] > means[False] + 0.2
