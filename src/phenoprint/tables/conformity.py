"""Bringing frames to their declaration, and checking that they follow it.

A nullable column may be left out of a frame and is then stored as NULL; every other column is required and holds a
value in every row. Columns beyond the declared ones are kept as they are: ``Metadata_`` columns describe, all
others are features, which are 32-bit floats.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import polars as pl

from phenoprint.errors import SchemaError, first_few
from phenoprint.tables.keys import METADATA_PREFIX
from phenoprint.tables.records import Table
from phenoprint.tables.registry import get_table

__all__ = ["conform", "declared_columns", "frame_of", "nan_to_null", "validate"]


def nan_to_null(frame: pl.DataFrame) -> pl.DataFrame:
    """Replace NaN by NULL in every float column; infinities stay.

    DuckDB returns wrong results over Parquet that holds NaN, without an error; a missing measurement is NULL.

    Examples
    --------
    >>> nan_to_null(pl.DataFrame({"x": [1.0, float("nan")]}))["x"].to_list()
    [1.0, None]
    """
    floats = [name for name, dtype in frame.schema.items() if dtype.is_float()]
    return frame.with_columns(pl.col(floats).fill_nan(None)) if floats else frame


def frame_of(table: str, rows: Iterable[Any] = ()) -> pl.DataFrame:
    """Build a frame of a table's declared columns.

    Parameters
    ----------
    table
        The table's name.
    rows
        Dictionaries by column name, absent ones NULL, or tuples in the declared order. None gives an empty frame.

    Returns
    -------
    polars.DataFrame
        The declared columns only; NaN is NULL.

    Raises
    ------
    UnknownNameError
        If no table of that name is declared.
    SchemaError
        If a dictionary has a column that is not declared.

    Examples
    --------
    >>> frame_of("cell").columns
    ['Metadata_Plate', 'Metadata_Well', 'Metadata_Site', 'Metadata_ObjectNumber']
    """
    schema, given = get_table(table).schema, list(rows)
    undeclared = {name for row in given if isinstance(row, dict) for name in row if name not in schema}
    if undeclared:
        raise SchemaError(f"table {table!r} does not declare the columns {first_few(sorted(undeclared))}")
    return nan_to_null(pl.DataFrame(given, schema=schema, orient="row"))


def conform(frame: pl.DataFrame, table: str) -> pl.DataFrame:
    """Bring a frame to its declaration without changing a value, and validate it.

    Absent nullable columns are added as NULL; integers and floats are widened or narrowed where no value is
    lost; features become 32-bit floats; declared columns come first, in their order. Numbers are never turned
    into identifiers: a barcode that was read as a number has lost its leading zeros already.

    Parameters
    ----------
    frame
        Rows for the table.
    table
        The table's name.

    Returns
    -------
    polars.DataFrame
        The same rows in the same order.

    Raises
    ------
    SchemaError
        As `validate`.
    """
    declared = get_table(table)
    held = set(frame.columns)
    missing = [column for column in declared.columns if column.nullable and column.name not in held]
    full = frame.with_columns(pl.lit(None, dtype=column.dtype).alias(column.name) for column in missing)
    casts: dict[str, pl.DataType] = {}
    schema = dict(zip(full.columns, full.dtypes, strict=True))  # a schema of thousands of columns is slow to build
    for column in declared.columns:
        found = schema.get(column.name)
        if found is not None and found != column.dtype and _may_cast(found, column.dtype):
            casts[column.name] = column.dtype
    if declared.holds_features:
        for name, dtype in _features(full, declared).items():
            if dtype.is_numeric() and dtype != pl.Float32:
                casts[name] = pl.Float32()
    try:
        cast = full.cast(pl.Schema({**schema, **casts})) if casts else full
    except pl.exceptions.PolarsError as error:
        raise SchemaError(f"table {table!r}: a value does not fit its declared column: {error}") from error
    held = set(cast.columns)
    names = [column.name for column in declared.columns if column.name in held]
    declared_names = set(names)
    others = [name for name in cast.columns if name not in declared_names]
    described = [name for name in others if name.startswith(METADATA_PREFIX)]
    rest = [name for name in others if not name.startswith(METADATA_PREFIX)]
    result = cast[[*names, *described, *rest]]
    validate(result, table)
    return result


def declared_columns(frame: pl.DataFrame, table: str) -> pl.DataFrame:
    """Select the declared columns of a frame in their order, with their types; all others are left out.

    Raises
    ------
    SchemaError
        As `validate`.
    """
    names = get_table(table).schema.names()
    return conform(frame.select(name for name in names if name in frame.columns), table)


def validate(frame: pl.DataFrame, table: str, *, keys: bool = True) -> None:
    """Check that a frame follows the table's declaration.

    Parameters
    ----------
    frame
        Rows for the table.
    table
        The table's name.
    keys
        Whether to check that no two rows share the table's key.

    Raises
    ------
    SchemaError
        If a column is missing or of the wrong type, a required value is missing, a feature is not a 32-bit float,
        a NaN is found, or a key occurs twice. All columns at fault are named at once.
    """
    declared = get_table(table)
    faults: list[str] = []
    schema = dict(zip(frame.columns, frame.dtypes, strict=True))
    for column in declared.columns:
        found = schema.get(column.name)
        if found is None:
            faults.append(f"{column.name} is missing (expected {column.dtype})")
        elif found != column.dtype:
            hint = "; identifiers are text, read them as text" if column.dtype == pl.String else ""
            faults.append(f"{column.name} is {found} (expected {column.dtype}{hint})")
        elif not column.nullable and (nulls := frame[column.name].null_count()):
            faults.append(f"{column.name} is NULL in {nulls} of {frame.height} rows (a value is required)")
    if declared.holds_features:
        wrong = {name: dtype for name, dtype in _features(frame, declared).items() if dtype != pl.Float32}
        if wrong:
            types = ", ".join(sorted({str(dtype) for dtype in wrong.values()}))
            faults.append(f"{first_few(list(wrong))}: features are Float32, found {types}")
    nans = _nan_columns(frame)
    if nans:
        faults.append(f"{first_few(nans)}: NaN found; a missing measurement is NULL (tables.nan_to_null)")
    if faults:
        raise SchemaError(f"table {table!r} does not accept this frame: " + "; ".join(faults))
    if keys and declared.key:
        _check_key(frame, declared)


def _check_key(frame: pl.DataFrame, table: Table) -> None:
    """Raise if two rows share the key."""
    doubled = frame.select(table.key).filter(pl.struct(table.key).is_duplicated())
    if doubled.height:
        example = ", ".join(f"{name} {value!r}" for name, value in doubled.row(0, named=True).items())
        raise SchemaError(
            f"table {table.name!r}: {doubled.height} of {frame.height} rows share a key "
            f"({', '.join(table.key)}), for example {example}; each must occur once"
        )


def _features(frame: pl.DataFrame, table: Table) -> dict[str, pl.DataType]:
    """Columns that are neither declared nor metadata, with their types."""
    declared = {column.name for column in table.columns}
    columns = zip(frame.columns, frame.dtypes, strict=True)  # a schema of thousands of columns is slow to build
    return {n: t for n, t in columns if n not in declared and not n.startswith(METADATA_PREFIX)}


def _nan_columns(frame: pl.DataFrame) -> list[str]:
    """Names of float columns that hold a NaN."""
    floats = [name for name, dtype in zip(frame.columns, frame.dtypes, strict=True) if dtype.is_float()]
    if not floats or not frame.height:
        return []
    # Thousands of columns cost less as one array than as an expression each; NULL becomes NaN in it, hence two tests.
    suspects = [name for name, nan in zip(floats, np.isnan(frame[floats].to_numpy()).any(axis=0), strict=True) if nan]
    row = frame.select(pl.col(suspects).is_nan().any()).row(0) if suspects else ()
    return [name for name, has_nan in zip(suspects, row, strict=True) if has_nan]


def _may_cast(found: pl.DataType, wanted: pl.DataType) -> bool:
    """Whether a cast keeps the meaning: never from number to text or from fraction to integer."""
    if found == pl.Null:
        return True
    if wanted == pl.String:
        return isinstance(found, pl.Categorical | pl.Enum)
    if wanted.is_integer():
        return found.is_integer()
    return wanted.is_float() and found.is_numeric()
