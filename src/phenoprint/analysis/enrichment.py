"""What the members of a cluster have in common: mechanisms, compounds, plates and positions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.tables import get_table, require_columns, to_polars

if TYPE_CHECKING:
    from phenoprint.tables import FrameLike

__all__ = ["cluster_enrichment", "technical_labels"]

TECHNICAL = ("plate", "batch", "row", "column", "edge", "well", "cells")
_NO_LABEL = ("inside", "as controls")
_LEAST_SHARE = 0.5


def cluster_enrichment(
    clusters: FrameLike, labels: FrameLike, *, member: str = "Metadata_perturbation"
) -> pl.DataFrame:
    """Test which labels the members of each cluster share more often than chance.

    Parameters
    ----------
    clusters
        One row per member: `member` and ``cluster``; those without a cluster take no part.
    labels
        One row per member and label: `member`, ``kind`` (``mechanism``, ``compound``, ``plate``, ...) and ``label``. A
        member may have several labels of a kind. NULL is no label.
    member
        Column that names the member.

    Returns
    -------
    polars.DataFrame
        One row per cluster, kind and label that some member of the cluster has, by cluster, kind and q: ``n_both``,
        ``n_cluster``, ``n_label``, ``n_total`` (members with a label of that kind), ``share`` (of the cluster),
        ``fold`` (share over that of all), ``p_value`` (hypergeometric, one-sided), ``q_value`` (Benjamini and Hochberg
        over all clusters and labels of the kind, those that do not meet included). Labels of one member are not tested,
        since one is always in some cluster: their p and q are NULL.

    Raises
    ------
    UnknownNameError
        For an absent column.

    Examples
    --------
    >>> clusters = pl.DataFrame({"Metadata_perturbation": list("abcdef"), "cluster": [1, 1, 1, 2, 2, 2]})
    >>> labels = clusters.select("Metadata_perturbation", kind=pl.lit("plate"), label=pl.Series(list("PPPQQQ")))
    >>> cluster_enrichment(clusters, labels).select("cluster", "label", "fold", pl.col("p_value").round(3)).rows()
    [(1, 'P', 2.0, 0.05), (2, 'Q', 2.0, 0.05)]
    """
    from scipy.stats import hypergeom

    members, given = to_polars(clusters), to_polars(labels)
    require_columns(members, [member, "cluster"], purpose="enrichment")
    require_columns(given, [member, "kind", "label"], purpose="enrichment")
    placed = members.select(member, "cluster").drop_nulls()
    known = given.select(member, "kind", "label").drop_nulls().unique().join(placed, on=member)
    of_kind = known.select(member, "kind", "cluster").unique()
    counts = (
        known.group_by("cluster", "kind", "label")
        .len("n_both")
        .join(of_kind.group_by("cluster", "kind").len("n_cluster"), on=["cluster", "kind"])
        .join(known.group_by("kind", "label").len("n_label"), on=["kind", "label"])
        .join(of_kind.group_by("kind").len("n_total"), on="kind")
        .with_columns(share=pl.col("n_both") / pl.col("n_cluster"))
        .with_columns(fold=pl.col("share") / (pl.col("n_label") / pl.col("n_total")))
        .sort("kind", "cluster", "label")
    )
    numbers = counts.select("n_both", "n_total", "n_label", "n_cluster").to_numpy().T.astype(np.int64)
    p_values = np.clip(hypergeom.sf(numbers[0] - 1, *numbers[1:]), 0, 1)
    tested = pl.col("n_label") > 1
    scored = counts.with_columns(p_value=pl.when(tested).then(pl.Series(p_values, dtype=pl.Float64)))
    n_tests = (known.group_by("kind", "label").len().filter(pl.col("len") > 1).group_by("kind").len("n_labels")).join(
        of_kind.group_by("kind").agg(pl.col("cluster").n_unique().alias("n_clusters")), on="kind"
    )
    total = scored.join(n_tests, on="kind", how="left").with_columns(
        _tests=(pl.col("n_labels") * pl.col("n_clusters")).cast(pl.Float64)
    )
    ranked = total.with_columns(_rank=pl.col("p_value").rank("max").over("kind")).sort("kind", "p_value")
    raised = (pl.col("p_value") * pl.col("_tests") / pl.col("_rank")).reverse().cum_min().reverse().over("kind")
    corrected = ranked.with_columns(q_value=pl.when(pl.col("p_value").is_not_null()).then(raised.clip(0, 1)))
    names = ("cluster", "kind", "label", "n_both", "n_cluster", "n_label", "n_total", "share", "fold")
    schema = get_table("cluster_enrichment").schema_of((*names, "p_value", "q_value"))
    return corrected.select(*schema).cast(schema).sort("cluster", "kind", "q_value", "label", nulls_last=True)


def technical_labels(enrichment: pl.DataFrame, *, threshold: float = 0.05) -> pl.DataFrame:
    """Describe the clusters that are a plate, a batch, a position or a low cell count.

    Parameters
    ----------
    enrichment
        Rows of `cluster_enrichment`.
    threshold
        Largest q.

    Returns
    -------
    polars.DataFrame
        One row per cluster of which half or more shares a plate, batch, row, column, edge, well or a low cell
        count more often than chance: ``cluster``, ``technical``, such as ``plate P2 (9 of 10)``.
    """
    found = enrichment.filter(
        pl.col("kind").is_in(TECHNICAL)
        & ~pl.col("label").is_in(_NO_LABEL)
        & (pl.col("q_value") < threshold)
        & (pl.col("share") >= _LEAST_SHARE)
    ).sort("cluster", "q_value", "share", "kind", descending=[False, False, True, False])
    text = pl.format("{} {} ({} of {})", "kind", "label", "n_both", "n_cluster")
    return found.group_by("cluster", maintain_order=True).agg(text.str.join("; ").alias("technical"))
