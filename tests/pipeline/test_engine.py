"""The engine on steps made for it: keys, blocking, retries, dead workers, dropped wells."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from phenoprint.errors import DataError
from phenoprint.pipeline import parse_config
from phenoprint.pipeline.context import Context
from phenoprint.pipeline.engine import Engine, RunSummary
from phenoprint.pipeline.executors import ProcessExecutor, SerialExecutor
from phenoprint.pipeline.steps.base import Outcome, Scope, Step, Unit
from phenoprint.store import create
from phenoprint.store import open as open_screen

WELLS = ["A01", "A02", "A03"]


class Make(Step):
    """Write one row of `image_metric` per well; a file in the screen folder makes it fail instead."""

    name = "make"
    title = "Make"
    scope = Scope.WELL
    needs = ("image",)
    tables = ("image_metric",)

    def parameters(self, config: Any) -> Mapping[str, Any]:
        return {"preset": config.features.preset}

    def run(self, unit: Unit, context: Context) -> Outcome:
        order = context.path / f"order_{unit.well}"
        if order.exists():
            match order.read_text():
                case "data":
                    raise DataError("the file is bad")
                case "machine":
                    raise OSError("the network is gone")
                case "die":
                    os._exit(9)
        row = {
            "Metadata_Plate": unit.plate,
            "Metadata_Well": unit.well,
            "Metadata_Site": "1",
            "Metadata_Channel": "DNA",
            "mean": 1.0,
        }
        return Outcome({"image_metric": pl.DataFrame([row])})


class Sum(Step):
    """Count the wells of a plate."""

    name = "sum"
    title = "Sum"
    scope = Scope.PLATE
    needs = ("image_metric",)
    tables = ("nucleus_size",)

    def run(self, unit: Unit, context: Context) -> Outcome:
        count = context.table("image_metric").select(pl.len()).collect().item()
        row = {"Metadata_Plate": unit.plate, "nucleus_diameter_px": float(count), "n_fields": count}
        return Outcome({"nucleus_size": pl.DataFrame([row])})


class Follow(Sum):
    """A step of wells that needs the sum of the plate."""

    name = "follow"
    scope = Scope.WELL
    needs = ("nucleus_size",)
    tables = ()

    def run(self, unit: Unit, context: Context) -> Outcome:
        return Outcome()


def image_table(hashes: Mapping[str, str]) -> pl.DataFrame:
    rows = [
        {
            "Metadata_Plate": "P",
            "Metadata_Well": well,
            "Metadata_Site": "1",
            "Metadata_Channel": "DNA",
            "path": f"{well}.tif",
            "hash": digest,
            "status": "ok",
        }
        for well, digest in hashes.items()
    ]
    return pl.DataFrame(rows)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    screen = create(tmp_path / "screen", config_text='screen.name = "s"\nimages.root = "."\n')
    screen.write("image", image_table(dict.fromkeys(WELLS, "h")))
    screen.write("well", pl.DataFrame([{"Metadata_Plate": "P", "Metadata_Well": well} for well in WELLS]))
    return screen.path


def run(folder: Path, *, preset: str = "minimal", workers: int = 1, retry_failed: bool = False) -> RunSummary:
    config = parse_config(f'screen.name = "s"\nimages.root = "."\nfeatures.preset = "{preset}"\n')
    context = Context(folder, config, folder, ("DNA",))
    with SerialExecutor() if workers == 1 else ProcessExecutor(workers) as executor:
        return Engine(context, executor, retry_failed=retry_failed).run([Make(), Sum(), Follow()])


def done(summary: RunSummary) -> tuple[int, int, int]:
    return summary.steps["make"].done, summary.steps["sum"].done, summary.steps["follow"].done


def stored(folder: Path) -> list[str]:
    return open_screen(folder).table("image_metric").collect()["Metadata_Well"].sort().to_list()


def test_everything_once_and_then_nothing(folder: Path) -> None:
    assert done(run(folder)) == (3, 1, 3)
    assert done(run(folder)) == (0, 0, 0)
    assert stored(folder) == WELLS


def test_parameter_reaches_all_that_depends_on_it(folder: Path) -> None:
    run(folder)
    assert done(run(folder, preset="cell-painting-fast")) == (3, 1, 3)


def test_changed_content_runs_one_well_and_what_covers_it(folder: Path) -> None:
    run(folder)
    open_screen(folder).write("image", image_table({"A01": "h", "A02": "new", "A03": "h"}))
    assert done(run(folder)) == (1, 1, 3)


def test_vanished_well_leaves_the_tables(folder: Path) -> None:
    run(folder)
    open_screen(folder).write("image", image_table({"A01": "h", "A03": "h"}))
    run(folder)
    assert stored(folder) == ["A01", "A03"]


def test_failure_on_data_waits_for_the_user_and_others_continue(folder: Path) -> None:
    run(folder)
    (folder / "order_A02").write_text("data")
    summary = run(folder, preset="cell-painting-fast")
    assert summary.is_partial
    assert summary.steps["make"].failed == 1
    assert stored(folder) == ["A01", "A03"], "rows of an earlier success must not remain for a failed well"
    (folder / "order_A02").unlink()
    assert done(run(folder, preset="cell-painting-fast")) == (0, 0, 0)
    healed = run(folder, preset="cell-painting-fast", retry_failed=True)
    assert healed.steps["make"].done == 1
    assert not healed.is_partial
    assert stored(folder) == WELLS


def test_failure_of_the_machine_is_tried_again(folder: Path) -> None:
    (folder / "order_A02").write_text("machine")
    assert run(folder).steps["make"].failed == 1
    failure = open_screen(folder).status().failures.row(0, named=True)
    assert failure["error"] == "OSError"
    assert "the network is gone" in failure["message"]
    (folder / "order_A02").unlink()
    assert run(folder).steps["make"].done == 1


def test_nothing_runs_on_top_of_nothing(folder: Path) -> None:
    for well in WELLS:
        (folder / f"order_{well}").write_text("data")
    summary = run(folder)
    assert summary.steps["make"].failed == 3
    assert summary.steps["sum"].blocked == 1
    assert summary.steps["follow"].blocked == 3


@pytest.mark.slow
def test_unit_that_kills_its_worker_is_recorded_and_the_rest_is_done(folder: Path) -> None:
    (folder / "order_A02").write_text("die")
    summary = run(folder, workers=2)
    assert (summary.steps["make"].done, summary.steps["make"].failed) == (2, 1)
    failure = open_screen(folder).status().failures.row(0, named=True)
    assert failure["error"] == "WorkerDied"
    assert "memory" in failure["message"]


def test_receipt_is_withdrawn_while_results_are_replaced(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run killed between table and receipt must not leave the old receipt beside the new table."""
    from phenoprint.pipeline import work

    run(folder)
    with monkeypatch.context() as patch:
        patch.setattr(work, "write_receipt", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(folder, preset="cell-painting-fast")
    assert done(run(folder))[0] >= 1


@pytest.mark.parametrize("kills", [1, 2, 3])
def test_a_run_killed_while_a_merged_file_takes_its_place_computes_nothing_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kills: int
) -> None:
    """The receipt of the file lists both what it holds and what it replaces."""
    run(folder)
    open_screen(folder).write("image", image_table({"A01": "h", "A02": "new", "A03": "h"}))
    with monkeypatch.context() as patch:
        patch.setattr("phenoprint.store.parts.replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        for _ in range(kills):
            with pytest.raises(KeyboardInterrupt):
                run(folder)
    assert done(run(folder)) == (0, 1, 3)
    assert stored(folder) == WELLS
    assert done(run(folder)) == (0, 0, 0)


def test_a_damaged_part_of_a_killed_run_is_computed_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Engine, "_settle", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(folder)
    part = next((folder / "parts").rglob("A02.arrow"))
    part.write_bytes(part.read_bytes()[:20])
    assert done(run(folder))[0] >= 1
    assert stored(folder) == WELLS
    assert not list((folder / "parts").rglob("*.arrow"))


def test_plate_results_go_with_the_plate_that_fails(folder: Path) -> None:
    run(folder)
    assert open_screen(folder).table("nucleus_size").collect().height == 1
    for well in WELLS:
        (folder / f"order_{well}").write_text("data")
    run(folder, preset="cell-painting-fast")
    assert open_screen(folder).table("nucleus_size").collect().is_empty()


def test_vanished_well_takes_its_receipts_along(folder: Path) -> None:
    run(folder)
    open_screen(folder).write("image", image_table({"A01": "h", "A03": "h"}))
    run(folder)
    assert sorted(path.stem for path in (folder / "receipts" / "make").rglob("*.json")) == ["A01", "A03"]


class Stray(Make):
    """Returns a table and a column that it does not declare."""

    def run(self, unit: Unit, context: Context) -> Outcome:
        given = super().run(unit, context).tables["image_metric"]
        return Outcome({"image_metric": given.with_columns(Metadata_stray=1), "score": pl.DataFrame()})


def test_a_step_that_returns_more_than_it_declares_fails(folder: Path) -> None:
    config = parse_config('screen.name = "s"\nimages.root = "."\n')
    with SerialExecutor() as executor:
        engine = Engine(Context(folder, config, folder, ("DNA",)), executor)
        engine.run([Stray()])
    assert {reason for _, _, reason in engine.failures} == {
        "failed: step make returned what it does not declare: score, image_metric.Metadata_stray"
    }


def test_failures_are_reported_with_their_reasons(folder: Path) -> None:
    (folder / "order_A02").write_text("data")
    config = parse_config('screen.name = "s"\nimages.root = "."\nfeatures.preset = "minimal"\n')
    with SerialExecutor() as executor:
        engine = Engine(Context(folder, config, folder, ("DNA",)), executor)
        engine.run([Make(), Sum(), Follow()])
    assert [(step, unit.well, reason) for step, unit, reason in engine.failures] == [
        ("make", "A02", "failed: the file is bad")
    ]
