"""Normalize profiles a plate against reference wells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.errors import DataError, UsageError
from phenoprint.profiles.frames import (
    Groups,
    feature_columns,
    feature_matrix,
    to_polars,
    with_features,
)
from phenoprint.profiles.normalizers import Fit, Normalizer, normalizer
from phenoprint.profiles.status import WithStatus

if TYPE_CHECKING:
    from phenoprint.profiles.frames import FloatArray, FrameLike, IntArray

__all__ = ["normalize", "normalize_with_status"]


def normalize(
    frame: FrameLike,
    method: str | Normalizer = "mad_robust",
    by: Sequence[str] = ("Metadata_Plate",),
    *,
    reference: pl.Expr | None = None,
    min_reference: int = 3,
    **parameters: object,
) -> pl.DataFrame:
    """Centre and scale every feature within each plate, as the reference wells say.

    Parameters
    ----------
    frame
        Profiles (or cells): ``Metadata_*`` columns and features.
    method
        ``"mad_robust"`` (median, MAD times 1.4826), ``"standardize"`` (mean, standard deviation) or
        ``"robust"`` (median, interquartile range), or a `Normalizer`.
    by
        Columns whose values are normalized apart, such as plate, or plate and cell line; none: all rows
        together.
    reference
        A polars expression that is true for the rows to fit on, such as
        ``pl.col("Metadata_pert_type") == "negcon"``; None: all rows.
    min_reference
        Fewest reference rows a group that allow a fit.
    **parameters
        Of the method: ``pooling`` of mad_robust (12: the MAD pooled over plates counts as 12 wells, a floor
        against chance zeros; 0: off, pycytominer's numbers with epsilon 0), ``ddof`` of standardize (0).

    Returns
    -------
    polars.DataFrame
        The frame's rows and columns in their order; features Float32 where all came in as Float32, else
        Float64. A feature whose reference does not vary on a plate, or is missing there, is NULL on that
        plate.

    Raises
    ------
    DataError
        Where a group has fewer than `min_reference` reference rows (`normalize_with_status` goes on instead).
    SchemaError
        For text among the features or NULL among the keys.
    UnknownNameError
        For an unknown method, parameter or column.

    Notes
    -----
    Agrees with ``pycytominer.normalize``: standardize, robustize, and mad_robustize (with ``pooling=0, floor=0``),
    except where the spread is zero: there pycytominer gives the unscaled difference, or 1e13, and we give
    NULL.

    Examples
    --------
    >>> wells = pl.DataFrame({"Metadata_Plate": ["p"] * 4, "area": [1.0, 2.0, 3.0, 9.0]})
    >>> controls = pl.col("area") < 5
    >>> normalize(wells, "standardize", ddof=1, reference=controls)["area"].to_list()
    [-1.0, 0.0, 1.0, 7.0]
    """
    data = to_polars(frame)
    result, few = _normalize(data, normalizer(method, **parameters), by, reference, min_reference)
    if few:
        more = f" and {len(few) - 5} groups more" if len(few) > 5 else ""
        raise DataError(
            f"expected at least {min_reference} reference rows in each group of "
            f"{', '.join(by) or 'the frame'}; found {'; '.join(few[:5])}{more}. "
            "Check the reference expression and the plate map, leave those rows out, or lower min_reference"
        )
    return result.frame


def normalize_with_status(
    frame: FrameLike,
    method: str | Normalizer = "mad_robust",
    by: Sequence[str] = ("Metadata_Plate",),
    *,
    reference: pl.Expr | None = None,
    min_reference: int = 3,
    **parameters: object,
) -> WithStatus:
    """Normalize, and tell what became of each feature on each plate.

    Parameters
    ----------
    frame, method, by, reference, min_reference, **parameters
        As in `normalize`.

    Returns
    -------
    WithStatus
        The normalized frame, and one row of `feature_status` for each group and feature. The status is ``ok``
        or ``pooled`` (zero spread on the plate, the pooled one stands in; both with the scale as value), or,
        with the feature NULL on that plate, ``zero_mad``/``zero_sd``/``zero_iqr``, ``all_null`` (no reference
        value), or ``too_few_reference`` (value: how many there were; no error here, the other plates go on).
    """
    return _normalize(to_polars(frame), normalizer(method, **parameters), by, reference, min_reference)[0]


def _normalize(
    data: pl.DataFrame,
    how: Normalizer,
    by: Sequence[str],
    reference: pl.Expr | None,
    min_reference: int,
) -> tuple[WithStatus, list[str]]:
    features = feature_columns(data)
    groups = Groups.of(data, by)
    chosen = _reference_rows(data, reference)
    values = feature_matrix(data, features)
    found = [int(chosen[rows].sum()) for rows in groups.rows()]
    fits = how.pool(
        [_fit_where_enough(how, _columns(values, rows[chosen[rows]]), min_reference) for rows in groups.rows()]
    )
    for rows, fit in zip(groups.rows(), fits, strict=True):
        values[:, rows] = how.apply(_columns(values, rows), fit)
    few = [
        f"{n} of {size} in {', '.join(f'{k}={v}' for k, v in key.items()) or 'all rows'}"
        for n, size, key in zip(found, groups.sizes, _key_rows(groups), strict=True)
        if n < min_reference
    ]
    status = _status_table(features, groups, fits, how, found=found, min_reference=min_reference)
    return WithStatus(with_features(data, features, values), status), few


def _fit_where_enough(how: Normalizer, reference: FloatArray, min_reference: int) -> Fit:
    """Fit; a feature with too few reference values gets no centre and does not enter the pooled spread."""
    fit = how.fit(reference)
    few = fit.n < min_reference
    return replace(
        fit,
        center=np.where(few, np.nan, fit.center),
        scale=np.where(few, np.nan, fit.scale),
        spread=np.where(few, np.nan, fit.spread),
    )


def _reference_rows(data: pl.DataFrame, reference: pl.Expr | None) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
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


def _columns(values: FloatArray, rows: IntArray) -> FloatArray:
    """Take rows of the frame (columns of the matrix); a view where they follow each other."""
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and bool((np.diff(rows) == 1).all()):
        return values[:, rows[0] : rows[-1] + 1]
    return values[:, rows]


def _key_rows(groups: Groups) -> list[dict[str, object]]:
    return groups.keys.to_dicts() if groups.keys.width else [{} for _ in range(len(groups))]


def _status_table(
    features: Sequence[str],
    groups: Groups,
    fits: Sequence[Fit],
    how: Normalizer,
    *,
    found: Sequence[int],
    min_reference: int,
) -> pl.DataFrame:
    """One row a group and feature; columnar, since a screen has millions of them."""
    plates: list[str | None] = []
    others: list[str] = []
    for key in _key_rows(groups):
        plate = key.pop("Metadata_Plate", None)
        plates.append(None if plate is None else str(plate))
        others.append("".join(f" ({name}={value})" for name, value in key.items()))
    width = len(features)
    table = pl.DataFrame(
        {
            "Metadata_Plate": pl.Series(plates, dtype=pl.String).gather(np.repeat(np.arange(len(plates)), width)),
            "where": pl.Series(others, dtype=pl.String).gather(np.repeat(np.arange(len(plates)), width)),
            "feature": pl.Series(list(features) * len(plates), dtype=pl.String),
            "found": np.repeat(np.array(found, dtype=np.int64), width),
            "n": np.concatenate([np.empty(0), *(fit.n for fit in fits)]),
            "spread": np.concatenate([np.empty(0), *(fit.spread for fit in fits)]),
            "scale": np.concatenate([np.empty(0), *(fit.scale for fit in fits)]),
        }
    ).with_columns(pl.col("n").cast(pl.Int64), pl.col("spread", "scale").fill_nan(None))
    own, n, found_rows = how.spread_name, pl.col("n"), pl.col("found")
    scale = pl.col("scale")
    nothing = pl.lit(None, dtype=pl.Float64)
    needed = f"at least {min_reference} needed"
    # The first case that holds decides: condition, status, reason, value.
    cases: list[tuple[pl.Expr, str, pl.Expr, pl.Expr]] = [
        (
            found_rows < min_reference,
            "too_few_reference",
            pl.format(f"{{}} reference rows, {needed}", found_rows),
            found_rows,
        ),
        (n == 0, "all_null", pl.lit("no reference row has a value"), nothing),
        (n < min_reference, "too_few_reference", pl.format(f"{{}} reference values, {needed}", n), n),
        (
            scale.is_null() | (scale <= 0),
            f"zero_{own}",
            pl.format(f"the {own} of {{}} reference values is zero", n),
            scale,
        ),
        (
            pl.col("spread") == 0,
            "pooled",
            pl.format(f"the {own} of {{}} reference values is zero, the pooled one stands in", n),
            scale,
        ),
    ]
    status, value = pl.lit("ok"), scale
    reason = pl.format(f"scaled by the {own} of {{}} reference values", n)
    for condition, word, sentence, number in reversed(cases):
        status = pl.when(condition).then(pl.lit(word)).otherwise(status)
        reason = pl.when(condition).then(sentence).otherwise(reason)
        value = pl.when(condition).then(number.cast(pl.Float64)).otherwise(value)
    return table.select(
        "Metadata_Plate",
        "feature",
        step=pl.lit("normalize"),
        status=status,
        reason=reason + pl.col("where"),
        value=value,
    )
