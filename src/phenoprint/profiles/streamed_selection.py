"""Select features of screens that do not fit into memory: every rule from passes over the plates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Unpack

import numpy as np
import polars as pl

from phenoprint.errors import SchemaError, UsageError
from phenoprint.profiles import selection_rules as rules
from phenoprint.profiles.correlations import CorrelationMoments, ExactCorrelations
from phenoprint.profiles.replicate_features import GroupMoments
from phenoprint.profiles.running import RunningMoments, RunningSample
from phenoprint.profiles.selection import BY_REPLICATES, DEFAULT_OPERATIONS, checked_options
from phenoprint.profiles.selection_rules import SelectionOptions
from phenoprint.tables import (
    StatusRow,
    feature_columns,
    feature_matrix,
    feature_series,
    metadata_columns,
    not_finite_rows,
    require_columns,
    rows_with_values,
    status_frame,
    to_polars,
    with_series,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import FloatArray, FrameLike, IntArray

__all__ = ["FeatureChoice", "select_plates"]

_HELD_BYTES = 2**30  # what a pass may hold; more features than that allows take further passes


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
        return with_series(data[metadata_columns(data)], columns)


def select_plates(
    plates: Callable[[], Iterable[FrameLike]],
    operations: Sequence[str] = DEFAULT_OPERATIONS,
    *,
    rows: pl.Expr | None = None,
    sample_rows: int | None = 20_000,
    **options: Unpack[SelectionOptions],
) -> FeatureChoice:
    """Select features plate by plate: one pass for what is known feature by feature, more for what is not.

    Parameters
    ----------
    plates
        Called once a pass; each time all plates again, with the same features. Correlations take a pass, and another
        where two features are so nearly tied that rounding could decide; noise_removal and replicate_reproducibility
        one for each gibibyte that count, sum and squares of features by treatments fill.
    operations
        As in `select_features`, in order; correlation_threshold last.
    rows
        A polars expression that picks the rows to judge on.
    sample_rows
        The frequency rule counts how often values occur, and no bounded summary of a continuous feature holds that
        exactly. Up to this many rows it sees them all, above every second, fourth, ... row, which the reason then
        says. None: all rows whatever their number, in a pass for each gibibyte of values. Everything else is exact.
    **options
        As in `select_features`.

    Returns
    -------
    FeatureChoice
        To `apply` to each plate.

    Raises
    ------
    SchemaError
        Where a plate lacks a feature that the first has.
    UsageError
        For correlation before others, or no plate.
    """
    chosen = checked_options(operations, options)
    if "correlation_threshold" in operations[:-1]:
        raise UsageError("correlation_threshold must come last plate by plate: each pass judges what the others left")
    needing = [name for name in operations if name in BY_REPLICATES]
    if needing and not chosen.replicate_by:
        raise UsageError(f"{needing[0]} needs replicate_by, the columns that make a treatment; found none")
    screen = _Screen(plates, rows, tuple(chosen.replicate_by) if needing else ())
    moments, sample = _first_pass(screen, sample_rows)
    verdicts: dict[int, StatusRow] = {}
    index = np.arange(len(screen.features))
    for name in operations:
        if not len(index):
            break
        names = [screen.features[i] for i in index]
        if name == "correlation_threshold":
            found = _correlated(screen, names, index, moments, chosen)
        elif name in BY_REPLICATES:
            measure = GroupMoments.noise if name == "noise_removal" else GroupMoments.intraclass
            judge = rules.noisy if name == "noise_removal" else rules.not_reproducible
            found = judge(_by_replicates(screen, index, moments, measure), names, chosen)
        elif name in ("variance_threshold", "frequency_threshold"):
            found = _by_frequency(screen, names, index, sample=sample, options=chosen)
        else:
            found = _judge(name, names, index, moments=moments, options=chosen)
        verdicts |= {int(index[i]): row for i, row in found.items()}
        index = np.array([i for i in index if i not in verdicts], dtype=np.intp)
    note = {name: f"; {n:g} values were no numbers and taken as missing" for name, n in screen.not_finite.items()}
    status = [
        verdicts.get(i, StatusRow(None, name, "ok", "stays" + note.get(name, ""), None))
        for i, name in enumerate(screen.features)
    ]
    kept = tuple(name for i, name in enumerate(screen.features) if i not in verdicts)
    return FeatureChoice(kept, status_frame("select", status), moments.n_rows)


@dataclass
class _Screen:
    """The plates as matrices; the first pass learns the features, and the treatments where they are asked for."""

    plates: Callable[[], Iterable[FrameLike]]
    rows: pl.Expr | None
    by: tuple[str, ...]
    features: list[str] = field(default_factory=list)
    treatments: pl.DataFrame | None = None
    not_finite: dict[str, float] = field(default_factory=dict)
    n_rows: int = 0

    def blocks(self) -> Iterator[FloatArray]:
        """Yield every plate's values, shape (features, rows)."""
        return (values for values, _ in self.judged())

    def judged(self) -> Iterator[tuple[FloatArray, pl.DataFrame]]:
        """Yield every plate's values, and the columns that make a treatment, of the rows to judge on."""
        for plate in self.plates():
            data = to_polars(plate)
            data = data if self.rows is None else data.filter(self.rows)
            require_columns(data, self.by, purpose="replicates")
            values = feature_matrix(data, self._names(data))
            if not self.n_rows:  # the first pass
                for row in not_finite_rows(data, self.features, values):
                    self.not_finite[row.feature] = self.not_finite.get(row.feature, 0) + (row.value or 0)
            there = rows_with_values(values)
            keys = data.select(self.by)
            if not there.all():
                values, keys = values[:, there], keys.filter(there) if self.by else keys
            yield values, keys

    def codes(self, keys: pl.DataFrame) -> IntArray:
        """Give each row the number of its treatment, -1 where a key is NULL."""
        if self.treatments is None:
            return np.full(keys.height, -1, dtype=np.intp)
        numbered = self.treatments.with_row_index("number of the treatment")
        joined = keys.with_row_index("row").join(numbered, on=list(self.by), how="left").sort("row")
        number = joined.get_column("number of the treatment").cast(pl.Int64).fill_null(-1)
        return number.to_numpy().astype(np.intp)

    def _names(self, data: pl.DataFrame) -> list[str]:
        names = feature_columns(data)
        if self.features and names != self.features:
            absent = sorted(set(self.features) - set(names))
            if absent or len(names) != len(self.features):
                raise SchemaError(
                    f"plates must have the same features; one lacks {absent[:5] or 'none'} and has {len(names)} of "
                    f"{len(self.features)}. Normalize with fit_plates, which fills what a plate lacks with NULL"
                )
            return self.features
        self.features = names
        return names


def _first_pass(screen: _Screen, sample_rows: int | None) -> tuple[RunningMoments, RunningSample | None]:
    moments: RunningMoments | None = None
    sample = None if sample_rows is None else RunningSample(sample_rows)
    keys: list[pl.DataFrame] = []
    for values, own in screen.judged():
        moments = moments or RunningMoments(len(values))
        moments.add(values)
        if sample is not None:
            sample.add(values)
        if screen.by:
            keys.append(own.drop_nulls().unique())
    if moments is None:
        raise UsageError("expected at least one plate; found none")
    screen.n_rows = moments.n_rows
    if keys:
        screen.treatments = pl.concat(keys, how="vertical_relaxed").unique().sort(list(screen.by))
    return moments, sample


def _judge(
    name: str, names: Sequence[str], index: IntArray, *, moments: RunningMoments, options: rules.Options
) -> dict[int, StatusRow]:
    """Apply one rule to the features left, from what the first pass gathered."""
    if name == "drop_nuisance":
        return rules.not_phenotypic(names, options)
    if name == "drop_na_columns":
        return rules.missing(1 - moments.n[index] / max(moments.n_rows, 1), names, options)
    if name == "drop_outliers":
        return rules.outlying(moments.largest[index], names, options)
    if name == "min_variance":
        return rules.low_variance(moments.variance[index], names, options)
    return rules.blocked(names, options)


def _by_frequency(
    screen: _Screen,
    names: Sequence[str],
    index: IntArray,
    *,
    sample: RunningSample | None,
    options: rules.Options,
) -> dict[int, StatusRow]:
    if sample is not None:
        found = rules.low_frequency(sample.values[index], names, options)
        if sample.step == 1:
            return found
        note = f" (every {sample.step}th of {screen.n_rows} rows)"
        return {i: row._replace(reason=row.reason + note) for i, row in found.items()}
    verdicts: dict[int, StatusRow] = {}
    for part in _parts(len(index), 8 * screen.n_rows):
        values = np.concatenate([block[index[part]] for block in screen.blocks()], axis=1)
        own = rules.low_frequency(values, names[part], options)
        verdicts |= {i + part.start: row for i, row in own.items()}
    return verdicts


def _by_replicates(
    screen: _Screen, index: IntArray, moments: RunningMoments, measure: Callable[[GroupMoments], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Measure the features left by treatments: as many at a time as a pass may hold."""
    n_groups = 0 if screen.treatments is None else screen.treatments.height
    out = np.empty(len(index))
    for part in _parts(len(index), 24 * n_groups):
        gathered = GroupMoments(moments.mean[index[part]], n_groups)
        for values, keys in screen.judged():
            gathered.add(values[index[part]], screen.codes(keys))
        out[part] = measure(gathered)
    return out


def _parts(n: int, bytes_each: int) -> Iterator[slice]:
    step = max(1, _HELD_BYTES // max(1, bytes_each))
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


def _correlated(
    screen: _Screen, names: Sequence[str], index: IntArray, moments: RunningMoments, options: rules.Options
) -> dict[int, StatusRow]:
    """Find redundant features; another pass over the plates only where rounding could decide."""
    center, spread = moments.mean[index], np.sqrt(moments.variance[index])
    products = CorrelationMoments(center, spread)
    for values in screen.blocks():
        products.add(values[index])

    def exact(wanted: IntArray) -> NDArray[np.float64]:
        again = ExactCorrelations(center, spread, wanted)
        for values in screen.blocks():
            again.add(values[index])
        return again.result()

    return rules.correlated(products.result(), names, options, exact)
