"""Map profiles in two dimensions."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.tables import (
    WELL_KEY,
    Result,
    StatusRow,
    feature_columns,
    feature_matrix,
    find_gaps,
    metadata_columns,
    require_columns,
    status_frame,
    to_polars,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import FrameLike

__all__ = ["PROJECTIONS", "complete_matrix", "leading_components", "project", "project_with_status"]

PROJECTIONS = ("pca", "umap")
"""Methods of `project`."""

_REDUCED_ROWS = 2048  # profiles read at once


def project(
    frame: FrameLike,
    method: str = "umap",
    *,
    keep: Sequence[str] | None = None,
    n_neighbors: int = 15,
    min_dist: float = 0.1,
    metric: str = "cosine",
    seed: int = 0,
) -> pl.DataFrame:
    """Project profiles to two dimensions for display; distances on the map are no evidence.

    Parameters
    ----------
    frame
        Normalized, selected profiles.
    method
        ``"umap"`` (McInnes, Healy and Melville, arXiv:1802.03426; with fewer than five profiles PCA takes its
        place) or ``"pca"`` (centred, not scaled).
    keep
        Metadata columns of the result; None: plate and well where both are there, else all.
    n_neighbors, min_dist, metric
        Parameters of UMAP; neighbours are limited to the number of other profiles.
    seed
        Seed of UMAP, which runs on one thread and gives the same map again on the same machine.

    Returns
    -------
    polars.DataFrame
        One row per profile in the frame's order: the kept metadata, ``method``, ``x``, ``y`` (Float64). NULL
        for rows that lack more than a quarter of the features. Features that many rows lack are left out
        (`project_with_status` names them).

    Raises
    ------
    SchemaError
        For text among the features.
    UnknownNameError
        For an unknown method or column.
    UsageError
        Where no feature is left.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> wells = pl.DataFrame(rng.normal(size=(10, 4)), schema=list("abcd")).with_columns(Metadata_Well=pl.lit("A01"))
    >>> project(wells, method="pca").columns
    ['Metadata_Well', 'method', 'x', 'y']
    """
    return project_with_status(
        frame, method, keep=keep, n_neighbors=n_neighbors, min_dist=min_dist, metric=metric, seed=seed
    ).frame


def project_with_status(
    frame: FrameLike,
    method: str = "umap",
    *,
    keep: Sequence[str] | None = None,
    n_neighbors: int = 15,
    min_dist: float = 0.1,
    metric: str = "cosine",
    seed: int = 0,
) -> Result:
    """Project, and list the features left out.

    Parameters
    ----------
    frame, method, keep, n_neighbors, min_dist, metric, seed
        As in `project`.

    Returns
    -------
    Result
        The projection, and a row of `feature_status` (step ``project``, status ``missing_values``) for each
        feature left out.
    """
    data = to_polars(frame)
    if method not in PROJECTIONS:
        raise UnknownNameError("projection", method, PROJECTIONS)
    values, rows, status = complete_matrix(data, step="project")
    if method == "pca" or len(rows) < 5:
        points = _pca(values)
    else:
        points = _umap(values, n_neighbors=n_neighbors, min_dist=min_dist, metric=metric, seed=seed)
    full = np.full((data.height, 2), np.nan)
    full[rows] = points
    result = kept_metadata(data, keep).with_columns(
        pl.lit(method).alias("method"),
        pl.Series("x", full[:, 0], nan_to_null=True),
        pl.Series("y", full[:, 1], nan_to_null=True),
    )
    return Result(result, status)


def leading_components(values: NDArray[np.floating], n: int = 50) -> tuple[NDArray[np.float32], float]:
    """Reduce many profiles to their leading principal components, in memory that does not grow with the profiles.

    Parameters
    ----------
    values
        Shape (profiles, features), complete; such as an array on disk, of which a block is read at a time.
    n
        Components, at most.

    Returns
    -------
    tuple
        Coordinates, shape (profiles, components), and the share of the variance that they hold. Profiles are rotated
        and not centred, so that the cosine of two still compares them with the origin, which is the controls after a
        normalization.

    Examples
    --------
    >>> points, share = leading_components(np.array([[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]]), n=1)
    >>> [round(float(point), 3) for point in points.ravel()], round(share, 6)
    ([1.414, 2.828, 5.657], 1.0)
    """
    from scipy.linalg import eigh

    n_features = values.shape[1]
    blocks = [slice(start, start + _REDUCED_ROWS) for start in range(0, len(values), _REDUCED_ROWS)]
    middle = sum(values[block].sum(axis=0, dtype=np.float64) for block in blocks) / len(values)
    covariance = np.zeros((n_features, n_features))
    for block in blocks:
        centered = values[block] - middle
        covariance += centered.T @ centered
    n = min(n, n_features)
    variances, axes = eigh(covariance, subset_by_index=(n_features - n, n_features - 1))
    axes = axes[:, ::-1]
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(n)])
    points = np.concatenate([(values[block] @ axes).astype(np.float32) for block in blocks])
    total = float(np.trace(covariance))
    return points, float(variances.sum() / total) if total > 0 else 1.0


def complete_matrix(data: pl.DataFrame, *, step: str) -> tuple[NDArray[np.float64], NDArray[np.intp], pl.DataFrame]:
    """Take the profiles as a matrix without gaps.

    Parameters
    ----------
    data
        Profiles.
    step
        Name of the step in `feature_status`.

    Returns
    -------
    tuple
        Values (usable rows, used features), missing ones imputed; the usable rows' numbers; rows of `feature_status`
        for the features left out since many rows lack them. `find_gaps` has the rules.

    Raises
    ------
    UsageError
        Where rows are usable but no feature is.
    """
    features = feature_columns(data)
    values = feature_matrix(data, features)
    block = (np.arange(data.height), values)
    gaps = find_gaps(lambda: [block], len(features))
    rows = gaps.rows
    if len(rows) and not gaps.is_used.any():
        raise UsageError(
            f"each of {len(features)} features is missing in many of {len(rows)} profiles; drop the sparse rows "
            "or features first, select_features(frame, ['drop_na_columns'])"
        )
    lacking = [(features[i], int(gaps.n_missing[i])) for i in np.flatnonzero(~gaps.is_used).tolist()]
    status = status_frame(
        step,
        [
            StatusRow(None, name, "missing_values", f"{n} of {data.height} profiles lack a value", float(n))
            for name, n in lacking
        ],
    )
    return gaps.complete(values[:, rows]).T.astype(np.float64), rows, status


def kept_metadata(data: pl.DataFrame, keep: Sequence[str] | None) -> pl.DataFrame:
    """Take the metadata to carry along: those asked for, else plate and well, else all."""
    if keep is not None:
        require_columns(data, keep, purpose="keep")
        return data.select(keep)
    return data.select(WELL_KEY if set(WELL_KEY) <= set(data.columns) else metadata_columns(data))


def _pca(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return two principal components, zeros where there are fewer; the largest loading is positive."""
    points = np.zeros((len(values), 2))
    if len(values) > 1:
        left, singular, loadings = np.linalg.svd(values - values.mean(axis=0), full_matrices=False)
        n = min(2, len(singular))
        # The sign of a component is arbitrary; fixed, so that two runs can be laid over each other.
        largest = np.abs(loadings[:n]).argmax(axis=1)
        points[:, :n] = left[:, :n] * singular[:n] * np.sign(loadings[np.arange(n), largest])
    return points


def _umap(
    values: NDArray[np.float64], *, n_neighbors: int, min_dist: float, metric: str, seed: int
) -> NDArray[np.float64]:
    with warnings.catch_warnings():
        # umap-learn and its dependencies warn of what is intended here: one thread because of the seed, an exact
        # neighbour graph for few rows; and of deprecations in numba and sklearn.
        warnings.simplefilter("ignore")
        import umap

        layout = umap.UMAP(
            n_neighbors=min(n_neighbors, len(values) - 1),
            min_dist=min_dist,
            metric=metric,
            random_state=seed,
            n_jobs=1,
            # The spectral start fails on graphs of a handful of points.
            init="spectral" if len(values) > 15 else "random",
        )
        return np.asarray(layout.fit_transform(values), dtype=np.float64)
