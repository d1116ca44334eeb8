"""Scores of the treatments of a screen: activity against controls, reproducibility, mechanisms."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import polars as pl

from phenoprint.evaluation.fold_profiles import treated_wells
from phenoprint.evaluation.replicates import replicate_reproducibility
from phenoprint.evaluation.scores import PROFILES, score_rows
from phenoprint.tables import COMPOUND, PERTURBATION, declared_columns, feature_columns, frame_of

if TYPE_CHECKING:
    from phenoprint.evaluation.similarities import Vectors

__all__ = ["replicate_agreement"]


def _is_comparable(profiles: pl.DataFrame, vectors: Callable[[pl.DataFrame], Vectors] | None) -> bool:
    return vectors is not None or bool(feature_columns(profiles))


def replicate_agreement(
    profiles: pl.DataFrame, *, seed: int = 0, vectors: Callable[[pl.DataFrame], Vectors] | None = None
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Compare the replicates of each treatment with random groups of as many wells, see `replicate_reproducibility`.

    Parameters
    ----------
    profiles, vectors
        As in `activity`; the vectors are those of metric ``pearson``.
    seed
        Seed of the null distribution.

    Returns
    -------
    tuple
        Rows of table ``replicate_agreement``, one per treatment with at least two wells; of ``replicate_null``; and of
        ``score``, the share of treatments that replicate. None for fewer than two treatments with replicates.
    """
    wells = treated_wells(profiles)
    repeated = wells.group_by(PERTURBATION).len().filter(pl.col("len") > 1)
    if repeated.height < 2 or not _is_comparable(wells, vectors):
        return frame_of("replicate_agreement"), frame_of("replicate_null"), frame_of("score")
    record = replicate_reproducibility(wells, replicate_by=[PERTURBATION], seed=seed, vectors=vectors)
    about = wells.select(PERTURBATION, COMPOUND).unique(PERTURBATION, keep="first", maintain_order=True)
    judged = record.groups.filter(pl.col("n_replicates") > 1).join(about, on=PERTURBATION, how="left")
    score = score_rows(
        "replicates_reproducible",
        judged.with_columns(pl.col("is_reproducible").alias(PROFILES)),
        description="share of treatments whose replicates correlate above the 95th percentile of random groups of "
        "their size",
        n_total=wells[PERTURBATION].n_unique(),
        n_features=record.n_features,
        seed=seed,
    )
    return declared_columns(judged, "replicate_agreement").sort(PERTURBATION), record.null, score
