"""Section of ``screen.toml`` about the quality of cells."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from phenoprint.pipeline.sections.base import Section

__all__ = ["CellQualitySection", "CellRuleSection", "LimitSection"]


class LimitSection(Section):
    """A limit of one feature; a cell is beyond it if it is beyond every number given."""

    feature: str
    side: Literal["below", "above"]
    z: float | None = None
    absolute: float | None = None
    ratio: float | None = None

    @model_validator(mode="after")
    def _some_number(self) -> LimitSection:
        if self.z is None and self.absolute is None and self.ratio is None:
            raise ValueError("give at least one of 'z' (robust z), 'absolute' and 'ratio' (in medians of the plate)")
        return self


class CellRuleSection(Section):
    """A named rule, which flags a cell that is beyond all its limits."""

    name: str = Field(min_length=1)
    limits: list[LimitSection] = Field(min_length=1)

    @field_validator("name")
    @classmethod
    def _no_separator(cls, name: str) -> str:
        if ";" in name:
            raise ValueError("a rule's name cannot hold ';', which separates names in cell_quality.reasons; use '-'")
        return name


class CellQualitySection(Section):
    """Which cells are flagged, and which are left out of profiles; by default, the rules of coSMicQC.

    With ``protect_phenotypes`` a rule that flags far more cells of some treatment than of the controls leaves out no
    cell of the screen: it would remove what the treatment does. Table ``cell_rule`` lists the rules.
    """

    exclude_flagged_cells: bool = True
    exclude_border_cells: bool = True
    protect_phenotypes: bool = True
    rules: list[CellRuleSection] | None = None
