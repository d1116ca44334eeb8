"""Steps from single cells to profiles: flags, aggregation, normalization, selection, consensus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import polars as pl

from phenoprint.errors import ConfigError, DataError
from phenoprint.pipeline.steps.base import Outcome, Scope, Step, Unit
from phenoprint.store import ledger_rows, strict_join

if TYPE_CHECKING:
    from phenoprint.pipeline.config import ScreenConfig
    from phenoprint.pipeline.context import Context

__all__ = ["Aggregate", "Consensus", "FlagCells", "FlagImages", "Normalize", "Select"]

SITE = ["Metadata_Plate", "Metadata_Well", "Metadata_Site"]
CELL = [*SITE, "Metadata_ObjectNumber"]
WELL = ["Metadata_Plate", "Metadata_Well"]
# Cells with all their features that are in memory at a time: about 400 MB of the full preset.
_CELLS_AT_ONCE = 20_000
# A spread that was pooled over plates is a note on a feature, not its loss.
_IS_LOST = ~pl.col("status").is_in(["ok", "pooled", "limited"])


class FlagImages(Step):
    """Flag fields against thresholds learned on the plate and absolute floors."""

    name = "flag_images"
    title = "Image flags"
    scope = Scope.PLATE
    needs = ("quality", "segment")
    tables = ("image_quality", "quality_threshold")

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Join the metrics of each image with what was found in it, and flag."""
        from phenoprint.images import flag_image_quality, quality_thresholds

        here = pl.col("Metadata_Plate") == unit.plate
        metrics = context.table("image_metric").filter(here).collect()
        objects = (
            context.table("object")
            .filter(here)
            .group_by(SITE)
            .agg(pl.len().cast(pl.Int64).alias("n_cells"), pl.col("cell_area_px").sum().alias("_area"))
            .collect()
        )
        sizes = context.table("site").filter(here).select(*SITE, (pl.col("height") * pl.col("width")).alias("_pixels"))
        joined = (
            metrics.join(objects, on=SITE, how="left")
            .join(sizes.collect(), on=SITE, how="left")
            .with_columns(
                pl.when(pl.col("error").is_null()).then(pl.col("n_cells").fill_null(0)).alias("n_cells"),
                pl.when(pl.col("error").is_null())
                .then(pl.col("_area").fill_null(0) / pl.col("_pixels"))
                .alias("area_covered"),
            )
            .drop("_area", "_pixels")
        )
        thresholds = quality_thresholds(joined)
        flagged = _flag_unread(flag_image_quality(joined, thresholds=thresholds))
        bad = flagged.filter("is_flagged").select(SITE).unique()
        sites = flagged.select(SITE).unique()
        ledger = [
            ledger_rows(
                self.name,
                unit.plate,
                str(well),
                unit_of_count="sites",
                n_in=rows.height,
                lost={"flagged, see image_quality": bad.filter(pl.col("Metadata_Well") == well).height},
            )
            for (well,), rows in sites.sort(SITE).group_by("Metadata_Well", maintain_order=True)
        ]
        tables = {"image_quality": flagged.sort(*SITE, "Metadata_Channel"), "quality_threshold": thresholds}
        return Outcome(tables, pl.concat(ledger))


def _flag_unread(flagged: pl.DataFrame) -> pl.DataFrame:
    """Give images that could not be read their error as the reason."""
    unread = pl.col("error").is_not_null()
    return flagged.with_columns(
        (pl.col("is_flagged") | unread).alias("is_flagged"),
        pl.when(unread).then(pl.col("error")).otherwise(pl.col("reasons")).alias("reasons"),
    ).drop("error")


class FlagCells(Step):
    """Flag cells whose shape says that they were not segmented well, and those cut by the border."""

    name = "flag_cells"
    title = "Cell flags"
    scope = Scope.PLATE
    needs = ("measure",)
    tables = ("cell_quality",)

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Flag the cells of a plate."""
        from phenoprint.profiles import cell_quality

        here = pl.col("Metadata_Plate") == unit.plate
        columns = [
            name for name in context.table("cell").collect_schema().names() if name.startswith("Nuclei_AreaShape")
        ]
        cells = context.table("cell").filter(here).select(*CELL, *columns).collect()
        border = context.table("object").filter(here).select(*CELL, "touches_border").collect()
        # Wells that were segmented but could not be measured have objects and no cells: they are no loss here.
        flagged = strict_join(cell_quality(cells), border, on=CELL, expect="m:1")
        strangers = flagged["touches_border"].null_count()
        if strangers:
            raise DataError(f"{strangers} measured cells of plate {unit.plate} are not in the table object")
        return Outcome({"cell_quality": flagged.sort(CELL)})


class Aggregate(Step):
    """Sum the cells of a well up to a profile (level 3) and to the named readouts."""

    name = "aggregate"
    title = "Well profiles"
    scope = Scope.PLATE
    needs = ("well", "measure", "flag_images", "flag_cells")
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
        """Aggregate the cells of a plate that are not flagged."""
        from phenoprint.profiles import aggregate

        config = context.config
        here = pl.col("Metadata_Plate") == unit.plate
        names = list(config.profiles.readouts)
        fates = _fates(unit, context)
        profiles, readouts = [], []
        for wells in _batches(fates):
            chosen = pl.col("Metadata_Well").is_in(wells)
            cells = context.table("cell").filter(here & chosen).collect()
            kept = strict_join(cells, fates.filter(chosen), on=CELL).filter(pl.col("_reason").is_null()).drop("_reason")
            kept = kept.with_columns(*_readouts(config, kept))
            profiles.append(aggregate(kept.drop(names), by=WELL, statistic=config.profiles.statistic))
            readouts.append(_well_readouts(kept, names))
        annotated = _annotate(pl.concat(profiles), context.wells(unit.plate))
        tables = {"profile_well": annotated, "readout": pl.concat(readouts).sort("readout", *WELL)}
        return Outcome(tables, self._ledger(unit, context, fates))

    def _ledger(self, unit: Unit, context: Context, cells: pl.DataFrame) -> pl.DataFrame:
        """Balance cells by well, and wells by whether a cell is left."""
        rows = []
        wells = context.images(unit.plate)["Metadata_Well"].unique().sort().to_list()
        held = {table: context.screen.stored_wells(table, unit.plate) for table in ("object", "cell")}
        by_well = {well: group for (well,), group in cells.group_by("Metadata_Well")}
        empty = {}
        for well in wells:
            group = by_well.get(well, cells.head(0))
            lost = dict(group.drop_nulls("_reason").group_by("_reason").len().sort("_reason").iter_rows())
            rows.append(ledger_rows(self.name, unit.plate, well, unit_of_count="cells", n_in=group.height, lost=lost))
            left = group.height - sum(lost.values())
            if left == 0:
                empty[well] = (
                    "segmentation failed, see status"
                    if well not in held["object"]
                    else "measurement failed, see status"
                    if well not in held["cell"]
                    else "no cell found"
                    if group.is_empty()
                    else "every cell excluded"
                )
        for well in wells:
            lost = {empty[well]: 1} if well in empty else {}
            rows.append(ledger_rows(self.name, unit.plate, well, unit_of_count="wells", n_in=1, lost=lost))
        return pl.concat(rows)


def _fates(unit: Unit, context: Context) -> pl.DataFrame:
    """Return every cell of a plate with why it does not count; NULL if it does."""
    here = pl.col("Metadata_Plate") == unit.plate
    flags = context.table("cell_quality").filter(here).collect()
    flagged = pl.col("is_flagged").any().alias("_site")
    sites = context.table("image_quality").filter(here).group_by(SITE).agg(flagged).collect()
    joined = flags.join(sites, on=SITE, how="left")
    return joined.select(*CELL, _exclusion_reason(context.config).alias("_reason")).sort(CELL)


def _batches(cells: pl.DataFrame) -> list[list[str]]:
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


def _exclusion_reason(config: ScreenConfig) -> pl.Expr:
    """Return why a cell does not count, NULL if it does."""
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
    """Return the median of each readout a well, one row a well and readout."""
    schema = {
        "Metadata_Plate": pl.String,
        "Metadata_Well": pl.String,
        "readout": pl.String,
        "value": pl.Float64,
        "n_cells": pl.Int64,
    }
    frames = [
        cells.group_by(WELL).agg(
            pl.lit(name).alias("readout"),
            pl.col(name).median().alias("value"),
            pl.col(name).count().cast(pl.Int64).alias("n_cells"),
        )
        for name in names
    ]
    return pl.concat([pl.DataFrame(schema=schema), *frames])


def _annotate(profiles: pl.DataFrame, wells: pl.DataFrame) -> pl.DataFrame:
    """Put the metadata of wells in front of their profiles; a well without cells stays, with a count of 0."""
    metadata = wells.filter("has_images").select(pl.col("^Metadata_.*$"))
    counts = ["Metadata_Object_Count", "Metadata_Site_Count"]
    joined = strict_join(metadata, profiles, on=WELL, expect="m:1")
    joined = joined.with_columns(pl.col(name).fill_null(0) for name in counts if name in joined.columns)
    first = [name for name in metadata.columns if name in joined.columns]
    rest = [name for name in joined.columns if name not in first]
    return joined.select(*first, *rest).sort(WELL)


class Normalize(Step):
    """Normalize well profiles plate by plate against their controls (level 4a)."""

    name = "normalize"
    title = "Normalization"
    scope = Scope.SCREEN
    needs = ("aggregate",)
    tables = ("profile_normalized", "feature_status")
    parts: ClassVar = {"feature_status": "normalize"}

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return how profiles are normalized."""
        return {
            "method": config.profiles.normalize,
            "reference": config.profiles.reference,
            "min_cells": config.profiles.min_cells,
        }

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Normalize all plates; features without spread become rows of ``feature_status``."""
        from phenoprint.profiles import feature_columns, normalize_with_status

        section = context.config.profiles
        profiles = context.table("profile_well").collect()
        enough = pl.col("Metadata_Object_Count") >= section.min_cells
        reference = enough if section.reference == "all" else (pl.col("Metadata_pert_type") == "negcon") & enough
        if not profiles.filter(reference).height:
            raise DataError(
                "no well to normalize against: no well is annotated as negcon "
                '(set Metadata_pert_type in the plate map, or profiles.reference = "all")'
            )
        result = normalize_with_status(profiles, method=section.normalize, by=["Metadata_Plate"], reference=reference)
        rows = []
        n_features = len(feature_columns(profiles))
        for (plate,), status in result.status.group_by("Metadata_Plate", maintain_order=True):
            lost = dict(status.filter(_IS_LOST).group_by("status").len().sort("status").iter_rows())
            rows.append(ledger_rows(self.name, str(plate), unit_of_count="features", n_in=n_features, lost=lost))
        wells = profiles.group_by("Metadata_Plate").len().sort("Metadata_Plate")
        rows += [ledger_rows(self.name, plate, unit_of_count="wells", n_in=count) for plate, count in wells.iter_rows()]
        return Outcome(
            {"profile_normalized": result.frame.sort(WELL), "feature_status": result.status}, pl.concat(rows)
        )


class Select(Step):
    """Keep the features that carry information (level 4b); say of every other why it went."""

    name = "select"
    title = "Feature selection"
    scope = Scope.SCREEN
    needs = ("normalize",)
    tables = ("profile_selected", "feature_status")
    parts: ClassVar = {"feature_status": "select"}

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return the operations and the limit."""
        return {"operations": config.profiles.select, "limit": config.profiles.limit}

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Select over all plates at once, so that every plate keeps the same features."""
        from phenoprint.profiles import feature_columns, limit_values_with_status, select_features_with_status

        profiles = context.table("profile_normalized").collect()
        result = select_features_with_status(profiles, operations=list(context.config.profiles.select))
        lost = dict(result.status.filter(_IS_LOST).group_by("status").len().sort("status").iter_rows())
        ledger = ledger_rows(self.name, None, unit_of_count="features", n_in=len(feature_columns(profiles)), lost=lost)
        frame, status = result
        limit = context.config.profiles.limit
        if limit is not None:
            frame, limited = limit_values_with_status(frame, limit)
            status = pl.concat([status, limited])
        return Outcome({"profile_selected": frame.sort(WELL), "feature_status": status}, ledger)


class Consensus(Step):
    """Sum the wells of a treatment up to one profile (level 5)."""

    name = "consensus"
    title = "Consensus"
    scope = Scope.SCREEN
    needs = ("select",)
    tables = ("profile_consensus",)

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return the statistic."""
        return {"statistic": config.profiles.consensus}

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Take the consensus of wells that share compound and dose."""
        from phenoprint.profiles import consensus

        profiles = context.table("profile_selected").collect()
        known = profiles.filter(pl.col("Metadata_perturbation").is_not_null())
        frame = consensus(known, by=["Metadata_perturbation"], statistic=context.config.profiles.consensus)
        lost = {"not annotated, or annotated as empty": profiles.height - known.height}
        ledger = ledger_rows(self.name, None, unit_of_count="wells", n_in=profiles.height, lost=lost)
        return Outcome({"profile_consensus": frame.sort("Metadata_perturbation")}, ledger)
