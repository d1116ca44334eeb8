"""The examples in the docstrings of the table side."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import phenoprint.analysis
import phenoprint.evaluation
import phenoprint.profiles

MODULES = [
    f"{package.__name__}.{module.name}"
    for package in (phenoprint.profiles, phenoprint.evaluation, phenoprint.analysis)
    for module in pkgutil.iter_modules(package.__path__)
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
