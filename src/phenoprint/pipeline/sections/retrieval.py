"""Section of ``screen.toml`` about retrieval: which wells should find each other, and among which others."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from phenoprint.pipeline.sections.base import Section

__all__ = ["RetrievalSection"]


class RetrievalSection(Section):
    """Pairs of wells that are scored by mean average precision, one table ``[retrieval.NAME]`` per score.

    Two wells are a positive pair where they agree in all columns of ``pos_sameby`` and differ in all of ``pos_diffby``;
    a negative pair where they agree in all of ``neg_sameby`` and differ in all of ``neg_diffby``. A well without a
    value in one of the columns is in no pair. ``null_size`` is the number of random orders; where there are no more,
    they are enumerated. ``fdr`` is the level of the corrected p value.
    """

    pos_sameby: list[str] = Field(min_length=1)
    pos_diffby: list[str] = Field(default_factory=list)
    neg_sameby: list[str] = Field(default_factory=list)
    neg_diffby: list[str] = Field(default_factory=list)
    metric: Literal["cosine", "correlation", "pearson", "euclidean"] = "cosine"
    null_size: int = Field(default=10_000, ge=100)
    fdr: float = Field(default=0.05, gt=0, lt=1)
