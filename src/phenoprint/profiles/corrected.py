"""What a correction of position, cell count or batch made: profiles, effects, parameters, and its own check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from phenoprint.tables import StatusRow, status_frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vector = NDArray[Any]

__all__ = ["Corrected", "corrected"]

_TOLERANCE = 0.01  # of variance: less is what chance does to a share that was none


@dataclass(frozen=True)
class Corrected:
    """Corrected profiles, and what the correction did.

    Attributes
    ----------
    frame
        The frame's rows and columns, features corrected.
    effects
        One row per feature: ``feature``, ``method``, ``effect_before``, ``effect_after`` (Float64; the variance share
        of position, count or batch, adjusted for the number of their parameters, over the wells fitted on;
        for position and count the mean over plates; NULL where it is not known).
    status
        Rows of ``feature_status``, one or more a feature: ``ok``, or ``worse`` where more is explained after the
        correction than before by a hundredth of the variance, which no correction should do; what else a method tells.
    parameters
        The method and its options as plain values.
    arrays
        What was fitted, by names such as ``"p1/rows"``: the group, then the quantity.
    """

    frame: pl.DataFrame
    effects: pl.DataFrame
    status: pl.DataFrame = field(default_factory=lambda: status_frame("correct", []))
    parameters: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def corrected(
    frame: pl.DataFrame,
    features: Sequence[str],
    method: str,
    before: Vector,
    after: Vector,
    *,
    what: str,
    parameters: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    told: Sequence[StatusRow] = (),
) -> Corrected:
    """Put a correction's result together and check that less is explained after it.

    Parameters
    ----------
    frame, features
        Corrected profiles and their features.
    method
        Name of the method.
    before, after
        Share of variance explained, shape (features,), NaN where unknown.
    what
        What explains it, for the status: ``"position"``.
    parameters, arrays
        See `Corrected`.
    told
        Further rows for features that the check should not call ``ok``.
    """
    effects = pl.DataFrame(
        {
            "feature": pl.Series(list(features), dtype=pl.String),
            "method": pl.Series([method] * len(features), dtype=pl.String),
            "effect_before": pl.Series(before, dtype=pl.Float64, nan_to_null=True),
            "effect_after": pl.Series(after, dtype=pl.Float64, nan_to_null=True),
        }
    )
    spoken = {row.feature for row in told if row.status not in ("nan_input", "infinite_input")}
    empty = {name for name in features if name in frame.columns and frame[name].null_count() == frame.height}
    rows = []
    for name, first, second in effects.select("feature", "effect_before", "effect_after").iter_rows():
        worse = first is not None and second is not None and second > max(first, 0.0) + _TOLERANCE
        if name in spoken and not worse:
            continue
        if name in empty and frame.height:
            rows.append(StatusRow(None, name, "all_null", "no profile has a value", None))
            continue
        reason = f"{what} explained {_share(first)} of the variance, {_share(second)} after"
        rows.append(StatusRow(None, name, "worse" if worse else "ok", reason, first))
    return Corrected(frame, effects, status_frame("correct", [*rows, *told]), dict(parameters), dict(arrays))


def _share(value: float | None) -> str:
    return "an unknown share" if value is None else f"{value:.3f}"
