"""Sections of ``screen.toml`` about the screen, its images and its plate maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from phenoprint.pipeline.sections.base import Section

if TYPE_CHECKING:
    from phenoprint.images import Reader

__all__ = ["ImagesSection", "PlateMapSection", "ScreenSection"]


class ScreenSection(Section):
    """Name of the screen; the results are written to a folder of this name."""

    name: str = Field(min_length=1, pattern=r"^[\w .-]+$")
    description: str = ""


class ImagesSection(Section):
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


class PlateMapSection(Section):
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
