"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
SHARED = PROJECT.parent / "shared"


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
