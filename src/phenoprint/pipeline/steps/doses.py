"""Step that fits dose-response curves of every compound with four or more doses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    needs = ("readout", "well", "profile_selected", "exclusion")
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
    from phenoprint.analysis import GLOBAL, feature_groups, group_distances

    profiles = WellProfiles.of(context, "profile_selected")
    section = context.config.doses
    groups = feature_groups(profiles.features) if section.feature_groups else {}
    distances = group_distances(
        lambda: (frame for _, frame in profiles.plates()), {GLOBAL: list(profiles.features), **groups}, pooled=False
    )
    is_global = pl.col("readout") == GLOBAL
    named = context.table("readout").filter(pl.col("readout").is_in(_OWN).not_())
    found = [
        ("distance", distances.filter(is_global)),
        ("feature_group", distances.filter(~is_global)),
        ("count", _counts(context, wells, profiles.wells)),
        ("readout", without_excluded(named.select(*WELL_KEY, "readout", "value").collect(), context.exclusions())),
        ("feature", _features(context, section.features)),
    ]
    return [(kind, rows) for kind, rows in found if rows.height]


def _counts(context: Context, wells: pl.DataFrame, profiled: pl.DataFrame) -> pl.DataFrame:
    """Return the cells of each well, also of wells without a profile: those of the most toxic treatments."""
    if OBJECT_COUNT in profiled.columns:
        wells = wells.join(profiled.select(*WELL_KEY, OBJECT_COUNT), on=WELL_KEY, how="left", maintain_order="left")
    counted, _ = with_found_cells(context, wells)
    return counted.select(*WELL_KEY, readout=pl.lit("cell_count"), value=pl.col(FOUND_COUNT).cast(pl.Float64))


def _features(context: Context, names: Sequence[str]) -> pl.DataFrame:
    """Return normalized features by name."""
    normalized = context.table("profile_normalized")
    there = [name for name in names if name in normalized.collect_schema().names()]
    rows = normalized.select(*WELL_KEY, *there).unpivot(index=WELL_KEY, variable_name="readout", value_name="value")
    return without_excluded(rows.with_columns(pl.col("value").cast(pl.Float64)).collect(), context.exclusions())
