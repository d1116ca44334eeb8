"""AnnData files: rows are cells or wells, ``obs`` holds their metadata, ``var`` names the features."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from phenoprint.errors import MissingExtraError, SchemaError
from phenoprint.exchange.findings import Findings
from phenoprint.exchange.names import prefixed

__all__ = ["read_h5ad", "require_anndata"]

_PIECE_VALUES = 16 * 2**20


def require_anndata() -> Any:
    """Import anndata; raise MissingExtraError if it is not installed."""
    try:
        return import_module("anndata")
    except ImportError as error:
        raise MissingExtraError("anndata", extra="anndata", purpose="reading and writing .h5ad") from error


def read_h5ad(path: Path, findings: Findings) -> Iterator[pl.DataFrame]:
    """Read an h5ad file some rows at a time: columns of ``obs`` with the prefix ``Metadata_``, then the features.

    Layers, embeddings and graphs are not imported, with a note.

    Raises
    ------
    MissingExtraError
        If anndata is not installed.
    SchemaError
        If the file is not AnnData.
    """
    anndata = require_anndata()
    try:
        data = anndata.read_h5ad(path, backed="r")
    except Exception as error:  # the library raises errors of every kind
        raise SchemaError(f"{path} is not a readable h5ad file: {error}; expected AnnData as HDF5") from error
    try:
        if data.X is None:
            raise SchemaError(f"{path} has no matrix X; expected cells or wells x features")
        for name in ("layers", "obsm", "obsp"):
            if getattr(data, name):
                held = ", ".join(sorted(getattr(data, name)))
                findings.note(name, None, data.n_obs, source=str(path), detail=f"{held}: not imported")
        described = _described(data.obs)
        names = [str(name) for name in data.var_names]
        step = max(1, _PIECE_VALUES // max(len(names), 1))
        for start in range(0, max(data.n_obs, 1), step):
            block = data.X[start : start + step]
            dense = block.toarray() if hasattr(block, "toarray") else np.asarray(block)
            yield described.slice(start, step).hstack(pl.from_numpy(dense.astype(np.float32), schema=names))
    finally:
        data.file.close()


def _described(obs: Any) -> pl.DataFrame:
    """Convert ``obs`` to text columns with the prefix, whole numbers without a fraction."""
    columns = []
    for name in obs.columns:
        values = obs[name].astype(object).where(obs[name].notna(), None).tolist()
        texts = [
            None if v is None else str(int(v)) if isinstance(v, float) and v.is_integer() else str(v) for v in values
        ]
        columns.append(pl.Series(prefixed(name), texts, dtype=pl.String))
    return pl.DataFrame(columns)
