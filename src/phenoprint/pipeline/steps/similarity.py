"""Step that compares treatments with each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from phenoprint.pipeline.phenotypes import keep_parameter, treatment_profiles
from phenoprint.pipeline.steps.base import Outcome, Scope, Step, Unit
from phenoprint.store import ledger_rows
from phenoprint.tables import declared_columns

if TYPE_CHECKING:
    from phenoprint.pipeline.config import ScreenConfig
    from phenoprint.pipeline.context import Context

__all__ = ["Neighbours"]


class Neighbours(Step):
    """List the treatments that each treatment resembles most."""

    name = "neighbours"
    title = "Neighbours"
    version = 2
    scope = Scope.SCREEN
    needs = ("profile_consensus", "well", "exclusion")
    tables = ("neighbour",)

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return how many are kept of each treatment."""
        return {"k": config.evaluation.neighbours, **keep_parameter(config)}

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Compare every treatment with every other by cosine similarity."""
        from phenoprint.analysis import nearest_profiles
        from phenoprint.pipeline.explained import describe_treatments
        from phenoprint.pipeline.similar import describe_neighbours

        consensus, treatments = treatment_profiles(context), describe_treatments(context)
        found = nearest_profiles(consensus, k=context.config.evaluation.neighbours)
        table = declared_columns(describe_neighbours(found.table, treatments, treatments), "neighbour")
        ledger = ledger_rows(self.name, None, unit_of_count="treatments", n_in=consensus.height, lost=found.lost)
        return Outcome({"neighbour": table}, ledger)
