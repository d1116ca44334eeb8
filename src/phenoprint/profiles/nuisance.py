"""Numeric columns that are not phenotypes: measurements of images, positions of cells, numbers of objects.

Such columns stay in the tables of cells and wells, where they can be queried. They are not features of a profile: the
position and the number of an object do not depend on the treatment, and all cells of an image share the value of an
image, so that replicates on a plate agree whatever their treatment. pycytominer leaves ``Image_`` columns out unless
the user includes them (``infer_cp_features(image_features=True)``); the JUMP profiles have none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from phenoprint.errors import UsageError

__all__ = ["NUISANCE", "NuisanceRule", "nuisance_features"]


@dataclass(frozen=True)
class NuisanceRule:
    """One kind of column that is not a phenotype.

    Parameters
    ----------
    pattern
        Matches the whole name of such a column.
    reason
        Reason in ``feature_status``.
    """

    pattern: re.Pattern[str]
    reason: str


NUISANCE: tuple[NuisanceRule, ...] = (
    NuisanceRule(
        re.compile(r"(?:Image|ImageQuality|ExecutionTime|ModuleError|Threshold|Count)_.+|Execution[ _]time.*"),
        "measured on whole images, not on cells",
    ),
    NuisanceRule(
        re.compile(r"(?:\w+_)?Location_(?:Center|CenterMassIntensity|MaxIntensity)_.+"),
        "position in the image",
    ),
    NuisanceRule(
        re.compile(r"(?:\w+_)?AreaShape_(?:Center|BoundingBoxMinimum|BoundingBoxMaximum)_[XYZ]"),
        "position in the image",
    ),
    NuisanceRule(
        re.compile(
            r"(?:[\w ]+[_ ])?(?:(?:centroid|bbox)(?:_weighted)?(?:_local)?[_-][0-5]"
            r"|(?:centroid|center|position|cg)[_ ]?[xyz])(?:[_ ].*)?",
            re.IGNORECASE,
        ),
        "position in the image",
    ),
    NuisanceRule(
        re.compile(r"(?:\w+_)?(?:Number_Object_Number|Parent_[A-Z]\w*|(?:Object|Image|Table)_?Number(?:_[A-Za-z]+)?)"),
        "identifier of an object or image",
    ),
    NuisanceRule(
        re.compile(r"(?:\w+_)?Neighbors_(?:First|Second)ClosestObjectNumber(?:_\w+)?|TrackObjects_(?:Label|Parent)\w*"),
        "identifier of an object or image",
    ),
)
"""The rules, in the order in which they are tried. ``BoundingBoxArea`` is a size and ``Children_..._Count`` a count of
parts of a cell, such as nuclei or spots: both are phenotypes."""


def nuisance_features(names: Iterable[str], keep: Sequence[str] = ()) -> dict[str, str]:
    """Find the columns that are not phenotypes.

    Parameters
    ----------
    names
        Names of columns.
    keep
        Names, or patterns such as ``"Image_Granularity_*"``, of columns to keep as features.

    Returns
    -------
    dict
        Name to reason, in the order of `names`.

    Raises
    ------
    UsageError
        If an entry of `keep` matches none of the names.

    Examples
    --------
    >>> names = ["Cells_AreaShape_Area", "Cells_AreaShape_Center_X", "Image_Threshold_DNA"]
    >>> list(nuisance_features(names))
    ['Cells_AreaShape_Center_X', 'Image_Threshold_DNA']
    >>> nuisance_features(names, keep=["Image_*"])
    {'Cells_AreaShape_Center_X': 'position in the image'}
    """
    given = list(names)
    if isinstance(keep, str):
        raise UsageError(f"features to keep must be a list of names or patterns; found the text {keep!r}")
    for entry in keep:
        if given and not any(fnmatchcase(name, entry) for name in given):
            raise UsageError(
                f"features to keep: {entry!r} matches none of the {len(given)} features, such as {given[0]}"
            )
    found = {}
    for name in given:
        reason = next((rule.reason for rule in NUISANCE if rule.pattern.fullmatch(name)), None)
        if reason is not None and not any(fnmatchcase(name, entry) for entry in keep):
            found[name] = reason
    return found
