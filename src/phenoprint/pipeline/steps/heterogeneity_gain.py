"""Step: whether the columns of distributions help to find activity, replicates and mechanisms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from phenoprint.pipeline.phenotypes import keep_parameter
from phenoprint.pipeline.steps.base import Outcome, Scope, Step, Unit
from phenoprint.pipeline.wellprofiles import WellProfiles
from phenoprint.tables import PERTURBATION, PLATE

if TYPE_CHECKING:
    from phenoprint.pipeline.config import ScreenConfig
    from phenoprint.pipeline.context import Context

__all__ = ["HeterogeneityGain"]

_SCORED_WELLS = 2_500  # more would take time and memory, and hardly change the scores


class HeterogeneityGain(Step):
    """Score the selected profiles with and without the columns of distributions."""

    name = "heterogeneity_gain"
    title = "Gain by distributions"
    scope = Scope.SCREEN
    needs = ("profile_selected", "profile_heterogeneity", "exclusion")
    tables = ("heterogeneity_gain",)

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return which features count as phenotypes, and the seed."""
        return {"seed": config.evaluation.seed, **keep_parameter(config)}

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Compare on all wells, or on the wells of some plates that share treatments if there are many."""
        from phenoprint.evaluation import column_gain, drawn_plates

        if not context.holds("profile_heterogeneity"):
            return Outcome()
        seed = context.config.evaluation.seed
        given = WellProfiles.of(context, "profile_selected")
        wells = given.wells
        if wells.height > _SCORED_WELLS:
            drawn = drawn_plates(wells, [PERTURBATION], PLATE, max_wells=_SCORED_WELLS, seed=seed)
            wells = wells.filter(pl.col(PLATE).is_in(drawn)) if drawn else wells
        plates = wells[PLATE].unique().to_list()
        columns = context.table("profile_heterogeneity").filter(pl.col(PLATE).is_in(plates)).collect()
        return Outcome({"heterogeneity_gain": column_gain(given.read(wells), columns, seed=seed)})
