"""The steps that measure cells and write thumbnails."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from phenoprint.errors import ImageError
from phenoprint.pipeline.events import Message, OnEvent
from phenoprint.pipeline.screen_files import mask_name, read_masks, thumbnail_name, write_thumbnail
from phenoprint.pipeline.steps.base import Outcome, Scope, Step, Unit
from phenoprint.pipeline.steps.fields import Fields, keyed, no_labels
from phenoprint.store import ledger_rows

if TYPE_CHECKING:
    from phenoprint.pipeline.config import ScreenConfig
    from phenoprint.pipeline.context import Context
    from phenoprint.pipeline.executors import Executor

__all__ = ["Measure", "Thumbnail"]


class Measure(Step):
    """Measure every cell of a well."""

    name = "measure"
    title = "Features"
    scope = Scope.WELL
    needs = ("image", "illumination", "object")
    tables = ("cell",)

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return the features section, with version and package of each family."""
        from phenoprint.features import FAMILIES

        versions = {
            family.name: " of ".join(filter(None, (family.version, FAMILIES.package(family.name))))
            for family in config.features.chosen()
        }
        return {**config.section("features"), "versions": versions}

    def warm_up(self, context: Context, executor: Executor, on_event: OnEvent) -> None:
        """Compile the kernels of the families once, before the workers start."""
        from phenoprint.features import FAMILIES, warm_up

        own = [each for each in context.config.features.chosen() if FAMILIES.package(each.name) is None]
        on_event(Message("preparing the measurement kernels (compiled once, then kept on disk)"))
        executor.submit(partial(warm_up, len(context.channels), families=own)).result()

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Measure the fields of a well with the masks of the segmentation."""
        from phenoprint.features import measure

        fields = Fields(unit, context)
        how: dict[str, Any] = {"channels": list(context.channels), "families": context.config.features.chosen()}
        expected = (
            context.table("object")
            .filter((pl.col("Metadata_Plate") == unit.plate) & (pl.col("Metadata_Well") == unit.well))
            .select(pl.len())
            .collect()
            .item()
        )
        frames = []
        for site, pixels in fields:
            labels = read_masks(context.path / mask_name(unit.plate, unit.well, site))
            frames.append(keyed(measure(pixels, labels, **how), unit, site))
        for site, reason in fields.errors.items():
            if (context.path / mask_name(unit.plate, unit.well, site)).exists():
                raise ImageError(f"site {site} was segmented, but cannot be read now: {reason}")
        if not frames:
            empty = np.zeros((len(context.channels), 1, 1), np.float32)
            frames.append(keyed(measure(empty, no_labels(), **how), unit, ""))
        cells = pl.concat(frames)
        lost = {} if cells.height == expected else {"segmented but not measured": expected - cells.height}
        ledger = ledger_rows(self.name, unit.plate, unit.well, unit_of_count="cells", n_in=expected, lost=lost)
        return Outcome({"cell": cells}, ledger)


class Thumbnail(Step):
    """Write a small colour picture of the first readable field of a well."""

    name = "thumbnail"
    title = "Thumbnails"
    scope = Scope.WELL
    needs = ("image", "illumination")

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Write the picture; no file if no field can be read."""
        for _site, pixels in Fields(unit, context):
            name = thumbnail_name(unit.plate, unit.well)
            write_thumbnail(context.path / name, pixels, channels=list(context.channels))
            return Outcome(files=(name,))
        return Outcome()
