"""Group similar profiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.analysis.projection import complete_matrix, kept_metadata
from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.tables import to_polars

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import FrameLike

__all__ = ["CLUSTERINGS", "cluster_profiles"]

CLUSTERINGS = ("agglomerative", "hdbscan")
"""Methods of `cluster_profiles`."""

_MOST_LINKED = 5_000  # the distances of all pairs take 100 MB


def cluster_profiles(
    frame: FrameLike,
    method: str = "agglomerative",
    *,
    n_clusters: int | None = None,
    min_size: int = 5,
    n_components: int = 20,
    keep: Sequence[str] | None = None,
    seed: int = 0,
) -> pl.DataFrame:
    """Cluster profiles on their leading principal components.

    Parameters
    ----------
    frame
        Normalized, selected profiles.
    method
        ``"agglomerative"`` (Ward, J Am Stat Assoc 58:236, 1963; every profile gets a cluster) or ``"hdbscan"``
        (Campello, Moulavi and Sander, PAKDD 2013; profiles in no dense region get NULL).
    n_clusters
        For agglomerative; None: the number from 2 to 20 with the best silhouette (Rousseeuw, J Comput Appl Math 20:53,
        1987). Ward's linkage compares all pairs: of more than 5,000 profiles a sample is linked, and the others join
        the cluster with the nearest mean.
    min_size
        For hdbscan: the smallest cluster.
    n_components
        Principal components used, at most.
    keep
        Metadata columns of the result; None: plate and well where both are there, else all.
    seed
        Seed of the samples: of the profiles that are linked, and of those that the silhouette is computed from where
        there are more than 2,000.

    Returns
    -------
    polars.DataFrame
        One row per profile in the frame's order: the kept metadata and ``cluster`` (Int32, 1 the largest). NULL
        for rows that lack more than half of the features and, with hdbscan, for outliers.

    Raises
    ------
    UnknownNameError
        For an unknown method or column.
    UsageError
        For a number of clusters that the profiles do not allow, or no complete feature.

    Examples
    --------
    >>> wells = pl.DataFrame({"Metadata_Well": ["A01", "A02", "A03", "A04"], "x": [0.0, 0.1, 9, 9], "y": [1, 1, 5, 5]})
    >>> cluster_profiles(wells).columns[:1]
    ['Metadata_Well']
    """
    data = to_polars(frame)
    if method not in CLUSTERINGS:
        raise UnknownNameError("clustering", method, CLUSTERINGS)
    if n_clusters is not None and n_clusters < 1:
        raise UsageError(f"n_clusters must be 1 or more; found {n_clusters}")
    values, rows, _ = complete_matrix(data, step="cluster")
    if n_clusters is not None and n_clusters > len(rows):
        raise UsageError(f"expected at most {len(rows)} clusters, one per profile; found n_clusters={n_clusters}")
    points = _components(values, n_components)
    if len(points) < 3:
        labels = np.zeros(len(points), dtype=np.intp)
    elif method == "hdbscan":
        labels = _hdbscan(points, min_size)
    else:
        labels = _ward_of_many(points, n_clusters, seed)
    full = np.full(data.height, -1, dtype=np.intp)
    full[rows] = _by_size(labels)
    column = pl.Series("cluster", full, dtype=pl.Int32)
    return kept_metadata(data, keep).with_columns(
        pl.select(pl.when(column > 0).then(column).alias("cluster")).get_column("cluster")
    )


def _components(values: NDArray[np.float64], n_components: int) -> NDArray[np.float64]:
    if len(values) < 2:
        return values
    left, singular, _ = np.linalg.svd(values - values.mean(axis=0), full_matrices=False)
    points: NDArray[np.float64] = (left * singular)[:, :n_components]
    return points


def _ward_of_many(points: NDArray[np.float64], n_clusters: int | None, seed: int) -> NDArray[np.intp]:
    """Link a sample of many profiles; the others join the cluster with the nearest mean."""
    if len(points) <= _MOST_LINKED:
        return _ward(points, n_clusters, seed)
    linked = np.sort(np.random.default_rng(seed).choice(len(points), _MOST_LINKED, replace=False))
    found = _ward(points[linked], n_clusters, seed)
    names = np.unique(found)
    means = np.stack([points[linked[found == name]].mean(axis=0) for name in names])
    # |p - m|^2 up to |p|^2, which is the same for all means
    nearest = np.argmin((means**2).sum(axis=1) - 2 * points @ means.T, axis=1)
    labels: NDArray[np.intp] = names[nearest]
    labels[linked] = found
    return labels


def _ward(points: NDArray[np.float64], n_clusters: int | None, seed: int) -> NDArray[np.intp]:
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import pdist
    from sklearn.metrics import silhouette_score

    tree = linkage(pdist(points), method="ward")
    if n_clusters is not None:
        return np.asarray(fcluster(tree, n_clusters, criterion="maxclust"), dtype=np.intp)
    sample = min(len(points), 2000)
    best, labels = -np.inf, np.ones(len(points), dtype=np.intp)
    for n in range(2, min(20, len(points) - 1) + 1):
        cut = np.asarray(fcluster(tree, n, criterion="maxclust"), dtype=np.intp)
        if len(np.unique(cut)) < 2:
            continue  # identical profiles cannot be separated
        score = float(silhouette_score(points, cut, sample_size=sample, random_state=seed))
        if score > best:
            best, labels = score, cut
    return labels


def _hdbscan(points: NDArray[np.float64], min_size: int) -> NDArray[np.intp]:
    from sklearn.cluster import HDBSCAN

    size = max(2, min(min_size, len(points)))
    return np.asarray(HDBSCAN(min_cluster_size=size, copy=True).fit_predict(points), dtype=np.intp)


def _by_size(labels: NDArray[np.intp]) -> NDArray[np.intp]:
    """Renumber clusters from 1 by size, then by their first member; negative labels become -1."""
    names, first, counts = np.unique(labels, return_index=True, return_counts=True)
    order = [i for i in np.lexsort((first, -counts)) if names[i] >= 0]
    renamed = {int(names[i]): number for number, i in enumerate(order, start=1)}
    return np.array([renamed.get(int(label), -1) for label in labels], dtype=np.intp)
