"""Decide which units of which steps to run, run them, and record each with a receipt.

Steps are walked in order. A unit's key is a hash of its step, the parameters that the step reads and the keys of what
it needs, so that the keys form a tree rooted in the hashes of the image files: changing a parameter re-runs what
depends on it and nothing else. The state of a run is nothing but its receipts and files; killing it anywhere is safe.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field

import polars as pl

from phenoprint.pipeline.artefacts import drop_table
from phenoprint.pipeline.context import Context
from phenoprint.pipeline.events import Message, OnEvent, StepFinished, StepStarted, UnitFinished, ignore
from phenoprint.pipeline.exclusions import exclusion_keys
from phenoprint.pipeline.executors import Executor
from phenoprint.pipeline.imported import imported_keys
from phenoprint.pipeline.steps.base import Scope, Step, Unit
from phenoprint.pipeline.work import Job, failed_on_data, record_death, run_job, unit_name
from phenoprint.store import Receipt, StoredWell, hash_key, load_receipts, remove_receipt

__all__ = ["Engine", "RunSummary", "StepCount"]

# A unit whose worker died twice is given up: it would only kill the next one.
_ATTEMPTS = 2
_VOLATILE = ("mtime_ns", "bytes")


@dataclass
class StepCount:
    """How the units of one step ended; ``unusable`` counts fields that no step could read."""

    done: int = 0
    fresh: int = 0
    failed: int = 0
    blocked: int = 0
    unusable: int = 0


@dataclass
class RunSummary:
    """How a run ended, by step."""

    steps: dict[str, StepCount] = field(default_factory=lambda: defaultdict(StepCount))
    seconds: float = 0.0

    @property
    def is_partial(self) -> bool:
        """Whether some unit failed or some input could not be used."""
        return any(count.failed or count.blocked or count.unusable for count in self.steps.values())


@dataclass(frozen=True)
class _State:
    """What later steps depend on of a unit (its key, or the hash of its result), and whether it can be read."""

    key: str
    is_done: bool


class Engine:
    """Runs steps over a screen.

    Parameters
    ----------
    context
        The screen and its configuration.
    executor
        Where units run.
    on_event
        Receives progress events.
    retry_failed
        Run again what failed on bad data, too; other failures are always tried again.

    Attributes
    ----------
    failures
        After a run: step, unit and reason of everything that was not done.
    """

    def __init__(
        self, context: Context, executor: Executor, *, on_event: OnEvent = ignore, retry_failed: bool = False
    ) -> None:
        self.context = context
        self.executor = executor
        self.on_event = on_event
        self.retry_failed = retry_failed
        self.failures: list[tuple[str, Unit, str]] = []
        self._wells: dict[str, list[str]] = {}
        # step -> plate ("" for the screen) -> unit -> state
        self._states: dict[str, dict[str, dict[Unit, _State]]] = defaultdict(lambda: defaultdict(dict))

    def run(self, steps: Sequence[Step]) -> RunSummary:
        """Run every unit of ``steps`` whose result is absent or no longer holds."""
        summary = RunSummary()
        begun = time.perf_counter()
        self._read_sources()
        for step in steps:
            self._run_step(step, summary.steps[step.name])
        summary.seconds = time.perf_counter() - begun
        return summary

    # -- keys -------------------------------------------------------------------------------------------------

    def _read_sources(self) -> None:
        """Give what the steps start from keys: images, annotation of wells, exclusions, imported tables by source."""
        by = ["Metadata_Plate", "Metadata_Well"]
        images = self.context.table("image").drop(_VOLATILE).collect()
        for (plate, well), rows in images.sort(pl.all()).group_by(by, maintain_order=True):
            self._wells.setdefault(str(plate), []).append(str(well))
            self._remember("image", Unit(str(plate), str(well)), _State(hash_key(rows.columns, rows.rows()), True))
        wells = self.context.table("well").collect().sort(by)
        for (plate,), rows in wells.group_by("Metadata_Plate", maintain_order=True):
            self._remember("well", Unit(str(plate)), _State(hash_key(rows.columns, rows.rows()), True))
            if self.context.is_imported:
                self._wells[str(plate)] = rows["Metadata_Well"].to_list()
        for plate, key in exclusion_keys(self.context.path).items():
            self._remember("exclusion", Unit(plate), _State(key, True))
        for (step, plate), key in imported_keys(self.context.screen).items() if self.context.is_imported else ():
            self._remember(step, Unit(plate), _State(key, True))

    def _remember(self, step: str, unit: Unit, state: _State) -> None:
        self._states[step][unit.plate][unit] = state

    def units(self, scope: Scope) -> list[Unit]:
        """Return the units of a scope, in order."""
        if scope is Scope.SCREEN:
            return [Unit()]
        if scope is Scope.PLATE:
            return [Unit(plate) for plate in sorted(self._wells)]
        return [Unit(plate, well) for plate in sorted(self._wells) for well in self._wells[plate]]

    def _needed(self, need: str, unit: Unit) -> list[tuple[Unit, _State]]:
        """Return the units of ``need`` that ``unit`` reads: the one that covers it, or all that it covers."""
        states = self._states[need]
        for cover in (unit, Unit(unit.plate), Unit()):
            found = states.get(cover.plate, {}).get(cover)
            if found is not None:
                return [(cover, found)]
        plates = [unit.plate] if unit.plate else sorted(states)
        return [item for plate in plates for item in sorted(states.get(plate, {}).items())]

    def _key(self, step: Step, unit: Unit) -> str:
        needs = [
            (need, str(other), state.key, state.is_done)
            for need in step.needs
            for other, state in self._needed(need, unit)
        ]
        return hash_key(
            step.name, step.version, dict(step.parameters(self.context.config)), self.context.channels, needs
        )

    def _is_blocked(self, step: Step, unit: Unit) -> bool:
        """Whether something that the unit cannot do without has failed."""
        for need in step.needs:
            states = [state for _, state in self._needed(need, unit)]
            if states and not any(state.is_done for state in states):
                return True
        return False

    # -- running ----------------------------------------------------------------------------------------------

    def _run_step(self, step: Step, count: StepCount) -> None:
        begun = time.perf_counter()
        units = self.units(step.scope)
        receipts = self._receipts(step, units)
        stored = self._stored(step)
        todo: list[tuple[Unit, str]] = []
        for unit in units:
            key = self._key(step, unit)
            receipt = receipts.get((unit.plate or None, unit_name(step, unit)))
            if self._is_blocked(step, unit):
                self._remember(step.name, unit, _State(key, False))
                remove_receipt(self.context.path, step.name, unit.plate or None, unit_name(step, unit))
                self.failures.append((step.name, unit, "not done: an earlier step failed"))
                count.blocked += 1
            elif receipt is not None and self._holds(step, unit, key, receipt, stored):
                self._remember(step.name, unit, _State(receipt.digest or key, True))
                count.fresh += 1
                count.unusable += receipt.n_unusable
            elif receipt is not None and receipt.key == key and failed_on_data(receipt) and not self.retry_failed:
                self._remember(step.name, unit, _State(key, False))
                self.failures.append((step.name, unit, f"failed: {receipt.error[1] if receipt.error else ''}"))
                count.failed += 1
            else:
                todo.append((unit, key))
        self.on_event(StepStarted(step.name, step.title, len(units), len(units) - len(todo)))
        if todo:
            self._warm_up(step)
            for receipt in self._execute(step, todo):
                self._count(step, receipt, count)
        self._settle(step)
        self.on_event(StepFinished(step.name, count.done, count.failed, time.perf_counter() - begun))

    def _receipts(self, step: Step, units: list[Unit]) -> dict[tuple[str | None, str], Receipt]:
        """Read the receipts of a step; those of units that are no longer part of the screen go, with their files."""
        known = {(unit.plate or None, unit_name(step, unit)) for unit in units}
        receipts = load_receipts(self.context.path, step.name)
        for (plate, unit), receipt in receipts.items():
            if (plate, unit) not in known:
                for name in receipt.outputs:
                    (self.context.path / name).unlink(missing_ok=True)
                remove_receipt(self.context.path, step.name, plate, unit)
        return {name: receipt for name, receipt in receipts.items() if name in known}

    def _stored(self, step: Step) -> dict[tuple[str, str], dict[str, StoredWell]]:
        """Return which wells each table of a step holds, and under which key."""
        if step.scope is not Scope.WELL:
            return {}
        screen = self.context.screen
        return {(table, plate): screen.stored_wells(table, plate) for table in step.tables for plate in self._wells}

    def _holds(
        self,
        step: Step,
        unit: Unit,
        key: str,
        receipt: Receipt,
        stored: dict[tuple[str, str], dict[str, StoredWell]],
    ) -> bool:
        """Whether a receipt answers for the unit as it is now, with its results in place."""
        if receipt.key != key or receipt.status != "done" or receipt.missing_outputs(self.context.path):
            return False
        if self.retry_failed and receipt.n_unusable:
            return False
        if step.scope is not Scope.WELL:
            return True
        held = (stored[table, unit.plate].get(unit.well) for table in step.tables)
        return all(well is not None and well.key == key for well in held)

    def _warm_up(self, step: Step) -> None:
        """Prepare a step; what goes wrong there will go wrong in its units, and is recorded with them."""
        try:
            step.warm_up(self.context, self.executor, self.on_event)
        except BrokenProcessPool:
            self.executor.restart()
        except Exception as error:  # noqa: BLE001
            self.on_event(Message(f"{step.title}: could not be prepared ({error}); going on", level="warning"))

    def _count(self, step: Step, receipt: Receipt, count: StepCount) -> None:
        is_done = receipt.status == "done"
        unit = Unit(receipt.plate or "", receipt.unit if step.scope is Scope.WELL else "")
        self._remember(step.name, unit, _State(receipt.digest or receipt.key, is_done))
        count.done += is_done
        count.failed += not is_done
        count.unusable += receipt.n_unusable
        message = None if receipt.error is None else receipt.error[1]
        if message is not None:
            self.failures.append((step.name, unit, f"failed: {message}"))
        self.on_event(UnitFinished(step.name, str(unit), receipt.seconds, message))

    def _execute(self, step: Step, todo: list[tuple[Unit, str]]) -> Iterable[Receipt]:
        """Run units, yielding receipts as they end; a unit that kills its worker twice is recorded as failed."""
        jobs = [Job(step, unit, key, self.context) for unit, key in todo]
        if step.scope is Scope.SCREEN:  # few and large: they use every core themselves
            yield from (run_job(job) for job in jobs)
            return
        for _ in range(_ATTEMPTS):
            futures: dict[Future[Receipt], Job] = {self.executor.submit(run_job, job): job for job in jobs}
            jobs = []
            pending = set(futures)
            while pending:
                ended, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in ended:
                    try:
                        yield future.result()
                    except BrokenProcessPool:
                        jobs.append(futures[future])
            if not jobs:
                return
            self.executor.restart()
        yield from self._one_by_one(jobs)

    def _one_by_one(self, jobs: list[Job]) -> Iterable[Receipt]:
        """Run units alone, so that one which kills its worker takes no other with it."""
        for job in jobs:
            try:
                yield self.executor.submit(run_job, job).result()
            except BrokenProcessPool:
                self.executor.restart()
                yield record_death(job)

    def _settle(self, step: Step) -> None:
        """Merge the parts of wells into the plate's tables; drop rows that no result answers for."""
        if step.scope is not Scope.WELL:
            states = (item for units in self._states[step.name].values() for item in units.items())
            for unit, state in states:
                for table in set(step.tables) - self.context.imported if not state.is_done else ():
                    drop_table(self.context.path, table, part=step.parts.get(table), plate=unit.plate or None)
            return
        screen = self.context.screen
        for plate, wells in self._wells.items():
            done = {well for well in wells if self._states[step.name][plate][Unit(plate, well)].is_done}
            for table in step.tables:
                gone = set(screen.stored_wells(table, plate)) - done
                screen.compact(table, plate, drop=gone)
