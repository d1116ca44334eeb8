"""Outputs: the files that a unit of work wrote, recorded so that later changes are detected.

Every file of a screen that later work depends on is an output of one receipt: of the unit that wrote it, or of its
table if many units share a file (`record_table`). Resuming, verifying and ``--rehash`` all use `check_outputs`, with
different `Scrutiny`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

__all__ = ["Checked", "Output", "Scrutiny", "check_outputs", "observe", "record_outputs"]


class Scrutiny(StrEnum):
    """How thoroughly outputs are checked; each level includes the one before."""

    SIZE = "size"
    """The file exists and has its recorded size."""
    TIME = "time"
    """Its content is hashed if its modification time differs from the recorded one."""
    HASH = "hash"
    """Its content is hashed."""


@dataclass(frozen=True, slots=True)
class Output:
    """A file as it was when it was written.

    Parameters
    ----------
    bytes
        Its size.
    mtime_ns
        Its modification time, nanoseconds.
    hash
        BLAKE2b-128 of its content, 32 hexadecimal digits.
    """

    bytes: int
    mtime_ns: int
    hash: str


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of a check of outputs.

    Parameters
    ----------
    wrong
        What is wrong with changed or missing outputs, by path relative to the screen.
    moved
        Outputs with the recorded content and another modification time, as after a copy, as they are now.
    """

    wrong: Mapping[str, str] = field(default_factory=dict)
    moved: Mapping[str, Output] = field(default_factory=dict)


def observe(path: Path) -> Output:
    """Return size, modification time and hash of a file.

    Raises
    ------
    OSError
        If it cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "a"
    ...     _ = file.write_bytes(b"abc")
    ...     observe(file).hash
    'cf4ab791c62b8d2b2109c90275287816'
    """
    with path.open("rb") as handle:
        digest = hashlib.file_digest(handle, _blake2b).hexdigest()
        stat = path.stat()
    return Output(stat.st_size, stat.st_mtime_ns, digest)


def record_outputs(folder: Path, paths: Iterable[Path]) -> dict[str, Output]:
    """Return size, time and hash of files, by path relative to the screen folder with forward slashes."""
    return {path.relative_to(folder).as_posix(): observe(path) for path in sorted(set(paths))}


def check_outputs(folder: Path, outputs: Mapping[str, Output], scrutiny: Scrutiny) -> Checked:
    """Compare files of a screen folder with their recorded size, time and hash.

    Parameters
    ----------
    folder
        The screen folder.
    outputs
        The recorded values, by path relative to the folder.
    scrutiny
        How thoroughly to check.
    """
    wrong: dict[str, str] = {}
    moved: dict[str, Output] = {}
    for name, recorded in sorted(outputs.items()):
        try:
            stat = (folder / name).stat()
            if stat.st_size != recorded.bytes:
                wrong[name] = f"has {stat.st_size:,} bytes, {recorded.bytes:,} were written"
                continue
            is_same_time = stat.st_mtime_ns == recorded.mtime_ns
            if scrutiny is Scrutiny.SIZE or (scrutiny is Scrutiny.TIME and is_same_time):
                continue
            now = observe(folder / name)
        except FileNotFoundError:
            wrong[name] = "is missing"
        except OSError as error:
            wrong[name] = f"cannot be read: {error.strerror or error}"
        else:
            if now.hash != recorded.hash:
                wrong[name] = "does not hold what was written"
            elif not is_same_time:
                moved[name] = now
    return Checked(wrong, moved)


def _blake2b() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=16)
