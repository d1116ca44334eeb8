"""Find, open and make screen folders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from phenoprint.errors import ScreenError, ScreenNotFoundError
from phenoprint.store._atomic import write_bytes
from phenoprint.store.layout import CONFIG, tables_on_disk
from phenoprint.store.screen import Screen

__all__ = ["create", "is_screen", "open"]


def open(path: str | Path) -> Screen:  # noqa: A001 - phenoprint.open is the public name
    """Open the screen in a folder.

    Parameters
    ----------
    path
        The folder, or a file in it such as its ``screen.toml``.

    Raises
    ------
    ScreenNotFoundError
        If there is no screen: the message describes what is there and what to do.
    """
    folder = Path(path).expanduser()
    if folder.is_file() and is_screen(folder.parent):
        folder = folder.parent
    if not is_screen(folder):
        raise ScreenNotFoundError(f"no screen at {folder}: {_found(folder)}")
    return Screen(folder)


def create(path: str | Path, *, config_text: str | None = None) -> Screen:
    """Make a screen folder, or return the one that is there.

    Parameters
    ----------
    path
        The folder; missing parents are made.
    config_text
        Text for ``screen.toml``; None keeps what is there.

    Raises
    ------
    ScreenError
        If a file has that name or the folder cannot be written.
    """
    folder = Path(path).expanduser()
    if folder.exists() and not folder.is_dir():
        raise ScreenError(f"cannot make a screen at {folder}: a file has that name; choose another")
    config = folder / CONFIG
    if config_text is not None or not config.exists():
        write_bytes(config, (config_text or "").encode())
    return Screen(folder)


def is_screen(folder: Path) -> bool:
    """Whether a folder is a screen: it has a ``screen.toml`` or tables."""
    return (folder / CONFIG).is_file() or bool(folder.is_dir() and tables_on_disk(folder))


def _found(folder: Path) -> str:
    """Describe what is there instead of a screen, and what to do about it."""
    if folder.is_file():
        return "that is a file; give the screen's folder"
    if not folder.exists():
        beside = [path for path in _folders(folder.parent) if is_screen(path)]
        near = f"; screens beside it: {', '.join(path.name for path in beside[:5])}" if beside else ""
        return f"the folder does not exist{near}. Check the path, or make a screen with `phenoprint run CONFIG`"
    inside = [path for path in _folders(folder) if is_screen(path)]
    if inside:
        return f"the folder holds screens ({', '.join(path.name for path in inside[:5])}); give one of them"
    kinds: dict[str, int] = {}
    for path in _first_files(folder, 2000):
        kinds[path.suffix.lower() or "no suffix"] = kinds.get(path.suffix.lower() or "no suffix", 0) + 1
    most = sorted(kinds.items(), key=lambda item: -item[1])[:3]
    what = ", ".join(f"{count} x {kind}" for kind, count in most) or "nothing"
    return (
        f"the folder has neither {CONFIG} nor tables; it holds {what}. "
        f"If these are images, `phenoprint init {folder}` inspects them and writes {CONFIG}"
    )


def _folders(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (path for path in sorted(folder.iterdir())[:200] if path.is_dir())


def _first_files(folder: Path, limit: int) -> Iterator[Path]:
    files = (path for path in folder.rglob("*") if path.is_file())
    for _, path in zip(range(limit), files, strict=False):
        yield path
