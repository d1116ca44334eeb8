"""Row and column of the wells of a frame, as an array."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.errors import SchemaError
from phenoprint.plates import well_positions

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["well_places"]


def well_places(data: pl.DataFrame) -> NDArray[np.intp]:
    """Read row and column of each well, from 0.

    Parameters
    ----------
    data
        With integers ``Metadata_Row`` and ``Metadata_Col`` (1-based), or ``Metadata_Well``.

    Returns
    -------
    numpy.ndarray
        Shape (rows, 2).

    Raises
    ------
    SchemaError
        Where the columns are absent or hold NULL.
    PlateMapError
        For text that is no well.

    Examples
    --------
    >>> well_places(pl.DataFrame({"Metadata_Well": ["A01", "C12"]})).tolist()
    [[0, 0], [2, 11]]
    """
    names = ("Metadata_Row", "Metadata_Col")
    schema = data.schema
    if all(name in schema and schema[name].is_integer() for name in names):
        place = data.select(pl.col(name).cast(pl.Int64) - 1 for name in names)
    elif "Metadata_Well" in schema:
        place = well_positions(data.get_column("Metadata_Well").cast(pl.String))
    else:
        raise SchemaError("the position of wells needs Metadata_Row and Metadata_Col, or Metadata_Well; found neither")
    missing = place.height - place.drop_nulls().height
    if missing:
        raise SchemaError(f"{missing} wells have no position; fill Metadata_Well, or leave those rows out")
    return place.to_numpy().astype(np.intp)
