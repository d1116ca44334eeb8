"""Group similar profiles, as finely as resampling allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.analysis.partitions import PARTITIONS, Candidate
from phenoprint.analysis.projection import kept_metadata
from phenoprint.analysis.stability import draw_resamples, found_again
from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.evaluation import to_vectors
from phenoprint.tables import feature_columns, to_polars

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import FrameLike

__all__ = ["CLUSTERINGS", "Clustering", "cluster_profiles"]

CLUSTERINGS = tuple(PARTITIONS)
"""Methods of `cluster_profiles`."""

FEWEST = 10
# Below this Jaccard index a group is rather dissolved than found again (Hennig 2007).
STABLE = 0.5
_MOST_CHOSEN = 5_000  # profiles that the parameters are chosen by
_LARGEST = 0.9  # share of the profiles: a larger group leaves the others as a few outliers
_CHOICES = {
    "method": pl.String,
    "parameter": pl.String,
    "value": pl.Float64,
    "n_neighbours": pl.Int32,
    "n_clusters": pl.Int32,
    "largest": pl.Int32,
    "shared_information": pl.Float64,
    "stability": pl.Float64,
    "is_chosen": pl.Boolean,
}


@dataclass(frozen=True)
class Clustering:
    """Outcome of `cluster_profiles`.

    Attributes
    ----------
    table
        One row per profile in the frame's order: the kept metadata; ``cluster`` (Int32, 1 the largest; NULL for none);
        ``stability`` and ``cluster_stability`` (Float64, 0 to 1); ``is_medoid`` (the profile that is most similar to
        the others of its cluster); ``status``: ``ok``, ``unstable`` (stability below 0.5), ``noise`` (in
        no cluster), ``no_profile`` (lacks more than half of the features, or does not differ from the controls in any),
        or the status of the whole.
    choices
        One row per candidate: parameters, number of clusters, size of the largest, ``shared_information`` (nats),
        mean stability of the profiles, whether it was chosen.
    status
        ``ok``, or why there are no clusters: ``too_few``, ``too_many``, ``trivial``, ``no_structure``.
    reason
        The same in a sentence; None where there are clusters.
    n_features
        Features compared.
    dropped
        Features that are not compared since some profile lacks them.
    """

    table: pl.DataFrame
    choices: pl.DataFrame
    status: str
    reason: str | None
    n_features: int
    dropped: tuple[str, ...]


def cluster_profiles(
    frame: FrameLike,
    method: str = "leiden",
    *,
    value: float | None = None,
    n_neighbours: int | None = None,
    n_resamples: int = 20,
    keep: Sequence[str] | None = None,
    seed: int = 0,
) -> Clustering:
    """Cluster profiles by their cosine similarity.

    Parameters
    ----------
    frame
        Normalized, selected profiles, relative to controls.
    method
        ``"leiden"``: communities of the graph that joins each profile to its nearest ones (Traag, Waltman and van Eck,
        Sci Rep 9:5233, 2019); ``"average"``: average linkage of cosine distances; ``"hdbscan"`` (Campello, Moulavi and
        Sander, PAKDD 2013), which leaves profiles in no dense region without a cluster.
    value
        Resolution of Leiden, number of clusters of average linkage, or smallest cluster of HDBSCAN. None: chosen.
    n_neighbours
        For Leiden: how many neighbours each profile is joined to. None: chosen among 5, 8 and 12.
    n_resamples
        Resamples (80 % of the profiles by half of the features) that parameters are chosen by and stability is measured
        with.
    keep
        Metadata columns of the result; None: plate and well where both are there, else all.
    seed
        Seed of the resamples and of Leiden.

    Returns
    -------
    Clustering
        The clusters, or the reason why there are none. The result does not depend on the order of the rows.

    Raises
    ------
    UnknownNameError
        For an unknown method or column.
    UsageError
        For a parameter that no partition can have.

    Notes
    -----
    Parameters are chosen without labels: those whose clusters share most information with the clusters of the
    resamples, above chance, not divided by the entropy. One group of all profiles is always found again but shares
    nothing; too many groups are not found again. Of more than 5,000 profiles, a sample serves for the choice.

    A partition whose largest cluster holds more than 90 % of the profiles is refused (``trivial``), as is one of which
    less than half is found again (``no_structure``).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> values = np.repeat(np.eye(3, 20) * 9, 10, axis=0) + rng.normal(size=(30, 20))
    >>> found = cluster_profiles(pl.DataFrame(values).with_columns(Metadata_compound=pl.lit("a")))
    >>> found.status, found.table["cluster"].value_counts().sort("cluster").rows()
    ('ok', [(1, 10), (2, 10), (3, 10)])
    """
    data = to_polars(frame)
    if method not in PARTITIONS:
        raise UnknownNameError("clustering", method, CLUSTERINGS)
    partition = PARTITIONS[method]
    if value is not None and value <= 0:
        raise UsageError(f"{partition.parameter} must be above 0; found {value:g}")
    if n_neighbours is not None and (n_neighbours < 1 or method != "leiden"):
        raise UsageError(
            f"n_neighbours is a number of 1 or more, for method 'leiden'; found {n_neighbours} for {method}"
        )
    if n_resamples < 2:
        raise UsageError(f"n_resamples must be 2 or more; found {n_resamples}")
    about = kept_metadata(data, keep)
    if not feature_columns(data):
        return _refused(_Input(about, np.arange(0), 0, ()), "too_few", "no feature to compare profiles by")
    vectors = to_vectors(data, "cosine")
    usable = vectors.values.any(axis=1)  # a profile of zeros would resemble all others alike
    rows, unit = vectors.rows[usable], vectors.values[usable]
    given = _Input(about, rows, len(vectors.features), vectors.dropped)
    if len(rows) < FEWEST:
        reason = f"no clusters of fewer than {FEWEST} profiles; found {len(rows)}"
        return _refused(given, "too_few", reason)
    if len(rows) > partition.most:
        reason = f"{method} compares at most {partition.most:,} profiles; found {len(rows):,}: use 'leiden'"
        return _refused(given, "too_many", reason)
    order = np.lexsort(unit.T[:50])  # the same whatever the order of the rows
    rows, unit = rows[order], unit[order]
    candidates = partition.candidates(min(len(rows), _MOST_CHOSEN), value, n_neighbours)
    best, choices = _choose(unit, method, candidates, n_resamples=n_resamples, seed=seed)
    chosen = candidates[best]
    groups = _by_size(partition.cut(partition.prepare(unit), chosen, seed))
    resamples = draw_resamples(unit, partition, n=_affordable(len(rows), n_resamples), seed=seed + 1)
    _, stability, cluster_stability = found_again(groups, partition, chosen, resamples, seed=seed)
    refusal = _refusal(groups, stability)
    if refusal:
        return _refused(given, *refusal, choices)
    full = pl.DataFrame(
        {
            "cluster": _spread(groups + 1, rows, data.height, 0),
            "stability": _spread(np.where(groups >= 0, stability, np.nan), rows, data.height, np.nan),
            "cluster_stability": _spread(_of_group(cluster_stability, groups), rows, data.height, np.nan),
            "is_medoid": _spread(_medoids(unit, groups), rows, data.height, fill=False),
            "_usable": _spread(np.ones(len(rows), bool), rows, data.height, fill=False),
        }
    )
    judged = (
        pl.when(~pl.col("_usable"))
        .then(pl.lit("no_profile"))
        .when(pl.col("cluster") == 0)
        .then(pl.lit("noise"))
        .when(pl.col("stability") < STABLE)
        .then(pl.lit("unstable"))
        .otherwise(pl.lit("ok"))
    )
    columns = full.with_columns(judged.alias("status")).select(
        pl.when(pl.col("cluster") > 0).then(pl.col("cluster")).cast(pl.Int32).alias("cluster"),
        pl.col("stability", "cluster_stability").fill_nan(None),
        "is_medoid",
        "status",
    )
    return Clustering(
        pl.concat([about, columns], how="horizontal"), choices, "ok", None, given.n_features, given.dropped
    )


def _choose(
    unit: NDArray[np.float32], method: str, candidates: Sequence[Candidate], *, n_resamples: int, seed: int
) -> tuple[int, pl.DataFrame]:
    """Compare the candidates by what their clusters share with those of resamples; a sample of many profiles serves."""
    partition = PARTITIONS[method]
    if len(unit) > _MOST_CHOSEN:
        unit = unit[np.sort(np.random.default_rng(seed).choice(len(unit), _MOST_CHOSEN, replace=False))]
    resamples = draw_resamples(unit, partition, n=_affordable(len(unit), n_resamples), seed=seed)
    prepared = partition.prepare(unit)
    found = []
    for candidate in candidates:
        groups = _by_size(partition.cut(prepared, candidate, seed))
        information, stability, _ = found_again(groups, partition, candidate, resamples, seed=seed)
        sizes = np.bincount(groups[groups >= 0], minlength=1)
        held = np.nan_to_num(stability).mean()
        found.append((len(sizes) if sizes.any() else 0, int(sizes.max()), information, float(held)))
    best = max(range(len(candidates)), key=lambda i: round(found[i][2], 9))
    rows = [
        (method, partition.parameter, candidate.value, candidate.n_neighbours, *row, i == best)
        for i, (candidate, row) in enumerate(zip(candidates, found, strict=True))
    ]
    return best, pl.DataFrame(rows, schema=_CHOICES, orient="row")


def _affordable(n_profiles: int, n_resamples: int) -> int:
    """Return how many resamples of many profiles are drawn."""
    return n_resamples if n_profiles <= 2_000 else max(3, n_resamples * 2_000 // n_profiles)


def _refusal(groups: NDArray[np.intp], stability: NDArray[np.float64]) -> tuple[str, str] | None:
    """Refuse a partition that separates a few profiles from all others, or that resamples do not find again."""
    sizes = np.bincount(groups[groups >= 0], minlength=1)
    n = int(sizes.sum())
    if not n:
        return "no_structure", f"all {len(groups)} profiles are in no dense region"
    if len(sizes) == 1 or sizes.max() > _LARGEST * n:
        others = "all are in one cluster" if len(sizes) == 1 else f"the others are {n - int(sizes.max())}"
        return "trivial", f"the largest cluster would hold {int(sizes.max())} of {n} profiles; {others}"
    held = float(np.nanmean(stability[groups >= 0]))
    if held < STABLE:
        return "no_structure", f"resamples find {held:.0%} of a cluster again; clusters need {STABLE:.0%} or more"
    return None


@dataclass(frozen=True)
class _Input:
    """The profiles that are compared, and what they are compared by."""

    about: pl.DataFrame
    rows: NDArray[np.intp]
    n_features: int
    dropped: tuple[str, ...]


def _refused(given: _Input, status: str, reason: str, choices: pl.DataFrame | None = None) -> Clustering:
    statuses = np.full(given.about.height, "no_profile", dtype=object)
    statuses[given.rows] = status
    table = given.about.with_columns(
        pl.lit(None, pl.Int32).alias("cluster"),
        pl.lit(None, pl.Float64).alias("stability"),
        pl.lit(None, pl.Float64).alias("cluster_stability"),
        pl.lit(value=False).alias("is_medoid"),
        pl.Series("status", statuses, dtype=pl.String),
    )
    none = pl.DataFrame(schema=_CHOICES) if choices is None else choices
    return Clustering(table, none, status, reason, given.n_features, given.dropped)


def _by_size(groups: NDArray[np.intp]) -> NDArray[np.intp]:
    """Renumber groups from 0 by size, then by their first member; groups of one, and negative numbers, become -1."""
    names, first, counts = np.unique(groups, return_index=True, return_counts=True)
    order = [i for i in np.lexsort((first, -counts)) if names[i] >= 0 and counts[i] > 1]
    renamed = np.full(len(names), -1, dtype=np.intp)
    renamed[order] = np.arange(len(order))
    return renamed[np.searchsorted(names, groups)]


def _medoids(unit: NDArray[np.float32], groups: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Mark in each group the profile with the largest mean cosine similarity to the others."""
    marked = np.zeros(len(groups), dtype=bool)
    for group in range(int(groups.max(initial=-1)) + 1):
        members = np.flatnonzero(groups == group)
        own = unit[members].astype(np.float64)
        marked[members[np.argmax(np.round(own @ own.sum(axis=0), 9))]] = True
    return marked


def _of_group(values: NDArray[np.float64], groups: NDArray[np.intp]) -> NDArray[np.float64]:
    return np.append(values, np.nan)[groups]  # -1 takes the last


def _spread(values: NDArray[np.generic], rows: NDArray[np.intp], n: int, fill: float | bool) -> NDArray[np.generic]:
    """Put the values of some rows into a column of all."""
    full = np.full(n, fill, dtype=values.dtype)
    full[rows] = values
    return full
