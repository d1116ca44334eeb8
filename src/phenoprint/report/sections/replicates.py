"""Whether wells of one treatment resemble each other more than wells of different treatments."""

from __future__ import annotations

import numpy as np
import polars as pl

from phenoprint.report.context import Context, Section
from phenoprint.report.figures import replicate_agreement
from phenoprint.report.html import join, notice, number, sql_hint, table, tag, term
from phenoprint.report.sections.hits import treatment_names
from phenoprint.report.sections.terms import PERCENT_REPLICATING
from phenoprint.report.summaries.replicates import replicate_agreement as summarise

__all__ = ["replicates"]

TREATMENT = "Metadata_treatment"
WHY = "It is written when features are selected from the normalized profiles."


def replicates(context: Context) -> Section:
    """Draw the replicate correlations over their null, and list the treatments."""
    name = "profile_selected" if context.tables.find("profile_selected") is not None else "profile_normalized"
    frame = context.tables.need(name, ["Metadata_Plate", "Metadata_Well"], why=WHY)
    if "Metadata_pert_type" in frame.columns:
        frame = frame.filter(pl.col("Metadata_pert_type").is_in(["trt", "poscon"]))
    names = treatment_names(frame)
    frame = frame.with_columns(names.set(names == "–", None).alias(TREATMENT))
    agreement = summarise(frame, by=TREATMENT)
    record = agreement.record
    groups = record.groups.sort(["median_similarity", TREATMENT], descending=[True, False])
    passing = int(groups["is_reproducible"].sum())
    bar = float(np.median(groups["threshold"].to_numpy()))
    figure = context.figure(
        replicate_agreement(groups["median_similarity"].to_list(), agreement.null, threshold=bar),
        "Correlation of replicates over that of random groups",
        caption="Dotted: 95 % of random groups of the typical size lie below. Each treatment has the bar of its size.",
    )
    listed = table(
        ("Treatment", "n", "Correlation", "Bar", "Replicates"),
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
    lead = join(
        [
            f"{number(100 * record.fraction)} % of treatments replicate (",
            term("percent replicating", PERCENT_REPLICATING),
            f": {passing} of {record.n_groups}, over {number(record.n_features)} features of '{name}').",
        ]
    )
    same = _same_position(frame)
    caution = (
        notice(
            "Every treatment sits in the same well on all plates here, so position effects count as agreement; "
            "a layout that moves replicates would tell the two apart."
        )
        if same
        else None
    )
    body = join(
        [
            caution,
            tag("div", figure, listed, class_="split"),
            sql_hint("SELECT * FROM activity ORDER BY mean_average_precision DESC"),
        ]
    )
    return Section("replicates", "Do replicates agree?", lead, body, nav="Replicates")


def _same_position(frame: pl.DataFrame) -> bool:
    """Whether replicates stand on different plates but always in one well."""
    counts = frame.group_by(TREATMENT).agg(
        pl.len().alias("n"),
        pl.col("Metadata_Well").n_unique().alias("wells"),
        pl.col("Metadata_Plate").n_unique().alias("plates"),
    )
    several = counts.filter(pl.col("n") > 1)
    return several.height > 1 and bool(((several["wells"] == 1) & (several["plates"] > 1)).all())
