"""Judge each unit of a step: whether its receipt is valid, with its results in place.

The engine runs the units that are not, `plan` lists what a run would do, and `verify` checks a finished screen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from phenoprint.errors import SchemaError
from phenoprint.pipeline.keys import Key, KeyTree
from phenoprint.pipeline.steps.base import Scope, Step, Unit
from phenoprint.pipeline.work import unit_name
from phenoprint.store import (
    TABLE,
    Receipt,
    Scrutiny,
    StoredWell,
    check_outputs,
    hash_key,
    partition,
    pending_wells,
    read_receipt,
    receipt_path,
    stored_wells,
    unreadable_parts,
)
from phenoprint.version import __version__

__all__ = ["Judged", "Standing", "State", "TableFile", "judge", "judge_table"]

Receipts = Mapping[tuple[str | None, str], Receipt]


class State(StrEnum):
    """The state of a unit; a run does all units but those that are ``FRESH``, ``FAILED`` or ``BLOCKED``."""

    FRESH = "fresh"
    FAILED = "failed"
    BLOCKED = "blocked"
    STALE = "stale"
    DAMAGED = "damaged"
    MISSING = "missing"

    @property
    def would_run(self) -> bool:
        """Whether a run does units in this state."""
        return self in (State.STALE, State.DAMAGED, State.MISSING)


@dataclass(frozen=True)
class Standing:
    """The state of one unit.

    Attributes
    ----------
    unit, key
        The unit and its present key.
    state
        Its state.
    reason
        Why it is not ``FRESH``.
    receipt
        Its receipt, if it has one.
    """

    unit: Unit
    key: Key
    state: State
    reason: str = ""
    receipt: Receipt | None = None


@dataclass(frozen=True)
class TableFile:
    """The state of the file with the wells of a plate in a table.

    Attributes
    ----------
    wells
        The wells in the file, and in parts that are not merged yet.
    damage
        What is wrong with a file, by path relative to the screen.
    moved
        The receipt with the present modification time of its file, if only that differs.
    """

    wells: Mapping[str, StoredWell] = field(default_factory=dict)
    damage: Mapping[str, str] = field(default_factory=dict)
    moved: Receipt | None = None


@dataclass(frozen=True)
class Judged:
    """The states of the units of a step.

    Attributes
    ----------
    standings
        One for each unit, in order.
    damaged
        What is wrong with files of the step, by path relative to the screen.
    tables
        Table and plate of the damaged files that hold the wells of a plate.
    moved
        Receipts with the present modification times of files whose content is as recorded.
    """

    standings: list[Standing] = field(default_factory=list)
    damaged: dict[str, str] = field(default_factory=dict)
    tables: list[tuple[str, str]] = field(default_factory=list)
    moved: list[Receipt] = field(default_factory=list)


def judge_table(folder: Path, table: str, plate: str, scrutiny: Scrutiny) -> TableFile:
    """Compare the file of a table of wells with its receipt, and read which wells it holds."""
    path = partition(folder, table, plate) / f"{table}.parquet"
    name = path.relative_to(folder).as_posix()
    receipt = read_receipt(receipt_path(folder, TABLE, plate, table))
    if receipt is None:
        damage = {name: "has no receipt"} if path.exists() else {}
        moved = None
    else:
        checked = check_outputs(folder, receipt.outputs, scrutiny)
        moved = replace(receipt, outputs={**receipt.outputs, **checked.moved}) if checked.moved else None
        damage = dict(checked.wrong)
        if damage and receipt.replaced and not check_outputs(folder, receipt.replaced, Scrutiny.TIME).wrong:
            damage = {}  # a run was stopped before the new file replaced this one
    damage |= unreadable_parts(folder, table, plate)
    try:
        wells = pending_wells(folder, table, plate) if name in damage else stored_wells(folder, table, plate)
    except SchemaError as error:
        wells, damage = {}, damage or {name: f"cannot be read ({error})"}
    return TableFile(wells, damage, moved)


def judge(step: Step, tree: KeyTree, receipts: Receipts, *, scrutiny: Scrutiny) -> Judged:
    """Judge every unit of a step.

    Parameters
    ----------
    step
        The step.
    tree
        The keys, with those of all steps that it depends on.
    receipts
        The step's receipts, by plate and unit.
    scrutiny
        How closely outputs are checked.
    """
    judged = Judged()
    folder = tree.context.path
    files = {}
    if step.scope is Scope.WELL:
        files = {(t, plate): judge_table(folder, t, plate, scrutiny) for t in step.tables for plate in tree.wells}
    for place, file in files.items():
        judged.damaged.update(file.damage)
        judged.tables.extend([place] if file.damage else [])
        judged.moved.extend([file.moved] if file.moved else [])
    for unit in tree.units(step.scope):
        receipt = receipts.get((unit.plate or None, unit_name(step, unit)))
        key = tree.key(step, unit)
        state, reason = _by_receipt(step, tree, unit, key, receipt)
        if state is State.FRESH and receipt is not None:
            checked = check_outputs(folder, receipt.outputs, scrutiny)
            judged.damaged.update(checked.wrong)
            if checked.moved:
                judged.moved.append(replace(receipt, outputs={**receipt.outputs, **checked.moved}))
            wrong = [f"{name} {what}" for name, what in checked.wrong.items()]
            wrong += [_absent(table, unit, files[table, unit.plate], key) for table in step.tables if unit.well]
            reason = next(filter(None, wrong), "")
            state = State.DAMAGED if reason else State.FRESH
        judged.standings.append(Standing(unit, key, state, reason, receipt))
    return judged


def _absent(table: str, unit: Unit, file: TableFile, key: Key) -> str:
    """Return why a table does not hold the rows of a well; empty if it does."""
    held = file.wells.get(unit.well)
    if held is not None and held.key == key.value:
        return ""
    return next((f"{name} {what}" for name, what in file.damage.items()), f"its rows are not in table {table}")


def _by_receipt(step: Step, tree: KeyTree, unit: Unit, key: Key, receipt: Receipt | None) -> tuple[State, str]:
    """Judge a unit by its receipt alone."""
    if tree.is_blocked(step, unit):
        return State.BLOCKED, "an earlier step failed"
    if receipt is None:
        return State.MISSING, "it has no receipt"
    if receipt.key != key.value:
        return State.STALE, _difference(receipt, key)
    if receipt.status == "failed":
        return State.FAILED, receipt.error[1] if receipt.error else ""
    return State.FRESH, ""


def _difference(receipt: Receipt, key: Key) -> str:
    """Return how a key differs from that of a receipt."""
    if receipt.software != __version__:
        return f"made with phenoprint {receipt.software or 'of unknown version'}"
    then, now = receipt.parameters, key.parameters
    names = sorted(n for n in {*then, *now} if hash_key(then.get(n)) != hash_key(now.get(n)))
    if names:
        return f"parameters changed: {', '.join(names)}"
    names = sorted(n for n in {*receipt.inputs, *key.inputs} if receipt.inputs.get(n) != key.inputs.get(n))
    return f"made from an earlier state of: {', '.join(names)}" if names else "made by another version of the step"
