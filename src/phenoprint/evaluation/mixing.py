"""Whether batches mix, and whether profiles carry the position of their well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.errors import UsageError
from phenoprint.evaluation.retrieval import average_precision
from phenoprint.evaluation.similarities import block_rows, similarity_block, to_vectors
from phenoprint.tables import Groups, require_columns, to_polars

if TYPE_CHECKING:
    from phenoprint.tables import FrameLike

__all__ = ["BatchMixing", "batch_mixing", "position_leakage"]


@dataclass(frozen=True)
class BatchMixing:
    """Outcome of `batch_mixing`.

    Attributes
    ----------
    acceptance
        Share of profiles among whose neighbours the batches are as frequent as among all profiles (kBET's test is not
        rejected at `alpha`): `1 - alpha` where batches mix, 0 where they are separate.
    inverse_simpson
        Mean effective number of batches among a profile's neighbours (the local inverse Simpson index, each
        neighbour counting the same): 1 to the number of batches.
    mixing
        That index scaled to 0 (own batch only) to 1 (as many batches as among random neighbours); can exceed 1
        slightly.
    n, k, n_batches
        Profiles, neighbours of each, batches.
    """

    acceptance: float
    inverse_simpson: float
    mixing: float
    n: int
    k: int
    n_batches: int


def batch_mixing(
    frame: FrameLike,
    batch: str = "Metadata_Batch",
    *,
    k: int | None = None,
    metric: str = "cosine",
    alpha: float = 0.05,
    missing: str = "impute",
) -> BatchMixing:
    """Measure how well profiles of different batches mix.

    Parameters
    ----------
    frame
        Profiles. Where batches hold different treatments, pass those that every batch holds, such as controls.
    batch
        Column of the batch (or plate); rows with NULL are left out.
    k
        Neighbours; None: a quarter of the mean batch size, from 10 to 50, and at most all other profiles.
    metric, missing
        As in `average_precision`.
    alpha
        Level of the test.

    Returns
    -------
    BatchMixing
        See there.

    Raises
    ------
    UsageError
        For fewer than two batches, or k below 1.

    Notes
    -----
    Buttner et al., Nat Methods 16:43, 2019 (kBET) and Korsunsky et al., Nat Methods 16:1289, 2019 (LISI, there with
    weights that fall with distance).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> wells = pl.DataFrame(rng.normal(size=(40, 3)), schema=list("abc")).with_columns(
    ...     Metadata_Batch=pl.Series(["one", "two"] * 20)
    ... )
    >>> batch_mixing(wells).mixing > 0.8
    True
    >>> shifted = wells.with_columns(a=pl.col("a") + 99 * (pl.col("Metadata_Batch") == "two"))
    >>> batch_mixing(shifted, metric="euclidean").mixing
    0.0
    """
    from scipy.stats import chi2

    data = to_polars(frame)
    require_columns(data, [batch], purpose="batch mixing")
    data = data.drop_nulls([batch])
    vectors = to_vectors(data, metric, missing=missing)
    codes = np.unique(Groups.of(data, [batch]).codes[vectors.rows], return_inverse=True)[1]
    n, n_batches = len(codes), int(codes.max(initial=-1)) + 1
    if n_batches < 2:
        raise UsageError(f"mixing needs profiles of at least two batches in {batch}; found {n_batches}")
    if k is not None and k < 1:
        raise UsageError(f"k must be 1 or more; found {k}")
    k = min(n - 1, int(np.clip(n / n_batches / 4, 10, 50)) if k is None else k)
    shares = np.bincount(codes) / n
    counts = np.empty((n, n_batches))
    step = block_rows(n)
    for start in range(0, n, step):
        block = slice(start, min(start + step, n))
        near = similarity_block(vectors, block)
        near[np.arange(len(near)), np.arange(n)[block]] = -np.inf
        found = codes[np.argpartition(-near, k - 1, axis=1)[:, :k]]
        counts[block] = np.stack([(found == number).sum(axis=1) for number in range(n_batches)], axis=1)
    statistic = ((counts - k * shares) ** 2 / (k * shares)).sum(axis=1)
    accepted = chi2.sf(statistic, n_batches - 1) >= alpha
    index = float((1 / ((counts / k) ** 2).sum(axis=1)).mean())
    # Expected for random neighbours: the mean of 1 / sum(p^2), to first order.
    random = 1 / float((shares**2 + shares * (1 - shares) / k).sum())
    mixing = (index - 1) / (random - 1) if random > 1 else float("nan")
    return BatchMixing(float(accepted.mean()), index, mixing, n, k, n_batches)


def position_leakage(
    frame: FrameLike,
    treatment: Sequence[str] = ("Metadata_compound",),
    *,
    plate: str = "Metadata_Plate",
    well: str = "Metadata_Well",
    metric: str = "cosine",
) -> float | None:
    """Measure how highly a profile ranks those in its own position on other plates, of other treatments.

    Parameters
    ----------
    frame
        Well profiles of several plates.
    treatment
        Columns that make a treatment; for controls alone, the column of the kind of well.
    plate, well, metric
        Columns, and the similarity.

    Returns
    -------
    float or None
        Mean normalized average precision of the wells in the same position: 0 where position has no effect, 1 where
        it determines the ranking. None where no position holds different treatments on different plates.
    """
    data = to_polars(frame)
    try:
        scored = average_precision(
            data,
            pos_sameby=[well],
            pos_diffby=[plate, *treatment],
            neg_diffby=[well, plate, *treatment],
            metric=metric,
        )
    except UsageError:
        return None
    mean = scored.select(pl.col("normalized_average_precision").mean()).item()
    return None if mean is None else float(mean)
