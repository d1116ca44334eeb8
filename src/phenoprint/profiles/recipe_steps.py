"""The operations that recipes are made of: frame and plain parameters in, frame and feature status out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from phenoprint.profiles.aggregation import consensus
from phenoprint.profiles.batch import correct_batch_with_status
from phenoprint.profiles.fitted import reference_rows
from phenoprint.profiles.limits import limit_values_with_status
from phenoprint.profiles.normalization import normalize_with_status
from phenoprint.profiles.position import correct_count, correct_position
from phenoprint.profiles.reference_wells import FEWEST_REFERENCE, fallback_rows, reference_of
from phenoprint.profiles.selection import DEFAULT_OPERATIONS, select_features_with_status
from phenoprint.profiles.selection_rules import SelectionOptions
from phenoprint.tables import (
    MAD_SCALE,
    Groups,
    StatusRow,
    concat_status,
    count,
    feature_columns,
    feature_matrix,
    mad,
    median,
    status_frame,
)

__all__ = ["STEP_OPERATIONS", "Done", "StepOperation", "drop_invariant"]

_FEWEST_POSITIONS = 4  # wells that effects of rows and columns can be fitted to


class Done(NamedTuple):
    """What a step made.

    Attributes
    ----------
    frame
        Profiles after it.
    status
        Rows of ``feature_status``.
    arrays
        What was fitted, by name; empty where nothing was, or a fit of its own holds it (normalizations).
    """

    frame: pl.DataFrame
    status: pl.DataFrame
    arrays: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class StepOperation:
    """One operation.

    Attributes
    ----------
    run
        From a frame and parameters to what the step made.
    parameters
        Names that `run` takes; None: those of the method it names, checked there.
    """

    run: Callable[..., Done]
    parameters: frozenset[str] | None


def _normalize(
    data: pl.DataFrame,
    *,
    method: str = "mad_robust",
    by: Sequence[str] = ("Metadata_Plate",),
    reference: str = "negcon",
    min_cells: int = 0,
    min_reference: int = FEWEST_REFERENCE,
    **parameters: Any,
) -> Done:
    rows = reference_of(data, reference, min_cells, by=by, fewest=min_reference)
    made = normalize_with_status(data, method, by, reference=rows, min_reference=min_reference, **parameters)
    fallback = fallback_rows(data, reference, min_cells, by=by, fewest=min_reference, is_adjustable=True)
    return _with_status(Done(*made), "normalize", fallback)


def _with_status(made: Done, step: str, rows: Sequence[StatusRow]) -> Done:
    """Add rows to the status of a step."""
    return made._replace(status=concat_status([made.status, status_frame(step, rows)])) if rows else made


def _select(data: pl.DataFrame, *, operations: Sequence[str] = DEFAULT_OPERATIONS, **options: Any) -> Done:
    return Done(*select_features_with_status(data, operations, **options))


def _limit(data: pl.DataFrame, *, limit: float = 20.0) -> Done:
    return Done(*limit_values_with_status(data, limit))


def _correct_batch(
    data: pl.DataFrame,
    *,
    method: str = "combat",
    batch: str = "Metadata_Batch",
    reference: str = "all",
    **parameters: Any,
) -> Done:
    if batch in data.columns and data.get_column(batch).n_unique() < 2:
        reason = f"all profiles are of one {batch}: there is nothing to correct"
        if data.get_column(batch).null_count() == data.height:
            reason = (
                f"no profile has a {batch}, so nothing was corrected: name the batch of each plate (a column Batch of "
                "the plate map, or batches under [plate_map] in screen.toml), or take the step out of the recipe"
            )
        row = StatusRow(None, "", "skipped", reason, None)
        return Done(data, status_frame("correct_batch", [row]))
    rows = reference_of(data, reference, by=[batch])
    done = correct_batch_with_status(data, method, batch, reference=rows, **parameters)
    fallback = fallback_rows(data, reference, by=[batch])
    return _with_status(Done(done.frame, done.status, done.arrays), "correct_batch", fallback)


def _correct_position(
    data: pl.DataFrame, *, reference: str = "all", by: Sequence[str] = ("Metadata_Plate",), **parameters: Any
) -> Done:
    rows = reference_of(data, reference, by=by, fewest=_FEWEST_POSITIONS)
    done = correct_position(data, by=by, reference=rows, **parameters)
    fallback = fallback_rows(data, reference, by=by, fewest=_FEWEST_POSITIONS)
    return _with_status(Done(done.frame, done.status, done.arrays), "correct_position", fallback)


def _correct_count(data: pl.DataFrame, *, reference: str = "all", by: Sequence[str] = (), **parameters: Any) -> Done:
    done = correct_count(data, by, reference=reference_of(data, reference, by=by), **parameters)
    fallback = fallback_rows(data, reference, by=by)
    return _with_status(Done(done.frame, done.status, done.arrays), "correct_count", fallback)


def _consensus(
    data: pl.DataFrame, *, by: Sequence[str] = ("Metadata_perturbation",), statistic: str = "median", **options: Any
) -> Done:
    return Done(consensus(data.drop_nulls(list(by)), by, statistic, **options), status_frame("consensus", []))


def drop_invariant(
    data: pl.DataFrame, *, ratio: float = 1e-3, by: Sequence[str] = ("Metadata_Plate",), reference: str = "negcon"
) -> Done:
    """Leave out features that hardly vary among the reference wells of some plate.

    A plate with fewer than three values of a feature among its reference wells says nothing of it; a feature of which
    no plate has as many goes. Where no plate has three reference wells at all, all wells serve.

    Parameters
    ----------
    data
        Profiles that are not normalized yet.
    ratio
        Smallest raw MAD, as a share of the absolute median, that counts as varying (the JUMP recipe's rule); a MAD of
        0 never does.
    by
        Plates.
    reference
        ``"all"`` or a value of Metadata_pert_type.

    Returns
    -------
    Done
        With one row of status a feature: ``ok`` or ``invariant``, with the smallest ratio found as value.
    """
    features = feature_columns(data)
    values = feature_matrix(data, features)
    plates, fallback = Groups.of(data, by), []
    chosen = reference_rows(data, reference_of(data, reference, by=by, fewest=0))
    if not any(chosen[rows].sum() >= FEWEST_REFERENCE for rows in plates.rows()):
        chosen = reference_rows(data, reference_of(data, reference, by=by))
        fallback = fallback_rows(data, reference, by=by)
    least = np.full(len(features), np.inf)
    for rows in plates.rows():
        block = values[:, rows[chosen[rows]]]
        if block.shape[1]:
            spread, level = mad(block) / MAD_SCALE, np.abs(median(block))
            share = np.where(spread > 0, spread / np.maximum(level, 1e-300), 0.0)
            votes = count(block) >= FEWEST_REFERENCE
            least = np.where(votes, np.fmin(least, share), least)
    gone = (least <= ratio) | np.isinf(least)
    rows_ = [
        StatusRow(
            None,
            name,
            "invariant" if out else "ok",
            f"smallest MAD on a plate is {value:.3g} of the median" + (f", not above {ratio:g}" if out else "")
            if np.isfinite(value)
            else f"no plate has {FEWEST_REFERENCE} reference values",
            float(value) if np.isfinite(value) else None,
        )
        for name, out, value in zip(features, gone.tolist(), least.tolist(), strict=True)
    ]
    dropped = [name for name, out in zip(features, gone.tolist(), strict=True) if out]
    return Done(data.drop(dropped), status_frame("drop_invariant", [*rows_, *fallback]))


def _names(*names: str) -> frozenset[str]:
    return frozenset(names)


STEP_OPERATIONS: Mapping[str, StepOperation] = MappingProxyType(
    {
        "consensus": StepOperation(
            _consensus, _names("by", "statistic", "null_keys", "correlation", "min_weight", "precision")
        ),
        "correct_batch": StepOperation(_correct_batch, None),
        "correct_count": StepOperation(_correct_count, _names("by", "count", "reference", "logarithm")),
        "correct_position": StepOperation(
            _correct_position,
            _names("method", "by", "reference", "scale", "span", "smoothing", "treatment"),
        ),
        "drop_invariant": StepOperation(drop_invariant, _names("ratio", "by", "reference")),
        "limit": StepOperation(_limit, _names("limit")),
        "normalize": StepOperation(_normalize, None),
        "select": StepOperation(_select, _names("operations", *SelectionOptions.__annotations__)),
    }
)
"""Operations that a step of a recipe can name."""
