"""Agreement of replicates, with the distribution that it is judged against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.errors import DataError

if TYPE_CHECKING:
    from phenoprint.evaluation import ReplicateReproducibility

__all__ = ["ReplicateAgreement", "replicate_agreement"]


@dataclass(frozen=True)
class ReplicateAgreement:
    """Result of `replicate_agreement`.

    Attributes
    ----------
    record
        What `phenoprint.evaluation.replicate_reproducibility` found; its ``groups`` are complete here: treatments
        with fewer than two usable replicates are left out.
    null
        Median correlations of groups of the same sizes whose wells were dealt out at random.
    """

    record: ReplicateReproducibility
    null: list[float]


def replicate_agreement(frame: pl.DataFrame, *, by: str, draws: int = 1000, seed: int = 0) -> ReplicateAgreement:
    """Correlate the replicates of each treatment, and the same wells dealt out at random.

    Parameters
    ----------
    frame
        One row per well in the order of the table, treatments only: metadata and features.
    by
        Column that makes a treatment.
    draws
        Random groups for the distribution, about.
    seed
        Seed of both nulls.

    Raises
    ------
    DataError
        Fewer than two treatments have two wells or more.
    """
    from phenoprint.evaluation import replicate_reproducibility

    # in the order of the table: the random groups are drawn by row, and another order would give another bar
    known = frame.filter(pl.col(by).is_not_null())
    repeated = known.group_by(by).len().filter(pl.col("len") > 1)
    if repeated.height < 2:
        raise DataError(
            f"Agreement of replicates needs two treatments with two wells or more; found {repeated.height}."
        )
    record = replicate_reproducibility(known, replicate_by=[by], seed=seed)
    judged = record.groups.filter(pl.col("is_reproducible").is_not_null())
    if judged.is_empty():
        raise DataError(
            f"Agreement of replicates cannot be judged: {repeated.height} treatments have replicates, too few to draw "
            "random groups of different treatments as large as theirs."
        )
    record = type(record)(**{**vars(record), "groups": judged})
    several = known.filter(pl.col(by).is_in(repeated[by].implode()))
    rng = np.random.default_rng(seed)
    null: list[float] = []
    for _ in range(min(20, max(1, draws // repeated.height))):
        dealt = several.with_columns(several[by].gather(rng.permutation(several.height)).alias(by))
        shuffled = replicate_reproducibility(dealt, replicate_by=[by], null_size=1, seed=seed)
        null += shuffled.groups["median_similarity"].drop_nulls().to_list()
    return ReplicateAgreement(record, null)
