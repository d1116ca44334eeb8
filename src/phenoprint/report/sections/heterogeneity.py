"""How the cells of a well are distributed, which the median of a well does not show."""

from __future__ import annotations

import polars as pl

from phenoprint.report.context import Page, Section
from phenoprint.report.html import Html, join, notice, number, sql_hint, table
from phenoprint.report.source import AbsentError
from phenoprint.tables import WELL_KEY

__all__ = ["heterogeneity"]

NEEDED = [*WELL_KEY, "aspect", "value", "p", "status", "reason"]
WHY = "It is written where cells were measured or imported, unless profiles.heterogeneity is false."
WORDS = {
    "shift": "shift: where the cells are",
    "spread": "spread: how much they vary",
    "shape": "shape, without shift and spread",
    "tail": "tails, without shift and spread",
    "responders": "cells unlike those of the controls",
}
SHOWN = 20


def heterogeneity(page: Page) -> Section:
    """Tabulate how many wells differ in which aspect, beside the controls, and the treatments that differ most."""
    found = page.tables.need("heterogeneity", NEEDED, why=WHY)
    about = page.wells.select(*WELL_KEY, "Metadata_pert_type", "treatment")
    rows = found.filter(pl.col("aspect").is_in(list(WORDS)), pl.col("p").is_not_null()).join(about, on=WELL_KEY)
    if rows.is_empty():
        reasons = found["reason"].drop_nulls().unique().sort().to_list()
        raise AbsentError(f"No well could be compared: {'; '.join(reasons[:3])}.")
    is_control = (pl.col("Metadata_pert_type") == "negcon").fill_null(value=False)
    control, treated = rows.filter(is_control), rows.filter(~is_control)
    body: list[Html | None] = [_shares(control, treated), _strongest(treated), _states(found), _gain(page)]
    body.append(
        sql_hint(
            "SELECT Metadata_Plate, Metadata_Well, aspect, value, p, feature, feature_value FROM heterogeneity\n"
            "WHERE status = 'ok' ORDER BY p LIMIT 20"
        )
    )
    return Section(_lead(control, treated), join(body))


def _lead(control: pl.DataFrame, treated: pl.DataFrame) -> str:
    shape = treated.filter(pl.col("aspect").is_in(["shape", "tail"]))
    wells = shape.filter(pl.col("q").fill_null(1.0) < 0.05).select(WELL_KEY).unique().height
    total = treated.select(WELL_KEY).unique().height
    share = control.select((pl.col("p") < 0.05).mean()).item()
    start = (
        f"In {wells} of {total} treated wells, the cells differ in shape or tails beyond shift and spread (q < 0.05). "
    )
    if share is None:
        return start
    return start + (
        f"Negative controls, each against the others, have p < 0.05 in {number(round(100 * share, 1))} % of "
        "comparisons; 5 % are expected."
    )


def _shares(control: pl.DataFrame, treated: pl.DataFrame) -> Html:
    body = []
    for aspect, words in WORDS.items():
        own, other = treated.filter(aspect=aspect), control.filter(aspect=aspect)
        if own.is_empty():
            continue
        body.append(
            (
                words,
                own.height,
                _percent(own, pl.col("p") < 0.05),
                _percent(own, pl.col("q").fill_null(1.0) < 0.05),
                _percent(other, pl.col("p") < 0.05),
            )
        )
    header = ("Aspect", "treated wells", "p < 0.05, %", "q < 0.05, %", "controls: p < 0.05, %")
    caption = "Wells whose cells differ from those of control wells with as many cells"
    return table(header, body, numeric=(1, 2, 3, 4), caption=caption)


def _percent(rows: pl.DataFrame, condition: pl.Expr) -> float | None:
    return None if rows.is_empty() else round(100 * float(rows.select(condition.mean()).item()), 1)


def _strongest(treated: pl.DataFrame) -> Html | None:
    """List the treatments with the largest shares of responders, or else shapes."""
    aspect = "responders" if "responders" in treated["aspect"] else "shape"
    own = treated.filter(aspect=aspect).drop_nulls("treatment")
    if own.is_empty() or "low" not in own.columns:
        return None
    listed = (
        own.group_by("treatment")
        .agg(pl.col("value", "low", "high").median(), pl.col("p").median(), pl.len().alias("n"))
        .sort(["value", "treatment"], descending=[True, False])
        .head(SHOWN)
    )
    what = "Share of cells unlike the controls" if aspect == "responders" else "Shape, in deviations of control wells"
    header = ("Treatment", what, "low", "high", "p", "wells")
    body = [
        (name, *(None if value is None else float(f"{value:.2g}") for value in values), n)
        for name, *values, n in listed.select("treatment", "value", "low", "high", "p", "n").iter_rows()
    ]
    caption = "Treatments with the most responding cells; medians over wells, 95 % interval of a well"
    return table(header, body, numeric=(1, 2, 3, 4, 5), class_="sortable", caption=caption)


def _states(found: pl.DataFrame) -> Html | None:
    unstable = found.filter((pl.col("aspect") == "states") & (pl.col("status") != "ok"))
    reason = unstable["reason"].drop_nulls()
    return notice(f"No cell states: {reason[0]}.") if reason.len() else None


def _gain(page: Page) -> Html | None:
    found = page.tables.find("heterogeneity_gain")
    if found is None or not {"score", "without", "with_columns", "gain", "n", "reason"} <= set(found.columns):
        return None
    header = ("Score", "without", "with", "gain", "95 % from", "to", "treatments", "note")
    numbers = ("without", "with_columns", "gain", "gain_low", "gain_high")
    body = [
        (
            row["score"],
            *(None if row[name] is None else round(row[name], 3) for name in numbers),
            row["n"],
            row["reason"] or row["description"],
        )
        for row in found.iter_rows(named=True)
    ]
    caption = "Do the columns of distributions help? The same treatments without and with them"
    return table(header, body, numeric=(1, 2, 3, 4, 5, 6), caption=caption)
