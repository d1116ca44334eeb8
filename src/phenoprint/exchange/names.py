"""Names of columns: which columns describe, what other tools call a key, and how a feature is written.

A column describes or measures. It describes if its name has the prefix ``Metadata_`` or is a common word for a plate, a
well, a field of view or an object. Columns that describe are text, so that no barcode loses its zeros.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

import polars as pl

from phenoprint.tables import metadata_columns

__all__ = [
    "MISSING",
    "ROW_COMPARTMENTS",
    "feature_name",
    "is_descriptive",
    "is_link",
    "is_metadata",
    "measured_columns",
    "metadata_first",
    "prefixed",
    "renames",
    "unknown_features",
    "word",
]

# The first of them that a run has gives the rows: one row per cell, else per nucleus.
ROW_COMPARTMENTS: Final = ("Cells", "Nuclei", "Cytoplasm")
# How missing numbers are written.
MISSING: Final = ("", "nan", "NaN", "NAN", "-nan", "NA", "N/A", "null", "NULL", "None", "#N/A", "-1.#IND", "1.#QNAN")

# Names in use for a key, the most certain first; lower case, words joined by "_".
_ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "Metadata_Plate": ("plate", "plate_id", "plateid", "plate_name", "plate_barcode", "assay_plate_barcode", "barcode"),
    "Metadata_Well": ("well", "well_label", "well_position", "well_id", "wellid", "well_name"),
    "Metadata_Site": ("site", "fov", "field", "field_id", "fieldid", "field_of_view", "site_id"),
    "Metadata_ObjectNumber": (
        "objectnumber",
        "object_number",
        "object_id",
        "objectid",
        "cells_number_object_number",
        "objectnumber_cells",
        "cell_id",
        "cellid",
        "nuclei_number_object_number",
    ),
    "Metadata_ImageNumber": ("imagenumber", "image_number"),
    "Metadata_TableNumber": ("tablenumber",),
    "Metadata_Batch": ("batch", "batch_id"),
}
# Words that describe whatever their values are, though they are no key.
_DESCRIPTIVE: Final = frozenset(
    name
    for names in (
        "row column col replicate rep z t timepoint time_point id label class_name class_color ancestry_path",
        "slice_algorithm slice_indicator acquisition_time_stamp cell_code",
        "compound concentration dose moa pert_type control_type broad_sample target treatment",
    )
    for name in names.split()
)
_WORDS: Final = frozenset(name for names in _ALIASES.values() for name in names) | _DESCRIPTIVE
_OF_CELLS: Final = frozenset(("imagenumber", "image_number", *_ALIASES["Metadata_ObjectNumber"]))
_LINK: Final = re.compile(r"[A-Z][A-Za-z0-9]*_(?:Parent_\w+|Number_Object_Number)")
_PREFIX: Final = re.compile(r"(?:Image_)?Metadata_")
# A merge of two tables appends this to a column that both have.
_MERGED: Final = re.compile(r"(?P<name>.+)_[xy]")


def is_metadata(name: str) -> bool:
    """Whether a column describes according to its prefix."""
    return name.startswith(("Metadata_", "Image_Metadata_"))


def prefixed(name: object) -> str:
    """Give a name the prefix ``Metadata_`` if it lacks it."""
    text = str(name)
    return text if text.startswith("Metadata_") else f"Metadata_{text}"


def measured_columns(frame: pl.DataFrame) -> list[str]:
    """List the columns without the prefix ``Metadata_``, whatever their type."""
    return [name for name in frame.columns if not name.startswith("Metadata_")]


def metadata_first(frame: pl.DataFrame) -> pl.DataFrame:
    """Put the ``Metadata_`` columns before the others; the order within each is kept."""
    return frame[metadata_columns(frame) + measured_columns(frame)]  # faster than expressions of thousands of columns


def word(name: str) -> str:
    """Reduce a column name to lower-case words without its prefix.

    Examples
    --------
    >>> word("Image_Metadata_Plate"), word("WELL LABEL"), word("ImageNumber")
    ('plate', 'well_label', 'imagenumber')
    """
    return re.sub(r"\W+", "_", _PREFIX.sub("", name.strip(), count=1)).strip("_").lower()


def is_descriptive(name: str) -> bool:
    """Whether a column describes, by its prefix or by its word.

    Examples
    --------
    >>> [is_descriptive(n) for n in ("Metadata_x", "OBJECT ID", "ImageNumber", "Cells_AreaShape_Area")]
    [True, True, True, False]
    """
    return is_metadata(name) or _is_word(name)


def is_link(name: str) -> bool:
    """Whether a column numbers objects or points at them.

    In a table of cells such a column describes, though it is a number. Profiles hold its mean, which is a feature.
    """
    return bool(_LINK.fullmatch(name))


@lru_cache(maxsize=65_536)
def _is_word(name: str) -> bool:
    return word(name) in _WORDS and not is_link(name)


def renames(names: Iterable[str], *, text: Iterable[str] = (), not_objects: Collection[str] = ()) -> dict[str, str]:
    """Map the columns that need another name to that name.

    Parameters
    ----------
    names
        Columns as found.
    text
        Columns that hold text.
    not_objects
        Columns named like the number of an object that hold something else; they describe.

    Returns
    -------
    dict
        Old to new name. Each key is given to one column only; ``Image_Metadata_X`` becomes ``Metadata_X``; columns
        that describe get the prefix. Two columns may map to one name: their values must then agree.

    Examples
    --------
    >>> renames(["Image_Metadata_Well", "plate", "FOV", "Cells_A"])
    {'Image_Metadata_Well': 'Metadata_Well', 'plate': 'Metadata_Plate', 'FOV': 'Metadata_Site'}
    """
    return dict(_renames(tuple(names), frozenset(text), frozenset(not_objects)))


@lru_cache(maxsize=64)
def _renames(found: tuple[str, ...], texts: frozenset[str], not_objects: frozenset[str]) -> Mapping[str, str]:
    """Do the work of `renames` once for all tables with the same columns."""
    result = {name: name.removeprefix("Image_") for name in found if name.startswith("Image_Metadata_")}
    held = {*found, *result.values()}
    # Where images are numbered, rows are cells, and a column of object numbers holds no mean.
    of_images = any(word(name) in ("imagenumber", "image_number") for name in found if is_descriptive(name))
    for key, aliases in _ALIASES.items():
        if key in held:
            continue
        candidates = {
            word(name): name
            for name in reversed(found)
            if (is_descriptive(name) or (of_images and is_link(name)))
            and not (name in not_objects and key == "Metadata_ObjectNumber")
        }
        chosen = next((candidates[alias] for alias in aliases if alias in candidates), None)
        if chosen is not None:
            result[chosen] = key
            continue
        merged = [n for n in found if (m := _MERGED.fullmatch(result.get(n, n))) and m["name"] == key]
        result.update(dict.fromkeys(merged[:1], key))
    is_of_cells = any(word(name) in _OF_CELLS for name in found if is_descriptive(name) and name not in not_objects)
    for name in found:
        if name in result or is_metadata(name):
            continue
        if name in texts or is_descriptive(name) or (is_of_cells and is_link(name)):
            result[name] = f"Metadata_{'_'.join(name.split()) or 'unnamed'}"
    return {old: new for old, new in result.items() if old != new}


def feature_name(name: str) -> str:
    """Join the words of a feature's name by ``_``, so that SQL needs no quotes.

    Examples
    --------
    >>> feature_name("Primary Target Intensity-Bckg wv1"), feature_name("Cells_AreaShape_Area")
    ('Primary_Target_Intensity_Bckg_wv1', 'Cells_AreaShape_Area')
    """
    return re.sub(r"[^\w.]+", "_", name.strip()).strip("_") if " " in name else name


def unknown_features(names: Sequence[str]) -> list[str]:
    """List the features whose names do not begin with a compartment."""
    known = tuple(f"{c}_" for c in (*ROW_COMPARTMENTS, "Image"))
    return [name for name in names if not name.startswith(known)]
