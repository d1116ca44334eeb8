"""The catalog, ``screen.duckdb``: tables with keys, views over Parquet, comments, saved views.

Parquet is the truth and the catalog can be made again from it at any time: it is built in a temporary file, read back
and compared, and takes its name in one step. It knows the state of the Parquet it was made from and where that lies,
so that a reader finds out whether it is current. Its views hold absolute paths, so that any client reads them from any
working directory; when the screen has moved, the next query makes the catalog again.

A table whose file is damaged is left out by name, with the views that use it; all others can be asked.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import duckdb
import polars as pl
from filelock import FileLock, Timeout

from phenoprint.errors import ScreenError
from phenoprint.store._atomic import TEMPORARY_SUFFIX, explain, free_room, remove_file, replace, sync_file, sync_folder
from phenoprint.store._build import LEFT_OUT, STATE, check, fill, glob_prefix, literal
from phenoprint.store.layout import CATALOG, table_files, tables_on_disk

__all__ = [
    "DamagedTableWarning",
    "connect",
    "fingerprint",
    "is_current",
    "left_out",
    "rebuild",
    "sweep_catalog",
    "temporary_catalog",
]

_ATTEMPTS = 3
_SCHEMA = {"name": pl.String(), "table": pl.String(), "path": pl.String(), "reason": pl.String()}


class DamagedTableWarning(UserWarning):
    """A table is damaged and left out of the catalog; queries on other tables go on."""


def fingerprint(folder: Path) -> str:
    """Hash the state of a screen's Parquet: where it lies, files, sizes, times, and the software that reads them."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{_version()} {duckdb.__version__} {glob_prefix(folder)}".encode())
    for table in tables_on_disk(folder):
        for file in table_files(folder, table):
            with suppress(FileNotFoundError):  # replaced between listing and looking
                stat = file.stat()
                state = (file.relative_to(folder).as_posix(), stat.st_size, stat.st_mtime_ns)
                digest.update(json.dumps(state).encode())
    return digest.hexdigest()


def is_current(folder: Path) -> bool:
    """Whether ``screen.duckdb`` was made from the Parquet that is there now."""
    connection = _open_current(folder)
    if connection is not None:
        connection.close()
    return connection is not None


def rebuild(folder: Path, *, only_if_stale: bool = False) -> Path:
    """Make the catalog anew from Parquet and swap it in.

    Parameters
    ----------
    folder
        The screen folder.
    only_if_stale
        Leave it as it is if another process has made it current meanwhile.

    Returns
    -------
    pathlib.Path
        The catalog. The same Parquet gives the same tables, rows and views.

    Raises
    ------
    ScreenError
        If the catalog cannot be written whole, or another program holds it open (Windows); the earlier one stays.
    """
    target = folder / CATALOG
    temporary = temporary_catalog(folder)
    try:
        with FileLock(_lock(folder), timeout=120):
            if only_if_stale and is_current(folder):
                return target
            try:
                _remove_temporaries(folder)
                build(folder, temporary)
                sync_file(temporary)
                replace(temporary, target)
                sync_folder(folder)
            finally:
                _remove_temporaries(folder)
    except Timeout:
        raise ScreenError(f"another process has been rebuilding {target} for two minutes; try again") from None
    except OSError as error:
        raise explain(error, target) from error
    return target


def build(folder: Path, target: Path) -> None:
    """Write the catalog of a screen folder into a new file and read it back.

    Raises
    ------
    ScreenError
        If the file does not hold what was meant; says how much room is left.
    """
    settings = _settings(tempfile.gettempdir())
    try:
        for attempt in range(_ATTEMPTS):
            state = fingerprint(folder)
            content = fill(folder, target, state=(state, f"phenoprint {_version()}"), settings=settings)
            # A file that a run replaced meanwhile looks like a damaged one: look again.
            if not content.left_out or state == fingerprint(folder) or attempt == _ATTEMPTS - 1:
                break
            target.unlink()
        check(target, content)
    except ScreenError as error:
        raise ScreenError(
            f"the catalog of {folder} cannot be made: {error}. {free_room(target)}; free some, or make the "
            "folder writable, and try again: an earlier catalog stays as it was"
        ) from error


@contextmanager
def connect(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the catalog read-only, made anew first if Parquet has changed since.

    Where the screen folder cannot be written, a catalog is made in the system's temporary folder for the time of the
    block. The connection reads the tables of the screen and no other file, and none of that can be changed by a query.

    Warns
    -----
    DamagedTableWarning
        If a table is left out because a file of it is damaged.

    Raises
    ------
    ScreenError
        As `rebuild`, if the temporary folder cannot be written either.
    """
    with tempfile.TemporaryDirectory(prefix="phenoprint-", ignore_cleanup_errors=True) as scratch:
        connection = _open_current(folder, spill=scratch)
        if connection is None:
            path = folder / CATALOG
            try:
                rebuild(folder, only_if_stale=True)
            except ScreenError:
                path = Path(scratch) / CATALOG
                build(folder, path)
            connection = _open(path, spill=scratch)
        with closing(connection):
            _confine(connection, folder)
            _warn(_read_left_out(connection))
            yield connection


def left_out(folder: Path) -> pl.DataFrame:
    """List the tables and views that queries cannot use because a file is damaged.

    Returns
    -------
    polars.DataFrame
        One row per table or view: ``name``, the damaged ``table`` it needs, ``path`` of the file, ``reason``.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedTableWarning)
        with connect(folder) as connection:
            return _read_left_out(connection)


def sweep_catalog(folder: Path) -> None:
    """Remove what a killed rebuild left behind, unless a reader is rebuilding right now."""
    with suppress(Timeout, OSError), FileLock(_lock(folder), timeout=0):
        _remove_temporaries(folder)


def _read_left_out(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    rows = connection.execute(f"FROM {LEFT_OUT} ORDER BY name").fetchall()
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def _warn(frame: pl.DataFrame) -> None:
    for table, path, reason in frame.select("table", "path", "reason").unique(maintain_order=True).iter_rows():
        names = frame.filter(table=table)["name"].to_list()
        warnings.warn(
            f"left out because a file is damaged: {', '.join(names)} ({path}: {reason}). Run the screen again "
            "('phenoprint run SCREEN --rehash'), which makes it anew; what was imported is imported again",
            DamagedTableWarning,
            stacklevel=8,  # who called Screen.sql
        )


def _open(path: Path, *, spill: str | None = None) -> duckdb.DuckDBPyConnection:
    """Open a catalog read-only, in a database of its own: DuckDB shares one by path, even if the file is another."""
    connection = duckdb.connect(config={**_settings(spill or tempfile.gettempdir())})
    try:
        connection.execute(f"ATTACH {literal(str(path))} AS screen (READ_ONLY)")
        connection.execute("USE screen")
    except BaseException:
        connection.close()
        raise
    return connection


def _open_current(folder: Path, *, spill: str | None = None) -> duckdb.DuckDBPyConnection | None:
    """Open the catalog of a screen; None if there is none that was made from the Parquet that is there now."""
    try:
        connection = _open(folder / CATALOG, spill=spill)
    except (duckdb.Error, OSError):
        return None
    try:
        rows = connection.execute(f"SELECT fingerprint FROM {STATE}").fetchall()  # noqa: S608 - a constant
        if rows == [(fingerprint(folder),)]:
            return connection
    except (duckdb.Error, OSError):
        pass
    connection.close()
    return None


def _confine(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Let a connection read the tables of a screen and nothing else, for good."""
    tables = folder / "tables"
    linked = [path for path in tables.iterdir() if path.is_symlink()] if tables.is_dir() else []
    allowed = {f"{path.resolve().as_posix()}/" for path in (tables, *linked)}
    allowed.add(f"{glob_prefix(folder)}tables/")  # DuckDB compares a pattern as it is written
    connection.execute(f"SET allowed_directories = [{', '.join(literal(path) for path in sorted(allowed))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _settings(spill: str) -> dict[str, str]:
    """How much memory a query may take, where it spills, and nothing from elsewhere."""
    return {
        "memory_limit": _memory(),
        "temp_directory": spill,
        "python_enable_replacements": "false",  # a variable of the caller is no table
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
    }


def _memory() -> str:
    import psutil

    return f"{max(psutil.virtual_memory().available // 2**20 * 7 // 10, 512)}MiB"


def temporary_catalog(folder: Path) -> Path:
    """Return the file that a catalog is built in; only who holds the catalog's lock may touch it."""
    return folder / f".{CATALOG}{TEMPORARY_SUFFIX}"


def _lock(folder: Path) -> Path:
    return folder / f"{CATALOG}.lock"


def _remove_temporaries(folder: Path) -> None:
    temporary = temporary_catalog(folder)
    for path in (temporary, Path(f"{temporary}.wal")):
        remove_file(path)


@cache
def _version() -> str:
    try:
        return version("phenoprint")
    except PackageNotFoundError:
        return "unknown"
