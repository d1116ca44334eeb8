"""Plate acceptance as a step: its place in a run, what it reads, and that it stops no run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from phenoprint.pipeline import RunResult, run_screen
from phenoprint.pipeline.config import parse_config
from phenoprint.pipeline.schedule import Schedule
from phenoprint.pipeline.steps import STEPS
from phenoprint.pipeline.steps.acceptance import PlateAcceptance, _order
from phenoprint.store import hash_key


def test_plates_are_judged_before_anything_pools_them() -> None:
    schedule = Schedule.of(STEPS)
    order = [step.name for step in schedule.steps]
    assert order.index("plate_acceptance") < order.index("learn_states") < order.index("recipe")
    for step in STEPS:
        judged = "plate_acceptance" in schedule.depends_on[step.name]
        upstream = step.name in {"flag_images", "flag_cells", "judge_cell_rules", "aggregate", "plate_acceptance"}
        assert judged == ("exclusion" in step.needs and not upstream), step.name


@pytest.mark.parametrize(
    ("given", "level"),
    [
        ({"image"}, "profile_well"),
        ({"cell", "profile_selected"}, "profile_well"),
        ({"profile_normalized"}, "profile_normalized"),
        ({"profile_selected", "profile_normalized"}, "profile_normalized"),
        ({"profile_selected"}, "profile_selected"),
    ],
)
def test_imported_profiles_are_judged_at_their_lowest_level(given: set[str], level: str) -> None:
    assert PlateAcceptance().needed(given)[0] == level


@pytest.mark.parametrize(
    "change", ["exclude_failed = true", 'never_exclude = ["ssmd:*"]', "cells = [20, 5]", "significance = 0.05"]
)
def test_the_section_is_part_of_the_key(change: str) -> None:
    texts = ("", f"[plate_acceptance]\n{change}")
    before, after = (PlateAcceptance().parameters(parse_config(f'screen.name = "s"\n{text}')) for text in texts)
    assert hash_key(before) != hash_key(after)


def test_a_run_judges_its_plate(tiny_run: RunResult) -> None:
    checks = tiny_run.screen.table("plate_acceptance").collect()
    assert checks["criterion"].is_duplicated().sum() == 0
    assert {"edge_cell_count", "gradient_profile", "control_drift_profile", "replicate_profile"} <= set(
        checks["criterion"]
    )
    assert not checks["is_excluded"].any()
    assert checks.filter(pl.col("verdict").is_null())["reason"].null_count() == 0


class Fake:
    """A screen with an image table and wells of three plates."""

    def __init__(self, times: dict[str, list[int]]) -> None:
        rows = [(plate, time) for plate, own in times.items() for time in own]
        schema = {"Metadata_Plate": pl.String, "mtime_ns": pl.Int64}
        self.tables = {
            "image": pl.DataFrame(rows, schema=schema, orient="row"),
            "well": pl.DataFrame({"Metadata_Plate": ["P1", "P2", "P3"]}),
        }

    def table(self, name: str) -> pl.LazyFrame:
        return self.tables[name].lazy()


def test_plates_are_in_the_order_of_their_files_where_these_are_apart() -> None:
    apart: Any = Fake({"P1": [70, 80, 90], "P2": [10, 20], "P3": [40, 50]})
    assert _order(apart) == (["P2", "P3", "P1"], "order in which their image files were written")
    mixed: Any = Fake({"P1": [10, 90], "P2": [20, 80], "P3": [30, 70]})
    assert _order(mixed) == (["P1", "P2", "P3"], "order of their names")
    unknown: Any = Fake({"P1": [1], "P2": [2]})
    assert _order(unknown)[1] == "order of their names"


def test_a_verdict_that_cannot_be_made_stops_no_run(own_screen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no verdict")

    monkeypatch.setattr(PlateAcceptance, "run", fail)
    config = own_screen / "screen.toml"
    config.write_text(config.read_text() + "[plate_acceptance]\ncells = [20, 5]\n")
    result = run_screen(own_screen, workers=1)
    assert result.is_partial
    assert result.screen.status().failures["step"].to_list() == ["plate_acceptance"]
    assert result.screen.table("activity").collect().height
