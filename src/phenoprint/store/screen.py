"""A screen: one folder with its configuration, tables, receipts and catalog."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from phenoprint.errors import SchemaError, ScreenError, ScreenNotFoundError, UnknownNameError, UsageError
from phenoprint.store import _query, catalog, lock, parts, run_record
from phenoprint.store._atomic import write_bytes
from phenoprint.store._describe import describe_columns, describe_tables
from phenoprint.store._merge import StoredWell
from phenoprint.store._query import FirstRows
from phenoprint.store._sql import left_out_error, relation_names
from phenoprint.store._status import ScreenStatus, read_status
from phenoprint.store._views import quote
from phenoprint.store.layout import CONFIG, partition, table_files, table_folder, tables_on_disk
from phenoprint.store.parquet import read_table, write_parquet
from phenoprint.tables import PLATE, conform, get_table, table_names

__all__ = ["Screen", "ScreenStatus", "create", "open"]


@dataclass(frozen=True, slots=True)
class Screen:
    """A screen folder; cheap to make, holds no file open, may be sent to other processes.

    Parameters
    ----------
    path
        The folder. Use `open` or `create`, which check it.
    """

    path: Path

    @property
    def name(self) -> str:
        """What the configuration calls the screen, or the folder's name."""
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
        """Why tables of the screen may not fit each other; None if they do.

        A run or an import is going on, or was stopped before its end.
        """
        return run_record.incomplete(self.path)

    def sql(self, query: str) -> pl.DataFrame:
        """Answer a query over the screen's tables; it can read these and nothing else, and change nothing.

        Parameters
        ----------
        query
            One statement of DuckDB's SQL that reads. ``SHOW TABLES``, ``DESCRIBE cell`` and
            ``SELECT * FROM feature`` say what there is.

        Returns
        -------
        polars.DataFrame
            Without ``ORDER BY`` the order of rows is not promised. Types that polars lacks, such as INTERVAL and
            UNION, are texts.

        Warns
        -----
        DamagedTableWarning
            If a table is left out because a file of it is damaged (`left_out`).

        Raises
        ------
        UnknownNameError
            If a table or column does not exist; names the closest.
        UsageError
            If the query is not valid SQL, is more than one statement, or would write or read another file.
        DamagedTableError
            If a file of a table that it uses is damaged.
        ScreenError
            If the catalog cannot be made or read.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     create(Path(folder) / "s").sql("SELECT count(*) AS n FROM well")["n"].to_list()
        [0]
        """
        return _query.answer(self.path, query)

    def first_rows(self, query: str, n: int) -> FirstRows:
        """Answer a query with its first `n` rows, which costs little where the query needs to read no more.

        Parameters
        ----------
        query
            As for `sql`; which rows are the first is up to its ``ORDER BY``.
        n
            How many rows.

        Returns
        -------
        FirstRows
            The rows, and how many there are in all where they were counted within a second.

        Raises
        ------
        PhenoprintError
            As `sql`.
        """
        return _query.first_rows(self.path, query, n)

    def table(self, name: str) -> pl.LazyFrame:
        """Give one table or saved view as a lazy frame; tables are read only as far as they are asked for.

        Raises
        ------
        UnknownNameError
            If there is no such table or view; names the closest.
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
        """Say what the tables and views are, or the columns of one of them.

        Parameters
        ----------
        name
            A table or view; None lists them all.

        Returns
        -------
        polars.DataFrame
            ``table_name``, ``comment``; or for one of them ``column``, ``type``, ``unit``, ``comment``, in the order of
            its columns. Units and comments of features are those of table ``feature``.

        Raises
        ------
        UnknownNameError
            If there is no such table or view; names the closest.
        DamagedTableError
            If it is left out because a file is damaged.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     create(Path(folder) / "s").describe("lost")["column"][0]
        'Metadata_Plate'
        """
        return describe_tables(self.path) if name is None else describe_columns(self.path, name)

    def left_out(self) -> pl.DataFrame:
        """List the tables and views that queries cannot use because a file is damaged.

        Returns
        -------
        polars.DataFrame
            One row per table or view: ``name``, the damaged ``table`` it needs, ``path`` of the file, ``reason``.
        """
        return catalog.left_out(self.path)

    def tables(self) -> list[str]:
        """List the tables that hold Parquet, sorted."""
        return tables_on_disk(self.path)

    def write(
        self, table: str, frame: pl.DataFrame, plate: str | None = None, *, part: str | None = None
    ) -> list[Path]:
        """Write rows of a table, in place of what those plates (or the screen) had of it.

        Parameters
        ----------
        table
            Table name.
        frame
            Its rows; checked against the table's declaration (`conform`).
        plate
            The plate they are of; None takes it from the rows, several plates included.
        part
            Name of the file within a plate's folder, where several steps write rows of their own; the table's
            name by default. Only the file of that name is replaced.

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
        declared = get_table(table)
        if plate is not None and not declared.per_plate:
            raise UsageError(f"table {table!r} is one for the whole screen; write it without a plate")
        if plate is not None and PLATE not in frame.columns:
            frame = frame.with_columns(pl.lit(plate, dtype=pl.String).alias(PLATE))
        rows = conform(frame, table)
        name = f"{part or table}.parquet"
        if not declared.per_plate:
            path = table_folder(self.path, table) / name
            write_parquet(rows, path, sort_by=declared.sort_by)
            return [path]
        if plate is not None:
            strangers = rows.filter(pl.col(PLATE).ne_missing(plate))[PLATE].unique().to_list()
            if strangers:
                raise SchemaError(f"table {table!r}, plate {plate!r}: the frame holds rows of plates {strangers}")
            groups: dict[str | None, pl.DataFrame] = {plate: rows}
        else:
            split = rows.partition_by(PLATE, as_dict=True, maintain_order=True)
            groups = {key[0]: group for key, group in split.items()}
        written = []
        for found, group in groups.items():
            path = partition(self.path, table, found) / name
            footer = parts.wells_footer(group) if declared.by_well else None
            write_parquet(group, path, sort_by=declared.sort_by, metadata=footer)
            written.append(path)
        return written

    def write_part(self, table: str, frame: pl.DataFrame, *, plate: str, well: str, key: str | None = None) -> Path:
        """Write one well's rows, to be merged by `compact`; see `store.write_part`."""
        return parts.write_part(self.path, table, frame, plate=plate, well=well, key=key)

    def compact(self, table: str, plate: str, *, drop: Collection[str] = ()) -> Path | None:
        """Merge the waiting parts of a plate into its one file; see `store.compact`."""
        return parts.compact(self.path, table, plate, drop=drop)

    def stored_wells(self, table: str, plate: str) -> dict[str, StoredWell]:
        """Wells of a plate that a table holds; see `store.stored_wells`."""
        return parts.stored_wells(self.path, table, plate)

    def lock(self, *, timeout_s: float = 1.0) -> AbstractContextManager[None]:
        """Hold the screen for writing while a ``with`` block lasts; see `store.hold`.

        Raises
        ------
        ScreenLockedError
            If another run holds it: who, where and since when.
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
        """Rebuild the catalog if it was built where the screen no longer is."""
        catalog.repair_moved(self.path)

    def status(self) -> ScreenStatus:
        """Say what the screen holds, how far its steps are, what failed, and who holds it now."""
        return read_status(self.path)


def open(path: str | Path) -> Screen:  # noqa: A001 - phenoprint.open is the public name
    """Open the screen in a folder.

    Parameters
    ----------
    path
        The folder, or a file in it such as its ``screen.toml``.

    Raises
    ------
    ScreenNotFoundError
        If there is no screen: says what is there and what to do.
    """
    folder = Path(path).expanduser()
    if folder.is_file() and is_screen(folder.parent):
        folder = folder.parent
    if not is_screen(folder):
        raise ScreenNotFoundError(f"no screen at {folder}: {_found(folder)}")
    return Screen(folder)


def create(path: str | Path, *, config_text: str | None = None) -> Screen:
    """Make a screen folder, or take up the one that is there.

    Parameters
    ----------
    path
        The folder; made with its parents if need be.
    config_text
        Text for ``screen.toml``; None keeps what is there.

    Raises
    ------
    ScreenError
        If a file is in the way or the folder cannot be written.
    """
    folder = Path(path).expanduser()
    if folder.exists() and not folder.is_dir():
        raise ScreenError(f"cannot make a screen at {folder}: a file is in the way; choose another name")
    config = folder / CONFIG
    if config_text is not None or not config.exists():
        write_bytes(config, (config_text or "").encode())
    return Screen(folder)


def is_screen(folder: Path) -> bool:
    """Whether a folder is a screen's: it has a ``screen.toml`` or tables."""
    return (folder / CONFIG).is_file() or bool(folder.is_dir() and tables_on_disk(folder))


def _found(folder: Path) -> str:
    """Say what lies where a screen was expected, and what to do about it."""
    if folder.is_file():
        return "that is a file; give the screen's folder"
    if not folder.exists():
        beside = [path for path in _folders(folder.parent) if is_screen(path)]
        near = f"; screens beside it: {', '.join(path.name for path in beside[:5])}" if beside else ""
        return f"the folder does not exist{near}. Check the path, or make a screen with `phenoprint run CONFIG`"
    inside = [path for path in _folders(folder) if is_screen(path)]
    if inside:
        return f"the folder holds screens of its own ({', '.join(path.name for path in inside[:5])}); give one of them"
    kinds: dict[str, int] = {}
    for path in _first_files(folder, 2000):
        kinds[path.suffix.lower() or "no suffix"] = kinds.get(path.suffix.lower() or "no suffix", 0) + 1
    most = sorted(kinds.items(), key=lambda item: -item[1])[:3]
    what = ", ".join(f"{count} x {kind}" for kind, count in most) or "nothing"
    return (
        f"the folder has neither {CONFIG} nor tables; it holds {what}. "
        f"If these are images, `phenoprint init {folder}` looks at them and writes {CONFIG}"
    )


def _folders(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (path for path in sorted(folder.iterdir())[:200] if path.is_dir())


def _first_files(folder: Path, limit: int) -> Iterator[Path]:
    files = (path for path in folder.rglob("*") if path.is_file())
    for _, path in zip(range(limit), files, strict=False):
        yield path
