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
from phenoprint.store import ledger_rows
from phenoprint.tables import FOLD, MOST_LACKED, PLATE, WELL_KEY, frame_of

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
    uses = ("profile_well", "profile_normalized", "profile_heterogeneity")
    tables = (_TABLE, "cross_fit", "profile_gap")
    parts: ClassVar = {_TABLE: _EVERY_FOLD}

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return the steps, the number of folds, and the seed of the division."""
        recipe = recipe_of(config.profiles)
        return {
            "steps": recipe.to_list(),
            "folds": config.evaluation.folds,
            "distributions": config.heterogeneity.in_profiles,
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
            return _outcome(selected, folds, _one_fold(context, selected))
        run = RecipeRun.of(context)
        notes = [_NORMALIZED_BEFORE] if run.left_out else []
        folds = plan_folds(selected.wells, run.recipe, section.folds, section.seed, notes=notes)
        if run.left_out:
            folds = _normalized_before(folds)
        if folds.is_single:
            return _outcome(selected, folds, _one_fold(context, selected))
        return _outcome(selected, *_each_fold(context, run, folds))


def _outcome(selected: WellProfiles, folds: Folds, files: Iterable[Path]) -> Outcome:
    written = tuple(sorted(file.as_posix() for file in files))
    gaps = _gaps(selected)
    lost = gaps.filter(pl.col("status") != "imputed")
    n_lost = dict(lost.group_by(PLATE).len().iter_rows())
    plates = selected.wells.group_by(PLATE).len().sort(PLATE)
    ledgers = [
        ledger_rows(CrossFit.name, plate, unit_of_count="wells", n_in=n - n_lost.get(plate, 0))
        for plate, n in plates.iter_rows()
    ]
    ledgers += [
        ledger_rows(CrossFit.name, plate, well, unit_of_count="wells", n_in=1, lost={reason: 1})
        for plate, well, reason in lost.select(*WELL_KEY, "reason").iter_rows()
    ]
    ledger = pl.concat(ledgers) if ledgers else None
    return Outcome({"cross_fit": folds.status, "profile_gap": gaps}, ledger, files=written)


def _gaps(selected: WellProfiles) -> pl.DataFrame:
    """List the wells that lack some of the selected features."""
    gaps = selected.gaps()
    n = int(gaps.is_used.sum())
    found = [
        *((row, None, "no_profile", "the well lacks more than half of the features") for row in gaps.no_profile),
        *(
            (row, int(lacked), "damaged", f"the well lacks more than {MOST_LACKED:.0%} of the features: not compared")
            for row, lacked in zip(gaps.damaged, gaps.n_lacked, strict=True)
        ),
        *(
            (row, int(imputed), "imputed", "missing values are medians over the screen where profiles are compared")
            for row, imputed in zip(gaps.rows, gaps.n_imputed, strict=True)
            if imputed
        ),
    ]
    wells = selected.wells.select(WELL_KEY).rows()
    return frame_of("profile_gap", [(*wells[row], lacked, n, *why) for row, lacked, *why in found]).sort(WELL_KEY)


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
