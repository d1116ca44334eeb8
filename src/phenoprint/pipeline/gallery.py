"""Typical cells of each treatment, cut out of its fields."""

from __future__ import annotations

import numpy as np
import polars as pl

from phenoprint.analysis import choose_treatments, look_features, typical_cells
from phenoprint.pipeline.context import Context
from phenoprint.pipeline.exclusions import without_excluded
from phenoprint.tables import CELL_KEY, SITE_KEY, WELL_KEY, frame_of

__all__ = ["make_gallery"]

_DEFAULT_CROP_PX = 64
# The width of a crop, in nucleus diameters.
_NUCLEI_ACROSS = 4.0


def _crop_size(context: Context, plate: str) -> int:
    section = context.config.report
    if section.crop_size_px is not None:
        return section.crop_size_px
    size = context.pixel_size_um()
    if section.crop_size_um is not None and size is not None:
        return max(8, round(section.crop_size_um / size))
    diameter = context.nucleus_diameter_px(plate)
    return _DEFAULT_CROP_PX if diameter is None else int(np.clip(round(_NUCLEI_ACROSS * diameter), 32, 192))


def make_gallery(context: Context) -> pl.DataFrame:
    """Cut typical cells of the controls and of the strongest treatments out of their corrected fields.

    Returns
    -------
    polars.DataFrame
        The ``gallery`` table; ``crop`` holds a PNG. Intensities share one scale per plate and channel, taken from its
        negative controls, so that brightness can be compared between treatments.
    """
    import imagecodecs

    from phenoprint.images import channel_limits, crop_cells, to_rgb

    section = context.config.report
    treatments = choose_treatments(
        context.table("profile_consensus").collect(), context.table("activity").collect(), section.gallery_treatments
    )
    profiled = context.table("profile_well").select(*WELL_KEY, "Metadata_perturbation", "Metadata_pert_type")
    wells = profiled.filter(pl.col("Metadata_perturbation").is_in(treatments)).collect()
    chosen = _choose_cells(context, wells, treatments, section.gallery_cells)
    if chosen.is_empty():
        return frame_of("gallery")
    limits: dict[str, np.ndarray] = {}
    rows = []
    for (plate, well, site), group in chosen.group_by(SITE_KEY, maintain_order=True):
        images = context.images(plate, well).filter(pl.col("Metadata_Site") == site)
        pixels = context.correct(plate, context.read_raw(images))
        if plate not in limits:
            limits[plate] = channel_limits(np.stack(_reference_fields(context, wells, plate) or [pixels]))
        centres = group.select("Location_Center_Y", "Location_Center_X").to_numpy()
        crops = crop_cells(pixels, centres, size=_crop_size(context, plate))
        cells = group.select(*CELL_KEY, "Metadata_perturbation", "rank")
        for crop, cell in zip(crops, cells.iter_rows(), strict=True):
            rgb = to_rgb(crop, channels=list(context.channels), limits=limits[plate])
            png = bytes(imagecodecs.png_encode(rgb))
            rows.append((*cell, png))
    return frame_of("gallery", rows).sort("Metadata_perturbation", "rank")


def _choose_cells(context: Context, wells: pl.DataFrame, treatments: list[str], count: int) -> pl.DataFrame:
    """Return the typical cells of each treatment with their centres, reading one plate at a time."""
    parts = []
    looks = look_features(context.table("cell").collect_schema().names())
    for (plate,), group in wells.sort("Metadata_Plate").group_by("Metadata_Plate", maintain_order=True):
        here = (pl.col("Metadata_Plate") == plate) & pl.col("Metadata_Well").is_in(group["Metadata_Well"].implode())
        flagged = context.table("cell_quality").filter(here & (pl.col("is_outlier") | pl.col("touches_border")))
        cells = (
            context.table("cell")
            .filter(here)
            .select(*CELL_KEY, *looks)
            .collect()
            .join(flagged.select(CELL_KEY).collect(), on=CELL_KEY, how="anti")
        )
        cells = without_excluded(cells, context.exclusions(str(plate)))
        centres = (
            context.table("object").filter(here).select(*CELL_KEY, "Location_Center_Y", "Location_Center_X").collect()
        )
        cells = cells.join(group.select("Metadata_Well", "Metadata_perturbation"), on="Metadata_Well", how="left")
        for (treatment,), rows in cells.group_by("Metadata_perturbation", maintain_order=True):
            best = typical_cells(rows.drop("Metadata_perturbation"), count)
            best = best.join(centres, on=CELL_KEY, how="left", maintain_order="left")
            best = best.with_columns(pl.lit(treatment).alias("Metadata_perturbation"))
            parts.append(best.with_columns(pl.int_range(pl.len(), dtype=pl.Int32).alias("_order")))
    if not parts:
        return pl.DataFrame()
    pooled = pl.concat(parts).sort("Metadata_perturbation", "_order", *CELL_KEY)
    ranked = pooled.with_columns(pl.int_range(pl.len(), dtype=pl.Int32).over("Metadata_perturbation").alias("rank"))
    return ranked.filter((pl.col("rank") < count) & pl.col("Metadata_perturbation").is_in(treatments))


def _reference_fields(context: Context, wells: pl.DataFrame, plate: str) -> list[np.ndarray]:
    """Read up to four control fields of a plate, to set the display range from."""
    from phenoprint.errors import ImageError

    controls = wells.filter((pl.col("Metadata_Plate") == plate) & (pl.col("Metadata_pert_type") == "negcon"))
    fields = []
    for well in controls["Metadata_Well"].sort().to_list()[:4]:
        rows = context.images(plate, well)
        try:
            first = rows.filter(pl.col("Metadata_Site") == rows["Metadata_Site"].min())
            fields.append(context.correct(plate, context.read_raw(first)))
        except ImageError:
            continue
    return fields
