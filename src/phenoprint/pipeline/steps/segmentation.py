"""The steps that find cells: calibration and segmentation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from phenoprint.errors import DataError, UsageError
from phenoprint.pipeline.events import Message, OnEvent
from phenoprint.pipeline.screen_files import mask_name, write_masks
from phenoprint.pipeline.steps.base import Outcome, Scope, Step, Unit
from phenoprint.pipeline.steps.fields import Fields, keyed, no_labels, sample_fields, single_channel
from phenoprint.store import hash_key, ledger_rows, remove_file
from phenoprint.tables import frame_of

if TYPE_CHECKING:
    from phenoprint.pipeline.config import ScreenConfig
    from phenoprint.pipeline.context import Context
    from phenoprint.pipeline.executors import Executor

__all__ = ["Calibrate", "Segment"]


class Calibrate(Step):
    """Estimate the diameter of the nuclei of a plate, unless the configuration gives it."""

    name = "calibrate"
    title = "Calibration"
    scope = Scope.PLATE
    needs = ("image",)
    tables = ("nucleus_size",)

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return the part of the configuration that the diameter depends on."""
        section = config.segmentation
        return {
            "given": [section.nucleus_diameter_um, section.nucleus_diameter_px, config.need_images().pixel_size_um],
            "channel": section.parameters.get("nucleus_channel"),
        }

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Estimate it from up to 16 fields spread over the plate."""
        from phenoprint.segmentation import estimate_nucleus_diameter, nucleus_channel

        section = context.config.segmentation
        if section.nucleus_diameter_um is not None or section.nucleus_diameter_px is not None:
            return Outcome({"nucleus_size": frame_of("nucleus_size")}, digest="given")
        try:
            channel = context.channels[nucleus_channel(context.channels, section.parameters.get("nucleus_channel"))]
        except UsageError:  # segmenters that need the nuclear channel were checked to have one
            return Outcome({"nucleus_size": frame_of("nucleus_size")}, digest="no nuclear channel")
        groups = sample_fields(context.images(unit.plate), channel, 16)
        images = list(single_channel(groups, context, channel, Counter()))
        try:
            diameter = estimate_nucleus_diameter(images)
        except DataError:  # a plate without a nucleus: it is estimated for each field
            diameter = None
        row = [(unit.plate, diameter, len(images))]
        return Outcome({"nucleus_size": frame_of("nucleus_size", row)}, digest=hash_key(diameter))


def _compile_segmentation() -> None:
    """Segment one drawn nucleus, which compiles every kernel."""
    from phenoprint.segmentation import segment

    y, x = np.mgrid[:64, :64]
    nucleus = ((y - 30) ** 2 + (x - 30) ** 2 < 64).astype(np.float32)
    segment(np.stack([nucleus, nucleus]), channels=["DNA", "AGP"], nucleus_diameter_px=16.0)


class Segment(Step):
    """Segment nuclei and cells; write the masks and the table ``object``."""

    name = "segment"
    title = "Segmentation"
    scope = Scope.WELL
    needs = ("image", "illumination", "nucleus_size")
    tables = ("object",)

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return the segmentation section, the package that provides the segmenter, and the pixel size."""
        from phenoprint.segmentation import SEGMENTERS

        package = SEGMENTERS.package(config.segmentation.segmenter)
        return {
            **config.section("segmentation"),
            **({} if package is None else {"package": package}),
            "pixel_size_um": config.need_images().pixel_size_um,
        }

    def warm_up(self, context: Context, executor: Executor, on_event: OnEvent) -> None:
        """Compile the kernels once, before the workers start."""
        if context.config.segmentation.segmenter == "classical":
            on_event(Message("preparing the segmentation kernels (compiled once, then kept on disk)"))
            executor.submit(_compile_segmentation).result()

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Segment the fields of a well."""
        from phenoprint.segmentation import SEGMENTERS, segment

        section = context.config.segmentation
        parameters = dict(section.parameters)
        diameter = context.nucleus_diameter_px(unit.plate)
        if diameter is not None and "nucleus_diameter_px" in SEGMENTERS.parameters(section.segmenter):
            parameters.setdefault("nucleus_diameter_px", diameter)
        fields = Fields(unit, context)
        tables, files = [], []
        for site, pixels in fields:
            labels = segment(
                pixels,
                channels=list(context.channels),
                pixel_size_um=context.pixel_size_um(),
                segmenter=section.segmenter,
                **parameters,
            )
            name = mask_name(unit.plate, unit.well, site)
            write_masks(context.path / name, labels)
            files.append(name)
            tables.append(keyed(_objects(labels), unit, site))
        for site in fields.errors:  # the mask of an earlier run
            remove_file(context.path / mask_name(unit.plate, unit.well, site))
        objects = pl.concat(tables) if tables else keyed(_objects(no_labels()), unit, "")
        ledger = pl.concat(
            [
                ledger_rows(
                    self.name, unit.plate, unit.well, unit_of_count="sites", n_in=len(fields.sites), lost=fields.lost
                ),
                ledger_rows(self.name, unit.plate, unit.well, unit_of_count="cells", n_in=objects.height),
            ]
        )
        return Outcome({"object": objects}, ledger, tuple(files), unusable=len(fields.errors))


def _objects(labels: dict[str, np.ndarray]) -> pl.DataFrame:
    """Return the rows of table ``object`` of a field, with the area of each cell."""
    from phenoprint.features import object_table

    objects = object_table(labels)
    areas = np.bincount(labels["Cells"].ravel(), minlength=1 + objects.height)
    numbers = objects["Metadata_ObjectNumber"].to_numpy()
    return objects.with_columns(pl.Series("cell_area_px", areas[numbers], dtype=pl.Int32))
