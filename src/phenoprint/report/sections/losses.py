"""The ledger: input, output and losses of each step, with reasons."""

from __future__ import annotations

import polars as pl

from phenoprint.pipeline import step_order
from phenoprint.report.context import Page, Section
from phenoprint.report.figures import ledger_waterfall
from phenoprint.report.html import Html, join, notice, number, sql_hint, table, tag, term
from phenoprint.report.sections.terms import LEDGER
from phenoprint.report.summaries.features import STATUS_MEANING
from phenoprint.report.summaries.ledger import ledger_steps, ledger_wells
from phenoprint.tables import WELL_KEY

__all__ = ["losses"]

COLUMNS = [*WELL_KEY, "step", "unit_of_count", "n_in", "n_out", "n_lost", "reason"]
WHY = "Every step of a run and every import writes it."


def _order(page: Page, ledger: pl.DataFrame) -> tuple[str, ...]:
    """Return the steps in the order of a run: imports first, the steps of the recipe in place of ``recipe``."""
    found = ledger["step"].unique(maintain_order=True).to_list()
    imports = [name for name in found if name.startswith("import")]
    run = ("ingest", *step_order())
    before, after = run[: run.index("recipe")], run[run.index("recipe") + 1 :]
    scored = page.tables.columns("step_score", ["step", "number"])
    recipe = [] if scored is None else scored.unique("step").sort("number")["step"].to_list()
    others = [name for name in found if name not in {*imports, *run, *recipe}]
    return (*imports, *before, *others, *recipe, *after)


def losses(page: Page) -> Section:
    """Summarize the ledger by step, plate and well, and list the flagged wells."""
    try:
        ledger = page.tables.need("ledger", COLUMNS, why=WHY)
    except Exception as error:
        if page.flags.is_empty():
            raise
        body = join([notice(str(error)), _flagged(page)])
        return Section(f"{page.flags.height} wells are flagged.", body)
    order = _order(page, ledger)
    steps = ledger_steps(ledger, order=order)
    panels: list[tuple[str, object]] = [("All plates", _steps(steps))]
    by_plate = ledger_steps(ledger.filter(pl.col("Metadata_Plate").is_not_null()), by=("Metadata_Plate",), order=order)
    plates = sorted(by_plate["Metadata_Plate"].unique().to_list())
    if len(plates) > 1:
        panels += [(plate, _steps(by_plate.filter(pl.col("Metadata_Plate") == plate))) for plate in plates[:12]]
    waterfall = page.figure(ledger_waterfall(ledger, order=order), "Share lost at each step by reason")
    off = steps.filter(pl.col("balances").not_())["step"].unique().sort().to_list()
    balance = (
        notice(
            f"The ledger does not balance at {', '.join(off)}: rows were lost without a reason. "
            "Treat the counts below with care."
        )
        if off
        else None
    )
    wells = _worst_wells(ledger)
    body = join(
        [
            balance,
            tag("div", waterfall, class_="wide"),
            page.tabs("Steps", panels),
            tag("h3", "Wells with the most loss"),
            wells,
            tag("h3", "Flagged wells"),
            _flagged(page),
            sql_hint(
                "SELECT step, unit_of_count, n_in, n_out, n_lost, reason FROM ledger\n"
                "WHERE Metadata_Plate = '...' AND Metadata_Well = 'H12'"
            ),
        ]
    )
    lead = join([term("The ledger", LEDGER), _sentence(steps)])
    return Section(lead, body)


def _reason(reason: str | None) -> str | None:
    """Return a reason; a status code is followed by its meaning."""
    return f"{reason}: {STATUS_MEANING[reason]}" if reason in STATUS_MEANING else reason


def _sentence(steps: pl.DataFrame) -> str:
    cells = steps.filter(pl.col("unit_of_count") == "cells")
    balanced = "balances at every step" if bool(steps["balances"].all()) else "does not balance"
    if cells.is_empty():
        return f" {balanced}."
    first, last = cells.row(0, named=True), cells.row(-1, named=True)
    found, left = number(first["n_in"]), number(last["n_out"])
    return f" {balanced}. Of {found} cells found, {left} reached the last step that counts cells."


def _steps(steps: pl.DataFrame) -> Html:
    rows = []
    previous: tuple[str, str] | None = None
    for row in steps.iter_rows(named=True):
        step = (row["step"], row["unit_of_count"])
        first = step != previous
        previous = step
        share = 100.0 * row["n_out"] / row["n_in"] if row["n_in"] else None
        kept = (
            None
            if share is None
            else tag("span", f"{share:.1f} %", tag("i", style=f"width:{share:.1f}%"), class_="bar")
        )
        rows.append(
            (
                tag("b", step[0]) if first else "",
                step[1] if first else "",
                row["n_in"] if first else "",
                row["n_out"] if first else "",
                kept if first else "",
                row["n_lost"] or "",
                _reason(row["reason"]) or ("nothing lost" if not row["n_lost"] else "without a reason"),
            )
        )
    header = ("Step", "Counted", "In", "Out", "Kept", "Lost", "Why")
    return table(header, rows, numeric=(2, 3, 5), class_="steps", caption="In, out and lost by step")


def _worst_wells(ledger: pl.DataFrame) -> Html:
    worst = ledger_wells(ledger).filter(pl.col("n_lost") > 0).head(15)
    if worst.is_empty():
        return notice("No well lost a cell, or the ledger does not count cells by well.")
    rows = [
        (plate, well, n_in, n_lost, f"{percent:.1f} %" if percent is not None else None, reasons)
        for plate, well, n_in, n_lost, percent, reasons in worst.select(
            "Metadata_Plate", "Metadata_Well", "n_in", "n_lost", "lost_percent", "reasons"
        ).iter_rows()
    ]
    return table(("Plate", "Well", "Cells found", "Lost", "Share", "Why"), rows, numeric=(2, 3, 4), class_="sortable")


def _flagged(page: Page) -> Html:
    flags = page.flags
    if flags.is_empty():
        return notice("No well is flagged in image quality, exclusions and sites, or these tables are not written yet.")
    rows = flags.select(*WELL_KEY, "kind", "reasons").head(400).rows()
    find = tag(
        "label",
        "Find ",
        tag("input", type="search", placeholder="well or reason", data_filter="#flagged"),
        class_="filter",
    )
    return tag("div", find, table(("Plate", "Well", "What", "Why"), rows, class_="sortable"), id="flagged")
