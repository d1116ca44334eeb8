"""Similarity of profiles by matrix products, a block of queries at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.errors import SchemaError, UnknownNameError
from phenoprint.tables import feature_columns, feature_matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["METRICS", "Vectors", "block_rows", "prepare", "similarity_block"]

METRICS = ("cosine", "correlation", "euclidean", "pearson")
"""``correlation`` and ``pearson`` are one; euclidean similarity is 1 / (1 + distance), as in copairs."""

_BLOCK_BYTES = 64 * 2**20  # similarities held at once


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
        Features left out since a usable row lacks a value.
    metric
        One of `METRICS`.
    """

    values: NDArray[np.float32]
    rows: NDArray[np.intp]
    features: tuple[str, ...]
    dropped: tuple[str, ...]
    metric: str


def prepare(frame: pl.DataFrame, metric: str, *, missing: str = "drop") -> Vectors:
    """Make vectors of a frame's profiles.

    Parameters
    ----------
    frame
        Profiles.
    metric
        One of `METRICS`.
    missing
        Rows that lack more than half of their features (wells without cells) are no profiles and are left out
        in any case. Features that another row lacks are then left out (``"drop"``) or are an error
        (``"error"``).

    Raises
    ------
    SchemaError
        Where a value is missing and `missing` is ``"error"``, or no complete feature is left.
    UnknownNameError
        For an unknown metric or rule.
    """
    if metric not in METRICS:
        raise UnknownNameError("metric", metric, METRICS)
    if missing not in ("drop", "error"):
        raise UnknownNameError("rule for missing values", missing, ["drop", "error"])
    features = feature_columns(frame)
    if not features:
        raise SchemaError("expected feature columns to compare profiles by; found only Metadata_ columns")
    values = feature_matrix(frame, features)
    absent = np.isnan(values)
    rows = np.flatnonzero(absent.mean(axis=0) <= 0.5)
    incomplete: NDArray[np.bool_] = np.asarray(absent[:, rows].any(axis=1))
    dropped = tuple(name for name, gone in zip(features, incomplete.tolist(), strict=True) if gone)
    if len(rows) and (len(dropped) == len(features) or (dropped and missing == "error")):
        raise SchemaError(
            f"profiles can be compared by complete features only; {len(dropped)} of {len(features)} lack a "
            f"value in some row, the first {list(dropped[:5])}. Leave them out with "
            "select_features(frame, ['drop_na_columns'], na_cutoff=0), or filter the rows that lack them"
        )
    kept = values[~incomplete][:, rows].T.astype(np.float64)
    if metric in ("correlation", "pearson"):
        kept -= kept.mean(axis=1, keepdims=True)
    if metric != "euclidean":
        length = np.linalg.norm(kept, axis=1, keepdims=True)
        np.divide(kept, length, out=kept, where=length > 0)
    complete = tuple(name for name, gone in zip(features, incomplete.tolist(), strict=True) if not gone)
    return Vectors(np.ascontiguousarray(kept, dtype=np.float32), rows, complete, dropped, metric)


def similarity_block(vectors: Vectors, queries: slice | Sequence[int]) -> NDArray[np.float32]:
    """Compare some of the vectors with all: shape (queries, usable rows), float32, larger is more alike."""
    values = vectors.values
    if vectors.metric != "euclidean":
        products: NDArray[np.float32] = values[queries] @ values.T
        return products
    # In float64: the difference of squares would cost a float32 distance between near profiles all its digits.
    wide = values.astype(np.float64)
    wide -= wide.mean(axis=0)
    squares = (wide**2).sum(axis=1)
    distance = np.sqrt(np.maximum(squares[queries][:, None] + squares[None, :] - 2 * (wide[queries] @ wide.T), 0))
    similarity: NDArray[np.float32] = (1 / (1 + distance)).astype(np.float32)
    return similarity


def block_rows(n: int) -> int:
    """Return the queries of a block, so that a block of similarities to `n` profiles stays within 64 MiB."""
    return max(1, _BLOCK_BYTES // (4 * max(n, 1)))
