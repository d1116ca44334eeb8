"""Limit normalized values, so that no single feature dominates distances and correlations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.errors import UsageError
from phenoprint.tables import (
    Result,
    StatusRow,
    feature_columns,
    feature_matrix,
    missing_as_null,
    not_finite_rows,
    status_frame,
    to_polars,
)

if TYPE_CHECKING:
    from phenoprint.tables import FrameLike

__all__ = ["EXTREME", "extreme_features", "limit_values_with_status"]

EXTREME = 1e4
"""Value, in spreads of the controls, that no properly normalized measurement reaches: the spread of the feature is
close to zero, or it is not normalized. One such feature dominates every distance and correlation."""


def extreme_features(frame: FrameLike) -> dict[str, float]:
    """Find the features of normalized profiles with values of `EXTREME` spreads or more.

    Parameters
    ----------
    frame
        Normalized profiles.

    Returns
    -------
    dict
        Feature to its largest finite absolute value.

    Examples
    --------
    >>> extreme_features(pl.DataFrame({"Metadata_W": ["A"] * 2, "x": [1.0, -3e5], "y": [2.0, None]}))
    {'x': 300000.0}
    """
    data = to_polars(frame)
    features = feature_columns(data)
    values = np.abs(feature_matrix(data, features))
    if not values.size:
        return {}
    largest = np.fmax.reduce(values, axis=1)
    return {features[k]: float(largest[k]) for k in np.flatnonzero(largest >= EXTREME)}


def limit_values_with_status(frame: FrameLike, limit: float) -> Result:
    """Clip values beyond ``limit`` spreads, and count them.

    A cosine or correlation over thousands of features is dominated by the few that are hundreds of spreads from the
    controls, and beyond some tens of spreads a distance carries no further information.

    Parameters
    ----------
    frame
        Normalized profiles, in units of the controls' spread.
    limit
        Largest absolute value after clipping.

    Returns
    -------
    Result
        The profiles, and one row of ``feature_status`` (step ``limit``, status ``limited``, value: number of values)
        for each feature with a value beyond the limit; ``nan_input`` and ``infinite_input`` for values that are not
        finite and become NULL.

    Raises
    ------
    UsageError
        If the limit is not above 0.

    Examples
    --------
    >>> limited = limit_values_with_status(pl.DataFrame({"x": [1.0, -300.0, None]}), 20.0)
    >>> limited.frame["x"].to_list(), limited.status["value"].to_list()
    ([1.0, -20.0, None], [1.0])
    """
    if not limit > 0:
        raise UsageError(f"limit must be above 0, found {limit}")
    data = to_polars(frame)
    features = feature_columns(data)
    if not features or data.is_empty():
        return Result(data, status_frame("limit", []))
    unusable = not_finite_rows(data, features)
    data = missing_as_null(data, features)
    beyond = data.select(pl.col(features).abs() > limit).sum().row(0)
    rows = [
        StatusRow(None, name, "limited", f"{n} values beyond {limit:g} spreads were clipped", float(n))
        for name, n in zip(features, beyond, strict=True)
        if n
    ]
    schema = data.schema  # every access builds a new one
    whole = [name for name in features if not schema[name].is_float()]
    limited = data.with_columns(pl.col(whole).cast(pl.Float64)).with_columns(pl.col(features).clip(-limit, limit))
    return Result(limited, status_frame("limit", [*rows, *unusable]))
