"""Frames at the edge, matrices inside.

Every function of the table side takes a polars DataFrame, a LazyFrame or a pandas DataFrame and returns
polars. Inside, features live in a matrix of shape (features, rows): one feature is contiguous, as it is in a
polars column, so that sorting and reducing a feature runs at memory speed. A missing value is NULL outside
and NaN inside.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from phenoprint.errors import SchemaError, UnknownNameError, UsageError, first_few
from phenoprint.tables.keys import METADATA_PREFIX

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "LARGEST",
    "FloatArray",
    "FrameLike",
    "Groups",
    "IntArray",
    "count_not_finite",
    "feature_columns",
    "feature_matrix",
    "feature_series",
    "matrix_dtype",
    "metadata_columns",
    "missing_as_null",
    "require_columns",
    "rows_with_values",
    "to_polars",
    "with_features",
    "with_series",
]

FrameLike: TypeAlias = "pl.DataFrame | pl.LazyFrame | pd.DataFrame"
FloatArray: TypeAlias = NDArray[np.floating[Any]]
IntArray: TypeAlias = NDArray[np.intp]

LARGEST = 1e100
"""A larger absolute value is no measurement and counts as infinite."""

_FEW_ROWS = 4096


def to_polars(frame: FrameLike) -> pl.DataFrame:
    """Turn a polars DataFrame, a LazyFrame or a pandas DataFrame into a polars DataFrame.

    Parameters
    ----------
    frame
        A LazyFrame is collected; of a pandas DataFrame the index is left out and NaN becomes NULL.

    Returns
    -------
    polars.DataFrame
        The same object where it was one already.

    Raises
    ------
    UsageError
        For any other type.
    """
    if isinstance(frame, pl.DataFrame):
        return frame
    if isinstance(frame, pl.LazyFrame):
        return frame.collect()
    if type(frame).__module__.split(".")[0] == "pandas" and hasattr(frame, "columns"):
        return pl.from_pandas(frame, nan_to_null=True)
    raise UsageError(f"expected a polars DataFrame or LazyFrame, or a pandas DataFrame; found {type(frame).__name__}")


def feature_columns(frame: FrameLike) -> list[str]:
    """List the feature columns of a frame: every column that does not start with ``Metadata_``.

    Parameters
    ----------
    frame
        A table of cells or profiles.

    Returns
    -------
    list of str
        In the frame's order. A column without any value (polars' Null type, or text from a CSV file, whose
        type cannot be guessed) is a feature too.

    Raises
    ------
    SchemaError
        Where a column without the prefix is not numeric: it is either metadata that lacks its prefix or a
        feature read as text, and dropping either would go unnoticed.

    Examples
    --------
    >>> feature_columns(pl.DataFrame({"Metadata_Well": ["A01"], "Cells_AreaShape_Area": [12.0]}))
    ['Cells_AreaShape_Area']
    """
    data = frame if isinstance(frame, pl.LazyFrame) else to_polars(frame)
    if isinstance(data, pl.LazyFrame):
        columns = list(data.collect_schema().items())
    else:  # a schema of thousands of columns is slow to build
        columns = list(zip(data.columns, data.dtypes, strict=True))
    features = {name: dtype for name, dtype in columns if not name.startswith(METADATA_PREFIX)}
    wrong = [
        f"{name} ({dtype})"
        for name, dtype in features.items()
        if not dtype.is_numeric() and dtype != pl.Null and not _is_empty_text(data, name)
    ]
    if wrong:
        raise SchemaError(
            f"columns without the prefix {METADATA_PREFIX!r} must be numeric features; found {first_few(wrong, 8)}. "
            f"Rename what describes the sample to {METADATA_PREFIX}..., cast or drop the rest"
        )
    return list(features)


def _is_empty_text(data: pl.DataFrame | pl.LazyFrame, name: str) -> bool:
    """Whether a text column of a frame in memory has rows but no value."""
    if isinstance(data, pl.LazyFrame) or not data.height or data.schema[name] != pl.String:
        return False
    return data.get_column(name).null_count() == data.height


def metadata_columns(frame: pl.DataFrame) -> list[str]:
    """List the columns that start with ``Metadata_``, in the frame's order."""
    return [name for name in frame.columns if name.startswith(METADATA_PREFIX)]


def require_columns(frame: pl.DataFrame, columns: Sequence[str], *, purpose: str) -> None:
    """Raise UnknownNameError for the first of the columns that the frame lacks; `purpose` is part of the message."""
    if isinstance(columns, str):
        raise UsageError(f"expected a list of column names for {purpose}; found the text {columns!r}")
    for name in columns:
        if name not in frame.columns:
            raise UnknownNameError(f"column for {purpose}", name, metadata_columns(frame) or frame.columns)


def feature_matrix(frame: pl.DataFrame, features: Sequence[str]) -> FloatArray:
    """Copy features into a matrix of shape (features, rows), NaN where NULL, NaN, infinite or beyond 1e100.

    Parameters
    ----------
    frame
        The table.
    features
        Numeric columns.

    Returns
    -------
    numpy.ndarray
        Shape (features, rows), C order, writable; float32 where every feature is Float32, else float64.
    """
    dtype = matrix_dtype(frame, features)
    kind = pl.Float32() if dtype == np.float32 else pl.Float64()
    if not len(features) or not frame.height:
        return np.empty((len(features), frame.height), dtype=dtype)
    columns = frame[list(features)]
    if set(columns.dtypes) != {kind}:
        columns = columns.cast(kind)
    values: FloatArray = columns.to_numpy(order="fortran", writable=True).T
    # One pass that finds none in the usual case; infinities cannot be averaged, nor values whose square is infinite.
    infinite = np.isinf(values) if dtype == np.float32 else np.abs(values) > LARGEST
    if infinite.any():
        values[infinite] = np.nan
    return values


def rows_with_values(values: FloatArray) -> NDArray[np.bool_]:
    """Mark the rows of a matrix (features, rows) that have any value; without features, every row."""
    has_values = np.ones(values.shape[1], dtype=bool)
    if len(values):
        empty = np.flatnonzero(np.isnan(values[0]))  # only these can lack everything
        has_values[empty] = ~np.isnan(values[:, empty]).all(axis=0)
    return has_values


def matrix_dtype(frame: pl.DataFrame, features: Sequence[str]) -> np.dtype[np.floating[Any]]:
    """Return float32 where every feature is Float32 (all-Null columns aside), else float64."""
    narrow = len(features) > 0 and set(frame[list(features)].dtypes) <= {pl.Float32(), pl.Null()}
    return np.dtype(np.float32 if narrow else np.float64)


def count_not_finite(frame: pl.DataFrame, features: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Count NaN and infinite (or beyond 1e100) values of the float features that hold any: name -> (nan, inf)."""
    schema = frame.schema
    floats = [name for name in features if schema[name].is_float()]
    if not floats or not frame.height:
        return {}
    nan = frame.select(pl.col(floats).is_nan().sum()).row(0)
    inf = frame.select((pl.col(floats).fill_nan(0).abs() > LARGEST).sum()).row(0)
    return {name: (int(n or 0), int(i or 0)) for name, n, i in zip(floats, nan, inf, strict=True) if n or i}


def missing_as_null(frame: pl.DataFrame, features: Sequence[str]) -> pl.DataFrame:
    """Replace NaN and infinite values of float features by NULL."""
    schema = frame.schema
    floats = [name for name in features if schema[name].is_float()]
    if not floats or not frame.height:
        return frame
    fine = frame.select(pl.col(floats).is_finite().all()).row(0)
    floats = [name for name, ok in zip(floats, fine, strict=True) if ok is False]
    return frame.with_columns(pl.when(pl.col(name).is_finite()).then(pl.col(name)).alias(name) for name in floats)


def with_features(frame: pl.DataFrame, features: Sequence[str], values: FloatArray) -> pl.DataFrame:
    """Replace features, in place, by the rows of a matrix (features, rows); NaN becomes NULL."""
    return with_series(frame, feature_series(features, values))


def with_series(frame: pl.DataFrame, columns: list[pl.Series]) -> pl.DataFrame:
    """Replace or append columns, as `with_columns` does but ten times faster where they are the last ones or new."""
    names = [column.name for column in columns]
    given = set(names)
    others = [name for name in frame.columns if name not in given]
    if frame.columns in (others, [*others, *names]):
        return frame[others].hstack(columns) if others else pl.DataFrame(columns)
    return frame.with_columns(columns)


def feature_series(features: Sequence[str], values: FloatArray) -> list[pl.Series]:
    """Turn the rows of a matrix (features, rows) into polars columns, NaN into NULL."""
    n = values.shape[1]
    if 0 < n <= _FEW_ROWS:
        # Thousands of short columns: one is made and cut, which is several times faster than making each.
        whole = pl.Series("", np.ascontiguousarray(values).ravel(), nan_to_null=True)
        return [whole.slice(i * n, n).alias(name) for i, name in enumerate(features)]
    return [pl.Series(name, row, nan_to_null=True) for name, row in zip(features, values, strict=True)]


@dataclass(frozen=True)
class Groups:
    """Rows of a frame by the values of some columns.

    Attributes
    ----------
    keys
        One row per group, sorted by the key columns, NULL last.
    order
        Row numbers of the frame, group after group, in the frame's order within a group; shape (rows,).
    bounds
        Where each group starts in `order`, and the end; shape (groups + 1,).
    """

    keys: pl.DataFrame
    order: IntArray
    bounds: IntArray

    @classmethod
    def of(cls, frame: pl.DataFrame, by: Sequence[str], *, null_keys: str = "error") -> Groups:
        """Group a frame's rows.

        Parameters
        ----------
        frame
            The table.
        by
            Key columns; none makes one group of all rows.
        null_keys
            ``"error"`` refuses rows whose key holds NULL, ``"group"`` makes NULL a value of its own.

        Raises
        ------
        SchemaError
            Where a key holds NULL and `null_keys` is ``"error"``.
        UnknownNameError
            Where a key column is absent.
        """
        if null_keys not in ("error", "group"):
            raise UnknownNameError("null_keys", null_keys, ["error", "group"])
        require_columns(frame, by, purpose="grouping")
        if not by:
            rows = np.arange(frame.height, dtype=np.intp)
            return cls(pl.DataFrame(), rows, np.array([0, frame.height], dtype=np.intp))
        keyed = frame.select(pl.col(name).fill_nan(None) if frame.schema[name].is_float() else name for name in by)
        if null_keys == "error":
            missing = {name: n for name, n in zip(by, keyed.null_count().row(0), strict=True) if n}
            if missing:
                shown = ", ".join(f"{name} in {n} of {frame.height} rows" for name, n in missing.items())
                raise SchemaError(
                    f"group keys must not be NULL; found NULL {shown}. Fill or filter those rows, "
                    "or pass null_keys='group' to keep NULL as a group of its own"
                )
        rows_name = "row number of the frame"
        grouped = (
            keyed.with_row_index(rows_name)
            .group_by(list(by), maintain_order=False)
            .agg(pl.col(rows_name).sort())
            .sort(list(by), nulls_last=True)
        )
        lengths = grouped.get_column(rows_name).list.len().to_numpy()
        order = grouped.get_column(rows_name).explode().to_numpy().astype(np.intp)
        bounds = np.concatenate([[0], np.cumsum(lengths, dtype=np.intp)]).astype(np.intp)
        return cls(grouped.drop(rows_name), order, bounds)

    def __len__(self) -> int:
        """Count the groups."""
        return len(self.bounds) - 1

    @property
    def sizes(self) -> IntArray:
        """Rows of each group, shape (groups,)."""
        return np.diff(self.bounds)

    @property
    def codes(self) -> IntArray:
        """Group number of each row of the frame, shape (rows,)."""
        codes = np.empty(len(self.order), dtype=np.intp)
        codes[self.order] = np.repeat(np.arange(len(self)), self.sizes)
        return codes

    @property
    def is_sorted(self) -> bool:
        """Whether the frame's rows are already sorted by group."""
        return bool(np.array_equal(self.order, np.arange(len(self.order))))

    def items(self) -> Iterator[tuple[tuple[object, ...], IntArray]]:
        """Iterate over the groups' keys, empty where there is one group of all rows, and row numbers."""
        return zip(self.keys.rows() if self.keys.width else [()] * len(self), self.rows(), strict=True)

    def rows(self) -> Iterator[IntArray]:
        """Iterate over the groups' row numbers."""
        for start, stop in zip(self.bounds[:-1], self.bounds[1:], strict=True):
            yield self.order[start:stop]
