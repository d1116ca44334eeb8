"""Rows of an import written plate by plate or well by well, with bounded memory.

Rows are read in the order of their files. Profiles are held until their plate is complete and cells until their well
is. If later rows belong to a plate or well that was written already, it is read back and written again. No file is
placed in ``tables`` before all rows were read, so that an import that fails leaves the screen as it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import polars as pl

from phenoprint.exchange.annotation.wells import annotate_rows, constant_metadata, well_rows
from phenoprint.exchange.cleaning.features import feature_status, note_extremes
from phenoprint.exchange.names import measured_columns
from phenoprint.exchange.writers.job import ImportJob
from phenoprint.exchange.writers.rows import refuse_doubles
from phenoprint.store import compact, move_file, partition, read_part, wells_footer, write_parquet, write_part
from phenoprint.tables import PLATE, WELL, conform, get_table

__all__ = ["CellWriter", "PlateWriter"]

# Values held in memory before plates or wells are written, bytes.
BUFFER_BYTES: Final = 96 * 2**20


@dataclass(slots=True)
class _Buffer:
    """Frames by plate and well; the key that was added last is the last."""

    frames: dict[tuple[str, str], list[pl.DataFrame]] = field(default_factory=dict)
    n_bytes: int = 0

    def add(self, key: tuple[str, str], frame: pl.DataFrame) -> None:
        self.frames[key] = [*self.frames.pop(key, []), frame]
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
    job
        The import.
    table
        Table of the profiles.
    """

    job: ImportJob
    table: str
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
        if self._buffer.n_bytes > BUFFER_BYTES:
            self._flush(keep_last=True)

    def _flush(self, *, keep_last: bool) -> None:
        for (plate, _), frame in self._buffer.take(keep_last=keep_last):
            rows = frame
            path = self._path(plate)
            if path.exists():
                earlier = pl.read_parquet(path, hive_partitioning=False).drop(self._added[plate])
                rows = pl.concat([earlier, rows], how="diagonal_relaxed")
            sources = self._sources[plate]
            refuse_doubles(rows, self.table, self.job.findings, sources=sources)
            source = next(iter(sources))
            wells = well_rows(
                rows, self.job.plate_map, self.job.findings, source=source, treatments=self.job.treatments
            )
            annotated = annotate_rows(rows, wells)
            before = set(rows.columns)
            self._added[plate] = [name for name in annotated.columns if name not in before]
            final = conform(annotated, self.table)
            write_parquet(final, path, sort_by=get_table(self.table).sort_by, metadata=wells_footer(final))
            self.wells[plate] = wells
            self.rows[plate] = final.height
            is_normalized = self.table in ("profile_normalized", "profile_selected")
            self.status[plate] = feature_status(final, plate, is_normalized=is_normalized)
            note_extremes(self.status[plate], final.height, self.job.findings, source=source)
            self.features.update(dict.fromkeys(measured_columns(final)))

    def stage(self) -> None:
        """Write what is still in memory."""
        self._flush(keep_last=False)

    def place(self) -> dict[str, Path]:
        """Put every plate into place; return the file of each."""
        return {plate: _move(self._path(plate), self.job.screen.path, self.table, plate) for plate in self.rows}

    def _path(self, plate: str) -> Path:
        return partition(self.job.staging, self.table, plate) / f"{self.table}.parquet"


@dataclass(slots=True)
class CellWriter:
    """Writes cells well by well, then merges the wells of a plate.

    Parameters
    ----------
    job
        The import.
    """

    job: ImportJob
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
        if self._buffer.n_bytes > BUFFER_BYTES:
            self._flush(keep_last=True)

    def _flush(self, *, keep_last: bool) -> None:
        for (plate, well), frame in self._buffer.take(keep_last=keep_last):
            written = self.described.setdefault(plate, {})
            rows = frame
            if well in written:
                earlier = read_part(self.job.staging, "cell", plate=plate, well=well)
                rows = pl.concat([earlier, frame], how="diagonal_relaxed")
            refuse_doubles(rows, "cell", self.job.findings, sources=self._sources[plate])
            write_part(self.job.staging, "cell", rows, plate=plate, well=well)
            written[well] = constant_metadata(rows)
            self.sites.setdefault(plate, {})[well] = rows["Metadata_Site"].unique().sort().to_list()
            self.rows[plate] = self.rows.get(plate, 0) + frame.height
            self.features.update(dict.fromkeys(measured_columns(rows)))

    def stage(self) -> None:
        """Write what is still in memory and merge the wells of every plate."""
        self._flush(keep_last=False)
        for plate in self.rows:
            compact(self.job.staging, "cell", plate)

    def place(self) -> dict[str, Path]:
        """Put every plate into place; return the file of each."""
        staged = {plate: partition(self.job.staging, "cell", plate) / "cell.parquet" for plate in self.rows}
        return {plate: _move(path, self.job.screen.path, "cell", plate) for plate, path in staged.items()}


def _move(path: Path, folder: Path, table: str, plate: str) -> Path:
    """Put a staged file into its place in the screen."""
    target = partition(folder, table, plate) / f"{table}.parquet"
    move_file(path, target)
    return target
