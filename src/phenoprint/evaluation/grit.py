"""Grit: how much more the replicates of a treatment resemble each other than the negative controls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.evaluation.fold_profiles import FoldProfiles, fold_profiles
from phenoprint.evaluation.random_groups import PLACE, Design, with_places
from phenoprint.tables import PERTURBATION, PLATE, WELL, WELL_KEY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.evaluation.similarities import Vectors
    from phenoprint.tables import FrameLike, IntArray

    Floats = NDArray[np.float64]

__all__ = ["grit"]

_LEAST_SPREAD = 1e-6  # of correlations: below it they differ by rounding only
_MOST_VALUES = 2**24


def grit(
    folds: Sequence[FrameLike],
    *,
    null_size: int = 1000,
    seed: int = 0,
    vectors: Sequence[Callable[[pl.DataFrame], Vectors]] | None = None,
) -> pl.DataFrame:
    """Score how far the correlation of replicates lies above their correlation with the negative controls.

    Each replicate has the mean of its correlations with the other replicates, as a z score: in standard deviations of
    its correlations with the controls on the plates of these others. Grit is the mean over the replicates (Way et al.,
    Nature Communications 13:5436, 2022), and over the folds of the controls.

    Parameters
    ----------
    folds
        As in `activity`.
    null_size
        Random groups of wells of different treatments, as many on the same plates; see `replicate_reproducibility`.
    seed
        Seed of the draws.
    vectors
        For each fold: makes the vectors of metric ``pearson``, where the frames hold metadata only.

    Returns
    -------
    polars.DataFrame
        One row per treatment: ``Metadata_perturbation``; ``grit``, NULL with fewer than two replicates or without
        controls that vary; ``grit_p_value``, the share of the null, with the score itself, at or above it; NULL where
        there are too few treatments for a null.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> kinds = [f"t{i // 3}" for i in range(30)] + ["DMSO"] * 10
    >>> wells = pl.DataFrame({
    ...     "Metadata_Plate": ["p"] * 40,
    ...     "Metadata_Well": [f"A{i:02d}" for i in range(40)],
    ...     "Metadata_perturbation": kinds,
    ...     "Metadata_pert_type": ["trt"] * 30 + ["negcon"] * 10,
    ... }).hstack(pl.DataFrame(rng.normal(size=(40, 6)), schema=list("abcdef")))
    >>> wells = wells.with_columns(a=pl.col("a") + 9 * (pl.col("Metadata_perturbation") == "t3"))
    >>> grit([wells]).sort("grit")["Metadata_perturbation"].last()
    't3'
    """
    makers: Sequence[Callable[[pl.DataFrame], Vectors] | None] = [None] * len(folds) if vectors is None else vectors
    made = [fold_profiles(frame, maker, metric="pearson") for frame, maker in zip(folds, makers, strict=True)]
    wells, rows = _treated_in_all(made)
    named = wells.with_row_index("_row").group_by(PERTURBATION).agg("_row").sort(PERTURBATION)
    members = [np.sort(np.array(own, dtype=np.intp)) for own in named["_row"]]
    members = [own for own in members if len(own) > 1]
    names = [str(wells[PERTURBATION][int(own[0])]) for own in members]
    design = Design.of(with_places(wells), members, [PLACE], [PLATE], [WELL])
    scored = [_ScoredFold(fold, own) for fold, own in zip(made, rows, strict=True)]

    def mean_over_folds(groups: IntArray, pairs: tuple[IntArray, IntArray]) -> Floats:
        return _mean(np.array([fold.grit(groups, pairs) for fold in scored]), axis=0)

    nulls: dict[object, Floats] = {}
    for key in design.keys:
        drawn = design.random_groups(key, null_size=null_size, seed=seed)
        null = np.empty(0) if drawn is None else mean_over_folds(drawn, design.pairs_of(key))
        nulls[key] = null[~np.isnan(null)]
    values: list[float | None] = []
    p_values: list[float | None] = []
    for own, form in zip(members, design.forms, strict=True):
        ordered = own[np.argsort(design.strata[own], kind="stable")]
        score = float(mean_over_folds(ordered[None, :], form.pairs)[0]) if len(form.pairs[0]) else float("nan")
        null = nulls.get(form.key, np.empty(0))
        values.append(None if np.isnan(score) else score)
        has_null = len(null) > 0 and not np.isnan(score)
        p_values.append((1 + int((null >= score).sum())) / (1 + len(null)) if has_null else None)
    schema = {PERTURBATION: pl.String, "grit": pl.Float64, "grit_p_value": pl.Float64}
    return pl.DataFrame({PERTURBATION: names, "grit": values, "grit_p_value": p_values}, schema=schema)


def _treated_in_all(folds: Sequence[FoldProfiles]) -> tuple[pl.DataFrame, list[IntArray]]:
    """Return the treated wells that are usable in all folds, sorted, and their rows in each fold."""
    common: pl.DataFrame | None = None
    for number, fold in enumerate(folds):
        treated = np.sort(np.concatenate([np.arange(0), *fold.treatments.values()]).astype(np.intp))
        own = fold.wells[treated].select(*WELL_KEY, PERTURBATION, pl.Series(f"_{number}", treated))
        common = own if common is None else common.join(own.drop(PERTURBATION), on=WELL_KEY, how="inner")
    if common is None:
        return pl.DataFrame(schema=dict.fromkeys([*WELL_KEY, PERTURBATION], pl.String)), []
    common = common.sort(WELL_KEY)
    return common, [common[f"_{number}"].to_numpy() for number in range(len(folds))]


class _ScoredFold:
    """Correlations of the treated wells of one fold with its controls: number, sum and squares by plate."""

    def __init__(self, fold: FoldProfiles, rows: IntArray) -> None:
        self.values = np.asarray(fold.values[rows])
        self.plates = fold.plates[rows]
        n_plates = int(fold.plates.max()) + 1 if len(fold.plates) else 0
        self.n = np.zeros(n_plates)
        self.sums = np.zeros((len(rows), n_plates))
        self.squares = np.zeros((len(rows), n_plates))
        for plate, controls in fold.controls.items():
            correlation = (self.values @ np.asarray(fold.values[controls]).T).astype(np.float64)
            self.n[plate] = len(controls)
            self.sums[:, plate], self.squares[:, plate] = correlation.sum(axis=1), (correlation**2).sum(axis=1)

    def grit(self, groups: IntArray, pairs: tuple[IntArray, IntArray]) -> Floats:
        """Grit of groups of wells, shape (groups, wells) to (groups,); NaN without controls that vary."""
        size = groups.shape[1]
        step = max(1, _MOST_VALUES // max(1, size * max(size, self.values.shape[1])))
        return np.concatenate([self._grit(groups[i : i + step], pairs) for i in range(0, len(groups), step)])

    def _grit(self, groups: IntArray, pairs: tuple[IntArray, IntArray]) -> Floats:
        size = groups.shape[1]
        paired = np.zeros((size, size))
        paired[pairs[0], pairs[1]] = paired[pairs[1], pairs[0]] = 1
        chosen = self.values[groups]
        similarity = (chosen @ chosen.transpose(0, 2, 1)).astype(np.float64)
        plates = self.plates[groups]
        # The controls of a plate count once for a well, also where two of its replicates lie on that plate.
        earlier = np.triu(plates[:, :, None] == plates[:, None, :], 1)
        counts = paired * (paired @ earlier == 0)  # (groups, wells, other wells)
        n = (counts * self.n[plates][:, None, :]).sum(axis=2)
        own, others = groups[:, :, None], plates[:, None, :]
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = (counts * self.sums[own, others]).sum(axis=2) / n
            variance = (counts * self.squares[own, others]).sum(axis=2) / n - mean**2
            spread = np.sqrt(np.maximum(variance, 0))
            z = ((similarity * paired).sum(axis=2) / paired.sum(axis=1) - mean) / spread
        z[~(spread > _LEAST_SPREAD) | ~np.isfinite(z)] = np.nan
        return _mean(z, axis=1)


def _mean(values: Floats, axis: int) -> Floats:
    """Mean of the known values; NaN where there is none."""
    known = ~np.isnan(values)
    sums = np.where(known, values, 0.0).sum(axis=axis)
    with np.errstate(invalid="ignore"):
        return np.asarray(sums / known.sum(axis=axis), dtype=np.float64)
