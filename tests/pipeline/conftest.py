"""A tiny simulated screen, drawn and run once for all tests of the pipeline."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from phenoprint.pipeline import RunResult, SimulatedScreen, run_screen, simulate_screen
from phenoprint.simulate import tiny_design

# The lean preset keeps the runs quick; the full one is tested with the features.
CONFIG = """
[features]
preset = "minimal"
"""


@pytest.fixture(scope="session")
def tiny_images(tmp_path_factory: pytest.TempPathFactory) -> SimulatedScreen:
    """One 24-well plate of images with its plate map and truth."""
    simulated = simulate_screen(
        tmp_path_factory.mktemp("tiny") / "tiny", design=tiny_design(seed=1), workers=1, masks=True
    )
    simulated.config.write_text(simulated.config.read_text() + CONFIG)
    return simulated


@pytest.fixture(scope="session")
def tiny_run(tiny_images: SimulatedScreen, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """The tiny plate, run with one worker; read only."""
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
