"""Screens that start from imported tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from phenoprint.errors import ConfigError
from phenoprint.pipeline import RunResult, run_screen, verify_screen
from phenoprint.pipeline.events import Event, Message
from phenoprint.report import write_report
from phenoprint.store import check_balance
from phenoprint.store.import_screen import import_profiles

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
    pl.read_csv(tmp_path / "tables" / "P1_augmented.csv").with_columns(pl.col("^Cells_.*$") + 70).write_csv(normalized)
    import_profiles(normalized, tmp_path / "other")
    screen = run_screen(tmp_path / "other", workers=1).screen
    assert screen.table("profile_normalized").collect()["Cells_Texture_F0"].min() > 60
    assert set(screen.table("profile_step").collect()["Metadata_Step"]) == {"select", "limit"}
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
    assert found["mean_average_precision"].to_list() == pytest.approx(expected["mean_average_precision"].to_list())


def test_other_tables_run_again_and_the_same_do_not(imported: Path, tmp_path: Path) -> None:
    run_screen(imported, workers=1)
    import_profiles(level_3(tmp_path / "tables"), imported)
    assert not any(count.done for count in run_screen(imported, workers=1).summary.steps.values())
    import_profiles(level_3(tmp_path / "tables", seed=1), imported)
    assert run_screen(imported, workers=1).summary.steps["recipe"].done == 1


def test_no_negative_control_is_told_and_all_wells_can_serve(tmp_path: Path) -> None:
    import_profiles(level_3(tmp_path / "tables", controls=False), tmp_path / "screen")
    result = run_screen(tmp_path / "screen", workers=1)
    assert 'reference = "all"' in (tmp_path / "screen" / "screen.toml").read_text()
    assert not result.is_partial
    config = tmp_path / "screen" / "screen.toml"
    config.write_text(config.read_text().replace('"all"', '"negcon"'))
    result = run_screen(tmp_path / "screen", workers=1)
    assert result.is_partial
    assert "negcon" in str(result.screen.status().failures.rows())


def test_a_recipe_that_leaves_nothing_fails_and_says_why(imported: Path) -> None:
    run_screen(imported, workers=1)
    config = imported / "screen.toml"
    config.write_text(config.read_text() + "min_cells = 3\n")
    result = run_screen(imported, workers=1)
    assert result.is_partial
    told = str(result.screen.status().failures.rows())
    assert "left no feature" in told
    assert "too_few_reference" in told


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
        patch.setattr("phenoprint.store.import_journal._restore", lambda *_: None)
        patch.setattr("phenoprint.store.import_screen.write_records", die)
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
    with pytest.raises(ConfigError, match="no images"):
        verify_screen(run_screen(imported, workers=1).screen)
    config = imported / "screen.toml"
    config.write_text(config.read_text() + '\n[plate_map]\nfiles = ["map.csv"]\n')
    with pytest.raises(ConfigError, match="--plate-map"):
        run_screen(imported, workers=1)
