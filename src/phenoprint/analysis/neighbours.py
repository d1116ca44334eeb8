"""Which profiles resemble each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.errors import UsageError
from phenoprint.evaluation import Vectors, block_rows, similarity_block, to_vectors
from phenoprint.tables import feature_columns, metadata_columns, require_columns, to_polars

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import FrameLike

__all__ = ["TreatmentNeighbours", "similarity", "similarity_matrix", "treatment_neighbours"]


def similarity(
    frame: FrameLike,
    *,
    identity: Sequence[str] | None = None,
    k: int = 10,
    metric: str = "cosine",
    missing: str = "impute",
) -> pl.DataFrame:
    """List the nearest neighbours of each profile.

    Parameters
    ----------
    frame
        Profiles of wells or treatments.
    identity
        Columns that name a profile; None: all metadata.
    k
        Neighbours of a profile, at most.
    metric
        ``"cosine"``, ``"correlation"`` (also ``"pearson"``) or ``"euclidean"`` (1 / (1 + distance)).
    missing
        ``"impute"`` or ``"error"`` for missing values; see `to_vectors`.

    Returns
    -------
    polars.DataFrame
        One row per profile and neighbour, by profile in the frame's order and then by rank: the identity
        columns, the same with the suffix ``_neighbour``, ``rank`` (Int32, from 1) and ``similarity``
        (Float64). Rows that lack more than half of the features are left out.

    Raises
    ------
    SchemaError
        Where no complete feature is left.
    UnknownNameError
        For an absent column or an unknown metric.
    UsageError
        For k below 1.
    """
    data = to_polars(frame)
    names = metadata_columns(data) if identity is None else list(identity)
    require_columns(data, names, purpose="identity")
    vectors = to_vectors(data, metric, missing=missing)
    nearest_rows, alike = _nearest(vectors, k)
    n, k = nearest_rows.shape
    who = data.select(names)
    return pl.concat(
        [
            who[np.repeat(vectors.rows, k)],
            who[vectors.rows[nearest_rows.ravel()]].rename({name: f"{name}_neighbour" for name in names}),
            pl.DataFrame(
                {
                    "rank": pl.Series(np.tile(np.arange(1, k + 1), n), dtype=pl.Int32),
                    "similarity": pl.Series(alike.ravel().astype(np.float64), dtype=pl.Float64),
                }
            ),
        ],
        how="horizontal",
    )


@dataclass(frozen=True)
class TreatmentNeighbours:
    """Outcome of `treatment_neighbours`.

    Attributes
    ----------
    table
        One row per treatment and rank: the treatment, ``neighbour``, ``rank`` (Int32, from 1), ``similarity``
        (Float64), ``n_features`` (Int32).
    lost_treatments
        Treatments that take no part, by reason.
    lost_features
        Features that are not compared, by reason.
    """

    table: pl.DataFrame
    lost_treatments: dict[str, int]
    lost_features: dict[str, int]


def treatment_neighbours(
    consensus: pl.DataFrame, treatment: str = "Metadata_perturbation", *, k: int = 10
) -> TreatmentNeighbours:
    """Find the nearest treatments of each treatment by the cosine of their consensus profiles.

    Parameters
    ----------
    consensus
        Consensus profiles (level 5), one row per treatment.
    treatment
        Column that names the treatment; rows without a name take no part.
    k
        Neighbours of a treatment, at most.

    Returns
    -------
    TreatmentNeighbours
        Treatments that lack more than half of the features take no part, nor do those whose profile is all zeros;
        features that one of the others lacks are not compared.

    Raises
    ------
    UsageError
        For k below 1.

    Examples
    --------
    >>> profiles = pl.DataFrame({"Metadata_perturbation": ["a", "b", "c"], "F": [1.0, 2.0, -1.0], "G": [1.0, 1.9, 0.1]})
    >>> treatment_neighbours(profiles, k=1).table.select("Metadata_perturbation", "neighbour").rows()
    [('a', 'b'), ('b', 'a'), ('c', 'a')]
    """
    known = consensus.filter(pl.col(treatment).is_not_null())
    lost = {"the treatment has no id": consensus.height - known.height}
    if not feature_columns(known) or known.is_empty():
        schema = {treatment: pl.String, "neighbour": pl.String, "rank": pl.Int32}
        empty = pl.DataFrame(schema=schema | {"similarity": pl.Float64, "n_features": pl.Int32})
        return TreatmentNeighbours(empty, lost | {"no feature to compare by": known.height}, {})
    vectors = to_vectors(known, "cosine")
    has_direction = vectors.values.any(axis=1)  # a profile of zeros would resemble all others alike
    usable = replace(vectors, values=vectors.values[has_direction], rows=vectors.rows[has_direction])
    index, alike = _nearest(usable, k)
    n, width = index.shape
    names = known[treatment][usable.rows]
    table = pl.DataFrame(
        {
            treatment: names[np.repeat(np.arange(n), width)],
            "neighbour": names[index.ravel()],
            "rank": pl.Series(np.tile(np.arange(1, width + 1), n), dtype=pl.Int32),
            "similarity": pl.Series(alike.ravel(), dtype=pl.Float64),
            "n_features": pl.Series(np.full(n * width, len(vectors.features)), dtype=pl.Int32),
        }
    )
    lost |= {
        "lacks more than half of the features": known.height - len(vectors.rows),
        "does not differ from the controls in any feature": len(vectors.rows) - len(usable.rows),
    }
    return TreatmentNeighbours(table, lost, {"some treatment has no value": len(vectors.dropped)})


def _nearest(vectors: Vectors, k: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Find the nearest neighbours of each vector, a block of vectors at a time.

    Returns their numbers among the vectors and their similarity, both of shape (vectors, k) or narrower where there are
    fewer others; most alike first, and of equal ones the one with the lowest number.
    """
    if k < 1:
        raise UsageError(f"k must be 1 or more; found {k}")
    n = len(vectors.rows)
    k = min(k, max(n - 1, 0))
    index, alike = np.zeros((n, k), np.intp), np.zeros((n, k), np.float32)
    step = block_rows(n)
    for start in range(0, n if k else 0, step):
        block = slice(start, min(start + step, n))
        found = similarity_block(vectors, block)
        found[np.arange(len(found)), np.arange(n)[block]] = -np.inf
        index[block] = _largest(found, k)
        alike[block] = np.take_along_axis(found, index[block], axis=1)
    return index, alike


def _largest(values: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """Return the columns of the k largest values of each row, largest first; of equal ones the first column first.

    The same as a stable sort of each row, without sorting all of it.
    """
    if k >= values.shape[1]:
        return np.argsort(-values, axis=1, kind="stable")
    chosen = np.argpartition(values, -k, axis=1)[:, -k:]
    chosen.sort(axis=1)
    held = np.take_along_axis(values, chosen, axis=1)
    # Where others equal the smallest one chosen, argpartition takes any of them: sort these rows.
    least = held.min(axis=1, keepdims=True)
    tied = np.flatnonzero((values == least).sum(axis=1) > (held == least).sum(axis=1))
    order = np.take_along_axis(chosen, np.argsort(-held, axis=1, kind="stable"), axis=1)
    order[tied] = np.argsort(-values[tied], axis=1, kind="stable")[:, :k]
    return order


def similarity_matrix(frame: FrameLike, *, metric: str = "cosine", missing: str = "impute") -> NDArray[np.float32]:
    """Compare every profile with every other.

    Parameters
    ----------
    frame, metric, missing
        As in `similarity`.

    Returns
    -------
    numpy.ndarray
        Shape (rows, rows), float32, symmetric; NaN for rows that lack more than half of the features.
    """
    data = to_polars(frame)
    vectors = to_vectors(data, metric, missing=missing)
    full = np.full((data.height, data.height), np.nan, dtype=np.float32)
    full[np.ix_(vectors.rows, vectors.rows)] = similarity_block(vectors, slice(None))
    return full
