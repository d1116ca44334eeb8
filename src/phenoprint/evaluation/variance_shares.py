"""How much of the variance of profiles lies between groups of wells, or between positions on the plate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.errors import UsageError
from phenoprint.profiles import position_share
from phenoprint.tables import Groups, feature_columns, feature_matrix, mean, well_places

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["position_variance", "variance_between"]


def variance_between(frame: pl.DataFrame, by: Sequence[str]) -> float | None:
    """Average over features the share of the variance that lies between groups, adjusted for their number.

    Parameters
    ----------
    frame
        Profiles; rows with NULL in `by` are left out, a missing value counts as the feature's mean.
    by
        Columns that make a group.

    Returns
    -------
    float or None
        ``1 - (within / (n - k)) / (total / (n - 1))`` with n wells and k groups: 0 expected by chance, 1 where groups
        are all that differs. None where no feature varies.

    Raises
    ------
    UsageError
        Where there is one group only, or none with several wells.

    Examples
    --------
    >>> wells = pl.DataFrame({"Metadata_Plate": ["p", "p", "q", "q"], "x": [1.0, 2.0, 11.0, 12.0]})
    >>> round(variance_between(wells, ["Metadata_Plate"]), 3)
    0.985
    """
    known = frame.drop_nulls(list(by))
    groups = Groups.of(known, by)
    n, k = known.height, len(groups)
    if not 1 < k < n:
        raise UsageError(
            f"a share of the variance needs several groups with several wells each; found {k} in {n} wells"
        )
    values = feature_matrix(known, feature_columns(known))
    centered = np.nan_to_num(values.astype(np.float64) - mean(values)[:, None])[:, groups.order]
    between = (np.add.reduceat(centered, groups.bounds[:-1], axis=1) ** 2 / groups.sizes).sum(axis=1)
    total = (centered**2).sum(axis=1)
    left = np.divide(total - between, total, out=np.full(len(total), np.nan), where=total > 0)
    return _mean_of(1 - left * (n - 1) / (n - k))


def position_variance(frame: pl.DataFrame, plate: str = "Metadata_Plate") -> float | None:
    """Average over features and plates the share of a plate's variance that row and column explain, adjusted.

    Parameters
    ----------
    frame
        Well profiles with their position, see `well_places`.
    plate
        Column of the plate.

    Returns
    -------
    float or None
        Near 0 where position does not matter, and below after a correction that was fitted on the same wells. None
        where no plate has more wells than rows and columns, or no feature varies.
    """
    place = well_places(frame)
    values = feature_matrix(frame, feature_columns(frame))
    shares = []
    for rows in Groups.of(frame, [plate]).rows():
        row, column = (np.unique(axis, return_inverse=True)[1] for axis in place[rows].T)
        shares.append(position_share(values[:, rows].astype(np.float64), row, column))
    return _mean_of(np.concatenate(shares)) if shares else None


def _mean_of(shares: NDArray[np.float64]) -> float | None:
    known = shares[~np.isnan(shares)]
    return float(known.mean()) if len(known) else None
