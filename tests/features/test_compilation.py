"""Announcement of the compilation in the first call."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from phenoprint.features import _compilation, measure


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Path:
    """Simulate a new installation: no announcement so far, and an empty cache."""
    monkeypatch.setattr(_compilation, "_announced", set())
    monkeypatch.setattr(_compilation, "_cache_folder", lambda: tmp_path)
    caplog.set_level(logging.INFO, logger="phenoprint")
    return tmp_path


def measure_once() -> None:
    labels = np.ones((5, 5), int)
    measure(np.zeros((1, 5, 5)), {"Nuclei": labels, "Cells": labels}, channels=["A"], preset="minimal")


def test_the_first_call_announces_the_compilation(fresh: Path, caplog: pytest.LogCaptureFixture) -> None:
    measure_once()
    measure_once()
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "compiling the measurement kernels of correlation, intensity, shape, which" in caplog.text
    assert str(fresh) in caplog.text


def test_no_announcement_if_all_kernels_are_on_disk(fresh: Path, caplog: pytest.LogCaptureFixture) -> None:
    for module, kernel in _compilation._KERNELS.values():
        (fresh / f"{module}.{kernel}-12.py311.nbi").touch()
    measure_once()
    assert caplog.records == []


def test_kernels_older_than_their_source_do_not_count(fresh: Path, caplog: pytest.LogCaptureFixture) -> None:
    import os

    for module, kernel in _compilation._KERNELS.values():
        index = fresh / f"{module}.{kernel}-12.py311.nbi"
        index.touch()
        os.utime(index, (0, 0))
    measure_once()
    assert len(caplog.records) == 1


def test_the_cache_folder_is_that_of_numba() -> None:
    measure_once()
    folder = _compilation._cache_folder()
    assert folder is not None
    for name in ("correlation", "intensity", "shape"):
        assert _compilation._is_compiled(folder, *_compilation._KERNELS[name])


def test_no_announcement_without_compilation(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_compilation, "_cache_folder", lambda: None)
    measure_once()
    assert caplog.records == []
