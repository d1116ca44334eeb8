"""How far a partition is found again when some profiles and features are left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from phenoprint.analysis.nearest import unit_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.analysis.partitions import Candidate, Partition

__all__ = ["Resample", "draw_resamples", "found_again", "shared_information"]

_PROFILES, _FEATURES = 0.8, 0.5  # shares that a resample holds
_MOST_COUNTED = 5_000  # profiles that the shared information is computed from


@dataclass(frozen=True)
class Resample:
    """Some of the profiles, by some of the features, ready to be split.

    Attributes
    ----------
    rows
        Numbers of the profiles, shape (profiles of the resample,).
    prepared
        What `Partition.prepare` returned.
    """

    rows: NDArray[np.intp]
    prepared: Any


def draw_resamples(unit: NDArray[np.float32], partition: Partition, *, n: int, seed: int) -> list[Resample]:
    """Draw `n` resamples: 80 % of the profiles, without replacement, each by another half of the features."""
    resamples = []
    for number in range(n):
        rng = np.random.default_rng([seed, number])
        rows = np.sort(rng.choice(len(unit), max(2, round(_PROFILES * len(unit))), replace=False))
        features = np.sort(rng.choice(unit.shape[1], max(1, round(_FEATURES * unit.shape[1])), replace=False))
        resamples.append(Resample(rows, partition.prepare(unit_rows(unit[np.ix_(rows, features)]))))
    return resamples


def shared_information(first: NDArray[np.intp], second: NDArray[np.intp]) -> float:
    """Return what two partitions of the same profiles know of each other, above chance, in nats.

    Mutual information minus its expectation for random partitions of the same sizes (Vinh, Epps and Bailey, J Mach
    Learn Res 11:2837, 2010), not divided by anything: one group holding all has none, however stable it is, and groups
    that are not found again add none.

    Examples
    --------
    >>> three = np.repeat([0, 1, 2], 20)
    >>> round(shared_information(three, three), 2), shared_information(three, np.zeros(60, int))
    (1.06, 0.0)
    """
    from sklearn.metrics import mutual_info_score
    from sklearn.metrics.cluster import contingency_matrix, expected_mutual_information

    if len(first) > _MOST_COUNTED:
        chosen = np.random.default_rng(0).choice(len(first), _MOST_COUNTED, replace=False)
        first, second = first[chosen], second[chosen]
    table = contingency_matrix(first, second, sparse=True)
    known = float(mutual_info_score(None, None, contingency=table))
    return known - float(expected_mutual_information(table.astype(np.int64), len(first)))


def found_again(
    groups: NDArray[np.intp],
    partition: Partition,
    candidate: Candidate,
    resamples: Sequence[Resample],
    *,
    seed: int,
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Split the resamples by the same parameters, and compare with the groups of all profiles.

    Parameters
    ----------
    groups
        Group of each profile from 0, -1 for none, shape (profiles,).
    partition, candidate, resamples, seed
        How the resamples are split.

    Returns
    -------
    tuple
        Mean shared information, nats; stability of each profile, shape (profiles,): the mean Jaccard index of its group
        and its group in the resample, NaN without a group or where no resample holds it; stability of each group,
        shape (groups,): the mean of the largest Jaccard index with a group of the resample (Hennig, Comput Stat Data
        Anal 52:258, 2007).
    """
    n_groups = int(groups.max(initial=-1)) + 1
    information, total, times = [], np.zeros(len(groups)), np.zeros(len(groups))
    best, seen = np.zeros(n_groups), np.zeros(n_groups)
    for number, resample in enumerate(resamples):
        own = groups[resample.rows]
        other = _numbered(partition.cut(resample.prepared, candidate, seed + number))
        information.append(shared_information(own, other))
        jaccard = _jaccard(own, other, n_groups)
        placed = own >= 0
        rows = resample.rows[placed]
        total[rows] += np.where(other[placed] >= 0, jaccard[own[placed], other[placed]], 0)
        times[rows] += 1
        present = np.bincount(own[placed], minlength=n_groups) > 0
        best[present] += jaccard.max(axis=1, initial=0)[present]
        seen[present] += 1
    per_profile = np.divide(total, times, out=np.full(len(groups), np.nan), where=times > 0)
    per_group = np.divide(best, seen, out=np.full(n_groups, np.nan), where=seen > 0)
    return float(np.mean(information)), per_profile, per_group


def _numbered(groups: NDArray[np.intp]) -> NDArray[np.intp]:
    """Renumber groups from 0; -1 stays."""
    names, numbers = np.unique(groups, return_inverse=True)
    return np.where(groups < 0, -1, numbers - int((names < 0).sum()))


def _jaccard(own: NDArray[np.intp], other: NDArray[np.intp], n_groups: int) -> NDArray[np.float64]:
    """Return the Jaccard index of every group with every group of another partition, shape (groups, others)."""
    from scipy.sparse import coo_matrix

    n_others = max(1, int(other.max(initial=-1)) + 1)
    both = (own >= 0) & (other >= 0)
    shape = (n_groups, n_others)
    common = coo_matrix((np.ones(both.sum()), (own[both], other[both])), shape=shape).toarray()
    sizes = np.bincount(own[own >= 0], minlength=n_groups)[:, None] + np.bincount(other[other >= 0], minlength=n_others)
    together = sizes - common
    index: NDArray[np.float64] = np.divide(common, together, out=np.zeros(shape), where=together > 0)
    return index
