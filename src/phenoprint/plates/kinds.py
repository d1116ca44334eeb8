"""Columns of a plate map, and the kind of each well: treatment, control or empty."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from phenoprint.errors import PlateMapError
from phenoprint.plates.pert_types import (
    canonical_pert_type,
    fold,
    infer_pert_type,
    is_ambiguous,
    is_bare_control,
    is_missing,
    known_pert_type,
    own_words,
)
from phenoprint.plates.text_table import LINE, Problems, TextTable
from phenoprint.plates.vocabulary import COLUMNS, MAYBE_PERT_TYPE, match_columns, name_key

__all__ = ["ColumnRoles", "Word", "assign_columns", "read_kinds"]

_NAMED = {name.replace("_", "") for name in COLUMNS["pert_type"]}
_MAYBE = {name.replace("_", "") for name in MAYBE_PERT_TYPE}

Word = tuple[str, str, str, str]  # column, text, kind and doubt


@dataclass(frozen=True)
class ColumnRoles:
    """Roles of the columns of a plate map.

    Parameters
    ----------
    roles
        Role (a key of ``COLUMNS``) to column.
    kinds
        Columns with kinds of wells, in order of preference.
    is_named
        The first of them is recognised by its name; otherwise by its values.
    reasons
        Why a column with a known name is ordinary metadata.
    """

    roles: dict[str, str]
    kinds: tuple[str, ...] = ()
    is_named: bool = False
    reasons: dict[str, str] = field(default_factory=dict)


def assign_columns(
    table: TextTable, *, columns: Mapping[str, str], pert_types: Mapping[str, str], source: str
) -> ColumnRoles:
    """Find the column of each role: as the caller names it, by its name, for kinds of wells by their values.

    Raises
    ------
    PlateMapError
        If the caller names a role or column that does not exist.
    """
    for role, name in columns.items():
        if role not in COLUMNS:
            raise PlateMapError(f"{source}: a plate map has no {role!r}; expected {', '.join(COLUMNS)}")
        if name not in table.names:
            raise PlateMapError(f"{source}: no column {name!r} for {role}; found {', '.join(table.names)}")
    free = [name for name in table.names if name not in columns.values()]
    roles = {**match_columns(free), **columns}
    reasons: dict[str, str] = {}
    taken = {name for role, name in roles.items() if role != "pert_type"}
    own = own_words(pert_types)
    named = [name for name in free if name_key(name) in _NAMED and name != roles.get("pert_type")]
    kinds = [roles["pert_type"]] if "pert_type" in roles else []
    is_named = bool(kinds)
    if "pert_type" not in columns:
        kinds += named
        for name in free:
            if name in taken or name in kinds or name_key(name) not in _MAYBE:
                continue
            why_not = _not_a_kind(table.cells[name], own)
            if why_not is None:
                kinds.append(name)
            else:
                reasons[name] = why_not
    for name in free:
        role = next(iter(match_columns([name])), "")
        if role in roles and roles[role] != name and name not in kinds:
            reasons[name] = f"{roles[role]!r} is taken for {role}"
    return ColumnRoles(roles, tuple(kinds), is_named, reasons)


def _not_a_kind(values: pl.Series, own: Mapping[str, str]) -> str | None:
    """Return None if all values of a column are kinds of wells and some are not treatments, else why not."""
    found: set[str | None] = set()
    for text in values.drop_nulls().unique(maintain_order=True).to_list():
        if is_missing(text):
            continue
        kind = own.get(fold(text)) or known_pert_type(text)
        if kind is None and not is_bare_control(text):
            return f"its value {text!r} is no kind of well"
        found.add(kind)
    return None if found - {None, "trt"} or found == {None, "trt"} else "it names no controls beside treatments"


def read_kinds(
    table: TextTable, columns: ColumnRoles, problems: Problems, *, pert_types: Mapping[str, str]
) -> tuple[list[str], Counter[Word]]:
    """Read the kind of each row: as written, by the caller's `pert_types`, or inferred from the compound.

    Returns the kinds, and the number of rows that each word decided, names of treatments excluded. Unknown words and
    columns that disagree are noted as problems.
    """
    own = own_words(pert_types)
    kinds: list[str] = []
    words: Counter[Word] = Counter()
    compound, solvent = (columns.roles.get(role) for role in ("compound", "solvent"))
    for row in table.cells.iter_rows(named=True):
        name = row[compound] if compound else None
        own_name = own.get(fold(name or ""))
        by_name = own_name or infer_pert_type(name, solvent=row[solvent] if solvent else None)
        written = [(column, row[column]) for column in columns.kinds if not is_missing(row[column])]
        decided, unclear = _written(written, own, row[LINE], problems, columns)
        if decided is None and unclear:
            if by_name in {"negcon", "poscon"}:
                decided = (unclear[0][0], unclear[0][1], by_name)
            else:
                _refuse(unclear[0][1], row[LINE], problems)
        if own_name and (decided is None or fold(decided[1]) not in own):
            decided = (compound or "", name or "", own_name)  # the caller's meaning of a compound has priority
        if decided is not None:
            column, text, kind = decided
            clash = f"{compound} is {name!r}" if kind == "trt" and by_name in {"negcon", "poscon"} else ""
            words[column, text, kind, clash] += 1
            kinds.append(kind)
            continue
        doubt = ""
        if name and by_name == "trt" and is_ambiguous(name, is_name=True):
            doubt = "may be a control; define it with pert_types"
        if by_name != "trt" or doubt:
            words[compound or "", name or "", by_name, doubt] += 1
        kinds.append(by_name)
    return kinds, words


def _written(
    written: list[tuple[str, str]], own: Mapping[str, str], line: int, problems: Problems, columns: ColumnRoles
) -> tuple[tuple[str, str, str] | None, list[tuple[str, str]]]:
    """Return the first clear word of a row, as column, text and kind, and the words that are not clear."""
    decided: tuple[str, str, str] | None = None
    unclear: list[tuple[str, str]] = []
    for column, text in written:
        kind = own.get(fold(text)) or known_pert_type(text)
        if kind is None:
            unclear.append((column, text))
            if not is_ambiguous(text):
                break
        elif decided is None:
            decided = (column, text, kind)
        elif kind != decided[2] and not columns.is_named:
            problems.add(
                line,
                f"{decided[0]} has {decided[1]!r} ({decided[2]}), {column} has {text!r} ({kind}); choose the column: "
                f'[plate_map] columns = {{ pert_type = "{decided[0]}" }}',
            )
    if unclear and decided is None and not is_ambiguous(unclear[0][1]):
        _refuse(unclear[0][1], line, problems)
        return (unclear[0][0], unclear[0][1], "trt"), []
    return decided, unclear


def _refuse(text: str, line: int, problems: Problems) -> None:
    try:
        canonical_pert_type(text)
    except PlateMapError as error:
        problems.add(line, str(error))
