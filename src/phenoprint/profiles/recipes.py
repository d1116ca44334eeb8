"""Recipes: named lists of steps that normalize, correct and select well profiles, as written in `screen.toml`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

import polars as pl

from phenoprint.errors import ConfigError, UnknownNameError
from phenoprint.profiles.operations import STEP_OPERATIONS, Fitted
from phenoprint.tables import Result, concat_status, to_polars

if TYPE_CHECKING:
    from phenoprint.tables import FrameLike

__all__ = [
    "RECIPES",
    "Recipe",
    "RecipeLike",
    "RecipeStep",
    "apply_recipe",
    "recipe_named",
    "run_recipe",
]


@dataclass(frozen=True)
class RecipeStep:
    """One step of a recipe.

    Parameters
    ----------
    operation
        A name in `STEP_OPERATIONS`.
    name
        Name of the step and of its result; by default the name of the operation.
    parameters
        Parameters of the operation, plain values as in TOML. ``reference`` is ``"all"`` or a value of
        ``Metadata_pert_type`` such as ``"negcon"``.
    """

    operation: str
    name: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.operation not in STEP_OPERATIONS:
            raise UnknownNameError("operation of a recipe", self.operation, STEP_OPERATIONS)
        object.__setattr__(self, "name", self.name or self.operation)
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))
        STEP_OPERATIONS[self.operation].check(self.name, self.parameters)

    def fit(self, plates: Sequence[pl.DataFrame]) -> Fitted:
        """Fit the step to all plates; see `run_recipe`."""
        return STEP_OPERATIONS[self.operation].fit(plates, **self.parameters)

    @property
    def reference(self) -> str:
        """The wells that the step is fitted on: ``"all"``, or a value of ``Metadata_pert_type``."""
        return STEP_OPERATIONS[self.operation].reference(self.parameters)

    def to_dict(self) -> dict[str, Any]:
        """Return the step as one table of a TOML array of tables."""
        named = {} if self.name == self.operation else {"name": self.name}
        return {"operation": self.operation, **named, **self.parameters}


@dataclass(frozen=True)
class Recipe:
    """A named list of steps.

    Parameters
    ----------
    name
        Name of the recipe.
    steps
        Steps in order; their names must differ.
    description
        One sentence that helps to choose among recipes.

    Examples
    --------
    >>> recipe = Recipe.of("mine", [{"operation": "normalize", "method": "standardize"}, {"operation": "select"}])
    >>> [step.name for step in recipe.steps]
    ['normalize', 'select']
    """

    name: str
    steps: tuple[RecipeStep, ...]
    description: str = ""

    def __post_init__(self) -> None:
        names = [step.name for step in self.steps]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError(f"steps of the recipe {self.name!r} need different names; {twice[0]!r} is used twice")

    @classmethod
    def of(cls, name: str, steps: Sequence[Mapping[str, Any]], description: str = "") -> Recipe:
        """Make a recipe from tables as in `screen.toml`: ``operation``, optionally ``name``, and parameters.

        Raises
        ------
        ConfigError
            If a step has no operation, or a name is used twice.
        UnknownNameError
            For an unknown operation or parameter.
        """
        made = []
        for number, step in enumerate(steps, start=1):
            rest = dict(step)
            operation = rest.pop("operation", None)
            if not isinstance(operation, str):
                raise ConfigError(f"step {number} of the recipe {name!r} needs an operation; found {sorted(step)}")
            made.append(RecipeStep(operation, str(rest.pop("name", "")), rest))
        return cls(name, tuple(made), description)

    def to_list(self) -> list[dict[str, Any]]:
        """Return the steps as tables for `Recipe.of` and TOML."""
        return [step.to_dict() for step in self.steps]

    def without(self, *names: str) -> Recipe:
        """Leave out steps by name."""
        for name in names:
            if name not in [step.name for step in self.steps]:
                raise UnknownNameError(f"step of {self.name!r}", name, [step.name for step in self.steps])
        kept = tuple(step for step in self.steps if step.name not in names)
        return Recipe(self.name, kept, self.description)


RecipeLike: TypeAlias = "str | Recipe | Sequence[Mapping[str, Any]]"

_Step: TypeAlias = "dict[str, Any]"


def _mad(reference: str, **parameters: Any) -> _Step:
    return {"operation": "normalize", "method": "mad_robust", **parameters, "reference": reference}


def _sphering(**parameters: Any) -> _Step:
    named = {"operation": "normalize", "name": "sphering", "method": "sphering"}
    return {**named, **parameters, "by": [], "reference": "negcon"}


# Limited before the selection: one extreme well must not decide which features are kept.
_OURS: list[_Step] = [_mad("negcon"), {"operation": "limit", "limit": 20.0}, {"operation": "select"}]
_OF_PLATE = {"pooling": 0, "floor": 0}  # the MAD of each plate alone
_PYCYTOMINER: _Step = {
    "operation": "select",
    "operations": ["variance_threshold", "correlation_threshold", "drop_na_columns", "blocklist"],
    "common_cut": 0.0,
    "signed_correlation": True,
    "greedy_correlation": False,
}
_HARMONY: _Step = {"operation": "correct_batch", "name": "harmony", "method": "harmony"}

_PRESETS: Mapping[str, tuple[str, list[_Step]]] = MappingProxyType(
    {
        "phenoprint": (
            (
                "Ours: median and MAD of each plate's controls, stabilized over plates; no value beyond 20 spreads; "
                "selection."
            ),
            _OURS,
        ),
        "phenoprint-sphering": (
            "Ours, with a shrunk sphering on all controls at the end.",
            [*_OURS, _sphering()],
        ),
        "profiling-recipe": (
            "The classic profiling recipe: each plate's median and MAD (times 1.4826), pycytominer's selection.",
            [_mad("all", **_OF_PLATE), _PYCYTOMINER],
        ),
        "jump-production": (
            (
                "The JUMP production recipe for compounds (var_mad_int_featselect_harmony); the last step needs the "
                "extra 'harmony'."
            ),
            [
                {"operation": "drop_invariant", "ratio": 1e-3, "reference": "negcon"},
                _mad("negcon", raw=True, **_OF_PLATE),
                {"operation": "normalize", "name": "inverse_normal", "method": "rank", "by": [], "reference": "all"},
                _PYCYTOMINER,
                _HARMONY,
            ],
        ),
        "jump-production-genetic": (
            "The JUMP production recipe for genes (wellpos_cc_var_mad_outlier_featselect_sphering_harmony).",
            [
                {"operation": "correct_position", "name": "well_mean", "method": "well_mean"},
                {"operation": "correct_count", "reference": "all"},
                {"operation": "drop_invariant", "ratio": 1e-3, "reference": "all"},
                _mad("all", raw=True, **_OF_PLATE),
                {"operation": "select", "name": "outliers", "operations": ["drop_outliers"], "outlier_cutoff": 100.0},
                _PYCYTOMINER,
                _sphering(regularization="plates"),
                _HARMONY,
            ],
        ),
    }
)


class _Presets(Mapping[str, Recipe]):
    """Recipes by name, each made when it is first used, because its steps load their normalizers."""

    def __getitem__(self, name: str) -> Recipe:
        return _preset(name)

    def __iter__(self) -> Iterator[str]:
        return iter(_PRESETS)

    def __len__(self) -> int:
        return len(_PRESETS)


@cache
def _preset(name: str) -> Recipe:
    description, steps = _PRESETS[name]
    return Recipe.of(name, steps, description)


RECIPES: Mapping[str, Recipe] = _Presets()
"""Presets. The JUMP recipes differ from the published code in two ways: equal values have their mean rank, whereas the
published code breaks ties at random; and the shrinkage of the sphering is chosen by the likelihood of held-out plates,
whereas the published code chooses the best of 25 by retrieval."""


def recipe_named(recipe: RecipeLike) -> Recipe:
    """Turn a preset's name, a list of steps or a Recipe into a Recipe.

    Raises
    ------
    UnknownNameError
        For an unknown preset, operation or parameter.

    Examples
    --------
    >>> [step.name for step in recipe_named("phenoprint").steps]
    ['normalize', 'limit', 'select']
    """
    if isinstance(recipe, Recipe):
        return recipe
    if isinstance(recipe, str):
        if recipe not in RECIPES:
            raise UnknownNameError("recipe", recipe, RECIPES)
        return RECIPES[recipe]
    return Recipe.of("custom", recipe)


Keep: TypeAlias = Callable[[RecipeStep, int, Fitted, Iterator[Result]], Sequence[pl.DataFrame]]


def run_recipe(
    plates: Sequence[pl.DataFrame], recipe: RecipeLike, keep: Keep
) -> Iterator[tuple[RecipeStep, Sequence[pl.DataFrame], pl.DataFrame]]:
    """Apply the steps of a recipe, plate by plate if the step allows it.

    Parameters
    ----------
    plates
        One frame per plate, such as files that are read on access, or one frame of all plates. They are iterated over
        once per pass.
    recipe
        As in `apply_recipe`.
    keep
        Called for each step with the step, its number from 1, the fitted operation, and the results of the plates,
        which are computed during iteration. It stores the results and returns them as the plates of the next step.

    Yields
    ------
    tuple
        The step, the plates that `keep` returned, and the rows of ``feature_status`` of the step.

    Raises
    ------
    PhenoprintError
        As `apply_recipe`.

    Examples
    --------
    >>> wells = [pl.DataFrame({"Metadata_Plate": [p] * 3, "area": [1.0, 2.0, 6.0]}) for p in "ab"]
    >>> parameters = {"operation": "normalize", "method": "standardize", "reference": "all"}
    >>> keep = lambda step, number, fitted, results: [result.frame for result in results]
    >>> ((step, plates, status),) = run_recipe(wells, [parameters], keep)
    >>> step.name, [round(plate["area"].sum(), 9) for plate in plates]
    ('normalize', [0.0, 0.0])
    """
    for number, step in enumerate(recipe_named(recipe).steps, start=1):
        fitted = step.fit(plates)
        statuses = [fitted.status]
        plates = keep(step, number, fitted, _results(fitted, plates, statuses))
        # Rows of checks, such as sphering_check, keep the name of the check.
        named = pl.when(pl.col("step").str.ends_with("_check")).then(pl.col("step")).otherwise(pl.lit(step.name))
        yield step, plates, concat_status(statuses).with_columns(step=named)


def _results(fitted: Fitted, plates: Sequence[pl.DataFrame], statuses: list[pl.DataFrame]) -> Iterator[Result]:
    for plate in plates:
        result = fitted.apply(plate)
        statuses.append(result.status)
        yield result


def apply_recipe(frame: FrameLike, recipe: RecipeLike = "phenoprint") -> list[Result]:
    """Apply the steps of a recipe in order and return the result of each.

    Parameters
    ----------
    frame
        Well profiles (level 3) with ``Metadata_Plate`` and the metadata that the steps need: ``Metadata_pert_type`` for
        a reference, ``Metadata_Batch``, ``Metadata_Object_Count``, the position of wells.
    recipe
        A name in `RECIPES`, a `Recipe`, or a list of steps such as ``[{"operation": "normalize"}]``.

    Returns
    -------
    list of Result
        One per step, with the name of the step, also as ``step`` of its status. A step without anything to do has one
        row of status ``skipped`` with an empty feature. A normalization has no rows ``ok``.

    Raises
    ------
    SchemaError
        If a step needs metadata that the frame lacks.
    UnknownNameError
        For an unknown recipe, operation or parameter.

    Examples
    --------
    >>> wells = pl.DataFrame({"Metadata_Plate": ["p"] * 5, "area": [1.0, 2.0, 3.0, 4.0, 5.0]})
    >>> steps = apply_recipe(wells, [{"operation": "normalize", "method": "standardize", "reference": "all"}])
    >>> steps[-1].name, round(steps[-1].frame["area"].sum(), 9)
    ('normalize', 0.0)
    """
    made: list[Result] = []

    def keep(step: RecipeStep, _: int, fitted: Fitted, results: Iterator[Result]) -> Sequence[pl.DataFrame]:
        (result,) = results
        arrays, parameters = {**fitted.arrays, **result.arrays}, {**fitted.parameters, **result.parameters}
        made.append(replace(result, name=step.name, arrays=arrays, parameters=parameters))
        return [result.frame]

    statuses = [status for _, _, status in run_recipe([to_polars(frame)], recipe, keep)]
    return [replace(result, status=status) for result, status in zip(made, statuses, strict=True)]
