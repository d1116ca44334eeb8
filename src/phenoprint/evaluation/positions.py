"""What well positions alone do: controls in the same position of several plates, taken as if they were replicates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import lgamma, log
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.evaluation.fold_profiles import FoldProfiles
    from phenoprint.tables import IntArray

__all__ = ["ControlPositions", "PositionVerdict", "control_positions", "signal_of"]

_ALPHA = 0.1
_SHUFFLES = 999
_MOST_PLATES = 40
_LEAST_PLACES = 3  # two leave one degree of freedom


def signal_of(vectors: NDArray[np.floating]) -> float:
    """Signal of some wells relative to their noise, as an amplitude: 0 expected of wells that share nothing.

    Parameters
    ----------
    vectors
        Of unit length, shape (wells, features), two wells or more.

    Notes
    -----
    With wells that share a profile of squared length s and noise of n, the mean cosine c of the pairs is s / (s + n);
    the result is the root of c / (1 - c) = s / n. It does not saturate, and its distribution over groups is close to
    normal.
    """
    n = len(vectors)
    total = vectors.sum(axis=0, dtype=np.float64)
    squares = float((vectors.astype(np.float64) ** 2).sum())
    cosine = (float(total @ total) - squares) / (n * (n - 1))
    return float(np.sign(cosine) * np.sqrt(abs(cosine) / max(1 - abs(cosine), 1e-6)))


@dataclass(frozen=True)
class PositionVerdict:
    """A treatment in one well position, against controls in one well position.

    Attributes
    ----------
    p_value
        Share of positions without a treatment whose wells are as much alike, from a t distribution; None where there
        are too few groups of controls.
    share
        Share of the similarity of the replicates that position explains, 0 to 1; None where that is not known.
    """

    p_value: float | None
    share: float | None


@dataclass(frozen=True)
class ControlPositions:
    """Groups of controls in the same position of different plates, in each fold.

    Attributes
    ----------
    folds
        The profiles.
    p_value
        Of the test whether controls in the same position are more alike than controls in different positions, by
        shuffling controls within plates; None where there are too few to find out.
    """

    folds: Sequence[FoldProfiles]
    p_value: float | None
    _signals: dict[tuple[int, tuple[int, ...]], Mapping[str, float]] = field(default_factory=dict)

    @property
    def matters(self) -> bool:
        """Whether position makes wells alike (p < 0.1: rather once too often than to take position for activity)."""
        return self.p_value is not None and self.p_value < _ALPHA

    def signals(self, plates: Sequence[tuple[str, ...]], *, without: str | None = None) -> NDArray[np.float64]:
        """Return the signal of each group of controls that lies on all of some plates.

        Parameters
        ----------
        plates
            For each fold: names of plates.
        without
            A position to leave out.
        """
        found = []
        for number, (fold, names) in enumerate(zip(self.folds, plates, strict=True)):
            codes = fold.codes_of(names)
            key = (number, codes)
            if key not in self._signals:
                self._signals[key] = _group_signals(fold, codes)
            found += [signal for place, signal in self._signals[key].items() if place != without]
        return np.array(found)

    def judge(self, rows: Sequence[IntArray], *, without: str | None = None) -> PositionVerdict:
        """Compare a treatment whose wells are all in one position with the groups of controls on its plates.

        Parameters
        ----------
        rows
            For each fold: the wells of the treatment.
        without
            A position of controls to leave out, such as the one that is judged.
        """
        from scipy.stats import t

        pairs = [(fold, own) for fold, own in zip(self.folds, rows, strict=True) if len(own) > 1]
        names = [
            tuple(fold.plate_names(own)) if len(own) > 1 else () for fold, own in zip(self.folds, rows, strict=True)
        ]
        groups = self.signals(names, without=without)
        if len(groups) < _LEAST_PLACES or not pairs:
            return PositionVerdict(None, None)
        signal = float(np.mean([signal_of(np.asarray(fold.values[own])) for fold, own in pairs]))
        spread = float(groups.std(ddof=1)) * np.sqrt(1 + 1 / len(groups))
        p = float(t.sf((signal - float(groups.mean())) / spread, len(groups) - 1)) if spread > 0 else None
        return PositionVerdict(p, share_of(float((groups * np.abs(groups)).mean()), signal))


def share_of(position: float, signal: float) -> float | None:
    """Share of the squared signal of replicates that position explains; None for replicates that are not alike."""
    return float(np.clip(position / signal**2, 0, 1)) if signal > 0 else None


def _group_signals(fold: FoldProfiles, plates: tuple[int, ...]) -> dict[str, float]:
    """Signal of the controls of each position that has one on every plate, by well name."""
    if len(plates) < 2:
        return {}
    rows = np.concatenate([np.arange(0), *(fold.controls.get(plate, np.arange(0)) for plate in plates)]).astype(np.intp)
    places, counts = np.unique(fold.places[rows], return_counts=True)
    found = {}
    for place in places[counts == len(plates)].tolist():
        own = rows[fold.places[rows] == place]
        found[str(fold.wells["Metadata_Well"][int(own[0])])] = signal_of(np.asarray(fold.values[own]))
    return found


def control_positions(folds: Sequence[FoldProfiles], *, seed: int = 0) -> ControlPositions:
    """Test whether position makes controls alike.

    Parameters
    ----------
    folds
        Profiles in which controls and treatments are comparable. The statistic is summed over folds; controls of
        different folds are never compared. Of more than 40 plates, 40 are used.
    seed
        Seed of plates and shuffles.
    """
    from phenoprint.evaluation.compiled_permutations import pairs_in_one_place

    sums = np.zeros(_SHUFFLES + 1)
    orders = 0.0  # logarithm of the number of different arrangements
    for number, fold in enumerate(folds):
        plates = sorted(fold.controls)
        if len(plates) > _MOST_PLATES:
            plates = sorted(np.random.default_rng(seed).permutation(plates)[:_MOST_PLATES].tolist())
        if len(plates) < 2:
            continue
        rows = np.concatenate([fold.controls[plate] for plate in plates])
        places, place = np.unique(fold.places[rows], return_inverse=True)
        table = np.full((len(places), len(plates)), -1, dtype=np.int64)
        table[place, np.searchsorted(plates, fold.plates[rows])] = np.arange(len(rows))
        shared = (table >= 0).sum(axis=1) > 1
        if not shared.any():
            continue
        vectors = np.asarray(fold.values[rows])
        similarity = np.ascontiguousarray(vectors @ vectors.T, dtype=np.float64)
        sums += pairs_in_one_place(similarity, table, _SHUFFLES, seed + 1 + number)
        by_plate = (table >= 0).sum(axis=0)
        orders += sum(lgamma(n + 1) for n in by_plate) - lgamma(int(by_plate.max()) + 1)
    if orders < log(1 / _ALPHA):
        return ControlPositions(folds, None)
    return ControlPositions(folds, float((sums >= sums[0] - 1e-9).mean()))
