"""The last lines of the demo."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from phenoprint.pipeline import RunResult, SimulatedScreen


def test_the_last_lines_can_be_copied_whatever_the_width(
    tiny_run: RunResult,
    tiny_images: SimulatedScreen,
    call: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    folder = tmp_path / ("a folder with a long name " * 4).strip()
    simulated = SimpleNamespace(config=folder / "screen.toml", truth=tiny_images.truth)
    monkeypatch.setattr("phenoprint.pipeline.simulate_screen", lambda *_, **__: simulated)
    monkeypatch.setattr("phenoprint.pipeline.run_screen", lambda *_, **__: tiny_run)
    monkeypatch.setattr("phenoprint.report.write_report", lambda _: folder / "index.html")
    code, out, _ = call("demo", "--tiny", "-o", folder)
    lines = {line.partition(" ")[0]: line.partition(" ")[2].strip() for line in out.splitlines()}
    assert code in {0, 3}
    assert lines["report"] == str(folder / "index.html")
    asked = shlex.split(lines["query"])
    assert asked[:3] == ["phenoprint", "query", str(tiny_run.screen.path)]
    assert call(*asked[1:])[0] == 0


@pytest.mark.parametrize(
    ("options", "reason"),
    [(["--tiny", "--design", "null"], "--tiny draws one plate"), (["--design", "batch"], "at least two plates")],
)
def test_designs_that_cannot_be_drawn_are_refused_before_anything_is_written(
    call: Callable[..., tuple[int, str, str]], tmp_path: Path, options: list[str], reason: str
) -> None:
    code, _, problem = call("demo", *options, "-o", tmp_path / "demo")
    assert code == 2
    assert reason in " ".join(problem.split())
    assert not (tmp_path / "demo").exists()
