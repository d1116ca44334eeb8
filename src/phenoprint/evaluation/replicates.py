"""Whether replicates are more alike than random wells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.errors import UsageError
from phenoprint.evaluation.nulls import known, null_counts
from phenoprint.evaluation.random_groups import Design
from phenoprint.evaluation.similarities import Vectors, to_vectors
from phenoprint.tables import Groups, require_columns, to_polars

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import FrameLike

__all__ = ["ReplicateReproducibility", "replicate_reproducibility"]

_HASHED_ROWS = 2048


@dataclass(frozen=True, repr=False)
class ReplicateReproducibility:
    """Outcome of `replicate_reproducibility`; its text form is one line.

    Attributes
    ----------
    fraction
        Share of the treatments with replicates that are reproducible; NaN where there is none.
    n_groups
        Treatments with at least two usable replicates and a null.
    groups
        One row per treatment: the keys, ``n_replicates``, ``median_similarity`` (over its pairs), ``threshold``
        (the quantile of the null of its size), ``p_value`` (share of the null, with the score itself, at or
        above it), ``is_reproducible``; NULL with fewer than two replicates.
    null
        The null distributions: ``n_replicates`` and ``median_similarity``, `null_size` rows per number of replicates.
    n_null
        Rows left out since a column of `replicate_by` is NULL.
    replicate_by, quantile, metric, null_size
        The arguments.
    n_features
        Features used.
    """

    fraction: float
    n_groups: int
    groups: pl.DataFrame
    null: pl.DataFrame
    n_null: int
    replicate_by: tuple[str, ...]
    quantile: float
    metric: str
    null_size: int
    n_features: int

    def __repr__(self) -> str:
        """Write score, number and chance on one line."""
        left = f"; {self.n_null} rows without {' or '.join(self.replicate_by)} left out" if self.n_null else ""
        return (
            f"replicate_reproducibility({', '.join(self.replicate_by)}) = {self.fraction:.3f}, "
            f"n = {self.n_groups} of {self.groups.height}; chance {1 - self.quantile:.3f}; "
            f"{self.metric}, {self.n_features} features{left}"
        )


def replicate_reproducibility(
    frame: FrameLike,
    replicate_by: Sequence[str],
    quantile: float = 0.95,
    *,
    pos_diffby: Sequence[str] = (),
    null_sameby: Sequence[str] = (),
    null_diffby: Sequence[str] = (),
    metric: str = "pearson",
    null_size: int = 1000,
    missing: str = "impute",
    seed: int = 0,
    vectors: Callable[[pl.DataFrame], Vectors] | None = None,
) -> ReplicateReproducibility:
    """Count the treatments whose replicates are more alike than wells of different treatments.

    Known as percent replicating (Way et al., Cell Systems 13:911, 2022).

    Parameters
    ----------
    frame
        Well profiles.
    replicate_by
        Columns that make a treatment. A row with NULL in one of them has no replicates and is left out; `n_null`
        counts them.
    quantile
        Quantile of the null that the median similarity of a treatment's pairs must exceed.
    pos_diffby
        Columns in which the two wells of a pair differ, such as the well position; others are no pair.
    null_sameby
        Columns in which the wells of random groups agree with those of the treatment, one by one: such as the plate, so
        that random groups lie on the same plates. With more than 50 different combinations, combinations of the same
        form (such as one well on each of four plates) share their random groups.
    null_diffby
        Columns in which the wells of a random group differ among each other, beside the treatment.
    metric
        ``"pearson"`` (also ``"correlation"``), ``"cosine"`` or ``"euclidean"``.
    null_size
        Random sets of wells drawn for each number of replicates.
    missing
        ``"impute"`` or ``"error"`` for missing values; see `to_vectors`.
    seed
        Seed of the draws.
    vectors
        Makes the vectors of the profiles, for a frame that holds their metadata only; None: `to_vectors`, from the
        features of the frame.

    Returns
    -------
    ReplicateReproducibility
        The share, and one row per treatment in ``groups``.

    Raises
    ------
    UnknownNameError
        For an absent column or an unknown metric.
    UsageError
        For a quantile outside 0 to 1, no column in `replicate_by`, or no row with a value in all of them.

    Notes
    -----
    The null is matched in size: for treatments with m replicates it is the median over the same pairs of m wells
    of m different treatments, so that treatments with few replicates are not favoured by the wider spread of their
    medians. The draw depends on the values of the wells and not on the order of the rows. Treatments with more
    replicates than there are treatments have no null and no verdict.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> effects = np.repeat(rng.normal(size=(5, 20)), 3, axis=0)
    >>> wells = pl.DataFrame(effects + 0.1 * rng.normal(size=(15, 20))).with_columns(
    ...     Metadata_compound=pl.Series([f"c{i // 3}" for i in range(15)])
    ... )
    >>> replicate_reproducibility(wells, ["Metadata_compound"]).fraction
    1.0
    """
    if not 0 <= quantile <= 1:
        raise UsageError(f"quantile must lie between 0 and 1; found {quantile}")
    data = to_polars(frame)
    require_columns(data, replicate_by, purpose="replicates")
    require_columns(data, [*pos_diffby, *null_sameby, *null_diffby], purpose="pairs of replicates and random groups")
    if not replicate_by:
        raise UsageError("replicate_by needs at least one column that makes a treatment; found none")
    whole, data = data, known(data, [*replicate_by, *pos_diffby, *null_sameby, *null_diffby])
    if whole.height and not data.height:
        raise UsageError(f"no row names a treatment: {null_counts(whole, replicate_by)}")
    groups = Groups.of(data, replicate_by)
    made = to_vectors(data, metric, missing=missing) if vectors is None else vectors(data)
    place = np.full(data.height, -1, dtype=np.intp)
    place[made.rows] = np.arange(len(made.rows))
    marks = _marks(made)
    members = [_in_fixed_order(place[rows][place[rows] >= 0], marks) for rows in groups.rows()]
    sizes = np.array([len(rows) for rows in members], dtype=np.intp)
    design = Design.of(data[made.rows], members, pos_diffby, null_sameby, null_diffby)
    scores = np.array(
        [
            _median_similarity(made, rows[None, :], form.pairs)[0]
            for rows, form in zip(members, design.forms, strict=True)
        ]
    )
    nulls: dict[object, NDArray[np.float64]] = {}
    for key in design.keys:
        groups_drawn = design.random_groups(key, null_size=null_size, seed=seed)
        if groups_drawn is not None:
            nulls[key] = _in_steps(made, groups_drawn, design.pairs_of(key))
    keys = [form.key for form in design.forms]
    threshold = np.array([np.quantile(nulls[key], quantile) if key in nulls else np.nan for key in keys])
    threshold[np.isnan(scores)] = np.nan
    p_values = [
        (1 + int((nulls[key] >= score).sum())) / (1 + null_size) if key in nulls and not np.isnan(score) else None
        for key, score in zip(keys, scores, strict=True)
    ]
    judged = ~np.isnan(threshold)
    table = groups.keys.with_columns(
        pl.Series("n_replicates", sizes, dtype=pl.Int64),
        pl.Series("median_similarity", scores, dtype=pl.Float64, nan_to_null=True),
        pl.Series("threshold", threshold, dtype=pl.Float64, nan_to_null=True),
        pl.Series("p_value", p_values, dtype=pl.Float64),
    ).with_columns((pl.col("median_similarity") > pl.col("threshold")).alias("is_reproducible"))
    return ReplicateReproducibility(
        fraction=float((scores > threshold)[judged].mean()) if judged.any() else float("nan"),
        n_groups=int(judged.sum()),
        groups=table,
        null=_null_table(design, nulls),
        n_null=whole.height - data.height,
        replicate_by=tuple(replicate_by),
        quantile=quantile,
        metric=made.metric,
        null_size=null_size,
        n_features=len(made.features),
    )


def _marks(vectors: Vectors) -> NDArray[np.uint64]:
    """Hash the values of each well to a number, shape (usable rows,)."""
    values = vectors.values
    odd = np.random.default_rng(0).integers(0, 2**63, values.shape[1], dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    marks = np.empty(len(values), dtype=np.uint64)
    for start in range(0, len(values), _HASHED_ROWS):
        bits = (values[start : start + _HASHED_ROWS] + np.float32(0)).view(np.uint32)
        marks[start : start + _HASHED_ROWS] = (bits * odd).sum(axis=1, dtype=np.uint64)  # wraps around
    return marks


def _in_fixed_order(rows: NDArray[np.intp], marks: NDArray[np.uint64]) -> NDArray[np.intp]:
    return rows[np.argsort(marks[rows], kind="stable")]


def _null_table(design: Design, nulls: dict[object, NDArray[np.float64]]) -> pl.DataFrame:
    """Random groups of each size, as many of each where several kinds of groups have it."""
    by_size: dict[int, list[NDArray[np.float64]]] = {}
    for key, null in nulls.items():
        by_size.setdefault(design.size_of(key), []).append(null)
    thinned = {size: np.sort(np.concatenate(own))[:: len(own)] for size, own in sorted(by_size.items())}
    return pl.DataFrame(
        {
            "n_replicates": np.repeat(np.array(list(thinned), np.int64), [len(own) for own in thinned.values()]),
            "median_similarity": np.concatenate([*thinned.values(), np.empty(0)]),
        }
    )


def _median_similarity(
    vectors: Vectors, sets: NDArray[np.intp], pairs: tuple[NDArray[np.intp], NDArray[np.intp]]
) -> NDArray[np.float64]:
    """Median similarity over some pairs of each set of rows: shape (sets, m) to (sets,); NaN without a pair."""
    if not len(pairs[0]):
        return np.full(len(sets), np.nan)
    chosen = vectors.values[sets]  # (sets, m, features)
    products = (chosen @ chosen.transpose(0, 2, 1)).astype(np.float64)
    if vectors.metric == "euclidean":
        squares = np.diagonal(products, axis1=1, axis2=2)
        distance = np.sqrt(np.maximum(squares[:, :, None] + squares[:, None, :] - 2 * products, 0))
        products = 1 / (1 + distance)
    return np.asarray(np.median(products[:, pairs[0], pairs[1]], axis=1), dtype=np.float64)


def _in_steps(
    vectors: Vectors, sets: NDArray[np.intp], pairs: tuple[NDArray[np.intp], NDArray[np.intp]]
) -> NDArray[np.float64]:
    step = max(1, 2**24 // max(1, sets.shape[1] * vectors.values.shape[1]))
    return np.concatenate([_median_similarity(vectors, sets[i : i + step], pairs) for i in range(0, len(sets), step)])
