"""Section of ``screen.toml`` about calls of mechanisms."""

from __future__ import annotations

from pydantic import Field

from phenoprint.pipeline.sections.base import Section

__all__ = ["MechanismsSection"]


class MechanismsSection(Section):
    """How mechanisms are called and scored.

    ``coverage`` is the probability that a set of mechanisms (``moa_call.prediction_set``) holds a true one.
    ``neighbours`` is how many neighbours vote in the protocol ``neighbours`` of ``moa_prediction``.
    """

    coverage: float = Field(default=0.9, ge=0.5, lt=1)
    neighbours: int = Field(default=5, ge=1)
