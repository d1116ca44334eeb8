"""Writing the rows of an import into a screen as they come, with bounded memory.

Rows come in the order of their files. Profiles are held until their plate is complete and cells until their well is;
if rows of one that was written already turn up later, what was written is taken back and written again. Nothing
reaches ``tables`` before all of it was read, so that an import that fails leaves the screen as it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from phenoprint.exchange.annotation.treatments import Treatments
from phenoprint.exchange.annotation.wells import annotate_rows, constant_metadata, well_rows
from phenoprint.exchange.cleaning.columns import NUMBERS
from phenoprint.exchange.cleaning.features import feature_status, note_features
from phenoprint.exchange.cleaning.keys import refuse_doubles
from phenoprint.exchange.cleaning.names import KEYS
from phenoprint.exchange.findings import Findings
from phenoprint.store import (
    PART_SUFFIX,
    encode_name,
    explain,
    partition,
    parts,
    replace,
    table_files,
    union_schema,
    write_parquet,
)
from phenoprint.tables import PLATE, WELL, conform, get_table

__all__ = ["BUFFER_BYTES", "NOT_A_KEY", "CellWriter", "PlateWriter", "StableTypes"]

BUFFER_BYTES = 96 * 2**20
# Kind of the note on values of a key that are no key.
NOT_A_KEY = "not_a_key"


@dataclass(slots=True)
class StableTypes:
    """Keeps a metadata column of one type over all plates of a table: one file cannot make the others unreadable."""

    known: dict[str, pl.DataType]

    @classmethod
    def of_table(cls, folder: Path, table: str) -> StableTypes:
        """Begin with what the table declares and holds."""
        files = table_files(folder, table)
        held = union_schema(files, table=table)
        declared = dict(get_table(table).schema)
        known = {**NUMBERS, **held, **declared}
        return cls({name: dtype for name, dtype in known.items() if name.startswith("Metadata_")})

    def settle(self, frame: pl.DataFrame, findings: Findings, *, source: str) -> pl.DataFrame:
        """Cast metadata to their types; what cannot be is kept as text under ``<name>_text``, of a key it is NULL."""
        changes: list[pl.Series] = []
        drop: list[str] = []
        for name, dtype in frame.schema.items():
            if not name.startswith("Metadata_"):
                continue
            wanted = self.known.setdefault(name, dtype)
            if dtype == wanted:
                continue
            given = frame[name]
            if name in KEYS and given.dtype == pl.String:
                given = given.str.replace(r"\.0+$", "")  # "2.0" beside "2.5" is object 2
            cast = given.cast(wanted, strict=False)
            if cast.null_count() == frame[name].null_count():
                changes.append(cast)
                continue
            if name in KEYS:  # rows without a key are an error, or are counted as lost
                wrong = frame[name].filter(cast.is_null() & frame[name].is_not_null())
                detail = f"such as {wrong[0]!r}, which is no whole number of 32 bits"
                findings.note(NOT_A_KEY, name, wrong.len(), source=source, detail=detail)
                changes.append(cast)
                continue
            drop.append(name)
            changes.append(frame[name].cast(pl.String).alias(f"{name}_text"))
            detail = f"not all values are {wanted}; kept as {name}_text"
            findings.note("text_column", name, frame.height, source=source, detail=detail)
        return frame.drop(drop).with_columns(changes) if changes else frame


@dataclass(slots=True)
class _Buffer:
    """Frames by key, in the order keys were first met."""

    frames: dict[tuple[str, str], list[pl.DataFrame]] = field(default_factory=dict)
    n_bytes: int = 0

    def add(self, key: tuple[str, str], frame: pl.DataFrame) -> None:
        held = self.frames.pop(key, [])
        self.frames[key] = [*held, frame]  # the latest key is the last
        self.n_bytes += _size(frame)

    def take(self, *, keep_last: bool) -> Iterable[tuple[tuple[str, str], pl.DataFrame]]:
        keys = list(self.frames)[: -1 if keep_last else None]
        for key in keys:
            whole = pl.concat(self.frames.pop(key), how="diagonal_relaxed")
            self.n_bytes -= _size(whole)
            yield key, whole
        self.n_bytes = max(self.n_bytes, 0)


def _size(frame: pl.DataFrame) -> int:
    return frame.height * frame.width * 4


@dataclass(slots=True)
class PlateWriter:
    """Writes profiles plate by plate.

    Parameters
    ----------
    folder
        The screen folder.
    staging
        A folder on the same disk, for plates that are not in place yet.
    table
        Table of the profiles.
    plate_map
        What is in the wells; None takes it from the profiles themselves.
    treatments
        What is known of treatments apart from plates.
    findings
        Takes notes.
    buffer_bytes
        Values held in memory before plates are written.
    """

    folder: Path
    staging: Path
    table: str
    plate_map: pl.DataFrame | None
    treatments: Treatments | None
    findings: Findings
    buffer_bytes: int
    wells: dict[str, pl.DataFrame] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    features: dict[str, None] = field(default_factory=dict)
    status: dict[str, pl.DataFrame] = field(default_factory=dict)
    _buffer: _Buffer = field(default_factory=_Buffer)
    _added: dict[str, list[str]] = field(default_factory=dict)
    _sources: dict[str, dict[str, None]] = field(default_factory=dict)

    def add(self, frame: pl.DataFrame, *, source: str) -> None:
        """Take rows, all of which have plate and well."""
        for (plate,), rows in frame.partition_by(PLATE, as_dict=True, maintain_order=True).items():
            self._buffer.add((str(plate), ""), rows)
            self._sources.setdefault(str(plate), {})[source] = None
        if self._buffer.n_bytes > self.buffer_bytes:
            self._flush(keep_last=True)

    def _flush(self, *, keep_last: bool) -> None:
        for (plate, _), frame in self._buffer.take(keep_last=keep_last):
            rows = frame
            path = self._path(plate)
            if path.exists():
                earlier = pl.read_parquet(path, hive_partitioning=False).drop(self._added[plate])
                rows = pl.concat([earlier, rows], how="diagonal_relaxed")
            sources = self._sources[plate]
            refuse_doubles(rows, self.table, self.findings, sources=sources)
            wells = well_rows(
                rows, self.plate_map, self.findings, source=next(iter(sources)), treatments=self.treatments
            )
            annotated = annotate_rows(rows, wells)
            before = set(rows.columns)
            self._added[plate] = [name for name in annotated.columns if name not in before]
            final = conform(annotated, self.table)
            write_parquet(final, path, sort_by=get_table(self.table).sort_by, metadata=parts.wells_footer(final))
            self.wells[plate] = wells
            self.rows[plate] = final.height
            is_normalized = self.table in ("profile_normalized", "profile_selected")
            self.status[plate] = feature_status(final, plate, is_normalized=is_normalized)
            note_features(self.status[plate], final.height, self.findings, source=next(iter(sources)))
            self.features.update(dict.fromkeys(n for n in final.columns if not n.startswith("Metadata_")))

    def stage(self) -> None:
        """Write what is still in memory."""
        self._flush(keep_last=False)

    def place(self) -> dict[str, Path]:
        """Put every plate into place; gives the file of each."""
        return {plate: _move(self._path(plate), self.folder, self.table, plate) for plate in self.rows}

    def _path(self, plate: str) -> Path:
        return partition(self.staging, self.table, plate) / f"{self.table}.parquet"


@dataclass(slots=True)
class CellWriter:
    """Writes cells well by well, then merges the wells of a plate.

    Parameters
    ----------
    folder
        The screen folder.
    staging
        A folder on the same disk, for wells that are not in place yet.
    findings
        Takes notes.
    buffer_bytes
        Values held in memory before wells are written.
    """

    folder: Path
    staging: Path
    findings: Findings
    buffer_bytes: int
    described: dict[str, dict[str, pl.DataFrame]] = field(default_factory=dict)
    sites: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    features: dict[str, None] = field(default_factory=dict)
    _buffer: _Buffer = field(default_factory=_Buffer)
    _sources: dict[str, dict[str, None]] = field(default_factory=dict)

    def add(self, frame: pl.DataFrame, *, source: str) -> None:
        """Take rows, all of which have plate, well, site and object."""
        for (plate, well), rows in frame.partition_by(PLATE, WELL, as_dict=True, maintain_order=True).items():
            self._buffer.add((str(plate), str(well)), rows)
            self._sources.setdefault(str(plate), {})[source] = None
        if self._buffer.n_bytes > self.buffer_bytes:
            self._flush(keep_last=True)

    def _flush(self, *, keep_last: bool) -> None:
        for (plate, well), frame in self._buffer.take(keep_last=keep_last):
            written = self.described.setdefault(plate, {})
            rows = frame
            if well in written:
                path = partition(self.staging, "cell", plate, root="parts") / f"{encode_name(well)}{PART_SUFFIX}"
                rows = pl.concat([pl.read_ipc(path), frame], how="diagonal_relaxed")
            refuse_doubles(rows, "cell", self.findings, sources=self._sources[plate])
            parts.write_part(self.staging, "cell", rows, plate=plate, well=well)
            written[well] = constant_metadata(rows)
            self.sites.setdefault(plate, {})[well] = rows["Metadata_Site"].unique().sort().to_list()
            self.rows[plate] = self.rows.get(plate, 0) + frame.height
            self.features.update(dict.fromkeys(n for n in rows.columns if not n.startswith("Metadata_")))

    def stage(self) -> None:
        """Write what is still in memory and merge the wells of every plate."""
        self._flush(keep_last=False)
        for plate in self.rows:
            parts.compact(self.staging, "cell", plate)

    def place(self) -> dict[str, Path]:
        """Put every plate into place; gives the file of each."""
        staged = {plate: partition(self.staging, "cell", plate) / "cell.parquet" for plate in self.rows}
        return {plate: _move(path, self.folder, "cell", plate) for plate, path in staged.items()}


def _move(path: Path, folder: Path, table: str, plate: str) -> Path:
    """Give a staged file its place in the screen."""
    target = partition(folder, table, plate) / f"{table}.parquet"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        replace(path, target)
    except OSError as error:
        raise explain(error, target) from error
    return target
