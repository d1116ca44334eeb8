"""Read images and plate maps into the tables ``image``, ``site``, ``well``, ``plate`` and ``perturbation``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from phenoprint.errors import ConfigError, DataError
from phenoprint.features import feature_dictionary
from phenoprint.images import checked_index, inspect_files, no_match, rename_channels
from phenoprint.pipeline.config import ScreenConfig
from phenoprint.pipeline.datasets import dataset_folder
from phenoprint.pipeline.image_problems import image_problems
from phenoprint.pipeline.platemaps import read_plate_maps
from phenoprint.plates import (
    PlateFormat,
    perturbation_id,
    perturbation_table,
    reconcile,
    well_table,
)
from phenoprint.store import ledger_rows
from phenoprint.tables import PLATE, SITE_KEY, WELL_KEY, frame_of, get_table

__all__ = ["Ingested", "image_root", "in_order", "index_images", "ingest"]


@dataclass(frozen=True)
class Ingested:
    """The tables of a screen before any pixel is measured.

    Attributes
    ----------
    tables
        Frames by table name: ``image``, ``site``, ``well``, ``plate``, ``perturbation``, ``problem``,
        ``plate_map_reading``, ``feature``.
    problems
        Where images and plate map disagree, and files that were not understood: ``kind``, place and ``detail``.
    channels
        The stains, in the order used for pixel arrays.
    ledger
        Images found, readable and lost, one row per plate, well and reason.
    """

    tables: dict[str, pl.DataFrame]
    problems: pl.DataFrame
    channels: tuple[str, ...]
    ledger: pl.DataFrame


def image_root(config: ScreenConfig, base: Path) -> Path:
    """Return the folder of the images; relative paths are relative to the configuration's folder.

    Raises
    ------
    ConfigError
        If the folder does not exist.
    """
    section = config.need_images()
    if section.dataset is not None:
        return dataset_folder(section.dataset)
    root = Path(section.root or ".").expanduser()
    root = root if root.is_absolute() else base / root
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise ConfigError(f"images.root {root} {what}: expected the folder of the images")
    return root.resolve()


def index_images(config: ScreenConfig, root: Path) -> pl.DataFrame:
    """Index the images of a screen with the reader of its configuration.

    Raises
    ------
    DataError
        If no file matches or a plate is not named.
    """
    section = config.need_images()
    index = checked_index(section.make_reader().index(root))
    if index.is_empty():
        by_name = section.reader == "pattern"
        why = no_match(root, section.pattern or "auto") if by_name else f"the reader {section.reader!r} lists none"
        raise DataError(f"no image found below {root}: {why}")
    index = rename_channels(index, section.channels, where=str(root))
    if isinstance(section.page, int):
        index = index.with_columns(pl.lit(section.page, dtype=pl.Int32).alias("page"))
    plate = section.plate or root.name
    return index.with_columns(pl.col("Metadata_Plate").fill_null(plate))


def _site_table(images: pl.DataFrame, channels: tuple[str, ...]) -> pl.DataFrame:
    """Aggregate the image table to one row per field, with the reason where a field cannot be used."""
    ok = pl.col("status") == "ok"
    found = pl.col("Metadata_Channel").unique()
    missing = pl.lit(list(channels)).list.set_difference(found.implode())
    return (
        images.group_by(SITE_KEY)
        .agg(
            pl.col("Metadata_Channel").n_unique().cast(pl.Int32).alias("n_channels"),
            pl.col("height").filter(ok).first(),
            pl.col("width").filter(ok).first(),
            pl.col("dtype").filter(ok).first(),
            pl.format("{}: {}", "Metadata_Channel", "reason").filter(~ok).unique(maintain_order=True).alias("_bad"),
            missing.first().list.sort().alias("_missing"),
            _differing(pl.format("{} x {}", "height", "width"), ok).alias("_sizes"),
            _differing(pl.col("dtype"), ok).alias("_depths"),
        )
        .with_columns(
            pl.concat_str(
                pl.when(pl.col("_bad").list.len() > 0).then(pl.col("_bad").list.join("; ")),
                pl.when(pl.col("_missing").list.len() > 0).then(
                    pl.lit("missing channel: ") + pl.col("_missing").list.join(", ")
                ),
                pl.format("sizes differ between the channels: {}", "_sizes"),
                pl.format("bit depths differ between the channels: {}", "_depths"),
                separator="; ",
                ignore_nulls=True,
            ).alias("reason")
        )
        .with_columns(pl.when(pl.col("reason") == "").then(None).otherwise(pl.col("reason")).alias("reason"))
        .with_columns(
            pl.when(pl.col("reason").is_null()).then(pl.lit("ok")).otherwise(pl.lit("failed")).alias("status")
        )
        .drop("_bad", "_missing", "_sizes", "_depths")
        .sort(SITE_KEY)
    )


def _differing(value: pl.Expr, ok: pl.Expr) -> pl.Expr:
    """Name the value of each channel of a group if they differ; NULL if they are all the same."""
    of_channels = pl.format("{} {}", "Metadata_Channel", value).filter(ok).unique().sort().str.join(", ")
    return pl.when(value.filter(ok).n_unique() > 1).then(of_channels)


def _plate_table(images: pl.DataFrame, wells: pl.DataFrame, given: int | None) -> pl.DataFrame:
    """Count the wells, sites and images of each plate."""
    counts = images.group_by("Metadata_Plate").agg(
        pl.struct("Metadata_Well", "Metadata_Site").n_unique().cast(pl.Int32).alias("n_sites"),
        pl.len().cast(pl.Int32).alias("n_images"),
    )
    formats = [
        (plate, given or PlateFormat.infer(rows["Metadata_Well"].to_list()).n_wells)
        for (plate,), rows in wells.group_by("Metadata_Plate", maintain_order=True)
    ]
    return (
        wells.group_by("Metadata_Plate")
        .agg(
            pl.col("Metadata_Batch").first(),
            pl.col("has_images").sum().cast(pl.Int32).alias("n_wells_imaged"),
            pl.col("is_annotated").sum().cast(pl.Int32).alias("n_wells_annotated"),
        )
        .join(
            pl.DataFrame(formats, schema=get_table("plate").schema_of((PLATE, "plate_format")), orient="row"),
            on="Metadata_Plate",
            how="left",
        )
        .join(counts, on="Metadata_Plate", how="left")
        .with_columns(pl.col("n_sites", "n_images").fill_null(0))
        .select(
            "Metadata_Plate",
            "Metadata_Batch",
            "plate_format",
            "n_wells_imaged",
            "n_wells_annotated",
            "n_sites",
            "n_images",
        )
        .sort("Metadata_Plate")
    )


def _image_ledger(images: pl.DataFrame, channels: tuple[str, ...]) -> pl.DataFrame:
    """Return ledger rows for the images of each well: found, used, and why the others are not."""
    first = pl.col("Metadata_T") == pl.col("Metadata_T").min().over(
        "Metadata_Plate", "Metadata_Well", "Metadata_Channel"
    )
    reason = (
        pl.when(~pl.col("Metadata_Channel").is_in(channels))
        .then(pl.lit("channel ") + pl.col("Metadata_Channel") + pl.lit(" is not named in images.channels"))
        .when(pl.col("status") != "ok")
        .then(pl.col("reason"))
        .when(~first)
        .then(pl.lit("a later time point; the first is used"))
    )
    judged = images.with_columns(reason.alias("_lost_because")).sort(WELL_KEY)
    rows = []
    for (plate, well), group in judged.group_by(WELL_KEY, maintain_order=True):
        lost = dict(group.drop_nulls("_lost_because").group_by("_lost_because").len().sort("_lost_because").iter_rows())
        rows.append(ledger_rows("ingest", str(plate), str(well), unit_of_count="images", n_in=group.height, lost=lost))
    return pl.concat(rows)


def in_order(channels: Iterable[str]) -> list[str]:
    """Sort stains for pixel arrays: those of Cell Painting first, then the others by name.

    Examples
    --------
    >>> in_order(["actin", "Mito", "DNA"])
    ['DNA', 'Mito', 'actin']
    """
    first = ["DNA", "ER", "RNA", "AGP", "Mito"]
    return sorted(channels, key=lambda name: (first.index(name) if name in first else len(first), name))


def ingest(
    config: ScreenConfig,
    base: Path,
    *,
    known: pl.DataFrame | None = None,
    on_file: Callable[[int, int], None] | None = None,
) -> Ingested:
    """Read the image files and plate maps of a screen, and compare the two.

    Parameters
    ----------
    config
        The screen's configuration.
    base
        Folder of the configuration, which relative paths refer to.
    known
        An earlier image table; files whose size and time agree are not hashed again.
    on_file
        Called with (files inspected, total).

    Raises
    ------
    ConfigError, PlateMapError, DataError
        If the configuration, a plate map or the whole folder cannot be used. A single bad file is a row of the
        ``image`` table with its reason.
    """
    root = image_root(config, base)
    found = read_plate_maps(config, base, root)
    plate_map = None if found is None else found.wells
    index = index_images(config, root)
    section = config.need_images()
    images = inspect_files(index, root, all_pages=section.page == "max", known=known, on_file=on_file)
    named = list(section.channels.values())
    seen = images["Metadata_Channel"].unique().sort().to_list()
    channels = tuple(named or in_order(seen))
    absent = [name for name in channels if name not in seen]
    if absent:
        raise DataError(
            f"images.channels names {', '.join(absent)}, but no file has it; the files have {', '.join(seen)}"
        )
    ledger = _image_ledger(images, channels)
    all_images = images
    images = images.filter(pl.col("Metadata_Channel").is_in(channels))
    wells = well_table(images, plate_map, batches=dict(config.plate_map.batches))
    wells = wells.with_columns(perturbation_id(wells))
    reconciliation = reconcile(images, plate_map, channels=list(channels))
    of_files = image_problems(section, root, all_images)
    problems = pl.concat([reconciliation.problems, of_files])
    return Ingested(
        tables={
            "image": images,
            "site": _site_table(images, channels),
            "well": wells,
            "plate": _plate_table(images, wells, config.plate_map.format),
            "perturbation": perturbation_table(wells),
            "problem": problems,
            "plate_map_reading": frame_of("plate_map_reading") if found is None else found.reading,
            "feature": feature_dictionary(list(channels), families=config.features.chosen()),
        },
        problems=problems,
        channels=channels,
        ledger=ledger,
    )
