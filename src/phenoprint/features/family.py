"""The protocol of a feature family and the registry that finds it by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.features._context import Objects

__all__ = ["Definition", "FeatureFamily", "families", "get_family", "register_family"]

_REGISTRY: dict[str, type[FeatureFamily]] = {}
_GROUP = "phenoprint.features"


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

    A family is a frozen dataclass whose fields are its parameters. It has one method to write, :meth:`measure`.
    Third parties register theirs through the entry-point group ``phenoprint.features``.
    """

    name: ClassVar[str]
    """Name in presets and configuration, such as ``"intensity"``."""

    source: ClassVar[str] = ""
    """Where the method comes from: a module of CellProfiler, a paper."""

    version: ClassVar[str] = "1"
    """Raised whenever the same input gives other values."""

    definitions: ClassVar[Mapping[str, Definition]] = {}
    """What each measure is, by ``Family_Measure`` without channel and parameters, such as ``"AreaShape_Area"``."""

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


def register_family(family: type[FeatureFamily]) -> type[FeatureFamily]:
    """Make a family known by its name; usable as a class decorator.

    Raises
    ------
    UsageError
        If another class already has the name.
    """
    known = _REGISTRY.get(family.name)
    if known is not None and known is not family:
        raise UsageError(
            f"feature family {family.name!r} of {family.__module__} is already taken by {known.__module__}; "
            "give it another name"
        )
    _REGISTRY[family.name] = family
    return family


def families() -> dict[str, type[FeatureFamily]]:
    """Every known family by name, those of installed third parties included.

    Examples
    --------
    >>> "intensity" in families()
    True
    """
    from phenoprint.features import _builtin  # noqa: F401  registers the families of this package

    for point in entry_points(group=_GROUP):
        if point.name not in _REGISTRY:
            register_family(point.load())
    return dict(sorted(_REGISTRY.items()))


def get_family(name: str) -> type[FeatureFamily]:
    """Return the family of a name.

    Raises
    ------
    UnknownNameError
        If there is none; the message offers the closest.
    """
    known = families()
    if name not in known:
        raise UnknownNameError("feature family", name, known)
    return known[name]
