"""What a run prints at its end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from phenoprint.cli.command_run import print_summary
from phenoprint.store import table_files


def scores(n: int, value: float) -> list[dict[str, object]]:
    shared = {"score": "moa_accuracy", "n": n, "n_total": 339, "is_headline": n >= 10}
    return [
        {**shared, "baseline": "none", "value": value, "low": value - 0.1, "high": value + 0.1},
        {**shared, "baseline": "cell_count", "value": 0.2, "low": None, "high": None},
        {**shared, "baseline": "shuffled_labels", "value": 0.1, "low": None, "high": None},
    ]


def test_a_score_is_printed_with_interval_treatments_and_baselines(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary({"wells": 384, "scores": scores(103, 0.893)})
    text = " ".join(capsys.readouterr().out.split())
    assert text == (
        "wells 384 moa accuracy 0.89 [0.79, 0.99] on 103 of 339 treatments, beside cell count 0.20, "
        "shuffled labels 0.10"
    )


def test_a_score_of_too_few_treatments_is_no_headline(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary({"scores": scores(2, 1.0)})
    text = " ".join(capsys.readouterr().out.split())
    assert text == "moa accuracy 2 of 339 treatments, too few for a headline (10 needed)"


def test_a_table_that_cannot_be_read_is_listed_in_one_section_of_the_status(
    own_screen: Path, call: Callable[..., tuple[int, str, str]]
) -> None:
    (file,) = table_files(own_screen, "profile_selected")
    file.write_bytes(file.read_bytes()[:3000])
    code, out, _ = call("status", own_screen)
    assert code == 3
    assert "tables that cannot be read" in out
    assert "out of date or damaged" not in out
