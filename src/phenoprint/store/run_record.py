"""The record of the last run: whether and how it ended, and with which configuration.

``receipts/run.json`` is written before a run replaces anything and again at its end. In between the screen is
incomplete: some of its tables may be newer than others. Like a receipt, the record ends with a hash of itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from phenoprint.store._atomic import write_bytes
from phenoprint.store.journal import has_killed_import
from phenoprint.store.lock import holder
from phenoprint.store.receipts import hash_key, receipt_steps

__all__ = ["RunRecord", "incomplete", "read_run", "write_run"]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The record of the last run of a screen.

    Parameters
    ----------
    configuration
        Text of the configuration of the run.
    channels
        The channels, in the order of the pixel arrays.
    sources
        Hashes of other inputs that the user may change between runs, such as plate maps, by name.
    started, finished
        ISO 8601 in UTC; ``finished`` is None until the run has ended.
    seconds
        Wall-clock time of its steps.
    steps
        Number of units of each step that were done, up to date, failed and blocked.
    is_partial
        Whether any data of the screen could not be used.
    software
        Version of the software.
    """

    configuration: str
    channels: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    started: str = field(default_factory=_now)
    finished: str | None = None
    seconds: float = 0.0
    steps: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    is_partial: bool = False
    software: str = ""


def _path(folder: Path) -> Path:
    return folder / "receipts" / "run.json"


def write_run(folder: Path, record: RunRecord) -> None:
    """Write the record of a run into a screen folder, atomically and durably.

    Raises
    ------
    ScreenError
        If it cannot be written.
    """
    values = asdict(record)
    text = json.dumps(values | {"check": hash_key(values)}, indent=1, ensure_ascii=False)
    write_bytes(_path(folder), text.encode())


def read_run(folder: Path) -> RunRecord | None:
    """Read the record of the last run; None if it is missing or damaged."""
    try:
        values = json.loads(_path(folder).read_bytes())
        if values.pop("check") != hash_key(values):
            return None
        return RunRecord(**values | {"channels": tuple(values["channels"])})
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return None


def incomplete(folder: Path) -> str | None:
    """Return why the tables of a screen may not belong together; None if they do.

    Parameters
    ----------
    folder
        The screen folder.

    Returns
    -------
    str or None
        A sentence for people: a run or an import is in progress, or was stopped before its end. None for a screen whose
        last run has ended, and for imported tables without a run.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     incomplete(Path(folder)) is None
    True
    """
    who = holder(folder)
    if has_killed_import(folder):
        return f"an import is in progress ({who})" if who else "an import was stopped; the next run undoes it"
    record = read_run(folder)
    if record is None:
        if _path(folder).exists():
            return "the record of its last run (receipts/run.json) was damaged; run it again"
        return "its run never ended; run it again" if set(receipt_steps(folder)) - {"import"} else None
    if record.finished is not None:
        return None
    if who is not None:
        return f"a run is in progress ({who}); some tables are older than others until it ends"
    return f"the run that began {record.started} was stopped; some tables may be older than others. Run it again"
