"""Scores of the treatments of a screen: activity against controls, reproducibility, mechanisms."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import polars as pl

from phenoprint.evaluation.mechanisms import moa_accuracy
from phenoprint.evaluation.replicates import replicate_reproducibility
from phenoprint.evaluation.retrieval import average_precision
from phenoprint.evaluation.scores import PROFILES, score_rows
from phenoprint.evaluation.significance import mean_average_precision
from phenoprint.tables import COMPOUND, MOA, PERT_TYPE, PERTURBATION, declared_columns, feature_columns, frame_of

if TYPE_CHECKING:
    from phenoprint.evaluation.similarities import Vectors

__all__ = ["activity", "also_controls", "moa_calls", "replicate_agreement"]

_IS_NEGCON = "Metadata_is_negcon"
_ABOUT = [COMPOUND, "Metadata_Concentration", "Metadata_Concentration_Unit", MOA, PERT_TYPE]


def also_controls(profiles: pl.DataFrame) -> pl.DataFrame:
    """Return the wells annotated as treatments whose treatment is a negative control in other wells.

    Such a treatment counts as the control, as in the table ``perturbation``: it gets no activity and no mechanism.

    Parameters
    ----------
    profiles
        Well profiles (level 4b), one row per well; the features are not needed.

    Examples
    --------
    >>> kinds = {"Metadata_pert_type": ["negcon", "trt", "trt"], "Metadata_perturbation": ["DMSO", "DMSO", "taxol"]}
    >>> also_controls(pl.DataFrame(kinds))["Metadata_perturbation"].to_list()
    ['DMSO']
    """
    controls = profiles.filter(pl.col(PERT_TYPE) == "negcon")[PERTURBATION].drop_nulls()
    is_treated = pl.col(PERT_TYPE).is_in(["trt", "poscon"])
    return profiles.filter(is_treated & pl.col(PERTURBATION).is_in(controls.unique().implode()))


def _treated(profiles: pl.DataFrame) -> pl.DataFrame:
    """Return the wells of treatments that are no negative control anywhere."""
    left_out = also_controls(profiles)[PERTURBATION].unique().implode()
    return profiles.filter(
        pl.col(PERT_TYPE).is_in(["trt", "poscon"])
        & pl.col(PERTURBATION).is_not_null()
        & ~pl.col(PERTURBATION).is_in(left_out)
    )


def activity(
    profiles: pl.DataFrame,
    *,
    null_size: int = 10_000,
    seed: int = 0,
    vectors: Callable[[pl.DataFrame], Vectors] | None = None,
) -> pl.DataFrame:
    """Score how well the replicates of each treatment find each other among the negative controls of their plate.

    Mean average precision after Kalinin et al., Nature Communications 2025, as in the JUMP protocol: replicates share
    ``Metadata_perturbation``; negatives are the ``negcon`` wells of the same plate.

    Parameters
    ----------
    profiles
        Well profiles (level 4b), one row per well.
    null_size
        Size of the null distribution.
    seed
        Seed of the null distribution.
    vectors
        Makes the vectors of some of the wells, where `profiles` holds their metadata only; see `average_precision`.

    Returns
    -------
    polars.DataFrame
        Table ``activity``: one row per treatment with at least two wells; empty without negative controls. A well
        without ``Metadata_perturbation`` belongs to no treatment; a negative control needs none. A treatment that is a
        negative control in other wells is left out, see `also_controls`.
    """
    treated = _treated(profiles)
    repeated = treated.group_by(PERTURBATION).len("n_replicates").filter(pl.col("n_replicates") > 1)
    controls = profiles.filter(pl.col(PERT_TYPE) == "negcon")
    if repeated.is_empty() or controls.is_empty() or not _is_comparable(profiles, vectors):
        return frame_of("activity")
    queries = treated.filter(pl.col(PERTURBATION).is_in(repeated[PERTURBATION].implode()))
    # A control is no replicate of another: each gets an identity of its own.
    singles = controls.with_columns(
        (pl.lit("negcon ") + pl.col("Metadata_Plate") + pl.lit(" ") + pl.col("Metadata_Well")).alias(PERTURBATION)
    )
    scored = average_precision(
        pl.concat([queries, singles]).with_columns((pl.col(PERT_TYPE) == "negcon").alias(_IS_NEGCON)),
        pos_sameby=[PERTURBATION],
        pos_diffby=[],
        neg_sameby=["Metadata_Plate"],
        neg_diffby=[_IS_NEGCON],  # by role, or positive controls would be negatives of treatments
        vectors=vectors,
    )
    scored = scored.filter((pl.col(PERT_TYPE) != "negcon") & pl.col("average_precision").is_not_null())
    result = mean_average_precision(scored, sameby=[PERTURBATION], null_size=null_size, seed=seed)
    about = queries.select(PERTURBATION, *_ABOUT).unique(PERTURBATION, keep="first", maintain_order=True)
    named = result.drop("n_replicates").join(about, on=PERTURBATION, how="left")
    counted = named.join(repeated, on=PERTURBATION, how="left")
    return declared_columns(counted, "activity").sort(PERTURBATION)


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
    wells = _treated(profiles)
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
