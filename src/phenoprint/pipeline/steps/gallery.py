"""Step: pictures of typical cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from phenoprint.pipeline.steps.base import Outcome, Scope, Step, Unit

if TYPE_CHECKING:
    from phenoprint.pipeline.config import ScreenConfig
    from phenoprint.pipeline.context import Context

__all__ = ["Gallery"]


class Gallery(Step):
    """Cut out typical cells of each treatment."""

    name = "gallery"
    title = "Galleries"
    scope = Scope.SCREEN
    needs = (
        "image",
        "illumination",
        "nucleus_size",
        "object",
        "cell",
        "cell_quality",
        "profile_well",
        "profile_consensus",
        "activity",
        "exclusion",
    )
    tables = ("gallery",)

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return how many cells and how large."""
        return config.section("report")

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Crop the cells nearest to the median of their treatment, for the strongest treatments and the controls."""
        from phenoprint.pipeline.gallery import make_gallery

        return Outcome({"gallery": make_gallery(context)})
