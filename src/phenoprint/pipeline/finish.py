"""The end of a run: warnings, ledger, catalog and the record of the run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import polars as pl

from phenoprint.pipeline.events import Message, OnEvent
from phenoprint.pipeline.phenotypes import nuisance_message
from phenoprint.pipeline.plan import step_order
from phenoprint.pipeline.screen_files import drop_table
from phenoprint.pipeline.status import screen_notes
from phenoprint.store import (
    TABLE,
    RunRecord,
    Screen,
    check_balance,
    concat_ledgers,
    ledger_rows,
    load_receipts,
    record_table,
    remove_receipt,
    write_run,
)

if TYPE_CHECKING:
    from phenoprint.pipeline.context import Context
    from phenoprint.pipeline.engine import Engine, RunSummary

__all__ = ["RunResult", "finish"]

_LEDGER = "ledger"  # the unit of the receipt of the ledger, which no step writes


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


def finish(context: Context, engine: Engine, summary: RunSummary, record: RunRecord, first: pl.DataFrame) -> None:
    """Report what to know of a run, write the ledger and the catalog, and record how the run ended.

    Parameters
    ----------
    context
        The screen.
    engine
        The engine that ran the steps.
    summary
        How they ended.
    record
        The record of the run as it began.
    first
        Rows of the ledger before the first step.
    """
    screen = context.screen
    _warn_of_phenotypes(screen, engine.on_event)
    for note in screen_notes(screen):
        engine.on_event(Message(note, level="warning"))
    for message in nuisance_message(screen):
        engine.on_event(message)
    _write_ledger(screen, first, engine)
    screen.rebuild_catalog()
    write_run(screen.path, _ended(record, summary))


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
    """Warn of rules of cell quality that flag cells because of what a treatment does."""
    for row in screen.table("cell_rule").filter("is_phenotypic").collect().iter_rows(named=True):
        what = (
            "and removes them from the profiles (cell_quality.protect_phenotypes = true would keep them)"
            if row["is_applied"]
            else "so it only flags, and no cell of the screen is left out because of it "
            "(cell_quality.protect_phenotypes = false leaves them out)"
        )
        shares = f"{row['worst_share']:.0%} against {row['share_reference']:.0%}"
        text = (
            f"the cell rule {row['rule']!r} flags more cells than in the controls (treatments: {row['n_over']}, such "
            f"as {row['worst']}, {shares}), {what}; see cell_rule"
        )
        on_event(Message(text, level="warning"))
