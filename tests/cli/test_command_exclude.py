"""``phenoprint exclude``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from phenoprint.store import Screen, create

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def screen(tmp_path: Path) -> Screen:
    made = create(tmp_path / "screen")
    made.write("well", pl.DataFrame({"Metadata_Plate": ["P1"] * 2, "Metadata_Well": ["A01", "B03"]}))
    return made


def test_a_well_is_excluded_listed_and_taken_back(call: Call, screen: Screen) -> None:
    code, out, err = call("exclude", screen.path, "P1", "b3", "--reason", "hair :x: [red]")
    assert (code, err) == (0, "")
    assert "excluded  P1 B03: hair :x: [red]" in out
    assert "run the screen again to apply: phenoprint run" in out
    code, out, _ = call("exclude", screen.path, "P1", "B03", "--reason", "again")
    assert code == 0
    assert "already excluded  P1 B03: hair" in out
    assert "run the screen again" not in out
    code, out, _ = call("exclude", screen.path, "--list")
    assert "B03" in out
    code, out, _ = call("exclude", screen.path, "P1", "B3", "--undo", "--json")
    assert code == 0
    record = json.loads(out)
    assert [row["Metadata_Well"] for row in record["removed"]] == ["B03"]
    assert record["everything"] == []
    assert "nothing is excluded" in call("exclude", screen.path, "--list")[1]


def test_a_list_is_excluded_at_once(call: Call, screen: Screen, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("Plate,Well,Reason\nP1,A1,dust\nP1,B3,\n")
    code, _, err = call("exclude", screen.path, "--from", tmp_path / "bad.csv")
    assert code == 2
    assert "P1 B03: give a reason" in err
    code, out, _ = call("exclude", screen.path, "--from", tmp_path / "bad.csv", "--reason", "by eye", "--json")
    assert code == 0
    assert [row["reason"] for row in json.loads(out)["added"]] == ["dust", "by eye"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--list"),
        (("P1", "--list"), "--list"),
        (("P1", "B4", "-r", "x"), "unknown well 'B04' of plate P1"),
        (("P2", "-r", "x"), "unknown plate 'P2'"),
        (("P1", "A1"), "give a reason"),
    ],
)
def test_wrong_calls_are_usage_errors(call: Call, screen: Screen, arguments: tuple[str, ...], message: str) -> None:
    code, out, err = call("exclude", screen.path, *arguments)
    assert code == 2
    assert message in err
    assert not out
