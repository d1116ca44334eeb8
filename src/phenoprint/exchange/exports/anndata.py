"""Profiles as AnnData objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from phenoprint.exchange.names import measured_columns
from phenoprint.exchange.sources.anndata import require_anndata
from phenoprint.store import atomic_path
from phenoprint.tables import CELL_KEY, metadata_columns

__all__ = ["to_anndata", "write_h5ad"]


def to_anndata(frame: pl.DataFrame, *, features: pl.DataFrame | None = None) -> Any:
    """Make an AnnData object: rows are observations, features are variables.

    Parameters
    ----------
    frame
        Profiles or cells.
    features
        Table ``feature`` of the screen; describes the variables.

    Returns
    -------
    anndata.AnnData
        ``X`` float32 with NaN where missing; ``obs`` the metadata, text as categories; ``var`` the features.
        Observations are named after their plate, well, site and object where these are unique, else numbered.

    Raises
    ------
    MissingExtraError
        If anndata is not installed.
    """
    anndata = require_anndata()
    import pandas as pd

    described = metadata_columns(frame)
    names = measured_columns(frame)
    obs = pd.DataFrame({name: _plain(frame[name]) for name in described}, index=pd.Index(_row_names(frame)))
    for name in described:
        if obs[name].dtype == object:
            obs[name] = pd.Categorical(obs[name])
    var = pd.DataFrame(index=pd.Index(names, dtype=object))
    if features is not None:
        known = pl.DataFrame({"feature": names}).join(features, on="feature", how="left", maintain_order="left")
        for column in known.drop("feature"):
            if column.null_count() < column.len():
                var[column.name] = pd.Categorical(column.cast(pl.String).to_list())
    return anndata.AnnData(X=frame.select(names).to_numpy().astype(np.float32), obs=obs, var=var)


def _plain(column: pl.Series) -> np.ndarray:
    """Convert metadata to the types that pandas' own readers return."""
    if column.dtype.is_integer() and not column.null_count():
        return column.cast(pl.Int64).to_numpy()
    if column.dtype.is_numeric():
        return column.cast(pl.Float64).to_numpy()
    return np.array(column.cast(pl.String).to_list(), dtype=object)


def _row_names(frame: pl.DataFrame) -> list[str]:
    keys = (*CELL_KEY, "Metadata_perturbation")
    held = [key for key in keys if key in frame.columns]
    if held:
        names = frame.select(pl.concat_str([pl.col(key).cast(pl.String) for key in held], separator="_")).to_series()
        if names.null_count() == 0 and names.n_unique() == frame.height:
            return names.to_list()
    return [str(number) for number in range(frame.height)]


def write_h5ad(frame: pl.DataFrame, path: Path, *, features: pl.DataFrame | None = None) -> Path:
    """Write profiles as an h5ad file, atomically; arguments and errors as `to_anndata`, or ScreenError."""
    data = to_anndata(frame, features=features)
    with atomic_path(path) as temporary:
        data.write_h5ad(temporary, compression="gzip")
    return path
