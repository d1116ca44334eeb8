"""Steps that look at pixels: illumination, image quality, calibration, masks, features, thumbnails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from phenoprint.errors import DataError, ImageError, UsageError
from phenoprint.pipeline.artefacts import (
    illumination_name,
    mask_name,
    read_masks,
    thumbnail_name,
    write_illumination,
    write_masks,
    write_thumbnail,
)
from phenoprint.pipeline.context import site_order
from phenoprint.pipeline.events import Message, OnEvent
from phenoprint.pipeline.steps.base import Outcome, Scope, Step, Unit
from phenoprint.store import hash_key, ledger_rows, remove_file
from phenoprint.tables import frame_of

if TYPE_CHECKING:
    from phenoprint.pipeline.config import ScreenConfig
    from phenoprint.pipeline.context import Context
    from phenoprint.pipeline.executors import Executor

__all__ = ["Calibrate", "Illuminate", "Measure", "MeasureQuality", "Segment", "Thumbnail"]


def _keyed(frame: pl.DataFrame, unit: Unit, site: str | None = None) -> pl.DataFrame:
    """Put plate, well and site in front of the rows that a field gave."""
    keys = {"Metadata_Plate": unit.plate, "Metadata_Well": unit.well}
    if site is not None:
        keys["Metadata_Site"] = site
    return frame.select(*(pl.lit(value, pl.String).alias(name) for name, value in keys.items()), pl.all())


class _Fields:
    """The fields of a well, one after another, raw or corrected; those that cannot be used are counted by reason."""

    def __init__(self, unit: Unit, context: Context, *, corrected: bool = True) -> None:
        self._plate = unit.plate if corrected else None
        self.rows = context.images(unit.plate, unit.well)
        self.sites = site_order(self.rows["Metadata_Site"])
        self.lost: Counter[str] = Counter()
        self.errors: dict[str, str] = {}
        self._context = context

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        for site in self.sites:
            try:
                pixels = self._context.read_raw(self.rows.filter(pl.col("Metadata_Site") == site))
                if self._plate is not None:
                    pixels = self._context.correct(self._plate, pixels)
            except ImageError as error:
                if isinstance(error.__cause__, (OSError, MemoryError)):
                    raise error.__cause__ from error  # the machine's fault, not the file's: worth another try
                self.errors[site] = str(error)
                self.lost[f"site {site}: {error}"] += 1
            else:
                yield site, pixels


class Illuminate(Step):
    """Estimate how unevenly each channel of a plate is lit."""

    name = "illumination"
    title = "Illumination"
    scope = Scope.PLATE
    needs = ("image",)
    files = ("illumination",)

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return the illumination section."""
        return config.section("illumination")

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Estimate and save one function a channel."""
        from phenoprint.images import estimate_illumination

        section = context.config.illumination
        for channel in context.channels:  # a function of an earlier method must not outlive it
            remove_file(context.path / illumination_name(unit.plate, channel))
        if section.method == "none":
            return Outcome(digest="none")
        files: list[str] = []
        sampled, lost = 0, Counter[str]()
        contents: list[tuple[str, np.ndarray, np.ndarray | None]] = []
        for channel in context.channels:
            sample = _sample_fields(context.images(unit.plate), channel, section.max_fields)
            sampled += len(sample)
            first, fields = _peek(_single_channel(sample, context, channel, lost))
            if first is None:
                raise ImageError(f"no field of channel {channel} of plate {unit.plate} can be read")
            function = estimate_illumination(
                fields,
                method=section.method,
                average=section.average,
                dark=section.dark,
                offset=section.offset,
                smoothing_px=section.smoothing_px,
            )
            name = illumination_name(unit.plate, channel)
            write_illumination(context.path / name, function)
            files.append(name)
            contents.append((channel, function.flat, function.dark))
        ledger = ledger_rows(self.name, unit.plate, unit_of_count="images", n_in=sampled, lost=lost)
        return Outcome(ledger=ledger, files=tuple(files), digest=hash_key(contents))


def _peek(fields: Iterator[np.ndarray]) -> tuple[np.ndarray | None, Iterator[np.ndarray]]:
    """Return the first field, if there is one, and all of them; one at a time is held."""
    first = next(fields, None)
    return first, iter(()) if first is None else chain([first], fields)


def _sample_fields(rows: pl.DataFrame, channel: str, limit: int) -> list[pl.DataFrame]:
    """Pick up to ``limit`` readable fields of a channel and of its usual size, spread evenly over the plate."""
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


def _single_channel(
    groups: list[pl.DataFrame], context: Context, channel: str, lost: Counter[str]
) -> Iterator[np.ndarray]:
    """Read one channel of some fields, in [0, 1]; unreadable ones are counted."""
    from phenoprint.images import read_field
    from phenoprint.pixels import to_unit

    for group in groups:
        try:
            yield to_unit(read_field(group, context.image_root, channels=[channel]))[0]
        except ImageError as error:
            lost[str(error)] += 1


class MeasureQuality(Step):
    """Measure focus, saturation, background and intensities of each raw image."""

    name = "quality"
    title = "Image quality"
    scope = Scope.WELL
    needs = ("image",)
    tables = ("image_metric",)

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Measure the raw fields of a well; fields that cannot be read get a row of NULLs."""
        from phenoprint.images import image_quality

        fields = _Fields(unit, context, corrected=False)
        measured = [
            _keyed(image_quality(pixels, channels=list(context.channels)), unit, site) for site, pixels in fields
        ]
        unread = pl.DataFrame(
            [(site, channel, reason) for site, reason in fields.errors.items() for channel in context.channels],
            schema={"Metadata_Site": pl.String, "Metadata_Channel": pl.String, "error": pl.String},
            orient="row",
        )
        frames = [frame.with_columns(error=pl.lit(None, pl.String)) for frame in measured]
        if unread.height:
            frames.append(_keyed(unread, unit))
        if not frames:
            raise DataError(f"well {unit.well} of plate {unit.plate} has no field")
        ledger = ledger_rows(
            self.name, unit.plate, unit.well, unit_of_count="sites", n_in=len(fields.sites), lost=fields.lost
        )
        return Outcome({"image_metric": pl.concat(frames, how="diagonal")}, ledger, unusable=len(fields.errors))


class Calibrate(Step):
    """Estimate the diameter of a nucleus from a plate, where the user gave none."""

    name = "calibrate"
    title = "Calibration"
    scope = Scope.PLATE
    needs = ("image",)
    tables = ("calibration",)

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return what the diameter depends on."""
        section = config.segmentation
        return {
            "given": [section.nucleus_diameter_um, section.nucleus_diameter_px, config.need_images().pixel_size_um],
            "channel": section.parameters.get("nucleus_channel"),
        }

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Estimate from up to 16 fields spread over the plate."""
        from phenoprint.segmentation import estimate_nucleus_diameter, nucleus_channel

        section = context.config.segmentation
        if section.nucleus_diameter_um is not None or section.nucleus_diameter_px is not None:
            return Outcome({"calibration": frame_of("calibration")}, digest="given")
        try:
            channel = context.channels[nucleus_channel(context.channels, section.parameters.get("nucleus_channel"))]
        except UsageError:  # segmenters that need the nuclear channel were checked to have one
            return Outcome({"calibration": frame_of("calibration")}, digest="no nuclear channel")
        groups = _sample_fields(context.images(unit.plate), channel, 16)
        images = list(_single_channel(groups, context, channel, Counter()))
        try:
            diameter = estimate_nucleus_diameter(images)
        except DataError:  # a plate without a single nucleus: each field is left to itself
            diameter = None
        row = [(unit.plate, diameter, len(images))]
        return Outcome({"calibration": frame_of("calibration", row)}, digest=hash_key(diameter))


def _compile_segmentation() -> None:
    """Segment one drawn nucleus, so that every kernel is compiled."""
    from phenoprint.segmentation import segment

    y, x = np.mgrid[:64, :64]
    nucleus = ((y - 30) ** 2 + (x - 30) ** 2 < 64).astype(np.float32)
    segment(np.stack([nucleus, nucleus]), channels=["DNA", "AGP"], nucleus_diameter_px=16.0)


class Segment(Step):
    """Find nuclei and cells; write masks and the table of objects."""

    name = "segment"
    title = "Segmentation"
    scope = Scope.WELL
    needs = ("image", "illumination", "calibration")
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
        fields = _Fields(unit, context)
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
            tables.append(_keyed(_objects(labels), unit, site))
        for site in fields.errors:  # a mask of an earlier run must not stand for a field that is lost now
            remove_file(context.path / mask_name(unit.plate, unit.well, site))
        objects = pl.concat(tables) if tables else _keyed(_objects(_no_labels()), unit, "")
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
    """Return where the cells lie, with their area."""
    from phenoprint.features import object_table

    objects = object_table(labels)
    areas = np.bincount(labels["Cells"].ravel(), minlength=1 + objects.height)
    numbers = objects["Metadata_ObjectNumber"].to_numpy()
    return objects.with_columns(pl.Series("cell_area_px", areas[numbers], dtype=pl.Int32))


def _no_labels() -> dict[str, np.ndarray]:
    empty = np.zeros((1, 1), np.int32)
    return {"Nuclei": empty, "Cells": empty}


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
        """Measure the fields of a well on the masks of the segmentation."""
        from phenoprint.features import measure

        fields = _Fields(unit, context)
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
            frames.append(_keyed(measure(pixels, labels, **how), unit, site))
        for site, reason in fields.errors.items():
            if (context.path / mask_name(unit.plate, unit.well, site)).exists():
                raise ImageError(f"site {site} was segmented, but cannot be read any more: {reason}")
        if not frames:
            empty = np.zeros((len(context.channels), 1, 1), np.float32)
            frames.append(_keyed(measure(empty, _no_labels(), **how), unit, ""))
        cells = pl.concat(frames)
        lost = {} if cells.height == expected else {"segmented but not measured": expected - cells.height}
        ledger = ledger_rows(self.name, unit.plate, unit.well, unit_of_count="cells", n_in=expected, lost=lost)
        return Outcome({"cell": cells}, ledger)


class Thumbnail(Step):
    """Write a small colour picture of the first field of a well."""

    name = "thumbnail"
    title = "Thumbnails"
    scope = Scope.WELL
    needs = ("image", "illumination")

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Render the first readable field; nothing where there is none."""
        for _site, pixels in _Fields(unit, context):
            name = thumbnail_name(unit.plate, unit.well)
            write_thumbnail(context.path / name, pixels, channels=list(context.channels))
            return Outcome(files=(name,))
        return Outcome()
