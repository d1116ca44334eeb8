"""Progress events of a run: plain records.

The engine calls ``on_event`` with each. The command line draws progress bars from them; a notebook may collect them in
a list.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Event", "Message", "OnEvent", "StepFinished", "StepStarted", "UnitFinished", "count_files", "ignore"]


@dataclass(frozen=True)
class Event:
    """Base of all events."""


@dataclass(frozen=True)
class Message(Event):
    """A message for the user; ``level`` is "info" or "warning"."""

    text: str
    level: str = "info"


@dataclass(frozen=True)
class StepStarted(Event):
    """A step begins: ``total`` units, of which ``fresh`` are done and valid already."""

    step: str
    title: str
    total: int
    fresh: int


@dataclass(frozen=True)
class UnitFinished(Event):
    """One unit of a step ended; ``error`` is None if it is done."""

    step: str
    unit: str
    seconds: float
    error: str | None = None


@dataclass(frozen=True)
class StepFinished(Event):
    """All units of a step have ended."""

    step: str
    done: int
    failed: int
    seconds: float


OnEvent = Callable[[Event], None]


def count_files(on_event: OnEvent, *, step: str, title: str) -> Callable[[int, int], None]:
    """Return a function of (files done, files in all) that reports them as the units of a step.

    Parameters
    ----------
    on_event
        Receives `StepStarted` before the first file, `UnitFinished` with each, `StepFinished` after the last.
    step, title
        Name of the step, and its label.

    Examples
    --------
    >>> seen = []
    >>> count_files(seen.append, step="ingest", title="Ingest")(1, 1)
    >>> [type(event).__name__ for event in seen]
    ['StepStarted', 'UnitFinished', 'StepFinished']
    """
    begun = time.perf_counter()

    def report(done: int, total: int) -> None:
        if done == 1:
            on_event(StepStarted(step, title, total, 0))
        on_event(UnitFinished(step, str(done), 0.0))
        if done == total:
            on_event(StepFinished(step, total, 0, time.perf_counter() - begun))

    return report


def ignore(_event: Event) -> None:
    """Ignore an event."""
