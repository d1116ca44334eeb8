"""Scores of pairs that the user defines in ``screen.toml``."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from phenoprint.errors import ConfigError
from phenoprint.evaluation import average_precision
from phenoprint.pipeline import parse_config
from phenoprint.pipeline.context import Context
from phenoprint.pipeline.steps import Unit
from phenoprint.pipeline.steps.retrieval import Retrieve
from phenoprint.profiles import apply_recipe
from phenoprint.simulation import simulate_profiles
from phenoprint.store import Screen

RULES = """
[retrieval.mechanism]
pos_sameby = ["Metadata_moa"]
pos_diffby = ["Metadata_compound"]
neg_diffby = ["Metadata_moa"]
metric = "correlation"
null_size = 500
fdr = 0.01
"""


def test_rules_of_the_configuration_are_scored(tmp_path: Path) -> None:
    simulated = simulate_profiles("mechanism", n_features=30, n_compounds=12, n_mechanisms=3, n_controls=8)
    profiles = apply_recipe(simulated.wells)[-1].frame
    context = Context(tmp_path, parse_config('screen.name = "p"' + RULES), tmp_path, ())
    for (plate,), rows in profiles.group_by("Metadata_Plate"):
        Screen(tmp_path).write("profile_selected", rows, str(plate))
    outcome = Retrieve().run(Unit(), context)
    found = outcome.tables["retrieval"]
    assert set(found["retrieval"]) == {"mechanism"}
    scored = average_precision(
        profiles, ["Metadata_moa"], ["Metadata_compound"], neg_diffby=["Metadata_moa"], metric="correlation"
    )
    means = scored.group_by("Metadata_moa").agg(pl.col("average_precision").mean()).drop_nulls()
    expected = dict(means.iter_rows())
    for value, score in found.select("value", "mean_average_precision").iter_rows():
        assert score == pytest.approx(expected[value], abs=1e-6)
    assert outcome.ledger is not None
    reasons = outcome.ledger["reason"].drop_nulls().to_list()
    assert any("Metadata_moa is NULL in" in reason for reason in reasons)


def test_without_rules_there_are_no_rows(tmp_path: Path) -> None:
    context = Context(tmp_path, parse_config('screen.name = "p"'), tmp_path, ())
    assert Retrieve().run(Unit(), context).tables["retrieval"].is_empty()


def test_misspelt_rules_are_an_error() -> None:
    with pytest.raises(ConfigError, match="pos_samby"):
        parse_config('screen.name = "p"\n[retrieval.x]\npos_samby = ["Metadata_moa"]')
    with pytest.raises(ConfigError, match="metric"):
        parse_config('screen.name = "p"\n[retrieval.x]\npos_sameby = ["Metadata_moa"]\nmetric = "cosin"')
