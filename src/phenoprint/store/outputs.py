"""Outputs: the files that a unit of work wrote, recorded so that a change to any of them is noticed later.

Every file of a screen that later work rests on is an output of one receipt: of the unit that wrote it, or of its
table where the rows of many units share a file (`record_table`). Resuming, verifying and ``--rehash`` all ask the
same question, `check_outputs`, and differ only in how closely they look (`Scrutiny`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

__all__ = ["Checked", "Output", "Scrutiny", "check_outputs", "observe", "record_outputs"]


class Scrutiny(StrEnum):
    """How closely outputs are looked at; each level includes the one before."""

    SIZE = "size"
    """The file is there and has its recorded size."""
    TIME = "time"
    """Where its time of change is not the recorded one, its content is hashed."""
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
        Its time of change, nanoseconds.
    hash
        BLAKE2b-128 of its content, 32 hexadecimal digits.
    """

    bytes: int
    mtime_ns: int
    hash: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check of outputs found.

    Parameters
    ----------
    wrong
        What is wrong with each output that does not hold, by its path relative to the screen.
    moved
        Outputs with the recorded content and another time of change, such as those of a copied screen, as they are now.
    """

    wrong: Mapping[str, str] = field(default_factory=dict)
    moved: Mapping[str, Output] = field(default_factory=dict)


def observe(path: Path) -> Output:
    """Read size, time and hash of a file.

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
    """Observe files of a screen folder, by their path relative to it with forward slashes."""
    return {path.relative_to(folder).as_posix(): observe(path) for path in sorted(set(paths))}


def check_outputs(folder: Path, outputs: Mapping[str, Output], scrutiny: Scrutiny) -> Checked:
    """Compare outputs of a screen folder with what was recorded of them.

    Parameters
    ----------
    folder
        The screen folder.
    outputs
        What was recorded, by path relative to the folder.
    scrutiny
        How closely to look.
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
