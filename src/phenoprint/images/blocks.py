"""Fields as grids of block means, the input of the illumination estimators."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from phenoprint.errors import ImageError, UsageError

__all__ = ["AVERAGES", "block_means", "block_stack", "choose_smoothing", "robust_average", "smooth_onto"]

Float64 = npt.NDArray[np.float64]

AVERAGES = ("mean", "median", "trimmed")


def block_means(field: npt.NDArray[Any], grid: int) -> Float64:
    """Average a field over at most `grid` x `grid` blocks of nearly equal size.

    Parameters
    ----------
    field
        (Y, X) of any integer or float type.
    grid
        Blocks along the longer side; the shorter side has proportionally fewer, so that blocks are square.

    Returns
    -------
    (rows, columns) float64.

    Examples
    --------
    >>> block_means(np.array([[1, 3, 5, 5], [1, 3, 5, 5]]), 2)
    array([[2., 5.]])
    """
    rows, columns = (_edges(length, grid, max(field.shape)) for length in field.shape)
    sums = np.add.reduceat(field, columns[:-1], axis=1, dtype=np.float64)
    sums = np.add.reduceat(sums, rows[:-1], axis=0)
    return np.asarray(sums / np.multiply.outer(np.diff(rows), np.diff(columns)), dtype=np.float64)


def _edges(length: int, grid: int, longest: int) -> npt.NDArray[np.intp]:
    n_blocks = max(1, min(length, round(length * min(grid, longest) / longest)))
    return (np.arange(n_blocks + 1) * length) // n_blocks


def block_stack(
    fields: Iterable[npt.NDArray[Any]], *, grid: int, offset: float, max_fields: int, needed: int, seed: int
) -> tuple[tuple[int, int], Float64, int]:
    """Read fields one by one into a bounded stack of block means.

    Parameters
    ----------
    fields
        (Y, X) images of one shape.
    grid
        Blocks along the longer side.
    offset
        Subtracted from every block; negative results become 0.
    max_fields
        Largest size of the stack; of more fields a random sample is kept (reservoir sampling).
    needed
        Number of usable fields that the caller needs, for the message if there is no field.
    seed
        Seed of the sample.

    Returns
    -------
    (Y, X) of the fields; the stack (fields, rows, columns) float64; the number of fields that were skipped because they
    were blank or not finite.

    Raises
    ------
    UsageError
        If there is no field.
    ImageError
        If a field is not (Y, X) or its shape differs from the first.
    """
    random = np.random.default_rng(seed)
    shape: tuple[int, int] | None = None
    kept: list[Float64] = []
    n_usable = n_skipped = 0
    for number, field in enumerate(fields):
        if field.ndim != 2 or 0 in field.shape:
            raise ImageError(f"expected fields of shape (Y, X), field {number} has shape {field.shape}")
        if shape is None:
            shape = field.shape[0], field.shape[1]
        if field.shape != shape:
            raise ImageError(
                f"field {number} has shape {field.shape}, the first has {shape}; an illumination function "
                "needs fields of one size: estimate one function per size"
            )
        blocks = np.maximum(block_means(field, grid) - offset, 0)
        if not np.isfinite(blocks).all() or field.min() == field.max() or not blocks.any():
            n_skipped += 1
            continue
        n_usable += 1
        if len(kept) < max_fields:
            kept.append(blocks)
        elif (place := int(random.integers(n_usable))) < max_fields:
            kept[place] = blocks
    if shape is None:
        raise UsageError(f"no field given, at least {needed} needed to estimate an illumination function")
    return (
        shape,
        np.array(kept, dtype=np.float64).reshape(len(kept), *(kept[0].shape if kept else shape)),
        n_skipped,
    )


def robust_average(stack: Float64, average: str) -> Float64:
    """Average fields place by place.

    Parameters
    ----------
    stack
        (fields, rows, columns), not negative.
    average
        ``"mean"`` of the fields as they are; ``"median"`` and ``"trimmed"`` of fields divided by their
        own brightness.

    Returns
    -------
    (rows, columns) float64.
    """
    if average == "mean":
        return np.asarray(stack.mean(axis=0))
    relative = stack / _brightness(stack)[:, None, None]
    if average == "median":
        return np.asarray(np.median(relative, axis=0))
    # More of the bright side is removed, because debris and clumps are bright.
    n_fields = len(relative)
    low, high = int(0.05 * n_fields), n_fields - int(0.20 * n_fields)
    return np.asarray(np.sort(relative, axis=0)[low:high].mean(axis=0))


def _brightness(stack: Float64) -> Float64:
    """Return the mean of each field's darker four fifths, which does not depend on clumps of debris."""
    blocks = np.sort(stack.reshape(len(stack), -1), axis=1)
    dark = blocks[:, : max(1, int(0.8 * blocks.shape[1]))].mean(axis=1)
    return np.asarray(np.where(dark > 0, dark, blocks.mean(axis=1)))


def smooth_onto(blocks: Float64, shape: tuple[int, int], *, sigma: float) -> Float64:
    """Smooth block means and evaluate the result at every pixel.

    Parameters
    ----------
    blocks
        (rows, columns) of block means of a field of `shape`.
    shape
        (Y, X) to evaluate on; the shape of `blocks` itself smooths them in place.
    sigma
        Sigma of the Gaussian weights, as a fraction of the longer side; at least the size of a block.

    Returns
    -------
    (Y, X) float64: along each axis a local quadratic fit with Gaussian weights. Unlike a Gaussian filter it preserves
    slope and curvature up to the rim, where a vignette is steepest; with a wide sigma it tends to a paraboloid.
    """
    longest = max(blocks.shape)
    down, across = (
        _local_quadratic(n_blocks, length, sigma * longest / n_blocks)
        for n_blocks, length in zip(blocks.shape, shape, strict=True)
    )
    return np.asarray(down @ blocks @ across.T)


def _local_quadratic(n_blocks: int, length: int, sigma: float) -> Float64:
    """Return the (length, n_blocks) matrix of the smoother from block centres to pixel centres, side 1."""
    edges = np.arange(n_blocks + 1) / n_blocks
    centres = (edges[:-1] + edges[1:]) / 2
    at = (np.arange(length) + 0.5) / length
    sigma = max(sigma, 1 / n_blocks)
    distance = (centres[None, :] - at[:, None]) / sigma
    weight = np.exp(-0.5 * np.minimum(distance**2, 200))
    powers = distance[:, :, None] ** np.arange(min(3, n_blocks))
    moments = np.einsum("pb,pbi,pbj->pij", weight, powers, powers)
    first = np.linalg.inv(moments)[:, 0, :]
    return np.asarray(np.einsum("pi,pbi,pb->pb", first, powers, weight))


def choose_smoothing(fold_averages: Float64, candidates: tuple[float, ...]) -> float:
    """Choose the widest sigma that predicts left-out fields as well as the best sigma.

    Parameters
    ----------
    fold_averages
        (folds, rows, columns), averages over disjoint sets of fields, each with mean 1.
    candidates
        Sigmas as for `smooth_onto`, from narrow to wide.

    Returns
    -------
    The widest candidate whose error exceeds the smallest by at most the standard error of this difference over the
    folds. Illumination is smooth, so finer detail is accepted only if it improves the prediction.
    """
    n_folds = len(fold_averages)
    total = fold_averages.sum(axis=0)
    errors = np.empty((n_folds, len(candidates)))
    for place, sigma in enumerate(candidates):
        for fold, left_out in enumerate(fold_averages):
            predicted = smooth_onto((total - left_out) / (n_folds - 1), left_out.shape, sigma=sigma)
            errors[fold, place] = np.mean((predicted - left_out) ** 2)
    excess = errors - errors[:, [int(errors.mean(axis=0).argmin())]]
    standard_error = excess.std(axis=0, ddof=1) / np.sqrt(n_folds)
    return candidates[int(np.flatnonzero(excess.mean(axis=0) <= standard_error)[-1])]
