"""Section of ``screen.toml`` about the scores of profiles and the size of the tables of answers."""

from __future__ import annotations

from pydantic import Field

from phenoprint.pipeline.sections.base import Section

__all__ = ["EvaluationSection"]


class EvaluationSection(Section):
    """How profiles are scored, and how many rows the tables of answers have.

    ``folds`` is in how many parts the negative controls are divided; treatments are compared with the controls of one
    part, which the recipe was fitted without. ``null_size`` is the number of random orders of a test, and ``fdr`` the
    level of the corrected p value below which a treatment is active. ``neighbours`` is how many neighbours each
    treatment has in table ``neighbour``. ``top_features`` is how many features each treatment has in ``feature_effect``
    and each cluster in ``cluster_signature``, the strongest first; 0 keeps all.
    """

    folds: int = Field(default=2, ge=2)
    null_size: int = Field(default=10_000, ge=100)
    fdr: float = Field(default=0.05, gt=0, lt=1)
    neighbours: int = Field(default=20, ge=1)
    top_features: int = Field(default=2_000, ge=0)
    seed: int = 0
