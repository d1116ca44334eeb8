"""The distances of treatments to the held-out controls of one fold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.evaluation.control_space import ControlSpace
from phenoprint.evaluation.distances import ControlDistance, OneWellNull
from phenoprint.tables import MAD_SCALE, PERTURBATION, PLATE, WELL, feature_matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["FoldControls", "FoldDistance"]


@dataclass(frozen=True)
class FoldDistance:
    """A treatment in one fold.

    Attributes
    ----------
    distance
        To the controls; None where the treatment is in one well and no plate has three controls.
    n_wells, n_controls
        Wells on plates with controls, and controls of these plates.
    inducing_share
        Share of the features that differ from the controls by more than some of their robust standard deviations; None
        where no feature has any. After Christoforow et al., Angew Chem Int Ed 58:14715, 2019, where it is "induction".
    n_features
        Features compared.
    """

    distance: ControlDistance | None
    n_wells: int
    n_controls: int
    inducing_share: float | None
    n_features: int


@dataclass(frozen=True)
class FoldControls:
    """The negative controls of one fold, on which its profiles were not fitted.

    Attributes
    ----------
    features
        Features that at least half of the controls have and that vary among them.
    space
        The controls as vectors; None where there are too few or they do not vary.
    one_well
        The null of treatments in a single well.
    medians
        By plate, shape (features,): the median of its controls.
    spread
        Robust standard deviation (1.4826 MAD) of the controls about the median of their plate, shape (features,).
    """

    features: tuple[str, ...]
    space: ControlSpace | None
    one_well: OneWellNull | None
    medians: Mapping[str, Floats]
    spread: Floats

    @classmethod
    def of(cls, controls: pl.DataFrame, features: Sequence[str]) -> FoldControls:
        """Learn the controls of each plate.

        Parameters
        ----------
        controls
            Held-out negative controls of all plates, one row per well.
        features
            Their features. A missing value counts as the mean of the plate's controls; wells that lack more than half
            of the features take no part.
        """
        rows = controls.sort(PLATE, WELL)
        values = feature_matrix(rows, features).astype(np.float64).T
        usable = np.isnan(values).mean(axis=1) <= 0.5 if values.shape[1] else np.zeros(len(values), dtype=bool)
        plate_of, values = rows[PLATE].to_numpy()[usable], values[usable]
        by_plate = {str(p): values[plate_of == p] for p in dict.fromkeys(plate_of)}
        if not by_plate:
            return cls((), None, None, {}, np.empty(0))
        stacked = np.concatenate(list(by_plate.values()))
        known = np.isnan(stacked).mean(axis=0) <= 0.5
        known &= np.all([~np.isnan(own).all(axis=0) for own in by_plate.values()], axis=0)
        known[known] = np.nanstd(stacked[:, known], axis=0) > 0
        by_plate = {plate: _filled(own[:, known], np.nanmean(own[:, known], axis=0)) for plate, own in by_plate.items()}
        medians = {plate: np.median(own, axis=0) for plate, own in by_plate.items()}
        space = ControlSpace.of(by_plate)
        return cls(
            tuple(name for name, kept in zip(features, known.tolist(), strict=True) if kept),
            space,
            None if space is None else OneWellNull(space),
            medians,
            _robust_spread(by_plate, medians),
        )

    def distances(
        self, wells: pl.DataFrame, *, null_size: int = 10_000, seed: int = 0, spreads: float = 3.0
    ) -> dict[str, FoldDistance]:
        """Measure the treatments of some wells.

        Parameters
        ----------
        wells
            All wells of some treatments, with the features of the controls.
        null_size
            Permutations drawn where there are more.
        seed
            Seed of the draws; the result does not depend on the order of rows.
        spreads
            A feature is induced if it differs from the controls by more than so many robust standard deviations.

        Returns
        -------
        dict
            By treatment, sorted. Wells on plates without controls, and those that lack more than half of the features,
            take no part; a treatment without any other is left out.
        """
        if self.space is None:
            return {}
        rows = wells.filter(pl.col(PLATE).is_in(list(self.medians)) & pl.col(PERTURBATION).is_not_null())
        rows = rows.sort(PERTURBATION, PLATE, WELL)
        values = feature_matrix(rows, self.features).astype(np.float64).T
        usable = np.isnan(values).mean(axis=1) <= 0.5
        rows, values = rows.filter(pl.Series(usable)), values[usable]
        return {
            name: self._measure(own, null_size, seed, spreads)
            for name, own in _by_treatment(rows[PERTURBATION], rows[PLATE], values)
        }

    def _measure(self, wells: dict[str, Floats], null_size: int, seed: int, spreads: float) -> FoldDistance:
        space, one_well = self.space, self.one_well
        assert space is not None and one_well is not None  # noqa: S101, PT018 - checked by the caller
        deviations = {plate: _filled(own, space.centers[plate]) - space.centers[plate] for plate, own in wells.items()}
        n_wells = sum(len(own) for own in wells.values())
        measured: ControlDistance | None
        if n_wells == 1:
            (plate, own), *_ = deviations.items()
            measured = one_well.judge(plate, own[0])
        else:
            measured = ControlDistance.of(space, deviations, null_size=null_size, seed=seed)
        shifts = np.concatenate([own - self.medians[plate] for plate, own in wells.items()])
        return FoldDistance(
            measured,
            n_wells,
            sum(len(space.controls[plate]) for plate in wells),
            _induced(shifts, self.spread, spreads),
            len(self.features),
        )


def _by_treatment(names: pl.Series, plates: pl.Series, values: Floats) -> Iterator[tuple[str, dict[str, Floats]]]:
    """Split sorted wells by treatment and plate."""
    start = 0
    for length, name in names.rle().struct.unnest().iter_rows():
        here = slice(start, start + length)
        start += length
        on = plates[here].to_numpy()
        yield str(name), {str(plate): values[here][on == plate] for plate in dict.fromkeys(on)}


def _filled(values: Floats, centre: Floats) -> Floats:
    return np.asarray(np.where(np.isnan(values), centre, values))


def _robust_spread(by_plate: Mapping[str, Floats], medians: Mapping[str, Floats]) -> Floats:
    """Return 1.4826 MAD about the medians of plates, corrected for the medians that were estimated."""
    deviations = np.concatenate([own - medians[plate] for plate, own in by_plate.items()])
    n = len(deviations)
    spread = MAD_SCALE * np.median(np.abs(deviations), axis=0) * np.sqrt(n / max(n - len(by_plate), 1))
    return np.asarray(spread)


def _induced(shifts: Floats, spread: Floats, spreads: float) -> float | None:
    """Return the share of features whose median shift is beyond some spreads of the controls."""
    judged = (spread > 0) & ~np.isnan(shifts).all(axis=0)
    if not judged.any():
        return None
    middle = np.nanmedian(shifts[:, judged], axis=0)
    return float((np.abs(middle) > spreads * spread[judged]).mean())
