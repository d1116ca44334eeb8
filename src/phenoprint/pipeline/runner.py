"""Run a screen from its configuration: prepare the folder, ingest, run the steps, write ledger and catalog."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from phenoprint.errors import ConfigError
from phenoprint.pipeline.artefacts import drop_table
from phenoprint.pipeline.checks import check_against_screen
from phenoprint.pipeline.config import PlateMapSection, ScreenConfig, load_config, parse_config
from phenoprint.pipeline.context import Context
from phenoprint.pipeline.engine import Engine, RunSummary
from phenoprint.pipeline.events import Message, OnEvent, StepFinished, StepStarted, UnitFinished, ignore
from phenoprint.pipeline.executors import make_executor
from phenoprint.pipeline.imported import (
    adapt_reference,
    forget_replaced,
    import_config,
    imported_tables,
    steps_after_import,
)
from phenoprint.pipeline.ingest import Ingested, image_root, ingest
from phenoprint.pipeline.phenotypes import nuisance_message
from phenoprint.pipeline.platemaps import check_plate_map
from phenoprint.pipeline.status import screen_notes
from phenoprint.pipeline.steps import STEPS
from phenoprint.store import (
    Screen,
    check_balance,
    concat_ledgers,
    create,
    is_screen,
    ledger_rows,
    load_receipts,
    write_bytes,
)
from phenoprint.store.import_journal import undo_killed_imports
from phenoprint.store.layout import plate_folders

__all__ = ["RunResult", "read_base", "run_screen"]


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
        Where images and plate map disagree.
    """

    screen: Screen
    summary: RunSummary
    problems: pl.DataFrame

    @property
    def is_partial(self) -> bool:
        """Whether something of the screen could not be used."""
        return self.summary.is_partial


@dataclass(frozen=True)
class _Prepared:
    """A screen folder, its configuration, and what has to be copied into it once it is held."""

    screen: Screen
    config: ScreenConfig
    base: Path
    text: str | None

    def settle(self) -> None:
        """Copy the configuration into the screen; call it while the screen is held."""
        if self.text is not None:
            create(self.screen.path, config_text=self.text)
            write_bytes(_base_record(self.screen.path), json.dumps({"base": str(self.base)}).encode())


def _prepare(path: Path, output: Path | None = None) -> _Prepared:
    """Make or find the screen folder of a configuration.

    Parameters
    ----------
    path
        A ``screen.toml`` or any other configuration file, or a screen folder that holds one.
    output
        Where the screen folder shall be; default: a folder of the screen's name below the current directory.

    Raises
    ------
    ConfigError
        If the configuration is absent or wrong, or the folder holds another screen.
    """
    if not path.exists():
        raise ConfigError(f"{path} does not exist: give a screen.toml, or the folder of a screen")
    is_own = path.is_dir() or path.name == "screen.toml"
    config_path = path / "screen.toml" if path.is_dir() else path
    if path.is_dir() and is_screen(path) and not (config_path.is_file() and config_path.stat().st_size):
        return _prepare_import(Screen(path))
    config = load_config(config_path)
    folder = output or (config_path.parent if is_own else Path.cwd() / config.screen.name)
    base = read_base(config_path.parent) if is_own else config_path.resolve().parent
    own = folder / "screen.toml"
    is_copy = own.resolve() != config_path.resolve()
    if is_copy and own.is_file() and own.stat().st_size:
        earlier = load_config(own).screen.name
        if earlier != config.screen.name:
            raise ConfigError(
                f"{folder} holds the screen {earlier!r}, not {config.screen.name!r}: choose another --output"
            )
    return _Prepared(
        screen=create(folder),
        config=config,
        base=base,
        text=config_path.read_text(encoding="utf-8-sig") if is_copy else None,
    )


def _prepare_import(screen: Screen) -> _Prepared:
    """Give a folder of imported tables that has no configuration yet the default one."""
    text = import_config(screen)
    config = parse_config(text, source="the proposed configuration")
    return _Prepared(screen=screen, config=config, base=screen.path.resolve(), text=text)


def _base_record(folder: Path) -> Path:
    return folder / "receipts" / "configuration.json"


def read_base(folder: Path) -> Path:
    """Return the folder that relative paths of a screen's configuration start from."""
    record = _base_record(folder)
    if record.is_file():
        return Path(json.loads(record.read_text(encoding="utf-8"))["base"])
    return folder.resolve()


def _forget_plates(screen: Screen, ingested: Ingested) -> None:
    """Remove the rows of plates that are no longer part of the screen."""
    imaged = set(ingested.tables["image"]["Metadata_Plate"].unique())
    for root in ("tables", "parts"):
        for table, plate, folder in plate_folders(screen.path, root):
            frame = ingested.tables.get(table)
            keep = imaged if frame is None else set(frame["Metadata_Plate"].unique())
            if plate not in keep:
                shutil.rmtree(folder)


def _ingest(screen: Screen, config: ScreenConfig, base: Path, on_event: OnEvent) -> Ingested:
    """Ingest and write the tables, reusing the hashes of files that have not changed."""
    begun = time.perf_counter()
    known = screen.table("image").collect() if "image" in screen.tables() else None

    def report(done: int, total: int) -> None:
        if done == 1:
            on_event(StepStarted("ingest", "Ingest", total, 0))
        on_event(UnitFinished("ingest", str(done), 0.0))

    ingested = ingest(config, base, known=known, on_file=report)
    check_plate_map(ingested.tables["well"], ingested.tables["plate_map_reading"], reference=config.profiles.reference)
    check_against_screen(config, ingested.channels, ingested.tables["feature"])
    _forget_plates(screen, ingested)
    for name, frame in ingested.tables.items():
        screen.write(name, frame)
    on_event(StepFinished("ingest", ingested.tables["image"].height, 0, time.perf_counter() - begun))
    for kind, count in ingested.problems.group_by("kind").len().sort("kind").iter_rows():
        on_event(Message(f"{count} x {kind}; all are in the table 'problem'", level="warning"))
    return ingested


def _take_imported(screen: Screen, config: ScreenConfig, on_event: OnEvent) -> Ingested:
    """Take the tables that were imported as what the screen consists of.

    Raises
    ------
    ConfigError
        Where there are none, or the configuration is about images.
    """
    if undo_killed_imports(screen.path):
        on_event(Message("an import was killed half-way; the screen is as it was before it", level="warning"))
    if not imported_tables(screen):
        raise ConfigError(
            f"the configuration has no [images], and nothing was imported into {screen.path}: add [images] with "
            f"root = ..., or import tables with 'phenoprint import SOURCE -o {screen.path}'"
        )
    if config.plate_map != PlateMapSection():
        raise ConfigError("[plate_map] is about images; give imported tables theirs with 'import --plate-map'")
    tables = {name: screen.table(name).collect() for name in ("image", "site", "well", "plate", "problem", "feature")}
    check_against_screen(config, None, tables["feature"])
    ledger = concat_ledgers([])
    return Ingested(tables=tables, problems=tables["problem"], channels=(), ledger=ledger)


def _write_ledger(screen: Screen, first: pl.DataFrame, engine: Engine) -> None:
    """Bring the ledger of all steps together, with a row for every unit that was not done; it must balance."""
    rows = [first]
    for step in STEPS:
        for _, receipt in sorted(load_receipts(screen.path, step.name).items(), key=str):
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
    drop_table(screen.path, "ledger", part="ledger", keep=set(screen.write("ledger", ledger)))


def run_screen(
    path: Path,
    *,
    output: Path | None = None,
    workers: int | None = None,
    retry_failed: bool = False,
    on_event: OnEvent = ignore,
) -> RunResult:
    """Run everything of a screen that is not done yet, and bring ledger and catalog up to date.

    Parameters
    ----------
    path
        A configuration file or a screen folder.
    output
        Screen folder; default: the configuration's name below the current directory.
    workers
        Processes; default: the available cores.
    retry_failed
        Try again what failed on bad data that have not changed.
    on_event
        Receives progress events.

    Raises
    ------
    ConfigError
        If the configuration is wrong.
    ScreenLockedError
        If another run holds the screen.
    """
    prepared = _prepare(path, output)
    screen, config, base = prepared.screen, prepared.config, prepared.base
    with screen.lock():
        prepared.settle()
        has_images = config.images is not None
        if not has_images and (adapted := adapt_reference(screen)) is not None:
            config = parse_config(adapted)
            on_event(Message(f"negative controls are annotated now: {screen.path / 'screen.toml'} uses them"))
        ingested = _ingest(screen, config, base, on_event) if has_images else _take_imported(screen, config, on_event)
        imported = frozenset() if has_images else imported_tables(screen)
        steps = steps_after_import(STEPS, imported) if imported else STEPS
        if imported:
            forget_replaced(screen, [step for step in STEPS if step not in steps])
        context = Context(
            path=screen.path,
            config=config,
            image_root=image_root(config, base) if has_images else base,
            channels=ingested.channels,
            stamp=time.time_ns(),
            imported=imported,
        )
        with make_executor(workers) as executor:
            engine = Engine(context, executor, on_event=on_event, retry_failed=retry_failed)
            summary = engine.run(steps)
        _warn_of_phenotypes(screen, on_event)
        for note in screen_notes(screen):
            on_event(Message(note, level="warning"))
        for message in nuisance_message(screen):
            on_event(message)
        _write_ledger(screen, ingested.ledger, engine)
        screen.rebuild_catalog()
        summary.steps["ingest"].unusable = int((ingested.tables["site"]["status"] != "ok").sum())
        _write_record(screen, summary)
    return RunResult(screen=screen, summary=summary, problems=ingested.problems)


def _warn_of_phenotypes(screen: Screen, on_event: OnEvent) -> None:
    """Say it where rules of cell quality remove what a treatment does."""
    preview = screen.table("cell_quality_preview").filter(pl.col("is_likely_phenotype") & (pl.col("rule") != "any"))
    found = preview.group_by("rule").agg(pl.col("Metadata_perturbation").n_unique()).sort("rule").collect()
    for rule, count in found.iter_rows():
        text = (
            f"the cell rule {rule!r} flags far more cells of {count} treatments than of the controls, which may be "
            "what they do; see cell_quality_preview"
        )
        on_event(Message(text, level="warning"))


def _write_record(screen: Screen, summary: RunSummary) -> None:
    """Keep how the run ended, beside the receipts of its units."""
    record = {
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(summary.seconds, 1),
        "steps": {name: vars(count) for name, count in summary.steps.items()},
        "is_partial": summary.is_partial,
    }
    write_bytes(screen.path / "receipts" / "run.json", json.dumps(record, indent=1).encode())
