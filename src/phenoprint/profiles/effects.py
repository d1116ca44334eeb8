"""Check that a correction reduces the variance explained by position, cell count or batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from phenoprint.tables import Result, StatusRow, status_frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vector = NDArray[Any]

__all__ = ["corrected"]

_TOLERANCE = 0.01  # share of variance; a true share of zero varies by as much by chance


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
    notes: Sequence[StatusRow] = (),
) -> Result:
    """Assemble the result of a correction and check that less variance is explained after it.

    Parameters
    ----------
    frame, features
        Corrected profiles and their features.
    method
        Name of the method.
    before, after
        Share of variance explained, shape (features,), NaN if unknown.
    what
        What explains the variance, for the reason: ``"position"``.
    parameters, arrays
        As in `Result`.
    notes
        Further rows of status. Features in them get no row ``ok``, except for ``nan_input`` and ``infinite_input``.

    Returns
    -------
    Result
        With effects, and for each feature the status ``ok``, ``all_null``, or ``worse`` if the explained share
        increases by more than 0.01.
    """
    effects = pl.DataFrame(
        {
            "feature": pl.Series(list(features), dtype=pl.String),
            "method": pl.Series([method] * len(features), dtype=pl.String),
            "effect_before": pl.Series(before, dtype=pl.Float64, nan_to_null=True),
            "effect_after": pl.Series(after, dtype=pl.Float64, nan_to_null=True),
        }
    )
    noted = {row.feature for row in notes if row.status not in ("nan_input", "infinite_input")}
    empty = {name for name in features if name in frame.columns and frame[name].null_count() == frame.height}
    rows = []
    for name, first, second in effects.select("feature", "effect_before", "effect_after").iter_rows():
        worse = first is not None and second is not None and second > max(first, 0.0) + _TOLERANCE
        if name in noted and not worse:
            continue
        if name in empty and frame.height:
            rows.append(StatusRow(None, name, "all_null", "no profile has a value", None))
            continue
        reason = f"{what} explained {_share(first)} of the variance, {_share(second)} after"
        rows.append(StatusRow(None, name, "worse" if worse else "ok", reason, first))
    status = status_frame("correct", [*rows, *notes])
    return Result(frame, status, arrays=dict(arrays), parameters=dict(parameters), effects=effects)


def _share(value: float | None) -> str:
    return "an unknown share" if value is None else f"{value:.3f}"
