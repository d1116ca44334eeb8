"""Select features: leave out what is no phenotype, missing, constant, redundant, blown up or known as noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias, Unpack

import numpy as np
import polars as pl

from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.profiles import selection_rules as rules
from phenoprint.profiles.correlations import correlation_matrix, exact_correlations
from phenoprint.profiles.replicate_features import intraclass_correlation, noise_within_groups
from phenoprint.profiles.selection_rules import Options, SelectionOptions
from phenoprint.tables import (
    Groups,
    StatusRow,
    WithStatus,
    feature_columns,
    feature_matrix,
    missing_as_null,
    not_finite_rows,
    rows_with_values,
    sd,
    status_frame,
    to_polars,
)

if TYPE_CHECKING:
    from phenoprint.tables import FloatArray, FrameLike, IntArray

__all__ = ["BY_REPLICATES", "DEFAULT_OPERATIONS", "OPERATIONS", "select_features", "select_features_with_status"]

DEFAULT_OPERATIONS = (
    "drop_nuisance",
    "drop_na_columns",
    "variance_threshold",
    "blocklist",
    "drop_outliers",
    "correlation_threshold",
)
"""What is no phenotype and what is missing goes first and the expensive correlation last, over what is left."""


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

        - ``"drop_nuisance"``: no phenotype (`NUISANCE`), such as columns of images, positions, numbers of objects;
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
        - ``"drop_outliers"``: an absolute value above `outlier_cutoff`;
        - ``"noise_removal"``: the standard deviation (n) within treatments, averaged over them, is above
          `noise_cutoff`;
        - ``"replicate_reproducibility"``: the intraclass correlation of replicates is below
          `reproducibility_cutoff`, or is not known.
    rows
        A polars expression that picks the rows to judge on (None: all). Rows in which no feature has a value
        (wells without cells) are never judged on.
    **options
        ``na_cutoff`` (0.05), ``freq_cut`` (0.05), ``unique_cut`` (0.01), ``min_variance`` (1e-6),
        ``correlation`` (0.9), ``outlier_cutoff`` (500), ``blocklist`` (Way 2019), ``noise_cutoff`` (0.8),
        ``reproducibility_cutoff`` (0.1): see above; the defaults are pycytominer's where it has them.
        ``keep``: names or patterns such as ``"Image_Granularity_*"`` that ``drop_nuisance`` lets stay.
        ``replicate_by``: columns that make a treatment, for the last two operations; rows with NULL there are not
        judged on. ``signed_correlation`` (False) and ``greedy_correlation`` (True): |r|, and a feature
        goes only if one that stays represents it; True and False give pycytominer's rule (see
        `redundancy.redundant`).

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
    """Select features, and give for every one why it went or that it stays.

    Parameters
    ----------
    frame, operations, rows, **options
        As in `select_features`.

    Returns
    -------
    WithStatus
        The frame, and one row of `feature_status` a feature (step ``select``, over all plates): ``ok``,
        or ``nuisance``, ``missing_values``, ``constant``, ``low_variance``, ``correlated``, ``blocklisted``,
        ``outlier``, ``noisy``, ``not_reproducible``.
    """
    data = to_polars(frame)
    chosen = checked_options(operations, options)
    features = feature_columns(data)
    judged = data if rows is None else data.filter(rows)
    values = feature_matrix(judged, features)
    profiles = rows_with_values(values)
    if not profiles.all():
        values = values[:, profiles]
    needing = [name for name in operations if name in BY_REPLICATES]
    if needing:
        if not chosen.replicate_by:
            raise UsageError(f"{needing[0]} needs replicate_by, the columns that make a treatment; found none")
        chosen = replace(chosen, codes=_treatments(judged, chosen.replicate_by)[profiles])
    index = np.arange(len(features))
    verdicts: dict[int, StatusRow] = {}
    for name in operations:
        found = OPERATIONS[name](values[index], [features[i] for i in index], chosen)
        verdicts |= {int(index[i]): row for i, row in found.items()}
        index = np.array([i for i in index if i not in verdicts], dtype=np.intp)
    unusable = {row.feature: f"; {row.reason}" for row in not_finite_rows(data, features)}
    status = [
        verdicts.get(i, StatusRow(None, name, "ok", "stays" + unusable.get(name, ""), None))
        for i, name in enumerate(features)
    ]
    kept = [feature for i, feature in enumerate(features) if i not in verdicts]
    frame = missing_as_null(data.drop([features[i] for i in verdicts]), kept)
    return WithStatus(frame, status_frame("select", status))


def checked_options(operations: Sequence[str], options: SelectionOptions) -> Options:
    """Check names of operations and options, and thresholds."""
    if isinstance(operations, str):
        raise UsageError(f"operations must be a list of names; found the text {operations!r}")
    for name in operations:
        if name not in OPERATIONS:
            raise UnknownNameError("feature selection operation", name, OPERATIONS)
    for option in options:
        if option not in SelectionOptions.__annotations__:
            raise UnknownNameError("option of select_features", option, SelectionOptions.__annotations__)
    return Options(**options)


BY_REPLICATES = ("noise_removal", "replicate_reproducibility")


def _treatments(judged: pl.DataFrame, replicate_by: Sequence[str]) -> IntArray:
    codes = Groups.of(judged, replicate_by, null_keys="group").codes
    known = judged.select(pl.all_horizontal(pl.col(name).is_not_null() for name in replicate_by)).to_series()
    return np.where(known.to_numpy(), codes, -1)


Operation: TypeAlias = "Callable[[FloatArray, Sequence[str], Options], dict[int, StatusRow]]"


def _drop_nuisance(values: FloatArray, names: Sequence[str], options: Options) -> dict[int, StatusRow]:
    del values
    return rules.not_phenotypic(names, options)


def _drop_na_columns(values: FloatArray, names: Sequence[str], options: Options) -> dict[int, StatusRow]:
    share = np.isnan(values).mean(axis=1) if values.shape[1] else np.zeros(len(names))
    return rules.missing(share, names, options)


def _min_variance(values: FloatArray, names: Sequence[str], options: Options) -> dict[int, StatusRow]:
    return rules.low_variance(sd(values, ddof=0) ** 2, names, options)


def _correlation(values: FloatArray, names: Sequence[str], options: Options) -> dict[int, StatusRow]:
    return rules.correlated(correlation_matrix(values), names, options, partial(exact_correlations, values))


def _blocklist(values: FloatArray, names: Sequence[str], options: Options) -> dict[int, StatusRow]:
    del values
    return rules.blocked(names, options)


def _drop_outliers(values: FloatArray, names: Sequence[str], options: Options) -> dict[int, StatusRow]:
    if not values.shape[1]:
        return {}
    return rules.outlying(np.fmax.reduce(np.abs(values), axis=1), names, options)


def _noise_removal(values: FloatArray, names: Sequence[str], options: Options) -> dict[int, StatusRow]:
    return rules.noisy(noise_within_groups(values, _codes(options)), names, options)


def _replicate_reproducibility(values: FloatArray, names: Sequence[str], options: Options) -> dict[int, StatusRow]:
    return rules.not_reproducible(intraclass_correlation(values, _codes(options)), names, options)


def _codes(options: Options) -> IntArray:
    return np.empty(0, dtype=np.intp) if options.codes is None else options.codes


OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        "blocklist": _blocklist,
        "correlation_threshold": _correlation,
        "drop_na_columns": _drop_na_columns,
        "drop_nuisance": _drop_nuisance,
        "drop_outliers": _drop_outliers,
        "frequency_threshold": rules.low_frequency,
        "min_variance": _min_variance,
        "noise_removal": _noise_removal,
        "replicate_reproducibility": _replicate_reproducibility,
        "variance_threshold": rules.low_frequency,
    }
)
"""Operations that `select_features` knows by name."""
