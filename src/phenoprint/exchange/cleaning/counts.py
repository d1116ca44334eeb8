"""Counting what an import takes in and gives out."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from phenoprint.store import concat_ledgers
from phenoprint.tables import get_table

__all__ = ["add_up", "counted"]

_ENTRY = ("Metadata_Plate", "Metadata_Well", "step", "unit_of_count")


def counted(
    frame: pl.DataFrame, unit: str, *, lost: str | None = None, n: int | None = None, step: str = "import"
) -> pl.DataFrame:
    """Count rows into a ledger: cells per plate and well, other rows per plate.

    Parameters
    ----------
    frame
        The rows.
    unit
        ``"cells"``, or anything else.
    lost
        Why all of them were lost; None if none was.
    n
        How many rows there are, where they belong to no plate.
    step
        Under what step they are counted.

    Returns
    -------
    polars.DataFrame
        Rows of table ``ledger``; entries of several frames are put together by `add_up`.

    Examples
    --------
    >>> counted(pl.DataFrame({"Metadata_Plate": ["P", "P"]}), "wells").select("n_in", "n_out").row(0)
    (2, 2)
    """
    keys = ["Metadata_Plate", "Metadata_Well"] if unit == "cells" else ["Metadata_Plate"]
    held = [key for key in keys if key in frame.columns] if n is None else []
    whole = pl.DataFrame({"n_in": [frame.height if n is None else n]})
    rows = frame.group_by(held, maintain_order=True).len("n_in") if held else whole
    found = pl.col("n_in").cast(pl.Int64)
    nothing = pl.lit(0, pl.Int64)
    full = rows.with_columns(
        step=pl.lit(step),
        unit_of_count=pl.lit(unit),
        n_in=found,
        n_out=found if lost is None else nothing,
        n_lost=nothing if lost is None else found,
        reason=pl.lit(lost, pl.String),
    )
    return full.select(
        (pl.col(name) if name in full.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in get_table("ledger").schema.items()
    )


def add_up(ledgers: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Join ledgers of parts of one whole: what came in and went out of an entry is summed over its parts.

    Raises
    ------
    LostRowsError
        If the sum does not balance.

    Examples
    --------
    >>> part = pl.DataFrame({"Metadata_Plate": ["P", "P"]})
    >>> whole = add_up([counted(part, "wells"), counted(part, "wells", lost="no well")])
    >>> whole.select("n_in", "n_out", "n_lost").rows()
    [(4, 2, 2)]
    """
    schema = get_table("ledger").schema
    parts = [part for part in ledgers if part.height]
    if not parts:
        return pl.DataFrame(schema=schema)
    numbered = pl.concat([part.with_columns(pl.lit(k).alias("part")) for k, part in enumerate(parts)])
    # n_in and n_out repeat on every reason of an entry: once a part.
    totals = numbered.unique(["part", *_ENTRY]).group_by(_ENTRY).agg(pl.col("n_in").sum(), pl.col("n_out").sum())
    lost = numbered.filter(pl.col("n_lost") > 0).group_by(*_ENTRY, "reason").agg(pl.col("n_lost").sum())
    whole = totals.join(lost, on=_ENTRY, how="left", nulls_equal=True).with_columns(pl.col("n_lost").fill_null(0))
    return concat_ledgers([whole.select(pl.col(name).cast(dtype) for name, dtype in schema.items())])
