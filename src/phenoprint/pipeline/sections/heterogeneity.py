"""Section of ``screen.toml`` about the distribution of the cells of a well."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from phenoprint.pipeline.sections.base import Section

__all__ = ["HeterogeneitySection"]


class HeterogeneitySection(Section):
    """How the cells of a well are compared with control cells (``profiles.heterogeneity`` switches this off).

    ``max_features`` is how many features are compared, evenly spaced ones of those that are not redundant. ``states``
    are the numbers of cell states to try, ``least_agreement`` the adjusted Rand index between halves of the control
    wells from which states are kept. ``in_profiles`` adds the columns of ``profile_heterogeneity`` to the well profiles
    before the recipe, so that they enter all answers; the table ``heterogeneity_gain`` lists whether they help.
    """

    in_profiles: bool = False
    max_features: int = Field(default=500, ge=1)
    states: list[Annotated[int, Field(ge=2)]] = Field(default=[8, 5, 3, 2], min_length=1)
    least_agreement: float = Field(default=0.6, gt=0, le=1)
