"""One run a screen: a lock that the operating system lets go when its process ends."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from phenoprint.errors import ScreenLockedError
from phenoprint.store._atomic import explain, remove_file, sweep_temporaries, write_bytes
from phenoprint.store._catalog_file import sweep_catalog, temporary_catalog
from phenoprint.store.layout import CATALOG

__all__ = ["LockHolder", "hold", "holder"]

_RUN = "screen.lock"


@dataclass(frozen=True, slots=True)
class LockHolder:
    """Who holds a screen: process number, computer, and since when (ISO 8601, UTC)."""

    pid: int
    host: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


@contextmanager
def hold(folder: Path, *, timeout_s: float = 1.0) -> Iterator[None]:
    """Hold a screen for writing while the block lasts; what killed processes left half written in it is removed first.

    Parameters
    ----------
    folder
        The screen folder.
    timeout_s
        How long to wait for another holder to finish.

    Raises
    ------
    ScreenLockedError
        If another run holds it: says who, where and since when.
    ScreenError
        If the folder cannot be written.
    """
    path = folder / _RUN
    lock = FileLock(path)
    try:
        lock.acquire(timeout=timeout_s)
    except Timeout:
        who = _read(folder)
        raise ScreenLockedError(
            f"another run holds {folder}: {who or 'its name is not written yet'}. Wait for it to end, or stop "
            "it; the lock frees itself when that process ends, so there is no file to delete"
        ) from None
    except OSError as error:
        raise explain(error, path) from error
    try:
        me = LockHolder(os.getpid(), socket.gethostname(), datetime.now(UTC).isoformat(timespec="seconds"))
        write_bytes(_note(folder), json.dumps(asdict(me)).encode())
        sweep_temporaries(folder, spare=(temporary_catalog(folder / CATALOG).name,))
        sweep_catalog(folder)
        yield
    finally:
        try:
            remove_file(_note(folder))
        finally:
            lock.release()


def holder(folder: Path) -> LockHolder | None:
    """Who holds a screen now; None if nobody does, or whoever did has ended."""
    who = _read(folder)
    if who is None:
        return None
    try:
        with FileLock(folder / _RUN, timeout=0):
            return None
    except Timeout:
        return who
    except OSError:  # a folder that can only be read: the lock cannot be tried, the process can be looked for
        import psutil

        return who if who.host != socket.gethostname() or psutil.pid_exists(who.pid) else None


def _note(folder: Path) -> Path:
    """Return the file that names the holder: the locked one itself cannot be read on Windows."""
    return folder / f"{_RUN}.json"


def _read(folder: Path) -> LockHolder | None:
    try:
        return LockHolder(**json.loads(_note(folder).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
