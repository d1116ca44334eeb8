"""The command line: what it prints, in which form, and with which exit code."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from phenoprint.cli.render import ProgressDisplay
from phenoprint.cli.signals import interrupt_on_stop, leave_on_stop
from phenoprint.pipeline import Message, RunResult, SimulatedScreen

Call = Callable[..., tuple[int, str, str]]


def test_query_prints_a_table_csv_json_and_parquet(call: Call, tiny_run: RunResult, tmp_path: Path) -> None:
    screen, sql = tiny_run.screen.path, "SELECT Metadata_Well, has_images FROM well ORDER BY 1 LIMIT 2"
    code, out, _ = call("query", screen, sql)
    assert code == 0
    assert "A01" in out
    assert "2 rows" in out
    _, out, _ = call("query", screen, sql, "--csv")
    assert pl.read_csv(io.StringIO(out)).columns == ["Metadata_Well", "has_images"]
    code, out, _ = call("query", screen, sql, "--json")
    assert json.loads(out) == [
        {"Metadata_Well": "A01", "has_images": True},
        {"Metadata_Well": "A02", "has_images": True},
    ]
    code, out, err = call("query", screen, sql, "--parquet", tmp_path / "x.parquet")
    assert pl.read_parquet(tmp_path / "x.parquet").height == 2
    assert "2 rows" in err
    assert not out


def test_query_without_sql_lists_what_there_is(call: Call, tiny_run: RunResult) -> None:
    _, out, _ = call("query", tiny_run.screen.path, "--json")
    names = {row["table_name"] for row in json.loads(out)}
    assert {"well", "cell", "ledger", "wells_flagged"} <= names
    assert not any(name.startswith(("pg_", "duckdb_", "catalog")) for name in names)


def test_query_from_standard_input(call: Call, tiny_run: RunResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("SELECT 1 AS one"))
    assert json.loads(call("query", tiny_run.screen.path, "-", "--json")[1]) == [{"one": 1}]


def test_misspelt_names_are_corrected_in_the_message(call: Call, tiny_run: RunResult) -> None:
    code, out, err = call("query", tiny_run.screen.path, "SELECT Metadata_Wel FROM well")
    assert code == 2
    assert "Metadata_Well" in err
    assert not out
    code, _, err = call("query", tiny_run.screen.path, "SELECT * FROM wel")
    assert code == 2
    assert "'well'" in err


def test_two_output_forms_are_wrong_usage(call: Call, tiny_run: RunResult) -> None:
    code, _, err = call("query", tiny_run.screen.path, "SELECT 1", "--csv", "--json")
    assert code == 2
    assert "one of" in err


def test_query_cannot_change_a_screen(call: Call, tiny_run: RunResult) -> None:
    code, _, _ = call("query", tiny_run.screen.path, "DROP TABLE well")
    assert code != 0
    assert call("query", tiny_run.screen.path, "SELECT count(*) AS n FROM well", "--json")[1].count("24") == 1


def test_no_screen_there_fails_with_advice(call: Call, tmp_path: Path) -> None:
    code, _, err = call("query", tmp_path / "nothing", "SELECT 1")
    assert code == 1
    assert "phenoprint run" in err


def test_unknown_command_and_option_are_wrong_usage(call: Call, tiny_run: RunResult) -> None:
    assert call("qerry")[0] == 2
    assert call("query", tiny_run.screen.path, "SELECT 1", "--jsn")[0] == 2


def test_wrong_configuration_is_wrong_usage(call: Call, tmp_path: Path) -> None:
    config = tmp_path / "screen.toml"
    config.write_text('[screen]\nname = "x"\n[images]\nrot = "y"\n')
    code, _, err = call("run", config)
    assert code == 2
    assert "did you mean 'root'" in err


def test_status_lists_steps_and_losses(call: Call, tiny_run: RunResult) -> None:
    code, out, _ = call("status", tiny_run.screen.path, "--json")
    state = json.loads(out)
    assert code == 0
    assert {row["step"] for row in state["steps"]} >= {"segment", "measure", "aggregate"}
    assert state["failures"] == []
    assert sum(row["n_lost"] for row in state["lost"]) > 0
    code, out, _ = call("status", tiny_run.screen.path)
    assert "segment" in out


def test_run_again_reports_and_writes_the_report(call: Call, own_screen: Path) -> None:
    code, out, err = call("run", own_screen, "-j", 1, "--json")
    record = json.loads(out)
    assert code == 0
    assert Path(record["report"]).is_file()
    assert record["summary"]["wells_with_profiles"] == 24
    assert all(step["done"] == 0 for step in record["steps"].values())
    assert not err


def test_report_is_written_to_the_given_file(call: Call, tiny_run: RunResult, tmp_path: Path) -> None:
    code, out, _ = call("report", tiny_run.screen.path, "-o", tmp_path / "r.html", "--json")
    assert code == 0
    assert Path(json.loads(out)["report"]) == tmp_path / "r.html"
    assert "<html" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_bad_image_makes_the_run_partial(call: Call, own_images: Callable[[], Path], tmp_path: Path) -> None:
    config = own_images()
    next((config.parent / "images").rglob("A01_s1_DNA.tif")).write_bytes(b"")
    code, out, _ = call("run", config, "-o", tmp_path / "s", "-j", 1, "--no-report")
    assert code == 3
    assert "partial" in out
    code, out, _ = call("status", tmp_path / "s")
    assert "A01_s1_DNA" in out.replace("\n", "") or "empty" in out


def test_init_proposes_a_configuration_that_runs(call: Call, tiny_images: SimulatedScreen, tmp_path: Path) -> None:
    code, out, _ = call("init", tiny_images.images, "--plate-map", tiny_images.plate_map, "-o", tmp_path / "mine")
    assert code == 0
    assert "plate map" in out
    code, out, err = call("init", tiny_images.images, "-o", tmp_path / "mine")
    assert code == 2
    assert "--force" in err
    config = tmp_path / "mine" / "screen.toml"
    config.write_text(config.read_text().replace('# preset = "cell-painting-full"', 'preset = "minimal"'))
    code, out, _ = call("run", tmp_path / "mine", "-j", 1, "--json", "--no-report")
    assert code == 0, out
    assert json.loads(out)["summary"]["wells_with_profiles"] == 24


def test_init_without_images_lists_the_files(call: Call, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    code, _, err = call("init", tmp_path, "-o", tmp_path / "s")
    assert code == 1
    assert "no TIFF, PNG or JPEG file" in err


def test_data_list_show_and_missing_fetch(call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PHENOPRINT_HOME", str(tmp_path))
    rows = json.loads(call("data", "list", "--json")[1])
    assert {"name": "bbbc013", "fetched": False}.items() <= rows[0].items()
    assert json.loads(call("data", "show", "bbbc013", "--json")[1])["files"] == 192
    code, _, err = call("data", "fetch", "bbbc013")
    assert code == 2
    assert "--mirror" in err
    code, _, err = call("data", "fetch", "bbbc31")
    assert code == 2
    assert "did you mean 'bbbc013'" in err


def test_verify_passes_and_then_fails(call: Call, own_images: Callable[[], Path], tmp_path: Path) -> None:
    config = own_images()
    assert call("run", config, "-o", tmp_path / "s", "-j", 1, "--no-report")[0] == 0
    code, out, _ = call("verify", tmp_path / "s", "--sample", 0.1, "--json")
    found = json.loads(out)
    assert (code, found["holds"], found["wells_replayed"], found["files_checked"]) == (0, True, 2, 120)
    image = next((config.parent / "images").rglob("B02_s1_ER.tif"))
    image.write_bytes(image.read_bytes()[:-10] + b"0123456789")
    code, out, _ = call("verify", tmp_path / "s", "--json")
    assert code == 1
    assert [row["path"] for row in json.loads(out)["changed"]] == ["SIM-P01/B02_s1_ER.tif"]


def test_version_and_help(call: Call) -> None:
    assert call("--version")[1].startswith("phenoprint ")
    assert "demo" in call("--help")[1]


def test_numbers_that_json_cannot_hold_become_null(call: Call, tiny_run: RunResult) -> None:
    sql = "SELECT 'inf'::DOUBLE AS a, 'nan'::DOUBLE AS b, 1.5 AS c"
    assert json.loads(call("query", tiny_run.screen.path, sql, "--json")[1]) == [{"a": None, "b": None, "c": 1.5}]


def test_pictures_and_lists_fit_into_csv(call: Call, tiny_run: RunResult) -> None:
    code, out, _ = call("query", tiny_run.screen.path, "SELECT crop, [1, 2] AS l FROM gallery LIMIT 1", "--csv")
    assert code == 0
    row = pl.read_csv(io.StringIO(out)).row(0)
    assert row[0].endswith("bytes>")
    assert row[1] == "[1, 2]"


def test_status_is_partial_after_a_partial_run(call: Call, own_images: Callable[[], Path], tmp_path: Path) -> None:
    config = own_images()
    image = next((config.parent / "images").rglob("A01_s1_DNA.tif"))
    image.write_bytes(image.read_bytes()[:2000])
    assert call("run", config, "-o", tmp_path / "s", "-j", 1, "--no-report")[0] == 3
    assert call("status", tmp_path / "s")[0] == 3


# Sends itself a signal in the middle of the import of the commands.
EARLY = """
import os, signal, sys
class Send:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            os.kill(os.getpid(), int(sys.argv[2]))
sys.meta_path.insert(0, Send())
from phenoprint.cli.app import main
main(["--version"])
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows ends processes without a signal")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("module", ["phenoprint.cli.commands", "typer", "polars", "phenoprint.cli.render"])
def test_a_signal_while_commands_are_imported_ends_with_a_message(number: signal.Signals, module: str) -> None:
    command = [sys.executable, "-c", EARLY, module, str(int(number))]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (130, "")
    assert ended.stderr == "stopped; finished work is kept, and the same command continues it\n"


def test_the_beginning_of_the_command_line_imports_nothing_that_takes_time() -> None:
    code = "import sys; before = set(sys.modules); import phenoprint.cli.app; print(len(set(sys.modules) - before))"
    code += "; assert not {'typer', 'polars', 'rich'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(os.name == "nt", reason="Windows ends processes without a signal")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_whose_exception_is_lost_stops_at_the_next_event(number: signal.Signals) -> None:
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    display = ProgressDisplay(quiet=True)

    class Finalized:
        def __del__(self) -> None:
            signal.raise_signal(number)  # Python drops what is raised in a finalizer

    try:
        leave_on_stop()
        interrupt_on_stop()
        display(Message("one unit"))
        Finalized()
        with pytest.raises(KeyboardInterrupt):
            display(Message("the next unit"))
        leave_on_stop()
        display(Message("another command"))
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


# An interrupt in the middle of a text that is executed, as dataclasses are made while modules are imported.
IN_EXEC = """
import phenoprint.cli.commands as commands
from phenoprint.cli.render import errors
errors.print("begins")
commands.app = lambda **_: exec("raise KeyboardInterrupt")
from phenoprint.cli.app import main
main([])
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows ends processes without a signal")
def test_a_handled_interrupt_ends_with_its_exit_code(tmp_path: Path) -> None:
    (tmp_path / "begin.py").write_text(IN_EXEC)
    command = [sys.executable, "-m", "begin"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr.splitlines()[-1][:8]) == (130, "stopped;")
