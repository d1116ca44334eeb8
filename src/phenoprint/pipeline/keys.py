"""The units of a screen and their keys: a tree of hashes of what each unit of each step depends on.

The key of a unit is a hash of its step, of the parameters that the step reads, and of the keys of what it depends on.
The roots of the tree are the tables that the screen was given: the images, or what was imported.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from phenoprint.pipeline.context import Context
from phenoprint.pipeline.exclusions import exclusion_keys
from phenoprint.pipeline.imported import imported_keys
from phenoprint.pipeline.schedule import JUDGE, Schedule
from phenoprint.pipeline.steps.base import Scope, Step, Unit
from phenoprint.store import hash_key
from phenoprint.tables import WELL_KEY

__all__ = ["Key", "KeyTree"]

_VOLATILE = ("mtime_ns", "bytes")


@dataclass(frozen=True)
class _State:
    """The key of a unit (or the hash of its result), and whether the unit has a result."""

    key: str
    is_done: bool


@dataclass(frozen=True)
class Key:
    """The key of a unit and what it was computed from.

    Attributes
    ----------
    value
        The hash.
    parameters
        The part of the configuration that the step reads.
    inputs
        Hash of each step or given table that the unit depends on, by name.
    """

    value: str
    parameters: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)


class KeyTree:
    """The keys of a screen, filled step by step in their order.

    Parameters
    ----------
    context
        The screen and its configuration.
    schedule
        The steps that run on it.

    Attributes
    ----------
    wells
        The wells of each plate, in order.
    """

    def __init__(self, context: Context, schedule: Schedule) -> None:
        self.context = context
        self.schedule = schedule
        self.wells: dict[str, list[str]] = {}
        # step or given table -> plate ("" for the screen) -> unit -> state
        self._states: dict[str, dict[str, dict[Unit, _State]]] = defaultdict(lambda: defaultdict(dict))
        self._read_given()

    def _read_given(self) -> None:
        """Compute the keys of images, annotation of wells, exclusions and imported tables; list the wells.

        A screen has the wells of its images, or all annotated wells where it has no images.
        """
        images = self.context.table("image").drop(_VOLATILE).collect()
        for (plate, well), rows in images.sort(pl.all()).group_by(WELL_KEY, maintain_order=True):
            self.wells.setdefault(str(plate), []).append(str(well))
            self.remember("image", Unit(str(plate), str(well)), hash_key(rows.columns, rows.rows()))
        wells = self.context.table("well").collect().sort(WELL_KEY)
        for (plate,), rows in wells.group_by("Metadata_Plate", maintain_order=True):
            self.remember("well", Unit(str(plate)), hash_key(rows.columns, rows.rows()))
            if images.is_empty():
                self.wells[str(plate)] = rows["Metadata_Well"].to_list()
        for plate, key in exclusion_keys(self.context.path).items():
            self.remember("exclusion", Unit(plate), key)
        for (table, plate), key in imported_keys(self.context.screen).items():
            self.remember(table, Unit(plate), key)

    def remember(self, name: str, unit: Unit, key: str, *, is_done: bool = True) -> None:
        """Record the key of a unit of a step or of a given table."""
        self._states[name][unit.plate][unit] = _State(key, is_done)

    def is_done(self, step: str, unit: Unit) -> bool:
        """Whether a unit whose key was recorded has a result."""
        return self._states[step][unit.plate][unit].is_done

    def units(self, scope: Scope) -> list[Unit]:
        """Return the units of a scope, in order."""
        if scope is Scope.SCREEN:
            return [Unit()]
        if scope is Scope.PLATE:
            return [Unit(plate) for plate in sorted(self.wells)]
        return [Unit(plate, well) for plate in sorted(self.wells) for well in self.wells[plate]]

    def _read_by(self, name: str, unit: Unit) -> list[tuple[Unit, _State]]:
        """Return the units of a step or given table that a unit reads: the one that covers it, or all within it."""
        states = self._states[name]
        for cover in (unit, Unit(unit.plate), Unit()):
            found = states.get(cover.plate, {}).get(cover)
            if found is not None:
                return [(cover, found)]
        plates = [unit.plate] if unit.plate else sorted(states)
        return [item for plate in plates for item in sorted(states.get(plate, {}).items())]

    def key(self, step: Step, unit: Unit) -> Key:
        """Return the key of a unit, once the keys of all that it depends on are recorded."""
        inputs = {
            name: hash_key([(str(other), state.key, state.is_done) for other, state in self._read_by(name, unit)])
            for name in self.schedule.depends_on[step.name]
        }
        parameters = dict(step.parameters(self.context.config))
        return Key(hash_key(step.name, step.version, parameters, self.context.channels, inputs), parameters, inputs)

    def is_blocked(self, step: Step, unit: Unit) -> bool:
        """Whether everything that the unit reads of some step has failed.

        Plate acceptance blocks nothing unless plates that fail are to be excluded.
        """
        optional = set() if self.context.config.plate_acceptance.exclude_failed else {JUDGE}
        for name in self.schedule.depends_on[step.name]:
            if name in optional:
                continue
            states = [state for _, state in self._read_by(name, unit)]
            if states and not any(state.is_done for state in states):
                return True
        return False
