"""Step: which treatments act, and whether their replicates agree."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import polars as pl

from phenoprint.pipeline.found_cells import FOUND_COUNT, with_found_cells
from phenoprint.pipeline.phenotypes import keep_parameter, treatment_profiles
from phenoprint.pipeline.recipe import normalizer_packages, recipe_of
from phenoprint.pipeline.recipe_run import RecipeRun
from phenoprint.pipeline.steps.base import Outcome, Scope, Step, Unit
from phenoprint.pipeline.wellprofiles import WellProfiles
from phenoprint.store import ledger_rows
from phenoprint.tables import frame_of

if TYPE_CHECKING:
    from phenoprint.pipeline.config import ScreenConfig
    from phenoprint.pipeline.context import Context

__all__ = ["Activity", "Calibration", "Consistency"]


class Activity(Step):
    """Score which treatments differ from the negative controls, and whether their replicates agree."""

    name = "activity"
    title = "Activity"
    version = 3
    scope = Scope.SCREEN
    needs = ("profile_cross_fitted", "cross_fit", "profile_selected", "exclusion")
    uses = ("cell_quality",)
    tables = ("activity", "replicate_agreement", "replicate_null", "score")
    parts: ClassVar = {"score": "activity"}

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return the null size, the level and the seed."""
        section = config.evaluation
        return {
            "null_size": section.null_size,
            "fdr": section.fdr,
            "seed": section.seed,
            **keep_parameter(config),
        }

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Score each treatment against the negative controls, and its replicates against random groups."""
        from phenoprint.evaluation import PROFILES, activity_beside_baselines, also_controls, grit, replicate_agreement

        section = context.config.evaluation
        given = WellProfiles.of(context, "profile_selected")
        folds = WellProfiles.folds(context)
        counted = [with_found_cells(context, fold.wells)[0] for fold in folds]
        by_baseline, score = activity_beside_baselines(
            counted,
            count=FOUND_COUNT,
            null_size=section.null_size,
            threshold=section.fdr,
            seed=section.seed,
            is_cross_fitted=_is_cross_fitted(context),
            vectors=[partial(fold.vectors, metric="cosine") for fold in folds],
        )
        agreement, null, replicated = replicate_agreement(
            with_found_cells(context, given.wells)[0],
            active=by_baseline,
            grit=grit(
                [fold.wells for fold in folds],
                seed=section.seed,
                vectors=[partial(fold.vectors, metric="pearson") for fold in folds],
            ),
            count=FOUND_COUNT,
            seed=section.seed,
            vectors=partial(given.vectors, metric="pearson"),
        )
        lost = {
            "the treatment is a negative control in other wells, and counts as one": also_controls(given.wells).height
        }
        ledger = ledger_rows(self.name, None, unit_of_count="wells", n_in=given.wells.height, lost=lost)
        tables = {
            "activity": by_baseline[PROFILES],
            "replicate_agreement": agreement,
            "replicate_null": null,
            "score": pl.concat([score, replicated]),
        }
        return Outcome(tables, ledger)


class Calibration(Step):
    """Take negative controls as treatments, to find whether p values of activity hold."""

    name = "calibration"
    title = "Calibration"
    version = 2
    scope = Scope.SCREEN
    needs = ("profile_selected", "well", "exclusion")
    uses = ("profile_well", "profile_normalized")
    tables = ("calibration",)

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return the steps of the recipe, the number of folds, and the seed."""
        recipe = recipe_of(config.profiles)
        return {
            "steps": recipe.to_list(),
            "folds": config.evaluation.folds,
            "seed": config.evaluation.seed,
            **keep_parameter(config),
            **normalizer_packages(recipe),
        }

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Calibrate on some plates."""
        from phenoprint.evaluation import calibration, calibration_plates

        if "profile_selected" in context.given:
            row = {
                "variant": "random",
                "n": 0,
                "cross_fitted": False,
                "status": "selected_before_import",
                "reason": "The profiles were imported after selection: no recipe can be fitted without some controls.",
            }
            return Outcome({"calibration": frame_of("calibration", [row])})
        run = RecipeRun.of(context)
        chosen = set(calibration_plates(WellProfiles.of(context, "profile_selected").wells))
        plates = [run.given[at] for at, name in enumerate(run.plates) if name in chosen]
        if not plates:
            return Outcome({"calibration": frame_of("calibration")})
        section = context.config.evaluation
        table = calibration(plates, run.recipe, n_folds=section.folds, seed=section.seed)
        return Outcome({"calibration": table})


class Consistency(Step):
    """Test whether the active compounds of each mechanism resemble each other."""

    name = "consistency"
    title = "Consistency of mechanisms"
    version = 2
    scope = Scope.SCREEN
    needs = ("profile_consensus", "activity", "exclusion")
    tables = ("consistency", "score")
    parts: ClassVar = {"score": "consistency"}

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return the null size, the level and the seed."""
        section = config.evaluation
        return {
            "null_size": section.null_size,
            "fdr": section.fdr,
            "seed": section.seed,
            **keep_parameter(config),
        }

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Write one row per mechanism."""
        from phenoprint.evaluation import mechanism_consistency

        section = context.config.evaluation
        table, score = mechanism_consistency(
            treatment_profiles(context),
            context.table("activity").collect(),
            null_size=section.null_size,
            threshold=section.fdr,
            seed=section.seed,
        )
        return Outcome({"consistency": table, "score": score})


def _is_cross_fitted(context: Context) -> bool:
    """Whether the controls of each plate were treated like treatments; plates without controls do not matter."""
    has_controls = pl.col("n_fitted") + pl.col("n_held_out") > 0
    plates = context.table("cross_fit").filter(has_controls).select("cross_fitted").collect()
    return bool(plates["cross_fitted"].all())
