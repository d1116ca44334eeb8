"""Sums of the ledger: per step and reason, and per well."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from phenoprint.tables import WELL_KEY

__all__ = ["ledger_steps", "ledger_wells"]

_UNIT = [*WELL_KEY, "step", "unit_of_count"]


def ledger_steps(ledger: pl.DataFrame, *, by: tuple[str, ...] = (), order: Sequence[str] = ()) -> pl.DataFrame:
    """Sum the ledger over wells: one row per step and reason.

    The ledger repeats ``n_in`` and ``n_out`` on each row of a well; here each well counts once.

    Parameters
    ----------
    ledger
        The table ``ledger``.
    by
        Further grouping columns, such as ``("Metadata_Plate",)``.
    order
        Steps in the order in which they run; others follow in the order of the ledger's rows.

    Returns
    -------
    pl.DataFrame
        Columns `by`, ``step``, ``unit_of_count``, ``n_in``, ``n_out``, ``n_lost``, ``reason``, ``balances``. A step
        that lost nothing has one row with ``n_lost`` 0 and a null reason.

    Examples
    --------
    >>> rows = {"Metadata_Plate": ["P"] * 3, "Metadata_Well": ["A01", "A01", "A02"], "step": ["segment"] * 3,
    ...         "unit_of_count": ["cells"] * 3, "n_in": [10, 10, 5], "n_out": [7, 7, 5], "n_lost": [2, 1, 0],
    ...         "reason": ["small", "border", None]}
    >>> ledger_steps(pl.DataFrame(rows)).select("n_in", "n_out", "n_lost", "reason", "balances").rows()
    [(15, 12, 2, 'small', True), (15, 12, 1, 'border', True)]
    """
    keys = [*by, "step", "unit_of_count"]
    numbered = ledger.with_columns(_position(order).alias("__order"), pl.col("n_lost").fill_null(0))
    counted = (
        numbered.group_by(_UNIT, maintain_order=True)
        .agg(
            pl.col("__order").min(),
            pl.col("n_in").first(),
            pl.col("n_out").first(),
            pl.col("n_lost").sum().alias("__lost"),
        )
        .group_by(keys, maintain_order=True)
        .agg(
            pl.col("__order").min(),
            pl.col("n_in").sum(),
            pl.col("n_out").sum(),
            (pl.col("n_in") - pl.col("__lost") == pl.col("n_out")).all().alias("balances"),
        )
    )
    lost = numbered.filter(pl.col("n_lost") > 0).group_by([*keys, "reason"]).agg(pl.col("n_lost").sum())
    return (
        counted.join(lost, on=keys, how="left", nulls_equal=True)
        .with_columns(pl.col("n_lost").fill_null(0))
        .sort(["__order", "n_lost", "reason"], descending=[False, True, False], nulls_last=True)
        .select(*keys, "n_in", "n_out", "n_lost", "reason", "balances")
    )


def _position(order: Sequence[str]) -> pl.Expr:
    """Return the sort position of a row: by step, then by row of the table."""
    place = {name: i for i, name in enumerate(order)}
    step = (
        pl.col("step").replace_strict(place, default=len(place), return_dtype=pl.Int64)
        if place
        else pl.lit(0, dtype=pl.Int64)
    )
    return step * pl.len().cast(pl.Int64) + pl.int_range(pl.len(), dtype=pl.Int64)


def ledger_wells(ledger: pl.DataFrame, *, unit: str = "cells") -> pl.DataFrame:
    """Return the share of one unit of count that each well lost over all steps.

    Parameters
    ----------
    ledger
        The table ``ledger``.
    unit
        Unit of count: ``"cells"``, ``"sites"``, ``"images"``.

    Returns
    -------
    pl.DataFrame
        ``Metadata_Plate``, ``Metadata_Well``, ``n_in`` (the largest input of any step), ``n_lost``,
        ``lost_percent`` and ``reasons`` (with counts, largest first), largest loss first.
    """
    rows = ledger.filter((pl.col("unit_of_count") == unit) & pl.col("Metadata_Well").is_not_null())
    reasons = (
        rows.filter(pl.col("n_lost") > 0)
        .group_by([*WELL_KEY, "reason"])
        .agg(pl.col("n_lost").sum())
        .sort([*WELL_KEY, "n_lost", "reason"], descending=[False, False, True, False])
        .group_by(WELL_KEY, maintain_order=True)
        .agg(
            pl.format("{} × {}", pl.col("n_lost"), pl.col("reason").fill_null("without a reason"))
            .str.join("; ")
            .alias("reasons")
        )
    )
    return (
        rows.group_by(WELL_KEY)
        .agg(pl.col("n_in").max(), pl.col("n_lost").fill_null(0).sum())
        .with_columns(pl.when(pl.col("n_in") > 0).then(100.0 * pl.col("n_lost") / pl.col("n_in")).alias("lost_percent"))
        .join(reasons, on=WELL_KEY, how="left")
        .sort(["lost_percent", *WELL_KEY], descending=[True, False, False], nulls_last=True)
    )
