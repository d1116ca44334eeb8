"""Apply the recipe of a screen to its well profiles, plate by plate if a step allows it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, overload

import numpy as np
import polars as pl

from phenoprint.errors import DataError
from phenoprint.pipeline.exclusions import well_ledger
from phenoprint.pipeline.imported import require_all_plates
from phenoprint.pipeline.recipe import after_4a, level_4a, recipe_of, reference_kind
from phenoprint.store import STEP_COLUMNS, atomic_file, encode_name, step_part
from phenoprint.tables import WELL_KEY

if TYPE_CHECKING:
    from types import TracebackType

    from phenoprint.pipeline.context import Context
    from phenoprint.profiles import Fitted, Recipe, RecipeStep
    from phenoprint.tables import Result

__all__ = ["Profiles", "RecipeRun"]

# Steps are scored on at most this many wells; more would take time and hardly change the scores.
_SCORED_WELLS = 2_500


@dataclass(frozen=True)
class Profiles(Sequence[pl.DataFrame]):
    """Well profiles of a screen: one frame per plate, which is read on access.

    Attributes
    ----------
    read
        Reads a plate.
    features
        Names of the features.
    n_wells
        Number of wells of each plate.
    empty
        Features without any value after a step, by plate. Features that had no value before the recipe are not listed.
    files
        Files of the profiles and of the fitted arrays.
    """

    read: Callable[[str], pl.DataFrame]
    features: tuple[str, ...]
    n_wells: dict[str, int]
    empty: Mapping[str, frozenset[str]] = field(default_factory=dict)
    files: tuple[Path, ...] = ()

    def __len__(self) -> int:
        """Count the plates."""
        return len(self.n_wells)

    @overload
    def __getitem__(self, place: int) -> pl.DataFrame: ...
    @overload
    def __getitem__(self, place: slice) -> list[pl.DataFrame]: ...
    def __getitem__(self, place: int | slice) -> pl.DataFrame | list[pl.DataFrame]:
        """Read a plate, or some."""
        plates = list(self.n_wells)[place]
        return self.read(plates) if isinstance(plates, str) else [self.read(plate) for plate in plates]

    @property
    def empty_everywhere(self) -> frozenset[str]:
        """Features without a value on any plate."""
        return frozenset.intersection(*self.empty.values()) if self.empty else frozenset()

    def of(self, plates: Sequence[str]) -> pl.DataFrame:
        """Read some plates at once."""
        return pl.concat([self.read(plate) for plate in plates], how="diagonal_relaxed")


class _Model:
    """File of the arrays that a step fitted, so that it can be inspected and applied to further plates.

    Each array is written immediately, so that those of all plates need not be in memory together. A step without fitted
    arrays has no file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open = ExitStack()
        self._archive: zipfile.ZipFile | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)  # after an error the incomplete file is removed

    def add(self, arrays: Mapping[str, Any]) -> None:
        """Write arrays by name."""
        for name, array in arrays.items():
            if self._archive is None:
                handle = self._open.enter_context(atomic_file(self._path))
                self._archive = self._open.enter_context(zipfile.ZipFile(handle, "w", zipfile.ZIP_DEFLATED))
            with self._archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)

    def close(self, facts: Mapping[str, Any]) -> list[Path]:
        """Add the parameters of the step; return the file."""
        if self._archive is None:
            return []
        self.add({"facts": np.array(json.dumps(facts, default=str))})
        self._open.close()
        return [self._path]


def _distributions(context: Context, table: str) -> list[str]:
    """Return the columns of distributions that enter the recipe: none unless they are wanted."""
    from phenoprint.tables import feature_columns

    wanted = context.config.heterogeneity.in_profiles and table == "profile_well"
    if not wanted or not context.holds("profile_heterogeneity"):
        return []
    return feature_columns(context.table("profile_heterogeneity").collect_schema().to_frame())


def _with_distributions(wells: pl.DataFrame, context: Context, plate: str, names: Sequence[str]) -> pl.DataFrame:
    """Join the columns of distributions to the wells of a plate; NULL for wells that are not described."""
    described = context.table("profile_heterogeneity").filter(pl.col("Metadata_Plate") == plate)
    known = described.select(*WELL_KEY, *names).collect()
    return wells.join(known, on=WELL_KEY, how="left", validate="1:1", maintain_order="left")


def _without_value(frame: pl.DataFrame, features: Sequence[str]) -> frozenset[str]:
    if not features:
        return frozenset()
    counts = frame.select(features).null_count().row(0)
    return frozenset(name for name, n in zip(features, counts, strict=True) if n == frame.height)


@dataclass(frozen=True)
class RecipeRun:
    """A recipe that is applied to the plates of a screen.

    Attributes
    ----------
    context
        The screen.
    recipe
        The steps that are applied.
    kept_as
        The step whose result is level 4a; empty where that was imported.
    given
        The profiles before the first step.
    left_out
        Steps that are not applied because level 4a was imported.
    """

    context: Context
    recipe: Recipe
    kept_as: str
    given: Profiles
    left_out: tuple[str, ...] = ()

    @classmethod
    def of(cls, context: Context) -> RecipeRun:
        """Read the recipe and its input: level 3, or level 4a if that was imported.

        Raises
        ------
        DataError
            If the recipe needs negative controls and no well is one, or plates were imported at different levels.
        """
        from phenoprint.tables import feature_columns

        is_normalized = "profile_normalized" in context.given
        table = "profile_normalized" if is_normalized else "profile_well"
        require_all_plates(context.screen, table)
        about = context.profiles(table, columns="^Metadata_.*$")
        counts = about.get_column("Metadata_Object_Count", default=pl.Series([None]))
        recipe = recipe_of(context.config.profiles, has_counts=counts.null_count() < len(counts))
        kept_as = "" if is_normalized else level_4a(recipe)
        whole, recipe = recipe, after_4a(recipe) if is_normalized else recipe
        applied = [step.name for step in recipe.steps]
        left_out = tuple(step.name for step in whole.steps if step.name not in applied)
        if about.is_empty() and not context.exclusions().is_empty():
            raise DataError(
                "every well with a profile is excluded: 'phenoprint exclude SCREEN --list' shows the exclusions and "
                "their reasons, '--undo' removes them; plates that failed are in table plate_acceptance "
                "(plate_acceptance.exclude_failed)"
            )
        is_control = pl.col("Metadata_pert_type") == "negcon"
        if reference_kind(recipe) == "negcon" and not context.table("well").select(is_control.any()).collect().item():
            raise DataError(
                "no well to normalize against: no well is annotated as negcon "
                '(set Metadata_pert_type in the plate map, or profiles.reference = "all")'
            )
        sizes = dict(about.group_by("Metadata_Plate").len().sort("Metadata_Plate").iter_rows())
        schema = context.table(table).collect_schema()
        added = _distributions(context, table)
        features = (*feature_columns(schema.to_frame()), *added)

        def read(plate: str) -> pl.DataFrame:
            wells = context.profiles(table, plate=plate, schema=schema)
            return _with_distributions(wells, context, plate, added) if added else wells

        given = Profiles(read, features, sizes)
        return cls(context, recipe, kept_as, given, left_out)

    @property
    def table(self) -> str:
        """The table that the recipe starts from."""
        return "profile_well" if self.kept_as else "profile_normalized"

    @property
    def plates(self) -> list[str]:
        """Plates of the screen, in order."""
        return list(self.given.n_wells)

    def not_applied(self) -> pl.DataFrame:
        """List the steps that are left out because imported profiles are normalized: rows of ``feature_status``."""
        from phenoprint.tables import frame_of

        reason = (
            "the imported profiles are normalized already (level 4a), so the recipe starts at its first limit or "
            "selection of features; import level 3 to apply every step"
        )
        rows = [(None, "", name, "skipped", reason, None) for name in self.left_out]
        return frame_of("feature_status", rows)

    def excluded(self) -> pl.DataFrame:
        """Balance the excluded wells of imported profiles: rows of the ledger."""
        wells = self.context.table(self.table).select(WELL_KEY).collect()
        is_imported = self.table in self.context.given
        return well_ledger(wells if is_imported else wells.clear(), self.context.exclusions(by_hand=True))

    def keep(self, step: RecipeStep, number: int, fitted: Fitted, results: Iterator[Result]) -> Profiles:
        """Write the results of a step, one file per plate, and the fitted arrays."""
        from phenoprint.tables import feature_columns

        files: dict[str, Path] = {}
        sizes: dict[str, int] = {}
        features: dict[str, None] = {}
        empty: dict[str, frozenset[str]] = {}
        with _Model(self.context.path / "models" / f"{number:02d}_{encode_name(step.name)}.npz") as model:
            for plate, result in zip(self.plates, results, strict=True):
                model.add(result.arrays)
                files[plate] = self._write(step.name, number, plate, result.frame)
                sizes[plate] = result.frame.height
                found = feature_columns(result.frame)
                features |= dict.fromkeys(found)
                empty[plate] = _without_value(result.frame, found)
            model.add(fitted.arrays)
            models = model.close({"step": step.to_dict(), **fitted.parameters})
        read = lambda plate: pl.read_parquet(files[plate], hive_partitioning=False).drop(STEP_COLUMNS)  # noqa: E731
        return Profiles(read, tuple(features), sizes, empty, (*files.values(), *models))

    def _write(self, name: str, number: int, plate: str, frame: pl.DataFrame) -> Path:
        step, place = pl.lit(name).alias(STEP_COLUMNS[0]), pl.lit(number, pl.Int32).alias(STEP_COLUMNS[1])
        levels = [level for level, made_by in self.levels.items() if made_by == name]
        part = step_part(number, name, levels)
        (path,) = self.context.screen.write(
            "profile_step", frame.sort(WELL_KEY).with_columns(step, place), plate, part=part
        )
        return path

    @property
    def levels(self) -> dict[str, str]:
        """The steps whose results are levels: 4a, where it was not imported, and 4b, the last one."""
        own = {"profile_normalized": self.kept_as} if self.kept_as else {}
        return own | {"profile_selected": self.recipe.steps[-1].name}

    def scored_wells(self) -> list[str]:
        """Return the plates that are scored: all, or some that share treatments if there are many wells."""
        from phenoprint.evaluation import drawn_plates

        if sum(self.given.n_wells.values()) <= _SCORED_WELLS:
            return self.plates
        about = self.context.profiles(self.table, columns="^Metadata_.*$")
        seed = self.context.config.evaluation.seed
        drawn = drawn_plates(about, ["Metadata_perturbation"], "Metadata_Plate", max_wells=_SCORED_WELLS, seed=seed)
        return drawn or self.plates

    def score(self, step: str | None, number: int, profiles: Profiles, plates: Sequence[str]) -> pl.DataFrame:
        """Score the profiles of some plates after a step, or before the recipe (None)."""
        from phenoprint.evaluation import score_steps
        from phenoprint.tables import Result, status_frame

        scored = partial(score_steps, treatment=["Metadata_perturbation"], seed=self.context.config.evaluation.seed)
        frame = profiles.of(plates)
        if step is None:
            return scored([], level3=frame)
        result = Result(frame, status_frame(step, []), name=step)
        return scored([result]).with_columns(number=pl.lit(number, pl.Int32))
