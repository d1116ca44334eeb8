"""Run one unit of a step and record it, in whatever process the executor chose."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from phenoprint.errors import DamagedTableError, DataError, PhenoprintError, SchemaError
from phenoprint.pipeline.context import Context
from phenoprint.pipeline.keys import Key
from phenoprint.pipeline.screen_files import drop_table
from phenoprint.pipeline.steps.base import Outcome, Step, Unit
from phenoprint.store import Output, Receipt, record_outputs, remove_receipt, write_receipt
from phenoprint.tables import get_table
from phenoprint.version import __version__

__all__ = ["Job", "failed_on_data", "peak_memory_mb", "record_death", "run_job", "unit_name"]

# Errors of the input have this prefix in a receipt: such a unit is not tried again before its input changes. A damaged
# table is not an error of the input: once it is rebuilt, it has the same key.
_DATA = "data:"


@dataclass(frozen=True)
class Job:
    """A unit of a step, its key and its surroundings."""

    step: Step
    unit: Unit
    key: Key
    context: Context


def unit_name(step: Step, unit: Unit) -> str:
    """Return the name of a unit in its receipt: its well, or the scope of its step.

    Examples
    --------
    >>> from phenoprint.pipeline.steps import STEPS
    >>> unit_name(STEPS[0], Unit("P1"))
    'plate'
    """
    return unit.well or step.scope.value


def peak_memory_mb() -> float:
    """Return the largest resident size of this process so far, in MB.

    Examples
    --------
    >>> peak_memory_mb() > 1
    True
    """
    if sys.platform == "win32":
        import psutil

        return float(psutil.Process().memory_info().peak_wset) / 1e6
    import resource

    scale = 1e6 if sys.platform == "darwin" else 1e3  # bytes on macOS, kilobytes on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def failed_on_data(receipt: Receipt) -> bool:
    """Whether a unit failed because of its input and not because of the machine."""
    return receipt.status == "failed" and receipt.error is not None and receipt.error[0].startswith(_DATA)


def _require_declared(step: Step, outcome: Outcome) -> None:
    """Require that a step returns and writes no table, and returns no column, that is not declared.

    Raises
    ------
    SchemaError
        If it does. The message names the step and what it returned.
    """
    tables = outcome.tables
    written = {name.split("/")[1] for name in outcome.files if name.startswith("tables/")}
    undeclared = sorted(written.union(tables).difference(step.tables))
    for name in set(tables).intersection(step.tables):
        declared = get_table(name)
        if not declared.holds_features:
            columns = {column.name for column in declared.columns}
            undeclared += [f"{name}.{column}" for column in tables[name].columns if column not in columns]
    if undeclared:
        raise SchemaError(f"step {step.name} returned what it does not declare: {', '.join(undeclared)}")


def _write(job: Job, outcome: Outcome) -> dict[str, Output]:
    """Write the tables of an outcome; return the files to record in the receipt."""
    _require_declared(job.step, outcome)
    screen, unit = job.context.screen, job.unit
    written = []
    for table, frame in outcome.tables.items():
        if unit.well:
            screen.write_part(table, frame, plate=unit.plate, well=unit.well, key=job.key.value)
        else:
            part = job.step.parts.get(table)
            paths = screen.write(table, frame, plate=unit.plate or None, part=part)
            if not unit.plate:  # what is written now is all there is
                drop_table(screen.path, table, part=part, keep=set(paths))
            written += paths
    files = {screen.path / name for name in outcome.files}
    for table in set(job.step.tables) - set(outcome.tables) - job.context.given if not unit.well else ():
        drop_table(screen.path, table, part=job.step.parts.get(table), plate=unit.plate or None, keep=files)
    return record_outputs(screen.path, files.union(written))


def _receipt(job: Job, begun: datetime, seconds: float, **fields: Any) -> Receipt:
    return Receipt(
        step=job.step.name,
        plate=job.unit.plate or None,
        unit=unit_name(job.step, job.unit),
        key=job.key.value,
        started=begun.isoformat(timespec="milliseconds"),
        seconds=round(seconds, 4),
        peak_rss_mb=round(peak_memory_mb(), 1),
        parameters=job.key.parameters,
        inputs=job.key.inputs,
        software=__version__,
        **fields,
    )


def run_job(job: Job) -> Receipt:
    """Run one unit, write its results and its receipt, and return the receipt.

    Errors of the unit become a failed receipt: the rest of the screen continues.
    """
    begun, clock = datetime.now(UTC), time.perf_counter()
    # There is no receipt while results are being replaced.
    remove_receipt(job.context.path, job.step.name, job.unit.plate or None, unit_name(job.step, job.unit))
    try:
        outcome = job.step.run(job.unit, job.context)
        outputs = _write(job, outcome)
        ledger = () if outcome.ledger is None else tuple(outcome.ledger.to_dicts())
        receipt = _receipt(
            job,
            begun,
            time.perf_counter() - clock,
            status="done",
            outputs=outputs,
            ledger=ledger,
            digest=outcome.digest,
            n_unusable=outcome.unusable,
        )
    except Exception as error:  # noqa: BLE001 - a unit's failure is recorded, not raised
        is_of_input = isinstance(error, DataError) and not isinstance(error, DamagedTableError)
        kind = f"{_DATA}{type(error).__name__}" if is_of_input else type(error).__name__
        text = str(error) if isinstance(error, PhenoprintError) else _where(error)
        receipt = _receipt(job, begun, time.perf_counter() - clock, status="failed", error=(kind, text))
    write_receipt(job.context.path, receipt)
    return receipt


def _where(error: BaseException) -> str:
    """Return the text of an unexpected error with the line that raised it."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1] if frames else None
    place = "" if last is None else f" [{last.filename.rsplit('phenoprint', 1)[-1]}:{last.lineno}]"
    text = str(error)
    return f"{text[:600]}{' ...' if len(text) > 600 else ''}{place}"


def record_death(job: Job) -> Receipt:
    """Write the receipt of a unit whose worker process died."""
    message = "the worker process died, probably because memory ran out; run with fewer --workers"
    receipt = _receipt(job, datetime.now(UTC), 0.0, status="failed", error=("WorkerDied", message))
    write_receipt(job.context.path, receipt)
    return receipt
