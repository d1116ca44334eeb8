"""What a unit of work reads: the screen, its configuration, its images and their correction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import polars as pl

from phenoprint.errors import DataError, ImageError
from phenoprint.images import Illumination, read_field
from phenoprint.pipeline.config import ScreenConfig
from phenoprint.pipeline.exclusions import exclusions_of, without_excluded
from phenoprint.pipeline.imported import GIVEN
from phenoprint.pipeline.screen_files import illumination_name, read_illumination
from phenoprint.pixels import to_unit
from phenoprint.store import Screen, read_table, strict_join, table_files
from phenoprint.tables import WELL_KEY

__all__ = ["Context", "site_order"]


def site_order(sites: pl.Series) -> list[str]:
    """Return the distinct sites, numbers before words, numbers by value.

    Examples
    --------
    >>> site_order(pl.Series(["10", "2", "2", "b"]))
    ['2', '10', 'b']
    """
    return sorted(
        sites.unique().to_list(), key=lambda site: (not site.isdigit(), int(site) if site.isdigit() else 0, site)
    )


@lru_cache(maxsize=4)
def _plate_images(root: Path, plate: str, stamp: int) -> pl.DataFrame:  # noqa: ARG001 - the stamp ages the cache
    return read_table(root, "image").filter(pl.col("Metadata_Plate") == plate).collect()


@lru_cache(maxsize=1)
def _annotation(root: Path, stamp: int) -> pl.DataFrame:  # noqa: ARG001 - the stamp ages the cache
    return read_table(root, "well").select(pl.col("^Metadata_.*$")).collect()


@lru_cache(maxsize=2)
def _plate_illumination(
    root: Path,
    plate: str,
    channels: tuple[str, ...],
    stamp: int,  # noqa: ARG001 - the stamp ages the cache
) -> dict[str, Illumination]:
    """Read the illumination functions of a plate, by channel; empty where none were estimated."""
    paths = {channel: root / illumination_name(plate, channel) for channel in channels}
    return {channel: read_illumination(path) for channel, path in paths.items() if path.is_file()}


@dataclass(frozen=True)
class Context:
    """What a unit of work reads; everything in it can be sent to another process.

    Attributes
    ----------
    path
        The screen folder.
    config
        The screen's configuration.
    image_root
        Folder that the paths of the image table are relative to.
    channels
        The stains, in the order of the pixel arrays.
    stamp
        A number that changes with every run, so that long-lived workers drop what they cached in an earlier one.
    given
        The tables that no step makes: those of the images, or those that were imported.
    """

    path: Path
    config: ScreenConfig
    image_root: Path
    channels: tuple[str, ...]
    stamp: int = 0
    given: frozenset[str] = GIVEN

    @property
    def screen(self) -> Screen:
        """The screen itself."""
        return Screen(self.path)

    def table(self, name: str) -> pl.LazyFrame:
        """Return a table of the screen; an empty one where it has not been written."""
        return read_table(self.path, name)

    def holds(self, table: str) -> bool:
        """Whether the screen holds files of a table."""
        return bool(table_files(self.path, table))

    def images(self, plate: str, well: str | None = None) -> pl.DataFrame:
        """Return the rows of the image table of a plate or of one of its wells."""
        rows = _plate_images(self.path, plate, self.stamp)
        return rows if well is None else rows.filter(pl.col("Metadata_Well") == well)

    def wells(self, plate: str) -> pl.DataFrame:
        """Return the well table of a plate."""
        return read_table(self.path, "well", plate=plate).collect()

    def exclusions(self, plate: str | None = None, *, by_hand: bool = False) -> pl.DataFrame:
        """Return the exclusions of a plate, or of all plates, with those of plate acceptance unless `by_hand`."""
        return exclusions_of(self.path, plate, by_hand=by_hand)

    def profiles(
        self,
        table: str,
        *,
        plate: str | None = None,
        columns: str = "*",
        schema: Mapping[str, pl.DataType] | None = None,
        by_hand: bool = False,
    ) -> pl.DataFrame:
        """Return well profiles without excluded wells.

        Imported profiles get the annotation of the table ``well``, which may be newer than their own. A table without
        rows gets its columns.

        Parameters
        ----------
        table
            A table of well profiles.
        plate
            The plate to read; default: all.
        columns
            A name or regular expression that selects columns.
        schema
            The schema of the whole table, where it is known, so that it is not read again for each of many plates.
        by_hand
            Whether only the exclusions made by hand count, and not those of plate acceptance.
        """
        frame = read_table(self.path, table, plate=plate, schema=schema).select(pl.col(columns)).collect()
        frame = without_excluded(frame, self.exclusions(plate, by_hand=by_hand))
        if frame.height and table not in self.given:
            return frame
        wells = _annotation(self.path, self.stamp)
        own = frame.drop([name for name in wells.columns if name not in WELL_KEY and name in frame.columns])
        joined = strict_join(own, wells, on=WELL_KEY, expect="m:1")
        return joined.select(pl.col("^Metadata_.*$"), pl.exclude("^Metadata_.*$"))

    def read_raw(self, rows: pl.DataFrame) -> np.ndarray:
        """Read the field that ``rows`` of the image table describe: (C, Y, X), the files' own type.

        Raises
        ------
        ImageError
            If a channel is missing or a file cannot be used.
        """
        bad = rows.filter(pl.col("status") != "ok")
        if bad.height:
            first = bad.row(0, named=True)
            raise ImageError(f"{first['path']}: {first['reason']}")
        missing = [channel for channel in self.channels if channel not in set(rows["Metadata_Channel"])]
        if missing:
            first = rows.row(0, named=True)
            raise ImageError(
                f"missing channel: {', '.join(missing)} (plate {first['Metadata_Plate']}, well "
                f"{first['Metadata_Well']}, site {first['Metadata_Site']})"
            )
        return read_field(rows, self.image_root, channels=list(self.channels))

    def correct(self, plate: str, pixels: np.ndarray) -> np.ndarray:
        """Scale raw pixels (C, Y, X) to [0, 1] and divide by the plate's illumination functions; float32."""
        functions = _plate_illumination(self.path, plate, self.channels, self.stamp)
        unit = to_unit(pixels)
        for index, channel in enumerate(self.channels):
            if channel in functions:
                unit[index] = functions[channel].apply(unit[index])
        return unit

    def pixel_size_um(self) -> float | None:
        """Return the size of a pixel in micrometres, None where it is not known."""
        return None if self.config.images is None else self.config.images.pixel_size_um

    def nucleus_diameter_px(self, plate: str) -> float | None:
        """Return the diameter of a nucleus in pixels, given by the user or estimated from the plate."""
        section = self.config.segmentation
        if section.nucleus_diameter_px is not None:
            return section.nucleus_diameter_px
        if section.nucleus_diameter_um is not None:
            size = self.pixel_size_um()
            if size is None:
                raise DataError(
                    "segmentation.nucleus_diameter_um is given, but the size of a pixel is not known: set "
                    "images.pixel_size_um, or give segmentation.nucleus_diameter_px instead"
                )
            return section.nucleus_diameter_um / size
        found = self.table("nucleus_size").filter(pl.col("Metadata_Plate") == plate).collect()
        return found["nucleus_diameter_px"][0] if found.height else None
