"""Features that were measured, dropped and kept, with reasons."""

from __future__ import annotations

import polars as pl

from phenoprint.report.context import Page, Section
from phenoprint.report.figures import feature_survival
from phenoprint.report.html import Html, details, join, notice, number, sql_hint, table, tag
from phenoprint.report.source import AbsentError
from phenoprint.report.summaries.features import STATUS_MEANING, features_by_family

__all__ = ["features"]


def features(page: Page) -> Section:
    """Draw the features kept by family and channel, and count the reasons for the others."""
    tables = page.tables
    measured = tables.features("profile_well") or tables.features("profile_normalized")
    dictionary = tables.find("feature")
    status = tables.find("feature_status")
    if not measured and dictionary is None:
        raise AbsentError("Neither profiles nor the feature dictionary (the table 'feature') are in this screen yet.")
    names = measured or (dictionary["feature"].to_list() if dictionary is not None else [])
    kept = set(tables.features("profile_selected")) if tables.height("profile_selected") else None
    body: list[Html | None] = []
    if kept is not None and names:
        body.append(
            page.figure(
                feature_survival(features_by_family(names, kept, dictionary)),
                "Features kept by family and channel",
                caption="Features kept of those measured, by family and channel.",
            )
        )
    else:
        body.append(notice("No table 'profile_selected': features have not been selected yet."))
    body.append(_status(status))
    if dictionary is not None and "difference" in dictionary.columns:
        differing = dictionary.filter(pl.col("difference").is_not_null())
        if differing.height:
            rows = (
                differing.group_by("difference")
                .agg(pl.len().alias("n"), pl.col("feature").sort().first())
                .sort("difference")
                .rows()
            )
            body.append(
                details(
                    f"{number(differing.height)} features differ from CellProfiler on purpose",
                    table(("How", "Features", "For example"), rows, numeric=(1,)),
                )
            )
    body.append(sql_hint("SELECT feature, step, status, reason FROM feature_status WHERE status <> 'ok'"))
    lead = f"{number(len(names))} features were measured" + (
        f"; {number(len(kept))} are in the final profiles." if kept is not None else "."
    )
    return Section(lead, join(body))


def _status(status: pl.DataFrame | None) -> Html:
    if status is None or not {"feature", "step", "status"} <= set(status.columns):
        return notice("No table 'feature_status': no step has recorded dropped features yet.")
    bad = status.filter(pl.col("status") != "ok")
    if bad.is_empty():
        return notice("No feature was dropped: every row of 'feature_status' is 'ok'.")
    counts = (
        bad.group_by("step", "status")
        .agg(
            pl.col("feature").n_unique().alias("n"),
            pl.col("Metadata_Plate").n_unique().alias("plates"),
            pl.col("feature").sort().first().alias("example"),
        )
        .sort(["step", "n", "status"], descending=[False, True, False])
    )
    rows = [
        (step, name, STATUS_MEANING.get(name, "see the reasons below"), n, plates, example)
        for step, name, n, plates, example in counts.iter_rows()
    ]
    summary = table(
        ("Step", "Status", "Meaning", "Features", "Plates", "For example"),
        rows,
        numeric=(3, 4),
        class_="sortable",
    )
    if "reason" not in bad.columns:
        return summary
    first = (
        bad.sort("step", "status", "feature")
        .group_by("feature", "step", "status", maintain_order=True)
        .agg(pl.col("reason").first())
    )
    listed = table(("Feature", "Step", "Status", "Reason"), first.head(300).rows(), class_="sortable")
    find = tag(
        "label",
        "Find ",
        tag("input", type="search", placeholder="feature or reason", data_filter="#dropped"),
        class_="filter",
    )
    more = f"The reasons of {number(min(300, first.height))} of {number(first.height)}"
    return join([summary, details(more, find, tag("div", listed, id="dropped"))])
