"""One card per plate: pass, look closer or fail, with the checks."""

from __future__ import annotations

import numpy as np
import polars as pl

from phenoprint.report.context import Page, Section
from phenoprint.report.html import Html, details, join, notice, number, sql_hint, table, tag, term
from phenoprint.report.sections.terms import ROBUST_Z_PRIME, SSMD, Z_PRIME, meaning_of_check

__all__ = ["verdict"]

ORDER = {"fail": 0, "warn": 1, "pass": 2}
WORDS = {"pass": "Pass", "warn": "Look closer", "fail": "Fail", "none": "Not judged"}
MOST_LINES = 10  # with more checks, those that pass are folded
MOST_CARDS = 6  # with more plates, those that pass are folded
SYMBOL = {"pass": "✓", "warn": "!", "fail": "✕", "none": "–"}


def verdict(page: Page) -> Section:
    """Show the checks of ``plate_acceptance`` for each plate; without them, only the numbers of the plate."""
    frame = page.tables.find("plate_acceptance")
    judged = frame is not None and {"Metadata_Plate", "criterion", "verdict"} <= set(frame.columns)
    rows: dict[str, list[dict[str, object]]] = {}
    if judged and frame is not None:
        for row in frame.sort("Metadata_Plate", "criterion").iter_rows(named=True):
            rows.setdefault(str(row["Metadata_Plate"]), []).append(row)
    cards, verdicts = [], []
    for plate in page.plates:
        checks = sorted(rows.get(plate, []), key=lambda row: (ORDER.get(str(row["verdict"]), 3), str(row["criterion"])))
        worst = str(checks[0]["verdict"]) if checks and str(checks[0]["verdict"]) in ORDER else "none"
        verdicts.append(worst)
        cards.append(_card(page, plate, worst, checks))
    body: list[Html] = []
    if not judged:
        body.append(
            notice(
                "No verdict: the table 'plate_acceptance' is not in this screen or has no rows. It is written once "
                "profiles are normalized and the plate map names negative and positive controls. "
                "The numbers of each plate are below."
            )
        )
    body += [notice(text) for text in _notes(page)]
    body += _shown(cards, verdicts)
    separations = _separations(frame)
    if separations is not None:
        body.append(separations)
    if judged:
        body.append(sql_hint("SELECT * FROM plate_acceptance WHERE verdict <> 'pass' ORDER BY Metadata_Plate"))
    left = sum(any(row.get("is_excluded") for row in plate) for plate in rows.values())
    note = f" {left} left out before plates are pooled." if left else ""
    return Section(_sentence(verdicts, rows) + note, join(body))


def _notes(page: Page) -> list[str]:
    """Return notes on skipped steps and on plates whose reference was all wells."""
    from phenoprint.pipeline import recipe_notes

    status = page.tables.find("feature_status")
    if status is None or not {"Metadata_Plate", "feature", "step", "status", "reason"} <= set(status.columns):
        return []
    # A missing projection is no property of a plate; its own section reports it.
    return recipe_notes(status.filter(status["step"] != "project"))


def _shown(cards: list[Html], verdicts: list[str]) -> list[Html]:
    """Sort plates with problems first; with many plates, fold those that pass or are not judged."""
    order = sorted(range(len(cards)), key=lambda i: ORDER.get(verdicts[i], 3))
    if len(cards) <= MOST_CARDS:
        return [tag("div", *(cards[i] for i in order), class_="cards")]
    parts = []
    wanting = [cards[i] for i in order if verdicts[i] in ("fail", "warn")]
    if wanting:
        parts.append(tag("div", *wanting, class_="cards"))
    for kind, words in (("pass", "pass"), ("none", "not judged")):
        alike = [cards[i] for i in order if verdicts[i] == kind]
        if alike:
            n = f"{len(alike)} plate{'s' if len(alike) != 1 else ''}"
            parts.append(details(f"{n}: {words}", tag("div", *alike, class_="cards")))
    return parts


def _sentence(verdicts: list[str], rows: dict[str, list[dict[str, object]]]) -> str:
    n = len(verdicts)
    plates = "plate" if n == 1 else "plates"
    if not n:
        return "The screen has no plate yet."
    if set(verdicts) == {"none"}:
        return f"{n} {plates}, not judged."
    if set(verdicts) == {"pass"}:
        checks = [row for plate in rows.values() for row in plate]
        made = sum(str(row["verdict"]) in ORDER for row in checks)
        # A plate may pass because few checks were possible.
        which = "every check" + (f" that could be made: {made} of {len(checks)}" if made < len(checks) else "")
        return f"The plate passes {which}." if n == 1 else f"All {n} plates pass {which}."
    parts = [
        f"{verdicts.count(kind)} {phrase}"
        for kind, phrase in (
            ("pass", "pass"),
            ("warn", "to look at closely"),
            ("fail", "failed"),
            ("none", "not judged"),
        )
        if kind in verdicts
    ]
    return f"Of {n} {plates}: {', '.join(parts)}."


def _card(page: Page, plate: str, worst: str, checks: list[dict[str, object]]) -> Html:
    facts = [tag("div", tag("dt", label), tag("dd", value)) for label, value in _facts(page, plate)]
    word = WORDS[worst] + (", left out" if any(row.get("is_excluded") for row in checks) else "")
    return tag(
        "article",
        tag("header", tag("h3", plate), tag("span", SYMBOL[worst], " ", word, class_=f"badge {worst}")),
        tag("dl", *facts),
        *_lists(checks),
        class_=f"card {worst}",
    )


def _lists(checks: list[dict[str, object]]) -> list[Html]:
    """List the checks that warn or fail, and fold the others where they are many; separations are in a table."""
    kinds: dict[str, list[Html]] = {"wanting": [], "pass": [], "none": []}
    for row in checks:
        kind = str(row["verdict"])
        if kind not in ORDER and row.get("poscon") is not None:
            continue
        kinds["wanting" if kind in ("warn", "fail") else kind if kind == "pass" else "none"].append(_check(row))
    if sum(map(len, kinds.values())) <= MOST_LINES:
        lines = [line for group in kinds.values() for line in group]
        return [tag("ul", *lines, class_="checks")] if lines else []
    shown = [tag("ul", *kinds["wanting"], class_="checks")] if kinds["wanting"] else []
    for kind, words in (("pass", "passed"), ("none", "not judged")):
        if lines := kinds[kind]:
            n = f"{len(lines)} check{'s' if len(lines) != 1 else ''}"
            shown.append(details(f"{n} {words}", tag("ul", *lines, class_="checks")))
    return shown


def _separations(frame: pl.DataFrame | None) -> Html | None:
    """Tabulate Z', robust Z' and SSMD of each positive control; None without positive controls."""
    needed = {"Metadata_Plate", "criterion", "value", "verdict", "poscon", "readout", "is_best", "n"}
    if frame is None or not needed <= set(frame.columns):
        return None
    rows = frame.filter(pl.col("poscon").is_not_null() & ~pl.col("criterion").str.starts_with("best_z_prime"))
    if rows.is_empty():
        return None
    measure = pl.col("criterion").str.split(":").list.first().alias("measure")
    wide = rows.with_columns(measure).pivot("measure", index=["Metadata_Plate", "readout", "poscon"], values="value")
    about = rows.group_by("Metadata_Plate", "readout", "poscon").agg(
        pl.col("is_best").any(), pl.col("n").max(), pl.col("verdict").is_not_null().any().alias("is_judged")
    )
    measures = {"z_prime": ("Z'", Z_PRIME), "robust_z_prime": ("robust Z'", ROBUST_Z_PRIME), "ssmd": ("SSMD", SSMD)}
    wide = wide.with_columns(pl.lit(None, pl.Float64).alias(name) for name in measures if name not in wide.columns)
    several = (rows["poscon"].n_unique() or 0) > 1
    both = wide.join(about, on=["Metadata_Plate", "readout", "poscon"]).sort("Metadata_Plate", "readout", "poscon")
    body = [
        (
            row["Metadata_Plate"],
            "whole profile" if row["readout"] == "profile" else row["readout"].replace("_", " "),
            row["poscon"] + (" (best)" if several and row["is_best"] else ""),
            *(row[name] for name in measures),
            row["n"],
            "yes" if row["is_judged"] else "no",
        )
        for row in both.iter_rows(named=True)
    ]
    header = ("Plate", "Readout", "Positive control", *(term(*names) for names in measures.values()), "wells", "judged")
    caption = "Positive against negative controls, each compound by itself; of several, the best of a readout is judged"
    shown = table(header, body, numeric=(3, 4, 5, 6), class_="sortable", caption=caption)
    return details(f"Separation of controls: {len(body)} rows", shown, open_=len(body) <= MOST_LINES)


def _check(row: dict[str, object]) -> Html:
    kind = str(row["verdict"]) if str(row["verdict"]) in ORDER else "none"
    name = str(row["criterion"])
    plain = name.replace("z_prime", "Z'").replace("ssmd", "SSMD").replace("_", " ").replace(":", ": ")
    meaning = meaning_of_check(name)
    value, threshold = row.get("value"), row.get("threshold")
    shown = number(float(value)) if isinstance(value, int | float) else None
    against = f"threshold {number(float(threshold))}" if isinstance(threshold, int | float) else None
    reason = str(row["reason"]) if row.get("reason") and kind != "pass" else _excuse(row)
    return tag(
        "li",
        tag("span", SYMBOL[kind], class_=f"mark {kind}", title=WORDS[kind]),
        tag("span", term(plain, meaning) if meaning else plain, class_="check"),
        tag(
            "span",
            tag("b", shown) if shown else None,
            tag("small", against) if against else None,
            class_="value",
        ),
        tag("span", reason, class_="why") if reason else None,
    )


def _excuse(row: dict[str, object]) -> str | None:
    """Explain a value beyond its threshold that passes: position checks need effect size and significance."""
    value, threshold, reason = row.get("value"), row.get("threshold"), str(row.get("reason") or "")
    if not isinstance(value, int | float) or not isinstance(threshold, int | float) or "p = " not in reason:
        return None
    return f"not significant: {reason}" if value > threshold else None


def _facts(page: Page, plate: str) -> list[tuple[str, str]]:
    wells = page.wells.filter(pl.col("Metadata_Plate") == plate).height
    facts = [("wells", number(wells))]
    if page.profiled is not None:
        used = page.profiled.filter(pl.col("Metadata_Plate") == plate).height
        facts = [("wells with profiles", number(used) if used == wells else f"{number(used)} of {number(wells)}")]
    _, raw, _, _ = page.measured
    if "cells" in raw.columns:
        counts = raw.filter(pl.col("Metadata_Plate") == plate)["cells"].drop_nulls().cast(pl.Float64)
        if counts.len():
            typical = float(np.median(counts.to_numpy()))
            facts += [("cells in profiles", number(float(counts.sum()))), ("cells per well", number(round(typical)))]
    flagged = page.flags.filter(pl.col("Metadata_Plate") == plate).height
    return [*facts, ("flagged wells", number(flagged))]
