"""Divide the negative controls of a screen into folds, so that wells are compared with controls that no step saw."""

from __future__ import annotations

import hashlib
import inspect
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from phenoprint.errors import UsageError
from phenoprint.profiles.operations import STEP_OPERATIONS
from phenoprint.profiles.recipes import recipe_named
from phenoprint.profiles.reference_wells import FEWEST_REFERENCE
from phenoprint.profiles.selection import REPLICATE_OPERATIONS
from phenoprint.tables import FOLD, PERT_TYPE, PLATE, WELL, WELL_KEY, frame_of, require_columns

if TYPE_CHECKING:
    from phenoprint.profiles.recipes import RecipeLike, RecipeStep

__all__ = ["Folds", "plan_folds"]

_CONTROL, _TREATMENT = "negcon", "trt"
_FEWEST_CONTROLS = 4  # of a screen: with fewer, a fold would be fitted on one well


@dataclass(frozen=True)
class Folds:
    """Which negative controls each fold holds out.

    Attributes
    ----------
    controls
        One row per negative control: its plate, well and fold; NULL for one that no fold holds out.
    status
        Rows of table ``cross_fit``: one per fold and plate.
    n
        Number of folds; 1 where a single frame holds all wells.
    """

    controls: pl.DataFrame
    status: pl.DataFrame
    n: int

    @property
    def is_single(self) -> bool:
        """Whether a single frame holds all wells, since there is nothing to hold out."""
        return self.n == 1

    def hide(self, plate: pl.DataFrame, fold: int) -> pl.DataFrame:
        """Annotate the controls that a fold holds out as treatments, so that each step treats them as such."""
        own = self.controls.filter(pl.col(FOLD) == fold)
        return _annotated(plate, own, _TREATMENT)

    def reveal(self, plate: pl.DataFrame, fold: int) -> pl.DataFrame:
        """Annotate the held-out controls as controls again, leave out all others, and add the fold."""
        is_own = pl.col(FOLD) == fold
        others = self.controls.filter(is_own.not_() | pl.col(FOLD).is_null())
        kept = plate.join(others, on=WELL_KEY, how="anti", maintain_order="left")
        shown = _annotated(kept, self.controls.filter(is_own), _CONTROL)
        return shown.with_columns(pl.lit(fold, pl.Int32).alias(FOLD))

    def unfolded(self, status: str, reason: str) -> Folds:
        """Return one fold of all wells that is not cross-fitted, where the recipe cannot be fitted to each fold."""
        counts = dict(self.controls.group_by(PLATE).len().iter_rows())
        plates = self.status.get_column(PLATE).unique().sort()
        rows = [(0, plate, counts.get(plate, 0), 0, False, status, reason) for plate in plates]
        return Folds(self.controls.with_columns(pl.lit(None, pl.Int32).alias(FOLD)), frame_of("cross_fit", rows), 1)


def _annotated(plate: pl.DataFrame, wells: pl.DataFrame, kind: str) -> pl.DataFrame:
    marked = wells.select(*WELL_KEY, pl.lit(value=True).alias("_own"))
    joined = plate.join(marked, on=WELL_KEY, how="left", maintain_order="left")
    named = pl.when(pl.col("_own")).then(pl.lit(kind)).otherwise(pl.col(PERT_TYPE)).alias(PERT_TYPE)
    return joined.with_columns(named).drop("_own")


def plan_folds(
    wells: pl.DataFrame,
    recipe: RecipeLike = "phenoprint",
    n_folds: int = 2,
    seed: int = 0,
    *,
    notes: Sequence[str] = (),
) -> Folds:
    """Divide the negative controls into folds by well position.

    A position is in the same fold on all plates, as far as each plate keeps the same number of controls in each fold
    (give or take one). Which position is in which fold depends on the seed and not on the order of rows.

    A plate is fitted on its controls outside the fold, and needs `min_reference` of them (3 by default). A plate with
    few controls holds out fewer in each fold, so that enough are left. With no more than `min_reference` controls, all
    are divided among the folds, and the plate is fitted on all its wells, as steps do without enough controls.

    Parameters
    ----------
    wells
        One row per well with ``Metadata_Plate``, ``Metadata_Well`` and ``Metadata_pert_type``.
    recipe
        The recipe that will be fitted.
    n_folds
        Number of folds.
    seed
        Seed of the division.
    notes
        Sentences that are added to the reasons of all rows.

    Returns
    -------
    Folds
        A single fold of all wells if the screen has fewer than four negative controls (``cross_fitted`` False), or no
        step of the recipe is fitted on controls (``cross_fitted`` True).

    Raises
    ------
    UsageError
        For fewer than two folds, or a recipe with a consensus.

    Examples
    --------
    >>> kinds = ["negcon"] * 8 + ["trt"]
    >>> wells = pl.DataFrame({"Metadata_Plate": ["p"] * 9, "Metadata_Well": [f"A{i:02d}" for i in range(1, 10)]})
    >>> folds = plan_folds(wells.with_columns(pl.Series("Metadata_pert_type", kinds)))
    >>> folds.status.select("Metadata_fold", "n_fitted", "n_held_out", "status").rows()
    [(0, 4, 4, 'ok'), (1, 4, 4, 'ok')]
    """
    if n_folds < 2:
        raise UsageError(f"cross-fitting needs at least 2 folds; found {n_folds}")
    require_columns(wells, [*WELL_KEY, PERT_TYPE], purpose="cross-fitting")
    steps = recipe_named(recipe).steps
    if any(step.operation == "consensus" for step in steps):
        raise UsageError("a recipe with a consensus has no wells to cross-fit: take the consensus of its result")
    plates = wells.get_column(PLATE).unique().sort().to_list()
    of_controls = wells.filter(pl.col(PERT_TYPE) == _CONTROL).select(WELL_KEY).sort(WELL_KEY)
    positions = {plate: of_controls.filter(pl.col(PLATE) == plate).get_column(WELL).to_list() for plate in plates}
    # A step that is fitted on treatments alone treats them differently from controls, too.
    fitted = [step for step in steps if step.reference in (_CONTROL, _TREATMENT)]
    further = [*notes, *_supervised(steps)]

    def single(status: str, reason: str, *, is_fair: bool) -> Folds:
        reasons = " ".join(sentence for sentence in (reason, *further) if sentence)
        rows = []
        for plate, own in positions.items():
            counts = (0, len(own)) if is_fair else (len(own), 0)
            rows.append((0, plate, *counts, is_fair, status, reasons))
        none = of_controls.with_columns(pl.lit(0 if is_fair else None, pl.Int32).alias(FOLD))
        return Folds(none, frame_of("cross_fit", rows), 1)

    if not fitted:
        reason = "No step of the recipe is fitted on the controls: all wells are treated alike, and one fold holds all."
        return single("supervised" if _supervised(steps) else "symmetric", reason, is_fair=True)
    if of_controls.height < _FEWEST_CONTROLS:
        found = f"The screen has {of_controls.height} negative controls, and {_FEWEST_CONTROLS} are needed."
        status = "too_few_controls" if of_controls.height else "no_controls"
        return single(status, f"{found} All wells are fitted together.", is_fair=False)
    fewest = max((_fewest(step) for step in fitted), default=0)
    division = _divide(positions, n_folds, seed, fewest)
    used = sorted({fold for own in division.values() for fold in own.values()})
    number = {fold: i for i, fold in enumerate(used)}
    status_rows = []
    for fold in used:
        for plate, own in positions.items():
            n_out = sum(division[plate].get(well) == fold for well in own)
            status, reason = _verdict(len(own), len(own) - n_out, len(division[plate]), fewest)
            status = "supervised" if status == "ok" and _supervised(steps) else status
            reasons = " ".join(sentence for sentence in (reason, *further) if sentence) or None
            status_rows.append((number[fold], plate, len(own) - n_out, n_out, True, status, reasons))
    rows = [
        (plate, well, number[division[plate][well]] if well in division[plate] else None)
        for plate, own in positions.items()
        for well in own
    ]
    controls = pl.DataFrame(rows, schema={PLATE: pl.String, WELL: pl.String, FOLD: pl.Int32}, orient="row")
    return Folds(controls, frame_of("cross_fit", status_rows), len(used))


def _argument(step: RecipeStep, name: str) -> Any:
    """Return a parameter of a step, or its default."""
    known = inspect.signature(STEP_OPERATIONS[step.operation].fit).parameters
    return step.parameters.get(name, known[name].default if name in known else None)


def _fewest(step: RecipeStep) -> int:
    """Return the controls that a step needs on each plate; 0 if it is not fitted plate by plate."""
    return int(_argument(step, "min_reference") or FEWEST_REFERENCE) if PLATE in (_argument(step, "by") or ()) else 0


def _supervised(steps: Sequence[RecipeStep]) -> list[str]:
    """Name the steps that use the labels of treatments, which no fold hides."""
    names = [
        step.name
        for step in steps
        if step.parameters.get("covariates") or set(step.parameters.get("operations", ())) & set(REPLICATE_OPERATIONS)
    ]
    return [f"The steps {', '.join(names)} use the labels of treatments, which is not cross-fitted."] if names else []


def _verdict(n: int, n_fitted: int, n_divided: int, fewest: int) -> tuple[str, str]:
    if n == 0:
        return "no_controls", "The plate has no negative control."
    if n_fitted < fewest:
        reason = (
            f"{n} controls are on the plate; with {n_fitted} to fit on, all its wells are used, as {fewest} are needed."
        )
        return "reference_all", reason
    if n_divided < n:
        return (
            "few_controls",
            f"{n - n_divided} of {n} controls are never held out, so that {fewest} are left to fit on.",
        )
    return "ok", ""


def _divide(positions: Mapping[str, Sequence[str]], n_folds: int, seed: int, fewest: int) -> dict[str, dict[str, int]]:
    """Assign a fold to the controls of each plate; those that are never held out have none."""
    layouts = Counter(tuple(own) for own in positions.values())
    usual: dict[str, int] = {}  # the fold of a position on most plates
    made: dict[tuple[str, ...], dict[str, int]] = {}
    for layout, _ in sorted(layouts.items(), key=lambda item: (-item[1], item[0])):
        order = sorted(layout, key=lambda well: hashlib.blake2b(f"{seed}:{well}".encode()).digest())
        made[layout] = _balanced(order, usual, n_folds, len(layout) - fewest)
        usual = made[layout] | usual
    return {plate: made[tuple(own)] for plate, own in positions.items()}


def _balanced(order: Sequence[str], usual: Mapping[str, int], n_folds: int, most: int) -> dict[str, int]:
    """Divide positions evenly, in their usual folds if possible, with at most `most` in a fold if that is positive."""
    n, extra = divmod(len(order), n_folds)
    wanted = Counter(usual[well] for well in order if well in usual)
    larger = sorted(range(n_folds), key=lambda fold: (-wanted[fold], fold))[:extra]
    room = {fold: n + (fold in larger) for fold in range(n_folds)}
    if most > 0:
        room = {fold: min(size, most) for fold, size in room.items()}
    fold_of: dict[str, int] = {}
    for well in order:
        if well in usual and room[usual[well]]:
            fold_of[well] = usual[well]
            room[usual[well]] -= 1
    for well in order:
        free = max(room, key=lambda fold: (room[fold], -fold))
        if well not in fold_of and room[free]:
            fold_of[well] = free
            room[free] -= 1
    return fold_of
