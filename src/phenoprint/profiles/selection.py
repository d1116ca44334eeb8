"""Select features: leave out what is missing, constant, redundant, blown up or known as noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, TypedDict, Unpack

import numpy as np
import polars as pl

from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.profiles.blocklist import DEFAULT_BLOCKLIST
from phenoprint.profiles.correlations import correlation_matrix, redundant
from phenoprint.profiles.frames import feature_columns, feature_matrix, missing_as_null, to_polars
from phenoprint.profiles.status import StatusRow, WithStatus, status_frame

if TYPE_CHECKING:
    from phenoprint.profiles.frames import FloatArray, FrameLike

__all__ = ["DEFAULT_OPERATIONS", "OPERATIONS", "select_features", "select_features_with_status"]

DEFAULT_OPERATIONS = (
    "drop_na_columns",
    "variance_threshold",
    "blocklist",
    "drop_outliers",
    "correlation_threshold",
)
"""What is missing goes first and the expensive correlation last, over what is left."""


class SelectionOptions(TypedDict, total=False):
    """Thresholds of `select_features`; see there."""

    na_cutoff: float
    freq_cut: float
    unique_cut: float
    min_variance: float
    correlation: float
    signed_correlation: bool
    greedy_correlation: bool
    outlier_cutoff: float
    blocklist: Sequence[str]


@dataclass(frozen=True)
class _Options:
    na_cutoff: float = 0.05
    freq_cut: float = 0.05
    unique_cut: float = 0.01
    min_variance: float = 1e-6
    correlation: float = 0.9
    signed_correlation: bool = False
    greedy_correlation: bool = True
    outlier_cutoff: float = 500.0
    blocklist: Sequence[str] = DEFAULT_BLOCKLIST

    def __post_init__(self) -> None:
        for name in ("na_cutoff", "freq_cut", "unique_cut", "correlation"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} must lie between 0 and 1; found {getattr(self, name)}")
        for name in ("min_variance", "outlier_cutoff"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"{name} must be 0 or larger; found {getattr(self, name)}")


def select_features(
    frame: FrameLike,
    operations: Sequence[str] = DEFAULT_OPERATIONS,
    *,
    rows: pl.Expr | None = None,
    **options: Unpack[SelectionOptions],
) -> pl.DataFrame:
    """Leave out features, one operation after the other, each judging what the ones before it left.

    Parameters
    ----------
    frame
        Normalized profiles: ``Metadata_*`` columns and features.
    operations
        Names, in order:

        - ``"drop_na_columns"``: more than `na_cutoff` of the values are missing;
        - ``"variance_threshold"``, also called ``"frequency_threshold"``: constant; or the second most common
        value
          is less than `freq_cut` times as common as the most common one; or the number of distinct values is
          less than `unique_cut` of the rows (the rule that the public recipes mean by the first name);
        - ``"min_variance"``: the variance (n) is `min_variance` or less (what pycytominer from 1.4 means by
          ``variance_threshold``);
        - ``"correlation_threshold"``: the absolute correlation with a feature that stays is above
        `correlation`;
        - ``"blocklist"``: in `blocklist`;
        - ``"drop_outliers"``: an absolute value above `outlier_cutoff`.
    rows
        A polars expression that picks the rows to judge on (None: all). Rows in which no feature has a value
        (wells without cells) are never judged on.
    **options
        ``na_cutoff`` (0.05), ``freq_cut`` (0.05), ``unique_cut`` (0.01), ``min_variance`` (1e-6),
        ``correlation`` (0.9), ``outlier_cutoff`` (500), ``blocklist`` (Way 2019): see above; the defaults are
        pycytominer's. ``signed_correlation`` (False) and ``greedy_correlation`` (True): |r|, and a feature
        goes only if one that stays represents it; True and False give pycytominer's rule (see
        `correlations.redundant`).

    Returns
    -------
    polars.DataFrame
        All rows, all metadata, the features that stay in their order, NaN as NULL.

    Raises
    ------
    UnknownNameError
        For an unknown operation or option.
    UsageError
        For a threshold out of range.
    SchemaError
        For text among the features.

    Examples
    --------
    >>> wells = pl.DataFrame({"Metadata_W": ["A1", "A2", "A3"], "a": [1.0, 2, 4], "b": [-1.0, -2, -4.1]})
    >>> select_features(wells, ["correlation_threshold"]).columns
    ['Metadata_W', 'a']
    """
    return select_features_with_status(frame, operations, rows=rows, **options).frame


def select_features_with_status(
    frame: FrameLike,
    operations: Sequence[str] = DEFAULT_OPERATIONS,
    *,
    rows: pl.Expr | None = None,
    **options: Unpack[SelectionOptions],
) -> WithStatus:
    """Select features, and tell for every one why it went or that it stays.

    Parameters
    ----------
    frame, operations, rows, **options
        As in `select_features`.

    Returns
    -------
    WithStatus
        The frame, and one row of `feature_status` a feature (step ``select``, over all plates): ``ok``, or
        ``missing_values``, ``constant``, ``low_variance``, ``correlated``, ``blocklisted``, ``outlier``.
    """
    data = to_polars(frame)
    if isinstance(operations, str):
        raise UsageError(f"operations must be a list of names; found the text {operations!r}")
    for name in operations:
        if name not in OPERATIONS:
            raise UnknownNameError("feature selection operation", name, OPERATIONS)
    for option in options:
        if option not in _Options.__dataclass_fields__:
            raise UnknownNameError("option of select_features", option, _Options.__dataclass_fields__)
    chosen = _Options(**options)
    features = feature_columns(data)
    values = feature_matrix(data if rows is None else data.filter(rows), features)
    if features:
        values = values[:, ~np.isnan(values).all(axis=0)]
    index = np.arange(len(features))
    verdicts: dict[int, StatusRow] = {}
    for name in operations:
        found = OPERATIONS[name](values[index], [features[i] for i in index], chosen)
        verdicts |= {int(index[i]): row for i, row in found.items()}
        index = np.array([i for i in index if i not in verdicts], dtype=np.intp)
    status = [verdicts.get(i, StatusRow(None, feature, "ok", "stays", None)) for i, feature in enumerate(features)]
    kept = [feature for i, feature in enumerate(features) if i not in verdicts]
    frame = missing_as_null(data.drop([features[i] for i in verdicts]), kept)
    return WithStatus(frame, status_frame("select", status))


def _drop_na_columns(values: FloatArray, names: Sequence[str], options: _Options) -> dict[int, StatusRow]:
    share = np.isnan(values).mean(axis=1) if values.shape[1] else np.zeros(len(names))
    return {
        i: StatusRow(
            None,
            names[i],
            "missing_values",
            f"{share[i]:.1%} of the values are missing, more than {options.na_cutoff:.1%}",
            float(share[i]),
        )
        for i in np.flatnonzero(share > options.na_cutoff).tolist()
    }


def _frequency(values: FloatArray, names: Sequence[str], options: _Options) -> dict[int, StatusRow]:
    verdicts: dict[int, StatusRow] = {}
    n_rows = values.shape[1]
    ordered = np.sort(values, axis=1)  # NaN last
    n_there = n_rows - np.isnan(ordered).sum(axis=1)
    for i, (row, n) in enumerate(zip(ordered, n_there.tolist(), strict=True)):
        starts = np.flatnonzero(np.concatenate([[True], row[1:n] != row[: n - 1]])) if n else np.empty(0, np.intp)
        runs = np.sort(np.diff(np.append(starts, n)))[::-1]
        if len(runs) < 2:
            verdicts[i] = StatusRow(None, names[i], "constant", "every value is the same", float(len(runs)))
            continue
        ratio, unique = runs[1] / runs[0], len(runs) / n_rows
        if ratio < options.freq_cut:
            reason = f"the second most common value is {ratio:.3g} times as common as the most common one"
            verdicts[i] = StatusRow(None, names[i], "low_variance", reason, float(ratio))
        elif unique < options.unique_cut:
            reason = f"{len(runs)} distinct values in {n_rows} rows"
            verdicts[i] = StatusRow(None, names[i], "low_variance", reason, float(unique))
    return verdicts


def _min_variance(values: FloatArray, names: Sequence[str], options: _Options) -> dict[int, StatusRow]:
    from phenoprint.profiles.statistics import sd

    variance = np.nan_to_num(sd(values, ddof=0) ** 2)
    return {
        i: StatusRow(
            None,
            names[i],
            "constant" if variance[i] == 0 else "low_variance",
            f"variance {variance[i]:.3g}, not above {options.min_variance:.3g}",
            float(variance[i]),
        )
        for i in np.flatnonzero(variance <= options.min_variance).tolist()
    }


def _correlation(values: FloatArray, names: Sequence[str], options: _Options) -> dict[int, StatusRow]:
    found = redundant(
        correlation_matrix(values),
        threshold=options.correlation,
        signed=options.signed_correlation,
        greedy=options.greedy_correlation,
    )
    return {
        i: StatusRow(None, names[i], "correlated", f"r = {r:.3f} with {names[partner]}", r) for i, partner, r in found
    }


def _blocklist(values: FloatArray, names: Sequence[str], options: _Options) -> dict[int, StatusRow]:
    del values
    blocked = set(options.blocklist)
    return {
        i: StatusRow(None, name, "blocklisted", "on the blocklist", None)
        for i, name in enumerate(names)
        if name in blocked
    }


def _drop_outliers(values: FloatArray, names: Sequence[str], options: _Options) -> dict[int, StatusRow]:
    if not values.shape[1]:
        return {}
    largest = np.fmax.reduce(np.abs(values), axis=1)
    return {
        i: StatusRow(
            None,
            names[i],
            "outlier",
            f"an absolute value of {largest[i]:.3g}, above {options.outlier_cutoff:g}",
            float(largest[i]),
        )
        for i in np.flatnonzero(largest > options.outlier_cutoff).tolist()
    }


OPERATIONS: Mapping[str, Callable[[FloatArray, Sequence[str], _Options], dict[int, StatusRow]]] = MappingProxyType(
    {
        "blocklist": _blocklist,
        "correlation_threshold": _correlation,
        "drop_na_columns": _drop_na_columns,
        "drop_outliers": _drop_outliers,
        "frequency_threshold": _frequency,
        "min_variance": _min_variance,
        "variance_threshold": _frequency,
    }
)
"""Operations that `select_features` knows by name."""
