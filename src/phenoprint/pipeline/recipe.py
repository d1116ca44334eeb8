"""The recipe of a screen: ``[profiles]`` of its configuration as steps over well profiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from phenoprint.errors import ConfigError
from phenoprint.profiles import ENOUGH_CELLS, FEWEST_REFERENCE, NORMALIZERS, Recipe, RecipeStep, recipe_named
from phenoprint.store import encode_name

if TYPE_CHECKING:
    from phenoprint.pipeline.sections import ProfilesSection

__all__ = ["after_4a", "level_4a", "normalizer_packages", "recipe_of", "reference_kind"]

# Names of steps are part of file names, with number and extension; file systems allow 255 bytes.
_LONGEST_NAME = 150


def normalizer_packages(recipe: Recipe) -> dict[str, str]:
    """Return the installed packages that provide normalizers of a recipe, with their versions, by method."""
    methods = [_method(step) for step in recipe.steps if step.operation == "normalize"]
    return {method: package for method in methods if (package := NORMALIZERS.package(method)) is not None}


def _method(step: RecipeStep) -> str:
    return str(step.parameters.get("method", "mad_robust"))


def recipe_of(section: ProfilesSection, *, has_counts: bool = True) -> Recipe:
    """Return the recipe of a configuration, with its reference wells and features to keep.

    Parameters
    ----------
    section
        ``[profiles]``.
    has_counts
        Whether the numbers of cells are known; without them, every well can be a reference well.

    Raises
    ------
    ConfigError
        For no step, a step without operation, a name that is used twice or is too long, or a consensus within the
        recipe.
    UnknownNameError
        For an unknown recipe, operation or parameter.

    Examples
    --------
    >>> from phenoprint.pipeline.sections import ProfilesSection
    >>> [step.name for step in recipe_of(ProfilesSection()).steps]
    ['normalize', 'limit', 'select']
    """
    named = recipe_named(section.recipe)
    if not named.steps:
        raise ConfigError(
            'the recipe has no step: add steps, or choose a recipe, such as profiles.recipe = "phenoprint"'
        )
    steps = []
    for step in named.steps:
        if len(encode_name(step.name)) > _LONGEST_NAME:
            raise ConfigError(f"the name {step.name[:30]!r}... of a step of the recipe is too long for a file's name")
        if step.operation == "consensus":
            raise ConfigError(
                "a recipe transforms wells, and the consensus of treatments follows it; choose its statistic with "
                'profiles.consensus = "..."'
            )
        table = step.to_dict()
        if step.reference == "negcon" and (step.operation != "correct_position" or section.reference == "all"):
            table["reference"] = "negcon"  # without a reference, a correction of position chooses by the layout
        if step.operation == "select" and section.keep_features:
            table.setdefault("keep", section.keep_features)
        if table.get("reference") == "negcon":
            table["reference"] = section.reference
        needs_counts = section.min_cells is not None and section.min_cells > 1
        if step.operation == "normalize" and (needs_counts or has_counts):
            table.setdefault("min_cells", ENOUGH_CELLS if section.min_cells is None else section.min_cells)
        if step.operation == "normalize" and section.min_reference != FEWEST_REFERENCE:
            table.setdefault("min_reference", section.min_reference)
        steps.append(table)
    return Recipe.of(named.name, steps, named.description)


def reference_kind(recipe: Recipe) -> str:
    """Return ``"negcon"`` if some step of a recipe uses the negative controls, else ``"all"``."""
    return "negcon" if any(step.reference == "negcon" for step in recipe.steps) else "all"


def level_4a(recipe: Recipe) -> str:
    """Return the name of the step whose result is level 4a: the last one before limits and the selection of features.

    Examples
    --------
    >>> from phenoprint.profiles import RECIPES
    >>> level_4a(RECIPES["jump-production"])
    'inverse_normal'
    """
    return recipe.steps[max(_first_selection(recipe) - 1, 0)].name


def after_4a(recipe: Recipe) -> Recipe:
    """Return the steps from the first limit or selection of features on, for profiles that are imported as level 4a.

    Examples
    --------
    >>> from phenoprint.profiles import RECIPES
    >>> [step.name for step in after_4a(RECIPES["phenoprint"]).steps]
    ['limit', 'select']
    """
    return recipe.without(*(step.name for step in recipe.steps[: _first_selection(recipe)]))


def _first_selection(recipe: Recipe) -> int:
    selections = (i for i, step in enumerate(recipe.steps) if step.operation in ("limit", "select"))
    return next(selections, len(recipe.steps))
