"""Step that fits dose-response curves of every compound with four or more doses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import polars as pl

from phenoprint.pipeline.exclusions import without_excluded
from phenoprint.pipeline.found_cells import FOUND_COUNT, with_found_cells
from phenoprint.pipeline.phenotypes import keep_parameter
from phenoprint.pipeline.steps.base import Outcome, Scope, Step, Unit
from phenoprint.pipeline.wellprofiles import WellProfiles
from phenoprint.store import ledger_rows
from phenoprint.tables import COMPOUND, DOSE, DOSE_UNIT, OBJECT_COUNT, WELL_KEY

if TYPE_CHECKING:
    from phenoprint.pipeline.config import ScreenConfig
    from phenoprint.pipeline.context import Context

__all__ = ["DoseResponse"]

LEAST_DOSES = 4
# The counts of these are those of the cells that went into profiles, and the distance is measured here for groups, too.
_OWN = ("cell_count", "cell_count_relative", "distance_to_controls")


class DoseResponse(Step):
    """Fit curves over dose, and summarise them per compound."""

    name = "dose_response"
    title = "Dose-response"
    version = 2
    scope = Scope.SCREEN
    needs = ("readout", "well", "profile_cross_fitted", "exclusion")
    uses = ("profile_normalized", "cell_quality")
    tables = ("dose_response", "dose_summary", "dose_point")

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return which curves are fitted."""
        return config.section("doses") | keep_parameter(config)

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Fit a curve per compound and readout, through its doses and the plates' negative controls."""
        from phenoprint.analysis import dose_curves, dose_points, dose_summary, dosed_wells, relative_to_controls

        wells = without_excluded(context.table("well").collect(), context.exclusions())
        series = dosed_wells(wells).filter(pl.col(DOSE) > 0)
        n_doses = series.select(pl.col(DOSE).n_unique().over(COMPOUND, DOSE_UNIT)).to_series()
        given = wells.filter((pl.col("Metadata_pert_type") == "trt") & pl.col(DOSE).is_not_null())
        lost = {
            "the dose is not a number above 0, or the compound is not known": given.height - series.height,
            "the compound has fewer than four doses": int((n_doses < LEAST_DOSES).sum()),
        }
        ledger = ledger_rows(self.name, None, unit_of_count="wells", n_in=given.height, lost=lost)
        # Screens of one dose need no distances.
        values = _values(context, wells) if (n_doses > 1).any() else []
        responses = [relative_to_controls(rows, wells).with_columns(kind=pl.lit(kind)) for kind, rows in values]
        empty = pl.DataFrame(schema=dict.fromkeys([*WELL_KEY, "readout", "kind"], pl.String) | {"response": pl.Float64})
        together = pl.concat([empty, *responses], how="diagonal")
        curves = dose_curves(together, wells, benchmark=context.config.doses.benchmark)
        tables = {
            "dose_response": curves,
            "dose_summary": dose_summary(curves, wells),
            "dose_point": dose_points(together, wells),
        }
        return Outcome(tables, ledger)


def _values(context: Context, wells: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    """Return the values that curves are fitted to, by kind: plate, well, readout, value."""
    from phenoprint.analysis import GLOBAL

    section = context.config.doses
    folds = WellProfiles.folds(context)
    distances = _distances(folds, with_groups=section.feature_groups)
    is_global = pl.col("readout") == GLOBAL
    named = context.table("readout").filter(pl.col("readout").is_in(_OWN).not_())
    found = [
        ("distance", distances.filter(is_global)),
        ("feature_group", distances.filter(~is_global)),
        ("count", _counts(context, wells, folds)),
        ("readout", without_excluded(named.select(*WELL_KEY, "readout", "value").collect(), context.exclusions())),
        ("feature", _features(context, section.features)),
    ]
    return [(kind, rows) for kind, rows in found if rows.height]


def _distances(folds: Sequence[WellProfiles], *, with_groups: bool) -> pl.DataFrame:
    """Return the distance of each well to controls that its profile was not fitted on, averaged over the folds.

    A treated well is in every fold, a control in the one that holds it out. Each is compared within a fold only.
    """
    from phenoprint.analysis import GLOBAL, feature_groups, group_distances

    parts = []
    for fold in folds:
        groups = {GLOBAL: list(fold.features), **(feature_groups(fold.features) if with_groups else {})}
        frames = partial(_frames, fold)
        parts.append(group_distances(frames, groups, pooled=len(folds) > 1))
    together = pl.concat(parts).group_by(*WELL_KEY, "readout").agg(pl.col("value").mean())
    return together.sort("readout", *WELL_KEY)


def _frames(fold: WellProfiles) -> Iterator[pl.DataFrame]:
    return (frame for _, frame in fold.plates())


def _counts(context: Context, wells: pl.DataFrame, folds: Sequence[WellProfiles]) -> pl.DataFrame:
    """Return the cells of each well, also of wells without a profile: those of the most toxic treatments."""
    if all(OBJECT_COUNT in fold.wells.columns for fold in folds):
        profiled = pl.concat([fold.wells.select(*WELL_KEY, OBJECT_COUNT) for fold in folds]).unique(WELL_KEY)
        wells = wells.join(profiled, on=WELL_KEY, how="left", maintain_order="left")
    counted, _ = with_found_cells(context, wells)
    return counted.select(*WELL_KEY, readout=pl.lit("cell_count"), value=pl.col(FOUND_COUNT).cast(pl.Float64))


def _features(context: Context, names: Sequence[str]) -> pl.DataFrame:
    """Return normalized features by name."""
    normalized = context.table("profile_normalized")
    there = [name for name in names if name in normalized.collect_schema().names()]
    rows = normalized.select(*WELL_KEY, *there).unpivot(index=WELL_KEY, variable_name="readout", value_name="value")
    return without_excluded(rows.with_columns(pl.col("value").cast(pl.Float64)).collect(), context.exclusions())
