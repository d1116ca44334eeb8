"""Evidence for the level of a table: its name, its columns and its values.

A table that is imported as raw profiles is normalized by the next run. If it was normalized before, or holds principal
components, the result is wrong. Therefore the name, the columns and the first values are compared, and the user has to
decide where they disagree.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import polars as pl

from phenoprint.errors import SchemaError
from phenoprint.exchange.compressed import without_compression
from phenoprint.exchange.names import renames, word
from phenoprint.tables import OBJECT, SITE_KEY

__all__ = [
    "FEWEST_ROWS",
    "Doubt",
    "Evidence",
    "evidence_of",
    "may_be_impostor",
    "object_number_impostors",
    "refuse_doubt",
    "revealing_features",
    "weigh",
]

_PLACES: Final = (*SITE_KEY, "Metadata_ImageNumber", "Metadata_TableNumber")
_WHOLE: Final = r"^-?\d+(?:\.0+)?$"
# Words that always mean the number of an object; others also name cell lines and donors.
_CERTAIN: Final = re.compile(r"object_?number(?:_cells)?|(?:cells|nuclei)_number_object_number")

_NORMALIZED: Final = re.compile(
    r"(?<![a-z])(?:normali[sz]ed|zscored?s?|standardi[sz]ed|robusti[sz]ed|spherized|sphered|whitened|harmony|combat)(?![a-z])"
)
_RAW: Final = re.compile(r"(?:un|non|not)[_ -]?normali[sz]ed")
_SELECTED: Final = re.compile(r"(?<![a-z])(?:feature_?select(?:ed)?|featselect|variable_selected)(?![a-z])")
_CONTROLS: Final = re.compile(r"(?<![a-z])(?:negcon|dmso)(?![a-z])")
_COMPONENT_FILE: Final = re.compile(r"(?<![a-z])(?:pcs?|pca)\d*(?![a-z])")
_COMPONENT: Final = re.compile(r"(?:x[_ .-]?)?(?:pca?|principal[_ ]?component)[_ .-]?\d+|x[_ .-]?\d+", re.IGNORECASE)
# Measures that have no negative values.
_NONNEGATIVE: Final = re.compile(
    r"(?:Cells|Nuclei|Cytoplasm)_(?:"
    r"AreaShape_(?:Area|ConvexArea|BoundingBoxArea|Perimeter|MajorAxisLength|MinorAxisLength|EquivalentDiameter|Solidity"
    r"|Extent|Eccentricity|FormFactor|Compactness|MeanRadius|MedianRadius|MaximumRadius|MaxFeretDiameter|MinFeretDiameter)"
    r"|Neighbors_(?:NumberOfNeighbors|PercentTouching|FirstClosestDistance|SecondClosestDistance)_\w+"
    r"|Intensity_(?:Integrated|Max|Mean|Median|Std)Intensity(?:Edge)?_\w+"
    r"|RadialDistribution_(?:FracAtD|MeanFrac|RadialCV)_\w+"
    r"|Children_\w+_Count)"
    r"|(?:.*[_. ])?(?:area|perimeter|count)(?:[_. ].*)?",
    re.IGNORECASE,
)
# With fewer rows or features, the distribution of values is no evidence.
FEWEST_ROWS, _FEWEST_FEATURES = 16, 5


@dataclass(frozen=True, slots=True)
class Doubt:
    """Two possible levels of a table, the more likely one first, and the evidence."""

    choices: tuple[str, str]
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Evidence of normalized values or principal components in a table with the columns of raw profiles.

    Parameters
    ----------
    of_name
        Sentences on the file name, by what it indicates: ``"normalized"``, ``"components"``.
    of_columns
        A sentence on column names that are those of principal components.
    of_values
        A sentence on values that do not occur in raw tables.
    is_raw
        A sentence on values that do not occur in normalized tables.
    """

    of_name: dict[str, str]
    of_columns: str | None = None
    of_values: str | None = None
    is_raw: str | None = None


@lru_cache(maxsize=16)
def _kinds(features: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """List the features that cannot be negative, and those named like principal components."""
    nonnegative = tuple(name for name in features if _NONNEGATIVE.fullmatch(name))
    return nonnegative, tuple(name for name in features if _COMPONENT.fullmatch(name))


def evidence_of(file_name: str, frame: pl.DataFrame) -> Evidence:
    """Collect the evidence in the name, the columns and some rows of a table.

    Examples
    --------
    >>> frame = pl.DataFrame({"Metadata_Well": ["A01", "A02"], "PC1": [0.5, -8.0], "PC2": [0.1, -0.2]})
    >>> evidence_of("BR1_normalized_negcon_pc.csv.gz", frame).of_columns
    '2 of 2 features are named as principal components (PC1, ...)'
    """
    name = without_compression(file_name).lower()
    of_name = {}
    if (found := _NORMALIZED.search(name)) and not _RAW.search(name):
        of_name["normalized"] = f"its name has {found[0]!r}"
    types = zip(frame.columns, frame.dtypes, strict=True)
    features = [n for n, dtype in types if dtype.is_numeric() and not n.startswith(("Metadata_", "Image_"))]
    nonnegative, components = _kinds(tuple(features))
    if not nonnegative and (found := _COMPONENT_FILE.search(name.rpartition(".")[0])):
        of_name["components"] = f"its name has {found[0]!r}"
    of_columns = None
    if len(components) >= 2 and len(components) >= 0.9 * len(features):
        of_columns = f"{len(components)} of {len(features)} features are named as principal components "
        of_columns += f"({components[0]}, ...)"
    least = np.empty(0)
    if nonnegative and frame.height:
        least = np.fmin.reduce(frame[list(nonnegative)].to_numpy().astype(np.float64), axis=0)
    negative = {name: float(value) for name, value in zip(nonnegative, least, strict=False) if value < 0}
    of_values = is_raw = None
    if nonnegative and len(negative) > len(nonnegative) / 2:
        first = next(iter(negative))
        of_values = (
            f"{len(negative)} of {len(nonnegative)} features that cannot be negative, such as areas and counts, have "
            f"negative values ({first}: {negative[first]:.3g})"
        )
    elif len(nonnegative) >= 3 and not negative:
        is_raw = f"none of {len(nonnegative)} features such as {nonnegative[0]} has a negative value"
    if not nonnegative and (centred := _centred(frame[features])):
        of_values = f"{centred} of {len(features)} features lie around 0 with a spread of about 1"
    return Evidence(of_name, of_columns, of_values, is_raw)


def _centred(frame: pl.DataFrame) -> int:
    """Count the features that lie around 0 with a spread of about 1; 0 unless nearly all do."""
    if frame.height < FEWEST_ROWS or frame.width < _FEWEST_FEATURES:
        return 0
    values = frame.to_numpy().astype(np.float64)
    known = values[:, np.isfinite(values).all(axis=0)]
    median = np.median(known, axis=0)
    spread = 1.4826 * np.median(np.abs(known - median), axis=0)
    n = int(((np.abs(median) < 0.5 * spread) & (spread > 0.3) & (spread < 3)).sum())
    return n if n >= 0.9 * frame.width else 0


def weigh(level: str, file_name: str, evidence: Evidence) -> str | Doubt:
    """Decide the level of a table with the columns of level 3 (``"3"`` or ``"3_augmented"``), or return a doubt.

    Without evidence against it, `level` is returned. If name and values agree that the table is normalized it is
    ``"4a"`` or ``"4b"``; principal components are ``"4b"``, which keeps their spread.

    Examples
    --------
    >>> weigh("3", "BR1_normalized_negcon_pc.csv", Evidence({"normalized": "...", "components": "..."}))
    '4b_negcon'
    >>> weigh("3", "BR1.csv", Evidence({}, of_values="areas are negative")).choices
    ('4a', '3')
    """
    sentences = (*evidence.of_name.values(), evidence.of_columns, evidence.of_values, evidence.is_raw)
    evident = tuple(sentence for sentence in sentences if sentence is not None)
    name = file_name.lower()
    by_name = "normalized" in evidence.of_name
    is_component = evidence.of_columns is not None or "components" in evidence.of_name
    suffix = "_negcon" if _CONTROLS.search(name) else ""
    if is_component:
        return f"4b{suffix}" if by_name else Doubt(("4b", level), evident)
    if by_name and evidence.is_raw is None:
        return f"{'4b' if _SELECTED.search(name) else '4a'}{suffix}"
    if by_name or evidence.of_values is not None:
        return Doubt(("4a", level), evident)
    return level


_MEANINGS: Final = {
    "3": "raw, normalized by the next run",
    "4a": "normalized, not to be normalized again",
    "4b": "normalized and selected or principal components, taken as they are",
}


def refuse_doubt(source: str, doubt: Doubt) -> None:
    """Raise SchemaError with the evidence and the two choices."""
    first, second = (level.partition("_")[0] for level in doubt.choices)
    raise SchemaError(
        f"{source}: is it level {second} ({_MEANINGS[second]}) or level {first} ({_MEANINGS[first]})? Its columns are "
        f"those of wells; {'; '.join(doubt.evidence)}. Choose: --level {first} or --level {second} (level=...)"
    )


def may_be_impostor(columns: Sequence[str]) -> bool:
    """Whether a column that is named like the number of an object may hold something else."""
    chosen = next((old for old, new in renames(columns).items() if new == OBJECT), None)
    return chosen is not None and not _CERTAIN.fullmatch(word(chosen))


def object_number_impostors(frame: pl.DataFrame, known: Collection[str] = ()) -> frozenset[str]:
    """Find columns named like the number of an object, such as ``cell_id``, that hold something else.

    These are columns of text, or of numbers that repeat within an image (or plate, well and site), as the name of a
    cell line does. Unambiguous names, such as ``ObjectNumber``, are not examined, nor is anything if the object number
    is among the metadata that the user gives (`known`).

    Examples
    --------
    >>> lines = pl.DataFrame({"Metadata_Well": ["A01", "A02"], "Metadata_cell_id": ["A549", "A549"]})
    >>> sorted(object_number_impostors(lines))
    ['Metadata_cell_id']
    """
    found: set[str] = set()
    while True:
        called = renames(frame.columns, not_objects=found)
        chosen = next((old for old, new in called.items() if new == OBJECT), None)
        if chosen is None or OBJECT in known or _CERTAIN.fullmatch(word(chosen)):
            return frozenset(found)
        if _numbers_objects(frame, chosen, called):
            return frozenset(found)
        found.add(chosen)


def _numbers_objects(frame: pl.DataFrame, column: str, called: dict[str, str]) -> bool:
    """Whether a column numbers objects within images."""
    values = frame[column].cast(pl.String)
    if not bool(values.drop_nulls().str.contains(_WHOLE).all()):
        return False
    places = [name for name in frame.columns if called.get(name, name) in _PLACES]
    per_place = (
        frame.group_by(places).agg(pl.col(column).n_unique().alias("own"), pl.len())
        if places
        else frame.select(pl.col(column).n_unique().alias("own"), pl.len())
    )
    shared = per_place.filter(pl.col("len") > 1)
    if shared.is_empty():  # with one row per place, rows are objects only if places are images
        return any(called.get(name, name) in _PLACES[2:] for name in places)
    return bool(shared["own"].sum() >= shared["len"].sum() / 2)


def revealing_features(names: Sequence[str], most: int) -> list[str]:
    """Choose the features that indicate a level best: those that cannot be negative, then others, in order."""
    revealing = [name for name in names if _NONNEGATIVE.fullmatch(name) or _COMPONENT.fullmatch(name)][:most]
    others = [name for name in names if name not in set(revealing)][: max(most - len(revealing), 0)]
    chosen = {*revealing, *others}
    return [name for name in names if name in chosen]
