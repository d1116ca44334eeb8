"""From cells to wells, from wells to treatments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.profiles.modz import modz
from phenoprint.tables import (
    OBJECT_COUNT,
    REPLICATE_COUNT,
    SITE_COUNT,
    SITE_KEY,
    WELL_KEY,
    Groups,
    Result,
    StatusRow,
    concat_status,
    feature_columns,
    feature_matrix,
    feature_series,
    matrix_dtype,
    metadata_columns,
    not_finite_rows,
    statistic_named,
    status_frame,
    to_polars,
    with_series,
)

if TYPE_CHECKING:
    from phenoprint.tables import FloatArray, FrameLike

__all__ = ["aggregate", "aggregate_with_status", "consensus", "consensus_blocks", "consensus_with_status"]


_BLOCK_BYTES = 64 * 2**20  # features reduced at once: enough for numpy's speed, little compared with a plate


def aggregate(
    frame: FrameLike,
    by: Sequence[str] = WELL_KEY,
    statistic: str = "median",
    *,
    null_keys: str = "error",
) -> pl.DataFrame:
    """Reduce rows that share the keys to one row: cells to wells, or sites to wells.

    Parameters
    ----------
    frame
        Cells (or sites): ``Metadata_*`` columns and features.
    by
        Key columns.
    statistic
        ``"median"``, ``"mean"``, ``"trimmed_mean"`` (without a tenth of the values at either end), ``"sd"`` (n - 1),
        ``"mad"`` (times 1.4826), a quantile in percent such as ``"q25"``, or ``"count"`` (number of values, Int64);
        computed for each feature separately, without missing values.
    null_keys
        ``"error"``: a NULL key is an error; ``"group"``: rows with NULL form a group, as in pycytominer.

    Returns
    -------
    polars.DataFrame
        One row per group, sorted by the keys (NULL last): the keys, the metadata that are constant within every
        group, ``Metadata_Object_Count`` (the number of rows, or the sum of that column if the frame has it),
        ``Metadata_Site_Count`` (if the frame has ``Metadata_Site``, or that column to sum), then the features in
        their order: Float32 if all of them are Float32 in `frame`, else Float64. NaN and infinite values count as
        missing (`aggregate_with_status` reports how many).

    Raises
    ------
    SchemaError
        For text among the features or NULL among the keys.
    UnknownNameError
        For an absent key column or an unknown statistic.

    Notes
    -----
    Agrees with ``pycytominer.aggregate`` on median and mean. Features are reduced in blocks, which bounds the memory
    whatever their number.

    Examples
    --------
    >>> cells = pl.DataFrame({"Metadata_Well": ["A01", "A01", "A02"], "Nuclei_Count": [1.0, 3.0, 7.0]})
    >>> aggregate(cells, by=["Metadata_Well"]).rows()
    [('A01', 2, 2.0), ('A02', 1, 7.0)]
    """
    return aggregate_with_status(frame, by, statistic, null_keys=null_keys).frame


def aggregate_with_status(
    frame: FrameLike,
    by: Sequence[str] = WELL_KEY,
    statistic: str = "median",
    *,
    null_keys: str = "error",
) -> Result:
    """Aggregate, and report what was missing.

    Parameters
    ----------
    frame, by, statistic, null_keys
        As in `aggregate`.

    Returns
    -------
    Result
        The aggregated frame, and one row of `feature_status` for each feature with NaN (``nan_input``, value: their
        number) or infinite values (``infinite_input``), or without any value on a plate (``all_null``).

    Examples
    --------
    >>> cells = pl.DataFrame({"Metadata_Well": ["A01", "A02"], "area": [1.0, float("nan")]})
    >>> aggregate_with_status(cells, ["Metadata_Well"]).status.select("feature", "status", "value").rows()
    [('area', 'nan_input', 1.0)]
    """
    data = to_polars(frame)
    statistic_named(statistic)  # raises before any work
    features = feature_columns(data)
    groups = Groups.of(data, by, null_keys=null_keys)
    result = _metadata_of(data, groups, by)
    reduced = _reduce(data, features, groups, statistic)
    columns = feature_series(features, reduced)
    if statistic == "count":
        columns = [column.cast(pl.Int64) for column in columns]
    result = with_series(result, columns) if columns else result
    rows = [row._replace(plate=None) for row in not_finite_rows(data, features)]
    if statistic != "count":
        rows += _all_null_rows(result, features, reduced)
    return Result(result, status_frame("aggregate", rows))


def consensus(
    frame: FrameLike,
    by: Sequence[str] = ("Metadata_compound",),
    statistic: str = "median",
    *,
    null_keys: str = "error",
    **options: Any,
) -> pl.DataFrame:
    """Reduce replicate wells to one profile per treatment (level 5).

    Parameters
    ----------
    frame
        Well profiles.
    by
        Columns that define a treatment, such as compound and concentration.
    statistic
        ``"median"``, ``"mean"`` or ``"trimmed_mean"`` of each feature over the replicates that have a value;
        ``"modz"``: replicates weighted by their correlation with the others.
    null_keys
        As in `aggregate`. Remove wells without a treatment first, or keep them as one group with ``"group"``.
    **options
        Options of modz: ``correlation`` (``"spearman"``), ``min_weight`` (0.01), ``precision`` (4); see `modz`.

    Returns
    -------
    polars.DataFrame
        One row per treatment, sorted by the keys, with the metadata that are constant within every treatment,
        ``Metadata_Replicate_Count`` (wells), ``Metadata_Object_Count`` and ``Metadata_Site_Count`` (sums over
        the wells, where the wells have them) and the features.

    Raises
    ------
    SchemaError
        For text among the features or NULL among the keys.
    UnknownNameError
        For an absent key column or an unknown statistic.

    Notes
    -----
    Agrees with ``pycytominer.consensus`` for median and mean, and for modz on complete profiles.

    Examples
    --------
    >>> wells = pl.DataFrame({"Metadata_compound": ["a", "a"], "Cells_AreaShape_Area": [1.0, 2.0]})
    >>> consensus(wells).rows()
    [('a', 2, 1.5)]
    """
    return consensus_with_status(frame, by, statistic, null_keys=null_keys, **options).frame


def consensus_with_status(
    frame: FrameLike,
    by: Sequence[str] = ("Metadata_compound",),
    statistic: str = "median",
    *,
    null_keys: str = "error",
    **options: Any,
) -> Result:
    """Make consensus profiles, and report what was missing.

    Parameters
    ----------
    frame, by, statistic, null_keys, **options
        As in `consensus`.

    Returns
    -------
    Result
        The profiles, and one row of `feature_status` for each feature with NaN (``nan_input``, value: their number)
        or infinite values (``infinite_input``), or without a value in any profile (``all_null``).

    Examples
    --------
    >>> wells = pl.DataFrame({"Metadata_compound": ["a", "b"], "area": [float("nan")] * 2})
    >>> consensus_with_status(wells).status.select("feature", "status").rows()
    [('area', 'nan_input'), ('area', 'all_null')]
    """
    known = ("mean", "median", "modz", "trimmed_mean")
    if statistic not in known:
        raise UnknownNameError("consensus statistic", statistic, known)
    for name in options:
        if statistic != "modz" or name not in ("correlation", "min_weight", "precision"):
            raise UnknownNameError(f"option of {statistic!r}", name, ["correlation", "min_weight", "precision"])
    data = to_polars(frame)
    groups = Groups.of(data, by, null_keys=null_keys)
    if statistic == "modz":
        features = feature_columns(data)
        values = feature_matrix(data, features)
        profiles = modz(values, groups, **options).astype(values.dtype)
        reduced = with_series(_metadata_of(data, groups, by), feature_series(features, profiles))
        rows = [row._replace(plate=None) for row in not_finite_rows(data, features, values)]
        notes = status_frame("consensus", rows)
    else:
        reduced, notes = aggregate_with_status(data, by, statistic, null_keys=null_keys)
        notes = notes.filter(pl.col("status") != "all_null")
    if OBJECT_COUNT not in data.columns:
        reduced = reduced.drop(OBJECT_COUNT)
    replicates = pl.Series(REPLICATE_COUNT, groups.sizes, dtype=pl.Int64)
    at = len(metadata_columns(reduced)) - sum(name in reduced.columns for name in (OBJECT_COUNT, SITE_COUNT))
    reduced = (
        reduced.with_columns(replicates)
        if REPLICATE_COUNT in reduced.columns
        else reduced.insert_column(at, replicates)
    )
    features = feature_columns(reduced)
    counts = zip(features, reduced[features].null_count().row(0), strict=True) if features else ()
    rows = [
        StatusRow(None, name, "all_null", f"no value in any of {reduced.height} profiles", None)
        for name, n in counts
        if n == reduced.height > 0
    ]
    notes = notes.with_columns(step=pl.lit("consensus"))
    return Result(reduced, concat_status([notes, status_frame("consensus", rows)]))


def consensus_blocks(
    blocks: Iterable[FrameLike], by: Sequence[str], statistic: str = "median", **options: Any
) -> pl.DataFrame:
    """Make consensus profiles from blocks of wells, one block in memory at a time.

    Parameters
    ----------
    blocks
        Frames of profiles with the same columns. All wells of a treatment must be in one block. Rows with NULL in `by`
        are left out.
    by
        Columns that define a treatment.
    statistic, **options
        As in `consensus`.

    Returns
    -------
    polars.DataFrame
        The same as `consensus` of all blocks at once.

    Raises
    ------
    UsageError
        For a treatment in two blocks, or no block.

    Examples
    --------
    >>> wells = pl.DataFrame({"Metadata_compound": ["a", "a", "b"], "Cells_AreaShape_Area": [1.0, 2.0, 5.0]})
    >>> consensus_blocks([wells[:2], wells[2:]], ["Metadata_compound"]).rows()
    [('a', 2, 1.5), ('b', 1, 5.0)]
    """
    parts = [consensus(to_polars(block).drop_nulls(by), by, statistic, **options) for block in blocks]
    if not parts:
        raise UsageError("expected at least one block of wells; found none")
    # A column that is constant within the treatments of one block may vary within those of another.
    common = set.intersection(*(set(part.columns) for part in parts))
    whole = pl.concat(
        [part.select(name for name in part.columns if name in common) for part in parts], how="vertical_relaxed"
    )
    again = whole.select(by).filter(whole.select(by).is_duplicated()).unique(maintain_order=True)
    if again.height:
        raise UsageError(f"all wells of a treatment must be in one block; found in several: {again.rows()[:3]}")
    return whole.sort(list(by))


def _metadata_of(data: pl.DataFrame, groups: Groups, by: Sequence[str]) -> pl.DataFrame:
    """Collect the keys, the metadata that are constant within every group, and the counts; one row per group."""
    counts = (OBJECT_COUNT, SITE_COUNT)
    others = [name for name in metadata_columns(data) if name not in by and name not in counts]
    kept = groups.keys if by else pl.DataFrame({"": [None] * len(groups)}).drop("")
    codes = pl.Series("group", groups.codes)
    if others and data.height:
        rows = data.select(others).with_columns(codes)
        # A column with NULL and a value is not constant: n_unique counts NULL as a value.
        n_unique = rows.group_by("group").agg(pl.col(others).n_unique()).select(pl.col(others).max()).row(0)
        constant = [name for name, n in zip(others, n_unique, strict=True) if n == 1]
        if constant:
            first = data.select(constant)[groups.order[groups.bounds[:-1]]]
            kept = pl.concat([kept, first], how="horizontal") if by else first
    columns = [pl.Series(OBJECT_COUNT, _sum_or(data, OBJECT_COUNT, groups, groups.sizes), dtype=pl.Int64)]
    if SITE_COUNT in data.columns:
        columns.append(pl.Series(SITE_COUNT, _sum_or(data, SITE_COUNT, groups, groups.sizes), dtype=pl.Int64))
    elif "Metadata_Site" in data.columns:
        columns.append(pl.Series(SITE_COUNT, _count_sites(data, groups), dtype=pl.Int64))
    return kept.with_columns(columns) if kept.width else pl.DataFrame(columns)


def _count_sites(data: pl.DataFrame, groups: Groups) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Count the distinct sites of each group; plate and well are part of a site's key if the frame has them."""
    place = [name for name in SITE_KEY if name in data.columns]
    sites = data.select(place).with_columns(pl.Series("group", groups.codes)).unique()
    return np.bincount(sites.get_column("group").to_numpy(), minlength=len(groups)).astype(np.int64)


def _sum_or(
    data: pl.DataFrame, column: str, groups: Groups, otherwise: np.ndarray[tuple[int], np.dtype[np.intp]]
) -> pl.Series:
    """Sum a column of counts by group, NULL for a group without counts; `otherwise` if there is no such column."""
    if column not in data.columns:
        return pl.Series(otherwise.astype(np.int64))
    values = data.get_column(column).cast(pl.Int64, strict=False)
    sums, known = np.zeros(len(groups), dtype=np.int64), np.zeros(len(groups), dtype=np.int64)
    np.add.at(sums, groups.codes, values.fill_null(0).to_numpy())
    np.add.at(known, groups.codes, values.is_not_null().to_numpy())
    counted = pl.DataFrame({"sum": sums, "known": known}).select(pl.when(pl.col("known") > 0).then(pl.col("sum")))
    return counted.to_series()


def _reduce(data: pl.DataFrame, features: Sequence[str], groups: Groups, statistic: str) -> FloatArray:
    """Reduce every feature by group: shape (features, groups), a block of features at a time."""
    function = statistic_named(statistic)
    dtype = np.dtype(np.float64) if statistic == "count" else matrix_dtype(data, features)
    out = np.empty((len(features), len(groups)), dtype=dtype)
    step = max(1, _BLOCK_BYTES // max(1, dtype.itemsize * data.height))
    ordered = groups.is_sorted
    spans = list(zip(groups.bounds[:-1], groups.bounds[1:], strict=True))
    for start in range(0, len(features), step):
        block = feature_matrix(data, features[start : start + step])
        if not ordered:
            block = block[:, groups.order]
        for number, (low, high) in enumerate(spans):
            out[start : start + step, number] = function(block[:, low:high])
    return out


def _all_null_rows(result: pl.DataFrame, features: Sequence[str], values: FloatArray) -> list[StatusRow]:
    if not result.height:
        return []
    by = ["Metadata_Plate"] if "Metadata_Plate" in result.columns else []
    plates = Groups.of(result, by, null_keys="group")
    missing = np.isnan(values)
    rows = []
    for plate, members in enumerate(plates.rows()):
        name = plates.keys.item(plate, 0) if by else None
        rows += [
            StatusRow(name, features[i], "all_null", f"no value in any of {len(members)} groups", None)
            for i in np.flatnonzero(missing[:, members].all(axis=1)).tolist()
        ]
    return rows
