"""Activity by cell count, well position and plate alone, and with shuffled treatments: what needs no morphology."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.evaluation.activity import COUNT_ONLY, active_beyond_count, activity
from phenoprint.evaluation.baselines import baseline_profiles
from phenoprint.evaluation.fold_profiles import treated_wells
from phenoprint.evaluation.scores import PROFILES, score_rows
from phenoprint.tables import COMPOUND, PERT_TYPE, PERTURBATION, PLATE, WELL_KEY, Groups, frame_of, to_polars

if TYPE_CHECKING:
    from phenoprint.evaluation.similarities import Vectors
    from phenoprint.tables import FrameLike

__all__ = ["activity_beside_baselines", "shuffled_treatments"]

_ACTIVE = "below_corrected_p"


def activity_beside_baselines(
    folds: Sequence[FrameLike],
    *,
    count: str,
    null_size: int = 10_000,
    threshold: float = 0.05,
    seed: int = 0,
    is_cross_fitted: bool | None = None,
    vectors: Sequence[Callable[[pl.DataFrame], Vectors]] | None = None,
) -> tuple[dict[str, pl.DataFrame], pl.DataFrame]:
    """Test which treatments are active, and how many of them would be found without morphology.

    Parameters
    ----------
    folds, null_size, threshold, seed, is_cross_fitted, vectors
        As in `activity`.
    count
        Column of the number of cells, best of all cells that were found. The counts of a fold are relative to the
        controls of the other folds.

    Returns
    -------
    tuple
        Table ``activity`` of the profiles (``none``), in which a treatment that is active only by its cell count has
        that status, and of each baseline by its name; and the rows ``active`` of table ``score``: the share of active
        treatments by profiles and by each baseline.
    """
    frames = [to_polars(fold) for fold in folds]

    def scored(
        profiles: Sequence[pl.DataFrame],
        vectors: Sequence[Callable[[pl.DataFrame], Vectors]] | None = None,
        is_cross_fitted: bool | None = True,
    ) -> pl.DataFrame:
        return activity(
            profiles,
            null_size=null_size,
            threshold=threshold,
            seed=seed,
            is_cross_fitted=is_cross_fitted,
            vectors=vectors,
        )

    table = scored(frames, vectors, is_cross_fitted)
    outcomes = table.select(PERTURBATION, COMPOUND, pl.col(_ACTIVE).alias(PROFILES))
    if not table["p_value"].count():
        return {PROFILES: table}, frame_of("score")
    by_name: dict[str, list[pl.DataFrame]] = {}
    for number, frame in enumerate(frames):
        for name, profiles in baseline_profiles(frame, count=count, reference=_reference(frames, number)).items():
            by_name.setdefault(name, []).append(profiles)
    found = {name: scored(profiles) for name, profiles in by_name.items() if len(profiles) == len(frames)}
    found["shuffled_labels"] = scored(shuffled_treatments(frames, seed=seed), vectors)
    for name, baseline in found.items():
        own = baseline.select(PERTURBATION, pl.col(_ACTIVE).alias(name))
        outcomes = outcomes.join(own, on=PERTURBATION, how="left", maintain_order="left")
    scores = score_rows(
        "active",
        outcomes,
        description="share of treatments that differ from the negative controls (corrected p below the threshold)",
        n_total=table.height,
        n_features=int(table["n_features"].drop_nulls().max() or 0),  # type: ignore[arg-type]
        seed=seed,
    )
    if "cell_count" not in outcomes.columns:
        return {PROFILES: table, **found}, scores
    both = outcomes.filter(pl.col(PROFILES) & pl.col("cell_count"))[PERTURBATION].to_list()
    beyond = active_beyond_count(
        frames, both, count=count, null_size=null_size, threshold=threshold, seed=seed, vectors=vectors
    )
    only = pl.col(PERTURBATION).is_in(sorted(set(both) - set(beyond)))
    status = pl.when(only).then(pl.lit(COUNT_ONLY)).otherwise("status")
    return {PROFILES: table.with_columns(status.alias("status")), **found}, scores


def _reference(frames: Sequence[pl.DataFrame], number: int) -> pl.DataFrame | None:
    """Return the controls that counts of a fold are relative to: those of the other folds."""
    others = [frame for other, frame in enumerate(frames) if other != number]
    if not others:
        return None
    return pl.concat([frame.filter(pl.col(PERT_TYPE) == "negcon").select(pl.col("^Metadata_.*$")) for frame in others])


def shuffled_treatments(folds: Sequence[pl.DataFrame], *, seed: int = 0) -> list[pl.DataFrame]:
    """Exchange the treatments of wells within plates, in the same way in all folds; controls keep their places."""
    every = pl.concat([treated_wells(fold).select(*WELL_KEY, PERTURBATION, PERT_TYPE) for fold in folds])
    wells = every.unique(WELL_KEY).sort(WELL_KEY)
    rng = np.random.default_rng(seed)
    order = np.arange(wells.height)
    for rows in Groups.of(wells, [PLATE]).rows():
        order[rows] = rng.permutation(rows)
    drawn = wells.select(*WELL_KEY, wells[PERTURBATION].gather(order).alias("_drawn"))
    shuffled = []
    for fold in folds:
        joined = fold.join(drawn, on=WELL_KEY, how="left", maintain_order="left")
        shuffled.append(joined.with_columns(pl.coalesce("_drawn", PERTURBATION).alias(PERTURBATION)).drop("_drawn"))
    return shuffled
