"""Rows of the table ``problem`` about image files that can be read."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from phenoprint.images import list_files, name_kinds
from phenoprint.pipeline.sections import ImagesSection
from phenoprint.tables import frame_of

__all__ = ["image_problems"]


def image_problems(section: ImagesSection, root: Path, images: pl.DataFrame) -> pl.DataFrame:
    """List files that are not used, files with several pages or channels, and files with lossy compression.

    Parameters
    ----------
    section
        ``[images]`` of the configuration.
    root
        Image root.
    images
        The ``image`` table, with the channels that are not used.

    Returns
    -------
    polars.DataFrame
        One row per kind and plate; ``unmatched_files`` has one for the screen.
    """
    found = [*_several_pages(section, images), *_several_channels(images), *_lossy(images)]
    if section.reader == "pattern":
        found += _unmatched(root, images)
    return frame_of("problem", found)


def _row(kind: str, detail: str, plate: str | None = None) -> dict[str, str | None]:
    return {"kind": kind, "Metadata_Plate": plate, "detail": detail}


def _by_plate(rows: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    return [
        (str(plate), group) for (plate,), group in rows.sort("path").group_by("Metadata_Plate", maintain_order=True)
    ]


def _hold(rows: pl.DataFrame, kind: str) -> str:
    return f"1 {kind} holds" if rows.height == 1 else f"{rows.height} {kind}s hold"


def _span(numbers: list[int]) -> str:
    return f"{min(numbers)}" if min(numbers) == max(numbers) else f"{min(numbers)} to {max(numbers)}"


def _several_pages(section: ImagesSection, images: pl.DataFrame) -> list[dict[str, str | None]]:
    """Report files with more pages than are read, unless the configuration chooses a page."""
    if section.page is not None:
        return []
    files = images.filter(pl.col("n_channels") == 1).group_by("Metadata_Plate", "path")
    some = files.agg(pl.col("n_planes").max(), pl.col("page").n_unique().alias("n_read"), pl.col("page").min())
    return [
        _row(
            "several_pages",
            f"{_hold(rows, 'file')} {_span(rows['n_planes'].to_list())} pages each, such as {rows['path'][0]}; only "
            f'page {rows["page"][0]} is read: set page = N (from 0) or "max" (the brightest of all pages) in [images], '
            "or list them in a load_data.csv with a column Frame_<channel>",
            plate,
        )
        for plate, rows in _by_plate(some.filter(pl.col("n_planes") > pl.col("n_read")))
    ]


def _several_channels(images: pl.DataFrame) -> list[dict[str, str | None]]:
    """Report OME-TIFF files with channels that are not read."""
    files = images.group_by("Metadata_Plate", "path").agg(
        pl.col("n_channels").max(), pl.col("Metadata_Channel").n_unique().alias("n_read")
    )
    return [
        _row(
            "several_channels",
            f"{_hold(rows, 'OME-TIFF file')} {_span(rows['n_channels'].to_list())} channels each, such as "
            f"{rows['path'][0]}; {rows['n_read'][0]} of them is read, because file names mean one channel per file. "
            "Export one file per channel, or list them in a load_data.csv with columns FileName_<channel> and "
            "Frame_<channel>, the page of the channel from 0",
            plate,
        )
        for plate, rows in _by_plate(files.filter(pl.col("n_channels") > pl.col("n_read")))
    ]


def _lossy(images: pl.DataFrame) -> list[dict[str, str | None]]:
    """Report files with lossy compression."""
    files = images.filter(name_kinds(images["path"]) == "JPEG").unique("path")
    return [
        _row(
            "lossy_images",
            f"{_hold(rows, 'file')} JPEG data, such as {rows['path'][0]}: this compression changes intensities and "
            "textures; export TIFF or PNG",
            plate,
        )
        for plate, rows in _by_plate(files)
    ]


def _unmatched(root: Path, images: pl.DataFrame) -> list[dict[str, str | None]]:
    """Report image files below the root that are not used."""
    paths = list_files(root)
    left = paths.filter(~paths.is_in(images["path"].unique().implode()))
    if left.is_empty():
        return []
    counts = name_kinds(left).value_counts(sort=True)
    kinds = ", ".join(f"{count} {kind}" for kind, count in counts.sort("path").iter_rows())
    has_previews = (name_kinds(images["path"]) == "TIFF").any() and not (counts["path"] == "TIFF").all()
    why = "they do not fit the pattern" + (", or are pictures beside TIFF files" if has_previews else "")
    return [
        _row(
            "unmatched_files",
            f"image files that are not used: {kinds}, such as {', '.join(left.head(3).to_list())}; {why}",
        )
    ]
