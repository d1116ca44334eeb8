"""The ledger: how many items each step took in, passed on and lost, and why.

Every step writes one row per plate, well and reason; ``n_in`` and ``n_out`` repeat in the rows of a well, and
``n_in - sum(n_lost) == n_out`` holds. `strict_join` raises an error where a join would lose or multiply rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import polars as pl

from phenoprint.errors import LostRowsError, SchemaError, UsageError
from phenoprint.tables import WELL_KEY, frame_of, get_table

__all__ = ["check_balance", "ledger_rows", "strict_join"]

_ENTRY = (*WELL_KEY, "step", "unit_of_count")

JoinHow = Literal["inner", "left", "full"]
JoinExpect = Literal["1:1", "1:m", "m:1"]


def ledger_rows(
    step: str,
    plate: str | None,
    well: str | None = None,
    *,
    unit_of_count: str,
    n_in: int,
    n_out: int | None = None,
    lost: Mapping[str, int] | None = None,
) -> pl.DataFrame:
    """Return the ledger rows of one step and well: one per reason, or a single one if nothing was lost.

    Parameters
    ----------
    step
        Name of the step, such as ``"segment"``.
    plate
        The plate; None for a step over the whole screen.
    well
        The well; None for a step over the whole plate.
    unit_of_count
        The items: ``"images"``, ``"sites"``, ``"cells"``, ``"wells"`` or ``"features"``.
    n_in
        Number of items taken in.
    n_out
        Number of items passed on, if counted separately; must agree with `n_in` and `lost`.
    lost
        Number of items lost per reason; reasons with 0 are left out.

    Returns
    -------
    polars.DataFrame
        Rows of table ``ledger``.

    Raises
    ------
    LostRowsError
        If the counts do not balance or one is negative.

    Examples
    --------
    >>> ledger_rows("segment", "P1", "A01", unit_of_count="cells", n_in=9, lost={"too small": 2})["n_out"][0]
    7
    """
    reasons = {reason: int(count) for reason, count in (lost or {}).items() if count}
    left = int(n_in) - sum(reasons.values())
    where = _where(plate, well, step, unit_of_count)
    if n_out is not None and int(n_out) != left:
        raise LostRowsError(
            f"{where}: {n_in} in, {n_out} out, but {sum(reasons.values())} are accounted for as lost "
            f"({_listed(reasons)}); {abs(left - int(n_out))} {'vanished' if left > n_out else 'appeared'}"
        )
    if left < 0 or n_in < 0 or any(count < 0 for count in reasons.values()):
        raise LostRowsError(
            f"{where}: {n_in} in and {sum(reasons.values())} lost ({_listed(reasons)}); "
            "none of these can be negative and no more can be lost than there were"
        )
    rows: list[tuple[str | int | None, ...]] = [
        (plate, well, step, unit_of_count, int(n_in), left, n, why) for why, n in reasons.items()
    ]
    rows = rows or [(plate, well, step, unit_of_count, int(n_in), left, 0, None)]
    return frame_of("ledger", rows)


def check_balance(frame: pl.DataFrame) -> None:
    """Check that every entry of a ledger balances: ``n_in - sum(n_lost) == n_out``.

    Parameters
    ----------
    frame
        Rows of table ``ledger``; an entry consists of the rows of one plate, well, step and unit of count.

    Raises
    ------
    LostRowsError
        If an entry does not balance, has several values of n_in or n_out, repeats a reason, has negative counts or
        losses without a reason; names an example.

    Examples
    --------
    >>> check_balance(ledger_rows("segment", "P1", "A01", unit_of_count="cells", n_in=9, lost={"small": 2}))
    """
    entries = frame.group_by(_ENTRY).agg(
        n_in=pl.col("n_in").first(),
        n_out=pl.col("n_out").first(),
        n_lost=pl.col("n_lost").sum(),
        is_one=(pl.col("n_in").n_unique() == 1) & (pl.col("n_out").n_unique() == 1),
        is_unique=pl.col("reason").n_unique() == pl.len(),
        is_positive=(pl.min_horizontal("n_in", "n_out", "n_lost") >= 0).all(),
        is_explained=((pl.col("n_lost") == 0) | pl.col("reason").is_not_null()).all(),
    )
    faults = {
        "disagree on n_in or n_out": ~pl.col("is_one"),
        "do not balance": pl.col("n_in") - pl.col("n_lost") != pl.col("n_out"),
        "name a reason twice": ~pl.col("is_unique"),
        "count below zero": ~pl.col("is_positive"),
        "lost some for no reason": ~pl.col("is_explained"),
    }
    for what, is_wrong in faults.items():
        wrong = entries.filter(is_wrong).sort(_ENTRY, nulls_last=True)
        if wrong.height:
            first = wrong.row(0, named=True)
            where = _where(*(first[name] for name in _ENTRY))
            raise LostRowsError(
                f"{wrong.height} of {entries.height} ledger entries {what}, such as {where}: "
                f"n_in {first['n_in']}, lost {first['n_lost']}, n_out {first['n_out']}"
            )


def strict_join(
    left: pl.DataFrame,
    right: pl.DataFrame,
    on: Sequence[str],
    *,
    how: JoinHow = "left",
    expect: JoinExpect = "1:1",
) -> pl.DataFrame:
    """Join two frames; raise an error if rows would be lost or multiplied.

    With ``"m:1"`` and ``"1:m"``, the side ``m`` keeps all its rows and the side ``1`` is a lookup table, whose unused
    rows are no loss. With ``"1:1"`` neither side may lose a row. A NULL in a key matches nothing.

    Parameters
    ----------
    left, right
        The frames; they share no column except `on`.
    on
        Key columns, of the same type on both sides.
    how
        ``"inner"``: every row must have a match. ``"left"``: a left row without a match gets NULLs. ``"full"``: a row
        of either side without a match gets NULLs.
    expect
        Whether a key may occur once (1) or many times (m) on the left and on the right.

    Returns
    -------
    polars.DataFrame
        Columns of the left, then of the right; rows in the order of the left, then unmatched rows of the right.

    Raises
    ------
    LostRowsError
        If a row would be lost or a key occurs more often than expected; with examples.
    SchemaError
        If a key is missing or differs in type, or both sides share another column.

    Examples
    --------
    >>> cells = pl.DataFrame({"well": ["A01", "A01"], "x": [1, 2]})
    >>> strict_join(cells, pl.DataFrame({"well": ["A01"], "dose": [5]}), ["well"], expect="m:1")["dose"].to_list()
    [5, 5]
    """
    keys = list(on)
    if how not in ("inner", "left", "full") or expect not in ("1:1", "1:m", "m:1"):
        raise UsageError(f"how is inner, left or full and expect is 1:1, 1:m or m:1; found {how!r} and {expect!r}")
    _check_columns(left, right, keys)
    for side, frame, may_repeat in (("left", left, expect == "m:1"), ("right", right, expect == "1:m")):
        doubled = frame.select(keys).drop_nulls().filter(pl.struct(keys).is_duplicated())
        if not may_repeat and doubled.height:
            raise LostRowsError(
                f"a join {expect} on {', '.join(keys)} would multiply rows: {doubled.height} of the {frame.height} "
                f"{side} rows share a key, such as {_examples(doubled.unique(maintain_order=True))}"
            )
    left_counts = expect != "1:m" and how == "inner"
    right_counts = (expect == "1:1" and how != "full") or (expect == "1:m" and how == "inner")
    for side, frame, other, counts in (("left", left, right, left_counts), ("right", right, left, right_counts)):
        unmatched = frame.select(keys).join(other.select(keys), on=keys, how="anti", maintain_order="left")
        if counts and unmatched.height:
            raise LostRowsError(
                f"a {how} join {expect} on {', '.join(keys)} would lose {unmatched.height} of the {frame.height} "
                f"{side} rows, which find no partner, such as {_examples(unmatched)}"
            )
    return left.join(right, on=keys, how=how, coalesce=True, maintain_order="left_right")


def concat_ledgers(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Concatenate ledgers, check the balance and sort the rows."""
    ledger = pl.concat(frames) if frames else frame_of("ledger")
    check_balance(ledger)
    return ledger.sort(get_table("ledger").sort_by, nulls_last=True)


def _check_columns(left: pl.DataFrame, right: pl.DataFrame, keys: list[str]) -> None:
    for side, frame in (("left", left), ("right", right)):
        absent = [name for name in keys if name not in frame.columns]
        if absent:
            raise SchemaError(f"the {side} frame of the join has no column {', '.join(absent)}")
    for name in keys:
        if left.schema[name] != right.schema[name]:
            raise SchemaError(
                f"key {name!r} is {left.schema[name]} on the left and {right.schema[name]} on the right; "
                "identifiers are text on both"
            )
    shared = sorted(set(left.columns) & set(right.columns) - set(keys))
    if shared:
        raise SchemaError(
            f"columns {', '.join(shared)} are on both sides of the join; drop or rename them on one, "
            f"or join on them too ({shared[0]} begins with {left[shared[0]].head(1).to_list()} on the left, "
            f"with {right[shared[0]].head(1).to_list()} on the right)"
        )


def _examples(frame: pl.DataFrame, limit: int = 3) -> str:
    return "; ".join(
        ", ".join(f"{name} {value!r}" for name, value in row.items()) for row in frame.head(limit).iter_rows(named=True)
    )


def _where(plate: str | None, well: str | None, step: str, unit: str) -> str:
    place = f"plate {plate!r}" if plate is not None else "the whole screen"
    return f"{place}{f', well {well!r}' if well is not None else ''}, step {step!r}, {unit}"


def _listed(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{reason}: {count}" for reason, count in reasons.items()) or "no reasons given"
