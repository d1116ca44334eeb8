"""Step: which mechanism each treatment has, and how well that can be found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from phenoprint.pipeline.phenotypes import keep_parameter
from phenoprint.pipeline.steps.base import Outcome, Scope, Step, Unit
from phenoprint.store import ledger_rows

if TYPE_CHECKING:
    from phenoprint.pipeline.config import ScreenConfig
    from phenoprint.pipeline.context import Context

__all__ = ["Mechanisms"]


class Mechanisms(Step):
    """Call the mechanism of each active treatment or abstain, and score how well mechanisms are found."""

    name = "mechanisms"
    title = "Mechanisms"
    scope = Scope.SCREEN
    needs = ("profile_consensus", "profile_selected", "activity", "well", "exclusion")
    uses = ("cell_quality",)
    tables = ("moa_call", "moa_prediction", "moa_confusion", "score")
    parts: ClassVar = {"score": "mechanisms"}

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return the coverage, the neighbours, the statistic of profiles by batch and by plate, and the seed."""
        return {
            "mechanisms": config.section("mechanisms"),
            "statistic": config.profiles.consensus,
            "seed": config.evaluation.seed,
            **keep_parameter(config),
        }

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Call mechanisms, then score each protocol beside its baselines."""
        from phenoprint.pipeline.mechanisms import MechanismRun

        made = MechanismRun.of(context)
        calls = made.calls()
        lost = dict(calls.filter(calls["status"] == "no profile").group_by("status").len().iter_rows())
        ledger = ledger_rows(self.name, None, unit_of_count="treatments", n_in=calls.height, lost=lost)
        predictions, confusion, scores = made.evaluation(calls)
        tables = {"moa_call": calls, "moa_prediction": predictions, "moa_confusion": confusion, "score": scores}
        return Outcome(tables, ledger)
