"""Scores after each step of the recipe: replicates, batches, positions and mechanisms."""

from __future__ import annotations

import polars as pl

from phenoprint.evaluation import LEAST_TREATMENTS, TREATMENT_SCORES, is_headline
from phenoprint.report.context import Page, Section
from phenoprint.report.figures import STEP_SCORE_NAMES, step_scores
from phenoprint.report.html import Html, details, join, number, sql_hint, table, tag

__all__ = ["steps"]

COLUMNS = ["step", "number", "score", "value", "baseline", "n", "n_total", "reason"]
WHY = "It is written when the recipe is applied to the well profiles."
BETTER_HIGH = ("replicate_retrieval", "control_retrieval", "reproducible_share", "moa_consistency", "batch_mixing")
BETTER_LOW = ("plate_variance", "batch_variance", "position_leakage", "position_variance")


def steps(page: Page) -> Section:
    """Draw the scores after each step, in two groups: larger is better, and smaller is better."""
    scores = page.tables.need("step_score", COLUMNS, why=WHY)
    names = scores.select("number", "step").unique().sort("number")["step"].to_list()
    too_few = pl.col("score").is_in(TREATMENT_SCORES) & (pl.col("n") < LEAST_TREATMENTS)
    drawn = scores.filter(pl.col("value").is_not_null() & ~too_few.fill_null(value=True))
    panels = [
        (title, tag("div", page.figure(step_scores(drawn, only=only), title), class_="wide"))
        for title, only in (("Larger is better", BETTER_HIGH), ("Smaller is better", BETTER_LOW))
        if drawn["score"].is_in(only).any()
    ]
    body = join(
        [
            page.tabs("Scores by direction", panels) if panels else None,
            _values(scores, names),
            _absent(scores),
            sql_hint("SELECT step, score, value, baseline FROM step_score ORDER BY score, number"),
        ]
    )
    lead = (
        f"{' → '.join(names)}. The wells scored are those that the steps were fitted on: the scores show the effect of "
        "a step and do not estimate performance on other plates."
    )
    return Section(lead, body)


def _values(scores: pl.DataFrame, names: list[str]) -> Html:
    known = scores.filter(pl.col("value").is_not_null())
    rows = []
    for score, label in STEP_SCORE_NAMES.items():
        part = known.filter(pl.col("score") == score)
        if part.is_empty():
            continue
        values = dict(part.select("step", "value").iter_rows())
        chance = part["baseline"].drop_nulls()
        shown = [number(values.get(name)) for name in names]
        rows.append((label, *shown, number(chance[-1]) if len(chance) else "–", _based_on(score, part)))
    return table(
        ("Score", *names, "by chance", "based on"),
        rows,
        numeric=tuple(range(1, len(names) + 2)),
        caption="Scores of the profiles after each step",
    )


def _based_on(score: str, part: pl.DataFrame) -> Html | str:
    """Return the number of treatments or wells behind a score after the last step, marked if too few."""
    n, n_total = part.sort("number").select("n", "n_total").row(-1)
    if score not in TREATMENT_SCORES:
        return f"{number(n)} of {number(n_total)} wells"
    text = f"{number(n)} of {number(n_total)} treatments"
    return text if is_headline(n) else join([text, tag("span", "too few", class_="chip")], " ")


def _absent(scores: pl.DataFrame) -> Html | None:
    """List the scores that cannot be computed on this screen, with the reason."""
    missing = scores.filter(pl.col("value").is_null()).unique("score", keep="last", maintain_order=True)
    if missing.is_empty():
        return None
    rows = [(STEP_SCORE_NAMES.get(score, score), reason) for score, reason in missing.select("score", "reason").rows()]
    what = "1 score" if len(rows) == 1 else f"{len(rows)} scores"
    return details(f"{what} cannot be computed here", table(("Score", "Why"), rows))
