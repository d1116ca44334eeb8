"""Hits with their nearest neighbour, and the stain, compartment and features that carry their effect."""

from __future__ import annotations

import polars as pl

from phenoprint.report.context import Page, Section
from phenoprint.report.html import Html, join, sql_hint, table, tag, term
from phenoprint.report.sections.hits import THRESHOLD
from phenoprint.report.sections.terms import short_name
from phenoprint.report.source import AbsentError
from phenoprint.tables import PERTURBATION

__all__ = ["effects"]

SHOWN, FEATURES = 40, 3
# Smaller groups of features reach a high share by chance.
LEAST_FEATURES = 10
WHY = "It is written when profiles are compared with the negative controls of their plate."
CARRIED = (
    "The compartment and stain with the largest share of features that differ from the negative controls (q < 0.05), "
    f"of those with {LEAST_FEATURES} features or more. Shape belongs to no stain."
)
QUERY = (
    "SELECT Metadata_perturbation, compartment, channel, avg((q_value < 0.05)::INT) AS changed, count(*) AS features\n"
    "FROM feature_effect GROUP BY ALL ORDER BY Metadata_perturbation, changed DESC"
)
EFFECT = (
    "Median difference from the negative controls of the same plate, in robust standard deviations of these controls."
)


def effects(page: Page) -> Section:
    """List the hits with the nearest other compound and the features that change most."""
    active = page.tables.need("activity", [PERTURBATION, "corrected_p_value", "mean_average_precision"], why=WHY)
    found = active.filter(pl.col("corrected_p_value") <= THRESHOLD)
    if found.is_empty():
        raise AbsentError("No treatment differs from the negative controls, so there is no effect to explain.")
    ranked = found.sort(["corrected_p_value", "mean_average_precision", PERTURBATION], descending=[False, True, False])
    names = ranked[PERTURBATION].head(SHOWN).to_list()
    nearest = {row[PERTURBATION]: row for row in _rows(page, "neighbour", names).pipe(_nearest).iter_rows(named=True)}
    effect = _rows(page, "feature_effect", names)
    carriers = dict(_carriers(effect).iter_rows())
    features = _features(effect)
    rows = [(name, *_neighbour(nearest.get(name)), carriers.get(name), features.get(name)) for name in names]
    header = [
        "Treatment",
        term("Nearest other compound", "By the cosine of the consensus profiles (level 5)."),
        "Its mechanism",
        "Similarity",
        term("Carried by", CARRIED),
        term("Strongest features", EFFECT),
    ]
    body = join([table(header, rows, numeric=[3], class_="sortable", caption="What the hits do"), sql_hint(QUERY)])
    more = f" The {SHOWN} strongest are listed." if found.height > SHOWN else ""
    lead = f"What each of the {found.height} active treatments resembles most, and what changes in its cells.{more}"
    return Section(lead, body)


def _rows(page: Page, name: str, treatments: list[str]) -> pl.DataFrame:
    """Read the rows of some treatments only; the tables have one row per pair."""
    if name not in page.tables.names():
        raise AbsentError(page.tables.damaged.get(name, f"The table '{name}' is not in this screen. {WHY}"))
    return page.source.table(name).filter(pl.col(PERTURBATION).is_in(treatments)).collect().sort(PERTURBATION, "rank")


def _nearest(neighbours: pl.DataFrame) -> pl.DataFrame:
    """Return the nearest neighbour of each treatment among other compounds, negative controls excluded."""
    others = neighbours.filter(
        ~pl.col("is_same_compound") & (pl.col("neighbour_pert_type") != "negcon").fill_null(value=True)
    )
    return others.unique(PERTURBATION, keep="first", maintain_order=True)


def _neighbour(row: dict[str, object] | None) -> tuple[object, object, object]:
    return (None, None, None) if row is None else (row["neighbour"], row["neighbour_moa"], f"{row['similarity']:.2f}")


def _carriers(effect: pl.DataFrame) -> pl.DataFrame:
    """Return the compartment and stain with the largest share of changed features for each treatment."""
    groups = (
        effect.filter(pl.col("compartment").is_not_null() & ~pl.col("channel").fill_null("").str.contains(","))
        .group_by(PERTURBATION, "compartment", pl.col("channel").fill_null("shape"))
        .agg((pl.col("q_value") < 0.05).mean().alias("share"), pl.len().alias("n"))
        .filter((pl.col("n") >= LEAST_FEATURES) & (pl.col("share") > 0))
        .sort(PERTURBATION, "share", "compartment", "channel", descending=[False, True, False, False])
        .unique(PERTURBATION, keep="first", maintain_order=True)
    )
    percent = (100 * pl.col("share")).round().cast(pl.Int64)
    return groups.select(PERTURBATION, pl.format("{} {} ({} % of {})", "compartment", "channel", percent, "n"))


def _features(effect: pl.DataFrame) -> dict[str, Html]:
    """Return the strongest features of each treatment with their direction."""
    strongest = effect.filter((pl.col("q_value") < 0.05).fill_null(value=False)).group_by(
        PERTURBATION, maintain_order=True
    )
    return {
        str(name): join(
            [
                tag("span", f"{short_name(feature)} {value:+.1f}", title=feature)
                for feature, value in rows.select("feature", "effect").head(FEATURES).iter_rows()
            ],
            ", ",
        )
        for (name,), rows in strongest
    }
