"""The step that judges the rules of cell quality over the screen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from phenoprint.pipeline.steps.base import Outcome, Scope, Step, Unit
from phenoprint.store import hash_key

if TYPE_CHECKING:
    from phenoprint.pipeline.config import ScreenConfig
    from phenoprint.pipeline.context import Context

__all__ = ["JudgeCellRules"]


class JudgeCellRules(Step):
    """Find the cell rules that would remove what a treatment does; these flag cells and leave none out."""

    name = "judge_cell_rules"
    title = "Cell rules"
    scope = Scope.SCREEN
    needs = ("cell_quality_preview",)
    tables = ("cell_rule",)

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return whether rules may be set aside."""
        return {"protect": config.cell_quality.protect_phenotypes}

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Compare the share of cells that each rule flags among treatments and controls, over all plates."""
        from phenoprint.profiles import judge_cell_rules

        rules = judge_cell_rules(context.table("cell_quality_preview").collect())
        protects = context.config.cell_quality.protect_phenotypes
        is_applied = ~pl.col("is_phenotypic").fill_null(value=False) | pl.lit(not protects)
        rules = rules.with_columns(is_applied=is_applied)
        # Plates are aggregated again only where the verdict on a rule is another one.
        verdicts = rules.select("rule", "is_applied").rows()
        return Outcome({"cell_rule": rules}, digest=hash_key(verdicts))
