"""What a step is: a named function from earlier results to tables and files, at one scope.

A step's *unit* is a well, a plate or the screen. Its key is a hash of the step's name and version, the
parameters it reads, and the keys of what it needs; a unit whose receipt carries the same key is not run again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
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
        Rows of the ledger that this unit answers for, or None.
    files
        Files written, relative to the screen folder.
    digest
        Hash of what came out. Later steps then depend on it instead of on what went in, so that the same result from
        changed inputs re-runs nothing.
    unusable
        How many fields could not be used because of their files; makes the run partial.
    """

    tables: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    ledger: pl.DataFrame | None = None
    files: tuple[str, ...] = ()
    digest: str = ""
    unusable: int = 0


class Step(ABC):
    """One step of a run.

    Attributes
    ----------
    name
        Short name, as in receipts and the ledger.
    title
        What the progress bar says.
    version
        Raised whenever the same inputs and parameters give another result.
    scope
        What a unit covers.
    needs
        Names of the steps whose results it reads; ``"image"`` and ``"well"`` stand for the ingested tables,
        ``"exclusion"`` for what people decided to leave out.
    tables
        The tables it writes.
    parts
        For a table that several steps write rows of: the name of this step's file.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    version: ClassVar[int] = 1
    scope: ClassVar[Scope]
    needs: ClassVar[tuple[str, ...]] = ()
    tables: ClassVar[tuple[str, ...]] = ()
    parts: ClassVar[Mapping[str, str]] = {}

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return the part of the configuration that the result depends on."""
        return {}

    def warm_up(self, context: Context, executor: Executor, on_event: OnEvent) -> None:  # noqa: B027
        """Prepare what every unit would otherwise prepare for itself, such as compiled kernels."""

    @abstractmethod
    def run(self, unit: Unit, context: Context) -> Outcome:
        """Do the work of one unit."""
