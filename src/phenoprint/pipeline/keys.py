"""The units of a screen and their keys: what each unit of each step depends on, as a tree of hashes.

A unit's key is a hash of its step, the parameters that the step reads and the keys of what it needs, so that the keys
form a tree rooted in the hashes of the image files.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from phenoprint.pipeline.context import Context
from phenoprint.pipeline.exclusions import exclusion_keys
from phenoprint.pipeline.imported import imported_keys
from phenoprint.pipeline.steps.base import Scope, Step, Unit
from phenoprint.store import hash_key
from phenoprint.tables import WELL_KEY

__all__ = ["Key", "KeyTree"]

_VOLATILE = ("mtime_ns", "bytes")


@dataclass(frozen=True)
class _State:
    """What later steps depend on of a unit (its key, or the hash of its result), and whether it can be read."""

    key: str
    is_done: bool


@dataclass(frozen=True)
class Key:
    """The key of a unit and what it is made of.

    Attributes
    ----------
    value
        The hash.
    parameters
        What the step reads of the configuration.
    inputs
        Hash of each need of the step, by name.
    """

    value: str
    parameters: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)


class KeyTree:
    """The keys of a screen, filled step by step in their order.

    Parameters
    ----------
    context
        The screen and its configuration. Its tables ``image`` and ``well``, or what was imported, are the roots.

    Attributes
    ----------
    wells
        The wells of each plate, in order.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self.wells: dict[str, list[str]] = {}
        # step -> plate ("" for the screen) -> unit -> state
        self._states: dict[str, dict[str, dict[Unit, _State]]] = defaultdict(lambda: defaultdict(dict))
        self._read_sources()

    def _read_sources(self) -> None:
        """Give what the steps start from keys: images, annotation of wells, exclusions, imported tables by source."""
        images = self.context.table("image").drop(_VOLATILE).collect()
        for (plate, well), rows in images.sort(pl.all()).group_by(WELL_KEY, maintain_order=True):
            self.wells.setdefault(str(plate), []).append(str(well))
            self.remember("image", Unit(str(plate), str(well)), hash_key(rows.columns, rows.rows()))
        wells = self.context.table("well").collect().sort(WELL_KEY)
        for (plate,), rows in wells.group_by("Metadata_Plate", maintain_order=True):
            self.remember("well", Unit(str(plate)), hash_key(rows.columns, rows.rows()))
            if self.context.is_imported:
                self.wells[str(plate)] = rows["Metadata_Well"].to_list()
        for plate, key in exclusion_keys(self.context.path).items():
            self.remember("exclusion", Unit(plate), key)
        for (step, plate), key in imported_keys(self.context.screen).items() if self.context.is_imported else ():
            self.remember(step, Unit(plate), key)

    def remember(self, step: str, unit: Unit, key: str, *, is_done: bool = True) -> None:
        """Note what later steps depend on of a unit."""
        self._states[step][unit.plate][unit] = _State(key, is_done)

    def is_done(self, step: str, unit: Unit) -> bool:
        """Whether the result of a unit that was remembered can be read."""
        return self._states[step][unit.plate][unit].is_done

    def units(self, scope: Scope) -> list[Unit]:
        """Return the units of a scope, in order."""
        if scope is Scope.SCREEN:
            return [Unit()]
        if scope is Scope.PLATE:
            return [Unit(plate) for plate in sorted(self.wells)]
        return [Unit(plate, well) for plate in sorted(self.wells) for well in self.wells[plate]]

    def _needed(self, need: str, unit: Unit) -> list[tuple[Unit, _State]]:
        """Return the units of ``need`` that ``unit`` reads: the one that covers it, or all that it covers."""
        states = self._states[need]
        for cover in (unit, Unit(unit.plate), Unit()):
            found = states.get(cover.plate, {}).get(cover)
            if found is not None:
                return [(cover, found)]
        plates = [unit.plate] if unit.plate else sorted(states)
        return [item for plate in plates for item in sorted(states.get(plate, {}).items())]

    def key(self, step: Step, unit: Unit) -> Key:
        """Return the key of a unit, once all that it needs is remembered."""
        inputs = {
            need: hash_key([(str(other), state.key, state.is_done) for other, state in self._needed(need, unit)])
            for need in step.needs
        }
        parameters = dict(step.parameters(self.context.config))
        return Key(hash_key(step.name, step.version, parameters, self.context.channels, inputs), parameters, inputs)

    def is_blocked(self, step: Step, unit: Unit) -> bool:
        """Whether something that the unit cannot do without has failed."""
        for need in step.needs:
            states = [state for _, state in self._needed(need, unit)]
            if states and not any(state.is_done for state in states):
                return True
        return False
