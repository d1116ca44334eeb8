"""What a run tells while it works: plain records that any renderer may consume.

The engine calls ``on_event`` with these; the command line draws progress bars from them, a notebook may
collect them in a list. None carries behaviour.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Event", "Message", "OnEvent", "StepFinished", "StepStarted", "UnitFinished", "ignore"]


@dataclass(frozen=True)
class Event:
    """Base of all events."""


@dataclass(frozen=True)
class Message(Event):
    """Something the user should read, ``level`` in {"info", "warning"}."""

    text: str
    level: str = "info"


@dataclass(frozen=True)
class StepStarted(Event):
    """A step begins: ``total`` units, of which ``fresh`` are already done and hold."""

    step: str
    title: str
    total: int
    fresh: int


@dataclass(frozen=True)
class UnitFinished(Event):
    """One unit of a step ended, well (``error`` is None) or with an error."""

    step: str
    unit: str
    seconds: float
    error: str | None = None


@dataclass(frozen=True)
class StepFinished(Event):
    """A step has no more units to do."""

    step: str
    done: int
    failed: int
    seconds: float


OnEvent = Callable[[Event], None]


def ignore(_event: Event) -> None:
    """Consume an event silently."""
