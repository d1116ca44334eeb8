"""Steps that map profiles in two dimensions, cluster them, and describe the clusters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import polars as pl

from phenoprint.pipeline.phenotypes import keep_parameter, treatment_profiles
from phenoprint.pipeline.reduced import profiles_in_memory
from phenoprint.pipeline.steps.base import Outcome, Scope, Step, Unit
from phenoprint.pipeline.wellprofiles import WellProfiles
from phenoprint.tables import PERTURBATION, WELL_KEY, declared_columns, frame_of

if TYPE_CHECKING:
    from phenoprint.pipeline.config import ScreenConfig
    from phenoprint.pipeline.context import Context

__all__ = ["ClusterProfiles", "ClusterSignatures", "Project"]

# UMAP joins each profile to its 15 nearest. With fewer than twice as many it joins each to half of all the others, and
# the map shows no more than a list; loading and compiling it takes 9 to 18 s.
LEAST_PROJECTED = 30


class Project(Step):
    """Map wells and treatments in two dimensions."""

    name = "project"
    title = "Projection"
    version = 3
    scope = Scope.SCREEN
    needs = ("profile_selected", "profile_consensus", "exclusion")
    tables = ("projection", "treatment_projection", "feature_status")
    parts: ClassVar = {"feature_status": "project"}

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return the methods and the seed."""
        return {"maps": config.clusters.maps, "seed": config.evaluation.seed, **keep_parameter(config)}

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Project by each method, unless there are too few profiles."""
        from phenoprint.analysis import project

        seed = context.config.evaluation.seed
        given = WellProfiles.of(context, "profile_selected")
        treatments = treatment_profiles(context).filter(pl.col(PERTURBATION).is_not_null())
        statuses: list[tuple[object, ...]] = []
        tables: dict[str, pl.DataFrame] = {}
        for table, what, n in (
            ("projection", "wells", given.wells.height),
            ("treatment_projection", "treatments", treatments.height),
        ):
            if n < LEAST_PROJECTED:
                # Nothing of the data is lost, so this is a status and no row of the ledger.
                reason = f"no projection of fewer than {LEAST_PROJECTED} {what}; found {n}"
                statuses.append((None, "", self.name, "skipped", reason, None))
                continue
            profiles, key = treatments, [PERTURBATION]
            if table == "projection":
                key = list(WELL_KEY)
                profiles, reduced = profiles_in_memory(given)
                statuses += [(None, "", self.name, "reduced", *reduced)] if reduced else []
            maps = [project(profiles, method, keep=key, seed=seed) for method in context.config.clusters.maps]
            tables[table] = pl.concat([frame_of(table), *(declared_columns(drawn, table) for drawn in maps)])
        return Outcome(tables | {"feature_status": frame_of("feature_status", statuses)})


class ClusterProfiles(Step):
    """Cluster the active treatments, or the wells, and test what the members of each cluster share."""

    name = "cluster_profiles"
    title = "Clusters"
    scope = Scope.SCREEN
    needs = ("profile_selected", "profile_consensus", "activity", "well", "exclusion")
    uses = ("readout",)
    tables = ("cluster", "well_cluster", "cluster_choice", "cluster_enrichment", "feature_status")
    parts: ClassVar = {"feature_status": "cluster"}

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return what is clustered and how, and the seed."""
        how = {name: value for name, value in config.section("clusters").items() if name != "maps"}
        return {**how, "seed": config.evaluation.seed, **keep_parameter(config)}

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Make clusters that resamples find again, or give the reason why there are none."""
        from phenoprint.pipeline.clusters import make_clusters

        made = make_clusters(context, step=self.name)
        # Few active treatments are an answer and no warning of a run, so that the status is not "skipped".
        statuses = [] if made.status == "ok" else [(None, "", self.name, made.status, made.reason, None)]
        return Outcome(made.tables | {"feature_status": frame_of("feature_status", statuses)}, made.ledger)


class ClusterSignatures(Step):
    """Rank the features in which the wells of each cluster differ from all others."""

    name = "cluster_signatures"
    title = "Cluster signatures"
    version = 2
    scope = Scope.SCREEN
    needs = ("profile_selected", "cluster", "well_cluster", "well", "exclusion")
    uses = ("profile_normalized",)
    tables = ("cluster_signature",)

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return how many features are kept of each cluster."""
        return {"top": config.evaluation.top_features, "of": config.clusters.of, **keep_parameter(config)}

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Compare the wells of each cluster with all others, feature by feature."""
        from phenoprint.pipeline.signatures import signatures

        table, ledger = signatures(context, step=self.name, top=context.config.evaluation.top_features)
        return Outcome({"cluster_signature": table}, ledger)
