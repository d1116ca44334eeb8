"""Section of ``screen.toml`` from cells to profiles."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from phenoprint.pipeline.sections.base import Section

__all__ = ["ProfilesSection"]


class ProfilesSection(Section):
    """From cells to profiles.

    ``recipe`` is the name of a recipe in `phenoprint.profiles.RECIPES`, or a list of steps, ``[[profiles.recipe]]``
    with ``operation`` and its parameters. ``reference`` replaces ``negcon`` in a recipe: ``"all"`` for
    plates without negative controls. ``min_cells`` is how many cells a well needs to serve as reference (by default 30,
    or half of the plate's median where that is less), and ``min_reference`` how many such wells a plate needs; with
    fewer, all its wells are the reference. ``readouts`` are named SQL expressions over the columns of a cell, such as
    ``"ln(Nuclei_Intensity_MeanIntensity_GFP / Cytoplasm_Intensity_MeanIntensity_GFP)"``; the median of a well is kept.
    ``keep_features`` names columns, or patterns such as ``"Image_Granularity_*"``, that are features of a profile
    though they are measured on images, are positions or numbers of objects.
    ``heterogeneity`` adds how the cells of a well are distributed: states, responders, distances to the controls.
    """

    statistic: str = "median"
    min_cells: int | None = Field(default=None, ge=1)
    min_reference: int = Field(default=3, ge=1)
    recipe: str | list[dict[str, Any]] = "phenoprint"
    reference: Literal["negcon", "all"] = "negcon"
    consensus: str = "median"
    readouts: dict[str, str] = Field(default_factory=dict)
    keep_features: list[str] = Field(default_factory=list)
    heterogeneity: bool = True

    @field_validator("recipe")
    @classmethod
    def _known_steps(cls, recipe: str | list[dict[str, Any]]) -> str | list[dict[str, Any]]:
        from phenoprint.profiles import recipe_named

        recipe_named(recipe)
        return recipe
