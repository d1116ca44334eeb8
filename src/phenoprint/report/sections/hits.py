"""Treatments that differ from the negative controls, strongest first."""

from __future__ import annotations

import polars as pl

from phenoprint.report.context import Page, Section
from phenoprint.report.figures import activity_scatter
from phenoprint.report.html import Html, details, join, notice, number, sql_hint, table, tag, term
from phenoprint.report.sections.ranked_hits import hits_line, ranked_hits
from phenoprint.report.sections.terms import MAP, NORMALIZED_MAP, SMALLEST_P
from phenoprint.report.source import AbsentError
from phenoprint.report.summaries.wells import treatment_label

__all__ = ["hits", "with_names"]

MAP_COLUMN, NORMALIZED = "mean_average_precision", "mean_normalized_average_precision"
THRESHOLD = 0.05
SHOWN = 200
CELLS = "Cell count relative to the negative controls of the same plate. Low counts mean toxicity."
WHY = (
    "It is written when profiles are compared with the negative controls of their plate, "
    "which needs two replicates of a treatment."
)


def _names(frame: pl.DataFrame) -> pl.Series:
    """Return a readable name of the treatment of each row, from the columns available."""
    columns = set(frame.columns)
    if "Metadata_compound" in columns:
        extra = {
            name: pl.lit(None, dtype=dtype)
            for name, dtype in (
                ("Metadata_Concentration", pl.Float64),
                ("Metadata_Concentration_Unit", pl.String),
                ("Metadata_pert_type", pl.String),
            )
            if name not in columns
        }
        return frame.with_columns(**extra).select(treatment_label().alias("treatment")).to_series()
    if "Metadata_perturbation" in columns:
        return frame["Metadata_perturbation"].cast(pl.String).fill_null("–").alias("treatment")
    raise AbsentError("The rows have no treatment: neither Metadata_compound nor Metadata_perturbation is a column.")


def hits(page: Page) -> Section:
    """List the treatments by their distance to the controls, and by activity where they have replicates."""
    ranked = page.tables.find("hit")
    if ranked is None or ranked.is_empty():
        return _activity(page, anchor="hits-table")
    named = with_names(page, ranked)
    body = ranked_hits(page, named)
    try:
        active = _activity(page, anchor="activity-table")
    except AbsentError as error:
        return Section(join([hits_line(named), str(error)]), join(body))
    body.append(details("Activity: do replicates find each other before the controls?", active.body))
    return Section(join([hits_line(named), active.lead]), join(body))


def _activity(page: Page, *, anchor: str) -> Section:
    """List active treatments with their score, corrected p and effect on the cell count."""
    frame = page.tables.need("activity", [MAP_COLUMN, "corrected_p_value"], why=WHY)
    score = NORMALIZED if NORMALIZED in frame.columns else MAP_COLUMN
    frame = with_names(page, frame)
    if "Metadata_pert_type" in frame.columns:
        frame = frame.filter(pl.col("Metadata_pert_type").is_null() | (pl.col("Metadata_pert_type") != "negcon"))
    frame = _with_moa_and_count(page, frame)
    tested = frame.drop_nulls("corrected_p_value")
    active = tested.filter(pl.col("corrected_p_value") <= THRESHOLD).height
    ranked = tested.sort(["corrected_p_value", score, "treatment"], descending=[False, True, False])
    plot = page.figure(
        activity_scatter(
            tested,
            score=score,
            p="corrected_p_value",
            name="treatment",
            threshold=THRESHOLD,
            label=f"{'normalized ' if score != MAP_COLUMN else ''}mean average precision",
        ),
        "Activity of each treatment against its corrected p-value",
    )
    filterable = tag(
        "label",
        "Find ",
        tag("input", type="search", placeholder="compound or mechanism", data_filter=f"#{anchor}"),
        class_="filter",
    )
    listed = tag("div", filterable, _table(ranked.head(SHOWN), score), id=anchor)
    body: list[Html] = [tag("div", plot, listed, class_="split wide")]
    unreachable = _unreachable(tested)
    if unreachable is not None:
        body.insert(0, unreachable)
    if ranked.height > SHOWN:
        body.append(tag("p", f"The {SHOWN} strongest of {ranked.height} are listed.", class_="quiet"))
    untested = frame.height - tested.height
    if untested:
        body.append(
            tag(
                "p",
                f"{untested} treatments were not tested: too few replicates or no profile.",
                class_="quiet",
            )
        )
    query = (
        "SELECT * FROM activity WHERE corrected_p_value <= 0.05\n"
        "ORDER BY corrected_p_value, mean_average_precision DESC"
    )
    body.append(sql_hint(query))
    lead = join(
        [
            f"{active} of {tested.height} tested treatments differ from the negative controls (corrected p ≤ 0.05) by ",
            term("mean average precision", MAP),
            f"; {_treatments(page, frame)} have profiles.",
        ]
    )
    return Section(lead, join(body))


def _treatments(page: Page, frame: pl.DataFrame) -> int:
    """Count the treatments with profiles, without negative controls and empty wells."""
    columns = ["Metadata_pert_type", "Metadata_perturbation"]
    wells = page.tables.columns("profile_well", columns)
    if wells is None or wells.columns != columns:
        return frame.height
    treated = wells.filter(pl.col(columns[0]).is_null() | pl.col(columns[0]).is_in(["trt", "poscon"]))
    return max(frame.height, treated[columns[1]].drop_nulls().n_unique())


def with_names(page: Page, frame: pl.DataFrame) -> pl.DataFrame:
    """Add a readable name, ``treatment``, and what the table of treatments has beside the columns there."""
    key = "Metadata_perturbation"
    about = page.tables.find("perturbation")
    if about is not None and key in about.columns and key in frame.columns:
        new = [c for c in about.columns if c.startswith("Metadata_") and c not in frame.columns]
        frame = frame.join(about.select(key, *new).unique(key), on=key, how="left", maintain_order="left")
    return frame.with_columns(_names(frame))


def _unreachable(tested: pl.DataFrame) -> Html | None:
    if "smallest_p" not in tested.columns:
        return None
    stuck = tested.filter(pl.col("smallest_p") > THRESHOLD)
    if stuck.is_empty():
        return None
    smallest = float(stuck["smallest_p"].min())  # type: ignore[arg-type]
    return notice(
        f"{stuck.height} treatments, marked 'cannot pass', cannot become significant whatever their effect: "
        "with their number of replicates and "
        f"controls, the smallest attainable p value is {number(smallest)}. "
        "More replicates or negative controls would lower it."
    )


def _with_moa_and_count(page: Page, frame: pl.DataFrame) -> pl.DataFrame:
    """Add the mechanism and the cell count relative to the negative controls of the same plate."""
    wells = page.wells
    _, raw, _, _ = page.measured
    if "Metadata_moa" not in frame.columns:
        moa = wells.group_by("treatment").agg(pl.col("Metadata_moa").drop_nulls().first())
        frame = frame.join(moa, on="treatment", how="left", maintain_order="left")
    if "cells" not in raw.columns:
        return frame.with_columns(pl.lit(None, dtype=pl.Float64).alias("count"))
    counted = wells.select("Metadata_Plate", "treatment", "Metadata_pert_type").with_columns(
        raw["cells"].cast(pl.Float64)
    )
    base = (
        counted.filter(pl.col("Metadata_pert_type") == "negcon")
        .group_by("Metadata_Plate")
        .agg(pl.col("cells").median().alias("base"))
    )
    share = (
        counted.join(base, on="Metadata_Plate", how="inner")
        .filter(pl.col("base") > 0)
        .group_by("treatment")
        .agg((100 * pl.col("cells") / pl.col("base")).median().alias("count"))
    )
    return frame.join(share, on="treatment", how="left", maintain_order="left")


def _share(count: float | None) -> Html | None:
    """Write a cell count in percent of the controls, coloured if low."""
    return None if count is None else tag("span", f"{count:.0f} %", class_="low" if count < 60 else None)


def _table(frame: pl.DataFrame, score: str) -> Html:
    both, has_smallest = score != MAP_COLUMN, "smallest_p" in frame.columns
    # Columns without any value are left out.
    has_moa, has_count = (name in frame.columns and frame[name].count() > 0 for name in ("Metadata_moa", "count"))
    rows = []
    for row in frame.iter_rows(named=True):
        value = float(row[score]) if row[score] is not None else 0.0
        p, count, smallest = row["corrected_p_value"], row["count"], row.get("smallest_p")
        stuck = smallest is not None and smallest > THRESHOLD
        bar = tag("i", style=f"width:{100 * min(max(value, 0), 1):.0f}%")
        plain = row[MAP_COLUMN]
        rows.append(
            (
                join(
                    [
                        tag("span", row["treatment"], class_="hit" if p <= THRESHOLD else "miss"),
                        tag("span", "cannot pass", class_="chip") if stuck else None,
                    ],
                    " ",
                ),
                *([row["Metadata_moa"]] if has_moa else []),
                *([None if plain is None else f"{plain:.3f}"] if both else []),
                tag("span", f"{value:.3f}", bar, class_="bar"),
                f"{p:.2g}",
                *([None if smallest is None else f"{smallest:.2g}"] if has_smallest else []),
                *([_share(count)] if has_count else []),
                row.get("n_replicates"),
            )
        )
    header = [
        "Treatment",
        *(["Mechanism"] if has_moa else []),
        term("mAP", MAP),
        *([term("norm. mAP", NORMALIZED_MAP)] if both else []),
        term("q", "p value corrected for the number of treatments tested (Benjamini and Hochberg)."),
        *([term("smallest p", SMALLEST_P)] if has_smallest else []),
        *([term("Cells", CELLS)] if has_count else []),
        "n",
    ]
    first = 1 + has_moa
    numeric = [i for i in range(first, len(header)) if i != first + both]
    return table(header, rows, numeric=numeric, class_="sortable", caption="Treatments by activity")
