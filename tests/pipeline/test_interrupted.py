"""Runs that are killed or stopped: the screen is reported as incomplete, and the next run completes it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from phenoprint.pipeline import RunResult, SimulatedScreen, run_screen, screen_state, verify_screen
from phenoprint.report import render_report
from phenoprint.store import incomplete
from phenoprint.store import open as open_screen

from .test_runner import assert_same_tables

Call = Callable[..., tuple[int, str, str]]
# Ends the process without a word once a step has put its tables into place.
KILL_AFTER = """
import os, signal, sys
from pathlib import Path
from phenoprint.pipeline import engine, run_screen
settle = engine.Engine._settle
def settle_and_die(self, step):
    settle(self, step)
    if step.name == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)
engine.Engine._settle = settle_and_die
run_screen(Path(sys.argv[1]), workers=1)
"""
posix = pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX; Windows has no like of it")


def group_lives(number: int) -> bool:
    """Whether any process of a group is left."""
    try:
        os.killpg(number, 0)
    except ProcessLookupError:
        return False
    return True


def temporaries(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if "part-tmp" in path.name or path.suffix == ".arrow"]


@posix
def test_a_run_killed_between_cells_and_profiles_is_reported_until_it_is_repeated(
    tiny_run: RunResult, own_screen: Path, call: Call, tmp_path: Path
) -> None:
    config = own_screen / "screen.toml"
    asked = config.read_text()
    config.write_text(asked + '\n[illumination]\nmethod = "none"\n')
    ended = subprocess.run([sys.executable, "-c", KILL_AFTER, str(own_screen), "measure"], check=False)
    assert ended.returncode == -signal.SIGKILL

    screen = open_screen(own_screen)
    assert "was stopped" in (screen.incomplete or "")
    state = screen_state(screen)
    assert not state.is_whole
    assert state.changed == []
    stale = set(state.wrong["step"])
    assert {"aggregate", "recipe", "mechanisms"} <= stale
    assert not stale & {"illumination", "segment", "measure"}
    counts = dict(state.steps.select("step", "stale").iter_rows())
    assert counts["aggregate"] == 1
    assert counts["measure"] == 0
    verification = verify_screen(screen, sample=0.0)
    assert not verification.holds
    assert set(verification.stale["step"]) == stale
    code, out, err = call("query", own_screen, "SELECT 1 AS one", "--json")
    assert (code, json.loads(out)) == (0, [{"one": 1}])
    assert "incomplete" in err
    for command in (["export", own_screen, "-o", tmp_path / "out", "--level", "5"], ["report", own_screen]):
        code, out, err = call(*command, "--json")
        assert (code, "incomplete  the run that began" in err, "incomplete" in out) == (0, True, False), command
    code, out, _ = call("status", own_screen)
    assert (code, "incomplete" in out) == (3, True)
    reported = json.loads(call("status", own_screen, "--json")[1])
    assert reported["incomplete"] == screen.incomplete
    assert reported["is_whole"] is False
    assert "This screen is incomplete" in render_report(screen)

    config.write_text(asked)
    again = run_screen(own_screen, workers=1)
    assert incomplete(own_screen) is None
    assert screen_state(screen).is_whole
    assert verify_screen(screen).holds
    assert "This screen is incomplete" not in render_report(screen)
    assert_same_tables(tiny_run.screen, again.screen)
    assert temporaries(own_screen) == []


def test_a_changed_configuration_is_no_damage(own_screen: Path, call: Call) -> None:
    config = own_screen / "screen.toml"
    config.write_text(config.read_text() + '\n[profiles]\nstatistic = "mean"\n')
    state = screen_state(open_screen(own_screen))
    assert state.is_whole
    assert state.changed == ["screen.toml"]
    assert "aggregate" in set(state.to_run["step"])
    assert "measure" not in set(state.to_run["step"])
    reasons = dict(state.to_run.select("step", "reason").iter_rows())
    assert reasons["aggregate"] == "parameters changed: statistic"
    assert reasons["consensus"] == "made from an earlier state of: plate_acceptance, recipe"
    code, out, _ = call("status", own_screen)
    assert code == 0
    assert "screen.toml has changed since the run; these steps would run again: aggregate" in out


def test_a_damaged_record_of_the_run_is_an_incomplete_screen(own_screen: Path) -> None:
    record = own_screen / "receipts" / "run.json"
    whole = record.read_bytes()
    flipped = whole.replace(b'"blocked": 0', b'"blocked": 1', 1)
    assert flipped != whole
    for content in (b"", b"{", b"[]", b"{}", b'{"configuration": 3}', b"\xff", flipped):
        record.write_bytes(content)
        assert "damaged" in (incomplete(own_screen) or ""), content
        state = screen_state(open_screen(own_screen))
        assert (state.is_whole, state.wrong.height) == (False, 0)
    record.unlink()
    assert incomplete(own_screen) is not None
    verification = verify_screen(open_screen(own_screen))
    assert (verification.holds, verification.stale.height, verification.wells_replayed) == (False, 0, 1)
    again = run_screen(own_screen, workers=1)
    assert incomplete(own_screen) is None
    assert sum(count.done for count in again.summary.steps.values()) == 0


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows ends processes without a signal")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_stop_a_run_with_a_message_and_leave_no_lock_and_no_worker(
    tiny_images: SimulatedScreen, tmp_path: Path, number: signal.Signals
) -> None:
    folder = tmp_path / "stopped"
    command = [sys.executable, "-m", "phenoprint.cli.app", "run", str(tiny_images.config), "-o", str(folder), "-j", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 120
    while not list((folder / "receipts" / "quality").glob("*/*.json")) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, number)  # as a terminal and some schedulers do
    _, text = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped; finished work is kept" in text
    assert "Traceback" not in text
    assert not (folder / "screen.lock.json").exists()
    assert "was stopped" in (incomplete(folder) or "")
    while group_lives(process.pid) and time.monotonic() < deadline:  # of the workers, and of what tracks them
        time.sleep(0.05)
    assert not group_lives(process.pid)
