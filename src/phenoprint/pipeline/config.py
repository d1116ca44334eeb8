"""``screen.toml``: the configuration of a screen, checked before anything runs.

Each section is a frozen model that refuses unknown keys, so that a misspelt option is an error. A changed value re-runs
the steps that read its section.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from phenoprint.errors import ConfigError
from phenoprint.pipeline.config_errors import describe_config_error
from phenoprint.pipeline.sections import (
    CellQualitySection,
    ClustersSection,
    DosesSection,
    EvaluationSection,
    FeaturesSection,
    HeterogeneitySection,
    HitsSection,
    IlluminationSection,
    ImagesSection,
    MechanismsSection,
    PlateAcceptanceSection,
    PlateMapSection,
    ProfilesSection,
    QualitySection,
    ReportSection,
    RetrievalSection,
    ScreenSection,
    Section,
    SegmentationSection,
)

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ScreenConfig", "load_config", "parse_config", "read_config"]


class ScreenConfig(Section):
    r"""The whole ``screen.toml``; without ``[images]`` the screen holds imported tables.

    Examples
    --------
    >>> config = parse_config('screen.name = "pilot"\nimages.root = "plates"')
    >>> config.screen.name, config.segmentation.segmenter
    ('pilot', 'classical')
    """

    screen: ScreenSection
    images: ImagesSection | None = None
    plate_map: PlateMapSection = PlateMapSection()
    illumination: IlluminationSection = IlluminationSection()
    quality: QualitySection = QualitySection()
    segmentation: SegmentationSection = SegmentationSection()
    features: FeaturesSection = FeaturesSection()
    cell_quality: CellQualitySection = CellQualitySection()
    profiles: ProfilesSection = ProfilesSection()
    heterogeneity: HeterogeneitySection = HeterogeneitySection()
    plate_acceptance: PlateAcceptanceSection = PlateAcceptanceSection()
    evaluation: EvaluationSection = EvaluationSection()
    retrieval: dict[str, RetrievalSection] = Field(default_factory=dict)
    mechanisms: MechanismsSection = MechanismsSection()
    clusters: ClustersSection = ClustersSection()
    hits: HitsSection = HitsSection()
    doses: DosesSection = DosesSection()
    report: ReportSection = ReportSection()

    def need_images(self) -> ImagesSection:
        """Return ``[images]``.

        Raises
        ------
        ConfigError
            If the configuration has no such section.
        """
        if self.images is None:
            raise ConfigError(
                f"the screen {self.screen.name!r} has no images: it holds imported tables, or its configuration lacks "
                "[images] with root = ..."
            )
        return self.images

    def section(self, name: str) -> dict[str, Any]:
        r"""Return one section as plain data, for the key of a step.

        Examples
        --------
        >>> parse_config('screen.name = "p"\nimages.root = "d"').section("quality")
        {'exclude_flagged_sites': True}
        """
        section = getattr(self, name)
        data: dict[str, Any] = {} if section is None else section.model_dump(mode="json")
        return data


def parse_config(text: str, *, source: str = "screen.toml") -> ScreenConfig:
    r"""Parse the text of a ``screen.toml``.

    Parameters
    ----------
    text
        TOML.
    source
        Name of the file, for messages.

    Raises
    ------
    ConfigError
        If it is not TOML, or a key is unknown, missing or of a wrong type. The message lists every problem.

    Examples
    --------
    >>> parse_config('screen.name = "p"\nimages.root = "d"\nfeatures.presset = "minimal"')
    Traceback (most recent call last):
    phenoprint.errors.ConfigError: screen.toml cannot be used:
      features.presset: no such key; did you mean 'preset'? known here: preset, families
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source} is not valid TOML: {error}") from error
    try:
        return ScreenConfig.model_validate(data)
    except ValidationError as error:
        raise ConfigError(describe_config_error(error, ScreenConfig, source)) from error


def read_config(path: Path) -> str:
    """Return the text of a ``screen.toml``.

    Raises
    ------
    ConfigError
        If the file is absent or cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ConfigError(
            f"no configuration at {path}: if there are images in {path.parent}, 'phenoprint init {path.parent}' "
            "examines them and writes one; to read tables of other tools, use 'phenoprint import'"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the configuration {path}: {error}") from error


def load_config(path: Path) -> ScreenConfig:
    """Read and check a ``screen.toml``.

    Raises
    ------
    ConfigError
        If the file is absent or wrong.
    """
    return parse_config(read_config(path), source=str(path))
