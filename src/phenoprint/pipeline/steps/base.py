"""What a step is: a named function from tables and files to tables and files, over wells, plates or the screen.

A step's *unit* is a well, a plate or the screen. Its key is a hash of the step's name and version, of the parameters
that it reads, and of the keys of what it depends on. A unit whose receipt has the same key is not run again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

import polars as pl

if TYPE_CHECKING:
    from phenoprint.pipeline.config import ScreenConfig
    from phenoprint.pipeline.context import Context
    from phenoprint.pipeline.events import OnEvent
    from phenoprint.pipeline.executors import Executor

__all__ = ["Outcome", "Scope", "Step", "Unit"]


class Scope(StrEnum):
    """What one unit of a step covers."""

    WELL = "well"
    PLATE = "plate"
    SCREEN = "screen"


@dataclass(frozen=True, order=True)
class Unit:
    """One piece of work: a well of a plate, a plate, or the whole screen."""

    plate: str = ""
    well: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in (self.plate, self.well) if part) or "screen"


@dataclass(frozen=True)
class Outcome:
    """What a unit made.

    Attributes
    ----------
    tables
        Frames by table name; for a well they become its part of the table.
    ledger
        Rows of the ledger for this unit, or None.
    files
        Files written, relative to the screen folder.
    digest
        Hash of the result. Later steps then depend on it instead of on the inputs, so that the same result from
        changed inputs re-runs nothing.
    unusable
        How many fields could not be used because of their files. Any such field makes the run partial.
    """

    tables: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    ledger: pl.DataFrame | None = None
    files: tuple[str, ...] = ()
    digest: str = ""
    unusable: int = 0


class Step(ABC):
    """One step of a run.

    To add a step: write a subclass, declare the tables that it writes in `phenoprint.tables`, and list it in
    `phenoprint.pipeline.steps.STEPS`. Where it runs, and in which order, follows from ``needs``, ``uses`` and
    ``tables`` (see `phenoprint.pipeline.schedule.Schedule`).

    Attributes
    ----------
    name
        Short name, as in receipts and the ledger.
    title
        The label of the progress bar.
    version
        Raised whenever the same inputs and parameters give another result.
    scope
        What a unit covers.
    needs
        The tables and files that it reads and cannot run without. ``image`` (with ``site``), ``well`` (with ``plate``,
        ``perturbation`` and ``feature``) and ``exclusion`` are there before any step has run.
    uses
        The tables that it reads where they exist.
    instead
        By need: the table that replaces it where that table was imported.
    tables
        The tables that it writes, its result first. A step whose result was imported does not run.
    files
        Names of the other results that steps may need, such as ``illumination``.
    parts
        For a table that several steps write rows of: the name of this step's file.

    Examples
    --------
    >>> class CountWells(Step):
    ...     name, title, scope = "count_wells", "Number of wells", Scope.SCREEN
    ...     needs, tables = ("well",), ("readout",)
    ...
    ...     def run(self, unit, context):
    ...         count = context.table("well").select(pl.len()).collect().item()
    ...         return Outcome({"readout": pl.DataFrame({"readout": ["wells"], "value": [float(count)]})})
    >>> CountWells().makes
    ('readout',)
    """

    name: ClassVar[str]
    title: ClassVar[str]
    version: ClassVar[int] = 1
    scope: ClassVar[Scope]
    needs: ClassVar[tuple[str, ...]] = ()
    uses: ClassVar[tuple[str, ...]] = ()
    instead: ClassVar[Mapping[str, str]] = {}
    tables: ClassVar[tuple[str, ...]] = ()
    files: ClassVar[tuple[str, ...]] = ()
    parts: ClassVar[Mapping[str, str]] = {}

    @property
    def makes(self) -> tuple[str, ...]:
        """What later steps can read of this one."""
        return (*self.tables, *self.files)

    def needed(self, given: Collection[str]) -> tuple[str, ...]:
        """Return the needs on a screen with some given tables."""
        return tuple(self.instead[need] if self.instead.get(need) in given else need for need in self.needs)

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return the part of the configuration that the result depends on."""
        return {}

    def warm_up(self, context: Context, executor: Executor, on_event: OnEvent) -> None:  # noqa: B027
        """Prepare what every unit would otherwise prepare for itself, such as compiled kernels."""

    @abstractmethod
    def run(self, unit: Unit, context: Context) -> Outcome:
        """Do the work of one unit."""
