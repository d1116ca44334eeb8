"""Row, column and surface effects of plates, for arrays of shape (features, wells) and the positions of the wells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from phenoprint.errors import UsageError
from phenoprint.tables import median

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

__all__ = ["explained_by_columns", "loess_weights", "median_polish", "position_share", "smooth", "spline_weights"]

_MOST_ROUNDS = 20


def median_polish(
    values: Matrix, row: NDArray[np.intp], col: NDArray[np.intp], *, tolerance: float = 1e-4
) -> tuple[Matrix, Matrix, Matrix]:
    """Fit overall, row and column effects by medians in turn (Tukey).

    Parameters
    ----------
    values
        Shape (features, wells), NaN where missing or not to be fitted on.
    row, col
        Row and column of each well, from 0, shape (wells,).
    tolerance
        The iteration stops if the sum of absolute residuals changes by less than this share, or after 20 rounds.

    Returns
    -------
    tuple
        Overall effect (features,), row effects (features, rows), column effects (features, columns); 0 for a row or
        column without values.

    Notes
    -----
    In the order of R's ``medpolish``: rows, then columns; medians of the effects are moved to the overall effect.
    """
    n_rows, n_cols = int(row.max(initial=-1)) + 1, int(col.max(initial=-1)) + 1
    grid = np.full((len(values), n_rows, n_cols), np.nan)
    grid[:, row, col] = values
    overall = np.zeros(len(values))
    rows, cols = np.zeros((len(values), n_rows)), np.zeros((len(values), n_cols))
    before = np.zeros(len(values))
    for _ in range(_MOST_ROUNDS):
        change = _middle(grid)
        grid -= change[:, :, None]
        rows += change
        middle = _finite(median(np.where(np.isnan(cols), 0.0, cols)))
        cols -= middle[:, None]
        overall += middle
        change = _middle(grid.transpose(0, 2, 1))
        grid -= change[:, None, :]
        cols += change
        middle = _finite(median(rows))
        rows -= middle[:, None]
        overall += middle
        total = np.nansum(np.abs(grid), axis=(1, 2))
        if (np.abs(total - before) <= tolerance * np.maximum(total, 1e-300)).all():
            break
        before = total
    return overall, rows, cols


def loess_weights(place: Matrix, fitted: NDArray[np.bool_], *, span: float) -> Matrix:
    """Compute the weights of wells in a locally linear surface.

    Parameters
    ----------
    place
        Row and column of each well, shape (wells, 2).
    fitted
        Wells to fit on, shape (wells,).
    span
        Share of the fitted wells in each local fit, with tricube weights.

    Returns
    -------
    numpy.ndarray
        Shape (wells, fitted wells): ``surface = weights @ values[fitted]``. Rows sum to 1.

    Notes
    -----
    Cleveland and Devlin, J Am Stat Assoc 83:596, 1988, degree 1, without robustness rounds.
    """
    known = place[fitted]
    n_near = int(np.clip(np.ceil(span * len(known)), min(4, len(known)), len(known)))
    distance = np.sqrt(((place[:, None, :] - known[None, :, :]) ** 2).sum(axis=2))
    reach = np.sort(distance, axis=1)[:, n_near - 1] * (1 + 1e-9)
    weight = np.clip(1 - (distance / np.maximum(reach, 1e-12)[:, None]) ** 3, 0, None) ** 3
    out: Matrix = np.empty(distance.shape)
    for well, (here, w) in enumerate(zip(place, weight, strict=True)):
        root = np.sqrt(w)
        design = np.column_stack([np.ones(len(known)), known - here]) * root[:, None]
        out[well] = np.linalg.pinv(design, rcond=1e-9)[0] * root  # height of the local plane at the well
    return out


def spline_weights(place: Matrix, fitted: NDArray[np.bool_], *, smoothing: float) -> Matrix:
    """Compute the weights of wells in a thin plate spline; shape (wells, fitted wells).

    Parameters
    ----------
    place, fitted
        As in `loess_weights`.
    smoothing
        0: the surface passes through every well; larger values give a smoother surface, in the limit a plane.

    Raises
    ------
    UsageError
        If the wells to fit on are on one line, or, without smoothing, a well occurs twice.
    """
    from scipy.interpolate import RBFInterpolator

    known = place[fitted]
    if np.linalg.matrix_rank(known - known.mean(axis=0)) < 2:
        raise UsageError("a spline needs wells to fit on in several rows and columns; found all of them on one line")
    if smoothing == 0 and len(np.unique(known, axis=0)) < len(known):
        raise UsageError("a spline without smoothing cannot pass through two rows of one well; give smoothing above 0")
    surface = RBFInterpolator(known, np.eye(len(known)), kernel="thin_plate_spline", smoothing=smoothing, degree=1)
    return np.asarray(surface(place), dtype=np.float64)


def smooth(values: Matrix, weights: Matrix, fitted: NDArray[np.bool_]) -> Matrix:
    """Apply surface weights to features, shape (features, wells), rescaled if wells are missing."""
    known = values[:, fitted]
    there = ~np.isnan(known)
    total = np.asarray(np.nan_to_num(known) @ weights.T, dtype=np.float64)
    if there.all():
        return total
    share = there.astype(np.float64) @ weights.T
    usable = np.abs(share) > 0.1
    return np.asarray(np.where(usable, total / np.where(usable, share, 1.0), np.nan), dtype=np.float64)


def position_share(values: Matrix, row: NDArray[np.intp], col: NDArray[np.intp]) -> Matrix:
    """Compute the adjusted share of each feature's variance that an additive model of row and column explains.

    Parameters
    ----------
    values
        Shape (features, wells); a missing value counts as the feature's mean.
    row, col
        Row and column of each well, shape (wells,).

    Returns
    -------
    numpy.ndarray
        Shape (features,): 1 - (1 - R2) (n - 1) / (n - p), near 0 (also below 0) without an effect of position; NaN
        if the feature does not vary or there are too few wells.

    Examples
    --------
    >>> row, col = np.divmod(np.arange(12), 4)
    >>> position_share(np.array([row + 2.0 * col]), row, col).round(6).tolist()
    [1.0]
    """
    design = np.column_stack([np.eye(int(axis.max(initial=-1)) + 1)[axis] for axis in (row, col)])
    return explained_by_columns(values, design)


def explained_by_columns(values: Matrix, design: Matrix) -> Matrix:
    """Compute the adjusted share of each feature's variance that a design, shape (wells, columns), explains."""
    n = values.shape[1]
    centered = np.nan_to_num(values - _nanmean(values)[:, None])
    centered = centered - centered.mean(axis=1, keepdims=True) if n else centered
    total = (centered**2).sum(axis=1)
    if n < 2:
        return np.full(len(values), np.nan)
    left, singular, _ = np.linalg.svd(design - design.mean(axis=0), full_matrices=False)
    axes = left[:, singular > 1e-9 * max(float(singular[0]), 1e-300)]
    rest = n - 1 - axes.shape[1]
    out = np.full(len(values), np.nan)
    if rest > 0:
        explained = ((centered @ axes) ** 2).sum(axis=1)
        varies = total > 0
        np.divide(total - explained, total, out=out, where=varies)
        out = 1 - out * (n - 1) / rest
    return out


def _nanmean(values: Matrix) -> Matrix:
    n = (~np.isnan(values)).sum(axis=1)
    mean: Matrix = np.nansum(values, axis=1) / np.maximum(n, 1)
    return mean


def _middle(grid: Matrix) -> Matrix:
    """Compute medians along the last axis of (features, lines, wells); 0 for lines without values."""
    flat = np.ascontiguousarray(grid).reshape(-1, grid.shape[2])
    return _finite(median(flat)).reshape(grid.shape[:2])


def _finite(values: Matrix) -> Matrix:
    return np.where(np.isnan(values), 0.0, values)
