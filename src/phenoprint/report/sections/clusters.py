"""Clusters of treatments: how stable they are, and what their members have in common."""

from __future__ import annotations

import polars as pl

from phenoprint.report.context import Page, Section
from phenoprint.report.figures import resampling_curve
from phenoprint.report.html import Html, join, notice, number, sql_hint, table, tag, term
from phenoprint.report.sections.projection import by_treatment, cluster_name, described, draw_map, read_map
from phenoprint.report.sections.terms import short_name
from phenoprint.report.source import AbsentError
from phenoprint.tables import PERTURBATION, WELL_KEY

__all__ = ["clusters"]

WHY = "It is written when treatments or wells are clustered, which needs ten with a profile or more."
WHY_MAP = "It is written when the consensus profiles are projected, which needs 30 treatments or more."
STABILITY = (
    "How far the cluster is found again in resamples (80 % of the profiles, half of the features): mean Jaccard index. "
    "0.75 or more is a stable cluster, below 0.5 it dissolves."
)
ENRICHED = "The label that most members share beyond chance (hypergeometric test, q < 0.05); members with it of all."
SHARED = (
    "Mutual information of the clusters and those of resamples, above chance. The largest is chosen, without labels: "
    "too few clusters know little, too many are not found again."
)
QUERY = "SELECT * FROM cluster_enrichment WHERE q_value < 0.05 ORDER BY cluster, kind, q_value"
SHOWN, FEATURES = 40, 3


def clusters(page: Page) -> Section:
    """List the clusters with stability, enrichment and signature, beside a map of the treatments."""
    of_wells = bool(page.tables.height("well_cluster"))
    key = list(WELL_KEY) if of_wells else [PERTURBATION]
    members = page.tables.need("well_cluster" if of_wells else "cluster", [*key, "cluster", "status"], why=WHY)
    what = "wells" if of_wells else "treatments"
    placed = members.filter(pl.col("cluster").is_not_null())
    if placed.is_empty():
        raise AbsentError(f"No clusters: {_refusal(page)}.")
    listed = _rows(page, placed, key)
    n, inactive = placed["cluster"].n_unique(), members.filter(pl.col("status") == "inactive").height
    others = members.height - placed.height - inactive
    lead = (
        f"{placed.height:,} {what} are in {n} clusters; {inactive:,} inactive {what} were not clustered"
        f"{f', {others:,} are in none' if others else ''}."
    )
    header = [
        "Cluster",
        "Size",
        term("Stability", STABILITY),
        term("Mechanism", ENRICHED),
        term("Compound", ENRICHED),
        term("Strongest features", "Features that separate its wells best from those of all other clusters."),
        term("Medoid", "The member that is most similar to the others."),
    ]
    parts: list[object] = [
        *_warnings(placed),
        table(header, listed[:SHOWN], numeric=[0, 1, 2], class_="sortable", caption=f"Clusters of {what}"),
        None if len(listed) <= SHOWN else notice(f"The {SHOWN} largest are listed."),
        _map(page),
        _choice(page),
        sql_hint(QUERY),
    ]
    return Section(lead, join(parts))


def _refusal(page: Page) -> str:
    status = page.tables.find("feature_status")
    columns = {"step", "status", "reason"}
    if status is not None and columns <= set(status.columns):
        reasons = status.filter(pl.col("step") == "cluster_profiles")["reason"]
        if reasons.drop_nulls().len():
            return str(reasons.drop_nulls()[0])
    return "no profile is in one"


def _warnings(placed: pl.DataFrame) -> list[Html]:
    """Name the clusters that are a plate, a position or a low cell count."""
    if "technical" not in placed.columns:
        return []
    found = placed.filter(pl.col("technical").is_not_null()).unique("cluster").sort("cluster")
    if found.is_empty():
        return []
    named = "; ".join(f"{cluster}: {what}" for cluster, what in found.select("cluster", "technical").iter_rows())
    return [notice(f"These clusters follow the layout or the cell count, beyond chance. {named}.")]


def _rows(page: Page, placed: pl.DataFrame, key: list[str]) -> list[tuple[object, ...]]:
    enriched = page.tables.find("cluster_enrichment")
    signature = page.tables.find("cluster_signature")
    rows: list[tuple[object, ...]] = []
    for (cluster,), own in placed.sort("cluster").group_by("cluster", maintain_order=True):
        medoid = own.filter("is_medoid").select(key).head(1) if "is_medoid" in own.columns else own.clear()
        stability = own["cluster_stability"][0] if "cluster_stability" in own.columns else None
        rows.append(
            (
                cluster,
                own.height,
                "–" if stability is None else f"{stability:.2f}",
                _label(enriched, cluster, "mechanism"),
                _label(enriched, cluster, "compound"),
                _features(signature, cluster),
                " ".join(map(str, medoid.row(0))) if medoid.height else None,
            )
        )
    return rows


def _label(enriched: pl.DataFrame | None, cluster: object, kind: str) -> str | None:
    needed = {"cluster", "kind", "label", "n_both", "n_label", "q_value"}
    if enriched is None or not needed <= set(enriched.columns):
        return None
    own = enriched.filter((pl.col("cluster") == cluster) & (pl.col("kind") == kind) & (pl.col("q_value") < 0.05))
    best = own.sort("n_both", "q_value", "label", descending=[True, False, False]).head(2)
    named = [f"{label} ({n} of {total})" for label, n, total in best.select("label", "n_both", "n_label").iter_rows()]
    return "; ".join(named) or None


def _features(signature: pl.DataFrame | None, cluster: object) -> Html | None:
    if signature is None or not {"cluster", "feature", "effect", "rank"} <= set(signature.columns):
        return None
    own = signature.filter(pl.col("cluster") == cluster).sort("rank").head(FEATURES)
    named = [
        tag("span", f"{short_name(feature)} {effect:+.1f}", title=feature)
        for feature, effect in own.select("feature", "effect").drop_nulls().iter_rows()
    ]
    return join(named, ", ") if named else None


def _map(page: Page) -> Html:
    """Draw the treatments, coloured by cluster, mechanism and what else may group them."""
    try:
        frame, method = read_map(page, "treatment_projection", [PERTURBATION], why=WHY_MAP)
    except AbsentError as absent:
        return notice(f"No map of the treatments. {absent}")
    if PERTURBATION not in page.wells.columns:
        return notice("No map of the treatments: the wells have no treatments.")
    first = page.wells.sort(WELL_KEY).group_by(PERTURBATION, maintain_order=True)
    several = pl.col("Metadata_Plate").n_unique() > 1
    where = pl.when(several).then(pl.lit("several plates")).otherwise(pl.col("Metadata_Plate").first()).alias("plates")
    about = first.first().join(first.agg(where), on=PERTURBATION, how="left")
    points = frame.join(about, on=PERTURBATION, how="left").sort(PERTURBATION)
    found = page.tables.columns("cluster", [PERTURBATION, "cluster", "status"])
    if found is not None and found.width == 3:
        named = found.unique(PERTURBATION).with_columns(cluster_name(found["cluster"]))
        points = points.join(named, on=PERTURBATION, how="left", maintain_order="left")
    points, dose = described(points)
    colourings = [
        ("Cluster", "cluster", {"missing": "no cluster", "most": 32}),
        *(entry for entry in by_treatment(points, dose) if entry[0] != "Kind of well"),
        ("Plate", "plates", {"quiet": ["several plates"]}),
    ]
    hover = (PERTURBATION, "Metadata_moa", "cluster", "status")
    drawn = draw_map(page, points, colourings, hover=hover, pool="treatments", axes=method.upper(), of="Treatments")
    return join([tag("h3", "Map of the treatments"), drawn])


def _choice(page: Page) -> Html | None:
    choices = page.tables.find("cluster_choice")
    needed = {"n_clusters", "shared_information", "stability", "is_chosen"}
    if choices is None or choices.height < 2 or not needed <= set(choices.columns):
        return None
    chosen = choices.filter("is_chosen").head(1)
    if chosen.is_empty():
        return None
    caption = join(
        [
            "Each point is a set of parameters. ",
            term("Shared information", SHARED),
            f" is largest with {number(chosen['n_clusters'][0])} clusters.",
        ]
    )
    figure = page.figure(resampling_curve(choices), "Shared information over the number of clusters", caption=caption)
    return join([tag("h3", "How many clusters are found again"), figure])
