"""Comparison of image files with the plate map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from phenoprint.plates.well_table import KEYS, check_columns, expand_plate_map, well_table

__all__ = ["PROBLEM_KINDS", "Reconciliation", "reconcile"]

PROBLEM_KINDS = {
    "plate_not_imaged": "the map names a plate of which there is no image",
    "plate_not_annotated": "a plate has images and no plate map",
    "image_without_annotation": "a well has images and is not in the map",
    "annotation_without_image": "a well is in the map, not as empty, and has no image",
    "missing_channel": "a requested channel is absent",
    "missing_site": "a site that more than half of the plate's wells have is absent",
    "unreadable_file": "a file cannot be used",
    "same_key": "several files have the same plate, well, site, channel, z and t",
    "same_pixels_two_channels": "two channels of a site hold the same file or the same pixels",
    "duplicate_file": "files of different wells or sites hold the same bytes or the same pixels",
}

SITE = [*KEYS, "Metadata_Site"]
_SCHEMA = {
    "kind": pl.String,
    **dict.fromkeys([*SITE, "Metadata_Channel"], pl.String),
    "detail": pl.String,
}


@dataclass(frozen=True)
class Reconciliation:
    """Result of comparing files and plate map.

    Parameters
    ----------
    wells
        The `well` table.
    problems
        One row per problem: ``kind`` (a key of `PROBLEM_KINDS`), ``Metadata_Plate``, ``Metadata_Well``,
        ``Metadata_Site``, ``Metadata_Channel`` (null where the problem concerns more), ``detail``.
    """

    wells: pl.DataFrame
    problems: pl.DataFrame

    @property
    def n_matched(self) -> int:
        """Wells with images and an annotation."""
        return self.wells.filter(pl.col("has_images") & pl.col("is_annotated")).height

    def count(self) -> dict[str, int]:
        """Count the problems of each kind, in the order of `PROBLEM_KINDS`."""
        counted = dict(self.problems.group_by("kind").len().iter_rows())
        return {kind: counted[kind] for kind in PROBLEM_KINDS if kind in counted}


def reconcile(
    images: pl.DataFrame, plate_map: pl.DataFrame | None, *, channels: Sequence[str] | None = None
) -> Reconciliation:
    """Compare image files with the plate map, and image files among themselves.

    Parameters
    ----------
    images
        Image table, or a reader's index with ``Metadata_Plate`` filled. ``status`` other than ``"ok"`` marks
        a file as unusable; files with the same ``hash``, or pages with the same ``pixel_hash``, are
        duplicates. Columns that are absent are not checked.
    plate_map
        As `parse_plate_map` returns it; None when there is none.
    channels
        Channels every site should have. None: those of the whole screen.

    Returns
    -------
    Reconciliation
        Nothing is dropped; the caller decides about each problem.

    Raises
    ------
    SchemaError
        If an image has no plate, well, site or channel.
    """
    check_columns(images, [*SITE, "Metadata_Channel"], what="the image table")
    usable = images.filter(pl.col("status") == "ok") if "status" in images.columns else images
    wanted = list(channels) if channels is not None else sorted(set(images["Metadata_Channel"]))
    wells = well_table(images, plate_map)
    found = [*_map_problems(wells, images, plate_map), *_channel_problems(images, usable, wanted)]
    found += [_site_problems(images), _unreadable(images), _same_key(images), *_duplicates(usable)]
    problems = pl.concat([_shape(frame) for frame in found])
    order = pl.col("kind").replace_strict({kind: i for i, kind in enumerate(PROBLEM_KINDS)}, return_dtype=pl.Int32)
    return Reconciliation(wells, problems.sort(order, *SITE, "Metadata_Channel", "detail"))


def _shape(frame: pl.DataFrame) -> pl.DataFrame:
    """Return all problem columns in order; absent ones are null."""
    absent = [pl.lit(None, dtype=kind).alias(name) for name, kind in _SCHEMA.items() if name not in frame.columns]
    return frame.with_columns(absent).select(pl.col(name).cast(kind) for name, kind in _SCHEMA.items())


def _flag(frame: pl.DataFrame, kind: str, detail: pl.Expr | str) -> pl.DataFrame:
    """Add the kind and the detail."""
    text = pl.lit(detail) if isinstance(detail, str) else detail
    return frame.with_columns(pl.lit(kind).alias("kind"), text.alias("detail"))


def _map_problems(wells: pl.DataFrame, images: pl.DataFrame, plate_map: pl.DataFrame | None) -> list[pl.DataFrame]:
    """Find plates and wells that are on one side only; a whole plate is one row."""
    if plate_map is None:
        return []
    imaged = images["Metadata_Plate"].unique().to_list()
    annotated = expand_plate_map(plate_map, imaged)["Metadata_Plate"].unique().to_list()
    plate = pl.col("Metadata_Plate")
    absent = pl.DataFrame(
        {"Metadata_Plate": sorted(set(annotated) - set(imaged))}, schema={"Metadata_Plate": pl.String}
    )
    bare = pl.DataFrame({"Metadata_Plate": sorted(set(imaged) - set(annotated))}, schema={"Metadata_Plate": pl.String})
    both = wells.filter(plate.is_in(imaged) & plate.is_in(annotated))
    unmapped = both.filter(~pl.col("is_annotated")).select(KEYS)
    # an empty well without images is expected
    unseen = both.filter(~pl.col("has_images") & (pl.col("Metadata_pert_type") != "empty"))
    name = pl.coalesce("Metadata_compound", "Metadata_pert_type", pl.lit("no compound"))
    return [
        _flag(absent, "plate_not_imaged", "in the plate map; no image names this plate"),
        _flag(bare, "plate_not_annotated", "images, but the plate map does not name this plate"),
        _flag(unmapped, "image_without_annotation", "images, but no line in the plate map"),
        _flag(unseen, "annotation_without_image", pl.format("{} in the plate map, but no image", name)).select(
            *KEYS, "kind", "detail"
        ),
    ]


def _channel_problems(images: pl.DataFrame, usable: pl.DataFrame, wanted: list[str]) -> list[pl.DataFrame]:
    """Find channels absent from a whole plate (one row) or from a site."""
    every = pl.DataFrame({"Metadata_Channel": wanted}, schema={"Metadata_Channel": pl.String})
    by_plate = ["Metadata_Plate", "Metadata_Channel"]
    of_plate = images.select("Metadata_Plate").unique().join(every, how="cross")
    gone = of_plate.join(usable.select(by_plate).unique(), on=by_plate, how="anti")
    has = images.group_by("Metadata_Plate").agg(pl.col("Metadata_Channel").unique().sort().str.join(", ").alias("has"))
    by_site = [*SITE, "Metadata_Channel"]
    of_site = images.select(SITE).unique().join(every, how="cross")
    lost = of_site.join(usable.select(by_site).unique(), on=by_site, how="anti").join(gone, on=by_plate, how="anti")
    return [
        _flag(
            gone.join(has, on="Metadata_Plate"),
            "missing_channel",
            pl.format("no usable image of {} on the whole plate; its files have {}", "Metadata_Channel", "has"),
        ).drop("has"),
        _flag(lost, "missing_channel", pl.format("no usable image of {}", "Metadata_Channel")),
    ]


def _site_problems(images: pl.DataFrame) -> pl.DataFrame:
    """Find sites that most wells of the plate have and a well lacks."""
    sites = images.select(SITE).unique()
    wells = sites.select(KEYS).unique()
    n_wells = wells.group_by("Metadata_Plate").len("n_wells")
    usual = (
        sites.group_by("Metadata_Plate", "Metadata_Site")
        .len("n")
        .join(n_wells, on="Metadata_Plate")
        .filter(2 * pl.col("n") > pl.col("n_wells"))
    )
    missing = wells.join(usual, on="Metadata_Plate").join(sites, on=SITE, how="anti")
    detail = pl.format("no image; {} of {} wells of the plate have this site", "n", "n_wells")
    return _flag(missing, "missing_site", detail).select(*SITE, "kind", "detail")


def _unreadable(images: pl.DataFrame) -> pl.DataFrame:
    """List the files that cannot be used."""
    if "status" not in images.columns:
        return pl.DataFrame(schema=_SCHEMA)
    bad = images.filter(pl.col("status") != "ok")
    why = [name for name in ("reason", "status") if name in images.columns]
    where = [name for name in ("path",) if name in images.columns]
    detail = pl.concat_str(*where, pl.coalesce(why), separator=": ", ignore_nulls=True)
    return _flag(bad, "unreadable_file", detail)


def _same_key(images: pl.DataFrame) -> pl.DataFrame:
    """Find several files for one plane of one channel."""
    keys = [name for name in (*SITE, "Metadata_Channel", "Metadata_Z", "Metadata_T") if name in images.columns]
    if "path" not in images.columns:
        return pl.DataFrame(schema=_SCHEMA)
    groups = images.group_by(keys).agg(pl.len().alias("n"), pl.col("path").sort().head(3).str.join(", ").alias("paths"))
    detail = pl.format("{} files for one image: {}", "n", "paths")
    return _flag(groups.filter(pl.col("n") > 1), "same_key", detail)


def _duplicates(usable: pl.DataFrame) -> list[pl.DataFrame]:
    """Find the same bytes or pixels under two names, within a site or elsewhere on the screen."""
    columns = [name for name in ("pixel_hash", "hash") if name in usable.columns]
    if not columns or "path" not in usable.columns:
        return []
    # the pixel hash is equal for files that differ in their time stamps only
    files = usable.with_columns(pl.coalesce(columns).alias("same")).filter(pl.col("same").is_not_null())
    files = files.with_columns(
        pl.concat_str(pl.col("path"), pl.col("page") if "page" in files.columns else pl.lit(0), separator="#").alias(
            "id"
        )
    )
    files = files.filter(pl.len().over("same") > 1).sort(*SITE, "Metadata_Channel", "path")
    shown = pl.col("path").unique(maintain_order=True).head(3).str.join(", ")
    within = files.group_by("same", *SITE, maintain_order=True).agg(
        pl.col("Metadata_Channel").unique().sort().alias("channels"), shown.alias("paths")
    )
    within = within.filter(pl.col("channels").list.len() > 1)
    # a channel taken in one plane only is exported again with every plane, which is no mistake
    times = pl.col("Metadata_T").n_unique() if "Metadata_T" in files.columns else pl.lit(1)
    across = files.group_by("same", maintain_order=True).agg(
        pl.struct(SITE).n_unique().alias("n_sites"),
        times.alias("n_times"),
        pl.col("id").n_unique().alias("n"),
        pl.col(SITE).first(),
        pl.col("Metadata_Channel").first(),
        shown.alias("paths"),
    )
    across = across.filter((pl.col("n_sites") > 1) | (pl.col("n_times") > 1))
    return [
        _flag(
            within.with_columns(pl.col("channels").list.join(", ").alias("Metadata_Channel")),
            "same_pixels_two_channels",
            pl.format("identical: {}", "paths"),
        ),
        _flag(across, "duplicate_file", pl.format("{} identical images, such as {}", "n", "paths")),
    ]
