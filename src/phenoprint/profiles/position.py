"""Correct the effects of well position and of cell count, and report how large they were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from phenoprint.errors import SchemaError, UnknownNameError, UsageError
from phenoprint.profiles.effects import corrected
from phenoprint.profiles.reference_wells import reference_rows
from phenoprint.profiles.surfaces import (
    explained_by_columns,
    loess_weights,
    median_polish,
    position_share,
    smooth,
    spline_weights,
)
from phenoprint.tables import (
    Groups,
    Result,
    StatusRow,
    feature_columns,
    feature_matrix,
    mad,
    matrix_dtype,
    mean,
    median,
    not_finite_rows,
    require_columns,
    rows_with_values,
    to_polars,
    well_places,
    with_features,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import FrameLike

    Matrix = NDArray[np.float64]

__all__ = ["POSITION_METHODS", "correct_count", "correct_position"]

POSITION_METHODS = ("loess", "median_polish", "spline", "well_mean")
"""Methods of `correct_position`."""


def correct_position(
    frame: FrameLike,
    method: str = "median_polish",
    by: Sequence[str] = ("Metadata_Plate",),
    *,
    reference: pl.Expr | None = None,
    scale: bool = False,
    span: float = 0.3,
    smoothing: float = 10.0,
    treatment: str | None = None,
) -> Result:
    """Remove the effect of a well's position.

    Parameters
    ----------
    frame
        Well profiles with ``Metadata_Row`` and ``Metadata_Col``, or ``Metadata_Well``.
    method
        ``"median_polish"``: row and column effects of each plate (with `scale` the B score of Brideau et al., J Biomol
        Screen 8:634, 2003); ``"loess"`` and ``"spline"``: a smooth surface of each plate; ``"well_mean"``: the mean
        of the same well over all plates (as in the JUMP recipe).
    by
        Columns that define a plate. For well_mean: columns within which wells are averaged over plates, such as a
        batch; the default means all plates.
    reference
        A polars expression for the wells to fit on, such as empty or control wells spread over the plate; None: all,
        which assumes that treatments are placed at random and that most have little effect.
    scale
        Divide the corrected values by their MAD (times 1.4826) on the plate.
    span
        Of loess: share of wells in each local fit.
    smoothing
        Of spline: 0 passes through every well.
    treatment
        Of well_mean: column of the treatment. Plates with the same treatment in the same well are then an error, since
        position and biology cannot be distinguished.

    Returns
    -------
    Result
        Only differences between positions are removed; the level of a plate is preserved (its median; for well_mean the
        overall mean). Arrays: ``"<plate>/rows"`` and ``"<plate>/cols"`` (features, rows or columns of the plate) of
        median_polish, ``"<plate>/surface"`` (features, wells in the frame's order) of loess and spline,
        ``"<group>/offset"`` (features, positions) and ``"<group>/place"`` (positions, 2; from 0) of well_mean, and with
        `scale` ``"<plate>/scale"``. Status ``zero_mad`` marks features that have no spread on a plate after the
        correction and are NULL there.

    Raises
    ------
    SchemaError
        If the position of a well is unknown.
    UnknownNameError, UsageError
        For an unknown method, an option out of range, fewer than four wells to fit on, or confounded treatments.

    Examples
    --------
    >>> wells = pl.DataFrame(
    ...     {
    ...         "Metadata_Plate": ["p"] * 4,
    ...         "Metadata_Well": ["A01", "A02", "B01", "B02"],
    ...         "area": [1.0, 3.0, 2.0, 4.0],
    ...     }
    ... )
    >>> correct_position(wells).frame["area"].to_list()
    [2.5, 2.5, 2.5, 2.5]
    """
    data = to_polars(frame)
    if method not in POSITION_METHODS:
        raise UnknownNameError("position correction", method, POSITION_METHODS)
    if not 0 < span <= 1 or smoothing < 0:
        raise UsageError(f"span must be above 0 and at most 1, smoothing 0 or more; found {span} and {smoothing}")
    features = feature_columns(data)
    chosen = reference_rows(data, reference)
    place = well_places(data)
    values = feature_matrix(data, features).astype(np.float64)
    plates = Groups.of(data, by)
    arrays: dict[str, NDArray[Any]] = {}
    notes: list[StatusRow] = []
    if method == "well_mean":
        whole = Groups.of(data, () if tuple(by) == ("Metadata_Plate",) else by)
        out = _well_mean(data, values, place, whole, chosen, treatment=treatment, arrays=arrays)
        plates = Groups.of(data, ["Metadata_Plate"]) if "Metadata_Plate" in data.columns else whole
    else:
        out = values.copy()
        for key, rows in plates.items():
            there = rows_with_values(values[:, rows])
            if not there.any():  # nothing to correct
                reason = f"no well of {_name(key)[:-1]} has a value"
                notes += [StatusRow(None, name, "all_null", reason, None) for name in features]
                continue
            fitted = chosen[rows] & there
            if fitted.sum() < 4:
                raise UsageError(f"position correction needs at least 4 wells to fit on; found {fitted.sum()} in {key}")
            effect, found = _effect(values[:, rows], place[rows], fitted, method, span=span, smoothing=smoothing)
            out[:, rows] -= effect
            arrays |= {f"{_name(key)}{name}": array for name, array in found.items()}
    if scale:
        for key, rows in plates.items():
            spread = mad(out[:, rows[chosen[rows]]])
            arrays[f"{_name(key)}scale"] = spread
            notes += [
                StatusRow(None, features[i], "zero_mad", f"no spread left in {_name(key)[:-1]}: NULL", 0.0)
                for i in np.flatnonzero(spread == 0).tolist()
            ]
            out[:, rows] /= np.where(spread > 0, spread, np.nan)[:, None]
    before, after = (_share(part, place, plates, chosen) for part in (values, out))
    return corrected(
        with_features(data, features, out.astype(matrix_dtype(data, features))),
        features,
        method,
        before,
        after,
        what="position",
        parameters={"method": method, "by": list(by), "scale": scale, "span": span, "smoothing": smoothing},
        arrays=arrays,
        notes=[*notes, *not_finite_rows(data, features, values)],
    )


def correct_count(
    frame: FrameLike,
    by: Sequence[str] = (),
    *,
    count: str = "Metadata_Object_Count",
    reference: pl.Expr | None = None,
    logarithm: bool = False,
) -> Result:
    """Remove the linear dependence of each feature on the cell count.

    Parameters
    ----------
    frame
        Well profiles.
    by
        Columns within which lines are fitted; an empty list: one line for all wells, as in the JUMP recipe.
    count
        Column of the count.
    reference
        A polars expression for the wells to fit on; None: all. A treatment that kills cells changes count and
        features together: fit on controls if their counts vary enough.
    logarithm
        Use log2(1 + count).

    Returns
    -------
    Result
        ``value - slope * (count - mean count of the fitted wells)``, which preserves the mean of a feature. Wells
        without a count become NULL, with a row of status ``no_count``. Arrays: ``"<group>/slope"`` and
        ``"<group>/center"`` (mean count of the fitted wells of each feature), shape (features,).

    Raises
    ------
    SchemaError
        If the count is not a number.
    UsageError
        If fewer than three wells can be used for the fit.

    Examples
    --------
    >>> wells = pl.DataFrame({"Metadata_Object_Count": [10, 20, 30], "area": [1.0, 2.0, 3.0]})
    >>> correct_count(wells).frame["area"].to_list()
    [2.0, 2.0, 2.0]
    """
    data = to_polars(frame)
    require_columns(data, [count], purpose="cell count")
    column = data.get_column(count)
    if not column.dtype.is_numeric():
        raise SchemaError(f"the cell count {count} must be a number; found {column.dtype}. Cast it first")
    number = column.cast(pl.Float64).fill_null(float("nan")).to_numpy().astype(np.float64)
    number = np.log2(1 + number) if logarithm else number
    features = feature_columns(data)
    chosen = reference_rows(data, reference) & np.isfinite(number)
    values = feature_matrix(data, features).astype(np.float64)
    out = np.empty_like(values)
    before, after = [], []
    arrays: dict[str, NDArray[Any]] = {}
    groups = Groups.of(data, by)
    for key, rows in groups.items():
        fitted = rows[chosen[rows]]
        if len(fitted) < 3:
            where = f" in {_name(key)[:-1]}" if key else ""
            raise UsageError(f"a line in the cell count needs at least 3 wells; found {len(fitted)}{where}")
        there = ~np.isnan(values[:, fitted])
        x = np.where(there, number[fitted], np.nan)
        x_mean, y_mean = mean(x), mean(values[:, fitted])
        dx, dy = x - x_mean[:, None], values[:, fitted] - y_mean[:, None]
        power = np.nansum(dx * dx, axis=1)
        slope = np.divide(np.nansum(dx * dy, axis=1), power, out=np.zeros_like(power), where=power > 0)
        arrays |= {f"{_name(key)}slope": slope, f"{_name(key)}center": x_mean}
        out[:, rows] = values[:, rows] - slope[:, None] * (number[rows][None, :] - x_mean[:, None])
        design = number[fitted][:, None]
        before.append(explained_by_columns(values[:, fitted], design))
        after.append(explained_by_columns(out[:, fitted], design))
    uncounted = ~np.isfinite(number)
    reason = f"{int(uncounted.sum())} wells have no count: NULL there"
    notes = [
        StatusRow(None, features[i], "no_count", reason, float(uncounted.sum()))
        for i in np.flatnonzero((uncounted & ~np.isnan(values)).any(axis=1)).tolist()
    ]
    return corrected(
        with_features(data, features, out.astype(matrix_dtype(data, features))),
        features,
        "count",
        _mean_of(before, len(features)),
        _mean_of(after, len(features)),
        what="cell count",
        parameters={"method": "count", "by": list(by), "count": count, "logarithm": logarithm},
        arrays=arrays,
        notes=[*notes, *not_finite_rows(data, features, values)],
    )


def _name(key: Sequence[object]) -> str:
    """Return the prefix of a fitted array's name: the key of the group; empty for a single group."""
    return "".join(f"{value}/" for value in key)


def _effect(
    values: Matrix, place: NDArray[np.intp], fitted: NDArray[np.bool_], method: str, *, span: float, smoothing: float
) -> tuple[Matrix, dict[str, Matrix]]:
    """Return the effect of position on each well of a plate, shape (features, wells), and the fitted arrays."""
    if method == "median_polish":
        row, col = (np.unique(axis, return_inverse=True)[1] for axis in place.T)
        _, rows, cols = median_polish(np.where(fitted, values, np.nan), row, col)
        return rows[:, row] + cols[:, col], {"rows": rows, "cols": cols}
    points = place.astype(np.float64)
    weights = (
        loess_weights(points, fitted, span=span)
        if method == "loess"
        else spline_weights(points, fitted, smoothing=smoothing)
    )
    surface = smooth(values, weights, fitted)
    surface -= median(surface[:, fitted])[:, None]
    return surface, {"surface": surface}


def _well_mean(
    data: pl.DataFrame,
    values: Matrix,
    place: NDArray[np.intp],
    groups: Groups,
    chosen: NDArray[np.bool_],
    *,
    treatment: str | None,
    arrays: dict[str, NDArray[Any]],
) -> Matrix:
    code = place[:, 0] * 10_000 + place[:, 1]
    if treatment is not None:
        require_columns(data, [treatment], purpose="treatment")
        per_well = (
            data.select(pl.col(treatment).alias("t"))
            .with_columns(pl.Series("well", code))
            .drop_nulls()
            .group_by("well")
        ).agg(pl.len().alias("n"), pl.col("t").n_unique().alias("kinds"))
        many = per_well.filter(pl.col("n") > 1)
        same = many.filter(pl.col("kinds") == 1).height
        if many.height and same > many.height / 2:
            raise UsageError(
                f"{same} of {many.height} wells have the same {treatment} on all plates: the mean of a well over "
                "plates is then the effect of its treatment. Correct by plate instead (median_polish, loess)"
            )
    out = values.copy()
    for key, rows in groups.items():
        level = mean(values[:, rows[chosen[rows]]])
        wells, at = np.unique(code[rows], return_inverse=True)
        fitted = np.bincount(at, weights=chosen[rows], minlength=len(wells))
        if len(rows) and fitted.max(initial=0) < 2:
            raise UsageError(
                "well_mean needs the same well on two plates or more; found each well once"
                f"{f' in {key}' if key else ''}, where its mean is its own value. Correct by plate instead "
                "(median_polish, loess)"
            )
        offset = np.zeros((len(values), len(wells)))
        for number in range(len(wells)):
            members = rows[at == number]
            own = mean(values[:, members[chosen[members]]])
            alone = fitted[number] < 2  # the mean would be its own value
            offset[:, number] = np.where(alone | np.isnan(own), 0.0, own - level)
        out[:, rows] -= offset[:, at]
        arrays[f"{_name(key)}offset"] = offset
        arrays[f"{_name(key)}place"] = np.column_stack([wells // 10_000, wells % 10_000])
    return out


def _share(values: Matrix, place: NDArray[np.intp], plates: Groups, chosen: NDArray[np.bool_]) -> Matrix:
    shares = []
    for rows in plates.rows():
        fitted = rows[chosen[rows]]
        if len(fitted):
            row, col = (np.unique(axis, return_inverse=True)[1] for axis in place[fitted].T)
            shares.append(position_share(values[:, fitted], row, col))
    return _mean_of(shares, len(values))


def _mean_of(shares: Sequence[Matrix], n: int) -> Matrix:
    return mean(np.column_stack(shares)) if shares else np.full(n, np.nan)
