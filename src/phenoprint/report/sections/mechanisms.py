"""Mechanism calls by nearest neighbours, beside baselines without morphology."""

from __future__ import annotations

from typing import Any

import polars as pl

from phenoprint.evaluation import LEAST_TREATMENTS, is_headline
from phenoprint.report.context import Page, Section
from phenoprint.report.figures import baseline_bars, confusion
from phenoprint.report.html import Html, join, notice, number, sql_hint, table, tag, term
from phenoprint.report.sections.hits import with_names
from phenoprint.report.sections.terms import NSC
from phenoprint.report.source import AbsentError

__all__ = ["mechanisms"]

WHY = (
    "It is written when treatments with a known mechanism are compared, "
    "which needs two compounds or more of a mechanism."
)
ACCURACY = "moa_accuracy"
BASELINES = {
    "none": "profiles",
    "shuffled_labels": "shuffled labels",
    "cell_count": "cell count alone",
    "well_position": "well position alone",
    "plate": "plate alone",
}


def mechanisms(page: Page) -> Section:
    """Draw the accuracy beside its baselines and the confusion matrix, and list the calls."""
    frame = page.tables.need("moa_prediction", ["Metadata_moa", "predicted"], why=WHY)
    known = frame.filter(pl.col("Metadata_moa").is_not_null())
    if known.is_empty():
        raise AbsentError("No treatment in 'moa_prediction' has an annotated mechanism, so calls cannot be checked.")
    protocols = known["protocol"].unique().sort().to_list() if "protocol" in known.columns else [None]
    scored = known.filter(pl.col("protocol") == protocols[0]) if protocols[0] is not None else known
    correct = scored["is_correct"] if "is_correct" in scored.columns else scored["Metadata_moa"] == scored["predicted"]
    accuracy = float(correct.fill_null(value=False).mean() or 0.0)  # type: ignore[arg-type]
    n, n_total = _stands_on(page, scored.height)
    of = f" of {number(n_total)}" if n_total is not None else ""
    calls = [tag("h3", "Calls"), _calls(with_names(page, scored), correct)]
    calls.append(sql_hint("SELECT * FROM moa_prediction WHERE NOT is_correct"))
    if not is_headline(n):
        lead = join(
            [
                f"No accuracy: only {n}{of} treatments could be compared, and {LEAST_TREATMENTS} are needed (",
                term("not same compound", NSC),
                "). The call from the nearest other compound is listed below for each.",
            ]
        )
        return Section(lead, join(calls))
    scores, caution = _scores(page, scored, accuracy)
    bars = page.figure(
        baseline_bars(
            [s[0] for s in scores],
            [s[1] for s in scores],
            low=[s[2] for s in scores],
            high=[s[3] for s in scores],
            lead=scores[0][0],
        ),
        "Accuracy of mechanism calls beside baselines",
        caption="Share of correct calls. Whiskers, where shown, are confidence intervals.",
    )
    matrix = page.figure(
        confusion(scored),
        "Confusion matrix of mechanisms",
        caption="Counts; colour is the share of each annotated mechanism.",
    )
    best_baseline = max((s for s in scores[1:]), key=lambda s: s[1], default=None)
    lead = join(
        [
            f"{number(100 * scores[0][1])} % of the {n}{of} treatments that could be compared are called correctly (",
            term("not same compound", NSC),
            f"); the best baseline, {best_baseline[0]}, gets {number(100 * best_baseline[1])} %."
            if best_baseline
            else ").",
        ]
    )
    body = join([caution, bars, matrix, *calls])
    return Section(lead, body)


def _stands_on(page: Page, n: int) -> tuple[int, int | None]:
    """Return the number of treatments behind the stored accuracy, and of how many; without one, the calls."""
    stored = page.tables.find("score")
    if stored is None or not {"score", "baseline", "n", "n_total"} <= set(stored.columns):
        return n, None
    row = stored.filter(score=ACCURACY, baseline="none").drop_nulls(["n", "n_total"])
    return (n, None) if row.is_empty() else (int(row["n"][0]), int(row["n_total"][0]))


Score = tuple[str, float, float | None, float | None]


def _scores(page: Page, scored: pl.DataFrame, accuracy: float) -> tuple[list[Score], Html | None]:
    """Return the accuracy and the stored baselines, or chance where none are stored."""
    found: list[Score] = [("profiles", accuracy, None, None)]
    summary = page.tables.find("score")
    if summary is not None and {"score", "baseline", "value"} <= set(summary.columns):
        for row in summary.filter(score=ACCURACY).drop_nulls("value").iter_rows(named=True):
            name = BASELINES.get(row["baseline"], str(row["baseline"]).replace("_", " "))
            score: Score = (name, float(row["value"]), _float(row, "low"), _float(row, "high"))
            found = [score, *found[1:]] if name == "profiles" else [*found, score]
    if len(found) > 1:
        rest = sorted(found[1:], key=lambda s: -s[1])
        if rest[0][1] >= found[0][1]:
            return [found[0], *rest], notice(
                f"{rest[0][0].capitalize()} does as well as the profiles: on this layout, calls need "
                "no morphology and are no evidence of mechanism."
            )
        return [found[0], *rest], None
    # Expected accuracy of shuffled calls, computed from the label frequencies.
    truth = scored["Metadata_moa"].value_counts(normalize=True, name="p")
    called = scored["predicted"].drop_nulls().value_counts(name="q").with_columns(pl.col("q") / scored.height)
    both = truth.join(called, left_on="Metadata_moa", right_on="predicted")
    chance = float((both["p"] * both["q"]).sum())
    return [*found, ("shuffled labels", chance, None, None)], notice(
        "Baselines from cell count and well position are not stored in this screen; "
        "only chance is shown, computed from the labels."
    )


def _float(row: dict[str, Any], column: str) -> float | None:
    return None if row.get(column) is None else float(row[column])


def _calls(scored: pl.DataFrame, correct: pl.Series) -> Html:
    def first(names: tuple[str, ...]) -> pl.Expr:
        found = next((name for name in names if name in scored.columns), None)
        return pl.lit(None, dtype=pl.String) if found is None else pl.col(found)

    shown = scored.select(
        "treatment",
        pl.col("Metadata_moa"),
        pl.col("predicted").fill_null("no call"),
        first(("nearest", "nearest_compound")).alias("nearest"),
        first(("similarity",)).alias("similarity"),
        correct.fill_null(value=False).alias("ok"),
    )
    rows = [
        (treatment, truth, tag("span", called, class_="hit" if ok else "wrong"), nearest, similarity)
        for treatment, truth, called, nearest, similarity, ok in (
            shown.sort("ok", "Metadata_moa", "treatment").head(400).iter_rows()
        )
    ]
    header = ("Treatment", "Annotated", "Called", "Nearest compound", "Similarity")
    return table(header, rows, numeric=(4,), class_="sortable", caption="Calls of the mechanism, wrong ones first")
