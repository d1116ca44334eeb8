"""Step: well profiles of each fold, fitted without the negative controls that the fold holds out."""

from __future__ import annotations

import io
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, ClassVar, overload

import polars as pl

from phenoprint.pipeline.phenotypes import keep_parameter
from phenoprint.pipeline.recipe import normalizer_packages, recipe_of
from phenoprint.pipeline.recipe_run import RecipeRun
from phenoprint.pipeline.screen_files import drop_table
from phenoprint.pipeline.steps.base import Outcome, Scope, Step, Unit
from phenoprint.pipeline.wellprofiles import WellProfiles, fold_part
from phenoprint.tables import FOLD, WELL_KEY

if TYPE_CHECKING:
    from pathlib import Path

    from phenoprint.pipeline.config import ScreenConfig
    from phenoprint.pipeline.context import Context
    from phenoprint.profiles import Folds

__all__ = ["CrossFit"]

_TABLE = "profile_cross_fitted"
_EVERY_FOLD = "*"
_NORMALIZED_BEFORE = (
    "The profiles were normalized before the import, perhaps on all controls; only the further steps are cross-fitted."
)
_SELECTED_BEFORE = (
    "The profiles were imported after selection, perhaps fitted on all controls: treatments can look different from "
    "controls for that reason alone. Import level 3 for a fair comparison."
)


class CrossFit(Step):
    """Apply the recipe once per fold of negative controls, without the controls that the fold holds out."""

    name = "cross_fit"
    title = "Cross-fitted profiles"
    scope = Scope.SCREEN
    needs = ("profile_selected", "well", "exclusion")
    uses = ("profile_well", "profile_normalized")
    tables = (_TABLE, "cross_fit")
    parts: ClassVar = {_TABLE: _EVERY_FOLD}

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return the steps, the number of folds, and the seed of the division."""
        recipe = recipe_of(config.profiles)
        return {
            "steps": recipe.to_list(),
            "folds": config.evaluation.folds,
            "seed": config.evaluation.seed,
            **keep_parameter(config),
            **normalizer_packages(recipe),
        }

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Write the profiles of each fold plate by plate, and how many controls each fold holds out."""
        from phenoprint.profiles import plan_folds

        drop_table(context.path, _TABLE, part=_EVERY_FOLD)
        section = context.config.evaluation
        selected = WellProfiles.of(context, "profile_selected")
        if "profile_selected" in context.given:
            folds = plan_folds(selected.wells, n_folds=section.folds).unfolded(
                "selected_before_import", _SELECTED_BEFORE
            )
            return _outcome(folds, _one_fold(context, selected))
        run = RecipeRun.of(context)
        notes = [_NORMALIZED_BEFORE] if run.left_out else []
        folds = plan_folds(selected.wells, run.recipe, section.folds, section.seed, notes=notes)
        if run.left_out:
            folds = _normalized_before(folds)
        if folds.is_single:
            return _outcome(folds, _one_fold(context, selected))
        return _outcome(*_each_fold(context, run, folds))


def _outcome(folds: Folds, files: Iterable[Path]) -> Outcome:
    return Outcome({"cross_fit": folds.status}, files=tuple(sorted(file.as_posix() for file in files)))


def _normalized_before(folds: Folds) -> Folds:
    """Name the status of folds of profiles that were normalized before the import."""
    if folds.is_single:  # no further step is fitted on controls, but the normalization may have been
        return folds.unfolded("normalized_before_import", _NORMALIZED_BEFORE)
    is_ok = pl.col("status") == "ok"
    named = pl.when(is_ok).then(pl.lit("normalized_before_import")).otherwise(pl.col("status")).alias("status")
    return type(folds)(folds.controls, folds.status.with_columns(named), folds.n)


def _one_fold(context: Context, selected: WellProfiles) -> Iterator[Path]:
    """Write all wells as one fold: the selected profiles."""
    for plate, frame in selected.plates():
        yield _write(context, 0, plate, frame)


def _each_fold(context: Context, run: RecipeRun, folds: Folds) -> tuple[Folds, list[Path]]:
    from phenoprint.profiles import cross_fit_plates

    def hold(plates: Iterator[pl.DataFrame]) -> _OnDisk:
        return _OnDisk.of(plates, context.path)

    folds, results = cross_fit_plates(run.given, run.recipe, folds, hold)
    files = []
    for fold, plates in enumerate(results):
        for name, plate in zip(run.plates, plates, strict=True):
            files.append(_write(context, fold, name, plate))
    return folds, files


def _write(context: Context, fold: int, plate: str, frame: pl.DataFrame) -> Path:
    folded = frame.sort(WELL_KEY).with_columns(pl.lit(fold, pl.Int32).alias(FOLD))
    (path,) = context.screen.write(_TABLE, folded, plate, part=fold_part(fold))
    return path.relative_to(context.path)


class _OnDisk(Sequence[pl.DataFrame]):
    """Frames in one temporary file, which is gone once they are: a screen between two steps of a recipe."""

    def __init__(self, file: IO[bytes], places: Sequence[tuple[int, int]]) -> None:
        self._file = file
        self._places = places
        weakref.finalize(self, file.close)

    @classmethod
    def of(cls, frames: Iterable[pl.DataFrame], folder: Path) -> _OnDisk:
        """Write frames."""
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - open as long as its frames are read
        places = []
        for frame in frames:
            start = file.tell()
            stream = io.BytesIO()
            frame.write_ipc(stream)
            file.write(stream.getbuffer())
            places.append((start, file.tell() - start))
        return cls(file, places)

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> pl.DataFrame: ...
    @overload
    def __getitem__(self, place: slice) -> list[pl.DataFrame]: ...
    def __getitem__(self, place: int | slice) -> pl.DataFrame | list[pl.DataFrame]:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        start, size = self._places[place]
        self._file.seek(start)
        return pl.read_ipc(io.BytesIO(self._file.read(size)))
