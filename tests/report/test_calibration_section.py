"""The part of the report on whether p values hold."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import polars as pl
import pytest

from phenoprint.report import ReportSource
from phenoprint.report.context import Page
from phenoprint.report.sections.calibration import calibration
from phenoprint.report.source import AbsentError
from phenoprint.tables import frame_of


class Frames:
    """A source of a few frames."""

    name, path = "frames", Path()

    def __init__(self, **frames: pl.DataFrame) -> None:
        self.frames = frames

    def tables(self) -> list[str]:
        return list(self.frames)

    def table(self, name: str) -> pl.LazyFrame:
        return self.frames[name].lazy()


def text_of(rows: list[dict[str, object]], **others: pl.DataFrame) -> str:
    source = cast("ReportSource", Frames(calibration=frame_of("calibration", rows), **others))
    section = calibration(Page(source))
    return f"{section.lead} {section.body}"


def row(variant: str, share: float, status: str, **more: object) -> dict[str, object]:
    interval = {"below_05_low": share / 2, "below_05_high": 2 * share, "below_20": 0.2, "n": 48}
    return {"variant": variant, "below_05": share, "cross_fitted": True, "status": status, **interval, **more}


def test_p_values_that_hold_have_no_warning() -> None:
    found = text_of([row("random", 0.04, "ok"), row("in sample", 0.5, "off", reason="far off")])
    assert "4 % have p < 0.05" in found
    assert "do not hold" not in found


def test_p_values_that_do_not_hold_are_a_warning() -> None:
    found = text_of([row("same position", 0.3, "off", reason="30% of the groups have p < 0.05")])
    assert "P values of this screen do not hold (same position: 30% of the groups have p &lt; 0.05)" in found


def test_few_groups_and_position_are_noted() -> None:
    found = text_of([row("random", 0.0, "ok", n=6, position_p_value=0.001)])
    assert "Only 6 groups of controls" in found
    assert "judged against such controls" in found
    assert "not known: No plate has" in text_of(
        [{"variant": "random", "n": 0, "status": "too few controls", "reason": "No plate has enough."}]
    )


def test_statuses_and_baselines_are_listed() -> None:
    activity = frame_of("activity", [{"Metadata_perturbation": n, "status": s} for n, s in (("a", "ok"), ("b", "ok"))])
    score = pl.DataFrame({"score": ["active"] * 2, "baseline": ["none", "plate"], "value": [0.5, 0.0]})
    found = text_of([row("random", 0.04, "ok")], activity=activity, score=score)
    assert "tested against the controls of its plates" in found
    assert "beside baselines" in found


def test_without_the_table_there_is_no_section() -> None:
    with pytest.raises(AbsentError):
        calibration(Page(cast("ReportSource", Frames())))
