"""Signatures of the clusters of a screen, some features at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from phenoprint.analysis import compare_clusters, rank_signatures
from phenoprint.pipeline.explained import Explained, describe_features, feature_blocks
from phenoprint.store import ledger_rows, strict_join
from phenoprint.tables import WELL_KEY, frame_of

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
    about = context.profiles("profile_selected", columns="^Metadata_.*$").select(WELL_KEY)
    clusters = context.table("cluster").select(*WELL_KEY, pl.col("cluster").alias(_CLUSTER)).collect()
    wells = strict_join(about, clusters, on=WELL_KEY, expect="m:1").sort(WELL_KEY)
    placed = wells.drop_nulls(_CLUSTER)
    lost = {"in no cluster": wells.height - placed.height}
    ledger = ledger_rows(step, None, unit_of_count="wells", n_in=wells.height, lost=lost)
    explained = Explained.of(context)
    parts = [
        compare_clusters(explained.read(context, placed, features, None).drop(WELL_KEY))
        for features in feature_blocks(explained.features, placed.height)
    ]
    if not parts:
        return frame_of("cluster_signature"), ledger
    table = rank_signatures(pl.concat(parts), top=top)
    return strict_join(table, describe_features(context), on=["feature"], expect="m:1"), ledger
