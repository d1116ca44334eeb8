"""Cells of each well before any was left out, for baselines by cell count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from phenoprint.tables import OBJECT_COUNT, PLATE, WELL_KEY

if TYPE_CHECKING:
    from phenoprint.pipeline.context import Context

__all__ = ["FOUND_COUNT", "with_found_cells"]

FOUND_COUNT: Final = "Metadata_Found_Count"
"""Column of the cells that were found in a well, whether or not they went into its profile."""


def with_found_cells(context: Context, wells: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """Add how many cells were found in each well before flagged ones were left out.

    A step that calls it names ``cell_quality`` in ``uses``.

    Parameters
    ----------
    context
        The screen.
    wells
        Rows with plate and well.

    Returns
    -------
    tuple
        The rows with ``Metadata_Found_Count``, and which count that is, in words: cells are counted in
        ``cell_quality``; where a plate has none, as with imported profiles, the count of the profile is taken. NULL
        where neither is known.
    """
    counted = context.table("cell_quality").group_by(WELL_KEY).agg(pl.len().cast(pl.Int64).alias("_found")).collect()
    with_cells = pl.col(PLATE).is_in(counted[PLATE].unique().implode())
    kept = pl.col(OBJECT_COUNT).cast(pl.Int64) if OBJECT_COUNT in wells.columns else pl.lit(None, pl.Int64)
    found = pl.when(with_cells).then(pl.col("_found").fill_null(0)).otherwise(kept)
    joined = wells.join(counted, on=WELL_KEY, how="left", maintain_order="left").with_columns(found.alias(FOUND_COUNT))
    of_profiles = joined.filter(~with_cells)[FOUND_COUNT]
    if counted.height and not len(of_profiles):
        words = "cells found, before any was left out"
    elif of_profiles.null_count() < len(of_profiles):
        words = "cells of the profiles (those left out are not known)"
    else:
        words = "cells were not counted"
    return joined.drop("_found"), words
