"""Section of ``screen.toml`` about hits."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from phenoprint.pipeline.sections.base import Section

__all__ = ["HitsSection"]


class HitsSection(Section):
    """What makes a hit, and what is toxic.

    A hit has a distance to the negative controls with a corrected p value of at most ``max_q``; ``distance`` is the one
    that decides. ``min_effect`` (1 is the noise of one well) and ``min_inducing_share`` are further limits;
    ``inducing_spread`` is how many robust standard deviations of the controls a feature must move to be induced.
    ``needs_agreement`` also asks that replicates agree. A treatment is toxic where the 95 % interval of its cell count,
    as a ratio to the controls of the plate, lies below ``toxic_below``.
    """

    distance: Literal["mahalanobis", "energy"] = "mahalanobis"
    max_q: float = Field(default=0.05, gt=0, le=1)
    min_effect: float = Field(default=0.0, ge=0)
    min_inducing_share: float = Field(default=0.0, ge=0, le=1)
    inducing_spread: float = Field(default=3.0, gt=0)
    needs_agreement: bool = False
    toxic_below: float = Field(default=0.7, gt=0, lt=1)
