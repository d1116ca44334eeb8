"""Judge each unit of a step before it runs: whether its receipt still answers for it, with its results in place.

A run asks it to know what to do, `plan` to know what a run would do, and `verify` to know whether a screen holds.
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
    """How a unit stands; all but ``FRESH``, ``FAILED`` and ``BLOCKED`` would run."""

    FRESH = "fresh"
    FAILED = "failed"
    BLOCKED = "blocked"
    STALE = "stale"
    DAMAGED = "damaged"
    MISSING = "missing"

    @property
    def would_run(self) -> bool:
        """Whether a run does such a unit again, or for the first time."""
        return self in (State.STALE, State.DAMAGED, State.MISSING)


@dataclass(frozen=True)
class Standing:
    """How one unit stands.

    Attributes
    ----------
    unit, key
        The unit and its key as it is now.
    state
        Its state.
    reason
        Why it is not fresh.
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
    """How the file of a table that holds the wells of a plate stands.

    Attributes
    ----------
    wells
        Wells that the file and the parts waiting for it hold.
    damage
        What is wrong with a file, by path relative to the screen.
    moved
        The receipt with the time of change that its file has now, where only that differs.
    """

    wells: Mapping[str, StoredWell] = field(default_factory=dict)
    damage: Mapping[str, str] = field(default_factory=dict)
    moved: Receipt | None = None


@dataclass(frozen=True)
class Judged:
    """How a step stands.

    Attributes
    ----------
    standings
        One for each unit, in order.
    damaged
        What is wrong with files of the step, by path relative to the screen.
    tables
        Table and plate of those damaged files that hold the wells of a plate.
    moved
        Receipts whose files have the recorded content and another time of change, with the times of now.
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
            damage = {}  # a run was stopped before the new file took the place of this one
    damage |= unreadable_parts(folder, table, plate)
    try:
        wells = pending_wells(folder, table, plate) if name in damage else stored_wells(folder, table, plate)
    except SchemaError as error:
        wells, damage = {}, damage or {name: f"cannot be read ({error})"}
    return TableFile(wells, damage, moved)


def judge(step: Step, tree: KeyTree, receipts: Receipts, *, scrutiny: Scrutiny) -> Judged:
    """Judge every unit of a step whose needs are remembered in the tree.

    Parameters
    ----------
    step
        The step.
    tree
        The keys of all that comes before it.
    receipts
        The step's receipts, by plate and unit.
    scrutiny
        How closely outputs are looked at.
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
    """Say why a table does not hold the rows of a well; empty if it does."""
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
    """Say what differs from what a receipt was made with."""
    if receipt.software != __version__:
        return f"made with phenoprint {receipt.software or 'of unknown version'}"
    then, now = receipt.parameters, key.parameters
    names = sorted(n for n in {*then, *now} if hash_key(then.get(n)) != hash_key(now.get(n)))
    if names:
        return f"parameters changed: {', '.join(names)}"
    names = sorted(n for n in {*receipt.inputs, *key.inputs} if receipt.inputs.get(n) != key.inputs.get(n))
    return f"made from an earlier state of: {', '.join(names)}" if names else "made by another version of the step"
