"""NULL in the columns that define pairs and treatments.

NULL is unknown: it neither agrees nor differs, as in SQL. pandas drops such rows from its groups, copairs refuses
them; here they are in no pair and no treatment, and the error for a lack of pairs counts them.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

__all__ = ["known", "null_counts"]


def known(frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Keep the rows with a value in each of the columns; NaN is no value.

    Examples
    --------
    >>> known(pl.DataFrame({"dose": [1.0, float("nan"), None]}), ["dose"]).rows()
    [(1.0,)]
    """
    return frame.filter(_known(frame, name) for name in columns)


def null_counts(frame: pl.DataFrame, columns: Sequence[str]) -> str:
    """Describe how many rows lack a value in each of the columns; empty where none does.

    Examples
    --------
    >>> null_counts(pl.DataFrame({"plate": ["p", "p"], "compound": ["a", None]}), ["plate", "compound"])
    'compound is NULL in 1 of 2 rows'
    """
    missing = {name: frame.height - frame.filter(_known(frame, name)).height for name in dict.fromkeys(columns)}
    return ", ".join(f"{name} is NULL in {n} of {frame.height} rows" for name, n in missing.items() if n)


def _known(frame: pl.DataFrame, name: str) -> pl.Expr:
    column = pl.col(name)
    return (column.is_not_null() & column.is_not_nan()) if frame.schema[name].is_float() else column.is_not_null()
