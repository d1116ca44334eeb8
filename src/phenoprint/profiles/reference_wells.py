"""The reference wells of recipe steps, and the wells used instead if a plate has too few of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.errors import SchemaError, UsageError
from phenoprint.tables import OBJECT_COUNT, PERT_TYPE, PLATE, StatusRow, require_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "ENOUGH_CELLS",
    "FEWEST_REFERENCE",
    "IS_REFERENCE",
    "fallback_rows",
    "mark_reference",
    "reference_of",
    "reference_rows",
]

FEWEST_REFERENCE = 3
"""Fewest wells for a centre and a spread."""

ENOUGH_CELLS = "enough"
"""Value of `min_cells`: 30 cells, or half of the median of the plate where that is less."""

_ENOUGH = 30

IS_REFERENCE = "Metadata_Is_Reference"
"""The column that `mark_reference` adds."""


def reference_of(
    data: pl.DataFrame,
    reference: str,
    min_cells: int | str = 0,
    *,
    by: Sequence[str],
    fewest: int = FEWEST_REFERENCE,
) -> pl.Expr | None:
    """Return the expression for the reference wells of a kind that have enough cells.

    A well without a count is used if `min_cells` is 1 or less, and with ``"enough"`` on a plate without counts, so
    that such a plate has a reference too. If a group has fewer than `fewest` reference wells, all its wells with enough
    cells are used, since the group would have no values otherwise. `fallback_rows` lists these groups.

    Parameters
    ----------
    data
        Well profiles.
    reference
        ``"all"`` or a value of Metadata_pert_type such as ``"negcon"``.
    min_cells
        Smallest number of cells of a reference well; ``"enough"``: 30, or half of the median of the plate's wells with
        cells where that is less.
    by
        Columns whose groups are fitted separately, such as the plate; an empty list: all wells together.
    fewest
        Smallest number of reference wells of a group.

    Raises
    ------
    SchemaError
        If a required column is absent.

    Examples
    --------
    >>> kinds = ["negcon"] * 3 + ["trt"] + ["negcon"] * 2 + ["trt"] * 2
    >>> wells = pl.DataFrame({"Metadata_Plate": ["P1"] * 4 + ["P2"] * 4, "Metadata_pert_type": kinds})
    >>> wells.select(reference_of(wells, "negcon", by=["Metadata_Plate"]).alias("used"))["used"].to_list()
    [True, True, True, False, True, True, True, True]
    """
    enough = _has_enough(data, min_cells)
    own = _is_reference(data, reference, enough)
    if own is None:
        return enough
    found = own.sum().over(list(by)) if by else own.sum()
    return pl.when(found >= fewest).then(own).otherwise(pl.lit(value=True) if enough is None else enough)


def reference_rows(data: pl.DataFrame, reference: pl.Expr | None) -> NDArray[np.bool_]:
    """Evaluate the expression for reference rows: shape (rows,), False for NULL.

    Raises
    ------
    UsageError
        If it is not true or false for each row.
    """
    if reference is None:
        return np.ones(data.height, dtype=bool)
    mask = data.select(reference.alias("reference")).get_column("reference")
    if mask.dtype != pl.Boolean or len(mask) != data.height:
        raise UsageError(
            "reference must be a polars expression that is true or false for each row, such as "
            f"pl.col('Metadata_pert_type') == 'negcon'; "
            f"found {mask.dtype} of length {len(mask)} for {data.height} rows"
        )
    return mask.fill_null(value=False).to_numpy()


def fallback_rows(
    data: pl.DataFrame,
    reference: str,
    min_cells: int | str = 0,
    *,
    by: Sequence[str],
    fewest: int = FEWEST_REFERENCE,
    is_adjustable: bool = False,
) -> list[StatusRow]:
    """List the groups with too few reference wells, where all wells were used: status ``reference_all``, no feature.

    Parameters
    ----------
    data, reference, min_cells, by, fewest
        As in `reference_of`.
    is_adjustable
        Whether the step takes ``min_reference``, which allows a fit on fewer wells.
    """
    enough = _has_enough(data, min_cells)
    own = _is_reference(data, reference, enough)
    if own is None or data.is_empty():
        return []
    keys = list(by)
    every = pl.lit(value=True) if enough is None else enough
    counts = data.select(*keys, own.alias("_own"), every.alias("_every")).with_columns(pl.lit(0).alias("_whole"))
    groups = counts.group_by(*keys, "_whole").agg(pl.col("_own", "_every").sum()).sort(*keys, "_whole")
    rows = []
    for group in groups.filter((pl.col("_own") < fewest) & (pl.col("_every") >= fewest)).iter_rows(named=True):
        plate = group.get("Metadata_Plate")
        where = ", ".join(f"{name.removeprefix('Metadata_').lower()} {group[name]}" for name in keys) or "the screen"
        reason = (
            f"{group['_own']} {reference} wells can be used as the reference of {where}, and {fewest} are needed: all "
            f"its {group['_every']} wells with enough cells are used instead, which hides effects if most of them have "
            'active treatments. In screen.toml, under [profiles], reference = "all" uses all wells of every plate'
        )
        if is_adjustable and group["_own"]:
            reason += f", and min_reference = {group['_own']} uses the available {reference} wells only"
        rows.append(StatusRow(None if plate is None else str(plate), "", "reference_all", reason, float(group["_own"])))
    return rows


def mark_reference(
    plates: Sequence[pl.DataFrame],
    reference: str,
    min_cells: int | str = 0,
    *,
    by: Sequence[str],
    fewest: int,
    notes: list[StatusRow],
) -> Iterator[pl.DataFrame]:
    """Yield plates with a Boolean column (`IS_REFERENCE`) for the wells that a step is fitted on.

    Reference wells of groups that span plates are counted over all plates, which takes another pass.

    Parameters
    ----------
    plates
        One frame per plate.
    reference, min_cells, by, fewest
        As in `reference_of`.
    notes
        List to which the rows of `fallback_rows` are added.

    Raises
    ------
    UnknownNameError
        If a plate lacks a column of `by`.
    """
    if PLATE in by or len(plates) == 1:
        for plate in plates:
            require_columns(plate, by, purpose="the groups of a step")
            notes += few_cells_rows(plate, min_cells)
            notes += fallback_rows(plate, reference, min_cells, by=by, fewest=fewest, is_adjustable=True)
            serves = reference_of(plate, reference, min_cells, by=by, fewest=fewest)
            yield plate.with_columns((pl.lit(value=True) if serves is None else serves).alias(IS_REFERENCE))
        return
    for plate in plates:
        require_columns(plate, by, purpose="the groups of a step")
    names = {*by, PLATE, OBJECT_COUNT, PERT_TYPE}
    parts = [plate.select([name for name in plate.columns if name in names]) for plate in plates]
    about = pl.concat(parts, how="diagonal_relaxed")
    notes += few_cells_rows(about, min_cells)
    notes += fallback_rows(about, reference, min_cells, by=by, fewest=fewest, is_adjustable=True)
    serves = reference_of(about, reference, min_cells, by=by, fewest=fewest)
    mask = None if serves is None else about.select(serves).to_series()
    start = 0
    for plate in plates:
        own = pl.lit(value=True) if mask is None else mask[start : start + plate.height]
        yield plate.with_columns(own.alias(IS_REFERENCE))
        start += plate.height


def _is_reference(data: pl.DataFrame, reference: str, enough: pl.Expr | None) -> pl.Expr | None:
    """Return the expression for wells of the reference kind with enough cells; None if all kinds are used."""
    if reference == "all":
        return None
    if PERT_TYPE not in data.columns:
        raise SchemaError(
            f"the reference {reference!r} needs the column {PERT_TYPE}; annotate the plate map, "
            'or use reference = "all"'
        )
    kind = (pl.col(PERT_TYPE) == reference).fill_null(value=False)
    return kind if enough is None else kind & enough


def _has_enough(data: pl.DataFrame, min_cells: int | str) -> pl.Expr | None:
    """Return the expression for wells with enough cells; None if no cells are needed."""
    if not min_cells:
        return None
    if OBJECT_COUNT not in data.columns:
        raise SchemaError(f"min_cells needs the column {OBJECT_COUNT}")
    count = pl.col(OBJECT_COUNT)
    if isinstance(min_cells, int):
        return (count >= min_cells).fill_null(value=min_cells <= 1)
    if min_cells != ENOUGH_CELLS:
        raise UsageError(f"min_cells must be a number or {ENOUGH_CELLS!r}; found {min_cells!r}")
    least = _least_cells()
    is_counted = _of_plate(data, least).is_not_null()
    return ~is_counted | (count >= _of_plate(data, least)).fill_null(value=False)


def _least_cells() -> pl.Expr:
    """Return the expression for the fewest cells of a reference well of a plate; NULL without counts."""
    count = pl.col(OBJECT_COUNT)
    return (count.filter(count > 0).median() / 2).clip(upper_bound=float(_ENOUGH))


def _of_plate(data: pl.DataFrame, expression: pl.Expr) -> pl.Expr:
    return expression.over(PLATE) if PLATE in data.columns else expression


def few_cells_rows(data: pl.DataFrame, min_cells: int | str) -> list[StatusRow]:
    """List the plates on which wells with fewer than 30 cells serve as reference: status ``few_cells``, no feature."""
    if min_cells != ENOUGH_CELLS or OBJECT_COUNT not in data.columns or data.is_empty():
        return []
    plates = data.select(PLATE if PLATE in data.columns else pl.lit(None, pl.String).alias(PLATE), OBJECT_COUNT)
    least = plates.group_by(PLATE).agg(_least_cells().alias("least")).filter(pl.col("least") < _ENOUGH).sort(PLATE)
    return [
        StatusRow(
            plate,
            "",
            "few_cells",
            f"the wells have {2 * number:g} cells (median): those with {number:g} or more serve as reference, instead "
            f"of {_ENOUGH}. In screen.toml, profiles.min_cells sets the number",
            float(number),
        )
        for plate, number in least.iter_rows()
    ]
