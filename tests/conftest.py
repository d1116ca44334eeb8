"""Fixtures that every test may use."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from phenoprint.pipeline import RunResult, SimulatedScreen

PROJECT = Path(__file__).resolve().parent.parent
SHARED = PROJECT.parent / "shared"

# A suite that passes today passes tomorrow; HYPOTHESIS_PROFILE=explore looks for new examples.
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
hypothesis.settings.register_profile("explore", max_examples=1000, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

# A job in the background ignores SIGINT, and so would the runs that tests stop with it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The lean preset keeps the runs quick; the full one is tested with the features.
LEAN = """
[features]
preset = "minimal"
"""


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The root of the checkout."""
    return PROJECT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real plates; skips where it is absent."""
    root = Path(os.environ.get("PHENOPRINT_DATA", SHARED / "data"))
    if not root.is_dir():
        pytest.skip(f"real data absent: no folder {root}; set PHENOPRINT_DATA to it")
    return root


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """The folder of CellProfiler's own values; skips where it is absent."""
    root = Path(os.environ.get("PHENOPRINT_REFERENCE", SHARED / "reference")) / "cellprofiler"
    if not root.is_dir():
        pytest.skip(f"CellProfiler reference absent: no folder {root}; set PHENOPRINT_REFERENCE to its parent")
    return root


@pytest.fixture(scope="session")
def tiny_images(tmp_path_factory: pytest.TempPathFactory) -> SimulatedScreen:
    """One simulated 24-well plate of images with its plate map and truth; read only."""
    from phenoprint.pipeline import simulate_screen
    from phenoprint.simulation import tiny_design

    simulated = simulate_screen(
        tmp_path_factory.mktemp("tiny") / "tiny", design=tiny_design(seed=1), workers=1, masks=True
    )
    simulated.config.write_text(simulated.config.read_text() + LEAN)
    return simulated


@pytest.fixture(scope="session")
def tiny_run(tiny_images: SimulatedScreen, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """The tiny plate, run with one worker; read only."""
    from phenoprint.pipeline import run_screen

    return run_screen(tiny_images.config, output=tmp_path_factory.mktemp("screens") / "tiny", workers=1)


@pytest.fixture
def own_images(tiny_images: SimulatedScreen, tmp_path: Path) -> Callable[[], Path]:
    """Return a function that copies the tiny plate's images; it returns the copy's configuration."""

    def copy() -> Path:
        target = tmp_path / "own"
        shutil.copytree(tiny_images.folder, target, ignore=shutil.ignore_patterns("truth"))
        return target / tiny_images.config.name

    return copy


@pytest.fixture
def own_screen(tiny_run: RunResult, tmp_path: Path) -> Path:
    """A copy of the finished tiny screen that a test may change."""
    return Path(shutil.copytree(tiny_run.screen.path, tmp_path / "screen"))


@pytest.fixture
def columns(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that gives the terminal a width.

    The variable COLUMNS is not enough: a console that is made while it is set keeps that width for ever.
    """
    from phenoprint.cli.render import console, errors

    def change(width: int) -> None:
        for one in (console, errors):
            monkeypatch.setattr(one, "_width", width)

    return change


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs the command line and gives exit code, standard output and standard error."""
    from phenoprint.cli.app import main

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run
