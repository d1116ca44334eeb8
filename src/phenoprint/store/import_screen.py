"""Importing cells and profiles of other tools into a screen, so that SQL, report and statistics work without images."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from phenoprint.errors import SchemaError
from phenoprint.store.import_counts import counted
from phenoprint.store.import_findings import Findings
from phenoprint.store.import_levels import parse_gallery_name, table_of
from phenoprint.store.import_platemaps import read_plate_map
from phenoprint.store.import_records import write_records
from phenoprint.store.import_sources import Normalization, Source, find_sources, source_pieces
from phenoprint.store.import_tables import Import, write_images, write_treatments, write_wells
from phenoprint.store.import_writers import BUFFER_BYTES, CellWriter, PlateWriter, StableTypes
from phenoprint.store.imports import make_reading
from phenoprint.store.schemas import PLATE, WELL
from phenoprint.store.screen import Screen, create

__all__ = ["ImportSummary", "import_profiles"]

_STAGING = ".import-"
# Folders of the Gallery's layout that may stand where a batch does.
_NO_BATCH = frozenset(("profiles", "backend", "analysis", "workspace", "data", "tmp", "home"))


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """What an import wrote and what there is to say of it.

    Parameters
    ----------
    screen
        The screen.
    levels
        Levels found, such as ``("3_augmented", "4a_negcon")``.
    rows
        Rows written, by table.
    plates
        Plates written.
    ledger, differences, notes
        As in `Imported`.
    seconds
        Wall-clock time.
    """

    screen: Screen
    levels: tuple[str, ...]
    rows: Mapping[str, int]
    plates: tuple[str, ...]
    ledger: pl.DataFrame
    differences: pl.DataFrame
    notes: pl.DataFrame
    seconds: float = 0.0


def import_profiles(
    path: str | Path | Sequence[str | Path],
    screen: str | Path | Screen,
    *,
    level: str | None = None,
    plate_map: str | Path | pl.DataFrame | None = None,
    columns: Mapping[str, str | Sequence[str]] | None = None,
    fixed: Mapping[str, str] | None = None,
    normalization: Normalization | None = None,
    partial: bool = False,
) -> ImportSummary:
    r"""Write cells or profiles of another tool into a screen.

    Files are read piece by piece, so that memory is bounded by a few pieces and one plate of profiles or one well of
    cells, whatever is imported. What the screen held of the same plates in the same tables is replaced; nothing is
    written unless all of it could be read. Treatments (level 5) are held in memory.

    Parameters
    ----------
    path
        As for `load_profiles`; all levels of a folder are imported.
    screen
        Folder of the screen, made if need be, or a screen.
    level
        Level to import, or what a file is though its name does not say so.
    plate_map
        What is in the wells: a plate map, a ``barcode_platemap.csv`` beside its ``platemap`` folder, or a frame as
        `phenoprint.plates.parse_plate_map` returns it. By default the annotation is taken that the tables carry.
    columns, fixed, normalization
        As for `load_profiles`.
    partial
        Whether to take what is there of incomplete data: object tables that hold fewer objects than their image
        table counts, rows without plate, well, site or object. The ledger then says what was left out.

    Returns
    -------
    ImportSummary
        Written are: ``cell``, ``profile_well``, ``profile_normalized``, ``profile_selected`` or
        ``profile_consensus`` by level; ``well``, ``plate``, ``perturbation``, ``feature``; for CellProfiler's cells
        ``site`` and what was measured on images, ``site_feature``;
        ``feature_status`` for features without a value or with infinite ones; ``ledger``; ``problem`` for notes and
        differences; a receipt a plate and table.

    Raises
    ------
    SchemaError
        If something cannot be read, has no plate or well, or two rows share a key.
    LostRowsError
        If CellProfiler's tables do not fit each other.
    ScreenLockedError
        If another run holds the screen.
    ScreenError
        If the screen cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "P1_normalized.csv"
    ...     _ = file.write_text("Metadata_Plate,Metadata_Well,Cells_A\nP1,a1,0.5\n")
    ...     summary = import_profiles(file, Path(folder) / "screen")
    ...     summary.screen.sql("SELECT Metadata_Well, Cells_A FROM profile_normalized").rows()
    [('A01', 0.5)]
    """
    clock, begun = time.perf_counter(), datetime.now(UTC)
    paths = [Path(p).expanduser() for p in ([path] if isinstance(path, str | Path) else path)]
    wells = None if plate_map is None else read_plate_map(plate_map)
    findings = Findings()
    sources = find_sources(paths, findings, level=level, normalization=normalization)
    is_new = not isinstance(screen, Screen) and not Path(screen).expanduser().exists()
    target = screen if isinstance(screen, Screen) else create(screen)
    try:
        with target.lock(), _staging(target.path) as staging:
            job = Import(target, staging, make_reading(columns, fixed), wells, partial, findings)
            rows, plates = _run(job, sources)
            said = {"level": level, "partial": partial, "columns": job.reading.columns, "fixed": job.reading.fixed}
            ledger = write_records(
                job, sources, plates, parameters=said, begun=begun, seconds=time.perf_counter() - clock
            )
            target.rebuild_catalog()
    except BaseException:
        if is_new and not target.tables():
            shutil.rmtree(target.path, ignore_errors=True)
        raise
    return ImportSummary(
        screen=target,
        levels=tuple(dict.fromkeys(source.level for source in sources)),
        rows=rows,
        plates=tuple(sorted({plate for files in plates.values() for plate in files})),
        ledger=ledger,
        differences=findings.differences(),
        notes=findings.notes(),
        seconds=time.perf_counter() - clock,
    )


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """Make a folder for what is not in place yet, and take it and what killed imports left away afterwards."""
    for left in folder.glob(f"{_STAGING}*"):
        shutil.rmtree(left, ignore_errors=True)
    staging = folder / f"{_STAGING}{uuid.uuid4().hex[:8]}"
    staging.mkdir()
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _run(job: Import, sources: Sequence[Source]) -> tuple[dict[str, int], dict[str, dict[str, Path]]]:
    """Read everything, then put it into place; gives rows a table, and the file of each plate and table."""
    writers: dict[str, PlateWriter | CellWriter] = {}
    types: dict[str, StableTypes] = {}
    treatments: list[pl.DataFrame] = []
    for source in sources:
        table, name, n_rows = table_of(source.level), str(source.path), 0
        settled = types.setdefault(table, StableTypes.of_table(job.screen.path, table))
        for frame in _frames(job, source):
            n_rows += frame.height
            derived = frame if table == "cell" else _derived(frame, job.findings, source)
            rows = settled.settle(derived, job.findings, source=name)
            if table == "profile_consensus":
                treatments.append(rows)
                continue
            placed = _placed(rows, table, job, source)
            if table not in writers:
                writers[table] = _writer(job, table)
            writers[table].add(placed, source=name)
            for plate in placed[PLATE].unique():
                job.inputs.setdefault((table, str(plate)), {}).setdefault(name)
        if not n_rows:
            _refuse_empty(job, source, len(sources))
    for writer in writers.values():
        writer.stage()
    plates = {table: writer.place() for table, writer in writers.items()}
    for table, writer in writers.items():
        write_wells(job, table, writer)
    rows_of = {table: sum(writer.rows.values()) for table, writer in writers.items()}
    rows_of |= {"site_feature": n} if (n := write_images(job)) else {}
    rows_of |= {"profile_consensus": write_treatments(job, treatments)} if treatments else {}
    return rows_of, plates


def _frames(job: Import, source: Source) -> Iterator[pl.DataFrame]:
    """Give the rows of a source piece by piece; what else its pieces say is kept in the job."""
    for piece in source_pieces(source, job.findings, reading=job.reading, partial=job.partial, scratch=job.staging):
        if piece.losses is not None:
            job.losses.append(piece.losses)
        if piece.images is not None and piece.images.height:
            job.images.append(piece.images)
        if piece.frame is not None:
            yield piece.frame


def _writer(job: Import, table: str) -> PlateWriter | CellWriter:
    if table == "cell":
        return CellWriter(job.screen.path, job.staging, BUFFER_BYTES)
    return PlateWriter(job.screen.path, job.staging, table, job.plate_map, job.findings, BUFFER_BYTES)


def _refuse_empty(job: Import, source: Source, n_sources: int) -> None:
    message = f"{source.path} has column names but no rows; export it again, or leave it out"
    if n_sources == 1:
        raise SchemaError(message)
    job.findings.note("file_not_used", None, 1, source=str(source.path), detail=message)


def _derived(frame: pl.DataFrame, findings: Findings, source: Source) -> pl.DataFrame:
    """Give profiles their number of cells and their batch, where they say it in other words."""
    name = str(source.path)
    known = [n for n in frame.columns if n.startswith("Metadata_")]
    made: list[pl.Series] = []
    if "Metadata_Object_Count" not in known:
        for other in ("Metadata_Count_Cells", "Metadata_number_of_singlecells", "Metadata_Count_Nuclei"):
            if other in known and (n := frame[other].cast(pl.Int64, strict=False)).null_count() < frame.height:
                made.append(n.alias("Metadata_Object_Count"))
                findings.note("derived_column", made[-1].name, frame.height, source=name, detail=f"from {other}")
                break
    plate_folder = source.path.parent
    if "Metadata_Batch" not in known and plate_folder.name == parse_gallery_name(source.path.name).stem:
        batch = plate_folder.parent.name
        if batch and batch not in _NO_BATCH:
            made.append(pl.Series("Metadata_Batch", [batch] * frame.height, dtype=pl.String))
            findings.note("derived_column", "Metadata_Batch", frame.height, source=name, detail=f"folder {batch}")
    return frame.select(known).hstack(made).hstack(frame.select(pl.exclude(known))) if made else frame


def _placed(frame: pl.DataFrame, table: str, job: Import, source: Source) -> pl.DataFrame:
    """Give the rows that have their keys and a real well; the others are an error, or counted as lost."""
    keys = [PLATE, WELL] if table != "cell" else [PLATE, WELL, "Metadata_Site", "Metadata_ObjectNumber"]
    absent = [key for key in keys if key not in frame.columns]
    if absent:
        named = ", ".join(n for n in frame.columns if n.startswith("Metadata_"))
        raise SchemaError(
            f"{source.path}: no {', '.join(absent)}; found {named or 'no metadata'}. Say which column it is "
            f"(columns={{{absent[0]!r}: '...'}}, --column {absent[0]}=...) or fix it (fixed=..., --set {absent[0]}=...)"
        )
    is_well = pl.col(WELL).str.contains(r"^(?:[A-Z]|A[A-F])\d{2}$").fill_null(value=False)
    has_keys = pl.all_horizontal(pl.col(keys).is_not_null()) & is_well
    lost = frame.filter(~has_keys)
    unit = "cells" if table == "cell" else "wells"
    # CellProfiler's own ledger counts its cells as read already; what is lost here is then a step of its own.
    is_counted = source.kind == "cellprofiler"
    ledger = job.ledgers.setdefault(table, [])
    step = "import" if table == "cell" else f"import {table}"
    if not lost.height:
        ledger.extend([] if is_counted else [counted(frame, unit, step=step)])
        return frame
    example = ", ".join(f"{key} {lost[key][0]!r}" for key in keys)
    if not job.partial:
        raise SchemaError(
            f"{source.path}: {lost.height} of {frame.height} rows have no {', '.join(keys[:-1])} or {keys[-1]} that "
            f"can be used, such as {example}; correct them, or leave them out with partial=True (--partial)"
        )
    detail = f"rows without a usable key, such as {example}; not imported"
    job.findings.note("rows_without_key", None, lost.height, source=str(source.path), detail=detail)
    kept = frame.filter(has_keys)
    places = lost.with_columns(pl.when(is_well).then(pl.col(WELL)).alias(WELL))
    lost_in = "import keys" if is_counted else step
    ledger.append(counted(places, unit, lost="no usable plate, well, site or object", step=lost_in))
    ledger.extend([] if is_counted else [counted(kept, unit, step=step)])
    return kept
