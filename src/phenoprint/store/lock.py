"""The lock of a screen: one process at a time writes. The operating system releases it when the process ends."""

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
from phenoprint.store._atomic import remove_file, sweep_temporaries, write_bytes, write_error
from phenoprint.store._catalog_file import sweep_catalog, temporary_catalog
from phenoprint.store.layout import CATALOG

__all__ = ["LockHolder", "hold", "holder"]

_RUN = "screen.lock"


@dataclass(frozen=True, slots=True)
class LockHolder:
    """The process that holds the lock of a screen: number, computer, and time it began (ISO 8601, UTC)."""

    pid: int
    host: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


@contextmanager
def hold(folder: Path, *, timeout_s: float = 1.0) -> Iterator[None]:
    """Lock a screen for writing within a ``with`` block; temporary files of killed processes are removed first.

    Parameters
    ----------
    folder
        The screen folder.
    timeout_s
        How long to wait for another process to release the lock, seconds.

    Raises
    ------
    ScreenLockedError
        If another process holds it: names process, computer and time.
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
            "it; the lock is released when that process ends, so there is no file to delete"
        ) from None
    except OSError as error:
        raise write_error(error, path) from error
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
    """Return the process that holds the lock of a screen; None if no running process does."""
    who = _read(folder)
    if who is None:
        return None
    try:
        with FileLock(folder / _RUN, timeout=0):
            return None
    except Timeout:
        return who
    except OSError:  # a read-only folder: the lock cannot be tried, but the process can be looked up
        import psutil

        return who if who.host != socket.gethostname() or psutil.pid_exists(who.pid) else None


def _note(folder: Path) -> Path:
    """Return the file that names the process: the locked file itself cannot be read on Windows."""
    return folder / f"{_RUN}.json"


def _read(folder: Path) -> LockHolder | None:
    try:
        return LockHolder(**json.loads(_note(folder).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
