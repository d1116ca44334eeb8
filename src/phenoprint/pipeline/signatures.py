"""Signatures of the clusters of a screen, one block of features at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from phenoprint.analysis import compare_clusters, rank_signatures
from phenoprint.pipeline.explained import describe_features, explained, feature_blocks
from phenoprint.store import ledger_rows, strict_join
from phenoprint.tables import PERTURBATION, WELL_KEY, frame_of

if TYPE_CHECKING:
    from phenoprint.pipeline.context import Context

__all__ = ["signatures"]

_CLUSTER = "Metadata_cluster"


def signatures(context: Context, *, step: str, top: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Compare the wells of each cluster with all others.

    Returns
    -------
    tuple
        Rows of table ``cluster_signature``, and of the ledger.
    """
    given = explained(context)
    own = given.wells.select(*WELL_KEY, PERTURBATION)
    key = list(WELL_KEY) if context.config.clusters.of == "wells" else [PERTURBATION]
    table = "well_cluster" if context.config.clusters.of == "wells" else "cluster"
    clusters = context.table(table).select(*key, pl.col("cluster").alias(_CLUSTER)).collect()
    wells = strict_join(own, clusters, on=key, expect="m:1").drop(PERTURBATION)
    placed = wells.drop_nulls(_CLUSTER)
    lost = {"in no cluster": wells.height - placed.height}
    ledger = ledger_rows(step, None, unit_of_count="wells", n_in=wells.height, lost=lost)
    parts = [
        compare_clusters(given.read(placed, features).drop(WELL_KEY))
        for features in feature_blocks(given.features, placed.height)
    ]
    if not parts:
        return frame_of("cluster_signature"), ledger
    ranked = rank_signatures(pl.concat(parts), top=top)
    return strict_join(ranked, describe_features(context), on=["feature"], expect="m:1"), ledger
