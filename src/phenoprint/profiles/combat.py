"""ComBat: location and scale of each batch, shrunk over features by empirical Bayes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from phenoprint.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Mask = NDArray[np.bool_]

__all__ = ["Combat", "fit_combat"]

_TOLERANCE = 1e-8  # relative change at which the iteration for location and scale stops
_MOST_ROUNDS = 500


@dataclass(frozen=True)
class Combat:
    """A fitted ComBat.

    Attributes
    ----------
    effects
        Coefficients of the covariates, shape (covariates, features).
    grand_mean
        Mean over batches, weighted by their wells, shape (features,).
    sd
        Residual standard deviation, pooled over batches (n), shape (features,); 0 for a feature that does not vary,
        which is left unchanged.
    location, scale
        Shrunk mean (``gamma*``) and variance (``delta*``) of each batch in units of `sd`, shape (batches, features).
    raw_location, raw_scale
        The same before shrinkage.
    """

    effects: Matrix
    grand_mean: Matrix
    sd: Matrix
    location: Matrix
    scale: Matrix
    raw_location: Matrix
    raw_scale: Matrix

    def apply(self, rows: Matrix, batch: NDArray[np.intp], covariates: Matrix | None = None) -> Matrix:
        """Correct rows.

        Parameters
        ----------
        rows
            Shape (rows, features), NaN where missing.
        batch
            Index of each row's batch, shape (rows,).
        covariates
            Shape (rows, covariates), coded as for the fit.

        Returns
        -------
        numpy.ndarray
            Shape (rows, features).
        """
        expected = self.grand_mean + (0 if covariates is None else covariates @ self.effects)
        varies = self.sd > 0
        unit = np.where(varies, self.sd, 1.0)
        standard = (rows - expected) / unit
        corrected = (standard - self.location[batch]) / np.sqrt(self.scale[batch]) * unit + expected
        out: Matrix = np.where(varies, corrected, rows)
        return out


def fit_combat(
    rows: Matrix,
    batch: NDArray[np.intp],
    *,
    covariates: Matrix | None = None,
    mean_only: bool = False,
    shrink: bool = True,
) -> Combat:
    """Fit ComBat.

    Parameters
    ----------
    rows
        Shape (rows, features); NaN if missing (not allowed with covariates).
    batch
        Index of each row's batch from 0, shape (rows,); each batch needs two rows.
    covariates
        Variables whose effects are preserved, such as indicators of treatments, without a constant column; shape
        (rows, covariates).
    mean_only
        Do not adjust the scale of batches.
    shrink
        False: use the location and scale of each feature without shrinkage.

    Returns
    -------
    Combat
        The fitted parameters.

    Raises
    ------
    UsageError
        If a batch has fewer than two rows, covariates are confounded with batches, or values are missing although
        covariates are given.

    Notes
    -----
    Johnson, Li and Rabinovic, Biostatistics 8:118, 2007, with the parametric priors and the estimators of the R
    package sva. Its iteration stops at a relative change of 1e-4, ours at 1e-8.
    """
    n_batches = int(batch.max(initial=-1)) + 1
    sizes = np.bincount(batch, minlength=n_batches)
    if (sizes < 2).any():
        raise UsageError(
            "ComBat needs at least two reference rows per batch; "
            f"the smallest has {int(sizes.min()) if n_batches else 0}"
        )
    there = ~np.isnan(rows)
    means: Matrix
    residual: Matrix
    effects: Matrix
    design = np.eye(n_batches)[batch]
    if covariates is None:
        n_there = np.maximum(design.T @ there, 1e-300)
        means = design.T @ np.nan_to_num(rows) / n_there
        effects = np.zeros((0, rows.shape[1]))
        residual = rows - means[batch]
    else:
        if not there.all():
            raise UsageError("ComBat with covariates needs complete features; drop those with missing values first")
        full = np.column_stack([design, covariates])
        if np.linalg.matrix_rank(full) < full.shape[1]:
            raise UsageError("the covariates are confounded with the batches: some value occurs in one batch only")
        coefficients = np.asarray(np.linalg.lstsq(full, rows, rcond=None)[0], dtype=np.float64)
        means, effects = coefficients[:n_batches], coefficients[n_batches:]
        residual = rows - full @ coefficients
    # For a feature that a batch lacks, the mean over the other batches.
    weights = sizes[:, None] * (design.T @ there > 0)
    grand_mean = np.asarray((weights * means).sum(axis=0) / np.maximum(weights.sum(axis=0), 1), dtype=np.float64)
    squares = np.nansum(residual**2, axis=0) / np.maximum(there.sum(axis=0), 1)
    spread = np.asarray(np.sqrt(squares), dtype=np.float64)
    sd = np.where(spread <= 1e-12 * np.abs(grand_mean), 0.0, spread)
    expected = grand_mean + (0 if covariates is None else covariates @ effects)
    standard = (rows - expected) / np.where(sd > 0, sd, 1.0)
    location, scale = np.zeros_like(means), np.ones_like(means)
    raw_location, raw_scale = np.zeros_like(means), np.ones_like(means)
    for number in range(n_batches):
        part = standard[batch == number]
        n = (~np.isnan(part)).sum(axis=0)
        gamma = np.nansum(part, axis=0) / np.maximum(n, 1)
        delta = np.nansum((part - gamma) ** 2, axis=0) / np.maximum(n - 1, 1)
        usable = (sd > 0) & (n > 1) & (delta > 0)
        raw_location[number], raw_scale[number] = gamma, np.where(usable, delta, 1.0)
        delta = np.ones_like(delta) if mean_only else raw_scale[number]
        if not shrink or usable.sum() < 2:
            location[number], scale[number] = gamma, delta
        elif mean_only:
            location[number] = _mean_only(gamma, n, usable)
        else:
            location[number, ~usable] = gamma[~usable]
            location[number, usable], scale[number, usable] = _shrink(part[:, usable], gamma[usable], delta[usable])
    return Combat(effects, grand_mean, sd, location, scale, raw_location, raw_scale)


def _mean_only(gamma: Matrix, n: NDArray[np.intp], usable: Mask) -> Matrix:
    """Return the posterior mean of the location for variance 1."""
    bar, spread = gamma[usable].mean(), gamma[usable].var(ddof=1)
    posterior: Matrix = np.where(usable, (n * spread * gamma + bar) / (n * spread + 1), gamma)
    return posterior


def _shrink(part: Matrix, gamma: Matrix, delta: Matrix) -> tuple[Matrix, Matrix]:
    """Solve for the posterior means of location and scale under normal and inverse gamma priors."""
    n = (~np.isnan(part)).sum(axis=0)
    bar, spread = gamma.mean(), gamma.var(ddof=1)
    middle, variance = delta.mean(), delta.var(ddof=1)
    if variance <= 0 or spread <= 0:
        return gamma, delta
    shape = (2 * variance + middle**2) / variance
    rate = (middle * variance + middle**3) / variance
    squares, sums = np.nansum(part**2, axis=0), np.nansum(part, axis=0)
    location, scale = gamma.copy(), delta.copy()
    for _ in range(_MOST_ROUNDS):
        moved = (n * spread * gamma + scale * bar) / (n * spread + scale)
        total = squares - 2 * moved * sums + n * moved**2
        stretched = (0.5 * total + rate) / (n / 2 + shape - 1)
        change = max(
            float((np.abs(moved - location) / np.maximum(np.abs(location), 1e-12)).max()),
            float((np.abs(stretched - scale) / scale).max()),
        )
        location, scale = moved, stretched
        if change < _TOLERANCE:
            break
    return location, scale
