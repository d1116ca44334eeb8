"""An import is in a screen as a whole or not at all, whatever ends it.

What is read waits in a folder of its own. While it is put into place, that folder also holds links to all the files
that the screen had; an error puts them back at once, and the next import does after a process was killed.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from phenoprint.errors import ScreenError
from phenoprint.store._atomic import TEMPORARY_SUFFIX, explain, remove_file, replace, write_bytes

__all__ = ["has_killed_import", "placing", "staging_folder", "undo_killed_imports"]

_STAGING: Final = ".import-"
_MARK: Final = "placing"
_BEFORE: Final = "before"
_KEPT: Final = ("tables", "receipts")


def has_killed_import(folder: Path) -> bool:
    """Whether tables of a screen are half replaced: an import is placing them, or was killed while it did."""
    return any((left / _MARK).exists() for left in folder.glob(f"{_STAGING}*"))


def undo_killed_imports(folder: Path) -> bool:
    """Put back what a screen held before imports that were killed while placing; whether there were any.

    Parameters
    ----------
    folder
        The screen folder, which the caller has locked.
    """
    was_half_placed = False
    for left in folder.glob(f"{_STAGING}*"):
        if (left / _MARK).exists():
            _restore(folder, left)
            was_half_placed = True
        shutil.rmtree(left, ignore_errors=True)
    return was_half_placed


@contextmanager
def staging_folder(folder: Path) -> Iterator[Path]:
    """Make a folder in a screen for what is not in place yet; undoes imports that were killed while placing.

    Parameters
    ----------
    folder
        The screen folder, which the caller has locked.

    Yields
    ------
    pathlib.Path
        The folder; it is gone after the block.
    """
    undo_killed_imports(folder)
    staging = folder / f"{_STAGING}{uuid.uuid4().hex[:8]}"
    staging.mkdir()
    try:
        yield staging
    finally:
        if not (staging / _MARK).exists():
            shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def placing(folder: Path, staging: Path) -> Iterator[None]:
    """Undo what the block did to tables and receipts if it fails.

    Parameters
    ----------
    folder
        The screen folder. Its files are replaced, never written into, so that links keep what they held.
    staging
        As `staging_folder` gave it.

    Raises
    ------
    ScreenError
        If the disk takes no more files.
    """
    files = [file for name in _KEPT for file in _files(folder / name)]
    try:
        for file in files:
            _link(file, staging / _BEFORE / file.relative_to(folder))
    except OSError as error:
        raise explain(error, staging) from error
    write_bytes(staging / _MARK, str(len(files)).encode())
    try:
        yield
    except BaseException:
        _restore(folder, staging)
        raise
    remove_file(staging / _MARK)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _link(file: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the file system has no links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, target)
    except OSError:
        shutil.copy2(file, target)


def _restore(folder: Path, staging: Path) -> None:
    """Bring tables and receipts back to what they were; whoever is killed meanwhile can do it again.

    Raises
    ------
    ScreenError
        If files of before are gone from the staging folder, or one cannot be put back.
    """
    before = {path.relative_to(staging / _BEFORE): path for path in _files(staging / _BEFORE)}
    said = (staging / _MARK).read_bytes()
    if said != str(len(before)).encode():
        raise ScreenError(
            f"an import into {folder} was stopped half-way and cannot be undone: {staging / _BEFORE} should hold "
            f"{said.decode(errors='replace') or 'all'} files of before, {len(before)} are there. Import all tables "
            f"again into another folder; or delete {staging} to go on with the tables as they are now"
        )
    try:
        for name in _KEPT:
            for file in _files(folder / name):
                if file.relative_to(folder) not in before:
                    remove_file(file)
        for place, kept in before.items():
            target = folder / place
            if not (target.exists() and target.samefile(kept)):
                staged = target.with_name(f".{target.name}{TEMPORARY_SUFFIX}")
                remove_file(staged)
                _link(kept, staged)
                replace(staged, target)
    except OSError as error:
        raise explain(error, folder) from error
    remove_file(staging / _MARK)
