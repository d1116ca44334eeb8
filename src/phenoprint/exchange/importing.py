"""Import of cells and profiles of other tools into a screen, so that SQL, report and statistics need no images."""

from __future__ import annotations

import shutil
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from phenoprint.errors import SchemaError, ScreenError, UsageError
from phenoprint.exchange.annotation.plate_maps import read_plate_map
from phenoprint.exchange.annotation.treatments import read_treatments
from phenoprint.exchange.cleaning.columns import ColumnOptions
from phenoprint.exchange.cleaning.pieces import source_pieces
from phenoprint.exchange.findings import Findings
from phenoprint.exchange.levels import table_of
from phenoprint.exchange.sources.files import Source
from phenoprint.exchange.sources.find import Normalization, find_sources
from phenoprint.exchange.writers.job import ImportJob
from phenoprint.exchange.writers.plates import CellWriter, PlateWriter
from phenoprint.exchange.writers.records import hash_of, write_records
from phenoprint.exchange.writers.rows import StableTypes, derived, placed, refuse_empty, require_treatment
from phenoprint.exchange.writers.tables import check_annotation, write_images, write_treatments, write_wells
from phenoprint.store import Screen, create, placing, staging_folder, table_files
from phenoprint.tables import PLATE

__all__ = ["ImportSummary", "import_profiles"]


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """Result of an import.

    Parameters
    ----------
    screen
        The screen.
    levels
        Levels that were found, such as ``("3_augmented", "4a_negcon")``.
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
    map_columns: Mapping[str, str] | None = None,
    sheet: str | None = None,
    pert_types: Mapping[str, str] | None = None,
    treatments: str | Path | pl.DataFrame | None = None,
    columns: Mapping[str, str | Sequence[str]] | None = None,
    fixed: Mapping[str, str] | None = None,
    extract: Mapping[str, str] | None = None,
    normalization: Normalization | None = None,
    partial: bool = False,
) -> ImportSummary:
    r"""Write cells or profiles of another tool into a screen.

    Files are read piece by piece, so that memory is bounded by a few pieces and one plate of profiles or one well of
    cells. Earlier rows of the same plates in the same tables are replaced; nothing is written unless everything could
    be read. Treatments (level 5) are held in memory.

    Parameters
    ----------
    path
        As for `load_profiles`; all levels of a folder are imported.
    screen
        A screen, or its folder, which is made if necessary.
    level
        Level to import, or the level of a file whose name does not state it. Required where name, columns and values
        of a table of wells disagree on whether it was normalized.
    plate_map
        The contents of the wells: a list with columns for plate, well, compound, concentration, mechanism and
        others; a map of every plate; a ``barcode_platemap.csv`` beside its ``platemap`` folder; a list of images with
        such columns; or a frame as `phenoprint.plates.parse_plate_map` returns it. By default the annotation is taken
        from the tables.
    map_columns
        Columns of the plate map that are not recognised by name: ``{"Plate": "Plate_DAPI"}``.
    sheet
        The sheet of a plate map in a spreadsheet; by default all that are plate maps.
    pert_types
        Meaning of words or compounds of the plate map: ``{"Medium": "empty"}``; trt, negcon, poscon or empty.
    treatments
        A table of treatments, one row per compound or per compound and concentration: mechanism, target, ... It is
        joined to the annotation by the name of the compound (or ``broad_sample``, ``JCP2022``, ...).
    columns, fixed, extract, normalization
        As for `load_profiles`.
    partial
        Whether to import incomplete data: object tables that hold fewer objects than their image table counts, rows
        without plate, well, site or object. The ledger then lists what was left out.

    Returns
    -------
    ImportSummary
        These tables are written: ``cell``, ``profile_well``, ``profile_normalized``, ``profile_selected`` or
        ``profile_consensus`` by level; ``well``, ``plate``, ``perturbation``, ``feature``; for CellProfiler's cells
        ``site``, and ``site_feature`` with the measurements of images; ``plate_map_reading`` for how a plate map was
        read; ``feature_status`` for features without a value or with infinite ones; ``ledger``; ``problem`` for notes
        and differences; one receipt per plate and table.

    Raises
    ------
    SchemaError
        If a table cannot be read, lacks plates, wells or treatments, is of doubtful level, or has two rows of one key.
    LostRowsError
        If CellProfiler's tables do not fit each other.
    ScreenLockedError
        If another run uses the screen.
    ScreenError
        If the screen cannot be written, or is a screen of images, which is left unchanged.
    UsageError
        If `pert_types` are given without a plate map.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "P1_normalized.csv"
    ...     _ = file.write_text("Metadata_Plate,Metadata_Well,Cells_A\nP1,a1,0.5\n")
    ...     summary = import_profiles(file, Path(folder) / "screen")
    ...     summary.screen.sql("SELECT Metadata_Well, Cells_A FROM profile_normalized").rows()
    [('A01', 0.5)]

    Profiles whose annotation is in other files, such as BBBC021:

    >>> import_profiles(
    ...     "ljosa_jbiomolscreen_2013_per_well_mean.csv.gz",
    ...     "bbbc021",
    ...     plate_map="BBBC021_v1_image.csv.gz",
    ...     map_columns={"Plate": "Image_Metadata_Plate_DAPI", "Well": "Image_Metadata_Well_DAPI"},
    ...     treatments="BBBC021_v1_moa.csv",
    ...     extract={"Plate": r"(?P<Batch>Week\d+)_"},
    ... )  # doctest: +SKIP
    """
    clock, begun = time.perf_counter(), datetime.now(UTC)
    paths = [Path(p).expanduser() for p in ([path] if isinstance(path, str | Path) else path)]
    if pert_types and plate_map is None:
        raise UsageError("pert_types (--pert-type) explain words of a plate map: give a plate map, too")
    mapped = None
    if plate_map is not None:
        mapped = read_plate_map(plate_map, columns=map_columns, sheet=sheet, pert_types=pert_types)
    wells = None if mapped is None else mapped.wells
    known = None if treatments is None else read_treatments(treatments)
    findings = Findings()
    given = [Path(p).expanduser() for p in (plate_map, treatments) if isinstance(p, str | Path)]
    options = ColumnOptions.of(columns, fixed, extract)
    sources = find_sources(
        paths, findings, level=level, normalization=normalization, apart=given, known=options.known, refuse_doubt=True
    )
    is_new = not isinstance(screen, Screen) and not Path(screen).expanduser().exists()
    target = screen if isinstance(screen, Screen) else create(screen)
    _refuse_images(target)
    try:
        with target.lock(), staging_folder(target.path) as staging:
            job = ImportJob(target, staging, options, wells, known, partial, findings)
            writers, consensus = _read(job, sources)
            parameters = {"level": level, "partial": partial, "columns": options.columns, "fixed": options.fixed}
            parameters |= {"extract": options.extract, "plate_map": hash_of(wells), "treatments": hash_of(known)}
            with placing(target.path, staging):
                rows, plates = _place(job, writers, consensus)
                if mapped is not None:
                    _write_map_reading(target, mapped.reading)
                ledger = write_records(
                    job, sources, plates, parameters=parameters, begun=begun, seconds=time.perf_counter() - clock
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


def _write_map_reading(screen: Screen, reading: pl.DataFrame) -> None:
    """Add how the plate map was read, beside the maps of earlier imports."""
    again = reading["source"].unique().to_list()
    held = screen.table("plate_map_reading").filter(~pl.col("source").is_in(again)).collect()
    if held.height + reading.height:
        screen.write("plate_map_reading", pl.concat([held, reading]))


def _refuse_images(screen: Screen) -> None:
    """Refuse to import into a screen of images, whose next run would remove plates that have no images."""
    try:
        has_section = "images" in tomllib.loads(screen.config_text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        has_section = False
    if has_section or table_files(screen.path, "image"):
        found = "its screen.toml has [images]" if has_section else "it holds a table of images"
        raise ScreenError(
            f"{screen.path} is a screen of images ({found}), whose next run would remove imported tables: import them "
            "into a folder of their own ('phenoprint import SOURCE -o ANOTHER_FOLDER')"
        )


def _read(job: ImportJob, sources: Sequence[Source]) -> tuple[dict[str, PlateWriter | CellWriter], list[pl.DataFrame]]:
    """Read all sources; return the writer of each table, and the treatments of level 5."""
    writers: dict[str, PlateWriter | CellWriter] = {}
    types: dict[str, StableTypes] = {}
    treatments: list[pl.DataFrame] = []
    for source in sources:
        table, name, n_rows = table_of(source.level), str(source.path), 0
        settled = types.setdefault(table, StableTypes.of_table(job.screen, table))
        for frame in _frames(job, source):
            n_rows += frame.height
            full = frame if table == "cell" else derived(frame, job.findings, source)
            rows = settled.settle(full, job.findings, source=name)
            if table == "profile_consensus":
                require_treatment(rows, source)
                treatments.append(rows)
                continue
            kept = placed(rows, table, job, source)
            if table not in writers:
                writers[table] = CellWriter(job) if table == "cell" else PlateWriter(job, table)
            writers[table].add(kept, source=name)
            for plate in kept[PLATE].unique():
                job.inputs.setdefault((table, str(plate)), {}).setdefault(name)
        if not n_rows:
            refuse_empty(job, source, len(sources))
    for writer in writers.values():
        writer.stage()
    if not treatments and not any(writer.rows for writer in writers.values()):
        found = job.findings.detail("rows_without_key") or "the tables have no rows"
        raise SchemaError(f"{sources[0].path}: nothing to import: {found}")
    return {table: writer for table, writer in writers.items() if writer.rows}, treatments


def _place(
    job: ImportJob, writers: Mapping[str, PlateWriter | CellWriter], treatments: Sequence[pl.DataFrame]
) -> tuple[dict[str, int], dict[str, dict[str, Path]]]:
    """Put the files into place; return rows per table, and the file of each plate and table."""
    plates = {table: writer.place() for table, writer in writers.items()}
    for table, writer in writers.items():
        write_wells(job, table, writer)
    rows_of = {table: sum(writer.rows.values()) for table, writer in writers.items()}
    rows_of |= {"site_feature": n} if (n := write_images(job)) else {}
    rows_of |= {"profile_consensus": write_treatments(job, treatments)} if treatments else {}
    check_annotation(job, {plate for files in plates.values() for plate in files})
    return rows_of, plates


def _frames(job: ImportJob, source: Source) -> Iterator[pl.DataFrame]:
    """Read the rows of a source piece by piece; losses and images are collected in the job."""
    for piece in source_pieces(source, job.findings, options=job.options, partial=job.partial, scratch=job.staging):
        if piece.losses is not None:
            job.losses.append(piece.losses)
        if piece.images is not None and piece.images.height:
            job.images.append(piece.images)
        if piece.frame is not None:
            yield piece.frame
