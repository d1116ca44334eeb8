"""The protocol of a feature family and the registry that finds it by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.features._context import Field, Objects

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

    A family is a frozen dataclass whose fields are its parameters. It has one method to write, :meth:`measure`, and
    may have :meth:`measure_image`.
    Third parties register theirs through the entry-point group ``phenoprint.features``, under the same name.
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
            register_family(_load(point))
    return dict(sorted(_REGISTRY.items()))


def _load(point: EntryPoint) -> type[FeatureFamily]:
    """Load a third party's family and check what it is."""
    where = f"entry point {point.name!r} of {point.dist.name if point.dist else 'an unknown package'}"
    try:
        found = point.load()
    except (ImportError, AttributeError) as error:
        raise UsageError(f"{where} in group {_GROUP!r} cannot be loaded: {error}; repair or remove it") from error
    if not (isinstance(found, type) and issubclass(found, FeatureFamily) and getattr(found, "name", "") == point.name):
        raise UsageError(
            f"{where} in group {_GROUP!r} leads to {found!r}; it must be a subclass of FeatureFamily whose `name` is "
            f"{point.name!r}"
        )
    return found


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
