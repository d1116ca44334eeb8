"""Steps from single cells to well profiles: flags of cells, and aggregation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from phenoprint.errors import ConfigError, DataError, UnknownNameError
from phenoprint.pipeline.exclusions import exclusion_reasons, lost_by_reason, without_excluded
from phenoprint.pipeline.steps.base import Outcome, Scope, Step, Unit
from phenoprint.store import ledger_rows, strict_join
from phenoprint.tables import CELL_KEY, SITE_KEY, WELL_KEY

if TYPE_CHECKING:
    from phenoprint.pipeline.config import CellQualitySection, ScreenConfig
    from phenoprint.pipeline.context import Context
    from phenoprint.profiles import CellRule

__all__ = ["Aggregate", "FlagCells", "cell_fates", "cell_rules", "well_batches"]

# Cells with all their features that are in memory at a time: about 400 MB of the full preset.
_CELLS_AT_ONCE = 20_000


class FlagCells(Step):
    """Flag cells whose shape says that they were not segmented well, and those cut by the border."""

    name = "flag_cells"
    title = "Cell flags"
    scope = Scope.PLATE
    needs = ("well", "cell", "exclusion")
    uses = ("object",)
    tables = ("cell_quality", "cell_quality_preview")

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return the rules."""
        return {"rules": config.section("cell_quality")["rules"], "reference": config.profiles.reference}

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Flag the cells of a plate, and count by treatment what that removes."""
        from phenoprint.profiles import cell_quality

        here = pl.col("Metadata_Plate") == unit.plate
        table = context.table("cell").filter(here)
        rules, missing = cell_rules(context.config.cell_quality, table.collect_schema().names())
        columns = sorted({limit.feature for rule in rules for limit in rule.limits})
        cells = table.select(*CELL_KEY, *columns).collect()
        counts = exclusion_reasons(cells, context.exclusions(unit.plate)).is_null()
        # What is excluded is judged by the cells that count, unless there are none.
        usual = cells.with_columns(counts.alias("Metadata_counts"))
        flagged = cell_quality(usual, rules=rules, reference=pl.col("Metadata_counts") if counts.any() else None)
        preview = _preview(cells.filter(counts), flagged.filter(counts), context.wells(unit.plate), missing)
        if not context.holds("object"):  # imported cells come without
            flagged = flagged.with_columns(pl.lit(None, pl.Boolean).alias("touches_border"))
        else:
            border = context.table("object").filter(here).select(*CELL_KEY, "touches_border").collect()
            # Wells that were segmented but could not be measured have objects and no cells: they are no loss here.
            flagged = strict_join(flagged, border, on=CELL_KEY, expect="m:1")
            strangers = flagged["touches_border"].null_count()
            if strangers:
                raise DataError(f"{strangers} measured cells of plate {unit.plate} are not in the table object")
        return Outcome({"cell_quality": flagged.sort(CELL_KEY), "cell_quality_preview": preview})


def cell_rules(section: CellQualitySection, columns: Sequence[str]) -> tuple[tuple[CellRule, ...], dict[str, str]]:
    """Return the rules of cell quality, and those of the default ones that cannot be judged, with the reason.

    Raises
    ------
    ConfigError
        Where a rule that the user wrote names a feature that was not measured, or two share a name.
    """
    from phenoprint.profiles import DEFAULT_CELL_RULES, CellRule, Limit

    if section.rules is not None:
        rules = tuple(
            CellRule(rule.name, tuple(Limit(**limit.model_dump()) for limit in rule.limits)) for rule in section.rules
        )
        names = [rule.name for rule in rules]
        for rule in rules:
            if names.count(rule.name) > 1 or rule.name == "any":
                taken = "stands for all rules together" if rule.name == "any" else "is the name of two rules"
                raise ConfigError(f"cell_quality.rules: {rule.name!r} {taken}; give each rule a name of its own")
            for limit in rule.limits:
                if limit.feature not in columns:
                    error = UnknownNameError("feature", limit.feature, columns)
                    raise ConfigError(f"cell_quality.rules, {rule.name!r}: {str(error).split(' Known:')[0]}")
        return rules, {}
    missing = {
        rule.name: f"not judged: {limit.feature} was not measured"
        for rule in DEFAULT_CELL_RULES
        for limit in rule.limits
        if limit.feature not in columns
    }
    return tuple(rule for rule in DEFAULT_CELL_RULES if rule.name not in missing), missing


def _preview(
    cells: pl.DataFrame, flagged: pl.DataFrame, wells: pl.DataFrame, missing: Mapping[str, str]
) -> pl.DataFrame:
    """Tell by treatment and rule how many cells are flagged; beside the controls, where there are some."""
    from phenoprint.profiles import preview_cell_quality

    known = wells.select(*WELL_KEY, "Metadata_pert_type", "Metadata_perturbation")
    treated = strict_join(cells.select(CELL_KEY), known, on=WELL_KEY, expect="m:1")
    is_control = (pl.col("Metadata_pert_type") == "negcon").fill_null(value=False)
    has_controls = treated.select(is_control.any()).item() is True
    schema = {"Metadata_Plate": pl.String, "Metadata_perturbation": pl.String, "rule": pl.String, "reason": pl.String}
    unjudged = [(plate, None, *rule) for plate in wells["Metadata_Plate"].unique() for rule in missing.items()]
    rows = [pl.DataFrame(unjudged, schema=schema, orient="row")]
    if treated.height:
        by = ["Metadata_Plate", "Metadata_perturbation"]
        preview = preview_cell_quality(treated, flagged, by, reference=is_control if has_controls else ~is_control)
        if not has_controls:
            nothing = (pl.lit(None).alias(name) for name in ("share_reference", "z", "is_likely_phenotype"))
            preview = preview.with_columns(*nothing, reason=pl.lit("no control cells on this plate to compare with"))
        rows.append(preview)
    return pl.concat(rows, how="diagonal_relaxed")


class Aggregate(Step):
    """Sum the cells of a well up to a profile (level 3) and to the named readouts."""

    name = "aggregate"
    title = "Well profiles"
    scope = Scope.PLATE
    needs = ("well", "cell", "cell_quality", "exclusion")
    uses = ("object", "image_quality")
    tables = ("profile_well", "readout")

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return which cells count and how they are summed up."""
        profiles = config.profiles
        return {
            "statistic": profiles.statistic,
            "readouts": profiles.readouts,
            "cells": config.section("cell_quality"),
            "sites": config.section("quality"),
        }

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Aggregate the cells of a plate that are neither flagged nor excluded; an excluded well has no profile."""
        from phenoprint.profiles import aggregate

        config = context.config
        here = pl.col("Metadata_Plate") == unit.plate
        names = list(config.profiles.readouts)
        fates = cell_fates(unit, context)
        profiles, readouts = [], []
        for wells in well_batches(fates):
            chosen = pl.col("Metadata_Well").is_in(wells)
            cells = context.table("cell").filter(here & chosen).collect()
            kept = (
                strict_join(cells, fates.filter(chosen), on=CELL_KEY)
                .filter(pl.col("_reason").is_null())
                .drop("_reason")
            )
            kept = kept.with_columns(*_readouts(config, kept))
            profiles.append(aggregate(kept.drop(names), by=WELL_KEY, statistic=config.profiles.statistic))
            readouts.append(_well_readouts(kept, names))
        counted = without_excluded(context.wells(unit.plate), context.exclusions(unit.plate))
        annotated = _annotate(pl.concat(profiles), counted)
        tables = {"profile_well": annotated, "readout": pl.concat(readouts).sort("readout", *WELL_KEY)}
        return Outcome(tables, self._ledger(unit, context, fates))

    def _ledger(self, unit: Unit, context: Context, cells: pl.DataFrame) -> pl.DataFrame:
        """Balance cells by well, and wells by whether a cell is left."""
        rows = []
        there = _wells_with_cells(context.wells(unit.plate))
        wells = there["Metadata_Well"].sort().to_list()
        excluded = dict(
            zip(there["Metadata_Well"], exclusion_reasons(there, context.exclusions(unit.plate)), strict=True)
        )
        held = {table: context.screen.stored_wells(table, unit.plate) for table in ("object", "cell")}
        by_well = {well: group for (well,), group in cells.group_by("Metadata_Well")}
        empty = {}
        for well in wells:
            group = by_well.get(well, cells.head(0))
            lost = lost_by_reason(group)
            rows.append(ledger_rows(self.name, unit.plate, well, unit_of_count="cells", n_in=group.height, lost=lost))
            left = group.height - sum(lost.values())
            if left == 0:
                empty[well] = excluded[well] or (
                    "every cell excluded"
                    if group.height
                    else "no cell was imported"
                    if not context.holds("object")
                    else "segmentation failed, see status"
                    if well not in held["object"]
                    else "measurement failed, see status"
                    if well not in held["cell"]
                    else "no cell found"
                )
        for well in wells:
            lost = {empty[well]: 1} if well in empty else {}
            rows.append(ledger_rows(self.name, unit.plate, well, unit_of_count="wells", n_in=1, lost=lost))
        return pl.concat(rows)


def cell_fates(unit: Unit, context: Context) -> pl.DataFrame:
    """Return every cell of a plate with why it does not count; NULL if it does. An exclusion outranks a flag."""
    here = pl.col("Metadata_Plate") == unit.plate
    flags = context.table("cell_quality").filter(here).collect()
    flagged = pl.col("is_flagged").any().alias("_site")
    sites = context.table("image_quality").filter(here).group_by(SITE_KEY).agg(flagged).collect()
    joined = flags.join(sites, on=SITE_KEY, how="left")
    excluded = exclusion_reasons(joined, context.exclusions(unit.plate))
    return joined.select(*CELL_KEY, pl.coalesce(excluded, _flag_reason(context.config)).alias("_reason")).sort(CELL_KEY)


def well_batches(cells: pl.DataFrame) -> list[list[str]]:
    """Split the wells of a plate so that a batch holds a bounded number of cells; at least one batch."""
    batches: list[list[str]] = [[]]
    held = 0
    for well, count in cells.group_by("Metadata_Well").len().sort("Metadata_Well").iter_rows():
        if held and held + count > _CELLS_AT_ONCE:
            batches.append([])
            held = 0
        batches[-1].append(well)
        held += count
    return batches


def _flag_reason(config: ScreenConfig) -> pl.Expr:
    """Return which flag keeps a cell from counting, NULL if none does."""
    reason = pl.lit(None, pl.String)
    if config.cell_quality.exclude_flagged_cells:
        reason = pl.when("is_outlier").then(pl.lit("flagged cell, see cell_quality")).otherwise(reason)
    if config.cell_quality.exclude_border_cells:
        reason = pl.when("touches_border").then(pl.lit("cell cut by the border of the field")).otherwise(reason)
    if config.quality.exclude_flagged_sites:
        reason = (
            pl.when(pl.col("_site").fill_null(False)).then(pl.lit("flagged field, see image_quality")).otherwise(reason)
        )
    return reason


def _readouts(config: ScreenConfig, cells: pl.DataFrame) -> list[pl.Expr]:
    """Return the named readouts of a cell; an expression that cannot be evaluated is the configuration's error."""
    expressions = []
    for name, text in config.profiles.readouts.items():
        try:
            expression = pl.sql_expr(text).cast(pl.Float64)
            cells.head(0).select(expression)
        except (pl.exceptions.PolarsError, ValueError) as error:
            raise ConfigError(f"profiles.readouts.{name} = {text!r} cannot be evaluated on a cell: {error}") from error
        value = pl.when(expression.is_finite()).then(expression)
        expressions.append(value.alias(name))
    return expressions


def _well_readouts(cells: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """Return the median of each readout per well, one row per well and readout."""
    schema = {
        "Metadata_Plate": pl.String,
        "Metadata_Well": pl.String,
        "readout": pl.String,
        "value": pl.Float64,
        "n_cells": pl.Int64,
    }
    frames = [
        cells.group_by(WELL_KEY).agg(
            pl.lit(name).alias("readout"),
            pl.col(name).median().alias("value"),
            pl.col(name).count().cast(pl.Int64).alias("n_cells"),
        )
        for name in names
    ]
    return pl.concat([pl.DataFrame(schema=schema), *frames])


def _wells_with_cells(wells: pl.DataFrame) -> pl.DataFrame:
    """Return the wells whose cells could have been measured; of imported ones nobody knows, so all."""
    return wells.filter(pl.col("has_images").fill_null(value=True))


def _annotate(profiles: pl.DataFrame, wells: pl.DataFrame) -> pl.DataFrame:
    """Put the metadata of wells in front of their profiles; a well without cells stays, with a count of 0."""
    metadata = _wells_with_cells(wells).select(pl.col("^Metadata_.*$"))
    counts = ["Metadata_Object_Count", "Metadata_Site_Count"]
    # Imported cells carry annotation, too; the table of wells has the last word.
    own = profiles.drop([name for name in metadata.columns if name in profiles.columns and name not in WELL_KEY])
    joined = strict_join(metadata, own, on=WELL_KEY, expect="m:1")
    joined = joined.with_columns(pl.col(name).fill_null(0) for name in counts if name in joined.columns)
    first = [name for name in metadata.columns if name in joined.columns]
    rest = [name for name in joined.columns if name not in first]
    return joined.select(*first, *rest).sort(WELL_KEY)
