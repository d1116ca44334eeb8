"""A screen: one folder with its configuration, tables, receipts and catalog."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl
import pyarrow.parquet as pq

from phenoprint.errors import SchemaError, ScreenError, ScreenNotFoundError, UnknownNameError, UsageError
from phenoprint.store import catalog, lock, parts, receipts
from phenoprint.store._atomic import write_bytes
from phenoprint.store._merge import PART_SUFFIX, StoredWell
from phenoprint.store._sql import translate
from phenoprint.store.layout import CONFIG, partition, plate_of, table_files, table_folder, tables_on_disk
from phenoprint.store.parquet import read_table, write_parquet
from phenoprint.store.schemas import PLATE, conform, get_table, table_names

__all__ = ["Screen", "ScreenStatus", "create", "open"]


@dataclass(frozen=True, slots=True)
class ScreenStatus:
    """What a screen holds and how far its steps are.

    Parameters
    ----------
    tables
        One row a table with Parquet: ``table``, ``rows``, ``plates``, ``files``, ``bytes``, ``waiting_parts``.
    steps
        One row a step and plate with receipts: ``step``, ``Metadata_Plate``, ``done``, ``failed``, ``seconds``.
    failures
        One row a failed unit: ``step``, ``Metadata_Plate``, ``unit``, ``error``, ``message``.
    held_by
        Who holds the screen now; None if nobody does.
    catalog_is_current
        Whether ``screen.duckdb`` was made from the Parquet that is there now.
    """

    tables: pl.DataFrame
    steps: pl.DataFrame
    failures: pl.DataFrame
    held_by: lock.LockHolder | None
    catalog_is_current: bool


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

    def sql(self, query: str) -> pl.DataFrame:
        """Answer a query over the screen's tables; nothing in it can change the screen's catalog.

        Parameters
        ----------
        query
            DuckDB's SQL. ``SHOW TABLES``, ``DESCRIBE cell`` and ``SELECT * FROM feature`` say what there is.

        Returns
        -------
        polars.DataFrame
            Without ``ORDER BY`` the order of rows is not promised.

        Raises
        ------
        UnknownNameError
            If a table or column does not exist; names the closest.
        UsageError
            If the query is not valid SQL, or would write.
        ScreenError
            If the catalog or a file under it cannot be read.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     create(Path(folder) / "s").sql("SELECT count(*) AS n FROM well")["n"].to_list()
        [0]
        """
        with catalog.connect(self.path) as connection:
            try:
                result = connection.sql(query)
                frame: pl.DataFrame = result.pl() if result is not None else pl.DataFrame()
            except duckdb.Error as error:
                raise translate(error, connection, query) from error
        return frame

    def table(self, name: str) -> pl.LazyFrame:
        """Give one table or saved view as a lazy frame; tables are read only as far as they are asked for.

        Raises
        ------
        UnknownNameError
            If there is no such table or view.
        """
        if name in table_names() or table_files(self.path, name):
            return read_table(self.path, name)
        with catalog.connect(self.path) as connection:
            known = [row[0] for row in connection.execute("SELECT table_name FROM duckdb_columns()").fetchall()]
        if name not in known:
            raise UnknownNameError("table", name, set(known) | set(table_names()))
        return self.sql(f'SELECT * FROM "{name}"').lazy()  # noqa: S608 - one of the catalog's own names

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
        """Make ``screen.duckdb`` anew from Parquet; `sql` does so by itself when it has to."""
        return catalog.rebuild(self.path)

    def status(self) -> ScreenStatus:
        """Say what the screen holds, how far its steps are, what failed, and who holds it now."""
        held = sorted(set(self.tables()) | set(_names(self.path / "parts")))
        tables = pl.DataFrame(
            [_table_state(self.path, name) for name in held],
            schema={"table": pl.String}
            | dict.fromkeys(("rows", "plates", "files", "bytes", "waiting_parts"), pl.Int64),
            orient="row",
        )
        units = [
            (step, plate, unit, receipt.status == "done", receipt.seconds, receipt.error or (None, None))
            for step in receipts.receipt_steps(self.path)
            for (plate, unit), receipt in receipts.load_receipts(self.path, step).items()
        ]
        frame = pl.DataFrame(
            [(*row[:5], *row[5]) for row in units],
            schema={"step": pl.String, PLATE: pl.String, "unit": pl.String, "is_done": pl.Boolean}
            | {"seconds": pl.Float64, "error": pl.String, "message": pl.String},
            orient="row",
        )
        steps = (
            frame.group_by("step", PLATE)
            .agg(
                done=pl.col("is_done").sum().cast(pl.Int64),
                failed=(~pl.col("is_done")).sum().cast(pl.Int64),
                seconds=pl.col("seconds").sum(),
            )
            .sort("step", PLATE, nulls_last=True)
        )
        failures = frame.filter(~pl.col("is_done")).select("step", PLATE, "unit", "error", "message")
        return ScreenStatus(tables, steps, failures, lock.holder(self.path), catalog.is_current(self.path))


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


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []


def _table_state(folder: Path, table: str) -> tuple[str, int, int, int, int, int]:
    files = table_files(folder, table)
    plates = {plate_of(folder, file) for file in files if file.parent != table_folder(folder, table)}
    waiting = len(list((folder / "parts" / table).glob(f"*/*{PART_SUFFIX}")))
    rows = sum(pq.read_metadata(file).num_rows for file in files)
    return table, rows, len(plates), len(files), sum(file.stat().st_size for file in files), waiting
