"""Sections of ``screen.toml`` from images to single cells: illumination, quality, segmentation, features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from phenoprint.errors import UnknownNameError
from phenoprint.pipeline.sections.base import Section

if TYPE_CHECKING:
    from phenoprint.features import FeatureFamily

__all__ = ["FeaturesSection", "IlluminationSection", "QualitySection", "SegmentationSection"]


class IlluminationSection(Section):
    """How uneven illumination is corrected; the options are those of `phenoprint.images.estimate_illumination`."""

    method: Literal["cellprofiler", "basic", "none"] = "cellprofiler"
    average: Literal["trimmed", "median", "mean"] = "trimmed"
    dark: bool = False
    offset: float = Field(default=0.0, ge=0, lt=1)
    smoothing_px: float | None = Field(default=None, gt=0)
    max_fields: int = Field(default=96, ge=2)


class QualitySection(Section):
    """Whether flagged fields are left out."""

    exclude_flagged_sites: bool = True


class SegmentationSection(Section):
    """The segmenter; ``parameters`` are its parameters."""

    segmenter: str = "classical"
    nucleus_diameter_um: float | None = Field(default=None, gt=0)
    nucleus_diameter_px: float | None = Field(default=None, gt=0)
    parameters: dict[str, Any] = Field(default_factory=dict, validate_default=True)

    @field_validator("segmenter")
    @classmethod
    def _known_segmenter(cls, name: str) -> str:
        from phenoprint.segmentation import SEGMENTERS

        SEGMENTERS.get(name)
        return name

    @field_validator("parameters")
    @classmethod
    def _known_parameters(cls, parameters: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        from phenoprint.segmentation import SEGMENTERS

        if "segmenter" in info.data:
            SEGMENTERS.make(info.data["segmenter"], **parameters)
        return parameters

    @model_validator(mode="after")
    def _one_diameter(self) -> SegmentationSection:
        if self.nucleus_diameter_um is not None and self.nucleus_diameter_px is not None:
            raise ValueError("give one of 'nucleus_diameter_um' and 'nucleus_diameter_px', not both")
        return self


class FeaturesSection(Section):
    """Which features are measured.

    ``families`` names families beyond those of the preset, such as those of installed packages: a name, or a table with
    ``family`` and its parameters, ``{ family = "texture", scales = [20] }``. A family of the preset is replaced.
    """

    preset: str = "cell-painting-full"
    families: list[str | dict[str, Any]] = Field(default_factory=list)

    @field_validator("preset")
    @classmethod
    def _known_preset(cls, name: str) -> str:
        from phenoprint.features import presets

        if name not in presets():
            raise UnknownNameError("preset", name, presets())
        return name

    @field_validator("families")
    @classmethod
    def _known_families(cls, families: list[str | dict[str, Any]], info: ValidationInfo) -> list[str | dict[str, Any]]:
        from phenoprint.features import chosen_families

        if families and "preset" in info.data:
            chosen_families(info.data["preset"], families)
        return families

    def chosen(self) -> tuple[FeatureFamily, ...]:
        """Return the families with their parameters."""
        from phenoprint.features import chosen_families

        return chosen_families(self.preset, self.families)
