"""Bring batches together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.errors import MissingExtraError, SchemaError, UnknownNameError, UsageError
from phenoprint.profiles.frames import Groups, feature_columns, feature_matrix, to_polars, with_features
from phenoprint.profiles.statistics import mean, sd

if TYPE_CHECKING:
    from phenoprint.profiles.frames import FloatArray, FrameLike

__all__ = ["BATCH_METHODS", "correct_batch"]

BATCH_METHODS = ("center", "harmony", "standardize")
"""Methods that `correct_batch` knows by name."""


def correct_batch(
    frame: FrameLike,
    method: str = "harmony",
    batch: str = "Metadata_Batch",
    *,
    reference: pl.Expr | None = None,
    max_iterations: int = 20,
    seed: int = 0,
) -> pl.DataFrame:
    """Remove what batches differ in.

    Parameters
    ----------
    frame
        Normalized profiles of several batches.
    method
        ``"center"``: each batch's mean is moved to the mean of all; ``"standardize"``: mean and standard
        deviation are; ``"harmony"``: Harmony (Korsunsky et al., Nat Methods 16:1289, 2019) on the features,
        through the package harmonypy, which is GPL and comes with the extra ``harmony``.
    batch
        The column that names the batch.
    reference
        For center and standardize: a polars expression for the rows that mean and deviation are taken from,
        such as the controls; None: all. Use it where batches hold different treatments, or the correction
        removes biology.
    max_iterations
        Of Harmony.
    seed
        Of Harmony's clustering.

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
        For an unknown method or column.
    UsageError
        For fewer than two batches, or a reference that Harmony cannot use or that leaves a batch without
        rows.
    """
    data = to_polars(frame)
    if method not in BATCH_METHODS:
        raise UnknownNameError("batch correction method", method, BATCH_METHODS)
    groups = Groups.of(data, [batch])
    if len(groups) < 2:
        raise UsageError(f"batch correction needs at least two batches in {batch}; found {len(groups)}")
    features = feature_columns(data)
    values = feature_matrix(data, features)
    if method == "harmony":
        if reference is not None:
            raise UsageError("harmony takes no reference rows; leave reference out, or use 'center' or 'standardize'")
        corrected = _harmony(values, features, data.get_column(batch), max_iterations, seed)
    else:
        chosen = np.ones(data.height, dtype=bool)
        if reference is not None:
            chosen = data.select(reference.alias("r")).get_column("r").fill_null(value=False).to_numpy()
        corrected = _align(values, groups, chosen, scale=method == "standardize", batch=batch)
    return with_features(data, features, corrected.astype(values.dtype))


def _align(
    values: FloatArray,
    groups: Groups,
    chosen: np.ndarray[tuple[int], np.dtype[np.bool_]],
    *,
    scale: bool,
    batch: str,
) -> FloatArray:
    out = np.empty(values.shape, dtype=np.float64)
    centers, spreads, counts = [], [], []
    for number, rows in enumerate(groups.rows()):
        picked = values[:, rows[chosen[rows]]]
        if not picked.shape[1]:
            raise UsageError(f"the reference picks no row of {batch}={groups.keys.item(number, 0)}")
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


def _harmony(values: FloatArray, features: list[str], batch: pl.Series, max_iterations: int, seed: int) -> FloatArray:
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
