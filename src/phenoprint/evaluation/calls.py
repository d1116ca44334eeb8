"""Scores of the treatments of a screen: activity against controls, reproducibility, mechanisms."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import polars as pl

from phenoprint.evaluation.fold_profiles import treated_wells
from phenoprint.evaluation.mechanisms import moa_accuracy
from phenoprint.evaluation.replicates import replicate_reproducibility
from phenoprint.evaluation.scores import PROFILES, score_rows
from phenoprint.tables import COMPOUND, MOA, PERT_TYPE, PERTURBATION, declared_columns, feature_columns, frame_of

if TYPE_CHECKING:
    from phenoprint.evaluation.similarities import Vectors

__all__ = ["moa_calls", "replicate_agreement"]


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


def moa_calls(consensus: pl.DataFrame, active: pl.DataFrame, *, seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Call the mechanism of each active treatment from the nearest treatment of another compound.

    Only treatments that are active beside the negative controls are used, and a compound is never compared with itself
    (not-same-compound accuracy). The same splits are scored with shuffled labels and with the cell count alone.

    Parameters
    ----------
    consensus
        Treatment profiles (level 5), one row per ``Metadata_perturbation``.
    active
        What `activity` returned.
    seed
        Seed of the shuffled labels.

    Returns
    -------
    tuple
        Rows of table ``moa_prediction``, one per treatment, and of table ``score``, one per score; none where fewer
        than two mechanisms are shared by two active compounds.
    """
    if not {MOA, COMPOUND, PERT_TYPE} <= set(consensus.columns):
        return frame_of("moa_prediction"), frame_of("score")
    found = active.filter(pl.col("below_corrected_p").fill_null(False))[PERTURBATION]
    called = consensus.filter(
        pl.col(PERTURBATION).is_in(found.implode()) & pl.col(MOA).is_not_null() & (pl.col(PERT_TYPE) == "trt")
    )
    compounds = called.group_by(MOA).agg(pl.col(COMPOUND).n_unique().alias("n"))
    shared = compounds.filter(pl.col("n") > 1)[MOA]
    called = called.filter(pl.col(MOA).is_in(shared.implode()))
    if shared.len() < 2 or not feature_columns(called):
        return frame_of("moa_prediction"), frame_of("score")
    record = moa_accuracy(called, label=MOA, not_same=[COMPOUND], seed=seed)
    n_total = consensus.filter(pl.col(PERT_TYPE) == "trt")[PERTURBATION].n_unique()
    scores = score_rows(
        "moa_accuracy",
        record.predictions.with_columns(
            pl.col("is_correct").alias(PROFILES),
            pl.lit(record.count_accuracy, pl.Float64).alias("cell_count"),
            pl.lit(record.shuffled_accuracy, pl.Float64).alias("shuffled_labels"),
        ),
        description="active treatments whose nearest other compound shares the mechanism",
        n_total=n_total,
        n_features=record.n_features,
        seed=seed,
    )
    predictions = declared_columns(record.predictions, "moa_prediction").sort(PERTURBATION)
    return predictions, scores
