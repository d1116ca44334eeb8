"""Step: treatments ranked by their distance to negative controls that their profiles were not fitted on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from phenoprint.pipeline.found_cells import FOUND_COUNT, with_found_cells
from phenoprint.pipeline.phenotypes import keep_parameter
from phenoprint.pipeline.steps.base import Outcome, Scope, Step, Unit
from phenoprint.pipeline.wellprofiles import WellProfiles
from phenoprint.store import ledger_rows
from phenoprint.tables import PERT_TYPE, PERTURBATION, WELL_KEY, frame_of

if TYPE_CHECKING:
    from phenoprint.evaluation import FoldDistance
    from phenoprint.pipeline.config import ScreenConfig
    from phenoprint.pipeline.context import Context

__all__ = ["FindHits"]

_ALSO_CONTROL = "the treatment is a negative control in other wells, and counts as one"


class FindHits(Step):
    """Rank the treatments of the screen."""

    name = "hits"
    title = "Hits"
    scope = Scope.SCREEN
    needs = ("profile_cross_fitted", "well", "exclusion")
    uses = ("cross_fit", "activity", "replicate_agreement", "cell_quality")
    tables = ("hit",)

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return the limits, the null size and the seed."""
        section = config.evaluation
        return {
            **config.section("hits"),
            "null_size": section.null_size,
            "seed": section.seed,
            **keep_parameter(config),
        }

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Measure the treatments of each fold in blocks, and write one row per treatment."""
        from phenoprint.evaluation import HitLimits, describe_treated, rank_hits, relative_counts, treated_wells

        section = context.config.hits
        folds = WellProfiles.folds(context)
        if not folds:
            return Outcome({"hit": frame_of("hit")})
        parts = [_distances(context, fold) for fold in folds]
        profiled = pl.concat([fold.wells for fold in folds], how="diagonal_relaxed").unique(WELL_KEY).sort(WELL_KEY)
        treatments = describe_treated(profiled)
        unseen = _without_profile(context, profiled)
        counted, _ = with_found_cells(context, pl.concat([profiled, unseen], how="diagonal_relaxed"))
        status = context.table("cross_fit").select("cross_fitted").collect()["cross_fitted"]
        table = rank_hits(
            pl.concat([treatments, describe_treated(unseen).with_columns(n_wells=pl.lit(0, pl.Int64))], how="diagonal"),
            parts,
            limits=HitLimits(
                distance=section.distance,
                max_q=section.max_q,
                min_effect=section.min_effect,
                min_inducing_share=section.min_inducing_share,
                needs_agreement=section.needs_agreement,
            ),
            counts=relative_counts(counted, count=FOUND_COUNT, toxic_below=section.toxic_below),
            active=context.table("activity").collect(),
            agreement=context.table("replicate_agreement").collect(),
            is_cross_fitted=bool(status.len()) and bool(status.all()),
        )
        n_treated = profiled.filter(pl.col(PERT_TYPE).is_in(["trt", "poscon"])).height
        used = treated_wells(profiled).height
        unnamed = profiled.filter(pl.col(PERT_TYPE).is_in(["trt", "poscon"]) & pl.col(PERTURBATION).is_null()).height
        lost = {_ALSO_CONTROL: n_treated - used - unnamed, "the well names no treatment": unnamed}
        ledger = ledger_rows(self.name, None, unit_of_count="wells", n_in=n_treated, lost=lost)
        return Outcome({"hit": table}, ledger)


def _distances(context: Context, fold: WellProfiles) -> dict[str, FoldDistance]:
    """Measure the treatments of one fold, a bounded number of wells at a time."""
    from phenoprint.evaluation import FoldControls, treated_wells

    controls = FoldControls.of(fold.read(fold.wells.filter(pl.col(PERT_TYPE) == "negcon")), fold.features)
    found: dict[str, FoldDistance] = {}
    for block in fold.treatments(treated_wells(fold.wells)):
        found |= controls.distances(
            block,
            null_size=context.config.evaluation.null_size,
            seed=context.config.evaluation.seed,
            spreads=context.config.hits.inducing_spread,
        )
    return found


def _without_profile(context: Context, profiled: pl.DataFrame) -> pl.DataFrame:
    """Return the wells with images of treatments that have no profile at all."""
    named = context.table("well").filter("has_images").select(pl.col("^Metadata_.*$")).collect()
    known = profiled[PERTURBATION].drop_nulls().unique().implode()
    return named.filter(pl.col(PERT_TYPE).is_in(["trt", "poscon"]) & ~pl.col(PERTURBATION).is_in(known))
