"""What level of the field a table is: single cells, wells, normalized, selected, treatments."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from phenoprint.errors import UnknownNameError
from phenoprint.exchange.cleaning.names import renames
from phenoprint.exchange.sources.compressed import without_compression

__all__ = ["LEVELS", "GalleryName", "check_level", "family", "level_of_columns", "parse_gallery_name", "table_of"]

# Every level by its suffix in the Cell Painting Gallery; level 2 has none, it is not a file of profiles there.
LEVELS: Final[dict[str, str]] = {
    "3": "",
    "3_augmented": "_augmented",
    "4a": "_normalized",
    "4a_negcon": "_normalized_negcon",
    "4b": "_normalized_feature_select",
    "4b_negcon": "_normalized_feature_select_negcon",
    "5": "_consensus",
}
_TABLES: Final = {
    "2": "cell",
    "3": "profile_well",
    "4a": "profile_normalized",
    "4b": "profile_selected",
    "5": "profile_consensus",
}
_SUFFIX: Final = re.compile(
    r"(?P<stem>.*?)"
    r"(?:(?P<augmented>_augmented)"
    r"|(?P<consensus>_consensus(?:_\w+)?)"
    r"|_normalized(?P<selected>_feature_select(?:ed)?|_variable_selected)?(?P<controls>_negcon|_dmso)?"
    r"(?P<selected_after>_feature_select(?:ed)?)?(?:_(?P<scope>plate|batch|all))?)"
    r"(?:\.csv|\.tsv|\.parquet|\.pq|\.gct|\.h5ad|\.txt)",
    re.IGNORECASE,
)
_ENDING: Final = re.compile(r"(?:\.csv|\.tsv|\.parquet|\.pq|\.gct|\.h5ad|\.txt)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class GalleryName:
    """What a file's name says: what it is of (a plate, as a rule), its level (None if unsaid), scope of selection."""

    stem: str
    level: str | None
    scope: str | None = None


def parse_gallery_name(name: str) -> GalleryName:
    """Read the level off a file name of the Cell Painting Gallery or of JUMP's assembled profiles.

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
    match = _SUFFIX.fullmatch(plain)
    if match is None:
        words = bare.lower().split("_")
        if words[0] == "profiles" and len(words) > 1:  # JUMP names the steps
            return GalleryName(bare, "4b" if "featselect" in words else "4a")
        return GalleryName(bare, None)
    stem = match["stem"]
    if match["augmented"]:
        return GalleryName(stem, "3_augmented")
    if match["consensus"]:
        return GalleryName(stem, "5")
    level = "4b" if match["selected"] or match["selected_after"] else "4a"
    return GalleryName(stem, f"{level}_negcon" if match["controls"] else level, match["scope"])


def level_of_columns(columns: Iterable[str], *, known: Iterable[str] = (), not_objects: Collection[str] = ()) -> str:
    """Guess the level from column names: ``"2"`` with object numbers, ``"3"`` with wells, ``"5"`` without.

    Parameters
    ----------
    columns
        Of the table.
    known
        Metadata that the user says himself, whatever the table holds.
    not_objects
        Columns that are called as an object's number is, but are none.

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
    """Level without what it was normalized to: ``"4a_negcon"`` is of family ``"4a"``."""
    return level.split("_", maxsplit=1)[0]


def table_of(level: str) -> str:
    """Table of a screen that holds a level.

    Examples
    --------
    >>> table_of("4a_negcon")
    'profile_normalized'
    """
    return _TABLES[family(check_level(level))]


def check_level(level: str) -> str:
    """Return a level that exists.

    Raises
    ------
    UnknownNameError
        If there is no such level.
    """
    if level != "2" and level not in LEVELS:
        raise UnknownNameError("profile level", level, ["2", *LEVELS])
    return level
