"""Answers are made again from well profiles alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from phenoprint.errors import ConfigError
from phenoprint.pipeline import parse_config, run_screen, screen_state
from phenoprint.pipeline.analyse import analyse_screen, answers
from phenoprint.pipeline.events import Event, Message
from phenoprint.pipeline.plan import schedule_of
from phenoprint.store import open as open_screen


def configure(screen: Path, text: str) -> None:
    """Add lines to the configuration of a screen."""
    with (screen / "screen.toml").open("a", encoding="utf-8") as file:
        file.write(text)


def test_without_images_only_what_follows_from_the_profiles_runs(
    own_screen: Path, tmp_path: Path, call: Callable[..., tuple[int, str, str]]
) -> None:
    configure(own_screen, "\n[evaluation]\nnull_size = 300\n")
    before = open_screen(own_screen).table("cell").collect()
    for name in ("masks", "thumbnails", "illumination"):
        (own_screen / name).rename(tmp_path / name)
    code, out, _ = call("analyse", own_screen, "--workers", 1, "--no-report", "--json")
    assert code in (0, 3), out
    screen = open_screen(own_screen)
    assert screen.incomplete is None
    done = {step for step, *_ in _done(out)}
    assert "activity" in done
    assert done <= answers(schedule_of(screen))
    assert screen.table("cell").collect().equals(before)
    for name in ("masks", "thumbnails", "illumination"):
        (tmp_path / name).rename(own_screen / name)
    # A run afterwards repeats nothing.
    again = run_screen(own_screen, workers=1)
    assert not any(count.done for name, count in again.summary.steps.items() if name != "gallery")


def _done(out: str) -> list[tuple[str, int]]:
    steps = json.loads(out)["steps"]
    return [(name, count["done"]) for name, count in steps.items() if count["done"]]


def test_changed_options_of_images_are_reported_and_not_followed(own_screen: Path) -> None:
    text = (own_screen / "screen.toml").read_text(encoding="utf-8")
    assert parse_config(text).cell_quality.exclude_border_cells
    configure(own_screen, "\n[cell_quality]\nexclude_border_cells = false\n")
    events: list[Event] = []
    analyse_screen(own_screen, workers=1, on_event=events.append)
    warnings = [event.text for event in events if isinstance(event, Message)]
    assert any("the configuration of aggregate has changed" in text for text in warnings)
    assert screen_state(open_screen(own_screen)).changed


def test_a_folder_without_profiles_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no well profiles"):
        analyse_screen(tmp_path)


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nosuch does not exist"):
        analyse_screen(tmp_path / "nosuch")
