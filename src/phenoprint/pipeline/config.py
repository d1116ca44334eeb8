"""``screen.toml``: the configuration of a screen, checked before anything runs.

Each section is a frozen model that refuses unknown keys, so that a misspelt option is an error. A changed value re-runs
the steps that read its section.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from phenoprint.errors import ConfigError, UnknownNameError
from phenoprint.pipeline.config_errors import describe_config_error

if TYPE_CHECKING:
    from phenoprint.features import FeatureFamily
    from phenoprint.images import Reader

__all__ = [
    "CellQualitySection",
    "CellRuleSection",
    "EvaluationSection",
    "FeaturesSection",
    "IlluminationSection",
    "ImagesSection",
    "LimitSection",
    "PlateMapSection",
    "ProfilesSection",
    "QualitySection",
    "ReportSection",
    "ScreenConfig",
    "ScreenSection",
    "SegmentationSection",
    "load_config",
    "parse_config",
    "read_config",
]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class ScreenSection(_Section):
    """Name of the screen; the results are written to a folder of this name."""

    name: str = Field(min_length=1, pattern=r"^[\w .-]+$")
    description: str = ""


class ImagesSection(_Section):
    """Where the images are and how their names are read.

    ``options`` are the parameters of the reader. ``page`` is for files with several pages: the page to read, from 0, or
    ``"max"`` for the maximum over all pages at each pixel. By default the first page is read, and the table ``problem``
    reports it.
    """

    root: str | None = None
    dataset: str | None = None
    reader: str = "pattern"
    pattern: str | None = None
    load_data: str | None = None
    options: dict[str, Any] = Field(default_factory=dict, validate_default=True)
    plate: str | None = None
    channels: dict[str, str] = Field(default_factory=dict)
    page: Annotated[int, Field(ge=0)] | Literal["max"] | None = None
    pixel_size_um: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _one_source(self) -> ImagesSection:
        if (self.root is None) == (self.dataset is None):
            raise ValueError("give exactly one of 'root' (a folder of images) and 'dataset' (a fetched data set)")
        for reader, value, option in (("load_data", self.load_data, "path"), ("pattern", self.pattern, "pattern")):
            if value is not None and self.reader != reader:
                raise ValueError(f"'{reader}' is for the reader '{reader}': set reader = \"{reader}\"")
            if value is not None and option in self.options:
                raise ValueError(f"give one of '{reader}' and 'options.{option}', not both")
        if self.page is not None and self.reader != "pattern":
            raise ValueError(
                f"'page' is for the reader 'pattern'; '{self.reader}' reads the page of each channel from its own list"
            )
        return self

    @field_validator("reader")
    @classmethod
    def _known_reader(cls, name: str) -> str:
        from phenoprint.images import READERS

        READERS.get(name)
        return name

    @field_validator("options")
    @classmethod
    def _known_options(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        from phenoprint.images import READERS

        if "reader" in info.data:
            READERS.make(info.data["reader"], **options)
        return options

    def make_reader(self) -> Reader:
        """Make the reader with its options."""
        from phenoprint.images import READERS

        named = {"path": self.load_data, "pattern": self.pattern}
        given = {option: value for option, value in named.items() if value is not None}
        return READERS.make(self.reader, **given, **self.options)


MapColumn = Literal[
    "well", "row", "col", "plate", "batch", "pert_type", "compound", "concentration", "unit", "moa", "solvent"
]


class PlateMapSection(_Section):
    """Which plate-map files to read; ``batches`` gives each plate its batch.

    ``sheet`` names the sheet of a spreadsheet. ``columns`` names the columns that are not recognised
    (``{ compound = "Content" }``), ``pert_types`` gives the meaning of words and compounds of the map
    (``{ "Medium" = "empty", "Wortmannin" = "poscon" }``).
    """

    files: list[str] = Field(default_factory=list)
    barcode_platemap: str | None = None
    sheet: str | None = None
    columns: dict[MapColumn, str] = Field(default_factory=dict)
    pert_types: dict[str, Literal["trt", "negcon", "poscon", "empty"]] = Field(default_factory=dict)
    format: int | None = None
    batches: dict[str, str] = Field(default_factory=dict)


class IlluminationSection(_Section):
    """How uneven illumination is corrected; the options are those of `phenoprint.images.estimate_illumination`."""

    method: Literal["cellprofiler", "basic", "none"] = "cellprofiler"
    average: Literal["trimmed", "median", "mean"] = "trimmed"
    dark: bool = False
    offset: float = Field(default=0.0, ge=0, lt=1)
    smoothing_px: float | None = Field(default=None, gt=0)
    max_fields: int = Field(default=96, ge=2)


class QualitySection(_Section):
    """Whether flagged fields are left out."""

    exclude_flagged_sites: bool = True


class SegmentationSection(_Section):
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


class FeaturesSection(_Section):
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


class LimitSection(_Section):
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


class CellRuleSection(_Section):
    """A named rule, which flags a cell that is beyond all its limits."""

    name: str = Field(min_length=1)
    limits: list[LimitSection] = Field(min_length=1)

    @field_validator("name")
    @classmethod
    def _no_separator(cls, name: str) -> str:
        if ";" in name:
            raise ValueError("a rule's name cannot hold ';', which separates names in cell_quality.reasons; use '-'")
        return name


class CellQualitySection(_Section):
    """Which cells are flagged, and which are left out of profiles; by default, the rules of coSMicQC."""

    exclude_flagged_cells: bool = True
    exclude_border_cells: bool = True
    rules: list[CellRuleSection] | None = None


class ProfilesSection(_Section):
    """From cells to profiles.

    ``recipe`` is the name of a recipe in `phenoprint.profiles.RECIPES`, or a list of steps, ``[[profiles.recipe]]``
    with ``operation`` and its parameters. ``reference`` replaces ``negcon`` in a recipe: ``"all"`` for
    plates without negative controls. ``min_cells`` is how many cells a well needs to serve as reference, and
    ``min_reference`` how many such wells a plate needs; with fewer, all its wells are the reference. ``readouts`` are
    named SQL expressions over the columns of a cell, such as
    ``"ln(Nuclei_Intensity_MeanIntensity_GFP / Cytoplasm_Intensity_MeanIntensity_GFP)"``; the median of a well is kept.
    ``keep_features`` names columns, or patterns such as ``"Image_Granularity_*"``, that are features of a profile
    though they are measured on images, are positions or numbers of objects.
    ``heterogeneity`` adds how the cells of a well are distributed: states, responders, distances to the controls.
    """

    statistic: str = "median"
    min_cells: int = Field(default=1, ge=1)
    min_reference: int = Field(default=3, ge=1)
    recipe: str | list[dict[str, Any]] = "phenoprint"
    reference: Literal["negcon", "all"] = "negcon"
    consensus: str = "median"
    readouts: dict[str, str] = Field(default_factory=dict)
    keep_features: list[str] = Field(default_factory=list)
    heterogeneity: bool = True

    @field_validator("recipe")
    @classmethod
    def _known_steps(cls, recipe: str | list[dict[str, Any]]) -> str | list[dict[str, Any]]:
        from phenoprint.profiles import recipe_named

        recipe_named(recipe)
        return recipe


class EvaluationSection(_Section):
    """How profiles are scored, and how many rows the tables of answers have.

    ``neighbours`` is how many neighbours each treatment has in table ``neighbour``. ``top_features`` is how many
    features each treatment has in ``feature_effect`` and each cluster in ``cluster_signature``, the strongest first;
    0 keeps all.
    """

    null_size: int = Field(default=10_000, ge=100)
    neighbours: int = Field(default=20, ge=1)
    top_features: int = Field(default=2_000, ge=0)
    dose_response: list[str] = Field(default_factory=list)
    seed: int = 0


class ReportSection(_Section):
    """The pictures of the report."""

    gallery_treatments: int = Field(default=40, ge=0)
    gallery_cells: int = Field(default=12, ge=1)
    crop_size_um: float | None = Field(default=None, gt=0)
    crop_size_px: int | None = Field(default=None, ge=8)


class ScreenConfig(_Section):
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
    evaluation: EvaluationSection = EvaluationSection()
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
