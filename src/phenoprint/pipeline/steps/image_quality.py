"""The steps that measure and flag images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from phenoprint.errors import DataError
from phenoprint.pipeline.exclusions import exclusion_reasons, lost_by_reason, without_excluded
from phenoprint.pipeline.steps.base import Outcome, Scope, Step, Unit
from phenoprint.pipeline.steps.fields import Fields, keyed
from phenoprint.store import ledger_rows
from phenoprint.tables import SITE_KEY

if TYPE_CHECKING:
    from phenoprint.pipeline.context import Context

__all__ = ["FlagImages", "MeasureQuality"]


class MeasureQuality(Step):
    """Measure focus, saturation, background and intensities of each raw image."""

    name = "quality"
    title = "Image quality"
    scope = Scope.WELL
    needs = ("image",)
    tables = ("image_metric",)

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Measure the raw fields of a well; a field that cannot be read gets rows of NULL."""
        from phenoprint.images import image_quality

        fields = Fields(unit, context, corrected=False)
        measured = [
            keyed(image_quality(pixels, channels=list(context.channels)), unit, site) for site, pixels in fields
        ]
        unread = pl.DataFrame(
            [(site, channel, reason) for site, reason in fields.errors.items() for channel in context.channels],
            schema={"Metadata_Site": pl.String, "Metadata_Channel": pl.String, "error": pl.String},
            orient="row",
        )
        frames = [frame.with_columns(error=pl.lit(None, pl.String)) for frame in measured]
        if unread.height:
            frames.append(keyed(unread, unit))
        if not frames:
            raise DataError(f"well {unit.well} of plate {unit.plate} has no field")
        ledger = ledger_rows(
            self.name, unit.plate, unit.well, unit_of_count="sites", n_in=len(fields.sites), lost=fields.lost
        )
        return Outcome({"image_metric": pl.concat(frames, how="diagonal")}, ledger, unusable=len(fields.errors))


class FlagImages(Step):
    """Flag fields by thresholds learned on the plate and by absolute limits."""

    name = "flag_images"
    title = "Image flags"
    scope = Scope.PLATE
    needs = ("image", "image_metric", "object", "exclusion")
    tables = ("image_quality", "quality_threshold")

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Join the metrics of each image with the number and area of its cells, and flag it."""
        from phenoprint.images import flag_image_quality, quality_thresholds

        here = pl.col("Metadata_Plate") == unit.plate
        metrics = context.table("image_metric").filter(here).collect()
        objects = (
            context.table("object")
            .filter(here)
            .group_by(SITE_KEY)
            .agg(pl.len().cast(pl.Int64).alias("n_cells"), pl.col("cell_area_px").sum().alias("_area"))
            .collect()
        )
        sizes = (
            context.table("site").filter(here).select(*SITE_KEY, (pl.col("height") * pl.col("width")).alias("_pixels"))
        )
        joined = (
            metrics.join(objects, on=SITE_KEY, how="left")
            .join(sizes.collect(), on=SITE_KEY, how="left")
            .with_columns(
                pl.when(pl.col("error").is_null()).then(pl.col("n_cells").fill_null(0)).alias("n_cells"),
                pl.when(pl.col("error").is_null())
                .then(pl.col("_area").fill_null(0) / pl.col("_pixels"))
                .alias("area_covered"),
            )
            .drop("_area", "_pixels")
        )
        excluded = context.exclusions(unit.plate, by_hand=True)
        counted = without_excluded(joined, excluded)
        thresholds = quality_thresholds(joined if counted.is_empty() else counted)
        flagged = _flag_unread(flag_image_quality(joined, thresholds=thresholds))
        sites = flagged.group_by(SITE_KEY).agg(pl.col("is_flagged").any())
        why = pl.when("is_flagged").then(pl.lit("flagged, see image_quality")).alias("_flagged")
        sites = sites.with_columns(pl.coalesce(exclusion_reasons(sites, excluded), why).alias("_reason"))
        ledger = [
            ledger_rows(
                self.name, unit.plate, str(well), unit_of_count="sites", n_in=rows.height, lost=lost_by_reason(rows)
            )
            for (well,), rows in sites.sort(SITE_KEY).group_by("Metadata_Well", maintain_order=True)
        ]
        tables = {"image_quality": flagged.sort(*SITE_KEY, "Metadata_Channel"), "quality_threshold": thresholds}
        return Outcome(tables, pl.concat(ledger))


def _flag_unread(flagged: pl.DataFrame) -> pl.DataFrame:
    """Flag images that could not be read, with the error as the reason."""
    unread = pl.col("error").is_not_null()
    return flagged.with_columns(
        (pl.col("is_flagged") | unread).alias("is_flagged"),
        pl.when(unread).then(pl.col("error")).otherwise(pl.col("reasons")).alias("reasons"),
    ).drop("error")
