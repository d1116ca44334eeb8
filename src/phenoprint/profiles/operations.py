"""The operations of recipes: each is fitted to all plates and then applied to one plate after the other.

Plates are a sequence of frames that is iterated over once per pass: frames in memory, or files that are read again in
each pass. A frame of all plates is a sequence of one frame. Normalizations, selections and corrections within plates
keep only sums over the plates in memory. Batch corrections, corrections of position and cell count over several plates,
and consensus profiles need all plates at once, in the precision of the frames (float32 as stored), and should follow
the selection of features. Sphering, TVN and other normalizations over several plates need the reference wells of all
plates.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl

from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.profiles.aggregation import consensus
from phenoprint.profiles.batch import check_batch_options, correct_batch_with_status, options_of
from phenoprint.profiles.limits import limit_values_with_status
from phenoprint.profiles.modz import modz
from phenoprint.profiles.normalization import fit_plates
from phenoprint.profiles.normalizers import NORMALIZERS
from phenoprint.profiles.position import correct_count, correct_position
from phenoprint.profiles.reference_wells import (
    FEWEST_REFERENCE,
    IS_REFERENCE,
    fallback_rows,
    mark_reference,
    reference_of,
    reference_rows,
)
from phenoprint.profiles.selection import DEFAULT_OPERATIONS, check_selection, select_plates
from phenoprint.tables import (
    MAD_SCALE,
    PERT_TYPE,
    PLATE,
    Groups,
    Result,
    StatusRow,
    concat_status,
    count,
    feature_columns,
    feature_matrix,
    mad,
    median,
    status_frame,
    well_places,
)

__all__ = ["STEP_OPERATIONS", "Fitted", "Operation"]

_FEWEST_POSITIONS = 4  # wells needed to fit effects of rows and columns

Plates = Sequence[pl.DataFrame]


def _no_rows() -> pl.DataFrame:
    return status_frame("", [])


@dataclass(frozen=True)
class Fitted:
    """An operation fitted to all plates.

    Attributes
    ----------
    apply
        Returns the profiles of a plate after the step, with the ``feature_status`` and the arrays of this plate.
    status
        Rows of ``feature_status`` over all plates.
    arrays, parameters
        Arrays fitted over all plates, by name, and the method with its parameters as plain values.
    holds_elsewhere
        Whether it can be applied to other plates than the fitted ones.
    """

    apply: Callable[[pl.DataFrame], Result]
    status: pl.DataFrame = field(default_factory=_no_rows)
    arrays: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    holds_elsewhere: bool = False


@dataclass(frozen=True)
class Operation:
    """One operation of recipes.

    Parameters
    ----------
    fit
        Fits the operation to plates, with parameters by keyword.
    passes_on
        Functions and classes to which `fit` passes further parameters: all of their parameters that have a default.
    check_further
        Raises for unknown parameters; for operations whose parameters depend on a method.
    usual_reference
        Returns the wells that it is fitted on if a step names none, given the method; None for an operation that is
        fitted on no wells or always on all.
    """

    fit: Callable[..., Fitted]
    passes_on: tuple[Callable[..., Any], ...] = ()
    check_further: Callable[..., object] | None = None
    usual_reference: Callable[[str], str] | None = None

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters, without those of individual methods."""
        names = [*options_of(self.fit), *(name for function in self.passes_on for name in options_of(function))]
        return tuple(sorted(set(names)))

    def reference(self, parameters: Mapping[str, Any]) -> str:
        """Return the wells that a step is fitted on: ``"all"``, or a value of ``Metadata_pert_type``."""
        if self.usual_reference is None:
            return "all"
        return str(parameters.get("reference") or self.usual_reference(str(parameters.get("method"))))

    def check(self, step: str, parameters: Mapping[str, Any]) -> None:
        """Raise UnknownNameError for a parameter that neither the operation nor its method has."""
        known = self.parameters
        if self.check_further is not None:
            wanted = inspect.signature(self.check_further).parameters
            self.check_further(**{name: parameters[name] for name in parameters if name in wanted or name not in known})
            return
        for name in parameters:
            if name not in known:
                raise UnknownNameError(f"parameter of the step {step!r}", name, known)


def _apart(run: Callable[[pl.DataFrame], Result]) -> Fitted:
    """Transform each plate on its own; the rows of its status name the plate."""

    def apply(frame: pl.DataFrame) -> Result:
        made = run(frame)
        plates = frame.get_column(PLATE).unique().to_list() if PLATE in frame.columns else []
        if len(plates) != 1:
            return made
        named = pl.col(PLATE).fill_null(pl.lit(plates[0], pl.String))
        return replace(made, status=made.status.with_columns(named))

    return Fitted(apply)


def _together(run: Callable[[pl.DataFrame], Result], plates: Plates) -> Fitted:
    """Transform all plates at once."""
    if len(plates) == 1:
        return Fitted(run)
    whole = run(pl.concat(list(plates), how="diagonal_relaxed"))
    if PLATE not in whole.frame.columns:
        raise UsageError(f"the result has no {PLATE}; apply the step to one frame of all plates")
    parts = whole.frame.partition_by(PLATE, as_dict=True, maintain_order=True)
    nothing = whole.frame.clear()

    def apply(frame: pl.DataFrame) -> Result:
        own = [parts.get((name,), nothing) for name in frame.get_column(PLATE).unique(maintain_order=True)]
        return Result(pl.concat(own) if own else nothing, _no_rows())

    return Fitted(apply, whole.status, whole.arrays, whole.parameters)


def _normalize(
    plates: Plates,
    *,
    method: str = "mad_robust",
    by: Sequence[str] = (PLATE,),
    reference: str = "negcon",
    min_cells: int | str = 0,
    min_reference: int = FEWEST_REFERENCE,
    **parameters: Any,
) -> Fitted:
    """Fit a normalization; its status has no rows ``ok`` of single plates, which are millions in a screen."""
    notes: list[StatusRow] = []
    marked = mark_reference(plates, reference, min_cells, by=list(by), fewest=min_reference, notes=notes)
    is_reference = pl.col(IS_REFERENCE)
    fitted = fit_plates(marked, method, list(by), reference=is_reference, min_reference=min_reference, **parameters)
    is_usual = (pl.col("status") == "ok") & pl.col(PLATE).is_not_null() & (pl.col("step") == "normalize")
    return Fitted(
        lambda plate: Result(fitted.apply(plate), _no_rows()),
        concat_status([fitted.status.filter(~is_usual), status_frame("normalize", notes)]),
        fitted.arrays(),
        fitted.to_dict(),
        holds_elsewhere=not by,
    )


def _check_normalizer(*, method: str = "mad_robust", **parameters: Any) -> None:
    NORMALIZERS.make(method, **parameters)


def _select(plates: Plates, *, operations: Sequence[str] = DEFAULT_OPERATIONS, **options: Any) -> Fitted:
    chosen = select_plates(plates, operations, **options)
    return Fitted(lambda plate: Result(chosen.apply(plate), _no_rows()), chosen.status, holds_elsewhere=True)


def _limit(plates: Plates, *, limit: float = 20.0) -> Fitted:
    del plates
    return _apart(lambda frame: limit_values_with_status(frame, limit))


def _corrected(
    correct: Callable[..., Result],
    frame: pl.DataFrame,
    step: str,
    *,
    reference: str,
    groups: Sequence[str],
    fewest: int = FEWEST_REFERENCE,
    **parameters: Any,
) -> Result:
    """Correct a frame by its reference wells, and list the groups where all wells were used instead."""
    rows = reference_of(frame, reference, by=groups, fewest=fewest)
    made = correct(frame, reference=rows, **parameters)
    fallback = status_frame(step, fallback_rows(frame, reference, by=groups, fewest=fewest))
    return replace(made, status=concat_status([made.status, fallback]))


def _correct_batch(
    plates: Plates,
    *,
    method: str = "combat",
    batch: str = "Metadata_Batch",
    reference: str | None = None,
    **parameters: Any,
) -> Fitted:
    wells = reference or _batch_reference(method)

    def run(frame: pl.DataFrame) -> Result:
        if batch in frame.columns and frame.get_column(batch).n_unique() < 2:
            reason = f"all profiles have the same {batch}: there is nothing to correct"
            if frame.get_column(batch).null_count() == frame.height:
                reason = (
                    f"no profile has a {batch}, so nothing was corrected: name the batch of each plate (a column Batch "
                    "of the plate map, or batches under [plate_map] in screen.toml), or take the step out of the recipe"
                )
            return Result(frame, status_frame("correct_batch", [StatusRow(None, "", "skipped", reason, None)]))
        options = {"method": method, "batch": batch, **parameters}
        return _corrected(correct_batch_with_status, frame, "correct_batch", reference=wells, groups=[batch], **options)

    return _together(run, plates)


def _batch_reference(method: str) -> str:
    """Harmony takes no reference; all other methods use the controls, so that they do not remove what treatments do."""
    return "all" if method == "harmony" else "negcon"


def _check_batch(*, method: str = "combat", **parameters: Any) -> None:
    check_batch_options(method, **parameters)


def _correct_position(
    plates: Plates, *, reference: str | None = None, by: Sequence[str] = (PLATE,), **parameters: Any
) -> Fitted:
    wells = reference or _position_reference(str(parameters.get("method")))

    def run(frame: pl.DataFrame) -> Result:
        options = {"fewest": _FEWEST_POSITIONS, "by": by, **parameters}
        # Controls in two columns of a plate do not show what its other columns do.
        if reference is None and wells != "all" and (reason := _not_spread(frame, wells, by)):
            made = _corrected(correct_position, frame, "correct_position", reference="all", groups=by, **options)
            note = status_frame("correct_position", [StatusRow(None, "", "reference_all", reason, None)])
            return replace(made, status=concat_status([made.status, note]))
        return _corrected(correct_position, frame, "correct_position", reference=wells, groups=by, **options)

    is_within_plates = list(by) == [PLATE] and parameters.get("method") != "well_mean"
    return _apart(run) if is_within_plates else _together(run, plates)


def _position_reference(method: str) -> str:
    """Means of a well over plates need every well; the other methods can use the controls."""
    return "all" if method == "well_mean" else "negcon"


def _not_spread(frame: pl.DataFrame, reference: str, by: Sequence[str]) -> str:
    """Return why the reference wells cannot show the effect of position: too few, or in too few rows or columns.

    With fewer than two wells per row and column, the fit would follow the wells themselves: their noise would be
    removed, and that of all other wells kept.
    """
    if PERT_TYPE not in frame.columns:
        return f"the wells are not annotated with {PERT_TYPE}: all are used"
    place = well_places(frame)
    chosen = reference_rows(frame, pl.col(PERT_TYPE) == reference)
    for rows in Groups.of(frame, by).rows():
        own = rows[chosen[rows]]
        sizes = [len(np.unique(place[rows, axis])) for axis in (0, 1)]
        for axis, name in enumerate(("rows", "columns")):
            n_known = len(np.unique(place[own, axis]))
            if 2 * n_known < sizes[axis]:
                return f"{reference} wells are in {n_known} of {sizes[axis]} {name} of a plate: all wells are used"
        if len(own) < 2 * sum(sizes):
            return (
                f"a plate has {len(own)} {reference} wells, fewer than two per row and column "
                f"({sizes[0]} rows, {sizes[1]} columns): all wells are used"
            )
    return ""


def _correct_count(plates: Plates, *, reference: str = "negcon", by: Sequence[str] = (), **parameters: Any) -> Fitted:
    def run(frame: pl.DataFrame) -> Result:
        options = {"by": by, **parameters}
        return _corrected(correct_count, frame, "correct_count", reference=reference, groups=by, **options)

    return _apart(run) if list(by) == [PLATE] else _together(run, plates)


def _consensus(
    plates: Plates, *, by: Sequence[str] = ("Metadata_perturbation",), statistic: str = "median", **options: Any
) -> Fitted:
    return _together(
        lambda frame: Result(consensus(frame.drop_nulls(list(by)), by, statistic, **options), _no_rows()), plates
    )


def _drop_invariant(
    plates: Plates, *, ratio: float = 1e-3, by: Sequence[str] = (PLATE,), reference: str = "negcon"
) -> Fitted:
    """Choose the features that vary among the reference wells of every plate.

    A feature varies on a plate if its raw MAD is larger than `ratio` times its absolute median (the rule of the JUMP
    recipe). Plates with fewer than three reference values of a feature do not count for it; a feature without any
    other plate is dropped. If no plate has three reference wells, all wells are used.
    """
    if PLATE not in by and len(plates) > 1:
        plates = [pl.concat(list(plates), how="diagonal_relaxed")]
    notes: list[StatusRow] = []
    least, is_enough = _least_spread(plates, by, reference, fewest=0)
    if not is_enough:
        least, _ = _least_spread(plates, by, reference, fewest=FEWEST_REFERENCE)
        notes = [row for plate in plates for row in fallback_rows(plate, reference, by=by)]
    rows = []
    for name, value in least.items():
        is_known = np.isfinite(value)
        is_gone = value <= ratio or not is_known
        reason = f"smallest MAD on a plate is {value:.3g} of the median" + (f", not above {ratio:g}" if is_gone else "")
        if not is_known:
            reason = f"no plate has {FEWEST_REFERENCE} reference values"
        rows.append(StatusRow(None, name, "invariant" if is_gone else "ok", reason, value if is_known else None))
    gone = [row.feature for row in rows if row.status == "invariant"]
    status = status_frame("drop_invariant", [*rows, *notes])
    return Fitted(lambda plate: Result(plate.drop(gone, strict=False), _no_rows()), status, holds_elsewhere=True)


def _least_spread(plates: Plates, by: Sequence[str], reference: str, *, fewest: int) -> tuple[dict[str, float], bool]:
    """Find the smallest ratio of MAD to median per feature, and whether some plate has enough reference wells."""
    least: dict[str, float] = {}
    is_enough = False
    for plate in plates:
        features = feature_columns(plate)
        values = feature_matrix(plate, features)
        chosen = reference_rows(plate, reference_of(plate, reference, by=by, fewest=fewest))
        found = np.array([least.get(name, np.inf) for name in features])
        for rows in Groups.of(plate, by).rows():
            block = values[:, rows[chosen[rows]]]
            is_enough |= block.shape[1] >= FEWEST_REFERENCE
            if block.shape[1]:
                spread, level = mad(block) / MAD_SCALE, np.abs(median(block))
                share = np.where(spread > 0, spread / np.maximum(level, 1e-300), 0.0)
                found = np.where(count(block) >= FEWEST_REFERENCE, np.fmin(found, share), found)
        least |= dict(zip(features, found.tolist(), strict=True))
    return least, is_enough


STEP_OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        "consensus": Operation(_consensus, (consensus, modz)),
        "correct_batch": Operation(_correct_batch, check_further=_check_batch, usual_reference=_batch_reference),
        "correct_count": Operation(_correct_count, (correct_count,), usual_reference=lambda _: "negcon"),
        "correct_position": Operation(_correct_position, (correct_position,), usual_reference=_position_reference),
        "drop_invariant": Operation(_drop_invariant, usual_reference=lambda _: "negcon"),
        "limit": Operation(_limit),
        "normalize": Operation(_normalize, check_further=_check_normalizer, usual_reference=lambda _: "negcon"),
        "select": Operation(_select, check_further=check_selection),
    }
)
"""Operations that a step of a recipe can name."""
