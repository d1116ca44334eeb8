"""Average precision: whether the replicates of a treatment rank each other before the negatives.

After Kalinin et al., Nat Commun 2025, as in copairs, whose numbers it reproduces. Similarities are computed for a
block of queries at a time, so that memory does not grow with the number of pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.errors import UsageError
from phenoprint.evaluation.nulls import null_counts
from phenoprint.evaluation.similarities import Vectors, block_rows, similarity_block, to_vectors
from phenoprint.tables import metadata_columns, require_columns, to_polars

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import FrameLike, IntArray

__all__ = ["average_precision", "expected_average_precision"]

# Queries of a block where there are too many profiles to compare all with all at once.
_QUERIES = 512


def average_precision(
    frame: FrameLike,
    pos_sameby: Sequence[str],
    pos_diffby: Sequence[str] = (),
    *,
    neg_sameby: Sequence[str] = (),
    neg_diffby: Sequence[str] = (),
    metric: str = "cosine",
    missing: str = "impute",
    vectors: Callable[[pl.DataFrame], Vectors] | None = None,
) -> pl.DataFrame:
    """Score for each profile how high its positives rank among its negatives by similarity.

    Parameters
    ----------
    frame
        Profiles. Every row is a query and a candidate of the others.
    pos_sameby, pos_diffby
        Two rows are a positive pair where they agree in all columns of the first list and differ in all of
        the second. NULL is unknown: as in SQL it neither agrees nor differs, so a row with NULL in one of these
        columns has no positive pair. (copairs refuses NULL; pandas groups drop it.) Where controls have no
        compound, fill it first: ``pl.col("Metadata_compound").fill_null("DMSO")``.
    neg_sameby, neg_diffby
        The same for negative pairs: a row with NULL in one of them has none and is in none.
    metric
        ``"cosine"``, ``"correlation"`` (also ``"pearson"``) or ``"euclidean"``.
    missing
        ``"impute"``: rows that lack more than a quarter of the features are left out as queries and candidates,
        features that many rows lack are left out (``n_features`` is the number used), and other missing values are
        imputed, see `to_vectors`; ``"error"``: a missing value is an error. Rows that lack more than half of the
        features are left out in any case.
    vectors
        Makes the vectors of the profiles, for a frame that holds their metadata only; None: `to_vectors`, from the
        features of the frame.

    Returns
    -------
    polars.DataFrame
        One row per query in the frame's order: its metadata, ``n_pos_pairs``, ``n_total_pairs`` (Int64),
        ``average_precision``, ``normalized_average_precision`` (0 expected of a random order, 1 perfect;
        Float64, NULL without positives), ``n_features`` (Int64).

    Raises
    ------
    SchemaError
        Where no feature is left (or, with ``missing="error"``, one is incomplete).
    UnknownNameError
        For an absent column or an unknown metric.
    UsageError
        Where there is no positive or no negative pair at all (the message counts the NULLs of its columns), or
        pairs are both.

    Notes
    -----
    Equal similarities count with the average over all orders of the tied (McSherry and Najork, ECIR 2008);
    copairs puts tied positives first.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> wells = pl.DataFrame({"Metadata_Plate": ["p"] * 12, "Metadata_compound": ["taxol"] * 4 + ["DMSO"] * 8})
    >>> wells = wells.with_columns(Metadata_pert_type=pl.Series(["trt"] * 4 + ["negcon"] * 8))
    >>> wells = wells.hstack(pl.DataFrame(rng.normal(size=(12, 5)), schema=list("abcde")))
    >>> wells = wells.with_columns(a=pl.col("a") + 9 * (pl.col("Metadata_compound") == "taxol"))
    >>> scores = average_precision(wells, pos_sameby=["Metadata_compound"], neg_diffby=["Metadata_compound"])
    >>> scores.filter(Metadata_compound="taxol")["average_precision"].to_list()
    [1.0, 1.0, 1.0, 1.0]
    """
    data = to_polars(frame)
    require_columns(data, pos_sameby, purpose="pos_sameby")
    require_columns(data, pos_diffby, purpose="pos_diffby")
    require_columns(data, neg_sameby, purpose="neg_sameby")
    require_columns(data, neg_diffby, purpose="neg_diffby")
    if not (pos_sameby or pos_diffby) or not (neg_sameby or neg_diffby):
        raise UsageError("positive and negative pairs need at least one column each; found an empty definition")
    made = to_vectors(data, metric, missing=missing) if vectors is None else vectors(data)
    codes = {
        name: _codes(data.get_column(name))[made.rows] for name in {*pos_sameby, *pos_diffby, *neg_sameby, *neg_diffby}
    }
    n = len(made.rows)
    scores = np.full(n, np.nan)
    n_pos, n_total = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    for block, candidates in _blocks(codes, n, pos_sameby, neg_sameby):
        positive = _pairs(codes, block, candidates, pos_sameby, pos_diffby)
        negative = _pairs(codes, block, candidates, neg_sameby, neg_diffby)
        if bool((positive & negative).any()):
            raise UsageError(
                "pairs are positive and negative at once; add a column of pos_sameby "
                f"({', '.join(pos_sameby)}) to neg_diffby ({', '.join(neg_diffby)})"
            )
        n_pos[block] = positive.sum(axis=1)
        n_total[block] = n_pos[block] + negative.sum(axis=1)
        scores[block] = _score(similarity_block(made, block, candidates), positive, negative)
    if not n_pos.any():
        raise UsageError(_no_pair(data, "positive", pos_sameby, pos_diffby))
    if not (n_total > n_pos).any():
        raise UsageError(_no_pair(data, "negative", neg_sameby, neg_diffby))
    return _result(data, made.rows, n_pos, n_total, scores=scores, n_features=len(made.features))


def expected_average_precision(n_pos: NDArray[np.int64], n_total: NDArray[np.int64]) -> NDArray[np.float64]:
    """Average precision expected of a random order of `n_total` candidates with `n_pos` positives.

    ``(1 / L) * ((M - 1) / (L - 1) * (L - H_L) + H_L)`` with M positives, L candidates and the harmonic number
    H_L; 0 without positives, 1 without negatives.
    """
    total = np.maximum(n_total, 2).astype(np.float64)
    harmonics = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, max(int(n_total.max(initial=0)), 2) + 1))])
    h = harmonics[np.maximum(n_total, 2)]
    expected = ((n_pos - 1) / (total - 1) * (total - h) + h) / total
    return np.where(n_pos == 0, 0.0, np.where(n_pos == n_total, 1.0, expected))


def _no_pair(data: pl.DataFrame, kind: str, sameby: Sequence[str], diffby: Sequence[str]) -> str:
    """Return the message for a kind of pair that is absent, with the NULLs that may be the cause."""
    asked = [f"agree in {', '.join(sameby)}" if sameby else None, f"differ in {', '.join(diffby)}" if diffby else None]
    text = f"no {kind} pair: no two of {data.height} rows {' and '.join(part for part in asked if part)}"
    missing = null_counts(data, [*sameby, *diffby])
    if not missing:
        return text
    return (
        f"{text}; {missing}, and NULL neither agrees nor differs. Fill it "
        "(such as the compound of controls with fill_null('DMSO')) or pair by other columns"
    )


def _codes(column: pl.Series) -> NDArray[np.int64]:
    """Return a number for each value of a column; NULL (and NaN) is -1."""
    if column.dtype.is_float():
        column = column.fill_nan(None)
    codes = column.rank("dense").fill_null(0).cast(pl.Int64).to_numpy() - 1
    return codes.astype(np.int64)


def _blocks(
    codes: dict[str, NDArray[np.int64]], n: int, pos_sameby: Sequence[str], neg_sameby: Sequence[str]
) -> Iterator[tuple[slice, IntArray | slice]]:
    """Split the queries, each block with the rows that may pair with one of them."""
    if n <= block_rows(n):
        yield slice(0, n), slice(0, n)
        return
    for start in range(0, n, _QUERIES):
        block = slice(start, min(start + _QUERIES, n))
        pairs = np.zeros(n, dtype=bool)
        for sameby in (pos_sameby, neg_sameby):
            alike = np.ones(n, dtype=bool)
            for name in sameby:
                wanted = np.zeros(codes[name].max() + 2, dtype=bool)  # the last is that of NULL, -1
                wanted[codes[name][block]] = True
                alike &= wanted[codes[name]]
            pairs |= alike
        yield block, np.flatnonzero(pairs)


def _pairs(
    codes: dict[str, NDArray[np.int64]],
    block: slice,
    candidates: IntArray | slice,
    sameby: Sequence[str],
    diffby: Sequence[str],
) -> NDArray[np.bool_]:
    """Whether each query of the block pairs with each candidate: shape (queries, candidates)."""
    rows = np.arange(len(next(iter(codes.values()))))
    mask: NDArray[np.bool_] = rows[block][:, None] != rows[candidates][None, :]
    for name in sameby:
        mask &= codes[name][block][:, None] == codes[name][candidates][None, :]
    for name in diffby:
        mask &= codes[name][block][:, None] != codes[name][candidates][None, :]
    for name in {*sameby, *diffby}:
        known = codes[name] >= 0
        mask &= known[block][:, None] & known[candidates][None, :]
    return mask


def _score(
    similarity: NDArray[np.float32], positive: NDArray[np.bool_], negative: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Average precision of each query; NaN without positives."""
    from phenoprint.evaluation.compiled_permutations import precision_of_queries

    scores = np.empty(len(similarity))
    precision_of_queries(similarity, positive, negative, scores)
    return scores


def _result(
    data: pl.DataFrame,
    rows: NDArray[np.intp],
    n_pos: NDArray[np.int64],
    n_total: NDArray[np.int64],
    *,
    scores: NDArray[np.float64],
    n_features: int,
) -> pl.DataFrame:
    chance = expected_average_precision(n_pos, n_total)
    normalized = np.clip((scores - chance) / np.maximum(1 - chance, 1e-10), -1, 1)
    columns: dict[str, tuple[NDArray[np.float64], type[pl.DataType]]] = {
        "n_pos_pairs": (n_pos.astype(np.float64), pl.Int64),
        "n_total_pairs": (n_total.astype(np.float64), pl.Int64),
        "average_precision": (scores, pl.Float64),
        "normalized_average_precision": (normalized, pl.Float64),
    }
    series = []
    for name, (values, dtype) in columns.items():
        full = np.full(data.height, 0.0 if dtype is pl.Int64 else np.nan)
        full[rows] = values
        series.append(pl.Series(name, full, nan_to_null=True).cast(dtype))
    series.append(pl.Series("n_features", [n_features] * data.height, dtype=pl.Int64))
    return data.select(metadata_columns(data)).with_columns(series)
