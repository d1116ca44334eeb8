"""Bringing a table of another tool to the names and types of a screen."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import polars as pl

from phenoprint.errors import SchemaError, UnknownNameError
from phenoprint.exchange.cleaning.names import KEYS, feature_name, is_metadata, renames, unknown_features
from phenoprint.exchange.findings import Findings
from phenoprint.plates import normalize_wells

__all__ = ["NUMBERS", "Piece", "Reading", "clean", "clean_profiles", "metadata_names"]

# Metadata that is a number by its meaning; everything else under Metadata_ is text.
NUMBERS: Mapping[str, pl.DataType] = {
    "Metadata_ObjectNumber": pl.Int32(),
    "Metadata_Object_Count": pl.Int64(),
    "Metadata_Site_Count": pl.Int64(),
    "Metadata_Row": pl.Int32(),
    "Metadata_Col": pl.Int32(),
    "Metadata_Concentration": pl.Float64(),
}
# Numbers by nature that other tools pass through floats: "3.0" is site 3.
_WHOLE = ("Metadata_Site", "Metadata_ImageNumber", "Metadata_TableNumber", *NUMBERS)
_NO_VALUES = (pl.Object, pl.Binary, pl.Duration)
_BEYOND_INTEGERS = 2.0**63
_TEXT_MISSING = ("", "nan", "NaN", "NAN", "null", "NULL", "None", "<NA>")


@dataclass(frozen=True, slots=True)
class Reading:
    """How a user wants the columns of a source to be taken.

    Parameters
    ----------
    columns
        For a metadata column, the source's column that holds it, or several that are joined by ``_``.
    fixed
        Values of metadata columns for rows that have none.
    extract
        For a metadata column, a regular expression whose named groups are metadata of their own.
    not_objects
        Columns that are called as an object's number is, but hold something else.
    """

    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    fixed: Mapping[str, str] = field(default_factory=dict)
    extract: Mapping[str, str] = field(default_factory=dict)
    not_objects: frozenset[str] = frozenset()

    @property
    def known(self) -> frozenset[str]:
        """Metadata that the user says himself."""
        groups = {group for pattern in self.extract.values() for group in re.findall(r"\(\?P?<(\w+)>", pattern)}
        return frozenset({*self.columns, *self.fixed, *(f"Metadata_{g.removeprefix('Metadata_')}" for g in groups)})


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of an import.

    Parameters
    ----------
    frame
        Rows, cleaned; None where there is only something to count.
    losses
        What was lost on the way, one row per image and kind of object (`import_losses`); None where nothing can be.
    images
        What was measured on images, one row per image; None where there are none.
    """

    frame: pl.DataFrame | None
    losses: pl.DataFrame | None = None
    images: pl.DataFrame | None = None


def clean_profiles(frame: pl.DataFrame, *, source: str = "the frame") -> pl.DataFrame:
    """Give a frame the names and types of a screen's profiles; see `read_profiles`.

    Parameters
    ----------
    frame
        Any table of profiles or cells.
    source
        What to call it in errors.

    Raises
    ------
    SchemaError
        If a column would take the name of another one.

    Examples
    --------
    >>> raw = pl.DataFrame({"Image_Metadata_Well": ["a1"], "Metadata_Plate": [17], "Cells_A": [float("nan")]})
    >>> clean_profiles(raw).row(0, named=True)
    {'Metadata_Well': 'A01', 'Metadata_Plate': '17', 'Cells_A': None}
    """
    return clean(frame, source=source, findings=Findings())


def clean(
    frame: pl.DataFrame,
    *,
    source: str,
    findings: Findings,
    reading: Reading | None = None,
    group: str | None = None,
    among: str = "",
) -> pl.DataFrame:
    """Give a frame the names and types of a screen's profiles and note what was changed.

    Parameters
    ----------
    frame
        Any table of profiles or cells, or a piece of one.
    source
        What to call it in errors.
    findings
        Takes the notes.
    reading
        What the user says of its columns.
    group
        Under what name its columns are compared with those of other sources; the source's by default.
    among
        With which sources they are compared: those given the same text.

    Returns
    -------
    polars.DataFrame
        Metadata as text (counts, row, column, object number and concentration as numbers where they are), then
        features as Float32; NULL where missing, wells as ``A01``.

    Raises
    ------
    SchemaError
        If a column would take the name of another one.
    UnknownNameError
        If the user names a column that is not there.
    """
    reading = reading or Reading()
    frame = _taken(frame, reading, source)
    # A schema of thousands of columns is slow to build, so types are asked for once.
    types = dict(zip(frame.columns, frame.dtypes, strict=True))
    nested = [name for name, dtype in types.items() if dtype.is_nested() or dtype in _NO_VALUES]
    for name in nested:
        detail = f"{types[name]}, neither number nor text: not imported"
        findings.note("nested_column", name, frame.height, source=source, detail=detail)
    frame = _named(frame.drop(nested) if nested else frame, source, findings, reading.not_objects)
    result = _fixed(_extracted(_typed(frame), reading, source, findings), reading)
    result = _wells(result, source, findings)
    _look_at_values(result, source, findings)
    findings.saw(group or source, result.columns, among=among)
    return result


def metadata_names(frame: pl.DataFrame) -> list[str]:
    """Columns that describe, in order."""
    return [name for name in frame.columns if name.startswith("Metadata_")]


def _taken(frame: pl.DataFrame, reading: Reading, source: str) -> pl.DataFrame:
    """Make the columns that the user says are made of others."""
    made = []
    for target, names in reading.columns.items():
        for name in names:
            if name not in frame.columns:
                raise UnknownNameError(f"column of {source}", name, frame.columns)
        made.append(pl.concat_str([_plain_text(frame[name]) for name in names], separator="_").alias(target))
    single = [names[0] for target, names in reading.columns.items() if len(names) == 1 and names[0] != target]
    return frame.with_columns(made).drop(single) if made else frame


def _plain_text(column: pl.Series) -> pl.Series:
    """Write identifiers as text, whole floats without a fraction."""
    if not column.dtype.is_float():
        return column.cast(pl.String)
    odd = column.abs() >= _BEYOND_INTEGERS  # infinite values included; written as they are
    if not bool((column.is_null() | column.is_nan() | odd | (column == column.round())).all()):
        return column.cast(pl.String)
    whole = column.set(odd | column.is_nan(), None).cast(pl.Int64).cast(pl.String)
    return whole.fill_null(column.set(~odd, None).cast(pl.String)) if odd.any() else whole


@lru_cache(maxsize=64)
def _plan(names: tuple[str, ...], text: frozenset[str], not_objects: frozenset[str]) -> Mapping[str, str]:
    """Say how the columns are renamed, features included; the same for every piece of a table."""
    plan = renames(names, text=text, not_objects=not_objects)
    plan |= {
        name: feature_name(name)
        for name in names
        if name not in plan and not is_metadata(name) and feature_name(name) != name
    }
    return plan


def _named(
    frame: pl.DataFrame, source: str, findings: Findings, not_objects: frozenset[str] = frozenset()
) -> pl.DataFrame:
    """Rename columns; two that would share a name must say the same."""
    text = frozenset(name for name, dtype in frame.schema.items() if _is_text(dtype))
    plan = _plan(tuple(frame.columns), text, not_objects)
    targets: dict[str, str] = {}
    repeated = []
    held = set(frame.columns) - set(plan)
    # SQL does not distinguish upper from lower case: Metadata_plate beside Metadata_Plate would be one name.
    folded = {name.casefold(): name for name in (*held, *(new for new in plan.values() if new in KEYS))}
    plan = {old: f"{new}_source" if folded.get(new.casefold(), new) != new else new for old, new in plan.items()}
    for old, new in plan.items():
        other = new if new in held else targets.get(new)
        if other is None:
            targets[new] = old
        elif _agree(frame[old], frame[other], new):
            repeated.append(old)
        else:
            raise SchemaError(
                f"{source}: {old} and {other} would both be called {new} and differ; drop or rename one of them"
            )
    for old, new in plan.items():
        if not old.startswith("Image_Metadata_"):
            kind = "renamed_column" if new.startswith("Metadata_") else "renamed_feature"
            findings.note(kind, new, frame.height, source=source, detail=f"{old} in the source")
            (findings.originals if kind == "renamed_column" else findings.aliases)[new] = old
    kept = frame.drop(repeated) if repeated else frame  # with thousands of columns even nothing costs
    return kept.rename({old: new for old, new in plan.items() if old not in repeated})


def _agree(one: pl.Series, other: pl.Series, name: str) -> bool:
    """Whether two columns say the same, wells in whatever spelling."""
    a, b = _plain_text(one), _plain_text(other)
    if name == "Metadata_Well":
        a, b = normalize_wells(a, strict=False).fill_null(a), normalize_wells(b, strict=False).fill_null(b)
    return a.equals(b, check_names=False)


def _typed(frame: pl.DataFrame) -> pl.DataFrame:
    """Metadata as text or as the numbers they are, everything else Float32 with NULL for NaN; metadata first."""
    described = [_described(column) for column in frame if column.name.startswith("Metadata_")]
    # Thousands of columns: as one array, or by hand, each costs a fraction of an expression.
    columns = [column for column in frame if not column.name.startswith("Metadata_")]
    columns = [column if column.dtype == pl.Float32 else column.cast(pl.Float32) for column in columns]
    if columns and frame.height:
        has_nan = np.isnan(pl.DataFrame(columns).to_numpy()).any(axis=0)
        columns = [column.fill_nan(None) if nan else column for column, nan in zip(columns, has_nan, strict=True)]
    return pl.DataFrame([*described, *columns])


def _described(column: pl.Series) -> pl.Series:
    """Give a metadata column the type its name asks for."""
    text = _plain_text(column)
    text = text.set(text.is_in(_TEXT_MISSING).fill_null(value=False), None)
    if column.name in _WHOLE and bool(text.drop_nulls().str.contains(r"^-?\d+\.0+$").all()):
        text = text.str.replace(r"\.0+$", "")
    wanted = NUMBERS.get(column.name) or (pl.Int64() if column.name.startswith("Metadata_Count_") else None)
    if wanted is None:
        return text
    number = text.cast(wanted, strict=False)
    return number if number.null_count() == text.null_count() else text


def _extracted(frame: pl.DataFrame, reading: Reading, source: str, findings: Findings) -> pl.DataFrame:
    """Read metadata out of other metadata, such as the batch out of the name of a plate."""
    for name, pattern in reading.extract.items():
        if name not in frame.columns:
            raise UnknownNameError(f"metadata column of {source}", name, metadata_names(frame))
        groups = frame.select(pl.col(name).cast(pl.String).str.extract_groups(pattern)).to_series().struct.unnest()
        is_missed = groups.select(pl.all_horizontal(pl.all().is_null())).to_series()
        missed = frame[name].filter(is_missed).drop_nulls()
        if missed.len():
            detail = f"such as {missed[0]!r}, which {pattern} does not fit"
            findings.note("not_extracted", name, missed.len(), source=source, detail=detail)
        for group in groups:
            column = _described(group.alias(group.name if is_metadata(group.name) else f"Metadata_{group.name}"))
            held = [pl.col(column.name).cast(column.dtype)] if column.name in frame.columns else []
            frame = frame.with_columns(pl.coalesce(pl.lit(column), *held).alias(column.name))
    if not reading.extract:
        return frame
    described = metadata_names(frame)
    return frame.select(*described, pl.exclude(described))


def _fixed(frame: pl.DataFrame, reading: Reading) -> pl.DataFrame:
    """Fill in what the user fixes where the source says nothing."""
    filled = []
    for name, value in reading.fixed.items():
        one = _described(pl.Series(name, [value]))
        held = frame[name] if name in frame.columns else None
        dtype = one.dtype if held is None else held.dtype
        filled.append(
            (pl.lit(None) if held is None else pl.col(name)).fill_null(pl.lit(one[0])).cast(dtype).alias(name)
        )
    if not filled:
        return frame
    frame = frame.with_columns(filled)
    described = metadata_names(frame)
    return frame.select(*described, pl.exclude(described))


def _wells(frame: pl.DataFrame, source: str, findings: Findings) -> pl.DataFrame:
    """Spell wells as ``A01``; what is no well stays as it is, with a note."""
    if "Metadata_Well" not in frame.columns:
        return frame
    given = frame["Metadata_Well"]
    spelled = normalize_wells(given, strict=False)
    strange = given.filter(spelled.is_null() & given.is_not_null())
    changed = given.filter((spelled != given).fill_null(value=False))
    if changed.len():
        example = f"such as {changed[0]!r}, now {spelled.filter((spelled != given).fill_null(value=False))[0]}"
        findings.note("well_renamed", "Metadata_Well", changed.len(), source=source, detail=example)
    if strange.len():
        detail = f"such as {strange[0]!r}, which is no well of a plate"
        findings.note("not_a_well", "Metadata_Well", strange.len(), source=source, detail=detail)
    return frame.with_columns(pl.coalesce(spelled, given).alias("Metadata_Well"))


def _look_at_values(frame: pl.DataFrame, source: str, findings: Findings) -> None:
    """Note infinite values and features whose names say nothing."""
    features = [name for name in frame.columns if not name.startswith("Metadata_")]
    if not features:
        return
    counts = np.isinf(frame[features].to_numpy()).sum(axis=0) if frame.height else np.zeros(len(features))
    for place in np.flatnonzero(counts):
        detail = f"infinite, or beyond 32-bit floats, first in {source}; kept as it is"
        findings.note("infinite", features[place], int(counts[place]), source=source, detail=detail)
    for name in unknown_features(features):
        detail = "no compartment in its name; kept as a feature"
        findings.note("unknown_column", name, frame.height, source=source, detail=detail)


def _is_text(dtype: pl.DataType) -> bool:
    return not (dtype.is_numeric() or dtype in (pl.Null, pl.Boolean))
