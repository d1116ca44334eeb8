"""The methods of batch correction over matrices of shape (features, rows)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from phenoprint.errors import DataError, MissingExtraError, UsageError
from phenoprint.profiles.combat import fit_combat
from phenoprint.tables import Groups, StatusRow, find_gaps, mean, require_columns, sd

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import FloatArray

    Arrays = dict[str, NDArray[Any]]

__all__ = ["align", "apply_combat", "apply_harmony"]


def align(
    values: FloatArray, groups: Groups, chosen: NDArray[np.bool_], *, scale: bool
) -> tuple[NDArray[np.float64], Arrays]:
    """Shift the mean of each batch to the overall mean; with `scale`, match the standard deviations as well."""
    out = np.empty(values.shape, dtype=np.float64)
    blocks = [values[:, rows[chosen[rows]]] for rows in groups.rows()]
    centers = np.column_stack([mean(block) for block in blocks])
    spreads = np.column_stack([sd(block, ddof=0) for block in blocks])
    target = mean(values[:, chosen])
    # The target is the spread within batches: the overall spread includes the differences to be removed.
    there = ~np.isnan(spreads)
    weights = there * np.array([block.shape[1] for block in blocks], dtype=np.float64)
    total = weights.sum(axis=1)
    squares = (weights * np.nan_to_num(spreads) ** 2).sum(axis=1)
    within = np.sqrt(np.divide(squares, total, out=np.zeros_like(total), where=total > 0))
    for number, rows in enumerate(groups.rows()):
        spread = spreads[:, number]
        factor = np.divide(within, spread, out=np.ones_like(spread), where=spread > 0) if scale else np.ones(len(out))
        out[:, rows] = (values[:, rows] - centers[:, number, None]) * factor[:, None] + target[:, None]
    return out, {"center": centers, "spread": spreads, "target_center": target, "target_spread": within}


def apply_combat(
    data: pl.DataFrame,
    values: FloatArray,
    groups: Groups,
    chosen: NDArray[np.bool_],
    *,
    covariates: Sequence[str] = (),
    mean_only: bool = False,
    shrink: bool = True,
) -> tuple[NDArray[np.float64], Arrays]:
    """Fit ComBat on the chosen rows and apply it to all."""
    require_columns(data, covariates, purpose="covariates of ComBat")
    rows = np.ascontiguousarray(values.T, dtype=np.float64)
    indicators = _indicators(data, covariates) if covariates else None
    fitted = fit_combat(
        rows[chosen],
        groups.codes[chosen],
        covariates=None if indicators is None else indicators[chosen],
        mean_only=mean_only,
        shrink=shrink,
    )
    return fitted.apply(rows, groups.codes, indicators).T, dict(vars(fitted))


def _indicators(data: pl.DataFrame, covariates: Sequence[str]) -> NDArray[np.float64]:
    """Code each covariate as indicator columns, one per value except the first."""
    columns = []
    for name in covariates:
        codes = Groups.of(data, [name]).codes
        columns.append(np.eye(int(codes.max(initial=0)) + 1)[codes][:, 1:])
    return np.column_stack(columns)


def apply_harmony(
    values: FloatArray,
    features: list[str],
    batch: pl.Series,
    *,
    n_clusters: int = 300,
    theta: float = 2.0,
    ridge: float | None = 1.0,
    max_iterations: int = 20,
    seed: int = 0,
) -> tuple[NDArray[np.float64], Arrays, list[StatusRow], dict[str, Any]]:
    """Run Harmony on the rows with values and on the features that are complete in these rows."""
    try:
        import harmonypy
    except ImportError as error:
        raise MissingExtraError("harmonypy", extra="harmony", purpose="Harmony batch correction") from error
    if n_clusters < 1 or max_iterations < 1:
        raise UsageError(f"n_clusters and max_iterations must be 1 or more; found {n_clusters}, {max_iterations}")
    gaps = find_gaps(lambda: [(np.arange(values.shape[1]), values)], len(features))
    rows, used = gaps.rows, gaps.is_used
    notes = [
        StatusRow(
            None,
            features[i],
            "missing_values",
            f"{n} profiles lack a value, more than 5 %; harmony needs complete features, so this one is NULL",
            float(n),
        )
        if n < len(rows) + len(gaps.damaged)
        else StatusRow(None, features[i], "all_null", "no profile has a value", None)
        for i, n in zip(np.flatnonzero(~used).tolist(), gaps.n_missing[~used].tolist(), strict=True)
    ]
    notes += [
        StatusRow(
            None, features[i], "imputed", f"{n} profiles lack a value; the median serves to find clusters", float(n)
        )
        for i, n in enumerate(gaps.n_missing.tolist())
        if n and used[i]
    ]
    points = gaps.complete(values[:, rows]).astype(np.float64, order="C")
    if len(rows) < 4 or not used.any():
        raise DataError(
            f"Harmony needs at least 4 profiles and one complete feature; found {len(rows)} profiles and "
            f"{int(used.sum())} complete features"
        )
    if not (points != 0).any(axis=0).all():
        raise DataError(
            "Harmony compares directions; a profile that is 0 in every feature has no direction. Leave it out"
        )
    labels = batch.cast(pl.String).to_numpy()[rows]
    known: dict[str, Any] = {
        "n_clusters": min(n_clusters, max(1, len(rows) // 2)),
        "theta": theta,
        "ridge": ridge,
        "max_iterations": max_iterations,
        "seed": seed,
        "harmonypy": str(getattr(harmonypy, "__version__", "unknown")),
    }
    # Shape (features, rows): harmonypy takes the columns of a square matrix as profiles.
    fitted = harmonypy.run_harmony(
        points,
        {"batch": labels},
        ["batch"],
        theta=theta,
        lamb=ridge,
        nclust=known["n_clusters"],
        max_iter_harmony=max_iterations,
        random_state=seed,
        verbose=False,
    )
    out = np.full(values.shape, np.nan)
    corrected = np.asarray(fitted.Z_corr, dtype=np.float64).T
    # What is missing stays missing: an imputed value serves to find the clusters of its profile.
    out[np.ix_(used, rows)] = np.where(np.isnan(values[np.ix_(used, rows)]), np.nan, corrected)
    objective = np.asarray(fitted.objective_harmony, dtype=np.float64)
    change = abs(objective[-2] - objective[-1]) / max(abs(objective[-2]), 1e-300) if len(objective) > 1 else np.inf
    if len(objective) > max_iterations and change >= _CONVERGED:
        reason = f"the relative change of the objective was {change:.2g} in round {max_iterations}"
        notes.append(StatusRow(None, "", "not_converged", reason, float(change)))
    arrays = {"clusters": np.asarray(fitted.R), "centroids": np.asarray(fitted.Y), "objective": objective}
    return out, arrays, notes, known


_CONVERGED = 1e-2  # relative change of the objective, Harmony's own criterion
