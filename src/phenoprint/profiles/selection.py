"""Select features: drop those that are not phenotypes, missing, constant, redundant, outliers or noise.

Rules are applied one after the other, each to the features that the previous rules kept. They use sums over the plates,
computed in passes, so that a screen need not fit into memory. A frame in memory is treated as one plate.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import polars as pl

from phenoprint.errors import SchemaError, UnknownNameError, UsageError
from phenoprint.profiles import selection_rules as rules
from phenoprint.profiles.correlations import CorrelationMoments, ExactCorrelations
from phenoprint.profiles.moments import GroupMoments
from phenoprint.profiles.passes import Wells
from phenoprint.tables import (
    Result,
    StatusRow,
    feature_columns,
    missing_as_null,
    status_frame,
    to_polars,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import FrameLike, IntArray

__all__ = [
    "DEFAULT_OPERATIONS",
    "OPERATIONS",
    "REPLICATE_OPERATIONS",
    "FeatureChoice",
    "check_selection",
    "select_features",
    "select_features_with_status",
    "select_plates",
]

DEFAULT_OPERATIONS = (
    "drop_nuisance",
    "drop_na_columns",
    "variance_threshold",
    "blocklist",
    "drop_outliers",
    "correlation_threshold",
)
"""The fast rules come first, the slow correlation last, when the fewest features are left."""

_HELD_BYTES = 2**30  # memory of one pass; features beyond this limit take further passes
_BLOCK_FEATURES = 256


def select_features(
    frame: FrameLike,
    operations: Sequence[str] = DEFAULT_OPERATIONS,
    *,
    rows: pl.Expr | None = None,
    **options: Any,
) -> pl.DataFrame:
    """Drop features by one operation after the other, each applied to the features that are left.

    Parameters
    ----------
    frame
        Normalized profiles: ``Metadata_*`` columns and features.
    operations
        Names, in order:

        - ``"drop_nuisance"``: not a phenotype (`NUISANCE`), such as columns of images, positions, object numbers;
        - ``"drop_na_columns"``: more than `na_cutoff` of the values are missing;
        - ``"variance_threshold"``, also called ``"frequency_threshold"``: constant; or at least `common_cut` of the
          values are the same and the second most common value is less than `freq_cut` times as common; or the number
          of distinct values is less than `unique_cut` times the number of rows (the rule of the public recipes under
          the first name, with a `common_cut` of 0: ``nearZeroVar`` of Kuhn, J Stat Softw 28:5, 2008);
        - ``"min_variance"``: the variance (n) is `min_variance` or less (``variance_threshold`` of pycytominer since
          1.4);
        - ``"correlation_threshold"``: the absolute correlation with a feature that is kept is above `correlation`;
        - ``"blocklist"``: the feature is in `blocklist`;
        - ``"drop_outliers"``: an absolute value above `outlier_cutoff`;
        - ``"noise_removal"``: the standard deviation (n) within treatments, averaged over them, is above
          `noise_cutoff`;
        - ``"replicate_reproducibility"``: the intraclass correlation of replicates is below
          `reproducibility_cutoff`, or is undefined.
    rows
        A polars expression for the rows that the rules use (None: all). Rows without any value (wells without cells)
        are never used.
    **options
        ``na_cutoff`` (0.05), ``freq_cut`` (0.05), ``unique_cut`` (0.01), ``common_cut`` (0.25: after
        normalization, the median well of every plate has the same value, and so have wells at a limit),
        ``min_variance`` (1e-6), ``correlation`` (0.9), ``outlier_cutoff`` (500), ``blocklist`` (Way 2019),
        ``noise_cutoff`` (0.8), ``reproducibility_cutoff`` (0.1): see above; the defaults are those of pycytominer if it
        has the option.
        ``keep``: names or patterns such as ``"Image_Granularity_*"`` that ``drop_nuisance`` keeps.
        ``replicate_by``: columns that define a treatment, for the last two operations; rows with NULL in them are not
        used. ``signed_correlation`` (False) and ``greedy_correlation`` (True): use |r|, and drop a feature only if a
        kept one represents it; True and False give pycytominer's rule (see `redundancy.redundant`).

    Returns
    -------
    polars.DataFrame
        All rows and metadata, and the kept features in their order, NaN as NULL.

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
    **options: Any,
) -> Result:
    """Select features, and report for each feature why it is dropped or that it is kept.

    Parameters
    ----------
    frame, operations, rows, **options
        As in `select_features`.

    Returns
    -------
    Result
        The frame, and one row of `feature_status` per feature (step ``select``, over all plates): ``ok``,
        or ``nuisance``, ``missing_values``, ``constant``, ``low_variance``, ``correlated``, ``blocklisted``,
        ``outlier``, ``noisy``, ``not_reproducible``.

    Examples
    --------
    >>> wells = pl.DataFrame({"Metadata_W": ["A1", "A2", "A3"], "a": [1.0, 2, 4], "b": [3.0, 3, 3]})
    >>> select_features_with_status(wells, ["variance_threshold"]).status["status"].to_list()
    ['ok', 'constant']
    """
    data = to_polars(frame)
    chosen = select_plates([data], operations, rows=rows, **options)
    return Result(chosen.apply(data), chosen.status)


@dataclass(frozen=True)
class FeatureChoice:
    """The features that are kept, and the reasons why the others are dropped.

    Attributes
    ----------
    kept
        Features in the order of the frames.
    status
        One row of ``feature_status`` per feature.
    n_rows
        Number of profiles that the rules used.
    """

    kept: tuple[str, ...]
    status: pl.DataFrame
    n_rows: int

    def apply(self, frame: FrameLike) -> pl.DataFrame:
        """Keep the metadata and the chosen features of a frame, NaN as NULL.

        Raises
        ------
        SchemaError
            If the frame lacks a chosen feature.
        """
        data = to_polars(frame)
        kept = set(self.kept)
        absent = sorted(kept - set(data.columns))
        if absent:
            raise SchemaError(f"{len(absent)} of {len(kept)} chosen features are absent, first {absent[:5]}")
        return missing_as_null(data.drop([name for name in feature_columns(data) if name not in kept]), self.kept)


def select_plates(
    plates: Sequence[FrameLike],
    operations: Sequence[str] = DEFAULT_OPERATIONS,
    *,
    rows: pl.Expr | None = None,
    sample_rows: int | None = 20_000,
    **options: Any,
) -> FeatureChoice:
    """Select features plate by plate, in one pass for rules on single features and in more for the others.

    Parameters
    ----------
    plates
        One frame per plate, with the same features; iterated over once per pass. Correlations take one pass, and a
        second one if two features are so nearly tied that rounding could decide. ``noise_removal`` and
        ``replicate_reproducibility`` take one pass per gibibyte of count, sum and squares of features by treatments.
    operations
        As in `select_features`, in order.
    rows
        A polars expression for the rows that the rules use.
    sample_rows
        The frequency rule needs the values themselves. With more rows than this on several plates it uses every
        second, fourth, ... row, which the reason then states. None, or one plate: all rows, in one pass per gibibyte
        of values. All other rules always use all rows.
    **options
        As in `select_features`.

    Returns
    -------
    FeatureChoice
        To `apply` to each plate.

    Raises
    ------
    SchemaError
        If plates have different features.
    UsageError
        For no plate, or a missing `replicate_by` that a rule needs.

    Examples
    --------
    >>> plates = [pl.DataFrame({"Metadata_Plate": [p] * 3, "a": [1.0, 2, 4], "b": [-1.0, -2, -4.1]}) for p in "pq"]
    >>> select_plates(plates, ["correlation_threshold"]).kept
    ('a',)
    """
    chosen = check_selection(operations, **options)
    needing = [name for name in operations if name in REPLICATE_OPERATIONS]
    if needing and not chosen.replicate_by:
        raise UsageError(f"{needing[0]} needs replicate_by, the columns that define a treatment; found none")
    wells = Wells(plates, rows, tuple(chosen.replicate_by) if needing else ())
    wells.read_first(sample_rows)
    verdicts: dict[int, StatusRow] = {}
    index = np.arange(len(wells.features))
    for name in operations:
        if not len(index):
            break
        found = OPERATIONS[name](wells, index, chosen)
        verdicts |= {int(index[i]): row for i, row in found.items()}
        index = np.array([i for i in index if i not in verdicts], dtype=np.intp)
    note = {name: f"; {n:g} values were not finite and count as missing" for name, n in wells.not_finite.items()}
    status = [
        verdicts.get(i, StatusRow(None, name, "ok", "kept" + note.get(name, ""), None))
        for i, name in enumerate(wells.features)
    ]
    kept = tuple(name for i, name in enumerate(wells.features) if i not in verdicts)
    return FeatureChoice(kept, status_frame("select", status), wells.moments.n_rows)


def check_selection(operations: Sequence[str] = DEFAULT_OPERATIONS, **options: Any) -> rules.Options:
    """Check the names of operations and options, and the thresholds; return the options."""
    if isinstance(operations, str):
        raise UsageError(f"operations must be a list of names; found the text {operations!r}")
    for name in operations:
        if name not in OPERATIONS:
            raise UnknownNameError("feature selection operation", name, OPERATIONS)
    known = [option.name for option in dataclasses.fields(rules.Options)]
    for name in options:
        if name not in known:
            raise UnknownNameError("option of select_features", name, known)
    return rules.Options(**options)


_Judge: TypeAlias = Callable[[Wells, "IntArray", rules.Options], dict[int, StatusRow]]


def _low_frequency(wells: Wells, index: IntArray, options: rules.Options) -> dict[int, StatusRow]:
    n_rows, step = wells.moments.n_rows, 1
    if wells.sample is None:
        parts = _parts(len(index), 8 * n_rows)
    else:
        parts, step = _parts(len(index), _HELD_BYTES // _BLOCK_FEATURES), wells.sample.step
    verdicts: dict[int, StatusRow] = {}
    for part in parts:
        own = index[part]
        if wells.sample is None:
            values = np.concatenate([block[own] for block in wells.blocks()], axis=1)
        else:
            values = wells.sample.values[own]
        found = rules.low_frequency(values, wells.names(own), options)
        verdicts |= {i + part.start: row for i, row in found.items()}
    if step == 1:
        return verdicts
    note = f" (every {step}th of {n_rows} rows)"
    return {i: row._replace(reason=row.reason + note) for i, row in verdicts.items()}


def _by_replicates(
    wells: Wells, index: IntArray, measure: Callable[[GroupMoments], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Measure features by treatments: as many per pass as its memory allows."""
    n_groups = wells.treatments.height
    out = np.empty(len(index))
    for part in _parts(len(index), 24 * n_groups):
        moments = GroupMoments(wells.moments.mean[index[part]], n_groups)
        for values, keys in wells.with_keys():
            moments.add(values[index[part]], wells.codes(keys))
        out[part] = measure(moments)
    return out


def _correlated(wells: Wells, index: IntArray, options: rules.Options) -> dict[int, StatusRow]:
    """Find redundant features, with a second pass over the plates only if rounding could decide."""
    center, spread = wells.moments.mean[index], np.sqrt(wells.moments.variance[index])
    products = CorrelationMoments(center, spread)
    for values in wells.blocks():
        products.add(values[index])

    def exact(wanted: IntArray) -> NDArray[np.float64]:
        again = ExactCorrelations(center, spread, wanted)
        for values in wells.blocks():
            again.add(values[index])
        return again.result()

    return rules.correlated(products.result(), wells.names(index), options, exact)


def _missing(wells: Wells, index: IntArray, options: rules.Options) -> dict[int, StatusRow]:
    share = 1 - wells.moments.n[index] / max(wells.moments.n_rows, 1)
    return rules.missing(share if wells.moments.n_rows else np.zeros(len(index)), wells.names(index), options)


def _parts(n: int, bytes_each: int) -> Iterator[slice]:
    step = max(1, _HELD_BYTES // max(1, bytes_each))
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


OPERATIONS: Mapping[str, _Judge] = MappingProxyType(
    {
        "blocklist": lambda wells, index, options: rules.blocked(wells.names(index), options),
        "correlation_threshold": _correlated,
        "drop_na_columns": _missing,
        "drop_nuisance": lambda wells, index, options: rules.not_phenotypic(wells.names(index), options),
        "drop_outliers": lambda wells, index, options: rules.outlying(
            wells.moments.largest[index], wells.names(index), options
        ),
        "frequency_threshold": _low_frequency,
        "min_variance": lambda wells, index, options: rules.low_variance(
            wells.moments.variance[index], wells.names(index), options
        ),
        "noise_removal": lambda wells, index, options: rules.noisy(
            _by_replicates(wells, index, GroupMoments.noise), wells.names(index), options
        ),
        "replicate_reproducibility": lambda wells, index, options: rules.not_reproducible(
            _by_replicates(wells, index, GroupMoments.intraclass), wells.names(index), options
        ),
        "variance_threshold": _low_frequency,
    }
)
"""Operations of `select_features`."""

REPLICATE_OPERATIONS = ("noise_removal", "replicate_reproducibility")
"""Those that use the labels of treatments."""
