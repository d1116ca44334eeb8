"""Bring batches together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from phenoprint.errors import MissingExtraError, SchemaError, UnknownNameError, UsageError
from phenoprint.profiles.combat import fit_combat
from phenoprint.profiles.fitted import reference_rows
from phenoprint.profiles.frames import (
    Groups,
    feature_columns,
    feature_matrix,
    require_columns,
    to_polars,
    with_features,
)
from phenoprint.profiles.normalization import normalize
from phenoprint.profiles.statistics import mean, sd

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.profiles.frames import FloatArray, FrameLike

__all__ = ["BATCH_METHODS", "correct_batch"]

BATCH_METHODS = ("center", "combat", "harmony", "sphering", "standardize", "tvn")
"""Methods that `correct_batch` knows by name."""

_PARAMETERS = {
    "center": (),
    "combat": ("covariates", "mean_only", "shrink"),
    "harmony": ("max_iterations", "seed"),
    "sphering": ("kind", "regularization", "outside"),
    "standardize": (),
    "tvn": ("regularization", "alignment"),
}


def correct_batch(
    frame: FrameLike,
    method: str = "harmony",
    batch: str = "Metadata_Batch",
    *,
    reference: pl.Expr | None = None,
    **parameters: Any,
) -> pl.DataFrame:
    """Remove what batches differ in.

    Parameters
    ----------
    frame
        Normalized profiles of several batches.
    method
        - ``"center"``: each batch's mean is moved to the mean of all; ``"standardize"``: mean and standard deviation
          are;
        - ``"combat"``: the same, location and scale shrunk over features (Johnson et al., Biostatistics 8:118, 2007);
        - ``"tvn"``, ``"sphering"``: typical variation normalization over all batches, or a sphering of each; see
          `Tvn` and `Sphering`;
        - ``"harmony"``: Harmony (Korsunsky et al., Nat Methods 16:1289, 2019) on the features, through the package
          harmonypy, which is GPL and comes with the extra ``harmony``.
    batch
        The column that names the batch.
    reference
        A polars expression for the rows that are fitted on, such as the controls; None: all. Use it where batches
        hold different treatments, or the correction removes biology. Not with harmony.
    **parameters
        ``covariates`` (columns whose differences must stay), ``mean_only``, ``shrink`` of combat;
        ``max_iterations`` (20) and ``seed`` (0) of harmony; the fields of `Tvn` and `Sphering`.

    Returns
    -------
    polars.DataFrame
        The frame's rows and columns, features corrected.

    Raises
    ------
    MissingExtraError
        For harmony without harmonypy.
    SchemaError
        Where a batch is NULL, or, for harmony, a feature has missing values.
    UnknownNameError
        For an unknown method, parameter or column.
    UsageError
        For fewer than two batches, or a reference that Harmony cannot use or that leaves a batch without
        rows.
    """
    data = to_polars(frame)
    if method not in BATCH_METHODS:
        raise UnknownNameError("batch correction method", method, BATCH_METHODS)
    for name in parameters:
        if name not in _PARAMETERS[method]:
            raise UnknownNameError(f"parameter of {method!r}", name, _PARAMETERS[method])
    groups = Groups.of(data, [batch])
    if len(groups) < 2:
        raise UsageError(f"batch correction needs at least two batches in {batch}; found {len(groups)}")
    if method in ("sphering", "tvn"):
        return normalize(data, method, by=[batch], reference=reference, **parameters)
    features = feature_columns(data)
    values = feature_matrix(data, features)
    if method == "harmony":
        if reference is not None:
            raise UsageError(
                "harmony takes no reference rows; leave reference out, or use 'center', 'standardize' or 'combat'"
            )
        corrected = _harmony(values, features, data.get_column(batch), **parameters)
    else:
        chosen = reference_rows(data, reference)
        picked = np.bincount(groups.codes[chosen], minlength=len(groups))
        if not picked.all():
            raise UsageError(f"the reference picks no row of {batch}={groups.keys.item(int(picked.argmin()), 0)}")
        if method == "combat":
            corrected = _combat(data, values, groups, chosen, **parameters)
        else:
            corrected = _align(values, groups, chosen, scale=method == "standardize")
    return with_features(data, features, corrected.astype(values.dtype))


def _align(values: FloatArray, groups: Groups, chosen: NDArray[np.bool_], *, scale: bool) -> FloatArray:
    out = np.empty(values.shape, dtype=np.float64)
    centers, spreads, counts = [], [], []
    for rows in groups.rows():
        picked = values[:, rows[chosen[rows]]]
        centers.append(mean(picked))
        spreads.append(sd(picked, ddof=0))
        counts.append(picked.shape[1])
    target = mean(values[:, chosen])
    # The target spread is the one within batches: the spread of all holds the difference that is to go.
    within = np.sqrt(np.average(np.square(spreads), axis=0, weights=counts))
    for rows, center, spread in zip(groups.rows(), centers, spreads, strict=True):
        factor = np.divide(within, spread, out=np.ones_like(spread), where=spread > 0) if scale else np.ones(len(out))
        out[:, rows] = (values[:, rows] - center[:, None]) * factor[:, None] + target[:, None]
    return out


def _combat(
    data: pl.DataFrame,
    values: FloatArray,
    groups: Groups,
    chosen: NDArray[np.bool_],
    *,
    covariates: Sequence[str] = (),
    mean_only: bool = False,
    shrink: bool = True,
) -> FloatArray:
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
    return fitted.apply(rows, groups.codes, indicators).T


def _indicators(data: pl.DataFrame, covariates: Sequence[str]) -> NDArray[np.float64]:
    """One column a value of each covariate but the first, 1 where a row has it."""
    columns = []
    for name in covariates:
        codes = Groups.of(data, [name]).codes
        columns.append(np.eye(int(codes.max(initial=0)) + 1)[codes][:, 1:])
    return np.column_stack(columns)


def _harmony(
    values: FloatArray, features: list[str], batch: pl.Series, *, max_iterations: int = 20, seed: int = 0
) -> FloatArray:
    try:
        import harmonypy
    except ImportError as error:
        raise MissingExtraError("harmonypy", extra="harmony", purpose="Harmony batch correction") from error
    incomplete = [features[i] for i in np.flatnonzero(np.isnan(values).any(axis=1))]
    if incomplete:
        raise SchemaError(
            f"Harmony needs complete features; {len(incomplete)} hold missing values, "
            f"the first {incomplete[:5]}. "
            "Drop them with select_features(frame, ['drop_na_columns'], na_cutoff=0)"
        )
    import pandas as pd

    fitted = harmonypy.run_harmony(
        np.ascontiguousarray(values.T, dtype=np.float64),
        pd.DataFrame({"batch": batch.cast(pl.String).to_list()}),
        ["batch"],
        max_iter_harmony=max_iterations,
        random_state=seed,
        verbose=False,
    )
    corrected = np.asarray(fitted.Z_corr, dtype=np.float64)
    # Harmony returned (features, rows) up to 0.0.10 and (rows, features) in 2.
    return corrected if corrected.shape == values.shape else corrected.T
