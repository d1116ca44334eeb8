"""The step from single cells to well profiles."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from phenoprint.errors import ConfigError
from phenoprint.pipeline.exclusions import exclusion_reasons, lost_by_reason, without_excluded
from phenoprint.pipeline.steps.base import Outcome, Scope, Step, Unit
from phenoprint.store import ledger_rows, strict_join
from phenoprint.tables import CELL_KEY, SITE_KEY, WELL_KEY, frame_of

if TYPE_CHECKING:
    from phenoprint.pipeline.config import ScreenConfig
    from phenoprint.pipeline.context import Context

__all__ = ["Aggregate", "judged_cells", "well_batches"]

# Cells with all their features that are in memory at a time: about 400 MB of the full preset.
_CELLS_AT_ONCE = 20_000


class Aggregate(Step):
    """Aggregate the cells of each well to a profile (level 3) and to the named readouts."""

    name = "aggregate"
    title = "Well profiles"
    scope = Scope.PLATE
    needs = ("well", "cell", "cell_quality", "cell_rule", "exclusion")
    uses = ("object", "image_quality")
    tables = ("profile_well", "readout")
    files = ("well_medians",)  # its rows of table readout; those of other steps follow later

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return which cells count and how they are aggregated."""
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
        judged = judged_cells(unit, context, by_hand=True)
        profiles, readouts = [], []
        for wells in well_batches(judged):
            chosen = pl.col("Metadata_Well").is_in(wells)
            cells = context.table("cell").filter(here & chosen).collect()
            kept = (
                strict_join(cells, judged.filter(chosen), on=CELL_KEY)
                .filter(pl.col("_reason").is_null())
                .drop("_reason")
            )
            kept = kept.with_columns(*_readouts(config, kept))
            profiles.append(aggregate(kept.drop(names), by=WELL_KEY, statistic=config.profiles.statistic))
            readouts.append(_well_readouts(kept, names))
        counted = without_excluded(context.wells(unit.plate), context.exclusions(unit.plate, by_hand=True))
        annotated = _annotate(pl.concat(profiles), counted)
        tables = {"profile_well": annotated, "readout": pl.concat(readouts).sort("readout", *WELL_KEY)}
        return Outcome(tables, self._ledger(unit, context, judged))

    def _ledger(self, unit: Unit, context: Context, cells: pl.DataFrame) -> pl.DataFrame:
        """Count the cells of each well that were lost, and the wells without any cell left."""
        wells = _wells_with_cells(context.wells(unit.plate)).sort("Metadata_Well")
        excluded = exclusion_reasons(wells, context.exclusions(unit.plate, by_hand=True))
        tables = [table for table in ("object", "cell") if context.holds(table)]
        held = {table: context.screen.stored_wells(table, unit.plate) for table in tables}
        by_well = {well: group for (well,), group in cells.group_by("Metadata_Well")}
        rows = []
        for well, why in zip(wells["Metadata_Well"], excluded, strict=True):
            group = by_well.get(well, cells.head(0))
            lost = lost_by_reason(group)
            rows.append(ledger_rows(self.name, unit.plate, well, unit_of_count="cells", n_in=group.height, lost=lost))
            is_empty = group.height == sum(lost.values())
            lost = {why or _why_empty(well, group, held): 1} if is_empty else {}
            rows.append(ledger_rows(self.name, unit.plate, well, unit_of_count="wells", n_in=1, lost=lost))
        return pl.concat(rows)


def _why_empty(well: str, cells: pl.DataFrame, held: Mapping[str, Collection[str]]) -> str:
    """Return why no cell of a well counts, from its cells and from the wells in the tables of cells."""
    if cells.height:
        return "every cell excluded"
    if "object" not in held:
        return "no cell was imported"
    if well not in held["object"]:
        return "segmentation failed, see status"
    return "no cell found" if well in held.get("cell", ()) else "measurement failed, see status"


def judged_cells(unit: Unit, context: Context, *, by_hand: bool = False) -> pl.DataFrame:
    """Return the key of every cell of a plate, with ``_reason``: why the cell does not count, or NULL.

    An exclusion takes precedence over a flag; with `by_hand`, those of plate acceptance do not count.
    """
    here = pl.col("Metadata_Plate") == unit.plate
    flags = context.table("cell_quality").filter(here).collect()
    flagged = pl.col("is_flagged").any().alias("_site")
    sites = context.table("image_quality").filter(here).group_by(SITE_KEY).agg(flagged).collect()
    joined = flags.join(sites, on=SITE_KEY, how="left")
    excluded = exclusion_reasons(joined, context.exclusions(unit.plate, by_hand=by_hand))
    rules = context.table("cell_rule").filter("is_applied").select("rule").collect().to_series()
    reason = pl.coalesce(excluded, _flag_reason(context.config, rules.to_list()))
    return joined.select(*CELL_KEY, reason.alias("_reason")).sort(CELL_KEY)


def well_batches(cells: pl.DataFrame) -> list[list[str]]:
    """Split the wells of a plate into batches of a bounded number of cells.

    Returns
    -------
    list of list of str
        The wells of each batch; one empty batch for a plate without cells.

    Examples
    --------
    >>> well_batches(pl.DataFrame({"Metadata_Well": ["A01"] * 15_000 + ["A02"] * 15_000}))
    [['A01'], ['A02']]
    """
    batches: list[list[str]] = [[]]
    held = 0
    for well, count in cells.group_by("Metadata_Well").len().sort("Metadata_Well").iter_rows():
        if held and held + count > _CELLS_AT_ONCE:
            batches.append([])
            held = 0
        batches[-1].append(well)
        held += count
    return batches


def _flag_reason(config: ScreenConfig, rules: Sequence[str]) -> pl.Expr:
    """Return an expression for the flag because of which a cell does not count, NULL for the others.

    Of the rules of cell quality, only those named leave cells out.
    """
    reason = pl.lit(None, pl.String)
    if config.cell_quality.exclude_flagged_cells:
        is_out = pl.col("reasons").str.split(";").list.eval(pl.element().is_in(list(rules))).list.any()
        reason = pl.when(is_out.fill_null(value=False)).then(pl.lit("flagged cell, see cell_quality")).otherwise(reason)
    if config.cell_quality.exclude_border_cells:
        reason = pl.when("touches_border").then(pl.lit("cell cut by the border of the field")).otherwise(reason)
    if config.quality.exclude_flagged_sites:
        reason = (
            pl.when(pl.col("_site").fill_null(False)).then(pl.lit("flagged field, see image_quality")).otherwise(reason)
        )
    return reason


def _readouts(config: ScreenConfig, cells: pl.DataFrame) -> list[pl.Expr]:
    """Return expressions for the named readouts of a cell.

    Raises
    ------
    ConfigError
        If an expression of the configuration cannot be evaluated.
    """
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
    frames = [
        cells.group_by(WELL_KEY).agg(
            pl.lit(name).alias("readout"),
            pl.col(name).median().alias("value"),
            pl.col(name).count().cast(pl.Int64).alias("n_cells"),
        )
        for name in names
    ]
    return pl.concat([frame_of("readout").select(*WELL_KEY, "readout", "value", "n_cells"), *frames])


def _wells_with_cells(wells: pl.DataFrame) -> pl.DataFrame:
    """Return the wells with images, and all wells where it is not known which have images."""
    return wells.filter(pl.col("has_images").fill_null(value=True))


def _annotate(profiles: pl.DataFrame, wells: pl.DataFrame) -> pl.DataFrame:
    """Put the annotation of wells in front of their profiles; wells without cells are kept, with a count of 0."""
    metadata = _wells_with_cells(wells).select(pl.col("^Metadata_.*$"))
    counts = ["Metadata_Object_Count", "Metadata_Site_Count"]
    # Imported cells may have annotation of their own; that of the table of wells is used.
    own = profiles.drop([name for name in metadata.columns if name in profiles.columns and name not in WELL_KEY])
    joined = strict_join(metadata, own, on=WELL_KEY, expect="m:1")
    joined = joined.with_columns(pl.col(name).fill_null(0) for name in counts if name in joined.columns)
    first = [name for name in metadata.columns if name in joined.columns]
    rest = [name for name in joined.columns if name not in first]
    return joined.select(*first, *rest).sort(WELL_KEY)
