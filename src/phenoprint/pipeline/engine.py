"""Decide which units of which steps to run, run them, and record each with a receipt.

Steps run in order, and each unit is judged before its step begins. A changed parameter re-runs the units that depend on
it, a damaged file the unit that made it. The receipts and files are the whole state of a run, so it may be killed at
any time.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field

from phenoprint.pipeline.context import Context
from phenoprint.pipeline.events import Message, OnEvent, StepFinished, StepStarted, UnitFinished, ignore
from phenoprint.pipeline.executors import Executor
from phenoprint.pipeline.judge import Judged, Standing, State, judge
from phenoprint.pipeline.keys import KeyTree
from phenoprint.pipeline.schedule import Schedule
from phenoprint.pipeline.screen_files import drop_table
from phenoprint.pipeline.steps.base import Scope, Step, Unit
from phenoprint.pipeline.work import Job, failed_on_data, record_death, run_job, unit_name
from phenoprint.store import TABLE, Receipt, Scrutiny, load_receipts, remove_file, remove_receipt, write_receipt

__all__ = ["Engine", "RunSummary", "StepCount"]

# A unit fails after its worker process has died twice.
_ATTEMPTS = 2
# How many damaged files are named in messages; more are counted.
_NAMED = 3


@dataclass
class StepCount:
    """How many units of a step were done, valid before, failed or blocked; ``unusable`` counts unreadable fields."""

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


class Engine:
    """Runs the steps of a screen.

    Parameters
    ----------
    context
        The screen and its configuration.
    executor
        Where units run.
    on_event
        Receives progress events.
    retry_failed
        Whether to try units again that failed on bad data; other failures are always tried again.
    scrutiny
        How closely the outputs of earlier runs are checked.
    kept
        Names of steps whose results are taken as they are, without any check.

    Attributes
    ----------
    failures
        After a run: step, unit and reason of each unit that was not done.
    """

    def __init__(
        self,
        context: Context,
        executor: Executor,
        *,
        on_event: OnEvent = ignore,
        retry_failed: bool = False,
        scrutiny: Scrutiny = Scrutiny.TIME,
        kept: Collection[str] = (),
    ) -> None:
        self.context = context
        self.executor = executor
        self.on_event = on_event
        self.retry_failed = retry_failed
        self.scrutiny = scrutiny
        self.kept = kept
        self.failures: list[tuple[str, Unit, str]] = []
        self._tree: KeyTree

    def run(self, steps: Sequence[Step]) -> RunSummary:
        """Run those of ``steps`` that can run: every unit whose result is absent or no longer valid."""
        summary = RunSummary()
        begun = time.perf_counter()
        schedule = Schedule.of(steps, self.context.given)
        self._tree = KeyTree(self.context, schedule)
        for step in schedule.steps:
            if step.name in self.kept:
                self._keep(step, summary.steps[step.name])
            else:
                self._run_step(step, summary.steps[step.name])
        summary.seconds = time.perf_counter() - begun
        return summary

    def _run_step(self, step: Step, count: StepCount) -> None:
        begun = time.perf_counter()
        judged = judge(step, self._tree, self._receipts(step), scrutiny=self.scrutiny)
        self._clear(judged)
        todo = [standing for standing in judged.standings if not self._stays(step, standing, count)]
        total = len(judged.standings)
        self.on_event(StepStarted(step.name, step.title, total, total - len(todo)))
        if todo:
            self._warm_up(step)
            for receipt in self._execute([Job(step, item.unit, item.key, self.context) for item in todo]):
                self._count(step, receipt, count)
        self._settle(step)
        self.on_event(StepFinished(step.name, count.done, count.failed, time.perf_counter() - begun))

    def _keep(self, step: Step, count: StepCount) -> None:
        """Take the results of a step as they are."""
        receipts = load_receipts(self.context.path, step.name)
        for unit in self._tree.units(step.scope):
            receipt = receipts.get((unit.plate or None, unit_name(step, unit)))
            if receipt is None or receipt.status != "done":
                why = "not done" if receipt is None or receipt.error is None else f"failed: {receipt.error[1]}"
                self._tree.remember(step.name, unit, "" if receipt is None else receipt.key, is_done=False)
                self.failures.append((step.name, unit, why))
                count.failed += 1
            else:
                self._tree.remember(step.name, unit, receipt.digest or receipt.key)
                count.fresh += 1
                count.unusable += receipt.n_unusable

    def _receipts(self, step: Step) -> dict[tuple[str | None, str], Receipt]:
        """Read the receipts of a step; remove those of units that left the screen, with their files."""
        known = {(unit.plate or None, unit_name(step, unit)) for unit in self._tree.units(step.scope)}
        receipts = load_receipts(self.context.path, step.name)
        for (plate, unit), receipt in receipts.items():
            if (plate, unit) not in known:
                for name in receipt.outputs:
                    remove_file(self.context.path / name)
                remove_receipt(self.context.path, step.name, plate, unit)
        return {name: receipt for name, receipt in receipts.items() if name in known}

    def _clear(self, judged: Judged) -> None:
        """Remove damaged files, which are computed again, and report them; record new times of unchanged files."""
        for receipt in judged.moved:
            write_receipt(self.context.path, receipt)
        for name in judged.damaged:
            remove_file(self.context.path / name)
        for table, plate in judged.tables:
            remove_receipt(self.context.path, TABLE, plate, table)
        for name, what in list(judged.damaged.items())[:_NAMED]:
            self.on_event(Message(f"{name} {what}; it is computed again", level="warning"))
        if len(judged.damaged) > _NAMED:
            text = f"{len(judged.damaged) - _NAMED} more files of this step were damaged; they are computed again"
            self.on_event(Message(text, level="warning"))

    def _stays(self, step: Step, standing: Standing, count: StepCount) -> bool:
        """Whether a unit is not run: it is done, blocked, or failed on data that have not changed."""
        unit, receipt = standing.unit, standing.receipt
        if standing.state is State.BLOCKED:
            remove_receipt(self.context.path, step.name, unit.plate or None, unit_name(step, unit))
            self._tree.remember(step.name, unit, standing.key.value, is_done=False)
            self.failures.append((step.name, unit, f"not done: {standing.reason}"))
            count.blocked += 1
            return True
        if receipt is None or standing.state.would_run:
            return False
        if standing.state is State.FAILED and (self.retry_failed or not failed_on_data(receipt)):
            return False
        if self.retry_failed and receipt.n_unusable:
            return False
        if standing.state is State.FAILED:
            self._tree.remember(step.name, unit, standing.key.value, is_done=False)
            self.failures.append((step.name, unit, f"failed: {standing.reason}"))
            count.failed += 1
            return True
        self._tree.remember(step.name, unit, receipt.digest or receipt.key)
        count.fresh += 1
        count.unusable += receipt.n_unusable
        return True

    def _warm_up(self, step: Step) -> None:
        """Prepare a step; an error here will occur in its units again, and is recorded with them."""
        try:
            step.warm_up(self.context, self.executor, self.on_event)
        except BrokenProcessPool:
            self.executor.restart()
        except Exception as error:  # noqa: BLE001
            self.on_event(Message(f"{step.title}: could not be prepared ({error}); the run continues", level="warning"))

    def _count(self, step: Step, receipt: Receipt, count: StepCount) -> None:
        is_done = receipt.status == "done"
        unit = Unit(receipt.plate or "", receipt.unit if step.scope is Scope.WELL else "")
        self._tree.remember(step.name, unit, receipt.digest or receipt.key, is_done=is_done)
        count.done += is_done
        count.failed += not is_done
        count.unusable += receipt.n_unusable
        message = None if receipt.error is None else receipt.error[1]
        if message is not None:
            self.failures.append((step.name, unit, f"failed: {message}"))
        self.on_event(UnitFinished(step.name, str(unit), receipt.seconds, message))

    def _execute(self, jobs: list[Job]) -> Iterable[Receipt]:
        """Run units and yield their receipts as they end; a unit that kills its worker twice is recorded as failed."""
        if jobs[0].step.scope is Scope.SCREEN:  # one unit that uses every core itself
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
        """Run one unit at a time, so that a unit that kills its worker ends no other."""
        for job in jobs:
            try:
                yield self.executor.submit(run_job, job).result()
            except BrokenProcessPool:
                self.executor.restart()
                yield record_death(job)

    def _settle(self, step: Step) -> None:
        """Merge the parts of wells into the tables of their plate; drop rows of units that are not done."""
        done = {unit for unit in self._tree.units(step.scope) if self._tree.is_done(step.name, unit)}
        if step.scope is not Scope.WELL:
            for unit in set(self._tree.units(step.scope)) - done:
                for table in set(step.tables) - self.context.given:
                    drop_table(self.context.path, table, part=step.parts.get(table), plate=unit.plate or None)
            return
        screen = self.context.screen
        for plate in self._tree.wells:
            for table in step.tables:
                gone = {well for well in screen.stored_wells(table, plate) if Unit(plate, well) not in done}
                screen.compact(table, plate, drop=gone)
