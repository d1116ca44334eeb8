"""Steps that make tables for questions: neighbours, feature effects, readouts of wells, signatures of clusters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import polars as pl

from phenoprint.pipeline.phenotypes import keep_parameter, left_out, phenotypes
from phenoprint.pipeline.steps.base import Outcome, Scope, Step, Unit
from phenoprint.store import concat_ledgers, ledger_rows

if TYPE_CHECKING:
    from pathlib import Path

    from phenoprint.pipeline.config import ScreenConfig
    from phenoprint.pipeline.context import Context

__all__ = ["ClusterSignatures", "FeatureEffects", "Neighbours", "WellReadouts"]

_EVERY_PART = "*"


def _relative(files: Iterable[Path], context: Context) -> tuple[str, ...]:
    return tuple(path.relative_to(context.path).as_posix() for path in files)


class WellReadouts(Step):
    """Count the cells of each well and measure how far it lies from the negative controls."""

    name = "well_readouts"
    title = "Well readouts"
    scope = Scope.SCREEN
    needs = ("profile_selected", "exclusion")
    tables = ("readout",)
    parts: ClassVar = {"readout": "default"}

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return which features are kept whatever they are."""
        return keep_parameter(config)

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Make the readouts that need no configuration, a plate at a time."""
        from phenoprint.analysis import default_readouts

        schema = context.table("profile_selected").collect_schema()
        nuisance = list(left_out(context, "profile_selected", schema.names()))
        about = context.profiles("profile_selected", columns="^Metadata_Plate$|^Metadata_Well$")
        ledgers, files = [], []
        for plate in about["Metadata_Plate"].unique().sort():
            profiles = context.profiles("profile_selected", plate=plate, schema=schema)
            readouts = default_readouts(profiles.drop(nuisance))
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
        """Compare all treatments with all by cosine similarity."""
        from phenoprint.pipeline.explained import describe_treatments
        from phenoprint.pipeline.neighbours import neighbours

        consensus = phenotypes(context, "profile_consensus")
        table, ledger = neighbours(consensus, describe_treatments(context), k=context.config.evaluation.neighbours)
        return Outcome({"neighbour": table}, ledger)


class FeatureEffects(Step):
    """Say which features each treatment changes, by how much and in which direction."""

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


class ClusterSignatures(Step):
    """Say which features set each cluster of wells apart from all others."""

    name = "cluster_signatures"
    title = "Cluster signatures"
    scope = Scope.SCREEN
    needs = ("profile_selected", "cluster", "well", "exclusion")
    uses = ("profile_normalized",)
    tables = ("cluster_signature",)

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return how many features are kept of each cluster."""
        return {"top": config.evaluation.top_features, **keep_parameter(config)}

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Compare the wells of each cluster with all others, feature by feature."""
        from phenoprint.pipeline.signatures import signatures

        table, ledger = signatures(context, step=self.name, top=context.config.evaluation.top_features)
        return Outcome({"cluster_signature": table}, ledger)
