"""Agreement of replicates, compared with random groups of wells of different treatments."""

from __future__ import annotations

import numpy as np
import polars as pl

from phenoprint.evaluation import LEAST_TREATMENTS, is_headline
from phenoprint.report.context import Page, Section
from phenoprint.report.figures import replicate_agreement
from phenoprint.report.html import join, notice, number, sql_hint, table, tag, term
from phenoprint.report.sections.hits import treatment_names
from phenoprint.report.sections.terms import PERCENT_REPLICATING
from phenoprint.report.summaries.replicates import replicate_agreement as summarise
from phenoprint.tables import PERTURBATION, WELL_KEY

__all__ = ["replicates"]

TREATMENT = "Metadata_treatment"
SCORE = "replicates_reproducible"
WHY = "It is written when features are selected from the normalized profiles."


def replicates(page: Page) -> Section:
    """Draw the correlation of replicates over its null distribution, and list the treatments."""
    name = "profile_selected" if page.tables.find("profile_selected") is not None else "profile_normalized"
    frame = page.tables.need(name, WELL_KEY, why=WHY)
    if "Metadata_pert_type" in frame.columns:
        frame = frame.filter(pl.col("Metadata_pert_type").is_in(["trt", "poscon"]))
    names = treatment_names(frame)
    frame = frame.with_columns(names.set(names == "–", None).alias(TREATMENT))
    # the key that the score is computed by: names for reading sort differently, which changes the random groups
    by = (
        PERTURBATION if PERTURBATION in frame.columns and frame[PERTURBATION].null_count() < frame.height else TREATMENT
    )
    agreement = summarise(frame, by=by, seed=page.seed)
    record = agreement.record
    groups = record.groups
    if by == PERTURBATION:
        groups = groups.join(
            frame.select(PERTURBATION, TREATMENT).unique(PERTURBATION),
            on=PERTURBATION,
            how="left",
            maintain_order="left",
        )
    groups = groups.sort(["median_similarity", TREATMENT], descending=[True, False])
    passing = int(groups["is_reproducible"].sum())
    fraction, n, note = _scored(page, record.fraction, record.n_groups)
    bar = float(np.median(groups["threshold"].to_numpy()))
    figure = page.figure(
        replicate_agreement(groups["median_similarity"].to_list(), agreement.null, threshold=bar),
        "Correlation of replicates over that of random groups",
        caption="Dotted: 95 % of random groups of the typical size lie below. The threshold depends on group size.",
    )
    listed = table(
        ("Treatment", "n", "Correlation", "Threshold", "Replicates"),
        [
            (name, n, f"{score:.3f}", f"{threshold:.3f}", "yes" if ok else "no")
            for name, n, score, threshold, ok in (
                groups.select(TREATMENT, "n_replicates", "median_similarity", "threshold", "is_reproducible")
                .head(300)
                .iter_rows()
            )
        ],
        numeric=(1, 2, 3),
        class_="sortable",
        caption="Replicate correlation of each treatment",
    )
    n_total = frame[by].drop_nulls().n_unique()
    judged = f"{n} of {n_total} treatments have replicates to judge"
    lead = join(
        [
            f"{number(100 * fraction)} % of treatments replicate ("
            if is_headline(n)
            else f"Too few for a share: {judged}, and {LEAST_TREATMENTS} are needed (",
            term("percent replicating", PERCENT_REPLICATING),
            f": {round(fraction * n)} of {n}, over {number(record.n_features)} features of '{name}'). ",
            f"{judged}." if is_headline(n) else None,
        ]
    )
    same = _same_position(frame)
    caution = (
        notice(
            "Every treatment is in the same well on all plates, so position effects count as agreement; "
            "a layout with replicates in different positions would separate the two."
        )
        if same
        else None
    )
    body = join(
        [
            caution,
            note and notice(note.format(passing)),
            tag("div", figure, listed, class_="split"),
            sql_hint("SELECT * FROM score WHERE score = 'replicates_reproducible'"),
        ]
    )
    return Section(lead, body)


def _scored(page: Page, fraction: float, n: int) -> tuple[float, int, str]:
    """Share and number of treatments as the table ``score`` has them, and a note where the list is not of that run."""
    stored = page.tables.find("score")
    if stored is None or not {"score", "value"} <= set(stored.columns):
        return fraction, n, ""
    row = stored.filter(pl.col("score") == SCORE).drop_nulls("value")
    if row.is_empty():
        return fraction, n, ""
    value = float(row["value"][0])
    judged = int(row["n"][0]) if "n" in row.columns and row["n"][0] is not None else n
    if abs(value - fraction) < 1e-9 and judged == n:
        return value, judged, ""
    return (
        value,
        judged,
        (
            f"The table 'score' says {round(value * judged)} of {judged}; judged anew for this page, {{}} of {n} pass. "
            "The profiles, the seed or the version have changed since: run the step 'calls' again."
        ),
    )


def _same_position(frame: pl.DataFrame) -> bool:
    """Whether all replicates of each treatment are in the same well of different plates."""
    counts = frame.group_by(TREATMENT).agg(
        pl.len().alias("n"),
        pl.col("Metadata_Well").n_unique().alias("wells"),
        pl.col("Metadata_Plate").n_unique().alias("plates"),
    )
    several = counts.filter(pl.col("n") > 1)
    return several.height > 1 and bool(((several["wells"] == 1) & (several["plates"] > 1)).all())
