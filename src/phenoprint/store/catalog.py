"""The catalog, ``screen.duckdb``: small tables with keys, views over Parquet, comments, saved views.

The catalog is derived from Parquet and can be rebuilt at any time. Its views hold absolute paths, so that any DuckDB
client reads them from any working directory; the catalog of a screen that was moved is rebuilt when the screen is
opened or queried. Its file format is that of DuckDB 1.0, which DuckDB 1.1 to 2.0 read.

The catalog is in the screen folder. Where that folder cannot be written it is in the user's cache folder, and
where that cannot be written either, in a temporary folder for the time of one query.

A table with a damaged or missing file is left out by name, with the views that use it; all others can be queried.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import duckdb
import polars as pl

from phenoprint.errors import ScreenError
from phenoprint.store import _catalog_file
from phenoprint.store._atomic import FORBIDDEN
from phenoprint.store._build import LEFT_OUT, glob_prefix
from phenoprint.store._views import literal
from phenoprint.store.layout import CATALOG

__all__ = ["DamagedTableWarning", "connect", "is_current", "rebuild", "repair_moved", "tables_left_out"]

_SCHEMA = {"name": pl.String(), "table": pl.String(), "path": pl.String(), "reason": pl.String()}


class DamagedTableWarning(UserWarning):
    """A table is damaged and left out of the catalog; queries on other tables work."""


def is_current(folder: Path) -> bool:
    """Whether the catalog of a screen was built from the Parquet that is there now."""
    connection = _catalog_file.open_current(folder)
    if connection is not None:
        connection.close()
    return connection is not None


def rebuild(folder: Path) -> Path:
    """Build the catalog from Parquet and replace the earlier one.

    Parameters
    ----------
    folder
        The screen folder.

    Returns
    -------
    pathlib.Path
        The catalog: in the screen folder, or in the user's cache folder where the screen folder cannot be written.
        The same Parquet gives the same tables, rows and views.

    Raises
    ------
    ScreenError
        If the catalog cannot be written, or another program holds it open (Windows); the earlier one is kept.
    """
    first, *others = _catalog_file.writable_places(folder)
    try:
        return _catalog_file.write(folder, first)
    except ScreenError as error:
        # Network file systems report a folder as writable and forbid it afterwards.
        if not others or getattr(error.__cause__, "errno", None) not in FORBIDDEN:
            raise
        return _catalog_file.write(folder, others[0])


def repair_moved(folder: Path) -> None:
    """Rebuild the catalog of a screen whose folder was moved or copied; other catalogs are left as they are.

    Nothing is raised where no catalog can be written: the next query reports why.
    """
    state = _catalog_file.read_state(folder / CATALOG)
    if state is not None and state.location != glob_prefix(folder) and not is_current(folder):
        with suppress(ScreenError):
            rebuild(folder)


@contextmanager
def connect(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the catalog read-only; it is rebuilt first if Parquet has changed since.

    The connection reads the tables of the screen and no other file, and a query can change neither.

    Warns
    -----
    DamagedTableWarning
        If a table is left out because a file of it is damaged or missing.

    Raises
    ------
    ScreenError
        If no catalog can be written anywhere.
    """
    with tempfile.TemporaryDirectory(prefix="phenoprint-", ignore_cleanup_errors=True) as scratch:
        connection = _catalog_file.open_current(folder, spill=scratch)
        if connection is None:
            connection = _catalog_file.open_file(_renew(folder, Path(scratch)), spill=scratch)
        with closing(connection):
            _confine(connection, folder)
            _warn(_read_left_out(connection))
            yield connection


def tables_left_out(folder: Path) -> pl.DataFrame:
    """List the tables and views that queries cannot use because a file is damaged or missing.

    Returns
    -------
    polars.DataFrame
        One row per table or view: ``name``, the damaged ``table`` it needs, ``path`` of the file, ``reason``.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedTableWarning)
        with connect(folder) as connection:
            return _read_left_out(connection)


def _renew(folder: Path, scratch: Path) -> Path:
    """Write the catalog to the first place that can be written."""
    for target in _catalog_file.writable_places(folder):
        with suppress(ScreenError):
            return _catalog_file.write(folder, target, only_if_stale=True)
    _catalog_file.build(folder, scratch / CATALOG)
    return scratch / CATALOG


def _read_left_out(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    rows = connection.execute(f"FROM {LEFT_OUT} ORDER BY name").fetchall()
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def _warn(frame: pl.DataFrame) -> None:
    for table, path, reason in frame.select("table", "path", "reason").unique(maintain_order=True).iter_rows():
        names = frame.filter(table=table)["name"].to_list()
        warnings.warn(
            f"left out because a file is damaged or missing: {', '.join(names)} ({path}: {reason}). Run the screen "
            "again ('phenoprint run SCREEN --rehash'), which writes the file again; import again what was imported",
            DamagedTableWarning,
            stacklevel=8,  # the caller of Screen.sql
        )


def _confine(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Restrict a connection to the tables of a screen, for good."""
    tables = folder / "tables"
    linked = [path for path in tables.iterdir() if path.is_symlink()] if tables.is_dir() else []
    allowed = {f"{path.resolve().as_posix()}/" for path in (tables, *linked)}
    allowed.add(f"{glob_prefix(folder)}tables/")  # DuckDB compares a pattern as it is written
    connection.execute(f"SET allowed_directories = [{', '.join(literal(path) for path in sorted(allowed))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
