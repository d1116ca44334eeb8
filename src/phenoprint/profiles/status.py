"""What became of each feature: the rows of the table `feature_status`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import polars as pl

__all__ = ["FEATURE_STATUS_SCHEMA", "WithStatus", "concat_status", "status_frame"]

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
