"""Run a screen from its configuration: prepare the folder, ingest, run the steps, write ledger and catalog."""

from __future__ import annotations

import time
from pathlib import Path

import polars as pl

from phenoprint.errors import ConfigError, PhenoprintError
from phenoprint.pipeline.checks import check_against_screen
from phenoprint.pipeline.config import ScreenConfig, parse_config
from phenoprint.pipeline.context import Context
from phenoprint.pipeline.engine import Engine
from phenoprint.pipeline.events import Message, OnEvent, count_files, ignore
from phenoprint.pipeline.executors import make_executor
from phenoprint.pipeline.finish import RunResult, finish
from phenoprint.pipeline.imported import (
    adapt_reference,
    forget,
    given_tables,
    imported_tables,
    refuse_damaged,
)
from phenoprint.pipeline.ingest import Ingested, image_root, ingest
from phenoprint.pipeline.plan import schedule_of, sources_of
from phenoprint.pipeline.platemaps import check_plate_map
from phenoprint.pipeline.prepare import prepare
from phenoprint.pipeline.sections import PlateMapSection
from phenoprint.store import (
    TABLE,
    RunRecord,
    Screen,
    Scrutiny,
    check_outputs,
    concat_ledgers,
    plate_folders,
    read_receipt,
    receipt_path,
    record_table,
    remove_folder,
    remove_receipt,
    table_files,
    undo_killed_imports,
    write_run,
)
from phenoprint.version import __version__

__all__ = ["run_screen"]

# The unit of the receipt of tables that no step writes.
_INGEST = "ingest"
_NOTHING_RUNS = (
    "only treatments (level 5) were imported, and no step uses these as input: query and export work without a run; "
    "import cells or wells (levels 2 to 4b) to have them profiled and called"
)


def _forget_plates(screen: Screen, ingested: Ingested) -> None:
    """Remove the rows of plates that are no longer part of the screen."""
    imaged = set(ingested.tables["image"]["Metadata_Plate"].unique())
    for root in ("tables", "parts"):
        for table, plate, folder in plate_folders(screen.path, root):
            frame = ingested.tables.get(table)
            keep = imaged if frame is None else set(frame["Metadata_Plate"].unique())
            if plate not in keep:
                remove_folder(folder)
                remove_receipt(screen.path, TABLE, plate, table)


def _known_images(screen: Screen, on_event: OnEvent) -> pl.DataFrame | None:
    """Return the image table of the last run; None if there is none or it was damaged."""
    if "image" not in screen.tables():
        return None
    receipt = read_receipt(receipt_path(screen.path, TABLE, None, _INGEST))
    checked = check_outputs(screen.path, {} if receipt is None else receipt.outputs, Scrutiny.TIME)
    wrong = [f"{name} {what}" for name, what in checked.wrong.items() if name.startswith("tables/image/")]
    try:
        if not wrong:
            return screen.table("image").collect()
    except (PhenoprintError, pl.exceptions.PolarsError) as error:
        wrong = [f"the table image cannot be read: {error}"]
    on_event(Message(f"{wrong[0]}; every image is hashed again", level="warning"))
    return None


def _look_at_images(screen: Screen, config: ScreenConfig, base: Path, on_event: OnEvent, *, rehash: bool) -> Ingested:
    """Ingest images and plate maps; reuse the hashes of images whose size and time have not changed."""
    known = None if rehash else _known_images(screen, on_event)
    ingested = ingest(config, base, known=known, on_file=count_files(on_event, step="ingest", title="Ingest"))
    check_plate_map(ingested.tables["well"], ingested.tables["plate_map_reading"], reference=config.profiles.reference)
    check_against_screen(config, ingested.channels, ingested.tables["feature"])
    for kind, count in ingested.problems.group_by("kind").len().sort("kind").iter_rows():
        on_event(Message(f"{count} x {kind}; all are in the table 'problem'", level="warning"))
    return ingested


def _write_ingested(screen: Screen, ingested: Ingested) -> None:
    """Replace the tables of the ingest."""
    _forget_plates(screen, ingested)
    remove_receipt(screen.path, TABLE, None, _INGEST)
    written = [path for name, frame in ingested.tables.items() for path in screen.write(name, frame)]
    record_table(screen.path, _INGEST, written)


def _adopt_exclusions(screen: Screen) -> None:
    """Write the receipt of exclusions whose command was killed before it did."""
    files = table_files(screen.path, "exclusion")
    if files and read_receipt(receipt_path(screen.path, TABLE, None, "exclusion")) is None:
        record_table(screen.path, "exclusion", files)


def _take_imported(screen: Screen, config: ScreenConfig) -> Ingested:
    """Return the imported tables in place of those of an ingest.

    Raises
    ------
    ConfigError
        If there are none, or the configuration has a plate map.
    """
    if not imported_tables(screen):
        raise ConfigError(
            f"the configuration has no [images], and nothing was imported into {screen.path}: add [images] with "
            f"root = ..., or import tables with 'phenoprint import SOURCE -o {screen.path}'"
        )
    if config.plate_map != PlateMapSection():
        raise ConfigError("[plate_map] is for images; give imported tables theirs with 'import --plate-map'")
    tables = {name: screen.table(name).collect() for name in ("image", "site", "well", "plate", "problem", "feature")}
    check_against_screen(config, None, tables["feature"])
    ledger = concat_ledgers([])
    return Ingested(tables=tables, problems=tables["problem"], channels=(), ledger=ledger)


def run_screen(
    path: Path,
    *,
    output: Path | None = None,
    workers: int | None = None,
    retry_failed: bool = False,
    rehash: bool = False,
    on_event: OnEvent = ignore,
) -> RunResult:
    """Run all units of a screen that are not done, and update ledger and catalog.

    While the run lasts, the screen is marked as incomplete (`phenoprint.store.incomplete`). Images and the outputs of
    earlier runs are compared by size and time, and hashed where these differ.

    Parameters
    ----------
    path
        A configuration file or a screen folder.
    output
        Screen folder; default: the configuration's name below the current directory.
    workers
        Processes; default: the available cores.
    retry_failed
        Whether to try units again that failed on bad data that have not changed.
    rehash
        Whether to hash every image and every output, whatever their size and time.
    on_event
        Receives progress events.

    Raises
    ------
    ConfigError
        If the configuration is wrong, or has images while the folder holds imported tables.
    DataError
        If imported tables or exclusions were damaged.
    ScreenLockedError
        If another run holds the screen.
    """
    prepared = prepare(path, output)
    screen, config, text, base = prepared.screen, prepared.config, prepared.text, prepared.base
    scrutiny = Scrutiny.HASH if rehash else Scrutiny.TIME
    with screen.lock():
        if undo_killed_imports(screen.path):
            on_event(Message("an import was killed; the screen is as it was before that import", level="warning"))
        prepared.refuse_mixture()
        refuse_damaged(screen, scrutiny)
        _adopt_exclusions(screen)
        prepared.settle()
        has_images = config.images is not None
        if has_images:
            ingested = _look_at_images(screen, config, base, on_event, rehash=rehash)
        else:
            ingested = _take_imported(screen, config)
            if (adapted := adapt_reference(screen)) is not None:
                config, text = parse_config(adapted), adapted
                on_event(Message(f"negative controls are annotated now: {screen.path / 'screen.toml'} uses them"))
        schedule = schedule_of(screen)
        if not schedule.steps:
            raise ConfigError(_NOTHING_RUNS)
        record = RunRecord(
            configuration=text,
            channels=ingested.channels,
            sources=sources_of(screen),
            software=__version__,
        )
        write_run(screen.path, record)
        if has_images:
            _write_ingested(screen, ingested)
        forget(screen, schedule.left_out)
        context = Context(
            path=screen.path,
            config=config,
            image_root=image_root(config, base) if has_images else base,
            channels=ingested.channels,
            stamp=time.time_ns(),
            given=given_tables(screen),
        )
        with make_executor(workers) as executor:
            engine = Engine(context, executor, on_event=on_event, retry_failed=retry_failed, scrutiny=scrutiny)
            summary = engine.run(schedule.steps)
        summary.steps["ingest"].unusable = int((ingested.tables["site"]["status"] != "ok").sum())
        finish(context, engine, summary, record, ingested.ledger)
    return RunResult(screen=screen, summary=summary, problems=ingested.problems)
