"""A cell rule that would remove what a treatment does leaves no cell out."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from phenoprint.pipeline import parse_config
from phenoprint.pipeline.context import Context
from phenoprint.pipeline.steps import Unit
from phenoprint.pipeline.steps.aggregation import judged_cells
from phenoprint.pipeline.steps.cell_rules import JudgeCellRules
from phenoprint.store import open as open_screen

FLAGGED = pl.col("_reason") == "flagged cell, see cell_quality"


@pytest.mark.parametrize("protects", [True, False])
def test_rules_that_flag_a_phenotype_only_flag(own_screen: Path, protects: bool) -> None:
    screen = open_screen(own_screen)
    text = (own_screen / "screen.toml").read_text(encoding="utf-8")
    config = parse_config(f"{text}\n[cell_quality]\nprotect_phenotypes = {str(protects).lower()}\n")
    context = Context(own_screen, config, own_screen, ())
    plate = screen.table("plate").collect()["Metadata_Plate"][0]
    before = judged_cells(Unit(plate), context).filter(FLAGGED).height
    assert before
    preview = screen.table("cell_quality_preview").collect()
    treated = preview.filter(pl.col("Metadata_perturbation") != "DMSO")["Metadata_perturbation"].drop_nulls()[0]
    is_phenotype = (pl.col("Metadata_perturbation") == treated) & (pl.col("rule") == "small_not_round")
    changed = preview.with_columns(
        n_cells=pl.when(is_phenotype).then(1000).otherwise("n_cells"),
        n_removed=pl.when(is_phenotype).then(600).otherwise("n_removed"),
    )
    screen.write("cell_quality_preview", changed)
    outcome = JudgeCellRules().run(Unit(), context)
    rules = outcome.tables["cell_rule"].filter(rule="small_not_round").row(0, named=True)
    assert (rules["worst"], rules["is_phenotypic"], rules["is_applied"]) == (treated, True, not protects)
    screen.write("cell_rule", outcome.tables["cell_rule"])
    after = judged_cells(Unit(plate), context).filter(FLAGGED).height
    assert (after < before) is protects
