"""Agreement of replicates, compared with random groups of wells of different treatments on the same plates."""

from __future__ import annotations

import polars as pl

from phenoprint.evaluation import LEAST_TREATMENTS, is_headline
from phenoprint.report.context import Page, Section
from phenoprint.report.figures import replicate_histogram
from phenoprint.report.html import join, notice, number, sql_hint, table, tag, term
from phenoprint.report.sections.hits import with_names
from phenoprint.report.sections.terms import PERCENT_REPLICATING
from phenoprint.report.source import AbsentError

__all__ = ["replicates"]

NEEDED = ["Metadata_perturbation", "n_replicates", "median_similarity", "threshold", "is_reproducible"]
WHY = "It is written when at least two treatments have two wells or more."
SHOWN = 300


def replicates(page: Page) -> Section:
    """Draw the correlation of replicates over its null distribution, and list the treatments."""
    repeated = page.tables.need("replicate_agreement", NEEDED, why=WHY)
    judged = repeated.drop_nulls("is_reproducible")
    if judged.is_empty():
        raise AbsentError(
            f"{repeated.height} treatments have replicates: too few for random groups of different treatments as large "
            "as theirs."
        )
    groups = with_names(page, judged).sort(["median_similarity", "treatment"], descending=[True, False])
    n, passing = groups.height, int(groups["is_reproducible"].sum())
    null = page.tables.find("replicate_null")
    figure = page.figure(
        replicate_histogram(
            groups["median_similarity"].to_list(),
            [] if null is None else null["median_similarity"].to_list(),
            threshold=groups["threshold"].median(),  # type: ignore[arg-type]
        ),
        "Correlation of replicates over that of random groups",
        caption="Dotted: 95 % of random groups of the typical size lie below. The threshold depends on group size.",
    )
    listed = table(
        ("Treatment", "n", "Correlation", "Threshold", "Replicates"),
        [
            (name, size, f"{score:.3f}", f"{threshold:.3f}", "yes" if ok else "no")
            for name, size, score, threshold, ok in groups.select("treatment", *NEEDED[1:]).head(SHOWN).iter_rows()
        ],
        numeric=(1, 2, 3),
        class_="sortable",
        caption="Replicate correlation of each treatment",
    )
    treated = page.wells.filter(pl.col("Metadata_pert_type").is_in(["trt", "poscon"]))
    n_judged = f"{n} of {max(n, treated['treatment'].n_unique())} treatments have replicates to judge"
    lead = join(
        [
            f"{number(100 * passing / n)} % of treatments replicate ("
            if is_headline(n)
            else f"Too few for a share: {n_judged}, and {LEAST_TREATMENTS} are needed (",
            term("percent replicating", PERCENT_REPLICATING),
            f": {passing} of {n}). ",
            f"{n_judged}." if is_headline(n) else None,
        ]
    )
    body = join(
        [
            _caution(treated),
            tag("div", figure, listed, class_="split"),
            sql_hint("SELECT * FROM replicate_agreement ORDER BY median_similarity DESC"),
        ]
    )
    return Section(lead, body)


def _caution(treated: pl.DataFrame) -> str | None:
    """Return a note where all replicates of each treatment are in the same well of different plates."""
    counts = treated.group_by("treatment").agg(
        pl.col("Metadata_Well").n_unique().alias("wells"), pl.col("Metadata_Plate").n_unique().alias("plates")
    )
    several = counts.filter((pl.col("wells") > 1) | (pl.col("plates") > 1))
    if several.height < 2 or (several["wells"] > 1).any():
        return None
    return notice(
        "Every treatment is in the same well on all plates. Where controls show that position makes wells alike, "
        "replicates must also agree better than controls in one position; a layout with replicates in different "
        "positions would separate the two."
    )
