"""Similarity of profiles by matrix products, a block of queries at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.errors import SchemaError, UnknownNameError
from phenoprint.tables import feature_columns, feature_matrix, find_gaps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import Blocks, FloatArray, Gaps, IntArray

__all__ = ["METRICS", "Vectors", "block_rows", "blocks_to_vectors", "similarity_block", "to_vectors"]

METRICS = ("cosine", "correlation", "euclidean", "pearson")
"""``correlation`` and ``pearson`` are one; euclidean similarity is 1 / (1 + distance), as in copairs."""

_BLOCK_BYTES = 64 * 2**20  # similarities held at once
_SCALED_ROWS = 2048  # profiles scaled at once, as 64-bit floats


@dataclass(frozen=True)
class Vectors:
    """Profiles ready to be compared.

    Attributes
    ----------
    values
        Shape (usable rows, features), float32; unit length for cosine and correlation. A profile of length 0
        stays 0 and has similarity 0 with all.
    rows
        Row numbers of the frame that are usable, shape (usable rows,).
    features
        The features used.
    dropped
        Features left out since many rows lack a value.
    metric
        One of `METRICS`.
    gaps
        Which rows are left out since they lack much, and how many values were imputed, see `Gaps`.
    """

    values: NDArray[np.float32]
    rows: NDArray[np.intp]
    features: tuple[str, ...]
    dropped: tuple[str, ...]
    metric: str
    gaps: Gaps


def to_vectors(frame: pl.DataFrame, metric: str, *, missing: str = "impute") -> Vectors:
    """Make vectors of the profiles of a frame.

    Parameters
    ----------
    frame
        Profiles.
    metric
        One of `METRICS`.
    missing
        Rows that lack more than half of their features (wells without cells) are no profiles and are left out
        in any case. ``"impute"``: features that more than 5 % of the others lack are left out, and so are rows that
        lack more than a quarter of the rest; what is then missing is the median of the feature (see `find_gaps`).
        ``"error"``: a missing value is an error.

    Raises
    ------
    SchemaError
        Where a value is missing and `missing` is ``"error"``, or no feature is left.
    UnknownNameError
        For an unknown metric or rule.
    """
    features = feature_columns(frame)
    block = (np.arange(frame.height), feature_matrix(frame, features))
    return blocks_to_vectors(lambda: [block], features, metric, missing=missing)


def blocks_to_vectors(
    blocks: Blocks,
    features: Sequence[str],
    metric: str,
    *,
    missing: str = "impute",
    allocate: Callable[[tuple[int, int]], NDArray[np.float32]] | None = None,
) -> Vectors:
    """Make vectors of profiles that are read one block after the other.

    Parameters
    ----------
    blocks
        As in `find_gaps`; called twice for profiles without gaps.
    features
        Names of the features.
    metric, missing
        As in `to_vectors`.
    allocate
        Makes the array of the vectors, given its shape, such as one that is kept on disk; None: in memory.

    Returns
    -------
    Vectors
        The same as of all profiles at once.

    Raises
    ------
    SchemaError, UnknownNameError
        As `to_vectors`.
    """
    if metric not in METRICS:
        raise UnknownNameError("metric", metric, METRICS)
    if missing not in ("impute", "error"):
        raise UnknownNameError("rule for missing values", missing, ["impute", "error"])
    if not features:
        raise SchemaError("expected feature columns to compare profiles by; found only Metadata_ columns")
    gaps = find_gaps(blocks, len(features))
    rows, is_used = gaps.rows, gaps.is_used
    if len(rows) and (not is_used.any() or (missing == "error" and gaps.n_missing.any())):
        lacking = [name for name, n in zip(features, gaps.n_missing.tolist(), strict=True) if n]
        raise SchemaError(
            f"too many values are missing to compare profiles; {len(lacking)} of {len(features)} features lack a "
            f"value in some row, the first {lacking[:5]}. Leave them out with "
            "select_features(frame, ['drop_na_columns'], na_cutoff=0), or filter the rows that lack them"
        )
    shape = (len(rows), int(is_used.sum()))
    vectors: NDArray[np.float32] = np.empty(shape, np.float32) if allocate is None else allocate(shape)
    for numbers, values in blocks():
        place = np.minimum(np.searchsorted(rows, numbers), max(len(rows) - 1, 0))
        usable = np.flatnonzero(rows[place] == numbers) if len(rows) else np.arange(0)
        for start in range(0, len(usable), _SCALED_ROWS):
            some = usable[start : start + _SCALED_ROWS]
            vectors[place[some]] = _scaled(gaps.complete(values[:, some]).T, metric)
    kept, dropped = (tuple(compress(features, (is_used == wanted).tolist())) for wanted in (True, False))
    return Vectors(vectors, rows, kept, dropped, metric, gaps)


def _scaled(profiles: FloatArray, metric: str) -> NDArray[np.float64]:
    """Bring profiles, shape (rows, features), to unit length for cosine, and center them first for correlation."""
    kept = np.array(profiles, dtype=np.float64, order="C")
    if metric in ("correlation", "pearson"):
        kept -= kept.mean(axis=1, keepdims=True)
    if metric != "euclidean":
        length = np.linalg.norm(kept, axis=1, keepdims=True)
        np.divide(kept, length, out=kept, where=length > 0)
    return kept


def similarity_block(
    vectors: Vectors, queries: slice | Sequence[int] | IntArray, candidates: IntArray | slice = slice(None)
) -> NDArray[np.float32]:
    """Compare some of the vectors with others: shape (queries, candidates), float32, larger is more alike.

    Parameters
    ----------
    vectors
        The vectors.
    queries
        Which of them are compared.
    candidates
        With which they are compared; default: with all.
    """
    others = vectors.values[candidates]
    if vectors.metric != "euclidean":
        products: NDArray[np.float32] = vectors.values[queries] @ others.T
        return products
    # In float64: the difference of squares would cost a float32 distance between near profiles all its digits.
    wide = others.astype(np.float64)
    middle = wide.mean(axis=0)
    wide -= middle
    asked = vectors.values[queries].astype(np.float64) - middle
    squared = (asked**2).sum(axis=1)[:, None] + (wide**2).sum(axis=1)[None, :] - 2 * (asked @ wide.T)
    similarity: NDArray[np.float32] = (1 / (1 + np.sqrt(np.maximum(squared, 0)))).astype(np.float32)
    return similarity


def block_rows(n: int) -> int:
    """Return the queries of a block, so that a block of similarities to `n` profiles stays within 64 MiB."""
    return max(1, _BLOCK_BYTES // (4 * max(n, 1)))
