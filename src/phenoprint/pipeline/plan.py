"""List what a run of a screen would do: which units are done, which would run again, and why.

Units may run again because the user changed something since the last run, such as ``screen.toml``. If nothing was
changed, results of the last run are missing or damaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from phenoprint.errors import ConfigError, PhenoprintError
from phenoprint.pipeline.config import ScreenConfig, load_config, parse_config
from phenoprint.pipeline.context import Context
from phenoprint.pipeline.exclusions import exclusion_keys
from phenoprint.pipeline.imported import given_tables, imported_keys
from phenoprint.pipeline.ingest import in_order
from phenoprint.pipeline.judge import Standing, State, judge
from phenoprint.pipeline.keys import KeyTree
from phenoprint.pipeline.schedule import Schedule
from phenoprint.pipeline.steps import STEPS
from phenoprint.pipeline.steps.base import Step
from phenoprint.pipeline.work import unit_name
from phenoprint.store import TABLE, RunRecord, Screen, Scrutiny, check_outputs, hash_key, load_receipts, receipt_steps
from phenoprint.version import __version__

__all__ = ["Outlook", "Plan", "look_ahead", "make_plan", "parsed_run", "schedule_of", "sources_of", "step_order"]

_Row = tuple[str, str | None, str, str, str]
_UNITS = {
    "step": pl.String,
    "Metadata_Plate": pl.String,
    "unit": pl.String,
    "state": pl.String,
    "reason": pl.String,
}


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes
    ----------
    units
        One row per unit: ``step``, ``Metadata_Plate``, ``unit``, ``state`` (fresh, failed, blocked, stale, damaged,
        missing) and ``reason``, in the order of the steps. For tables that no step writes, ``step`` is ingest,
        ledger or import.
    damaged
        What is wrong with files, by path relative to the screen.
    """

    units: pl.DataFrame
    damaged: dict[str, str] = field(default_factory=dict)

    @property
    def to_run(self) -> pl.DataFrame:
        """The units that a run would do."""
        return self.units.filter(pl.col("state").is_in([state.value for state in State if state.would_run]))


@dataclass(frozen=True)
class Outlook:
    """A screen compared with its last run and with its present configuration.

    Attributes
    ----------
    plan
        What a run would do now.
    changed
        What the user has changed since the last run, so that units would run again.
    wrong
        Units that would run again although nothing was changed; columns as of `Plan.units`.
    failed
        Units without results because they or a step that they need failed: ``step``, ``Metadata_Plate``,
        ``unit`` and ``reason``.
    damaged
        What is wrong with files, by path relative to the screen.
    ran
        The configuration of the last run, or that of ``screen.toml`` without a record; None if there is neither.
    has_run
        Whether any run has left its record or a receipt of a step.
    """

    plan: Plan
    changed: list[str]
    wrong: pl.DataFrame
    failed: pl.DataFrame
    damaged: dict[str, str]
    ran: ScreenConfig | None
    has_run: bool


def look_ahead(screen: Screen, record: RunRecord | None, *, scrutiny: Scrutiny) -> Outlook:
    """Plan a run with the present configuration, and compare with that of the last run.

    Parameters
    ----------
    screen
        The screen.
    record
        The record of its last run; None if there is none.
    scrutiny
        How closely the outputs of the last run are checked.
    """
    changed: list[str] = []
    ran = parsed_run(record)
    asked = ran
    try:
        asked = load_config(screen.path / "screen.toml") if screen.config_text or ran is None else ran
    except ConfigError as error:
        if screen.config_text:
            changed.append(f"screen.toml, which cannot be used now: {error}")
    channels = record.channels if record else _channels(screen)
    has_run = record is not None or any(load_receipts(screen.path, step.name) for step in schedule_of(screen).steps)
    if asked is None:
        return Outlook(Plan(_frame([])), changed, _frame([]), _failed(screen, _frame([])), {}, ran, has_run)
    then = plan = make_plan(screen, asked, channels=channels, scrutiny=scrutiny)
    if ran is not None and ran != asked:
        changed.append("screen.toml")
        then = make_plan(screen, ran, channels=channels, scrutiny=scrutiny)
    is_explained = not has_run
    if record is not None:
        sources = sources_of(screen)
        other = sorted(n for n in {*sources, *record.sources} if sources.get(n) != record.sources.get(n))
        other += [f"phenoprint (was {record.software})"] if record.software != __version__ else []
        is_explained = bool(other)
        changed += other
    wrong = then.to_run.filter(pl.col("state") == State.DAMAGED.value) if is_explained else then.to_run
    failed = _failed(screen, then.units)
    return Outlook(plan, changed, wrong, failed, {**plan.damaged, **then.damaged}, ran or asked, has_run)


def _failed(screen: Screen, units: pl.DataFrame) -> pl.DataFrame:
    """List the units that failed, and those without a receipt because an earlier step failed."""
    rows = [
        (step, plate, unit, f"failed: {receipt.error[1] if receipt.error else 'no reason is recorded'}")
        for step in receipt_steps(screen.path)
        for (plate, unit), receipt in load_receipts(screen.path, step).items()
        if receipt.status == "failed"
    ]
    blocked = units.filter(pl.col("state") == State.BLOCKED.value).drop("state")
    blocked = blocked.with_columns(pl.format("not done: {}", "reason").alias("reason"))
    return pl.concat([pl.DataFrame(rows, schema=blocked.schema, orient="row"), blocked])


def _channels(screen: Screen) -> list[str]:
    """Return the stains of the image table, for a screen without the record of its run."""
    try:
        images = screen.table("image").select("Metadata_Channel").unique().collect()
    except (PhenoprintError, pl.exceptions.PolarsError):
        return []
    return in_order(images["Metadata_Channel"])


def parsed_run(record: RunRecord | None) -> ScreenConfig | None:
    """Return the configuration of a run; None if there is no record, or this version cannot read it."""
    try:
        return None if record is None else parse_config(record.configuration, source="the configuration of the run")
    except ConfigError:
        return None


def step_order() -> tuple[str, ...]:
    """Return the names of all steps, in the order of a run of images.

    Examples
    --------
    >>> step_order()[:2]
    ('illumination', 'quality')
    """
    return tuple(step.name for step in Schedule.of(STEPS).steps)


def schedule_of(screen: Screen) -> Schedule:
    """Return the steps that run on a screen, in order, and why the others do not."""
    return Schedule.of(STEPS, given_tables(screen))


def sources_of(screen: Screen) -> dict[str, str]:
    """Return hashes of what the user may change between runs besides images and configuration, by name."""
    imported = sorted(imported_keys(screen).items())
    excluded = sorted(exclusion_keys(screen.path).items())
    given = {"imported tables or their annotation": imported, "exclusions": excluded}
    return {name: hash_key(keys) for name, keys in given.items() if keys}


def make_plan(screen: Screen, config: ScreenConfig, *, channels: Sequence[str], scrutiny: Scrutiny) -> Plan:
    """Judge every unit of every step of a screen; nothing is run or written.

    Images are those that the last run found.

    Parameters
    ----------
    screen
        The screen.
    config
        The configuration to plan for.
    channels
        The stains, in the order of the last run.
    scrutiny
        How closely the outputs of the last run are checked.
    """
    rows, damaged = _judge_beside(screen, scrutiny)
    named = tuple(config.images.channels.values()) if config.images else ()
    context = Context(
        path=screen.path,
        config=config,
        image_root=screen.path,
        channels=named or tuple(channels),
        given=given_tables(screen),
    )
    schedule = schedule_of(screen)
    try:
        tree = KeyTree(context, schedule)
    except (PhenoprintError, pl.exceptions.PolarsError) as error:
        return Plan(_frame([*rows, ("ingest", None, "screen", State.DAMAGED.value, str(error))]), damaged)
    for step in schedule.steps:
        judged = judge(step, tree, load_receipts(screen.path, step.name), scrutiny=scrutiny)
        damaged |= judged.damaged
        for item in judged.standings:
            _remember(tree, step, item)
            name = unit_name(step, item.unit)
            rows.append((step.name, item.unit.plate or None, name, item.state.value, item.reason))
    return Plan(_frame(rows), damaged)


def _judge_beside(screen: Screen, scrutiny: Scrutiny) -> tuple[list[_Row], dict[str, str]]:
    """Judge the tables that no step writes: those of the ingest, the ledger, and imported tables."""
    rows: list[_Row] = []
    damaged: dict[str, str] = {}
    receipts = [receipt for (plate, _), receipt in load_receipts(screen.path, TABLE).items() if plate is None]
    for receipt in [*receipts, *load_receipts(screen.path, "import").values()]:
        wrong = check_outputs(screen.path, receipt.outputs, scrutiny).wrong
        damaged |= wrong
        step = receipt.unit if receipt.step == TABLE else receipt.step
        for name, what in wrong.items():
            rows.append((step, receipt.plate, receipt.unit, State.DAMAGED.value, f"{name} {what}"))
    return rows, damaged


def _frame(rows: Sequence[_Row]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=_UNITS, orient="row")


def _remember(tree: KeyTree, step: Step, standing: Standing) -> None:
    """Record the key that later steps depend on, as far as it is known before the unit has run."""
    key, receipt = standing.key.value, standing.receipt
    is_done = standing.state not in (State.FAILED, State.BLOCKED)
    if standing.state in (State.FRESH, State.DAMAGED) and receipt is not None:
        key = receipt.digest or key
    elif standing.state is State.STALE and receipt is not None and receipt.digest:
        key = f"not known before it is done: {key}"
    tree.remember(step.name, standing.unit, key, is_done=is_done)
