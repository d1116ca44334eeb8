"""What a segmenter is, and the register of those there are."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any, ClassVar, TypeVar

import numpy as np

from phenoprint.errors import UnknownNameError, UsageError

__all__ = ["ENTRY_POINTS", "Segmenter", "available_segmenters", "get_segmenter", "register_segmenter"]

Array = np.ndarray[Any, Any]

ENTRY_POINTS = "phenoprint.segmenters"
"""Entry-point group through which other packages add segmenters: name -> class."""


class Segmenter(ABC):
    """Turns the channels of a field into nuclei and cells.

    A backend is a frozen dataclass whose fields are its parameters, each with a default, and this one
    method. It gets checked pixels and must not change them.

    Attributes
    ----------
    name
        Under which it is registered; set by `register_segmenter`.
    """

    name: ClassVar[str] = ""

    @abstractmethod
    def segment(
        self, pixels: Array, *, channels: Sequence[str], pixel_size_um: float | None = None
    ) -> dict[str, Array]:
        """Label the objects of one field.

        Parameters
        ----------
        pixels
            ``(C, Y, X)`` float32 in [0, 1], finite.
        channels
            The C names.
        pixel_size_um
            Edge of a pixel in µm, None where unknown.

        Returns
        -------
        dict
            ``{"Nuclei": (Y, X), "Cells": (Y, X)}`` int32, 0 background, numbers 1..n shared by both, every
            nucleus inside its cell.
        """


AnySegmenter = TypeVar("AnySegmenter", bound=type[Segmenter])

_REGISTERED: dict[str, type[Segmenter]] = {}


def register_segmenter(name: str) -> Callable[[AnySegmenter], AnySegmenter]:
    """Class decorator that makes a segmenter known by a name.

    Raises
    ------
    UsageError
        It is no dataclass, or another class has the name.
    """

    def register(cls: AnySegmenter) -> AnySegmenter:
        if not hasattr(cls, "__dataclass_fields__"):
            raise UsageError(
                f"segmenter {name!r}: {cls.__qualname__} must be a dataclass, its fields are its parameters"
            )
        if _REGISTERED.get(name, cls) is not cls:
            raise UsageError(f"segmenter {name!r} is already {_REGISTERED[name].__qualname__}; choose another name")
        cls.name = name
        _REGISTERED[name] = cls
        return cls

    return register


def available_segmenters() -> tuple[str, ...]:
    """Names of all segmenters, those of installed plug-ins included, sorted.

    Examples
    --------
    >>> "classical" in available_segmenters()
    True
    """
    return tuple(sorted({*_REGISTERED, *(point.name for point in entry_points(group=ENTRY_POINTS))}))


def get_segmenter(name: str, **params: object) -> Segmenter:
    """Make a segmenter by name.

    Parameters
    ----------
    name
        One of `available_segmenters`.
    **params
        Its parameters.

    Raises
    ------
    UnknownNameError
        No such segmenter or parameter; the nearest name is offered.

    Examples
    --------
    >>> get_segmenter("classical", border="discard").border
    'discard'
    """
    cls = _REGISTERED.get(name)
    if cls is None:
        for point in entry_points(group=ENTRY_POINTS):
            if point.name == name:
                cls = register_segmenter(name)(point.load())
                break
        else:
            raise UnknownNameError("segmenter", name, available_segmenters())
    fields: Mapping[str, object] = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    for key in params:
        if key not in fields:
            raise UnknownNameError(f"parameter of segmenter {name!r}", key, fields)
    return cls(**params)
