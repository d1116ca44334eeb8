"""A run: complete, balanced, resumable, and the same on any number of workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from phenoprint.errors import ConfigError, ScreenLockedError
from phenoprint.pipeline import RunResult, SimulatedScreen, run_screen, step_order
from phenoprint.pipeline.events import Event, StepFinished, StepStarted
from phenoprint.store import Screen, check_balance
from phenoprint.store import open as open_screen

KEYS = {
    "cell": ["Metadata_Well", "Metadata_Site", "Metadata_ObjectNumber"],
    "object": ["Metadata_Well", "Metadata_Site", "Metadata_ObjectNumber"],
    "image_quality": ["Metadata_Well", "Metadata_Site", "Metadata_Channel"],
    "profile_well": ["Metadata_Well"],
    "profile_normalized": ["Metadata_Well"],
    "profile_selected": ["Metadata_Well"],
    "profile_step": ["Metadata_Step_Number", "Metadata_Well"],
    "step_score": ["number", "score"],
    "profile_heterogeneity": ["Metadata_Well"],
    "cell_quality_preview": ["Metadata_perturbation", "rule"],
    "profile_consensus": ["Metadata_perturbation"],
    "activity": ["Metadata_perturbation"],
    "plate_acceptance": ["Metadata_Plate", "criterion"],
    "feature_status": ["step", "feature", "status"],
    "ledger": ["step", "Metadata_Well", "unit_of_count", "reason"],
    "gallery": ["Metadata_perturbation", "rank"],
}


def assert_same_tables(left: Screen, right: Screen) -> None:
    """All tables of the two screens are equal."""
    for table, keys in KEYS.items():
        frames = [screen.table(table).collect().sort(keys) for screen in (left, right)]
        assert frames[0].height > 0 or table == "activity", table
        assert_frame_equal(*frames)


def done_by_step(summary_of: RunResult) -> dict[str, int]:
    return {name: count.done for name, count in summary_of.summary.steps.items() if count.done}


def test_every_well_and_cell_arrives(tiny_run: RunResult) -> None:
    screen = tiny_run.screen
    assert screen.table("well").collect().height == 24
    assert screen.table("profile_well").collect().height == 24
    counts = [screen.table(name).select(pl.len()).collect().item() for name in ("object", "cell", "cell_quality")]
    assert counts[0] > 100
    assert len(set(counts)) == 1
    assert screen.sql("SELECT count(*) AS n FROM cell")["n"][0] == counts[0]


def test_counts_agree_with_the_truth(tiny_run: RunResult, tiny_images: SimulatedScreen) -> None:
    truth = pl.read_parquet(tiny_images.truth / "cells.parquet").height
    found = tiny_run.screen.table("object").collect().height
    assert 0.85 * truth <= found <= 1.15 * truth


def test_ledger_balances_and_names_every_step_that_loses(tiny_run: RunResult) -> None:
    ledger = tiny_run.screen.table("ledger").collect()
    check_balance(ledger)
    assert {"ingest", "segment", "measure", "aggregate", "normalize", "select", "consensus"} <= set(ledger["step"])
    cells = ledger.filter((pl.col("step") == "aggregate") & (pl.col("unit_of_count") == "cells"))
    per_well = cells.unique(["Metadata_Well"])
    assert per_well["n_in"].sum() == tiny_run.screen.table("cell").collect().height
    profiles = tiny_run.screen.table("profile_well").collect()
    assert per_well["n_out"].sum() == profiles["Metadata_Object_Count"].sum()


def test_missing_measurements_are_null_never_nan(tiny_run: RunResult) -> None:
    for table in ("cell", "profile_well", "profile_normalized", "image_quality"):
        frame = tiny_run.screen.table(table).collect()
        floats = [name for name, dtype in frame.schema.items() if dtype.is_float()]
        assert not any(frame.select(pl.col(floats).is_nan().any()).row(0)), table


def test_second_run_does_nothing_and_changes_nothing(tiny_run: RunResult, own_screen: Path) -> None:
    again = run_screen(own_screen, workers=1)
    assert done_by_step(again) == {}
    assert not again.is_partial
    assert_same_tables(tiny_run.screen, again.screen)


def test_changed_parameter_runs_only_what_depends_on_it(own_screen: Path) -> None:
    config = own_screen / "screen.toml"
    config.write_text(config.read_text() + '\n[profiles]\nstatistic = "mean"\n')
    done = done_by_step(run_screen(own_screen, workers=1))
    untouched = {"illumination", "quality", "calibrate", "segment", "thumbnail", "measure", "flag_images", "flag_cells"}
    assert not untouched & set(done)
    assert done["aggregate"] == 1
    assert {"recipe", "consensus", "mechanisms"} <= set(done)


def test_changed_annotation_leaves_pixels_alone(own_images: Callable[[], Path], tmp_path: Path) -> None:
    config = own_images()
    config.write_text(
        config.read_text().replace('pattern = "generic"', 'pattern = "generic"\nchannels = { DNA = "DNA" }')
    )
    config.write_text(config.read_text().replace("[features]", '[illumination]\nmethod = "none"\n[features]'))
    run_screen(config, output=tmp_path / "s", workers=1)
    plate_map = config.parent / "platemap.csv"
    plate_map.write_text(plate_map.read_text().replace("DMSO", "vehicle"))
    done = done_by_step(run_screen(config, output=tmp_path / "s", workers=1))
    assert "measure" not in done
    assert done["aggregate"] == 1


def test_changed_image_runs_its_well_only(own_images: Callable[[], Path], tmp_path: Path) -> None:
    config = own_images()
    config.write_text(config.read_text().replace("[features]", '[illumination]\nmethod = "none"\n[features]'))
    config.write_text(config.read_text() + "\n[segmentation]\nnucleus_diameter_px = 20\n")
    first = run_screen(config, output=tmp_path / "s", workers=1)
    images = config.parent / "images" / "SIM-P01"
    (images / "A01_s1_DNA.tif").write_bytes((images / "B02_s1_DNA.tif").read_bytes())
    again = run_screen(config, output=tmp_path / "s", workers=1)
    assert {name: again.summary.steps[name].done for name in ("quality", "segment", "measure")} == {
        "quality": 1,
        "segment": 1,
        "measure": 1,
    }
    kinds = again.problems["kind"].to_list()
    assert "duplicate_files" in kinds or any("duplicate" in kind for kind in kinds)
    before, after = (run.screen.table("cell").collect() for run in (first, again))
    assert set(after["Metadata_Well"]) | {"A01"} >= set(before["Metadata_Well"])


def test_lost_outputs_are_made_again(tiny_run: RunResult, own_screen: Path) -> None:
    next((own_screen / "masks").rglob("A01_*.tif")).unlink()
    for path in (own_screen / "tables" / "profile_consensus").glob("*.parquet"):
        path.unlink()
    again = run_screen(own_screen, workers=1)
    assert again.summary.steps["segment"].done == 1
    assert again.summary.steps["consensus"].done == 1
    assert_same_tables(tiny_run.screen, again.screen)


@pytest.mark.slow
def test_workers_do_not_change_the_result(tiny_run: RunResult, tiny_images: SimulatedScreen, tmp_path: Path) -> None:
    events: list[Event] = []
    result = run_screen(tiny_images.config, output=tmp_path / "two", workers=2, on_event=events.append)
    assert_same_tables(tiny_run.screen, result.screen)
    started = [event.step for event in events if isinstance(event, StepStarted)]
    assert started == ["ingest", *step_order()]
    assert sum(isinstance(event, StepFinished) for event in events) == len(started)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX; Windows has no like of it")
@pytest.mark.parametrize("step", ["quality", "segment", "measure"])
def test_killed_run_continues_to_the_same_tables(
    tiny_run: RunResult, tiny_images: SimulatedScreen, tmp_path: Path, step: str
) -> None:
    folder = tmp_path / "killed"
    code = (
        "import sys; from pathlib import Path; from phenoprint.pipeline import run_screen; "
        "run_screen(Path(sys.argv[1]), output=Path(sys.argv[2]), workers=1)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tiny_images.config), str(folder)])
    receipts = folder / "receipts" / step
    deadline = time.monotonic() + 120
    while len(list(receipts.glob("*/*.json"))) < 5 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = len(list(receipts.glob("*/*.json")))
    assert done >= 5
    result = run_screen(folder, workers=1)
    assert result.summary.steps[step].fresh >= min(done, 24) - 1
    assert_same_tables(tiny_run.screen, result.screen)


def test_two_runs_at_once_are_refused(own_screen: Path) -> None:
    screen = open_screen(own_screen)
    with screen.lock(), pytest.raises(ScreenLockedError, match=str(os.getpid())):
        run_screen(own_screen, workers=1)


def test_other_screen_in_the_folder_is_refused(own_screen: Path, tmp_path: Path) -> None:
    config = tmp_path / "other.toml"
    config.write_text(f'[screen]\nname = "other"\n[images]\nroot = "{tmp_path.as_posix()}"\n')
    with pytest.raises(ConfigError, match="another --output"):
        run_screen(config, output=own_screen, workers=1)


def test_record_of_the_run_is_kept(tiny_run: RunResult) -> None:
    record = json.loads((tiny_run.screen.path / "receipts" / "run.json").read_text())
    assert record["is_partial"] is False
    assert record["steps"]["measure"]["done"] == 24


def test_receipts_record_what_ran_with_what(tiny_run: RunResult) -> None:
    path = next((tiny_run.screen.path / "receipts" / "measure").rglob("A01.json"))
    receipt = json.loads(path.read_text())
    assert receipt["status"] == "done"
    families = ("shape", "intensity", "location", "neighbors", "correlation")
    versions = dict.fromkeys(families, "1")
    assert receipt["parameters"] == {"preset": "minimal", "families": [], "versions": versions}
    assert receipt["seconds"] > 0
    assert len(receipt["key"]) == 32
