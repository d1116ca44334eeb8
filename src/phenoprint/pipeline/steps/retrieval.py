"""Step: scores of the pairs that the user defines."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import polars as pl

from phenoprint.pipeline.phenotypes import keep_parameter
from phenoprint.pipeline.steps.base import Outcome, Scope, Step, Unit
from phenoprint.pipeline.wellprofiles import WellProfiles
from phenoprint.store import concat_ledgers, ledger_rows
from phenoprint.tables import conform, frame_of

if TYPE_CHECKING:
    from phenoprint.pipeline.config import ScreenConfig
    from phenoprint.pipeline.context import Context

__all__ = ["Retrieve"]


class Retrieve(Step):
    """Score whether wells find those that they should, by the rules of ``[retrieval.NAME]``."""

    name = "retrieval"
    title = "Retrieval"
    scope = Scope.SCREEN
    needs = ("profile_selected", "exclusion")
    tables: ClassVar = ("retrieval",)

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return the rules and the seed."""
        rules = {name: section.model_dump(mode="json") for name, section in config.retrieval.items()}
        return {"retrieval": rules, "seed": config.evaluation.seed, **keep_parameter(config)}

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Write one row per score and group of wells."""
        from phenoprint.evaluation import average_precision, known, mean_average_precision, null_counts

        if not context.config.retrieval:
            return Outcome({"retrieval": frame_of("retrieval")})
        given = WellProfiles.of(context, "profile_selected")
        found, ledgers = [frame_of("retrieval")], []
        for name, rules in sorted(context.config.retrieval.items()):
            scored = average_precision(
                given.wells,
                rules.pos_sameby,
                rules.pos_diffby,
                neg_sameby=rules.neg_sameby,
                neg_diffby=rules.neg_diffby,
                metric=rules.metric,
                vectors=partial(given.vectors, metric=rules.metric),
            )
            queries = known(scored, rules.pos_sameby).filter(pl.col("average_precision").is_not_null())
            means = mean_average_precision(
                queries,
                rules.pos_sameby,
                null_size=rules.null_size,
                threshold=rules.fdr,
                seed=context.config.evaluation.seed,
            )
            group = pl.concat_str([pl.col(column).cast(pl.String) for column in rules.pos_sameby], separator=", ")
            rows = means.select(
                pl.lit(name).alias("retrieval"),
                pl.lit(", ".join(rules.pos_sameby)).alias("columns"),
                group.alias("value"),
                pl.col("n_replicates").alias("n_wells"),
                "mean_average_precision",
                "mean_normalized_average_precision",
                "p_value",
                "corrected_p_value",
                "smallest_p",
                "below_corrected_p",
                "null",
            )
            found.append(conform(rows, "retrieval"))
            columns = list(dict.fromkeys([*rules.pos_sameby, *rules.pos_diffby]))
            n_missing = given.wells.height - known(given.wells, columns).height
            lost = (
                {f"in no positive pair of {name}: {null_counts(given.wells, columns)}": n_missing} if n_missing else {}
            )
            ledgers.append(ledger_rows(self.name, None, unit_of_count="wells", n_in=given.wells.height, lost=lost))
        return Outcome({"retrieval": pl.concat(found)}, concat_ledgers(ledgers))
