"""The interface of feature families, and the registry of all families."""

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
    """Description of one measure in the feature dictionary.

    Attributes
    ----------
    text
        One line on what is measured.
    unit
        Unit, such as ``"px"``, ``"px^2"``, ``"intensity"`` (full scale is 1), or ``"1"`` for a pure number.
    difference
        Known difference from CellProfiler's value; None for none.
    """

    text: str
    unit: str = "1"
    difference: str | None = None


class FeatureFamily(ABC):
    """A group of measurements of every object of one compartment.

    A family is a frozen dataclass whose fields are its parameters. It implements :meth:`measure` and may implement
    :meth:`measure_image`.
    """

    name: ClassVar[str]
    """Name in presets and configuration, such as ``"intensity"``."""

    source: ClassVar[str] = ""
    """Source of the method: a module of CellProfiler or a paper."""

    version: ClassVar[str] = "1"
    """To be increased whenever the same input gives other values."""

    definitions: ClassVar[Mapping[str, Definition]] = {}
    """Descriptions by ``Family_Measure``, without channel and parameters, such as ``"AreaShape_Area"``."""

    image_definitions: ClassVar[Mapping[str, Definition]] = {}
    """The same for :meth:`measure_image`, where it differs."""

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
            Feature name without compartment (``"Intensity_MeanIntensity_DNA"``) to float64 values ``(n,)``; undefined
            values are NaN. The names must depend on the compartment, the channels and the parameters only, so that a
            field without objects has the same columns.
        """

    def alias(self, name: str) -> str | None:  # noqa: ARG002 - for families whose names changed
        """Return the name of a feature in other versions of CellProfiler, or None if it is the same.

        Parameters
        ----------
        name
            Feature name without compartment.
        """
        return None

    def measure_image(self, field: Field) -> dict[str, float]:  # noqa: ARG002 - for families that measure images
        """Measure the whole image; by default nothing.

        Parameters
        ----------
        field
            The field, with its channels, its compartments and shared intermediate results.

        Returns
        -------
        dict
            Feature name without ``Image_`` (``"Correlation_Slope_DNA_ER"``) to value; undefined values are NaN. The
            names must depend on the channels and the parameters only.
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
