"""Files that are written completely or not at all, and errors that name the remedy."""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import time
import uuid
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

from phenoprint.errors import ScreenError

__all__ = [
    "FORBIDDEN",
    "TEMPORARY_SUFFIX",
    "atomic_file",
    "atomic_path",
    "free_room",
    "move_file",
    "remove_file",
    "remove_folder",
    "replace",
    "sweep_temporaries",
    "sync_file",
    "sync_folder",
    "temporary_path",
    "write_bytes",
    "write_error",
]

TEMPORARY_SUFFIX = ".part-tmp"

_MARK = re.compile(rf"\.(?P<host>[0-9a-f]{{8}})\.(?P<pid>\d+)-[0-9a-f]{{8}}{re.escape(TEMPORARY_SUFFIX)}$")
_ELSEWHERE_S = 600.0
# File systems take 255 bytes; the mark needs some 40, and names of files are ASCII.
_LONGEST = 180

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG} if hasattr(errno, "EDQUOT") else {errno.ENOSPC, errno.EFBIG}
# Errors of network file systems that cannot sync folders.
_NOT_SYNCED = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF}
FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that gets its name only when the block ends without an error.

    The bytes go to a temporary file in the same folder, which is synced to the disk and renamed. If the block ends
    early for any reason, an earlier file of that name is kept and the temporary file is removed.

    Parameters
    ----------
    path
        The file; missing folders are made.

    Yields
    ------
    BinaryIO
        The handle to write to.

    Raises
    ------
    ScreenError
        If the disk is full, the folder cannot be written, or the file is held open by another program.
    """
    with atomic_path(path) as temporary, temporary.open("xb") as handle:
        yield handle
        handle.flush()
        os.fsync(handle.fileno())


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to, which is renamed to `path` when the block ends without an error.

    Parameters
    ----------
    path
        The file to be written; folders are made.

    Yields
    ------
    pathlib.Path
        A path in the same folder; what is left of it is removed.

    Raises
    ------
    ScreenError
        As `atomic_file`.
    """
    temporary = temporary_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        raise write_error(error, path) from error
    finally:
        with suppress(OSError):  # renamed, or its folder was never made
            temporary.unlink()


def move_file(source: Path, target: Path) -> None:
    """Rename a file over `target` on the same disk; folders are made; raises as `atomic_file`."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        replace(source, target)
    except OSError as error:
        raise write_error(error, target) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a small file atomically; raises as `atomic_file`."""
    with atomic_file(path) as handle:
        handle.write(content)


def replace(source: Path, target: Path, *, patience: float = 2.0) -> None:
    """Rename over `target`; on Windows wait up to `patience` seconds until no reader has it open."""
    give_up = time.monotonic() + patience
    pause = 0.02
    while True:
        try:
            source.replace(target)
        except PermissionError:
            if os.name != "nt" or time.monotonic() > give_up:
                raise
            time.sleep(pause)
            pause *= 2
        else:
            return


def write_error(error: OSError, path: Path) -> ScreenError:
    """Return an error that names the path, what is wrong with it and what to do."""
    if error.errno in _FULL:
        return ScreenError(
            f"no room to write {path}: {free_room(path)}. Free some space (or move the screen to a larger disk) "
            "and run again: what is finished is kept"
        )
    if error.errno in FORBIDDEN or isinstance(error, PermissionError):
        held = path.is_file() and os.access(path.parent, os.W_OK)
        what = (
            "it is open in another program or protected; close that program"
            if held
            else f"the folder {path.parent} is not writable for this user; change its permissions"
        )
        return ScreenError(f"cannot write {path}: {what}, or put the screen elsewhere, and run again ({error})")
    return ScreenError(f"cannot write {path}: {error}")


def temporary_path(path: Path) -> Path:
    """Return a path beside `path` for the file that will replace it; its name contains computer and process.

    Examples
    --------
    >>> temporary_path(Path("a/b.parquet")).parent.name
    'a'
    """
    mark = f"{_host()}.{os.getpid()}-{uuid.uuid4().hex[:8]}"
    return path.with_name(f".{path.name[:_LONGEST]}.{mark}{TEMPORARY_SUFFIX}")


def sweep_temporaries(folder: Path, *, spare: Collection[str] = ()) -> int:
    """Remove temporary files that killed processes left anywhere below `folder`; return their number.

    Files of processes that still run are kept, such as those that write a report or the result of a query. For
    processes of other computers this cannot be checked; their files are kept while younger than ten minutes.

    Parameters
    ----------
    folder
        The screen folder, which the caller has locked.
    spare
        Names of files to keep.
    """
    removed = 0
    for place, folders, names in os.walk(folder):
        # The files of a stopped import are handled by `undo_killed_imports`.
        folders[:] = [name for name in folders if not name.startswith(".import-")]
        for name in names:
            if name.startswith(".") and name.endswith(TEMPORARY_SUFFIX) and name not in spare:
                removed += _remove_if_dead(Path(place, name))
    return removed


def _remove_if_dead(path: Path) -> bool:
    with suppress(OSError):  # removed meanwhile, or owned by another user
        if not _is_written(path):
            path.unlink()
            return True
    return False


def _is_written(temporary: Path) -> bool:
    """Whether the process that made a temporary file may still be writing it."""
    import psutil

    modified = temporary.stat().st_mtime
    found = _MARK.search(temporary.name)
    if found is None:
        return False
    if found["host"] != _host():
        return time.time() - modified < _ELSEWHERE_S
    try:
        return bool(psutil.Process(int(found["pid"])).create_time() <= modified + 1)  # process numbers are reused
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True


@cache
def _host() -> str:
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


def free_room(path: Path) -> str:
    """Describe the free space on the disk of `path`."""
    folder = next((p for p in path.parents if p.is_dir()), Path.cwd())
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return f"the disk of {folder} is full"
    return f"{free / 2**20:,.1f} MiB are free on the disk of {folder}"


def sync_file(path: Path) -> None:
    """Sync the content of a file to the disk."""
    with path.open("rb+") as handle:
        os.fsync(handle.fileno())


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder to the disk, where the system supports it.

    Raises
    ------
    OSError
        If the disk fails; not if the file system does not support it or the folder cannot be opened.
    """
    if os.name == "nt":
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:  # a folder may be writable but not readable
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NOT_SYNCED:
            raise
    finally:
        os.close(handle)


def remove_file(path: Path) -> None:
    """Remove a file if it exists.

    Raises
    ------
    ScreenError
        If it cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise _not_removed(path, error) from error


def remove_folder(path: Path) -> None:
    """Remove a folder and its content; raises as `remove_file`."""
    try:
        shutil.rmtree(path)
    except OSError as error:
        raise _not_removed(path, error) from error


def _not_removed(path: Path, error: OSError) -> ScreenError:
    return ScreenError(
        f"cannot remove {path}: {error}. Check the disk and the permissions of {path.parent}, and run again"
    )
