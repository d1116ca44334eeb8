"""The file of a catalog: where it is, whether it is up to date, and how it is written.

It is built in a temporary file, read back, compared and then renamed into place. It records the state of the Parquet
it was built from, so that a reader detects an outdated one.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout

from phenoprint.errors import ScreenError
from phenoprint.store._atomic import (
    TEMPORARY_SUFFIX,
    free_room,
    remove_file,
    replace,
    sync_file,
    sync_folder,
    write_error,
)
from phenoprint.store._build import STATE, CatalogState, check, fill, glob_prefix
from phenoprint.store._views import literal
from phenoprint.store.layout import CATALOG, table_files, tables_on_disk
from phenoprint.version import __version__

__all__ = [
    "build",
    "fingerprint",
    "open_current",
    "open_file",
    "places",
    "read_state",
    "sweep_catalog",
    "temporary_catalog",
    "writable_places",
    "write",
]

_ATTEMPTS = 3
_KEPT_S = 30 * 86_400.0


def fingerprint(folder: Path) -> str:
    """Hash the state of a screen's Parquet: its location, files, sizes, times, and the version of Phenoprint."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{__version__} {glob_prefix(folder)}".encode())
    for table in tables_on_disk(folder):
        for file in table_files(folder, table):
            with suppress(FileNotFoundError):  # replaced between listing and reading its size
                stat = file.stat()
                state = (file.relative_to(folder).as_posix(), stat.st_size, stat.st_mtime_ns)
                digest.update(json.dumps(state).encode())
    return digest.hexdigest()


def places(folder: Path) -> tuple[Path, Path]:
    """Return where the catalog of a screen may be: in its folder or, if that is read-only, in the user's cache."""
    key = hashlib.blake2b(glob_prefix(folder).encode(), digest_size=8).hexdigest()
    return folder / CATALOG, cache_folder() / f"{folder.resolve().name[:60]}-{key}.duckdb"


def writable_places(folder: Path) -> tuple[Path, ...]:
    """Return where the catalog of a screen may be written, the preferred place first."""
    return places(folder) if os.access(folder, os.W_OK) else places(folder)[1:]


def cache_folder() -> Path:
    """Return the folder for catalogs of screens whose folder cannot be written."""
    import platformdirs

    return Path(platformdirs.user_cache_path("phenoprint", appauthor=False)) / "catalogs"


def temporary_catalog(target: Path) -> Path:
    """Return the file that a catalog is built in; only the holder of the catalog's lock may touch it."""
    return target.with_name(f".{target.name}{TEMPORARY_SUFFIX}")


def settings(spill: str) -> dict[str, str]:
    """Return the settings of DuckDB: how much memory a query may take, where it spills, and no other sources."""
    import psutil

    return {
        "memory_limit": f"{max(psutil.virtual_memory().available // 2**20 * 7 // 10, 512)}MiB",
        "temp_directory": spill,
        "python_enable_replacements": "false",  # a variable of the caller is no table
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
    }


def open_file(path: Path, *, spill: str | None = None) -> duckdb.DuckDBPyConnection:
    """Open a catalog read-only, in a database of its own: DuckDB shares one by path, even if the file is another."""
    connection = duckdb.connect(config={**settings(spill or tempfile.gettempdir())})
    try:
        connection.execute(f"ATTACH {literal(str(path))} AS screen (READ_ONLY)")
        connection.execute("USE screen")
    except BaseException:
        connection.close()
        raise
    return connection


def open_current(folder: Path, *, spill: str | None = None) -> duckdb.DuckDBPyConnection | None:
    """Open the catalog of a screen; None if there is none that was built from the Parquet that is there now."""
    found = [path for path in places(folder) if path.is_file()]
    state = fingerprint(folder) if found else ""
    return next((held for path in found if (held := _open_if(path, state, spill=spill)) is not None), None)


def _open_if(path: Path, state: str, *, spill: str | None = None) -> duckdb.DuckDBPyConnection | None:
    """Open a catalog that was built from a certain state of the Parquet; None if it was not or cannot be read."""
    try:
        connection = open_file(path, spill=spill)
    except (duckdb.Error, OSError):
        return None
    if (found := _state(connection)) is not None and found.fingerprint == state:
        return connection
    connection.close()
    return None


def read_state(path: Path) -> CatalogState | None:
    """Read what a catalog was built from; None if it is missing or cannot be read."""
    try:
        with open_file(path) as connection:
            return _state(connection)
    except (duckdb.Error, OSError):
        return None


def _state(connection: duckdb.DuckDBPyConnection) -> CatalogState | None:
    try:
        [row] = connection.execute(f"FROM {STATE}").fetchall()
        return CatalogState(*row)
    except (duckdb.Error, OSError, ValueError, TypeError):  # not a catalog, or one of another version
        return None


def write(folder: Path, target: Path, *, only_if_stale: bool = False) -> Path:
    """Build a catalog and replace the file `target` by it.

    Parameters
    ----------
    folder
        The screen folder.
    target
        The catalog; its folder is made.
    only_if_stale
        Keep it if another process has brought it up to date meanwhile.

    Raises
    ------
    ScreenError
        If it cannot be written, or another program holds it open (Windows); the earlier one is kept.
    """
    temporary = temporary_catalog(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(_lock(target), timeout=120):
            if only_if_stale and (held := _open_if(target, fingerprint(folder))) is not None:
                held.close()
                return target
            try:
                _remove_temporaries(target)
                if target.parent == cache_folder():
                    _remove_old(target.parent)
                build(folder, temporary)
                sync_file(temporary)
                replace(temporary, target)
                sync_folder(target.parent)
            finally:
                _remove_temporaries(target)
    except Timeout:
        raise ScreenError(f"another process has been rebuilding {target} for two minutes; try again") from None
    except OSError as error:
        raise write_error(error, target) from error
    return target


def build(folder: Path, target: Path) -> None:
    """Write the catalog of a screen folder into a new file and read it back.

    Raises
    ------
    ScreenError
        If the file does not hold what was written; the message includes the free space.
    """
    try:
        for attempt in range(_ATTEMPTS):
            state = CatalogState(fingerprint(folder), f"phenoprint {__version__}", glob_prefix(folder))
            content = fill(folder, target, state=state, settings=settings(tempfile.gettempdir()))
            # A file that a run replaced meanwhile looks like a damaged one: try again.
            if not content.left_out or state.fingerprint == fingerprint(folder) or attempt == _ATTEMPTS - 1:
                break
            target.unlink()
        check(target, content)
    except ScreenError as error:
        raise ScreenError(
            f"the catalog of {folder} cannot be made: {error}. {free_room(target)}; free some, or make the "
            "folder writable, and try again. An earlier catalog is kept"
        ) from error


def sweep_catalog(folder: Path) -> None:
    """Remove what a killed rebuild left in a screen folder, unless a process is rebuilding the catalog now."""
    target = folder / CATALOG
    with suppress(Timeout, OSError), FileLock(_lock(target), timeout=0):
        _remove_temporaries(target)


def _lock(target: Path) -> Path:
    return target.with_name(f"{target.name}.lock")


def _remove_temporaries(target: Path) -> None:
    temporary = temporary_catalog(target)
    for path in (temporary, Path(f"{temporary}.wal")):
        remove_file(path)


def _remove_old(cache: Path) -> None:
    """Remove cached catalogs that were built more than 30 days ago; a query that needs one builds it again."""
    for path in cache.glob("*.duckdb*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _KEPT_S:
                path.unlink()
