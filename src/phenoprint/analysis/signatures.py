"""Features in which the profiles of a cluster differ from all others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.errors import UsageError
from phenoprint.tables import count, feature_columns, feature_matrix, get_table, mad, median, require_columns, to_polars

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import FrameLike

    Floats = NDArray[np.float64]

__all__ = ["cluster_signatures", "compare_clusters", "rank_signatures"]

_SCHEMA = get_table("cluster_signature").schema_of(
    ("cluster", "feature", "effect", "cliffs_delta", "n_wells", "n_others")
)


def cluster_signatures(frame: FrameLike, *, cluster: str = "Metadata_cluster", top: int = 0) -> pl.DataFrame:
    """Describe each cluster by the features in which its profiles differ from all others.

    Parameters
    ----------
    frame
        Normalized profiles with the number of their cluster; those without one take no part.
    cluster
        Column of the cluster.
    top
        Features kept of each cluster, the first by rank; 0 keeps all.

    Returns
    -------
    polars.DataFrame
        One row per cluster and feature, by cluster and rank: ``cluster``, ``feature``, ``effect`` (difference of the
        medians, cluster minus others, in robust spreads: the root mean square of 1.4826 MAD within the cluster and
        within the others), ``cliffs_delta`` (how much more often a profile of the cluster lies above one of the others
        than below, -1 to 1), ``rank`` (by absolute Cliff's delta, then by absolute effect), ``n_wells``, ``n_others``.
        Features that do not vary within cluster and others are left out. No rows where there is only one cluster.

    Raises
    ------
    UnknownNameError
        For an absent column.
    UsageError
        For a `top` below 0.

    Notes
    -----
    There is no p value: clusters are made from the same profiles, so that every cluster differs.

    Examples
    --------
    >>> wells = pl.DataFrame({"Metadata_cluster": [1, 1, 1, 2, 2, 2], "F": [9.0, 10.0, 11.0, -1.0, 0.0, 1.0]})
    >>> cluster_signatures(wells).select("cluster", "cliffs_delta").rows()
    [(1, 1.0), (2, -1.0)]
    """
    return rank_signatures(compare_clusters(frame, cluster=cluster), top=top)


def compare_clusters(frame: FrameLike, *, cluster: str = "Metadata_cluster") -> pl.DataFrame:
    """Compare each cluster with all other profiles, without ranks, so that features can be compared in blocks.

    Parameters
    ----------
    frame, cluster
        As in `cluster_signatures`.

    Returns
    -------
    polars.DataFrame
        The columns of `cluster_signatures` without ``rank``, one row per cluster and feature.
    """
    data = to_polars(frame)
    require_columns(data, [cluster], purpose="cluster signatures")
    data = data.filter(pl.col(cluster).is_not_null())
    labels = data[cluster].to_numpy()
    names = np.unique(labels)
    features = [name for name in feature_columns(data) if name != cluster]
    if len(names) < 2 or not features:
        return pl.DataFrame(schema=_SCHEMA)
    values = feature_matrix(data, features).astype(np.float64)
    ranks = _ranks(values)
    parts = [
        pl.DataFrame(
            {"cluster": np.full(len(features), name), "feature": features, **_compare(values, ranks, labels == name)}
        )
        for name in names
    ]
    return pl.concat(parts).drop_nans("cliffs_delta").cast(_SCHEMA)


def rank_signatures(table: pl.DataFrame, *, top: int = 0) -> pl.DataFrame:
    """Rank the features of each cluster: by absolute Cliff's delta, then by absolute effect, then by name.

    Parameters
    ----------
    table
        The rows of `compare_clusters`, of one block of features or of several.
    top
        Features kept of each cluster; 0 keeps all.

    Raises
    ------
    UsageError
        For a `top` below 0.
    """
    if top < 0:
        raise UsageError(f"top is a number of features, 0 for all; found {top}")
    size = [pl.col("cliffs_delta").abs(), pl.col("effect").abs()]
    ordered = table.sort("cluster", *size, "feature", descending=[False, True, True, False])
    ranked = ordered.with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("cluster").alias("rank"))
    return ranked.filter(pl.col("rank") <= top) if top else ranked


def _compare(values: Floats, ranks: Floats, inside: NDArray[np.bool_]) -> dict[str, Floats]:
    """Compare the profiles inside a cluster with the others, feature by feature."""
    own, others = values[:, inside], values[:, ~inside]
    n, m = count(own), count(others)
    spread = np.sqrt((mad(own) ** 2 + mad(others) ** 2) / 2)
    effect = np.divide(median(own) - median(others), spread, out=np.full(len(values), np.nan), where=spread > 0)
    # the Mann-Whitney statistic, from the sum of ranks
    above = np.nansum(ranks[:, inside], axis=1) - n * (n + 1) / 2
    pairs = n * m
    delta = np.divide(2 * above, pairs, out=np.full(len(values), np.nan), where=pairs > 0) - 1
    delta[np.isnan(effect)] = np.nan
    return {"effect": effect, "cliffs_delta": delta, "n_wells": n, "n_others": m}


def _ranks(values: Floats) -> Floats:
    """Rank the profiles of each feature, ties by their mean; NaN stays NaN."""
    from scipy.stats import rankdata

    ranks: Floats = rankdata(values, axis=1, nan_policy="omit")
    return ranks
