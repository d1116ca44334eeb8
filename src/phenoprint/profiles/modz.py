"""MODZ: a consensus in which replicates are weighted by their agreement with the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from phenoprint.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import FloatArray, Groups

    Matrix = NDArray[np.float64]

__all__ = ["modz", "modz_weights"]

_BLOCK_ROWS = 512


def modz(
    values: FloatArray, groups: Groups, *, correlation: str = "spearman", min_weight: float = 0.01, precision: int = 4
) -> Matrix:
    """Average replicates, each weighted by its mean correlation with the other replicates.

    Parameters
    ----------
    values
        Shape (features, rows), NaN where missing.
    groups
        Groups of replicates.
    correlation
        ``"spearman"`` or ``"pearson"``, over the features that are complete in a group.
    min_weight
        Smallest mean correlation; negative correlations count as 0.
    precision
        Digits to which weights are rounded, as in pycytominer; their sum may then differ from 1.

    Returns
    -------
    numpy.ndarray
        Shape (features, groups), float64.

    Notes
    -----
    Subramanian et al., Cell 171:1437, 2017, in the form of ``pycytominer.consensus(operation="modz")``, with which it
    agrees to 1e-6 on complete profiles. If a replicate lacks a feature, the weights of the others are scaled up; a
    feature without any value is missing (pycytominer leaves it out of the sum, or returns 0). A replicate that lacks
    more than half of the features is left out.
    """
    if correlation not in ("pearson", "spearman"):
        raise UnknownNameError("correlation of MODZ", correlation, ["pearson", "spearman"])
    if not 0 <= min_weight <= 1 or precision < 0:
        raise UsageError(f"min_weight must be between 0 and 1 and precision 0 or more; found {min_weight}, {precision}")
    n_features = len(values)
    out = np.full((n_features, len(groups)), np.nan)
    lacking = np.isnan(values).sum(axis=0)
    usable = lacking <= 0.5 * n_features
    bounds = groups.bounds
    number = 0
    while number < len(groups):
        # Consecutive groups are copied into one block, where the values of a profile are contiguous.
        stop = number + 1
        while stop < len(groups) and bounds[stop + 1] - bounds[number] <= _BLOCK_ROWS:
            stop += 1
        rows = groups.order[bounds[number] : bounds[stop]]
        block = np.ascontiguousarray(values[:, rows].T)
        complete = not lacking[rows].any()
        standard = _standard(block, correlation) if complete else None
        for group in range(number, stop):
            part = slice(int(bounds[group] - bounds[number]), int(bounds[group + 1] - bounds[number]))
            own = block[part]
            if standard is not None:
                weights = modz_weights(standard[part], min_weight=min_weight, precision=precision)
                out[:, group] = weights @ own if len(own) > 1 else own[0]
            else:
                out[:, group] = _with_missing(own[usable[rows[part]]], correlation, min_weight, precision)
        number = stop
    return out


def modz_weights(standard: Matrix, *, min_weight: float = 0.01, precision: int = 4) -> Matrix:
    """Compute the weights of replicates from their mean correlation with the others.

    Parameters
    ----------
    standard
        Replicates, centred and of unit length, shape (replicates, features); zeros for a replicate that does not vary.
    min_weight, precision
        As in `modz`.

    Returns
    -------
    numpy.ndarray
        Shape (replicates,).
    """
    n = len(standard)
    if n == 1:
        return np.ones(1)
    agreement = np.clip(standard @ standard.T, 0, None)
    np.fill_diagonal(agreement, 0)
    raw = np.clip(agreement.sum(axis=1) / (n - 1), min_weight, None)
    total = raw.sum()
    weights: Matrix = np.round(raw / total, precision) if total > 0 else np.full(n, 1 / n)
    return weights


def _with_missing(own: FloatArray, correlation: str, min_weight: float, precision: int) -> Matrix:
    if not len(own):
        return np.full(own.shape[1], np.nan)
    shared = ~np.isnan(own).any(axis=0)
    standard = _standard(np.ascontiguousarray(own[:, shared]), correlation)
    weights = modz_weights(standard, min_weight=min_weight, precision=precision)
    there = ~np.isnan(own)
    present = weights @ there
    total = weights @ np.nan_to_num(own)
    scaled = np.where(there.all(axis=0), total, total * weights.sum() / np.where(present > 0, present, 1))
    result: Matrix = np.where(present > 0, scaled, np.nan)
    return result


def _standard(block: FloatArray, correlation: str) -> Matrix:
    """Centre each row, or its ranks, and scale it to unit length; shape (rows, features)."""
    wide = row_ranks(block) if correlation == "spearman" else block.astype(np.float64)
    if wide.shape[1]:
        wide -= wide.mean(axis=1, keepdims=True)
    length = np.sqrt((wide**2).sum(axis=1, keepdims=True))
    np.divide(wide, length, out=wide, where=length > 0)
    wide[length[:, 0] == 0] = 0
    return wide


def row_ranks(block: FloatArray) -> Matrix:
    """Rank the values of each row, ties by their mean rank; shape (rows, features), float64, complete."""
    from phenoprint.profiles.compiled_ranks import ranks_of_keys, ranks_of_order

    out = np.empty(block.shape, dtype=np.float64)
    if block.dtype == np.float32 and block.shape[1] < 2**32:
        # Upper 32 bits: the float32 as an integer of the same order; lower 32 bits: its index.
        bits = (block + np.float32(0)).view(np.uint32)  # + 0 turns -0 into 0
        negative = (bits >> np.uint32(31)).astype(bool)
        ordered = np.where(negative, ~bits, bits | np.uint32(1 << 31)).astype(np.uint64)
        keys = (ordered << np.uint64(32)) | np.arange(block.shape[1], dtype=np.uint64)
        keys.sort(axis=1)
        ranks_of_keys(keys, out)
        return out
    ranks_of_order(block, np.argsort(block, axis=1), out)
    return out
