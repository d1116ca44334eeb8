"""One plug-in of each kind for Phenoprint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
from scipy import ndimage

from phenoprint.errors import UsageError
from phenoprint.features import Definition, FeatureFamily, Objects
from phenoprint.images import Reader
from phenoprint.profiles import Fit, Normalizer
from phenoprint.segmentation import Segmenter


@dataclass(frozen=True)
class InventoryReader(Reader):
    """Read the images that a table lists: one row per image with the columns file, well, site and stain.

    Parameters
    ----------
    table
        The table, relative to the folder of the images.
    wells
        Wells to read; none: all.
    """

    table: str
    wells: tuple[str, ...] = ()

    def index(self, root: Path) -> pl.DataFrame:
        listed = pl.read_csv(root / self.table, infer_schema=False)
        if self.wells:
            listed = listed.filter(pl.col("well").is_in(self.wells))
        return listed.select(
            pl.lit(None, pl.String).alias("Metadata_Plate"),
            pl.col("well").alias("Metadata_Well"),
            pl.col("site").alias("Metadata_Site"),
            pl.col("stain").alias("Metadata_Channel"),
            pl.lit(0).alias("Metadata_Z"),
            pl.lit(0).alias("Metadata_T"),
            pl.col("file").alias("path"),
            pl.lit(0).alias("page"),
        )


@dataclass(frozen=True)
class DiskSegmenter(Segmenter):
    """Nuclei by one threshold, cells as disks around them.

    Parameters
    ----------
    channel
        The channel that shows nuclei.
    quantile
        Share of the pixels that are background.
    reach_px
        How far a cell extends from its nucleus.
    """

    channel: str
    quantile: float = 0.9
    reach_px: int = 6

    def segment(
        self, pixels: np.ndarray, *, channels: Sequence[str], pixel_size_um: float | None = None
    ) -> dict[str, np.ndarray]:
        image = ndimage.gaussian_filter(pixels[list(channels).index(self.channel)], 2)
        nuclei, _ = ndimage.label(image > np.quantile(image, self.quantile))
        distance, nearest = ndimage.distance_transform_edt(nuclei == 0, return_indices=True)
        cells = np.where(distance <= self.reach_px, nuclei[tuple(nearest)], 0)
        return {"Nuclei": nuclei.astype(np.int32), "Cells": cells.astype(np.int32)}


@dataclass(frozen=True)
class Bright(FeatureFamily):
    """Share of the pixels of an object that are brighter than a level.

    Parameters
    ----------
    level
        Intensity, full scale is 1.
    """

    name: ClassVar[str] = "bright"
    source: ClassVar[str] = "phenoprint-example"
    definitions: ClassVar[Mapping[str, Definition]] = {
        "Bright_Share": Definition("share of pixels brighter than a level", "1")
    }

    level: float = 0.1

    def measure(self, objects: Objects) -> dict[str, np.ndarray]:
        owner = np.repeat(np.arange(objects.n), objects.area.astype(int))
        found = {}
        for channel, values in zip(objects.channels, objects.values, strict=True):
            count = np.bincount(owner, weights=values > self.level, minlength=objects.n)
            found[f"Bright_Share_{channel}"] = count / np.maximum(objects.area, 1)
        return found


@dataclass(frozen=True)
class Midrange(Normalizer):
    """Subtract the middle between the extremes of the reference, divide by their distance.

    Parameters
    ----------
    factor
        Multiplies the result.
    """

    name: ClassVar[str] = "midrange"
    spread_name: ClassVar[str] = "range"

    factor: float = 1.0

    def __post_init__(self) -> None:
        if self.factor <= 0:
            raise UsageError(f"factor must be above 0; found {self.factor}")

    def fit(self, reference: np.ndarray, *, blocks: np.ndarray | None = None) -> Fit:
        low, high = np.nanmin(reference, axis=1), np.nanmax(reference, axis=1)
        spread = (high - low) / self.factor
        n = (~np.isnan(reference)).sum(axis=1).astype(float)
        return Fit(center=(low + high) / 2, scale=spread, spread=spread, n=n)
