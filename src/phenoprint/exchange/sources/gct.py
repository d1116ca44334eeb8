"""GCT, the text form of annotated matrices: features down, wells across."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from phenoprint.errors import SchemaError
from phenoprint.exchange.compressed import READ_ERRORS, open_plain
from phenoprint.exchange.names import MISSING, prefixed

__all__ = ["VERSION", "read_gct"]

VERSION = "#1.3"


def read_gct(path: Path) -> pl.DataFrame:
    """Read a GCT 1.3 file.

    The first line is ``#1.3``, the second counts features, columns, descriptions of features and descriptions of
    columns; then a header, the descriptions of columns, and one row per feature. Format: clue.io's connectopedia.

    Returns
    -------
    polars.DataFrame
        One row per column of the file: its descriptions as text with the prefix ``Metadata_``, then the features as
        Float32.

    Raises
    ------
    SchemaError
        If the file is not GCT or its counts are wrong.
    """
    try:
        with open_plain(path) as handle:
            lines = handle.read().decode("utf-8").split("\n")
    except (*READ_ERRORS, UnicodeDecodeError) as error:
        raise SchemaError(f"{path} cannot be read: {error}") from error
    lines = [line.rstrip("\r") for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    if not lines or lines[0].strip() != VERSION:
        found = repr(lines[0][:40]) if lines else "nothing"
        raise SchemaError(f"{path}: expected a GCT file, whose first line is {VERSION}; found {found}")
    try:
        n_features, n_columns, n_row_meta, n_column_meta = (int(x) for x in lines[1].split("\t")[:4])
    except (ValueError, IndexError):
        raise SchemaError(f"{path}: expected four counts in the second line of a GCT 1.3 file") from None
    if len(lines) != 3 + n_column_meta + n_features:
        raise SchemaError(
            f"{path}: its second line counts {n_column_meta} descriptions and {n_features} features, "
            f"{len(lines) - 3} rows follow; it may be cut off"
        )
    rows = [line.split("\t") for line in lines[2:]]
    first = 1 + n_row_meta
    for number, row in enumerate(rows, start=3):
        if len(row) != first + n_columns:
            raise SchemaError(f"{path}, line {number}: expected {first + n_columns} values, found {len(row)}")
    described = [
        pl.Series(prefixed(row[0]), [None if v in MISSING else v for v in row[first:]], dtype=pl.String)
        for row in rows[1 : 1 + n_column_meta]
    ]
    try:
        values = np.array(
            [[np.nan if v in MISSING else float(v) for v in row[first:]] for row in rows[1 + n_column_meta :]]
        )
    except ValueError as error:
        raise SchemaError(f"{path}: a feature holds text: {error}") from error
    with np.errstate(over="ignore"):
        single = values.astype(np.float32).reshape(n_features, n_columns)
    names = [row[0] for row in rows[1 + n_column_meta :]]
    return pl.DataFrame([*described, *(pl.Series(name, single[place]) for place, name in enumerate(names))])
