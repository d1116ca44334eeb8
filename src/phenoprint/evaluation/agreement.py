"""Whether the replicates of a treatment agree better than random wells of the same plates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import polars as pl

from phenoprint.evaluation.activity_baselines import shuffled_treatments
from phenoprint.evaluation.baselines import baseline_profiles
from phenoprint.evaluation.fold_profiles import treated_wells
from phenoprint.evaluation.random_groups import PLACE, with_places
from phenoprint.evaluation.replicates import replicate_reproducibility
from phenoprint.evaluation.scores import PROFILES, score_rows
from phenoprint.tables import COMPOUND, PERTURBATION, PLATE, WELL, declared_columns, feature_columns, frame_of

if TYPE_CHECKING:
    from phenoprint.evaluation.replicates import ReplicateReproducibility
    from phenoprint.evaluation.similarities import Vectors

__all__ = ["replicate_agreement"]

_LEVEL = 0.05


def replicate_agreement(
    profiles: pl.DataFrame,
    *,
    active: Mapping[str, pl.DataFrame] | None = None,
    grit: pl.DataFrame | None = None,
    count: str | None = None,
    seed: int = 0,
    vectors: Callable[[pl.DataFrame], Vectors] | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Compare the replicates of each treatment with random groups of wells, see `replicate_reproducibility`.

    A random group has as many wells on the same plates, of different treatments and in different positions. Wells in
    the same position are no pair where the replicates lie in several positions. Where they share one and position makes
    wells alike, replicates must also be more alike than controls in one position.

    Parameters
    ----------
    profiles, vectors
        As in `activity`, of all wells; the vectors are those of metric ``pearson``.
    active
        Tables ``activity`` of the profiles (``none``) and of baselines, as `activity_beside_baselines` returns them,
        for ``position_p_value``.
    grit
        What `grit` returns; its p values are not below ``position_p_value`` either. None: no grit.
    count
        Column of the number of cells, for the baselines.
    seed
        Seed of the null distribution.

    Returns
    -------
    tuple
        Rows of table ``replicate_agreement``, one per treatment with at least two wells; of ``replicate_null``; and of
        ``score``, the share of treatments that replicate, beside baselines. None for fewer than two treatments with
        replicates.
    """
    wells = treated_wells(profiles)
    repeated = wells.group_by(PERTURBATION).len().filter(pl.col("len") > 1)
    if repeated.height < 2 or (vectors is None and not feature_columns(wells)):
        return frame_of("replicate_agreement"), frame_of("replicate_null"), frame_of("score")
    tables = {} if active is None else active
    record = _compared(wells, seed, vectors)
    about = wells.select(PERTURBATION, COMPOUND).unique(PERTURBATION, keep="first", maintain_order=True)
    judged = _judged(record, tables.get(PROFILES), grit).join(about, on=PERTURBATION, how="left")
    outcomes = judged.with_columns(pl.col("is_reproducible").alias(PROFILES))
    baselines = {} if count is None else baseline_profiles(profiles, count=count)
    found = {
        name: _judged(_compared(treated_wells(frame), seed), tables.get(name)) for name, frame in baselines.items()
    }
    (shuffled,) = shuffled_treatments([profiles], seed=seed)
    found["shuffled_labels"] = _judged(_compared(treated_wells(shuffled), seed, vectors), tables.get("shuffled_labels"))
    for name, baseline in found.items():
        own = baseline.select(PERTURBATION, pl.col("is_reproducible").alias(name))
        outcomes = outcomes.join(own, on=PERTURBATION, how="left", maintain_order="left")
    score = score_rows(
        "replicates_reproducible",
        outcomes,
        description="share of treatments whose replicates correlate above the 95th percentile of random groups of "
        "wells of the same plates",
        n_total=wells[PERTURBATION].n_unique(),
        n_features=record.n_features,
        seed=seed,
    )
    return declared_columns(judged, "replicate_agreement").sort(PERTURBATION), record.null, score


def _compared(
    wells: pl.DataFrame, seed: int, vectors: Callable[[pl.DataFrame], Vectors] | None = None
) -> ReplicateReproducibility:
    return replicate_reproducibility(
        with_places(wells),
        [PERTURBATION],
        1 - _LEVEL,
        pos_diffby=[PLACE],
        null_sameby=[PLATE],
        null_diffby=[WELL],
        seed=seed,
        vectors=vectors,
    )


def _judged(
    record: ReplicateReproducibility, active: pl.DataFrame | None, grit: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Take the larger p value of treatments that were judged against controls in one position."""
    groups = record.groups.filter(pl.col("n_replicates") > 1)
    if grit is not None:
        groups = groups.join(grit, on=PERTURBATION, how="left", maintain_order="left")
    if active is None:
        return groups
    position = active.select(PERTURBATION, pl.col("position_p_value").alias("_position"))
    joined = groups.join(position, on=PERTURBATION, how="left", maintain_order="left")
    passes = pl.col("_position").is_null() | (pl.col("_position") < _LEVEL)
    larger = [
        pl.when(pl.col(name).is_not_null()).then(pl.max_horizontal(name, "_position")).alias(name)
        for name in ("p_value", "grit_p_value")
        if name in joined.columns
    ]
    return joined.with_columns(*larger, (pl.col("is_reproducible") & passes).alias("is_reproducible")).drop("_position")
