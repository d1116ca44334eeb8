"""The fields that steps read: those of a well, or a sample of a plate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.errors import ImageError
from phenoprint.pipeline.context import site_order
from phenoprint.pipeline.steps.base import Unit

if TYPE_CHECKING:
    from phenoprint.pipeline.context import Context

__all__ = ["Fields", "keyed", "no_labels", "sample_fields", "single_channel"]


def keyed(frame: pl.DataFrame, unit: Unit, site: str | None = None) -> pl.DataFrame:
    """Put plate, well and site in front of the rows of a field."""
    keys = {"Metadata_Plate": unit.plate, "Metadata_Well": unit.well}
    if site is not None:
        keys["Metadata_Site"] = site
    return frame.select(*(pl.lit(value, pl.String).alias(name) for name, value in keys.items()), pl.all())


class Fields:
    """The fields of a well, read one after the other.

    Parameters
    ----------
    unit
        The well.
    context
        The screen.
    corrected
        Whether to scale pixels to [0, 1] and correct their illumination; otherwise they are raw.

    Attributes
    ----------
    sites
        The sites, in order.
    lost
        After iterating: how many fields could not be used, by reason.
    errors
        After iterating: the error of each of these, by site.
    """

    def __init__(self, unit: Unit, context: Context, *, corrected: bool = True) -> None:
        self._plate = unit.plate if corrected else None
        self.rows = context.images(unit.plate, unit.well)
        self.sites = site_order(self.rows["Metadata_Site"])
        self.lost: Counter[str] = Counter()
        self.errors: dict[str, str] = {}
        self._context = context

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield the site and the pixels, (C, Y, X), of each field that can be used."""
        for site in self.sites:
            try:
                pixels = self._context.read_raw(self.rows.filter(pl.col("Metadata_Site") == site))
                if self._plate is not None:
                    pixels = self._context.correct(self._plate, pixels)
            except ImageError as error:
                if isinstance(error.__cause__, (OSError, MemoryError)):
                    raise error.__cause__ from error  # a fault of the machine, not of the file: the unit is tried again
                self.errors[site] = str(error)
                self.lost[f"site {site}: {error}"] += 1
            else:
                yield site, pixels


def sample_fields(rows: pl.DataFrame, channel: str, limit: int) -> list[pl.DataFrame]:
    """Return the rows of up to ``limit`` readable fields of a channel, of the most common size, spread over a plate."""
    fields = rows.filter((pl.col("status") == "ok") & (pl.col("Metadata_Channel") == channel))
    kinds = fields.group_by("height", "width", "dtype").len().sort("len", "height", descending=True)
    fields = fields.join(kinds.head(1).drop("len"), on=["height", "width", "dtype"], how="semi")
    groups = [
        group
        for _, group in fields.sort("Metadata_Site", "Metadata_Well").group_by(
            "Metadata_Site", "Metadata_Well", maintain_order=True
        )
    ]
    if len(groups) <= limit:
        return groups
    return [groups[index] for index in np.linspace(0, len(groups) - 1, limit).round().astype(int)]


def single_channel(
    groups: list[pl.DataFrame], context: Context, channel: str, lost: Counter[str]
) -> Iterator[np.ndarray]:
    """Yield one channel of each field, (Y, X) in [0, 1]; count those that cannot be read in ``lost``."""
    from phenoprint.images import read_field
    from phenoprint.pixels import to_unit

    for group in groups:
        try:
            yield to_unit(read_field(group, context.image_root, channels=[channel]))[0]
        except ImageError as error:
            lost[str(error)] += 1


def no_labels() -> dict[str, np.ndarray]:
    """Return the masks of a field without cells."""
    empty = np.zeros((1, 1), np.int32)
    return {"Nuclei": empty, "Cells": empty}
