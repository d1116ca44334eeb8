"""The public face of the package: names, signatures, weight."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import phenoprint

PUBLIC = [
    "Screen",
    "aggregate",
    "analyse",
    "average_precision",
    "consensus",
    "correct_batch",
    "exclude",
    "find_similar",
    "mean_average_precision",
    "measure",
    "moa_accuracy",
    "normalize",
    "open",
    "read_profiles",
    "replicate_reproducibility",
    "run",
    "segment",
    "select_features",
    "simulate",
]
HEAVY = ["torch", "sklearn", "umap", "numba", "plotly", "skimage", "duckdb", "polars", "pandas", "scipy", "tifffile"]


def test_public_names_are_locked() -> None:
    assert phenoprint.__all__ == PUBLIC
    assert sorted(phenoprint.__all__) == phenoprint.__all__


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_load_and_are_documented(name: str) -> None:
    value = getattr(phenoprint, name)
    assert callable(value)
    assert inspect.getdoc(value)


@pytest.mark.parametrize("name", [name for name in PUBLIC if name != "Screen"])
def test_at_most_three_positional_parameters(name: str) -> None:
    parameters = inspect.signature(getattr(phenoprint, name)).parameters.values()
    positional = [p.name for p in parameters if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}]
    assert len(positional) <= 3, positional


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'normalise'"):
        phenoprint.normalise  # noqa: B018


@pytest.mark.parametrize("name", [name for name in PUBLIC if name != "Screen"])
def test_public_functions_are_plain_functions(name: str) -> None:
    assert inspect.isfunction(getattr(phenoprint, name))


def test_the_version_is_that_of_the_installed_package() -> None:
    assert phenoprint.__version__ == version("phenoprint")
    assert "__version__" in dir(phenoprint)


def test_import_stays_light() -> None:
    code = "import json, sys, phenoprint; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
    assert [name for name in HEAVY if name in loaded] == []


def test_command_line_help_loads_nothing_heavy() -> None:
    code = (
        "import json, sys; from phenoprint.cli.commands import app; "
        "print(json.dumps(sorted(m for m in sys.modules if '.' not in m)))"
    )
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
    assert [name for name in HEAVY if name in loaded and name != "polars"] == []


def test_the_guide_for_additions_names_files_that_exist(project_root: Path) -> None:
    package = Path(phenoprint.__file__).parent
    text = (package / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w/]+\.py)`", text)
    assert len(named) >= 10
    absent = [path for path in named if not ((package / path).is_file() or (project_root / path).is_file())]
    assert absent == []
