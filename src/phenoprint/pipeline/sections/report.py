"""Section of ``screen.toml`` about the report."""

from __future__ import annotations

from pydantic import Field

from phenoprint.pipeline.sections.base import Section

__all__ = ["ReportSection"]


class ReportSection(Section):
    """The pictures of the report."""

    gallery_treatments: int = Field(default=40, ge=0)
    gallery_cells: int = Field(default=12, ge=1)
    crop_size_um: float | None = Field(default=None, gt=0)
    crop_size_px: int | None = Field(default=None, ge=8)
