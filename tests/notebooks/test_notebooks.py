"""Every notebook runs from top to bottom on a finished screen, or on what it makes itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from phenoprint.pipeline import RunResult

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))
# Needs a real plate: tests/real/test_bbbc013.py runs it.
REAL = ("04_dose_response",)


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the kernel's own dependencies
@pytest.mark.parametrize("path", [p for p in NOTEBOOKS if p.stem not in REAL], ids=lambda path: path.stem)
def test_notebook_runs(path: Path, tiny_run: RunResult, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PHENOPRINT_SCREEN", str(tiny_run.screen.path))
    monkeypatch.delenv("PHENOPRINT_CELLPROFILER", raising=False)
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
    )
    client.execute(env=dict(os.environ))
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert sum("application/vnd.plotly.v1+json" in output.get("data", {}) for output in outputs) >= 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_kept_without_outputs(path: Path) -> None:
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    assert all(not cell.outputs for cell in notebook.cells if cell.cell_type == "code")
