"""Steps of recipes over plates that come one after the other, so that a screen need not fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from phenoprint.errors import UsageError
from phenoprint.profiles.fitted import fit_normalization
from phenoprint.profiles.limits import limit_values_with_status
from phenoprint.profiles.normalizers import NORMALIZERS
from phenoprint.profiles.recipe_steps import STEP_OPERATIONS, Done
from phenoprint.profiles.reference_wells import FEWEST_REFERENCE, fallback_rows, reference_of
from phenoprint.profiles.selection import DEFAULT_OPERATIONS
from phenoprint.profiles.streamed_selection import select_plates
from phenoprint.profiles.streaming import fit_plates
from phenoprint.tables import PLATE, StatusRow, concat_status, frame_of, status_frame

if TYPE_CHECKING:
    from phenoprint.profiles.fitted import FittedNormalization
    from phenoprint.profiles.recipes import RecipeStep

__all__ = ["PlateStep", "fit_step"]

Plates = Callable[[], Iterable[pl.DataFrame]]


@dataclass(frozen=True)
class PlateStep:
    """A step that has seen all plates and can be applied to each.

    Attributes
    ----------
    apply
        From a plate's profiles to those after the step, with the status rows of that plate alone.
    status
        Rows of ``feature_status`` over all plates.
    fitted
        What a normalization learned; None for other steps.
    """

    apply: Callable[[pl.DataFrame], Done]
    status: pl.DataFrame
    fitted: FittedNormalization | None = None


def fit_step(step: RecipeStep, plates: Plates) -> PlateStep | None:
    """Learn a step from plates that are read one after the other.

    Parameters
    ----------
    step
        Of a recipe.
    plates
        Called once per pass; each time all plates again, one frame per plate.

    Returns
    -------
    PlateStep or None
        None for a step that needs all plates together: batch and position corrections over several plates, selection
        in another order than `select_plates` allows. Sphering, TVN and normalizations over several plates are fitted on
        all plates at once, and applied to each.

    Raises
    ------
    UsageError
        For no plate at all.
    PhenoprintError
        As the step itself.

    Examples
    --------
    >>> from phenoprint.profiles import RecipeStep
    >>> wells = [pl.DataFrame({"Metadata_Plate": [p] * 3, "area": [1.0, 2.0, 6.0]}) for p in "ab"]
    >>> parameters = {"method": "standardize", "reference": "all"}
    >>> step = fit_step(RecipeStep("normalize", parameters=parameters), lambda: wells)
    >>> round(step.apply(wells[0]).frame["area"].sum(), 9)
    0.0
    """
    if step.operation == "normalize":
        return _normalize(plates, **step.parameters)
    if step.operation == "select":
        return _select(plates, **step.parameters)
    if step.operation == "limit":
        limit = float(step.parameters.get("limit", 20.0))
        return PlateStep(lambda plate: _of_plate(Done(*limit_values_with_status(plate, limit)), plate), _nothing())
    if step.operation in ("correct_position", "correct_count") and _within_plates(step):
        run = STEP_OPERATIONS[step.operation].run
        return PlateStep(lambda plate: _of_plate(run(plate, **step.parameters), plate), _nothing())
    return None


def _within_plates(step: RecipeStep) -> bool:
    """Whether a correction looks at one plate at a time."""
    usual = [PLATE] if step.operation == "correct_position" else []
    return list(step.parameters.get("by", usual)) == [PLATE] and step.parameters.get("method") != "well_mean"


def _normalize(
    plates: Plates,
    *,
    method: str = "mad_robust",
    by: Iterable[str] = (PLATE,),
    reference: str = "negcon",
    min_cells: int = 0,
    min_reference: int = FEWEST_REFERENCE,
    **parameters: Any,
) -> PlateStep:
    how = NORMALIZERS.make(method, **parameters)
    keys = list(by)
    first = next(iter(plates()), None)
    if first is None:
        raise UsageError("expected at least one plate; found none")
    expression = reference_of(first, reference, min_cells, by=keys, fewest=min_reference)
    fallback_status: list[StatusRow] = []

    def noted(plate: pl.DataFrame) -> pl.DataFrame:
        fallback_status.extend(
            fallback_rows(plate, reference, min_cells, by=keys, fewest=min_reference, is_adjustable=True)
        )
        return plate

    if how.is_joint or PLATE not in keys:
        whole = noted(pl.concat(list(plates()), how="diagonal_relaxed"))
        fitted = fit_normalization(whole, how, keys, reference=expression, min_reference=min_reference)
    else:
        fitted = fit_plates(map(noted, plates()), how, keys, reference=expression, min_reference=min_reference)
    status = concat_status([fitted.status, status_frame("normalize", fallback_status)])
    return PlateStep(lambda plate: Done(fitted.apply(plate), _nothing()), status, fitted)


def _select(plates: Plates, *, operations: Iterable[str] = DEFAULT_OPERATIONS, **options: Any) -> PlateStep | None:
    names = list(operations)
    if "correlation_threshold" in names[:-1]:
        return None
    chosen = select_plates(plates, names, **options)
    return PlateStep(lambda plate: Done(chosen.apply(plate), _nothing()), chosen.status)


def _of_plate(made: Done, plate: pl.DataFrame) -> Done:
    """Say of which plate a status is."""
    name = plate.get_column(PLATE)[0] if plate.height else None
    return Done(made.frame, made.status.with_columns(pl.lit(name, pl.String).alias(PLATE)), made.arrays)


def _nothing() -> pl.DataFrame:
    return frame_of("feature_status")
