"""Run a screen from its configuration: prepare the folder, ingest, run the steps, write ledger and catalog."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from phenoprint.errors import ConfigError, PhenoprintError
from phenoprint.pipeline.checks import check_against_screen
from phenoprint.pipeline.config import ScreenConfig, parse_config
from phenoprint.pipeline.context import Context
from phenoprint.pipeline.engine import Engine, RunSummary
from phenoprint.pipeline.events import Message, OnEvent, count_files, ignore
from phenoprint.pipeline.executors import make_executor
from phenoprint.pipeline.imported import (
    adapt_reference,
    forget,
    given_tables,
    imported_tables,
    refuse_damaged,
)
from phenoprint.pipeline.ingest import Ingested, image_root, ingest
from phenoprint.pipeline.phenotypes import nuisance_message
from phenoprint.pipeline.plan import schedule_of, sources_of, step_order
from phenoprint.pipeline.platemaps import check_plate_map
from phenoprint.pipeline.prepare import prepare
from phenoprint.pipeline.screen_files import drop_table
from phenoprint.pipeline.sections import PlateMapSection
from phenoprint.pipeline.status import screen_notes
from phenoprint.store import (
    TABLE,
    RunRecord,
    Screen,
    Scrutiny,
    check_balance,
    check_outputs,
    concat_ledgers,
    ledger_rows,
    load_receipts,
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

__all__ = ["RunResult", "run_screen"]

# The units of the receipts of tables that no step writes.
_INGEST, _LEDGER = "ingest", "ledger"
_NOTHING_RUNS = (
    "only treatments (level 5) were imported, and no step uses these as input: query and export work without a run; "
    "import cells or wells (levels 2 to 4b) to have them profiled and called"
)


@dataclass(frozen=True)
class RunResult:
    """A finished run.

    Attributes
    ----------
    screen
        The screen.
    summary
        How its steps ended.
    problems
        Differences between images and plate map.
    """

    screen: Screen
    summary: RunSummary
    problems: pl.DataFrame

    @property
    def is_partial(self) -> bool:
        """Whether something of the screen could not be used."""
        return self.summary.is_partial


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


def _write_ledger(screen: Screen, first: pl.DataFrame, engine: Engine) -> None:
    """Write the ledger of all steps, with a row for each unit that was not done; check that it balances."""
    rows = [first]
    for step in step_order():
        for _, receipt in sorted(load_receipts(screen.path, step).items(), key=str):
            if receipt.ledger:
                rows.append(pl.DataFrame(list(receipt.ledger), schema=first.schema))
    for name, unit, reason in engine.failures:
        kind = "wells" if unit.well else "plates" if unit.plate else "screens"
        rows.append(
            ledger_rows(
                name,
                unit.plate or None,
                unit.well or None,
                unit_of_count=kind,
                n_in=1,
                lost={reason.splitlines()[0]: 1},
            )
        )
    ledger = concat_ledgers(rows)
    check_balance(ledger)
    remove_receipt(screen.path, TABLE, None, _LEDGER)
    written = screen.write("ledger", ledger)
    drop_table(screen.path, "ledger", part="ledger", keep=set(written))
    record_table(screen.path, _LEDGER, written)


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
        _warn_of_phenotypes(screen, on_event)
        for note in screen_notes(screen):
            on_event(Message(note, level="warning"))
        for message in nuisance_message(screen):
            on_event(message)
        _write_ledger(screen, ingested.ledger, engine)
        screen.rebuild_catalog()
        summary.steps["ingest"].unusable = int((ingested.tables["site"]["status"] != "ok").sum())
        write_run(screen.path, _ended(record, summary))
    return RunResult(screen=screen, summary=summary, problems=ingested.problems)


def _ended(record: RunRecord, summary: RunSummary) -> RunRecord:
    """Return the record of the run with how it ended."""
    return replace(
        record,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(summary.seconds, 1),
        steps={name: vars(count) for name, count in summary.steps.items()},
        is_partial=summary.is_partial,
    )


def _warn_of_phenotypes(screen: Screen, on_event: OnEvent) -> None:
    """Warn where rules of cell quality flag cells because of what a treatment does."""
    preview = screen.table("cell_quality_preview").filter(pl.col("is_likely_phenotype") & (pl.col("rule") != "any"))
    found = preview.group_by("rule").agg(pl.col("Metadata_perturbation").n_unique()).sort("rule").collect()
    for rule, count in found.iter_rows():
        text = (
            f"the cell rule {rule!r} flags far more cells than in the controls, which may be what a treatment does "
            f"(treatments: {count}); see cell_quality_preview"
        )
        on_event(Message(text, level="warning"))
