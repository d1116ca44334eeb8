"""Mechanisms: the calls with probability and set, and how well mechanisms are found beside baselines."""

from __future__ import annotations

from typing import Any

import polars as pl

from phenoprint.evaluation import LEAST_TREATMENTS
from phenoprint.report.context import Page, Section
from phenoprint.report.figures import confusion, score_dots
from phenoprint.report.html import Html, join, notice, number, sql_hint, table, tag, term
from phenoprint.report.sections.hits import with_names
from phenoprint.report.sections.terms import NSC, PREDICTION_SET
from phenoprint.report.source import AbsentError

__all__ = ["mechanisms"]

WHY = "It is written when the activity of treatments is known; calls need mechanisms on the plate map."
ACCURACY = "moa_accuracy"
SCORES = {
    "moa_accuracy": "nearest other compound",
    "moa_accuracy_macro": "the same, mean over mechanisms",
    "moa_accuracy_all_treatments": "the same, inactive treatments too",
    "moa_accuracy_neighbours": "vote of neighbours",
    "moa_accuracy_not_same_batch": "not in the same batch",
    "moa_accuracy_not_same_plate": "not on the same plate",
    "moa_call_accuracy": "single calls",
    "moa_set_coverage": "sets that hold the label",
}
BASELINES = {
    "cell_count": "cell count alone",
    "well_position": "well position alone",
    "plate": "plate alone",
    "shuffled_labels": "shuffled labels",
}
ORDER = ["called", "ambiguous", "novel", "too few references", "not tested", "no profile", "inactive"]
SHOWN = 400


def mechanisms(page: Page) -> Section:
    """List the calls; draw the scores beside their baselines, and the confusion matrix."""
    calls = with_names(page, page.tables.need("moa_call", ["status", "predicted", "probability"], why=WHY))
    if not set(calls["status"]) - {"inactive", "not tested", "no profile"}:
        raise AbsentError(f"None of {calls.height} treatments is active, so there is no mechanism to call.")
    scores = page.tables.find("score")
    own = _row(scores, ACCURACY)
    body: list[Html | None] = [_reason(calls)]
    if scores is not None and own is not None and own["is_headline"]:
        body += [_caution(own), _figure(page, scores), _confusion(page)]
    body += [
        tag("h3", "Calls"),
        tag(
            "p",
            term("The set", PREDICTION_SET),
            " lists every mechanism that fits. The label of a compound was not used for its calls.",
        ),
        _calls(calls),
        sql_hint("SELECT * FROM moa_call WHERE status = 'called' AND Metadata_moa IS NULL ORDER BY probability DESC"),
    ]
    return Section(join([_counts(calls), " ", *_accuracy(own)]), join([part for part in body if part is not None]))


def _row(scores: pl.DataFrame | None, score: str) -> dict[str, Any] | None:
    """Return the row of the profiles of a score; None where it was not made."""
    if scores is None or not {"score", "baseline", "value", "n", "is_headline"} <= set(scores.columns):
        return None
    found = scores.filter(pl.col("score") == score, pl.col("baseline") == "none").drop_nulls("value")
    return found.row(0, named=True) if found.height else None


def _counts(calls: pl.DataFrame) -> str:
    active = calls.filter(~pl.col("status").is_in(["inactive", "not tested", "no profile"]))
    counts = dict(active["status"].value_counts().iter_rows())
    parts = [f"{number(counts[status])} {status}" for status in ORDER if status in counts]
    return f"Of {number(active.height)} active treatments: {', '.join(parts)}."


def _accuracy(own: dict[str, Any] | None) -> list[str | Html]:
    """Say how often the nearest other compound has the mechanism, and by how much that exceeds the best baseline."""
    if own is None:
        return ["How well mechanisms are found is not known: no two compounds share one."]
    of = f"{number(own['n'])} of {number(own['n_total'])} treatments" if own["n_total"] else f"{number(own['n'])}"
    if not own["is_headline"]:
        return [
            f"No accuracy: only {of} could be compared, and {LEAST_TREATMENTS} are needed (",
            term("not same compound", NSC),
            ").",
        ]
    share = f"{_percent(own['value'])}{_interval(own, 'low', 'high')}"
    said: list[str | Html] = [
        f"For {share} of the {of} that could be compared, the nearest other compound has the mechanism (",
        term("not same compound", NSC),
        ")",
    ]
    if own.get("best_baseline") is not None:
        said.append(
            f": {_percent(own['gain'])}{_interval(own, 'gain_low', 'gain_high')} more than "
            f"{BASELINES[own['best_baseline']]}, the best baseline."
        )
    else:
        said.append(".")
    return said


def _percent(value: float) -> str:
    return f"{number(100 * value)} %"


def _interval(row: dict[str, Any], low: str, high: str) -> str:
    if row.get(low) is None or row.get(high) is None:
        return ""
    return f" ({number(100 * row[low])} to {number(100 * row[high])} %)"


def _reason(calls: pl.DataFrame) -> Html | None:
    few = calls.filter(status="too few references")
    return notice(f"No mechanism is called: {few['reason'][0]}.") if few.height else None


def _caution(own: dict[str, Any]) -> Html | None:
    if own.get("gain_low") is None or own["gain_low"] > 0:
        return None
    name = BASELINES[own["best_baseline"]]
    return notice(
        f"{name.capitalize()} may do as well as the profiles (the interval of the difference reaches "
        f"{_percent(own['gain_low'])}): on this screen, mechanisms can be found without morphology."
    )


def _figure(page: Page, scores: pl.DataFrame) -> Html:
    shown = scores.filter(pl.col("score").is_in(list(SCORES))).drop_nulls("value")
    named = shown.with_columns(
        pl.col("score").replace_strict(SCORES).alias("name"),
        pl.col("baseline").replace(BASELINES | {"none": "profiles"}),
    ).sort(pl.col("score").replace_strict({name: i for i, name in enumerate(SCORES)}))
    return page.figure(
        score_dots(named, ["profiles", *BASELINES.values()]),
        "Scores of mechanisms beside baselines",
        caption="Lines are 95 % intervals over compounds. Baselines score the same treatments without morphology.",
    )


def _confusion(page: Page) -> Html | None:
    found = page.tables.find("moa_prediction")
    if found is None or "protocol" not in found.columns:
        return None
    scored = found.filter(pl.col("protocol") == "not_same_compound", pl.col("is_active")).drop_nulls("predicted")
    if scored.is_empty():
        return None
    split = pl.col("Metadata_moa").str.split("|").list.eval(pl.element().str.strip_chars())
    each = scored.with_columns(split.alias("Metadata_moa")).explode("Metadata_moa")
    matrix = page.figure(
        confusion(each),
        "Confusion matrix of mechanisms",
        caption="Active treatments by mechanism of the nearest other compound; colour is the share of each mechanism.",
    )
    return join([matrix, sql_hint("SELECT * FROM moa_confusion WHERE mechanism <> predicted ORDER BY n DESC")])


def _calls(calls: pl.DataFrame) -> Html:
    rank = pl.col("status").replace_strict({name: i for i, name in enumerate(ORDER)}, default=len(ORDER))
    is_known = pl.col("Metadata_moa").is_not_null()
    by = [rank, is_known, pl.col("probability"), pl.col("treatment")]
    listed = calls.sort(by, descending=[False, False, True, False], nulls_last=True)
    rows = [
        (
            row["treatment"],
            tag("span", row["status"], class_="hit" if row["status"] == "called" else "miss"),
            row["predicted"] or "–",
            None if row["probability"] is None else f"{row['probability']:.2f}",
            (row["prediction_set"] or "–").replace("|", " | ") if row["set_size"] is not None else None,
            _label(row),
            row["nearest"],
            None if row["similarity"] is None else f"{row['similarity']:.2f}",
        )
        for row in listed.head(SHOWN).iter_rows(named=True)
    ]
    header = ("Treatment", "Status", "Called", "Probability", "Set", "Label", "Nearest", "Similarity")
    return table(
        header,
        rows,
        numeric=(3, 7),
        class_="sortable",
        caption=f"Calls of the mechanism{f', the first {SHOWN} of {calls.height}' if calls.height > SHOWN else ''}",
    )


def _label(row: dict[str, Any]) -> Html | str:
    if row["Metadata_moa"] is None:
        return "–"
    missed = row["is_label_in_set"] is False
    return tag("span", row["Metadata_moa"].replace("|", " | "), class_="wrong" if missed else None)
