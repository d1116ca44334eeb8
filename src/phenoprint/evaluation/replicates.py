"""Whether replicates are more alike than random wells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.errors import UsageError
from phenoprint.evaluation.nulls import known, null_counts
from phenoprint.evaluation.similarities import Vectors, to_vectors
from phenoprint.tables import Groups, require_columns, to_polars

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import FrameLike

__all__ = ["ReplicateReproducibility", "replicate_reproducibility"]

_HASHED_ROWS = 2048
_KEYS = 2**21  # random numbers held at once


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
    The null is matched in size: for treatments with m replicates it is the median over the pairs of m wells
    of m different treatments, drawn without replacement, so that treatments with few replicates are not
    favoured by the wider spread of their medians. The draw depends on the values of the wells and not on the order of
    the rows. Treatments with more replicates than there are treatments have no null and no verdict.

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
    if not replicate_by:
        raise UsageError("replicate_by needs at least one column that makes a treatment; found none")
    whole, data = data, known(data, replicate_by)
    if whole.height and not data.height:
        raise UsageError(f"no row names a treatment: {null_counts(whole, replicate_by)}")
    groups = Groups.of(data, replicate_by)
    made = to_vectors(data, metric, missing=missing) if vectors is None else vectors(data)
    place = np.full(data.height, -1, dtype=np.intp)
    place[made.rows] = np.arange(len(made.rows))
    marks = _marks(made)
    members = [_in_fixed_order(place[rows][place[rows] >= 0], marks) for rows in groups.rows()]
    scores = np.array([_median_similarity(made, rows[None, :])[0] for rows in members])
    sizes = np.array([len(rows) for rows in members], dtype=np.intp)
    filled = [rows for rows in members if len(rows)]
    nulls = {
        int(size): _null(made, filled, int(size), null_size=null_size, seed=seed)
        for size in np.unique(sizes)
        if 2 <= size <= len(filled)
    }
    threshold = np.array([np.quantile(nulls[m], quantile) if m in nulls else np.nan for m in sizes.tolist()])
    p_values = [
        (1 + int((nulls[m] >= score).sum())) / (1 + null_size) if m in nulls else None
        for m, score in zip(sizes.tolist(), scores, strict=True)
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
        null=pl.DataFrame(
            {
                "n_replicates": np.repeat(np.array(list(nulls), dtype=np.int64), null_size),
                "median_similarity": np.concatenate([*nulls.values(), np.empty(0)]),
            }
        ),
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


def _median_similarity(vectors: Vectors, sets: NDArray[np.intp]) -> NDArray[np.float64]:
    """Median similarity over the pairs of each set of rows: shape (sets, m) to (sets,); NaN for m below 2."""
    m = sets.shape[1]
    if m < 2:
        return np.full(len(sets), np.nan)
    upper = np.triu_indices(m, 1)
    chosen = vectors.values[sets]  # (sets, m, features)
    products = (chosen @ chosen.transpose(0, 2, 1)).astype(np.float64)
    if vectors.metric == "euclidean":
        squares = np.diagonal(products, axis1=1, axis2=2)
        distance = np.sqrt(np.maximum(squares[:, :, None] + squares[:, None, :] - 2 * products, 0))
        products = 1 / (1 + distance)
    return np.asarray(np.median(products[:, upper[0], upper[1]], axis=1), dtype=np.float64)


def _null(
    vectors: Vectors, members: list[NDArray[np.intp]], size: int, *, null_size: int, seed: int
) -> NDArray[np.float64]:
    """Median similarities of random sets of `size` wells of different treatments."""
    rng = np.random.default_rng([seed, size])
    lengths = np.array([len(rows) for rows in members])
    starts = np.cumsum(lengths) - lengths
    pool = np.concatenate(members)
    some = max(1, _KEYS // len(members))
    counts = [min(some, null_size - start) for start in range(0, null_size, some)]
    treatments = np.concatenate([np.argsort(rng.random((n, len(members))), axis=1)[:, :size] for n in counts])
    wells = pool[starts[treatments] + rng.integers(0, lengths[treatments])]
    step = max(1, 2**24 // max(1, size * vectors.values.shape[1]))
    parts = [_median_similarity(vectors, wells[i : i + step]) for i in range(0, null_size, step)]
    return np.concatenate(parts)
