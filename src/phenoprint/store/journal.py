"""Imports that are completed or undone, even if the process is killed.

Imported files are first written into a staging folder. While they are moved into place, that folder also holds links to
all earlier files of the screen. An error restores them at once; if the process was killed, the next import restores
them.
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
from phenoprint.store._atomic import TEMPORARY_SUFFIX, remove_file, replace, write_bytes, write_error

__all__ = ["has_killed_import", "placing", "staging_folder", "undo_killed_imports"]

_STAGING: Final = ".import-"
_MARK: Final = "placing"
_BEFORE: Final = "before"
_KEPT: Final = ("tables", "receipts")


def has_killed_import(folder: Path) -> bool:
    """Whether tables of a screen are partly replaced: an import is moving files into place, or was killed doing so."""
    return any((left / _MARK).exists() for left in folder.glob(f"{_STAGING}*"))


def undo_killed_imports(folder: Path) -> bool:
    """Restore what a screen held before imports that were killed while they moved files; return whether there were any.

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
    """Make a folder in a screen for files that are not in place yet; undo imports that were killed.

    Parameters
    ----------
    folder
        The screen folder, which the caller has locked.

    Yields
    ------
    pathlib.Path
        The folder; it is removed after the block.
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
    """Undo changes of tables and receipts if the block fails.

    Parameters
    ----------
    folder
        The screen folder. Its files are replaced, never modified, so that links keep the earlier content.
    staging
        The folder from `staging_folder`.

    Raises
    ------
    ScreenError
        If the links cannot be made.
    """
    files = [file for name in _KEPT for file in _files(folder / name)]
    try:
        for file in files:
            _link(file, staging / _BEFORE / file.relative_to(folder))
    except OSError as error:
        raise write_error(error, staging) from error
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
    """Make a hard link to a file, or a copy if the file system has no links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, target)
    except OSError:
        shutil.copy2(file, target)


def _restore(folder: Path, staging: Path) -> None:
    """Restore tables and receipts; this can be repeated if it is interrupted.

    Raises
    ------
    ScreenError
        If earlier files are missing from the staging folder, or one cannot be restored.
    """
    before = {path.relative_to(staging / _BEFORE): path for path in _files(staging / _BEFORE)}
    expected = (staging / _MARK).read_bytes()
    if expected != str(len(before)).encode():
        raise ScreenError(
            f"an import into {folder} was stopped and cannot be undone: {staging / _BEFORE} should hold "
            f"{expected.decode(errors='replace') or 'all'} earlier files, {len(before)} are there. Import all tables "
            f"again into another folder; or delete {staging} to continue with the tables as they are now"
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
        raise write_error(error, folder) from error
    remove_file(staging / _MARK)
