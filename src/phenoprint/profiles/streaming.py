"""Normalize, select and make consensus profiles of screens that do not fit into memory, plate by plate.

Every function reads an iterable of frames, a plate (or a few) at a time, and holds statistics, never profiles::

    fitted = fit_plates(read(), reference=controls)
    chosen = select_plates(lambda: map(fitted.apply, read()))
    counts = count_rows(read(), ["Metadata_compound"])
    selected = map(chosen.apply, map(fitted.apply, read()))
    profiles = consensus_plates(selected, ["Metadata_compound"], counts=counts)

where ``read()`` starts over at the first plate, such as ``pl.read_parquet(path) for path in paths``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import polars as pl

from phenoprint.errors import SchemaError, UsageError
from phenoprint.profiles import selection_rules as rules
from phenoprint.profiles.aggregation import consensus
from phenoprint.profiles.correlations import CorrelationMoments
from phenoprint.profiles.fitted import FittedNormalization, fit_values
from phenoprint.profiles.frames import (
    feature_columns,
    feature_matrix,
    feature_series,
    metadata_columns,
    require_columns,
    to_polars,
)
from phenoprint.profiles.normalization_status import status_table
from phenoprint.profiles.normalizers import Fit, Normalizer
from phenoprint.profiles.registry import normalizer
from phenoprint.profiles.replicatestore import ReplicateStore
from phenoprint.profiles.running import RunningMoments, RunningSample
from phenoprint.profiles.selection import DEFAULT_OPERATIONS, checked_options
from phenoprint.profiles.selection_rules import SelectionOptions
from phenoprint.profiles.status import StatusRow, concat_status, status_frame

if TYPE_CHECKING:
    from phenoprint.profiles.frames import FrameLike, IntArray

__all__ = ["FeatureChoice", "consensus_plates", "count_rows", "fit_plates", "select_plates"]

STREAMED_OPERATIONS = (
    "blocklist",
    "correlation_threshold",
    "drop_na_columns",
    "drop_outliers",
    "frequency_threshold",
    "min_variance",
    "variance_threshold",
)
"""Operations of `select_features` that `select_plates` knows."""


def fit_plates(
    plates: Iterable[FrameLike],
    method: str | Normalizer = "mad_robust",
    by: Sequence[str] = ("Metadata_Plate",),
    *,
    reference: pl.Expr | None = None,
    min_reference: int = 3,
    **parameters: object,
) -> FittedNormalization:
    """Fit a normalization plate by plate.

    Parameters
    ----------
    plates
        Frames; a group must lie within one frame.
    method, by, reference, min_reference, **parameters
        As in `normalize`; methods that look at features together (sphering, TVN) are fitted with `fit_normalization`
        on the control wells of all plates.

    Returns
    -------
    FittedNormalization
        The same as over all plates at once, to `apply` to each plate. Its status holds only rows that are not ``ok``.
        A feature that a plate lacks is ``all_null`` there.

    Raises
    ------
    UsageError
        For a joint method, a group in two frames, or no plate at all.
    """
    how = normalizer(method, **parameters)
    if how.is_joint:
        raise UsageError(f"{how.name} is fitted on the control wells of all plates together: use fit_normalization")
    parts = []
    for plate in plates:
        part, _, _ = fit_values(to_polars(plate), how, by, reference, min_reference, pool=False)
        parts.append((part.features, part.keys, part.fits, part.n_reference))
    if not parts:
        raise UsageError("expected at least one plate; found none")
    features = list(dict.fromkeys(name for names, *_ in parts for name in names))
    keys = pl.concat([keys for _, keys, _, _ in parts], how="vertical_relaxed")
    if keys.width and keys.is_duplicated().any():
        again = keys.filter(keys.is_duplicated()).rows()[:3]
        raise UsageError(f"a group must lie within one frame; found {again} in several")
    place = {name: i for i, name in enumerate(features)}
    fits = [
        fit if list(names) == features else _spread(fit, [place[name] for name in names], len(features))
        for names, _, fitted, _ in parts
        for fit in fitted
    ]
    found = [n for *_, counts in parts for n in counts]
    fits = how.pool(fits)
    bad = []
    for number, (fit, n) in enumerate(zip(fits, found, strict=True)):
        rows = status_table(features, keys[number : number + 1], [fit], how, found=[n], min_reference=min_reference)
        bad.append(rows.filter(pl.col("status") != "ok"))
    return FittedNormalization(
        normalizer=how,
        by=tuple(by),
        keys=keys,
        features=tuple(features),
        fits=tuple(fits),
        n_reference=tuple(found),
        status=concat_status(bad),
    )


def _spread(fit: Fit, place: Sequence[int], width: int) -> Fit:
    """Put a fit of some features among all of them; those it lacks have no value."""
    if type(fit) is not Fit:
        raise SchemaError("plates with differing features need a normalization by centre and scale, not by ranks")

    def wide(values: Any, fill: float) -> Any:
        if values is None:
            return None
        out = np.full(width, fill)
        out[list(place)] = values
        return out

    return Fit(
        wide(fit.center, np.nan),
        wide(fit.scale, np.nan),
        wide(fit.spread, np.nan),
        wide(fit.n, 0.0),
        wide(fit.least, np.nan),
    )


@dataclass(frozen=True)
class FeatureChoice:
    """Which features stay, and why the others go.

    Attributes
    ----------
    kept
        In the frames' order.
    status
        One row of ``feature_status`` a feature.
    n_rows
        Profiles that were judged on.
    """

    kept: tuple[str, ...]
    status: pl.DataFrame
    n_rows: int

    def apply(self, frame: FrameLike) -> pl.DataFrame:
        """Keep the metadata and the chosen features of a frame, NaN as NULL."""
        data = to_polars(frame)
        there = set(data.columns)  # built anew at each access: not in the loop
        absent = [name for name in self.kept if name not in there]
        if absent:
            raise SchemaError(f"{len(absent)} of {len(self.kept)} chosen features are absent, first {absent[:5]}")
        # Copied: columns cut from a plate's matrix would keep all of it in memory.
        columns = feature_series(self.kept, feature_matrix(data, self.kept))
        return data.select(metadata_columns(data)).with_columns(columns)


def select_plates(
    plates: Callable[[], Iterable[FrameLike]],
    operations: Sequence[str] = DEFAULT_OPERATIONS,
    *,
    rows: pl.Expr | None = None,
    sample_rows: int = 20_000,
    **options: Unpack[SelectionOptions],
) -> FeatureChoice:
    """Select features plate by plate: one pass for what is told feature by feature, one for correlations.

    Parameters
    ----------
    plates
        Called twice; each time all plates again, with the same features.
    operations
        As in `select_features`, in order, but for noise_removal and replicate_reproducibility; correlation_threshold
        last.
    rows
        A polars expression that picks the rows to judge on.
    sample_rows
        The frequency rule counts distinct values, which needs the values: up to this many rows it sees them all, above
        every second, fourth, ... row. Shares of missing values, largest values, variances and correlations are exact.
    **options
        As in `select_features`.

    Returns
    -------
    FeatureChoice
        To `apply` to each plate.

    Raises
    ------
    UsageError
        For an operation that needs all rows at once, or correlation before others.
    """
    chosen = checked_options(operations, options)
    unknown = [name for name in operations if name not in STREAMED_OPERATIONS]
    if unknown:
        raise UsageError(f"{unknown[0]} needs all rows at once; plate by plate there are {list(STREAMED_OPERATIONS)}")
    if "correlation_threshold" in operations[:-1]:
        raise UsageError("correlation_threshold must come last plate by plate")
    features: list[str] = []
    moments: RunningMoments | None = None
    sample = RunningSample(sample_rows)
    for plate in plates():
        values, names = _values(plate, rows, features)
        if moments is None:
            features, moments = names, RunningMoments(len(names))
        moments.add(values)
        sample.add(values)
    if moments is None:
        raise UsageError("expected at least one plate; found none")
    verdicts: dict[int, StatusRow] = {}
    index = np.arange(len(features))
    for name in operations:
        if not len(index):
            break
        names = [features[i] for i in index]
        if name == "correlation_threshold":
            products = CorrelationMoments(moments.mean[index], np.sqrt(moments.variance[index]))
            for plate in plates():
                products.add(_values(plate, rows, features)[0][index])
            found = rules.correlated(products.result(), names, chosen)
        else:
            found = _judge(name, names, index, moments=moments, sample=sample, options=chosen)
        verdicts |= {int(index[i]): row for i, row in found.items()}
        index = np.array([i for i in index if i not in verdicts], dtype=np.intp)
    status = [verdicts.get(i, StatusRow(None, feature, "ok", "stays", None)) for i, feature in enumerate(features)]
    kept = tuple(feature for i, feature in enumerate(features) if i not in verdicts)
    return FeatureChoice(kept, status_frame("select", status), moments.n_rows)


def _judge(
    name: str,
    names: Sequence[str],
    index: IntArray,
    *,
    moments: RunningMoments,
    sample: RunningSample,
    options: rules.Options,
) -> dict[int, StatusRow]:
    """Apply one rule to the features left, from what the pass over the plates gathered."""
    if name == "drop_na_columns":
        return rules.missing(1 - moments.n[index] / max(moments.n_rows, 1), names, options)
    if name == "drop_outliers":
        return rules.outlying(moments.largest[index], names, options)
    if name == "min_variance":
        return rules.low_variance(moments.variance[index], names, options)
    if name == "blocklist":
        return rules.blocked(names, options)
    return rules.low_frequency(sample.values[index], names, options)


def _values(plate: FrameLike, rows: pl.Expr | None, expected: Sequence[str]) -> tuple[Any, list[str]]:
    data = to_polars(plate)
    data = data if rows is None else data.filter(rows)
    names = feature_columns(data)
    if expected and names != list(expected):
        absent = sorted(set(expected) - set(names))
        if absent or len(names) != len(expected):
            raise SchemaError(
                f"plates must have the same features; one lacks {absent[:5] or 'none'} and has {len(names)} of "
                f"{len(expected)}. Normalize with fit_plates, which fills what a plate lacks with NULL"
            )
        names = list(expected)
    values = feature_matrix(data, names)
    there = ~np.isnan(values).all(axis=0) if names else np.ones(values.shape[1], dtype=bool)
    return (values if there.all() else values[:, there]), names


def count_rows(plates: Iterable[FrameLike], by: Sequence[str]) -> pl.DataFrame:
    """Count the rows of each group over all plates: the keys and ``n``; rows with NULL keys are left out."""
    parts = []
    for plate in plates:
        data = plate if isinstance(plate, pl.LazyFrame) else to_polars(plate)
        counted = data.select(list(by)).drop_nulls().group_by(list(by)).len("n")
        parts.append(counted.collect() if isinstance(counted, pl.LazyFrame) else counted)
    if not parts:
        raise UsageError("expected at least one plate; found none")
    return pl.concat(parts).group_by(list(by)).agg(pl.col("n").sum()).sort(list(by))


def consensus_plates(
    plates: Iterable[FrameLike],
    by: Sequence[str],
    statistic: str = "median",
    *,
    counts: pl.DataFrame,
    flush_rows: int = 50_000,
    **options: Any,
) -> pl.DataFrame:
    """Make consensus profiles plate by plate.

    Parameters
    ----------
    plates
        Frames of profiles with the same columns.
    by
        Columns that make a treatment; rows with NULL there are left out.
    statistic, **options
        As in `consensus`.
    counts
        From `count_rows`: a treatment is finished, and its wells forgotten, as soon as all of them were seen, so that
        only treatments whose replicates are still to come are held.
    flush_rows
        Wells that come in before finished treatments are looked for, and wells of a part that is made into
        consensus profiles at once.

    Returns
    -------
    polars.DataFrame
        As `consensus` of all plates at once, but with those metadata only that are constant in every treatment of
        every part.

    Raises
    ------
    UsageError
        Where plates hold fewer or more wells of a treatment than `counts` says.
    """
    require_columns(counts, [*by, "n"], purpose="counts of replicates")
    store = ReplicateStore(by, counts)
    done: list[pl.DataFrame] = []
    since = 0
    for plate in plates:
        since += store.add(to_polars(plate))
        if since >= flush_rows:
            done += [consensus(part, by, statistic, **options) for part in store.take_finished(flush_rows)]
            since = 0
    done += [consensus(part, by, statistic, **options) for part in store.take_finished(flush_rows)]
    store.require_empty()
    if not done:
        raise UsageError("expected at least one plate with a treatment; found none")
    common = set.intersection(*(set(part.columns) for part in done))
    shared = [name for name in done[0].columns if name in common]
    return pl.concat([part.select(shared) for part in done], how="vertical_relaxed").sort(list(by))
