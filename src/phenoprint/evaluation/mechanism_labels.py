"""Mechanisms written as text, one or several per treatment, as a matrix of treatments and mechanisms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SEPARATOR", "MechanismLabels"]

SEPARATOR: Final = "|"
"""Stands between the mechanisms of a treatment that has several."""


@dataclass(frozen=True)
class MechanismLabels:
    """Which mechanisms each row has.

    Attributes
    ----------
    names
        The mechanisms, sorted.
    has
        Shape (rows, mechanisms): whether the row has the mechanism. A row of False has no label.
    """

    names: tuple[str, ...]
    has: NDArray[np.bool_]

    @classmethod
    def of(cls, labels: pl.Series) -> MechanismLabels:
        """Read labels such as ``"A"`` or ``"A|B"``; NULL and empty text are no label.

        Examples
        --------
        >>> found = MechanismLabels.of(pl.Series(["b", "a|b", None]))
        >>> found.names, found.has.tolist()
        (('a', 'b'), [[False, True], [True, True], [False, False]])
        """
        text = labels.cast(pl.String).fill_null("")
        rows = pl.DataFrame({"row": np.arange(len(text)), "label": text.str.split(SEPARATOR)}).explode("label")
        split = rows.with_columns(pl.col("label").str.strip_chars()).filter(pl.col("label") != "").unique()
        names = split["label"].unique().sort()
        has = np.zeros((len(text), len(names)), dtype=bool)
        has[split["row"].to_numpy(), names.search_sorted(split["label"]).to_numpy()] = True
        return cls(tuple(names.to_list()), has)

    @property
    def is_labelled(self) -> NDArray[np.bool_]:
        """Whether each row has any mechanism, shape (rows,)."""
        return np.asarray(self.has.any(axis=1), dtype=bool)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> MechanismLabels:
        """Return the labels of some rows; the mechanisms stay."""
        return MechanismLabels(self.names, self.has[rows])
