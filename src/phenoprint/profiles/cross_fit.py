"""Fit a recipe several times, each time without some of the negative controls, and keep these as fair comparisons.

Wells that a recipe is fitted on are closer to its centre than all others, even others without any effect: after a
sphering, nearly half of the treatments without effect differ from the controls of the fit with p < .05. Controls that
were held out of the fit are treated like treatments by each step, so that both are exchangeable where a treatment does
nothing. This is cross-fitting as in Chernozhukov et al., Econometrics J 21:C1, 2018.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

import polars as pl

from phenoprint.errors import DataError, UsageError
from phenoprint.profiles.folds import Folds, plan_folds
from phenoprint.profiles.recipes import run_recipe
from phenoprint.tables import FOLD, to_polars

if TYPE_CHECKING:
    from phenoprint.profiles.operations import Fitted
    from phenoprint.profiles.recipes import RecipeLike, RecipeStep
    from phenoprint.tables import FrameLike, Result

__all__ = ["CrossFitted", "cross_fit", "cross_fit_plates", "cross_fit_with_status"]

Hold = Callable[[Iterator[pl.DataFrame]], Sequence[pl.DataFrame]]


@dataclass(frozen=True)
class CrossFitted:
    """Cross-fitted profiles.

    Attributes
    ----------
    folds
        One frame per fold, with the fold in ``Metadata_fold``.
    status
        Rows of table ``cross_fit``: one per fold and plate.
    """

    folds: list[pl.DataFrame]
    status: pl.DataFrame


@dataclass(frozen=True)
class _Changed(Sequence[pl.DataFrame]):
    """Plates that are changed on access."""

    plates: Sequence[pl.DataFrame]
    change: Callable[[pl.DataFrame], pl.DataFrame]

    def __len__(self) -> int:
        return len(self.plates)

    @overload
    def __getitem__(self, place: int) -> pl.DataFrame: ...
    @overload
    def __getitem__(self, place: slice) -> list[pl.DataFrame]: ...
    def __getitem__(self, place: int | slice) -> pl.DataFrame | list[pl.DataFrame]:
        found = self.plates[place]
        return self.change(found) if isinstance(found, pl.DataFrame) else [self.change(plate) for plate in found]


def cross_fit(
    frame: FrameLike | Sequence[pl.DataFrame], recipe: RecipeLike = "phenoprint", n_folds: int = 2, seed: int = 0
) -> list[pl.DataFrame]:
    """Fit a recipe to each fold without the negative controls that the fold holds out.

    In each fold the held-out controls are annotated as treatments while the recipe is fitted, so that no step can use
    them as reference. The result of a fold has all treatments and positive controls, and the held-out controls,
    annotated as ``negcon`` again; it has no control that the fold was fitted on. Within a fold, a treatment without
    effect is exchangeable with the controls. Folds are different coordinate systems, and may keep different features:
    compare wells within each fold, and average the scores of a treatment over the folds.

    Parameters
    ----------
    frame
        Well profiles (level 3) with ``Metadata_Plate``, ``Metadata_Well``, ``Metadata_pert_type`` and what the recipe
        needs: one frame, or one per plate.
    recipe
        As in `apply_recipe`.
    n_folds, seed
        As in `plan_folds`, which also describes what happens with few controls.

    Returns
    -------
    list of polars.DataFrame
        One frame per fold, with ``Metadata_fold``. A single one where the recipe cannot be cross-fitted or need not be:
        `cross_fit_with_status` reports which and why.

    Raises
    ------
    SchemaError
        If metadata is absent.
    UsageError
        For fewer than two folds, or a recipe with a consensus.

    Examples
    --------
    >>> kinds = ["negcon"] * 8 + ["trt"]
    >>> names = {"Metadata_Plate": ["p"] * 9, "Metadata_Well": [f"A{i:02d}" for i in range(1, 10)]}
    >>> wells = pl.DataFrame({**names, "Metadata_pert_type": kinds, "area": [1.0, 5, 2, 4, 3, 2, 7, 1, 9]})
    >>> [fold["Metadata_pert_type"].value_counts().sort("count").rows() for fold in cross_fit(wells, [_STANDARD])]
    [[('trt', 1), ('negcon', 4)], [('trt', 1), ('negcon', 4)]]
    """
    return cross_fit_with_status(frame, recipe, n_folds, seed).folds


_STANDARD = {"operation": "normalize", "method": "standardize"}


def cross_fit_with_status(
    frame: FrameLike | Sequence[pl.DataFrame], recipe: RecipeLike = "phenoprint", n_folds: int = 2, seed: int = 0
) -> CrossFitted:
    """Cross-fit a recipe as `cross_fit`, and report for each fold and plate how many controls were held out.

    Parameters
    ----------
    frame, recipe, n_folds, seed
        As in `cross_fit`.
    """
    plates = list(frame) if isinstance(frame, Sequence) else [to_polars(frame)]
    about = pl.concat([plate.select(pl.col("^Metadata_.*$")) for plate in plates], how="diagonal_relaxed")
    folds, results = cross_fit_plates(plates, recipe, plan_folds(about, recipe, n_folds, seed), list)
    return CrossFitted([pl.concat(list(own), how="diagonal_relaxed") for own in results], folds.status)


def cross_fit_plates(
    plates: Sequence[pl.DataFrame], recipe: RecipeLike, folds: Folds, hold: Hold
) -> tuple[Folds, list[Sequence[pl.DataFrame]]]:
    """Cross-fit a recipe plate by plate.

    Parameters
    ----------
    plates
        One frame per plate, such as files that are read on access.
    recipe
        As in `apply_recipe`.
    folds
        Made by `plan_folds` for the wells of these plates.
    hold
        Stores the plates after a step, which are computed during iteration, and returns them.

    Returns
    -------
    tuple
        The folds that were used, and the plates of each. Where a step cannot be fitted to the controls of a fold, a
        single fold of all wells that is not cross-fitted, with the error as its reason.
    """
    if not folds.is_single:
        try:
            return folds, [_fold(plates, recipe, folds, fold, hold) for fold in range(folds.n)]
        except (DataError, UsageError) as error:
            folds = folds.unfolded("not_fitted", f"The recipe cannot be fitted without the controls of a fold: {error}")
    last = _fitted(plates, recipe, hold)
    return folds, [_Changed(last, lambda plate: plate.with_columns(pl.lit(0, pl.Int32).alias(FOLD)))]


def _fold(
    plates: Sequence[pl.DataFrame], recipe: RecipeLike, folds: Folds, fold: int, hold: Hold
) -> Sequence[pl.DataFrame]:
    last = _fitted(_Changed(plates, lambda plate: folds.hide(plate, fold)), recipe, hold)
    return _Changed(last, lambda plate: folds.reveal(plate, fold))


def _fitted(plates: Sequence[pl.DataFrame], recipe: RecipeLike, hold: Hold) -> Sequence[pl.DataFrame]:
    """Return the plates after the last step."""

    def keep(_: RecipeStep, __: int, ___: Fitted, results: Iterator[Result]) -> Sequence[pl.DataFrame]:
        return hold(result.frame for result in results)

    last = plates
    for _, after, _ in run_recipe(plates, recipe, keep):
        last = after
    return last
