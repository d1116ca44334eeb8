"""Run again what follows from the well profiles: no image is read, and no cell is measured."""

from __future__ import annotations

import time
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from phenoprint.errors import ConfigError
from phenoprint.pipeline.context import Context
from phenoprint.pipeline.engine import Engine
from phenoprint.pipeline.events import Message, OnEvent, ignore
from phenoprint.pipeline.executors import make_executor
from phenoprint.pipeline.finish import RunResult, finish
from phenoprint.pipeline.imported import given_tables, refuse_damaged
from phenoprint.pipeline.plan import schedule_of, sources_of
from phenoprint.pipeline.prepare import prepare
from phenoprint.store import RunRecord, Scrutiny, hash_key, load_receipts, read_run, table_files, write_run
from phenoprint.version import __version__

if TYPE_CHECKING:
    from phenoprint.pipeline.config import ScreenConfig
    from phenoprint.pipeline.schedule import Schedule
    from phenoprint.store import Screen

__all__ = ["analyse_screen", "answers"]

_PROFILES = ("profile_well", "profile_normalized", "profile_selected")
_PIXELS = ("image", "illumination")


def answers(schedule: Schedule) -> frozenset[str]:
    """Return the names of the steps that follow from the well profiles and need no image.

    Examples
    --------
    >>> from phenoprint.pipeline.schedule import Schedule
    >>> from phenoprint.pipeline.steps import STEPS
    >>> {"aggregate", "gallery", "recipe", "consensus"} & answers(Schedule.of(STEPS)) == {"recipe", "consensus"}
    True
    """
    found: set[str] = set()
    for step in schedule.steps:
        follows = found.union(_PROFILES).intersection([*step.needs, *step.uses, *schedule.depends_on[step.name]])
        if follows and not set(_PIXELS).intersection(step.needs):
            found.add(step.name)
    return frozenset(found)


def analyse_screen(
    path: Path, *, workers: int | None = None, retry_failed: bool = False, on_event: OnEvent = ignore
) -> RunResult:
    """Run the steps from the well profiles on that are not up to date: recipe, scores, calls, curves, clusters, maps.

    Images, masks and cells are neither read nor checked, and may be absent. Their results stay as they are, even if
    the configuration of their steps has changed; that is reported.

    Parameters
    ----------
    path
        A screen folder, or its ``screen.toml``.
    workers
        Processes; default: the available cores.
    retry_failed
        Whether to try units again that failed on bad data that have not changed.
    on_event
        Receives progress events.

    Raises
    ------
    ConfigError
        If the screen does not exist or has no well profiles, or the configuration is wrong.
    DataError
        If imported tables or exclusions were damaged.
    ScreenLockedError
        If another run holds the screen.
    """
    if not path.exists():
        raise ConfigError(f"{path} does not exist: give the folder of a screen, or its screen.toml")
    folder = path if path.is_dir() else path.parent
    if not any(table_files(folder, table) for table in _PROFILES):
        raise ConfigError(
            f"{folder} has no well profiles to analyse: 'phenoprint run' or 'phenoprint import' makes them"
        )
    prepared = prepare(path)
    screen, config = prepared.screen, prepared.config
    with screen.lock():
        refuse_damaged(screen, Scrutiny.TIME)
        prepared.settle()
        schedule = schedule_of(screen)
        kept = frozenset(step.name for step in schedule.steps) - answers(schedule)
        changed = _changed(screen, config, schedule, kept)
        earlier = read_run(screen.path)
        if changed:
            text = (
                f"the configuration of {', '.join(changed)} has changed: its results stay as they are, and "
                "'phenoprint run' makes them again"
            )
            on_event(Message(text, level="warning"))
        record = RunRecord(
            # What the kept steps have not followed, `status` has to report.
            configuration=earlier.configuration if changed and earlier is not None else prepared.text,
            channels=() if earlier is None else earlier.channels,
            sources=sources_of(screen) if earlier is None else earlier.sources,
            software=__version__,
        )
        write_run(screen.path, record)
        context = Context(
            path=screen.path,
            config=config,
            image_root=prepared.base,
            channels=record.channels,
            stamp=time.time_ns(),
            given=given_tables(screen),
        )
        with make_executor(workers) as executor:
            engine = Engine(context, executor, on_event=on_event, retry_failed=retry_failed, kept=kept)
            summary = engine.run(schedule.steps)
        is_ingested = pl.col("step") == "ingest"
        finish(context, engine, summary, record, screen.table("ledger").filter(is_ingested).collect())
    return RunResult(screen=screen, summary=summary, problems=screen.table("problem").collect())


def _changed(screen: Screen, config: ScreenConfig, schedule: Schedule, kept: Collection[str]) -> list[str]:
    """List the kept steps whose results were made with other parameters."""
    found = []
    for step in schedule.steps:
        wanted = hash_key(dict(step.parameters(config)))
        receipts = load_receipts(screen.path, step.name) if step.name in kept else {}
        if any(hash_key(dict(receipt.parameters)) != wanted for receipt in receipts.values()):
            found.append(step.name)
    return found
