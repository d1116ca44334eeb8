"""Tables of other tools brought to the names and types of a screen."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Self

import numpy as np
import polars as pl

from phenoprint.errors import SchemaError, UnknownNameError, UsageError
from phenoprint.exchange.findings import Findings
from phenoprint.exchange.names import (
    feature_name,
    is_metadata,
    measured_columns,
    metadata_first,
    prefixed,
    renames,
    unknown_features,
)
from phenoprint.plates import normalize_wells
from phenoprint.tables import CELL_KEY, metadata_columns

__all__ = ["NUMBERS", "ColumnOptions", "clean", "with_site"]

# Metadata that are numbers by their meaning; all others are text.
NUMBERS: Final[Mapping[str, pl.DataType]] = {
    "Metadata_ObjectNumber": pl.Int32(),
    "Metadata_Object_Count": pl.Int64(),
    "Metadata_Site_Count": pl.Int64(),
    "Metadata_Row": pl.Int32(),
    "Metadata_Col": pl.Int32(),
    "Metadata_Concentration": pl.Float64(),
}
# Whole numbers that other tools pass through floats: "3.0" is site 3.
_WHOLE: Final = ("Metadata_Site", "Metadata_ImageNumber", "Metadata_TableNumber", *NUMBERS)
_NO_VALUES: Final = (pl.Object, pl.Binary, pl.Duration)
_BEYOND_INTEGERS: Final = 2.0**63
# Missing metadata; "NA" may be a name.
_MISSING: Final = ("", "nan", "NaN", "NAN", "null", "NULL", "None", "<NA>")


@dataclass(frozen=True, slots=True)
class ColumnOptions:
    """The user's options for the columns of a source; names have the prefix ``Metadata_``.

    Parameters
    ----------
    columns
        For a metadata column, the source's column that holds it, or several that are joined by ``_``.
    fixed
        Values of metadata columns for rows that have none.
    extract
        For a metadata column, a regular expression whose named groups become metadata.
    not_objects
        Columns named like the number of an object that hold something else.
    """

    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    fixed: Mapping[str, str] = field(default_factory=dict)
    extract: Mapping[str, str] = field(default_factory=dict)
    not_objects: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        columns: Mapping[str, str | Sequence[str]] | None,
        fixed: Mapping[str, str] | None,
        extract: Mapping[str, str] | None,
    ) -> Self:
        """Read the options as `load_profiles` takes them.

        Raises
        ------
        UsageError
            If a regular expression cannot be read or has no named group.
        """
        for name, pattern in (extract or {}).items():
            try:
                groups = pl.select(pl.lit("").str.extract_groups(pattern)).to_series().struct.fields
            except pl.exceptions.PolarsError as error:
                raise UsageError(f"extract {name}: {pattern!r} is no regular expression: {error}") from error
            if not groups or any(group.isdigit() for group in groups):
                raise UsageError(f"extract {name}: {pattern!r} names no group; write such as '(?P<Batch>[^_]+)_'")
        return cls(
            {prefixed(k): (v,) if isinstance(v, str) else tuple(v) for k, v in (columns or {}).items()},
            {prefixed(k): str(v) for k, v in (fixed or {}).items()},
            {prefixed(k): v for k, v in (extract or {}).items()},
        )

    @property
    def known(self) -> frozenset[str]:
        """The metadata that the options give."""
        groups = {group for pattern in self.extract.values() for group in re.findall(r"\(\?P?<(\w+)>", pattern)}
        return frozenset({*self.columns, *self.fixed, *(prefixed(group) for group in groups)})


def clean(
    frame: pl.DataFrame,
    *,
    source: str,
    findings: Findings,
    options: ColumnOptions | None = None,
    group: str | None = None,
    among: str = "",
) -> pl.DataFrame:
    """Give a frame the names and types of a screen's profiles and note what was changed.

    Parameters
    ----------
    frame
        Any table of profiles or cells, or a piece of one.
    source
        Its name in errors.
    findings
        Takes the notes.
    options
        The user's options.
    group
        The name that its columns are compared under; the source's by default.
    among
        Its columns are compared with those of sources that have the same text here.

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
        If the options name a column that does not exist.

    Examples
    --------
    >>> raw = pl.DataFrame({"Image_Metadata_Well": ["a1"], "Metadata_Plate": [17], "Cells_A": [float("nan")]})
    >>> clean(raw, source="raw", findings=Findings()).row(0, named=True)
    {'Metadata_Well': 'A01', 'Metadata_Plate': '17', 'Cells_A': None}
    """
    options = options or ColumnOptions()
    frame = _taken(frame, options, source)
    # A schema of thousands of columns is slow to build, so types are read once.
    types = dict(zip(frame.columns, frame.dtypes, strict=True))
    nested = [name for name, dtype in types.items() if dtype.is_nested() or dtype in _NO_VALUES]
    for name in nested:
        detail = f"{types[name]}, neither number nor text: not imported"
        findings.note("nested_column", name, frame.height, source=source, detail=detail)
    frame = _named(frame.drop(nested) if nested else frame, source, findings, options.not_objects)
    result = _fixed(_extracted(_typed(frame), options, source, findings), options)
    result = _wells(result, source, findings)
    _note_values(result, source, findings)
    findings.add_columns(group or source, result.columns, among=among)
    return result


def _taken(frame: pl.DataFrame, options: ColumnOptions, source: str) -> pl.DataFrame:
    """Make the columns that the user composes of others."""
    made = []
    for target, names in options.columns.items():
        for name in names:
            if name not in frame.columns:
                raise UnknownNameError(f"column of {source}", name, frame.columns)
        made.append(pl.concat_str([_plain_text(frame[name]) for name in names], separator="_").alias(target))
    single = [names[0] for target, names in options.columns.items() if len(names) == 1 and names[0] != target]
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
    """Map old to new names, features included; the same for every piece of a table."""
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
    """Rename columns; two that would share a name must hold the same values."""
    text = frozenset(name for name, dtype in frame.schema.items() if _is_text(dtype))
    plan = _plan(tuple(frame.columns), text, not_objects)
    targets: dict[str, str] = {}
    repeated = []
    held = set(frame.columns) - set(plan)
    # SQL does not distinguish upper from lower case: Metadata_plate beside Metadata_Plate would be one name.
    folded = {name.casefold(): name for name in (*held, *(new for new in plan.values() if new in CELL_KEY))}
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
    kept = frame.drop(repeated) if repeated else frame
    return kept.rename({old: new for old, new in plan.items() if old not in repeated})


def _agree(one: pl.Series, other: pl.Series, name: str) -> bool:
    """Whether two columns hold the same values; wells may be spelled differently."""
    a, b = _plain_text(one), _plain_text(other)
    if name == "Metadata_Well":
        a, b = normalize_wells(a, strict=False).fill_null(a), normalize_wells(b, strict=False).fill_null(b)
    return a.equals(b, check_names=False)


def _typed(frame: pl.DataFrame) -> pl.DataFrame:
    """Metadata as text or as the numbers they are, everything else Float32 with NULL for NaN; metadata first."""
    described = [_described(column) for column in frame if column.name.startswith("Metadata_")]
    # For thousands of columns, one array or a loop takes a fraction of the time of expressions.
    columns = [column for column in frame if not column.name.startswith("Metadata_")]
    columns = [column if column.dtype == pl.Float32 else column.cast(pl.Float32) for column in columns]
    if columns and frame.height:
        has_nan = np.isnan(pl.DataFrame(columns).to_numpy()).any(axis=0)
        columns = [column.fill_nan(None) if nan else column for column, nan in zip(columns, has_nan, strict=True)]
    return pl.DataFrame([*described, *columns])


def _described(column: pl.Series) -> pl.Series:
    """Give a metadata column the type its name asks for."""
    text = _plain_text(column)
    text = text.set(text.is_in(_MISSING).fill_null(value=False), None)
    if column.name in _WHOLE and bool(text.drop_nulls().str.contains(r"^-?\d+\.0+$").all()):
        text = text.str.replace(r"\.0+$", "")
    wanted = NUMBERS.get(column.name) or (pl.Int64() if column.name.startswith("Metadata_Count_") else None)
    if wanted is None:
        return text
    number = text.cast(wanted, strict=False)
    return number if number.null_count() == text.null_count() else text


def _extracted(frame: pl.DataFrame, options: ColumnOptions, source: str, findings: Findings) -> pl.DataFrame:
    """Read metadata from other metadata, such as the batch from the name of a plate."""
    for name, pattern in options.extract.items():
        if name not in frame.columns:
            raise UnknownNameError(f"metadata column of {source}", name, metadata_columns(frame))
        groups = frame.select(pl.col(name).cast(pl.String).str.extract_groups(pattern)).to_series().struct.unnest()
        is_missed = groups.select(pl.all_horizontal(pl.all().is_null())).to_series()
        missed = frame[name].filter(is_missed).drop_nulls()
        if missed.len():
            detail = f"such as {missed[0]!r}, which {pattern} does not fit"
            findings.note("not_extracted", name, missed.len(), source=source, detail=detail)
        for group in groups:
            column = _described(group.alias(prefixed(group.name)))
            held = [pl.col(column.name).cast(column.dtype)] if column.name in frame.columns else []
            frame = frame.with_columns(pl.coalesce(pl.lit(column), *held).alias(column.name))
    return metadata_first(frame) if options.extract else frame


def _fixed(frame: pl.DataFrame, options: ColumnOptions) -> pl.DataFrame:
    """Fill missing metadata with the values that the user gives."""
    filled = []
    for name, value in options.fixed.items():
        one = _described(pl.Series(name, [value]))
        held = frame[name] if name in frame.columns else None
        dtype = one.dtype if held is None else held.dtype
        filled.append(
            (pl.lit(None) if held is None else pl.col(name)).fill_null(pl.lit(one[0])).cast(dtype).alias(name)
        )
    return metadata_first(frame.with_columns(filled)) if filled else frame


def _wells(frame: pl.DataFrame, source: str, findings: Findings) -> pl.DataFrame:
    """Spell wells as ``A01``; text that is no well is kept, with a note."""
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


def _note_values(frame: pl.DataFrame, source: str, findings: Findings) -> None:
    """Note infinite values and features without a compartment."""
    features = measured_columns(frame)
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


def with_site(frame: pl.DataFrame, findings: Findings | None, *, source: str = "") -> pl.DataFrame:
    """Give rows without a site the number of their image as site, with a note.

    The frame is returned as it is if all rows have a site or there is no image number.

    Examples
    --------
    >>> with_site(pl.DataFrame({"Metadata_ImageNumber": ["3"]}), None)["Metadata_Site"].to_list()
    ['3']
    """
    if "Metadata_Site" in frame.columns and frame["Metadata_Site"].null_count() == 0:
        return frame
    parts = [name for name in ("Metadata_TableNumber", "Metadata_ImageNumber") if name in frame.columns]
    if "Metadata_ImageNumber" not in parts:
        return frame
    number = pl.concat_str(parts, separator="-")
    site = pl.coalesce("Metadata_Site", number) if "Metadata_Site" in frame.columns else number
    if findings is not None:
        detail = "no site in the source; the number of the image is used"
        findings.note("derived_column", "Metadata_Site", frame.height, source=source, detail=detail)
    return metadata_first(frame.with_columns(site.alias("Metadata_Site")))
