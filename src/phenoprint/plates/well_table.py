"""The tables ``well`` (every well of the files and of the map) and ``perturbation``."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from phenoprint.errors import LostRowsError, PlateMapError, SchemaError
from phenoprint.plates.platemap import PLATE_MAP_SCHEMA
from phenoprint.plates.well import well_positions

__all__ = ["expand_plate_map", "perturbation_table", "well_table"]

KEYS = ["Metadata_Plate", "Metadata_Well"]


def expand_plate_map(plate_map: pl.DataFrame, plates: list[str]) -> pl.DataFrame:
    """Repeat a map that applies to every plate (null ``Metadata_Plate``) for each plate.

    Parameters
    ----------
    plate_map
        As `parse_plate_map` returns it.
    plates
        Names of the plates.
    """
    if plate_map["Metadata_Plate"].null_count() == 0:
        return plate_map
    every = pl.DataFrame({"Metadata_Plate": plates}, schema={"Metadata_Plate": pl.String})
    shared = plate_map.filter(pl.col("Metadata_Plate").is_null()).drop("Metadata_Plate")
    own = plate_map.filter(pl.col("Metadata_Plate").is_not_null())
    return pl.concat([own, every.join(shared, how="cross").select(own.columns)])


def check_columns(frame: pl.DataFrame, needed: list[str], *, what: str) -> None:
    """Raise unless the columns are there and filled.

    Raises
    ------
    SchemaError
        A column is missing or holds nulls.
    """
    absent = [name for name in needed if name not in frame.columns]
    if absent:
        raise SchemaError(f"{what} has no column {', '.join(absent)}; found {', '.join(frame.columns)}")
    holes = [name for name in needed if frame[name].null_count()]
    if holes:
        raise SchemaError(
            f"{what}: {frame[holes[0]].null_count()} of {frame.height} rows have no {holes[0]}; "
            f"every image must have a plate and a well"
        )


def well_table(
    images: pl.DataFrame, plate_map: pl.DataFrame | None, *, batches: Mapping[str, str] | None = None
) -> pl.DataFrame:
    """Make the table of every well that has images or an annotation.

    Parameters
    ----------
    images
        Image table or reader's index; ``Metadata_Plate`` and ``Metadata_Well`` (as ``A01``) are used.
    plate_map
        As `parse_plate_map` returns it, or None for a plate without a map.
    batches
        Batch of each plate; has priority over the map's own.

    Returns
    -------
    pl.DataFrame
        One row per plate and well, sorted by plate, row and column: the columns of the plate map (nulls where
        there is no annotation), ``has_images`` and ``is_annotated`` (Boolean).

    Raises
    ------
    SchemaError
        If an image has no plate or well.
    LostRowsError
        If the map has a well twice.
    """
    check_columns(images, KEYS, what="the image table")
    imaged = images.select(KEYS).unique().with_columns(has_images=pl.lit(value=True))
    plates = imaged["Metadata_Plate"].unique().sort().to_list() or sorted(batches or {})
    annotated = pl.DataFrame(schema=PLATE_MAP_SCHEMA) if plate_map is None else expand_plate_map(plate_map, plates)
    annotated = annotated.with_columns(is_annotated=pl.lit(value=True))
    keys = pl.concat([imaged.select(KEYS), annotated.select(KEYS)]).unique()
    wells = keys.join(imaged, on=KEYS, how="left").join(annotated, on=KEYS, how="left")
    if wells.height != keys.height:
        raise LostRowsError(
            f"{keys.height} wells became {wells.height} when the plate map was joined: "
            "the map has two rows of a well; keep one"
        )
    at = well_positions(wells["Metadata_Well"])
    batch = pl.col("Metadata_Plate").replace_strict(dict(batches or {}), default=None, return_dtype=pl.String)
    table = wells.with_columns(
        pl.coalesce(batch, "Metadata_Batch").alias("Metadata_Batch"),
        (at["row"] + 1).alias("Metadata_Row"),
        (at["col"] + 1).alias("Metadata_Col"),
        pl.col("has_images", "is_annotated").fill_null(value=False),
    )
    first = list(PLATE_MAP_SCHEMA)
    return table.select(*first, pl.exclude(*first, "has_images", "is_annotated"), "has_images", "is_annotated").sort(
        "Metadata_Plate", "Metadata_Row", "Metadata_Col"
    )


def perturbation_table(wells: pl.DataFrame) -> pl.DataFrame:
    r"""Make the table of treatments, each a compound at a dose.

    Parameters
    ----------
    wells
        As `well_table` returns it; rows without annotation and empty wells are skipped.

    Returns
    -------
    pl.DataFrame
        One row per treatment, sorted by id: ``Metadata_perturbation`` (``compound@dose unit``, four digits, so
        that 0.1 + 0.2 and 0.3 are one dose; a control without a compound is named after its kind),
        ``Metadata_compound``, ``Metadata_Concentration``, ``Metadata_Concentration_Unit``, ``Metadata_moa``,
        ``Metadata_pert_type`` (a treatment that also serves as a control counts as the control), ``n_wells``
        (Int32).

    Raises
    ------
    PlateMapError
        If a treatment has two mechanisms.

    Examples
    --------
    >>> from phenoprint.plates import parse_plate_map
    >>> wells = parse_plate_map("well,compound,dose\nA1,taxol,3 nM\nA2,taxol,0.003 uM\n", source="map.csv")
    >>> perturbation_table(wells).select("Metadata_perturbation", "n_wells").rows()
    [('taxol@3 nM', 2)]
    """
    role = pl.col("Metadata_pert_type")
    used = wells.filter(role.is_not_null() & (role != "empty"))
    used = used.with_columns(perturbation_id(used))
    # the kind of a treatment with several is the first in this order
    rank = {"poscon": 0, "negcon": 1, "trt": 2}
    grouped = (
        used.with_columns(role.replace_strict(rank, return_dtype=pl.Int8).alias("rank"))
        .sort("Metadata_perturbation", "rank", "Metadata_Concentration")
        .group_by("Metadata_perturbation", maintain_order=True)
        .agg(
            pl.col("Metadata_compound", "Metadata_Concentration", "Metadata_Concentration_Unit").first(),
            pl.col("Metadata_moa").drop_nulls().unique().sort().alias("moas"),
            role.first(),
            pl.len().cast(pl.Int32).alias("n_wells"),
        )
    )
    doubled = grouped.filter(pl.col("moas").list.len() > 1)
    if doubled.height:
        name, moas = doubled.row(0, named=True)["Metadata_perturbation"], doubled.row(0, named=True)["moas"]
        raise PlateMapError(
            f"{doubled.height} treatment(s) with two mechanisms in the plate map, such as {name}: "
            f"{' and '.join(map(repr, moas))}; keep one, or join them as 'a|b'"
        )
    moa = pl.col("moas").list.first().cast(pl.String).alias("Metadata_moa")
    return grouped.with_columns(moa).select(
        "Metadata_perturbation", "Metadata_compound", "Metadata_Concentration", "Metadata_Concentration_Unit",
        "Metadata_moa", "Metadata_pert_type", "n_wells",
    )  # fmt: skip


def perturbation_id(wells: pl.DataFrame) -> pl.Series:
    """Return ``compound@dose unit`` of each row; null for wells without annotation and for empty wells.

    Parameters
    ----------
    wells
        As `well_table` returns it, or profiles that carry its columns.

    Returns
    -------
    pl.Series
        String, named ``Metadata_perturbation``.
    """
    doses = wells["Metadata_Concentration"].drop_nulls().unique().to_list()
    text = pl.col("Metadata_Concentration").replace_strict(
        {dose: f"{dose:.4g}" for dose in doses}, default=None, return_dtype=pl.String
    )
    unit = pl.col("Metadata_Concentration_Unit")
    role = pl.col("Metadata_pert_type")
    name = pl.coalesce("Metadata_compound", role)
    at = pl.when(text.is_null()).then(pl.lit("")).otherwise("@" + text + (" " + unit).fill_null(""))
    named = pl.when(role != "empty").then(name + at)
    return wells.select(named.alias("Metadata_perturbation")).to_series()
