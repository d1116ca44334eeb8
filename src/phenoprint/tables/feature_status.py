"""What became of each feature: the rows of the table `feature_status`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from phenoprint.tables.frames import count_not_finite

if TYPE_CHECKING:
    from phenoprint.tables.frames import FloatArray

__all__ = ["FEATURE_STATUS_SCHEMA", "WithStatus", "concat_status", "not_finite_rows", "status_frame"]

FEATURE_STATUS_SCHEMA: dict[str, type[pl.DataType]] = {
    "Metadata_Plate": pl.String,  # NULL: the decision was taken over all plates
    "feature": pl.String,
    "step": pl.String,
    "status": pl.String,  # "ok", or one word that names the reason
    "reason": pl.String,  # the sentence
    "value": pl.Float64,  # the number that decided
}


class WithStatus(NamedTuple):
    """A result and what became of each feature on the way.

    Attributes
    ----------
    frame
        The result.
    status
        Rows of `feature_status`: Metadata_Plate, feature, step, status, reason, value.
    """

    frame: pl.DataFrame
    status: pl.DataFrame


class StatusRow(NamedTuple):
    """One row of `feature_status` without its step."""

    plate: str | None
    feature: str
    status: str
    reason: str
    value: float | None


def status_frame(step: str, rows: Sequence[StatusRow]) -> pl.DataFrame:
    """Build rows of `feature_status` for a step."""
    return pl.DataFrame(
        [(row.plate, row.feature, step, row.status, row.reason, row.value) for row in rows],
        schema=FEATURE_STATUS_SCHEMA,
        orient="row",
        nan_to_null=True,
    )


def concat_status(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Stack rows of `feature_status`; none gives an empty table with the right columns."""
    return pl.concat([pl.DataFrame(schema=FEATURE_STATUS_SCHEMA), *frames])


def not_finite_rows(data: pl.DataFrame, features: Sequence[str], values: FloatArray | None = None) -> list[StatusRow]:
    """Tell features that came with NaN (``nan_input``) or infinite values (``infinite_input``, also beyond 1e100).

    Parameters
    ----------
    data
        The frame as it came; rows of one plate name it.
    features
        To look at.
    values
        Their matrix (features, rows), if it is there: where it lacks no more than the frame, nothing is counted.
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
