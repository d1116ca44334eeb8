"""Normalizers by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.profiles.normalizers import MadRobust, Normalizer, Robust, Standardize
from phenoprint.profiles.ranks import Percentile, Rank
from phenoprint.profiles.sphering import Sphering, Tvn

__all__ = ["NORMALIZERS", "normalizer"]

NORMALIZERS: Mapping[str, type[Normalizer]] = MappingProxyType(
    {kind.name: kind for kind in (MadRobust, Percentile, Rank, Robust, Sphering, Standardize, Tvn)}
    | {"inverse_normal": Rank}
)
"""Normalizers that `normalize` knows by name."""


def normalizer(method: str | Normalizer, **parameters: object) -> Normalizer:
    """Make a normalizer from its name and parameters, or pass one through.

    Parameters
    ----------
    method
        A name in `NORMALIZERS`, or a Normalizer (then without parameters).
    **parameters
        Fields of the normalizer.

    Raises
    ------
    UnknownNameError
        For an unknown name or parameter.
    """
    if isinstance(method, Normalizer):
        if parameters:
            raise UsageError("parameters go into the Normalizer itself; found both a Normalizer and parameters")
        return method
    if method not in NORMALIZERS:
        raise UnknownNameError("normalization method", method, NORMALIZERS)
    kind = NORMALIZERS[method]
    fields = [field.name for field in dataclasses.fields(kind) if field.init]
    for name in parameters:
        if name not in fields:
            raise UnknownNameError(f"parameter of {method!r}", name, fields)
    return kind(**parameters)
