"""Section of ``screen.toml`` about dose-response curves."""

from __future__ import annotations

from pydantic import Field

from phenoprint.pipeline.sections.base import Section

__all__ = ["DosesSection"]


class DosesSection(Section):
    """Which curves are fitted, and how far a response has to go.

    The distance to the controls, the cell count and the readouts always get curves. ``feature_groups`` adds those of
    compartment, family and channel, ``features`` those of features by name. ``benchmark`` is the benchmark response in
    standard deviations of the negative controls.
    """

    feature_groups: bool = True
    features: list[str] = Field(default_factory=list)
    benchmark: float = Field(default=1.349, gt=0)
