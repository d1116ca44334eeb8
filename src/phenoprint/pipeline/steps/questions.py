"""Steps that make tables for questions: feature effects, readouts of wells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import polars as pl

from phenoprint.pipeline.phenotypes import keep_parameter
from phenoprint.pipeline.steps.base import Outcome, Scope, Step, Unit
from phenoprint.pipeline.wellprofiles import WellProfiles
from phenoprint.store import concat_ledgers, ledger_rows

if TYPE_CHECKING:
    from pathlib import Path

    from phenoprint.pipeline.config import ScreenConfig
    from phenoprint.pipeline.context import Context

__all__ = ["FeatureEffects", "WellReadouts"]

_EVERY_PART = "*"


def _relative(files: Iterable[Path], context: Context) -> tuple[str, ...]:
    return tuple(path.relative_to(context.path).as_posix() for path in files)


class WellReadouts(Step):
    """Count the cells of each well and measure its distance to the negative controls."""

    name = "well_readouts"
    title = "Well readouts"
    scope = Scope.SCREEN
    needs = ("profile_selected", "exclusion")
    tables = ("readout",)
    parts: ClassVar = {"readout": "default"}

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return which features count as phenotypes."""
        return keep_parameter(config)

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Make the readouts that need no configuration, a plate at a time."""
        from phenoprint.analysis import default_readouts

        ledgers, files = [], []
        for plate, profiles in WellProfiles.of(context, "profile_selected").plates():
            readouts = default_readouts(profiles)
            files += context.screen.write("readout", readouts, plate, part="default")
            missing = readouts.filter((pl.col("readout") == "distance_to_controls") & pl.col("value").is_null())
            lost = dict(missing.group_by("reason").len().sort("reason").iter_rows())
            ledgers.append(ledger_rows(self.name, plate, unit_of_count="wells", n_in=profiles.height, lost=lost))
        return Outcome({}, concat_ledgers(ledgers), _relative(files, context))


class FeatureEffects(Step):
    """Measure which features each treatment changes, by how much and in which direction."""

    name = "feature_effects"
    title = "Feature effects"
    scope = Scope.SCREEN
    needs = ("profile_selected", "well", "exclusion")
    uses = ("profile_normalized",)
    tables = ("feature_effect",)
    parts: ClassVar = {"feature_effect": _EVERY_PART}

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return how many features are kept of each treatment."""
        return {"top": config.evaluation.top_features, **keep_parameter(config)}

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Measure the effects, and write them block by block."""
        from phenoprint.pipeline.effects import EffectRun

        run = EffectRun(context, top=context.config.evaluation.top_features)
        files: list[Path] = []
        for number, rows in enumerate(run.parts()):
            files += context.screen.write("feature_effect", rows, part=f"{number:05d}")
        ledger = ledger_rows(self.name, None, unit_of_count="wells", n_in=run.n_wells, lost=run.lost)
        return Outcome({}, ledger, _relative(files, context))
