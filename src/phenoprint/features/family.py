"""What a feature family is, and those there are by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from phenoprint.features._field import Field, Objects
from phenoprint.plugins import Registry

__all__ = ["FAMILIES", "Definition", "FeatureFamily"]


@dataclass(frozen=True)
class Definition:
    """What the feature dictionary says of one measure.

    Attributes
    ----------
    text
        One line: what is measured.
    unit
        Such as ``"px"``, ``"px^2"``, ``"intensity"`` (full scale is 1), ``"1"`` for a pure number.
    difference
        How the value knowingly differs from CellProfiler's; ``None`` where it does not.
    """

    text: str
    unit: str = "1"
    difference: str | None = None


class FeatureFamily(ABC):
    """A group of measurements of every object of one compartment.

    A family is a frozen dataclass whose fields are its parameters. It has one method to write, :meth:`measure`, and
    may have :meth:`measure_image`.
    """

    name: ClassVar[str]
    """Name in presets and configuration, such as ``"intensity"``."""

    source: ClassVar[str] = ""
    """Where the method comes from: a module of CellProfiler, a paper."""

    version: ClassVar[str] = "1"
    """Raised whenever the same input gives other values."""

    definitions: ClassVar[Mapping[str, Definition]] = {}
    """What each measure is, by ``Family_Measure`` without channel and parameters, such as ``"AreaShape_Area"``."""

    image_definitions: ClassVar[Mapping[str, Definition]] = {}
    """The same for what :meth:`measure_image` gives, where it differs."""

    @abstractmethod
    def measure(self, objects: Objects) -> dict[str, npt.NDArray[np.float64]]:
        """Measure every object of a compartment.

        Parameters
        ----------
        objects
            The compartment, with its pixel lists, channels and shared intermediate results.

        Returns
        -------
        dict
            Feature name without compartment (``"Intensity_MeanIntensity_DNA"``) to float64 values ``(n,)``, NaN
            where a value is undefined. The names depend on the compartment, the channels and the parameters only,
            never on the pixels, so that a field without objects has the same columns.
        """

    def alias(self, name: str) -> str | None:  # noqa: ARG002 - for families whose names changed
        """Return what other versions of CellProfiler call a feature of this family, or None where they agree.

        Parameters
        ----------
        name
            Feature name without compartment.
        """
        return None

    def measure_image(self, field: Field) -> dict[str, float]:  # noqa: ARG002 - for families that measure images
        """Measure the whole image; nothing, unless a family says otherwise.

        Parameters
        ----------
        field
            The field, with its channels, its compartments and shared intermediate results.

        Returns
        -------
        dict
            Feature name without ``Image_`` (``"Correlation_Slope_DNA_ER"``) to value, NaN where it is undefined. The
            names depend on the channels and the parameters only.
        """
        return {}


FAMILIES: Registry[FeatureFamily] = Registry(
    kind="feature family",
    base=FeatureFamily,
    group="phenoprint.features",
    builtin={
        "correlation": "phenoprint.features.correlation:Correlation",
        "granularity": "phenoprint.features.granularity:Granularity",
        "image_quality": "phenoprint.features.imagequality:ImageQuality",
        "intensity": "phenoprint.features.intensity:Intensity",
        "location": "phenoprint.features.location:Location",
        "neighbors": "phenoprint.features.neighbors:Neighbors",
        "radial": "phenoprint.features.radial:RadialDistribution",
        "shape": "phenoprint.features.shape:AreaShape",
        "texture": "phenoprint.features.texture:Texture",
    },
)
"""All families; those of other packages through the entry-point group ``phenoprint.features``."""
