"""A screen: one folder with its configuration, tables, receipts and catalog."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from phenoprint.errors import UnknownNameError
from phenoprint.store import _query, catalog, lock, parts, run_record
from phenoprint.store._describe import describe_columns, describe_tables
from phenoprint.store._merge import StoredWell
from phenoprint.store._query import FirstRows
from phenoprint.store._sql import left_out_error, relation_names
from phenoprint.store._status import ScreenStatus, read_status
from phenoprint.store._views import quote
from phenoprint.store._write import write_table
from phenoprint.store.layout import CONFIG, STEP_LEVELS, table_files, tables_on_disk
from phenoprint.store.parquet import read_table
from phenoprint.tables import table_names

__all__ = ["Screen"]


@dataclass(frozen=True, slots=True)
class Screen:
    """A screen folder. It holds no file open and may be sent to other processes.

    Parameters
    ----------
    path
        The folder. Use `open` or `create`, which check it.
    """

    path: Path

    @property
    def name(self) -> str:
        """Name of the screen in its configuration, or the name of the folder."""
        try:
            config = tomllib.loads(self.config_text)
        except (tomllib.TOMLDecodeError, OSError, UnicodeDecodeError):
            return self.path.resolve().name
        section = config.get("screen")
        name = section.get("name") if isinstance(section, Mapping) else config.get("name")
        return name if isinstance(name, str) and name else self.path.resolve().name

    @property
    def config_text(self) -> str:
        """Text of ``screen.toml``; empty if there is none."""
        path = self.path / CONFIG
        return path.read_text("utf-8") if path.is_file() else ""

    @property
    def incomplete(self) -> str | None:
        """Why tables of the screen may not belong together; None if they do.

        A run or an import is in progress, or was stopped before its end.
        """
        return run_record.incomplete(self.path)

    def sql(self, query: str) -> pl.DataFrame:
        """Return the result of a query over the screen's tables.

        A query can read these tables and no other file, and cannot change anything.

        Parameters
        ----------
        query
            One statement of DuckDB's SQL that reads. ``SHOW TABLES``, ``DESCRIBE cell`` and
            ``SELECT * FROM feature`` list tables, columns and features.

        Returns
        -------
        polars.DataFrame
            The order of rows is only defined with ``ORDER BY``. Values of types that polars lacks, such as INTERVAL
            and UNION, are texts.

        Warns
        -----
        DamagedTableWarning
            If a table is left out because a file of it is damaged or missing (`left_out`).

        Raises
        ------
        UnknownNameError
            If a table or column does not exist; lists the closest names.
        UsageError
            If the query is not valid SQL, has more than one statement, or would write or read another file.
        DamagedTableError
            If a file of a table that it uses is damaged or missing.
        ScreenError
            If the catalog cannot be written or read.

        Examples
        --------
        >>> import tempfile
        >>> from phenoprint.store import create
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     create(Path(folder) / "s").sql("SELECT count(*) AS n FROM well")["n"].to_list()
        [0]
        """
        return _query.answer(self.path, query)

    def first_rows(self, query: str, n: int) -> FirstRows:
        """Return the first `n` rows of a result; no more rows are computed than the query needs for them.

        Parameters
        ----------
        query
            As for `sql`; its ``ORDER BY`` determines which rows are the first.
        n
            Number of rows.

        Returns
        -------
        FirstRows
            The rows, and the number of all rows if they can be counted within a second.

        Raises
        ------
        PhenoprintError
            As `sql`.
        """
        return _query.first_rows(self.path, query, n)

    def table(self, name: str) -> pl.LazyFrame:
        """Return a table or saved view as a lazy frame; only the columns and rows that are used are read.

        Raises
        ------
        UnknownNameError
            If there is no such table or view; lists the closest names.
        DamagedTableError
            If a file of it, or of a table that the view uses, is damaged.
        """
        if name in table_names() or table_files(self.path, name):
            return read_table(self.path, name)
        with catalog.connect(self.path) as connection:
            known = relation_names(connection)
            lost = left_out_error(connection, name)
        if lost is not None:
            raise lost
        if name not in known:
            raise UnknownNameError("table", name, known)
        return self.sql(f"SELECT * FROM {quote(name)}").lazy()  # noqa: S608 - one of the catalog's own names

    def describe(self, name: str | None = None) -> pl.DataFrame:
        """Describe all tables and views, or the columns of one of them.

        Parameters
        ----------
        name
            A table or view; None lists them all.

        Returns
        -------
        polars.DataFrame
            ``table_name``, ``comment``; or, for one table, ``column``, ``type``, ``unit``, ``comment`` in the order of
            its columns. Units and comments of features come from table ``feature``.

        Raises
        ------
        UnknownNameError
            If there is no such table or view; lists the closest names.
        DamagedTableError
            If it is left out because a file is damaged or missing.

        Examples
        --------
        >>> import tempfile
        >>> from phenoprint.store import create
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     create(Path(folder) / "s").describe("lost")["column"][0]
        'Metadata_Plate'
        """
        return describe_tables(self.path) if name is None else describe_columns(self.path, name)

    def left_out(self) -> pl.DataFrame:
        """List the tables and views that queries cannot use because a file is damaged or missing.

        Returns
        -------
        polars.DataFrame
            One row per table or view: ``name``, the damaged ``table`` it needs, ``path`` of the file, ``reason``.
        """
        return catalog.tables_left_out(self.path)

    def tables(self) -> list[str]:
        """List the tables that hold Parquet, sorted, with levels 4a and 4b where a step of the recipe made them."""
        levels = {table for table in STEP_LEVELS if table_files(self.path, table)}
        return sorted(levels.union(tables_on_disk(self.path)))

    def write(
        self, table: str, frame: pl.DataFrame, plate: str | None = None, *, part: str | None = None
    ) -> list[Path]:
        """Write rows of a table; they replace what the table had of their plates, or of the screen.

        Parameters
        ----------
        table
            Table name.
        frame
            The rows; checked against the declaration of the table (`conform`).
        plate
            The plate of all rows; None takes the plates from the rows.
        part
            Name of the file within the folder of a plate, where several steps write rows of one table; by default
            the name of the table. Only the file of that name is replaced.

        Returns
        -------
        list of pathlib.Path
            Files written.

        Raises
        ------
        SchemaError
            If the frame does not fit the table, or holds rows of another plate.
        ScreenError
            If a file cannot be written.
        """
        return write_table(self.path, table, frame, plate, part=part)

    def write_part(self, table: str, frame: pl.DataFrame, *, plate: str, well: str, key: str | None = None) -> Path:
        """Write the rows of one well, which `compact` merges later; see `store.write_part`."""
        return parts.write_part(self.path, table, frame, plate=plate, well=well, key=key)

    def compact(self, table: str, plate: str, *, drop: Collection[str] = ()) -> Path | None:
        """Merge the waiting parts of a plate into one file; see `store.compact`."""
        return parts.compact(self.path, table, plate, drop=drop)

    def stored_wells(self, table: str, plate: str) -> dict[str, StoredWell]:
        """Return the wells of a plate that a table holds; see `store.stored_wells`."""
        return parts.stored_wells(self.path, table, plate)

    def lock(self, *, timeout_s: float = 1.0) -> AbstractContextManager[None]:
        """Lock the screen for writing within a ``with`` block; see `store.lock.hold`.

        Raises
        ------
        ScreenLockedError
            If another process holds the lock: names process, computer and time.
        """
        return lock.hold(self.path, timeout_s=timeout_s)

    def rebuild_catalog(self) -> Path:
        """Rebuild ``screen.duckdb`` from Parquet; `sql` does so by itself when it has to.

        Returns
        -------
        pathlib.Path
            The catalog: in the screen folder, or in the user's cache folder where that folder cannot be written.

        Raises
        ------
        ScreenError
            If it cannot be written; the earlier one is kept.
        """
        return catalog.rebuild(self.path)

    def repair_moved(self) -> None:
        """Rebuild the catalog if the folder was moved or copied since it was built."""
        catalog.repair_moved(self.path)

    def status(self) -> ScreenStatus:
        """Return what the screen holds, how far its steps are, what failed, and which process holds its lock."""
        return read_status(self.path)
