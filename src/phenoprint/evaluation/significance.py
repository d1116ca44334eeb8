"""Mean average precision of treatments, with a null, corrected p values, and the smallest p attainable."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.errors import SchemaError, UsageError
from phenoprint.evaluation.nulls import null_counts
from phenoprint.tables import Groups, require_columns, to_polars

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import FrameLike

__all__ = ["mean_average_precision", "null_average_precision"]

_TOLERANCE = 1e-9  # scores are fractions: sums in another order differ in the last bits only
_DRAW_BYTES = 64 * 2**20


def mean_average_precision(
    ap_frame: FrameLike,
    sameby: Sequence[str],
    *,
    null_size: int = 10_000,
    threshold: float = 0.05,
    seed: int = 0,
    strict: bool = False,
) -> pl.DataFrame:
    """Average the precision of a treatment's replicates and test it against random orders.

    Parameters
    ----------
    ap_frame
        What `average_precision` returned, filtered to the queries of interest.
    sameby
        Columns that make a treatment; a scored row with NULL in one of them belongs to none, which is an error.
    null_size
        Random orders drawn for each number of positives and candidates. Where there are no more orders than
        that, they are enumerated and the p value is exact.
    threshold
        For the columns ``below_p`` and ``below_corrected_p``.
    seed
        Seed of the draws. A null depends on the seed and its two numbers only, not on the rest of the frame.
    strict
        Count only null values above the score, as copairs does, rather than those equal to it too; always
        sampled. It makes p too small where few orders exist: two replicates that rank each other before 16
        controls get 1 / 10,001, although one order in 17 scores as high.

    Returns
    -------
    polars.DataFrame
        One row per treatment, sorted: the keys, ``n_replicates`` (queries with a score),
        ``mean_average_precision``, ``mean_normalized_average_precision``, ``p_value``, ``smallest_p`` (that
        of a perfect score; above the threshold no result can pass), ``corrected_p_value`` (Benjamini-Hochberg
        over all rows), ``below_p``, ``below_corrected_p``, ``null`` (``exact`` or ``sampled``). Queries
        without a score are left out, and with them treatments that have no other.

    Raises
    ------
    SchemaError
        Where a row with a score has NULL in `sameby`.
    UnknownNameError
        For an absent column.
    UsageError
        For a null of less than one.

    Notes
    -----
    ``p = (b + 1) / (null_size + 1)`` with b null values at or above the score (Phipson and Smyth, Stat Appl
    Genet Mol Biol 9:39, 2010). As in copairs, the replicates of a treatment that have the same numbers share
    one draw: their scores are taken as fully dependent, which is cautious.

    Examples
    --------
    >>> from phenoprint.evaluation import average_precision
    >>> rng = np.random.default_rng(0)
    >>> wells = pl.DataFrame(rng.normal(size=(24, 6)), schema=list("abcdef")).with_columns(
    ...     Metadata_compound=pl.Series(["taxol"] * 4 + ["inert"] * 4 + ["DMSO"] * 16),
    ...     Metadata_pert_type=pl.Series(["trt"] * 8 + ["negcon"] * 16),
    ... )
    >>> wells = wells.with_columns(a=pl.col("a") + 9 * (pl.col("Metadata_compound") == "taxol"))
    >>> scored = average_precision(wells, pos_sameby=["Metadata_compound"], neg_diffby=["Metadata_pert_type"])
    >>> result = mean_average_precision(scored.filter(Metadata_pert_type="trt"), sameby=["Metadata_compound"])
    >>> result.filter("below_corrected_p")["Metadata_compound"].to_list()
    ['taxol']
    """
    from scipy.stats import false_discovery_control

    data = to_polars(ap_frame)
    if null_size < 1:
        raise UsageError(f"null_size must be 1 or more; found {null_size}")
    needed = ["average_precision", "normalized_average_precision", "n_pos_pairs", "n_total_pairs"]
    require_columns(data, [*sameby, *needed], purpose="mean average precision")
    data = data.filter(pl.col("average_precision").is_not_null() & (pl.col("n_pos_pairs") > 0))
    missing = null_counts(data, sameby)
    if missing:
        raise SchemaError(
            f"a score belongs to the treatment that {', '.join(sameby)} name; {missing} with a score. Fill it, filter "
            "those rows, or group by other columns"
        )
    groups = Groups.of(data, sameby)
    score = data.get_column("average_precision").to_numpy()
    normalized = data.get_column("normalized_average_precision").to_numpy()
    sizes = data.select("n_pos_pairs", "n_total_pairs").to_numpy()
    nulls: dict[tuple[int, int], NDArray[np.float64]] = {}
    p_values, smallest, exact, means, normalized_means = [], [], [], [], []
    for rows in groups.rows():
        pairs = [(int(m), int(total)) for m, total in sizes[rows]]
        for pair in set(pairs) - set(nulls):
            nulls[pair] = null_average_precision(*pair, null_size=null_size, seed=seed, exact=not strict)
        enumerated = len(set(pairs)) == 1 and len(nulls[pairs[0]]) == comb(pairs[0][1], pairs[0][0]) and not strict
        null = nulls[pairs[0]] if enumerated else _mean_null(nulls, pairs, null_size, seed)
        mean = float(score[rows].mean())
        means.append(mean)
        normalized_means.append(float(normalized[rows].mean()))
        p_values.append(_p_value(null, mean, enumerated=enumerated, strict=strict))
        smallest.append(_p_value(null, 1.0, enumerated=enumerated, strict=strict))
        exact.append(enumerated)
    corrected = false_discovery_control(p_values)
    return groups.keys.with_columns(
        pl.Series("n_replicates", groups.sizes, dtype=pl.Int64),
        pl.Series("mean_average_precision", means, dtype=pl.Float64),
        pl.Series("mean_normalized_average_precision", normalized_means, dtype=pl.Float64),
        pl.Series("p_value", p_values, dtype=pl.Float64),
        pl.Series("smallest_p", smallest, dtype=pl.Float64),
        pl.Series("corrected_p_value", corrected, dtype=pl.Float64),
        pl.Series("below_p", np.array(p_values) < threshold, dtype=pl.Boolean),
        pl.Series("below_corrected_p", corrected < threshold, dtype=pl.Boolean),
        pl.Series("null", ["exact" if e else "sampled" for e in exact], dtype=pl.String),
    )


def null_average_precision(
    n_pos: int, n_total: int, *, null_size: int, seed: int = 0, exact: bool = True
) -> NDArray[np.float64]:
    """Average precision of random orders of `n_total` candidates with `n_pos` positives.

    Parameters
    ----------
    n_pos, n_total
        Positives, and candidates in all.
    null_size
        How many to draw, with replacement.
    seed
        Seed of the draws.
    exact
        Give every order once where there are no more than `null_size`.

    Returns
    -------
    numpy.ndarray
        Shape (null_size,), or (number of orders,) where enumerated; float64.
    """
    if exact and comb(n_total, n_pos) <= null_size:
        ranks = np.array(list(combinations(range(1, n_total + 1), n_pos)), dtype=np.float64)
        return _precision_of(ranks)
    rng = np.random.default_rng([seed, n_pos, n_total])
    step = max(1, _DRAW_BYTES // (8 * n_total))
    draws = [
        _precision_of(_random_ranks(rng, min(step, null_size - start), n_pos, n_total))
        for start in range(0, null_size, step)
    ]
    return np.concatenate(draws)


def _precision_of(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average precision from the sorted ranks of the positives, shape (orders, positives)."""
    found = np.arange(1, ranks.shape[1] + 1)
    result: NDArray[np.float64] = (found / ranks).mean(axis=1)
    return result


def _random_ranks(rng: np.random.Generator, n: int, n_pos: int, n_total: int) -> NDArray[np.float64]:
    """Draw sorted ranks of the positives in `n` random orders."""
    # The ranks of the smallest n_pos of n_total random keys are a random subset.
    keys = rng.random((n, n_total), dtype=np.float32)
    if n_pos < n_total:
        chosen = np.argpartition(keys, n_pos - 1, axis=1)[:, :n_pos]
    else:
        chosen = np.tile(np.arange(n_total), (n, 1))
    return np.sort(chosen, axis=1).astype(np.float64) + 1


def _mean_null(
    nulls: dict[tuple[int, int], NDArray[np.float64]], pairs: list[tuple[int, int]], null_size: int, seed: int
) -> NDArray[np.float64]:
    """Null of a mean over replicates with different numbers: draws are independent between the numbers."""
    total = np.zeros(null_size)
    for pair in sorted(set(pairs)):
        null = nulls[pair]
        if len(null) != null_size:
            null = np.random.default_rng([seed, *pair]).choice(null, null_size)
        total += pairs.count(pair) * null
    return total / len(pairs)


def _p_value(null: NDArray[np.float64], score: float, *, enumerated: bool, strict: bool) -> float:
    count = int((null > score + _TOLERANCE).sum() if strict else (null >= score - _TOLERANCE).sum())
    return count / len(null) if enumerated else (count + 1) / (len(null) + 1)
