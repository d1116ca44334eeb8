"""Ways of splitting profiles into groups: Leiden on a graph of nearest neighbours, average linkage, HDBSCAN."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from phenoprint.analysis.nearest import nearest_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

__all__ = ["PARTITIONS", "Candidate", "Partition", "leiden", "modularity", "neighbour_graph"]

_NEIGHBOURS = (5, 8, 12)
_RESOLUTIONS = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0, 16.0)
_SIZES = (3, 4, 5, 6, 8, 10, 15)
_MOST_CLUSTERS = 40


@dataclass(frozen=True)
class Candidate:
    """Parameters of one partition.

    Attributes
    ----------
    value
        Resolution of Leiden, number of clusters of average linkage, or smallest cluster of HDBSCAN.
    n_neighbours
        Neighbours of each profile in the graph of Leiden; None for the others.
    """

    value: float
    n_neighbours: int | None = None


class Partition(Protocol):
    """A way of splitting profiles of length 1, shape (profiles, features), into groups."""

    @property
    def parameter(self) -> str:
        """What `Candidate.value` is."""

    @property
    def most(self) -> int:
        """Profiles that it can split in reasonable time."""

    def candidates(self, n: int, value: float | None, n_neighbours: int | None) -> list[Candidate]:
        """Return the parameters to compare for `n` profiles, coarsest first; those given are fixed."""

    def prepare(self, unit: NDArray[np.float32]) -> Any:
        """Do once what all candidates share."""

    def cut(self, prepared: Any, candidate: Candidate, seed: int) -> NDArray[np.intp]:
        """Return the group of each profile, -1 for none."""


def neighbour_graph(index: NDArray[np.intp], alike: NDArray[np.float32], k: int) -> csr_matrix:
    """Join each profile to its `k` nearest ones, weighted by their cosine similarity.

    Parameters
    ----------
    index, alike
        Numbers of the nearest profiles and their similarity, nearest first, shape (profiles, `k` or more).
    k
        Neighbours that are joined. Two profiles are joined if either is among the nearest of the other; profiles of
        opposite direction (similarity 0 or less) are not.

    Returns
    -------
    scipy.sparse.csr_matrix
        Shape (profiles, profiles), symmetric.
    """
    from scipy.sparse import csr_matrix

    n, k = len(index), min(k, index.shape[1])
    rows, columns = np.repeat(np.arange(n), k), index[:, :k].ravel()
    weights = alike[:, :k].ravel().astype(np.float64)
    joined = weights > 0
    graph = csr_matrix((weights[joined], (rows[joined], columns[joined])), shape=(n, n))
    return graph.maximum(graph.T).tocsr()


def leiden(graph: csr_matrix, resolution: float, *, seed: int = 0) -> tuple[NDArray[np.intp], float]:
    """Split a graph by the Leiden algorithm (Traag, Waltman and van Eck, Sci Rep 9:5233, 2019).

    Parameters
    ----------
    graph
        Symmetric weights, shape (nodes, nodes).
    resolution
        The larger, the more groups.
    seed
        Seed of the random order of the nodes.

    Returns
    -------
    tuple
        Group of each node, shape (nodes,), and the modularity of the partition. Nodes without an edge are alone.

    Examples
    --------
    >>> from scipy.sparse import csr_matrix
    >>> pairs = csr_matrix(np.kron(np.eye(2), 1 - np.eye(3)))
    >>> groups, quality = leiden(pairs, 1.0)
    >>> groups.tolist(), round(quality, 3)
    ([0, 0, 0, 1, 1, 1], 0.5)
    """
    import graspologic_native

    n = graph.shape[0]
    if graph.nnz == 0:
        return np.arange(n), 0.0
    quality, found = graspologic_native.leiden_csr(
        graph.indptr.astype(np.int64),
        graph.indices.astype(np.int32),
        graph.data.astype(np.float64),
        n,
        resolution=resolution,
        seed=seed,
        iterations=3,
    )
    pairs = found.items() if isinstance(found, Mapping) else enumerate(found)
    groups = np.full(n, -1, dtype=np.intp)
    for node, group in pairs:
        groups[int(node)] = group
    alone = groups < 0
    groups[alone] = groups.max() + 1 + np.arange(alone.sum())
    _, first, number = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[number], float(quality)


def modularity(graph: csr_matrix, groups: NDArray[np.intp], resolution: float = 1.0) -> float:
    """Return the modularity of a partition (Newman and Girvan, Phys Rev E 69:026113, 2004).

    Parameters
    ----------
    graph
        Symmetric weights, shape (nodes, nodes).
    groups
        Group of each node, shape (nodes,).
    resolution
        Weight of the expected share of edges within groups.

    Examples
    --------
    >>> from scipy.sparse import csr_matrix
    >>> modularity(csr_matrix(np.kron(np.eye(2), 1 - np.eye(3))), np.array([0, 0, 0, 1, 1, 1]))
    0.5
    """
    from scipy.sparse import csr_matrix

    total = float(graph.sum())
    if total == 0:
        return 0.0
    member = csr_matrix((np.ones(len(groups)), (np.arange(len(groups)), groups)))
    within = float((member.T @ graph @ member).diagonal().sum())
    degrees = np.asarray(member.T @ np.asarray(graph.sum(axis=1))).ravel()
    return within / total - resolution * float((degrees**2).sum()) / total**2


@dataclass(frozen=True)
class _Leiden:
    parameter: str = "resolution"
    most: int = 1_000_000

    def candidates(self, n: int, value: float | None, n_neighbours: int | None) -> list[Candidate]:
        sizes = [k for k in _NEIGHBOURS if k < n] or [n - 1] if n_neighbours is None else [n_neighbours]
        values = _RESOLUTIONS if value is None else (value,)
        return [Candidate(resolution, k) for resolution in values for k in sorted(sizes, reverse=True)]

    def prepare(self, unit: NDArray[np.float32]) -> _Neighbourhood:
        return _Neighbourhood(unit)

    def cut(self, prepared: _Neighbourhood, candidate: Candidate, seed: int) -> NDArray[np.intp]:
        return leiden(prepared.graph(candidate.n_neighbours or 0), candidate.value, seed=seed)[0]


class _Neighbourhood:
    """Graphs of several numbers of neighbours, from one search."""

    def __init__(self, unit: NDArray[np.float32]) -> None:
        self._unit = unit
        self._graphs: dict[int, csr_matrix] = {}
        self._found: tuple[NDArray[np.intp], NDArray[np.float32]] | None = None

    def graph(self, k: int) -> csr_matrix:
        if k not in self._graphs:
            if self._found is None or self._found[0].shape[1] < min(k, len(self._unit) - 1):
                self._found = nearest_rows(self._unit, max(k, *_NEIGHBOURS))
            self._graphs[k] = neighbour_graph(*self._found, k)
        return self._graphs[k]


@dataclass(frozen=True)
class _Average:
    parameter: str = "n_clusters"
    most: int = 10_000  # the distances of all pairs take 400 MB

    def candidates(self, n: int, value: float | None, n_neighbours: int | None) -> list[Candidate]:  # noqa: ARG002
        if value is not None:
            return [Candidate(value)]
        return [Candidate(float(number)) for number in range(2, max(3, min(_MOST_CLUSTERS, n // 2) + 1))]

    def prepare(self, unit: NDArray[np.float32]) -> NDArray[np.float64]:
        from scipy.cluster.hierarchy import linkage
        from scipy.spatial.distance import squareform

        distance = np.maximum(1 - unit.astype(np.float64) @ unit.T.astype(np.float64), 0)
        np.fill_diagonal(distance, 0)
        tree: NDArray[np.float64] = linkage(squareform(distance, checks=False), method="average")
        return tree

    def cut(self, prepared: NDArray[np.float64], candidate: Candidate, seed: int) -> NDArray[np.intp]:  # noqa: ARG002
        from scipy.cluster.hierarchy import fcluster

        return np.asarray(fcluster(prepared, int(candidate.value), criterion="maxclust"), dtype=np.intp)


@dataclass(frozen=True)
class _Hdbscan:
    parameter: str = "min_size"
    most: int = 20_000

    def candidates(self, n: int, value: float | None, n_neighbours: int | None) -> list[Candidate]:  # noqa: ARG002
        sizes = [size for size in _SIZES if size <= n // 2] or [2]
        return [Candidate(float(size)) for size in reversed(sizes)] if value is None else [Candidate(value)]

    def prepare(self, unit: NDArray[np.float32]) -> NDArray[np.float32]:
        return unit

    def cut(self, prepared: NDArray[np.float32], candidate: Candidate, seed: int) -> NDArray[np.intp]:  # noqa: ARG002
        from sklearn.cluster import HDBSCAN

        # Between profiles of length 1, Euclidean distance grows with the angle.
        size = max(2, min(int(candidate.value), len(prepared)))
        return np.asarray(HDBSCAN(min_cluster_size=size, copy=True).fit_predict(prepared), dtype=np.intp)


PARTITIONS: Mapping[str, Partition] = MappingProxyType(
    {"leiden": _Leiden(), "average": _Average(), "hdbscan": _Hdbscan()}
)
"""Methods of `cluster_profiles`: Leiden (the default), average linkage of cosine distances, HDBSCAN."""
