"""Ledgers of an import: how many cells or wells were read, how many were taken, and why the others were not."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from phenoprint.store import concat_ledgers, ledger_rows
from phenoprint.tables import PLATE, WELL, declared_columns, frame_of

__all__ = ["add_up", "balanced_ledger", "counted"]

_ENTRY = (PLATE, WELL, "step", "unit_of_count")


def counted(
    frame: pl.DataFrame, unit: str, *, lost: str | None = None, n: int | None = None, step: str = "import"
) -> pl.DataFrame:
    """Count rows into a ledger: cells per plate and well, rows of any other unit per plate.

    `lost` is the reason if all of them were lost; `n` is the number of rows that belong to no plate.

    Examples
    --------
    >>> counted(pl.DataFrame({"Metadata_Plate": ["P", "P"]}), "wells").select("n_in", "n_out").row(0)
    (2, 2)
    """
    keys = [PLATE, WELL] if unit == "cells" else [PLATE]
    held = [key for key in keys if key in frame.columns] if n is None else []
    whole = pl.DataFrame({"n_in": [frame.height if n is None else n]})
    rows = frame.group_by(held, maintain_order=True).len("n_in") if held else whole
    found, nothing = pl.col("n_in").cast(pl.Int64), pl.lit(0, pl.Int64)
    full = rows.with_columns(
        step=pl.lit(step),
        unit_of_count=pl.lit(unit),
        n_in=found,
        n_out=found if lost is None else nothing,
        n_lost=nothing if lost is None else found,
        reason=pl.lit(lost, pl.String),
    )
    return declared_columns(full, "ledger")


def add_up(ledgers: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Join ledgers of parts of one whole: the counts of an entry are summed over the parts.

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
    parts = [part for part in ledgers if part.height]
    if not parts:
        return frame_of("ledger")
    numbered = pl.concat([part.with_columns(pl.lit(k).alias("part")) for k, part in enumerate(parts)])
    # n_in and n_out are repeated for every reason of an entry: count them once per part.
    totals = numbered.unique(["part", *_ENTRY]).group_by(_ENTRY).agg(pl.col("n_in").sum(), pl.col("n_out").sum())
    lost = numbered.filter(pl.col("n_lost") > 0).group_by(*_ENTRY, "reason").agg(pl.col("n_lost").sum())
    whole = totals.join(lost, on=_ENTRY, how="left", nulls_equal=True).with_columns(pl.col("n_lost").fill_null(0))
    return concat_ledgers([declared_columns(whole, "ledger")])


def balanced_ledger(losses: pl.DataFrame) -> pl.DataFrame:
    """Make the ledger of CellProfiler's images: counts of a well are summed, one row per reason.

    Parameters
    ----------
    losses
        One row per image and kind of object, as `count_losses` returns them.

    Raises
    ------
    LostRowsError
        If counts do not balance.
    """
    total = losses.group_by(_ENTRY).agg(n_in=pl.col("n_in").sum())
    by_reason = losses.filter(pl.col("n_lost") > 0).group_by(*_ENTRY, "reason").agg(pl.col("n_lost").sum())
    lost: dict[tuple[str | None, ...], dict[str, int]] = {row: {} for row in total.select(_ENTRY).iter_rows()}
    for *entry, reason, n in by_reason.select(*_ENTRY, "reason", "n_lost").iter_rows():
        lost[tuple(entry)][reason] = n
    return concat_ledgers(
        [
            ledger_rows(step, plate, well, unit_of_count=unit, n_in=n, lost=lost[plate, well, step, unit])
            for plate, well, step, unit, n in total.select(*_ENTRY, "n_in").iter_rows()
        ]
    )
