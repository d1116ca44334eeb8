"""Steps that make tables for questions: neighbours, feature effects, readouts of wells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import polars as pl

from phenoprint.pipeline.phenotypes import keep_parameter, treatment_profiles
from phenoprint.pipeline.steps.base import Outcome, Scope, Step, Unit
from phenoprint.pipeline.wellprofiles import WellProfiles
from phenoprint.store import concat_ledgers, ledger_rows, strict_join
from phenoprint.tables import PERTURBATION, feature_columns

if TYPE_CHECKING:
    from pathlib import Path

    from phenoprint.pipeline.config import ScreenConfig
    from phenoprint.pipeline.context import Context

__all__ = ["FeatureEffects", "Neighbours", "WellReadouts"]

_EVERY_PART = "*"
_NEIGHBOUR = {
    "Metadata_perturbation": "neighbour",
    "Metadata_compound": "neighbour_compound",
    "Metadata_Concentration": "neighbour_concentration",
    "Metadata_Concentration_Unit": "neighbour_concentration_unit",
    "Metadata_moa": "neighbour_moa",
    "Metadata_pert_type": "neighbour_pert_type",
}


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


class Neighbours(Step):
    """List the treatments that each treatment resembles most."""

    name = "neighbours"
    title = "Neighbours"
    scope = Scope.SCREEN
    needs = ("profile_consensus", "well", "exclusion")
    tables = ("neighbour",)

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return how many are kept of each treatment."""
        return {"k": config.evaluation.neighbours, **keep_parameter(config)}

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Compare every treatment with every other by cosine similarity."""
        from phenoprint.analysis import treatment_neighbours
        from phenoprint.pipeline.explained import describe_treatments

        consensus = treatment_profiles(context)
        found = treatment_neighbours(consensus, PERTURBATION, k=context.config.evaluation.neighbours)
        treatments = describe_treatments(context)
        others = treatments.rename(_NEIGHBOUR)
        named = strict_join(found.table, treatments.drop("Metadata_pert_type"), on=[PERTURBATION], expect="m:1")
        table = strict_join(named, others, on=["neighbour"], expect="m:1").with_columns(
            (pl.col("Metadata_compound") == pl.col("neighbour_compound"))
            .fill_null(value=False)
            .alias("is_same_compound")
        )
        n_in, lost = consensus.height, found.lost_treatments
        ledger = [ledger_rows(self.name, None, unit_of_count="treatments", n_in=n_in, lost=lost)]
        if found.lost_features:
            n_in, lost = len(feature_columns(consensus)), found.lost_features
            ledger.append(ledger_rows(self.name, None, unit_of_count="features", n_in=n_in, lost=lost))
        return Outcome({"neighbour": table}, concat_ledgers(ledger))


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
