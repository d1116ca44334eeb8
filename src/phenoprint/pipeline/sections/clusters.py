"""Section of ``screen.toml`` about clusters and maps."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from phenoprint.pipeline.sections.base import Section

__all__ = ["ClustersSection"]


class ClustersSection(Section):
    """Which profiles are clustered, and how.

    ``of`` is ``"treatments"`` (table ``cluster``) or ``"wells"`` (table ``well_cluster``); ``which`` is ``"active"``
    (the treatments that differ from the controls) or ``"all"``. ``value`` is the resolution of Leiden, the number of
    clusters of average linkage or the smallest cluster of HDBSCAN, and ``neighbours`` how many neighbours Leiden joins
    each profile to; without them, they are chosen by what is found again in ``resamples`` resamples. ``maps`` names the
    projections to two dimensions.
    """

    of: Literal["treatments", "wells"] = "treatments"
    which: Literal["active", "all"] = "active"
    method: Literal["leiden", "average", "hdbscan"] = "leiden"
    value: float | None = Field(default=None, gt=0)
    neighbours: int | None = Field(default=None, ge=1)
    resamples: int = Field(default=20, ge=2)
    maps: list[Literal["pca", "umap"]] = Field(default=["pca", "umap"])

    @field_validator("neighbours")
    @classmethod
    def _for_leiden(cls, neighbours: int | None, info: ValidationInfo) -> int | None:
        if neighbours is not None and info.data.get("method") != "leiden":
            raise ValueError("'neighbours' is for method = \"leiden\"")
        return neighbours
