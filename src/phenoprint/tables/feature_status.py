"""Status of features: the rows of the table `feature_status`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl

from phenoprint.tables.conformity import frame_of
from phenoprint.tables.frames import count_not_finite

if TYPE_CHECKING:
    from phenoprint.tables.frames import FloatArray

__all__ = ["Result", "StatusRow", "concat_status", "not_finite_rows", "status_frame"]


@dataclass(frozen=True)
class Result:
    """A frame, the status of its features, and what was fitted on the way.

    Iterating gives frame and status, for ``frame, status = normalize_with_status(...)``.

    Attributes
    ----------
    frame
        The result.
    status
        Rows of `feature_status`: Metadata_Plate, feature, step, status, reason, value.
    name
        Name of the step, where the result is that of a step of a recipe.
    arrays
        The fitted arrays by name.
    parameters
        The method and its parameters as plain values.
    effects
        For corrections, one row per feature: ``feature``, ``method``, ``effect_before`` and ``effect_after`` (Float64,
        the share of variance that position, cell count or batch explains; see the correction).
    """

    frame: pl.DataFrame
    status: pl.DataFrame
    name: str = ""
    arrays: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    effects: pl.DataFrame | None = None

    def __iter__(self) -> Iterator[pl.DataFrame]:
        """Iterate over frame and status."""
        return iter((self.frame, self.status))


class StatusRow(NamedTuple):
    """One row of `feature_status` without its step."""

    plate: str | None
    feature: str
    status: str
    reason: str
    value: float | None


def status_frame(step: str, rows: Sequence[StatusRow]) -> pl.DataFrame:
    """Build rows of `feature_status` for a step."""
    ordered = [(row.plate, row.feature, step, row.status, row.reason, row.value) for row in rows]
    return frame_of("feature_status", ordered)


def concat_status(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Stack rows of `feature_status`; none gives an empty table with the right columns."""
    return pl.concat([frame_of("feature_status"), *frames])


def not_finite_rows(data: pl.DataFrame, features: Sequence[str], values: FloatArray | None = None) -> list[StatusRow]:
    """List features that hold NaN (``nan_input``) or infinite values (``infinite_input``, also beyond 1e100).

    Parameters
    ----------
    data
        The frame before cleaning; rows of one plate get its name.
    features
        The features to check.
    values
        Their matrix (features, rows), if it was made: where it lacks no more values than the frame, nothing is counted.
    """
    if values is not None and data.height and features:
        nulls = sum(data[list(features)].null_count().row(0))
        if nulls == np.isnan(values).sum():
            return []
    plates = data["Metadata_Plate"].unique().to_list() if "Metadata_Plate" in data.columns else []
    plate = str(plates[0]) if len(plates) == 1 and plates[0] is not None else None
    rows = []
    for name, counts in count_not_finite(data, features).items():
        for n, status, word in zip(counts, ("nan_input", "infinite_input"), ("NaN", "infinite"), strict=True):
            if n:
                reason = f"{n} of {data.height} values were {word} and taken as missing"
                rows.append(StatusRow(plate, name, status, reason, float(n)))
    return rows
