"""Levels of profiles (single cells, wells, normalized, selected, consensus) and the file names that go with them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.exchange.compressed import without_compression
from phenoprint.exchange.names import renames

__all__ = [
    "LEVELS",
    "TABLES",
    "GalleryName",
    "SelectionScope",
    "check_level",
    "family",
    "gallery_name",
    "level_of_columns",
    "parse_gallery_name",
    "table_of",
]

SelectionScope = Literal["plate", "batch", "all"]
# Suffixes of the Cell Painting Gallery; level 2 is no file of profiles there.
LEVELS: Final[dict[str, str]] = {
    "3": "",
    "3_augmented": "_augmented",
    "4a": "_normalized",
    "4a_negcon": "_normalized_negcon",
    "4b": "_normalized_feature_select",
    "4b_negcon": "_normalized_feature_select_negcon",
    "5": "_consensus",
}
TABLES: Final = {
    "2": "cell",
    "3": "profile_well",
    "4a": "profile_normalized",
    "4b": "profile_selected",
    "5": "profile_consensus",
}
_ENDING: Final = re.compile(r"(?:\.csv|\.tsv|\.parquet|\.pq|\.gct|\.h5ad|\.txt)$", re.IGNORECASE)
_NAME: Final = re.compile(
    r"(?P<stem>.*?)"
    r"(?:(?P<augmented>_augmented)"
    r"|(?P<consensus>_consensus(?:_\w+)?)"
    r"|_normalized(?P<selected>_feature_select(?:ed)?|_variable_selected)?(?P<controls>_negcon|_dmso)?"
    r"(?P<selected_after>_feature_select(?:ed)?)?(?:_(?P<scope>plate|batch|all))?)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class GalleryName:
    """Parts of a file's name: the stem (a plate, as a rule), the level (None if absent), the scope of selection."""

    stem: str
    level: str | None
    scope: str | None = None


def parse_gallery_name(name: str) -> GalleryName:
    """Read the level from a file name of the Cell Painting Gallery or of JUMP's assembled profiles.

    Examples
    --------
    >>> parse_gallery_name("BR00117010_normalized_feature_select_negcon_batch.csv.gz")
    GalleryName(stem='BR00117010', level='4b_negcon', scope='batch')
    >>> parse_gallery_name("profiles_var_mad_int_featselect_harmony.parquet").level
    '4b'
    >>> parse_gallery_name("BR00117010.csv.gz").level is None
    True
    """
    plain = without_compression(name)
    bare = _ENDING.sub("", plain)
    match = _NAME.fullmatch(bare) if bare != plain else None
    if match is None:
        words = bare.lower().split("_")
        if words[0] == "profiles" and len(words) > 1:  # JUMP's names list the steps
            return GalleryName(bare, "4b" if "featselect" in words else "4a")
        return GalleryName(bare, None)
    stem = match["stem"]
    if match["augmented"]:
        return GalleryName(stem, "3_augmented")
    if match["consensus"]:
        return GalleryName(stem, "5")
    level = "4b" if match["selected"] or match["selected_after"] else "4a"
    return GalleryName(stem, f"{level}_negcon" if match["controls"] else level, match["scope"])


def gallery_name(plate: str, level: str, *, scope: SelectionScope | None = None, extension: str = ".csv.gz") -> str:
    """Name a file of profiles as the Cell Painting Gallery does.

    Parameters
    ----------
    plate
        Plate barcode (or batch name, for level 5).
    level
        ``"3"`` well aggregate, ``"3_augmented"`` with annotation, ``"4a"`` normalized to the whole plate,
        ``"4a_negcon"`` to the negative controls, ``"4b"`` and ``"4b_negcon"`` the same with features selected,
        ``"5"`` consensus.
    scope
        The profiles that features were selected over; for levels 4b only.
    extension
        With the dot.

    Raises
    ------
    UnknownNameError
        If there is no such level or scope.
    UsageError
        If another level than 4b has a scope.

    Examples
    --------
    >>> gallery_name("BR00117010", "4b_negcon", scope="batch")
    'BR00117010_normalized_feature_select_negcon_batch.csv.gz'
    """
    if level not in LEVELS:
        raise UnknownNameError("profile level", level, LEVELS)
    if scope not in (None, "plate", "batch", "all"):
        raise UnknownNameError("scope of feature selection", scope, ("plate", "batch", "all"))
    if scope is not None and not level.startswith("4b"):
        raise UsageError(f"a scope belongs to levels 4b and 4b_negcon; level {level} has none")
    return f"{plate}{LEVELS[level]}{f'_{scope}' if scope else ''}{extension}"


def level_of_columns(columns: Iterable[str], *, known: Iterable[str] = (), not_objects: Collection[str] = ()) -> str:
    """Guess the level from column names: ``"2"`` with object numbers, ``"3"`` with wells, ``"5"`` without.

    `known` are metadata that the user gives; `not_objects` are as in `renames`.

    Examples
    --------
    >>> level_of_columns(["Metadata_Plate", "Metadata_Well", "ObjectNumber"]), level_of_columns(["Metadata_JCP2022"])
    ('2', '5')
    """
    names = list(columns)
    changed = renames(names, not_objects=not_objects)
    called = {*known, *(changed.get(name, name) for name in names)}
    if "Metadata_ObjectNumber" in called:
        return "2"
    return "3" if "Metadata_Well" in called else "5"


def family(level: str) -> str:
    """Return a level without its variant: ``"4a_negcon"`` is of family ``"4a"``."""
    return level.split("_", maxsplit=1)[0]


def table_of(level: str) -> str:
    """Return the table of a screen that holds a level.

    Examples
    --------
    >>> table_of("4a_negcon")
    'profile_normalized'
    """
    return TABLES[family(check_level(level))]


def check_level(level: str) -> str:
    """Return a level that exists, else raise UnknownNameError."""
    if level != "2" and level not in LEVELS:
        raise UnknownNameError("profile level", level, ["2", *LEVELS])
    return level
