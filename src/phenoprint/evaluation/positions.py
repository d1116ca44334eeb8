"""What well positions alone do: controls in the same position of several plates, taken as if they were replicates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import lgamma, log
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.evaluation.fold_profiles import FoldProfiles
    from phenoprint.tables import IntArray

__all__ = ["ControlPositions", "PositionVerdict", "control_positions", "signal_of"]

_ALPHA = 0.1
_SHUFFLES = 999
_MOST_PLATES = 40
_LEAST_GROUPS = 3  # two leave one degree of freedom
_DRAWN = 200
_CLEAR = 2.0  # standard errors above 0
_LEAST_NOISE = 1e-4  # below it, cosines of 32-bit vectors differ by rounding only


def signal_of(vectors: NDArray[np.floating], places: IntArray | None = None) -> float:
    """Signal of some wells relative to their noise, as an amplitude: 0 expected of wells that share nothing.

    Parameters
    ----------
    vectors
        Of unit length, shape (wells, features), two wells or more.
    places
        Position of each well: where there are several, only wells in different positions are pairs.

    Notes
    -----
    With wells that share a profile of squared length s and noise of n, the mean cosine c of the pairs is s / (s + n);
    the result is the root of c / (1 - c) = s / n. It does not saturate, and its distribution over groups is close to
    normal.
    """
    wide = vectors.astype(np.float64)
    codes = np.zeros(len(wide), np.intp) if places is None else np.unique(places, return_inverse=True)[1]
    total = wide.sum(axis=0)
    if codes.max() == 0:
        left_out, n_pairs = float((wide**2).sum()), len(wide) * (len(wide) - 1)
    else:
        sums = np.zeros((int(codes.max()) + 1, wide.shape[1]))
        np.add.at(sums, codes, wide)
        left_out, n_pairs = float((sums**2).sum()), len(wide) ** 2 - int((np.bincount(codes) ** 2).sum())
    cosine = (float(total @ total) - left_out) / n_pairs
    return float(np.sign(cosine) * np.sqrt(abs(cosine) / max(1 - abs(cosine), _LEAST_NOISE)))


@dataclass(frozen=True)
class PositionVerdict:
    """A treatment with several wells in one position, against controls in as many positions of the same plates.

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
    seed: int = 0
    _signals: dict[object, tuple[NDArray[np.float64], float]] = field(default_factory=dict)

    @property
    def matters(self) -> bool:
        """Whether position makes wells alike (p < 0.1: rather once too often than to take position for activity)."""
        return self.p_value is not None and self.p_value < _ALPHA

    def judge(self, rows: Sequence[IntArray], *, without: str | None = None) -> PositionVerdict:
        """Compare a treatment, of which several wells share a position, with controls in as many positions.

        Parameters
        ----------
        rows
            For each fold: the wells of the treatment.
        without
            A position of controls to leave out, such as the one that is judged.
        """
        from scipy.stats import t

        signal, every, n_groups = self._signals_of(rows, without)
        if n_groups < _LEAST_GROUPS:
            return PositionVerdict(None, None)
        spread = float(every.std(ddof=1)) * np.sqrt(1 + 1 / n_groups)
        p: float | None
        if spread > 0:
            p = float(t.sf((signal - float(every.mean())) / spread, n_groups - 1))
        else:
            p = 1.0 if signal <= every[0] else None
        return PositionVerdict(p, share_of(_squared(every), signal))

    def share(self, treatments: Sequence[Sequence[IntArray]]) -> float | None:
        """Share of the similarity of replicates that position explains over several treatments, 0 to 1.

        The squared signal of controls in one position over that of replicates, each summed over the treatments.
        Position explains nothing of a treatment whose wells all lie in different positions. None where too few controls
        share a position, or where the replicates are not alike: their mean is not two standard errors above 0.

        Parameters
        ----------
        treatments
            For each treatment and each fold: its wells.
        """
        position, squares = 0.0, []
        for rows in treatments:
            several = [fold.places[own] for fold, own in zip(self.folds, rows, strict=True) if len(own) > 1]
            if not several:
                continue
            signal, every, n_groups = self._signals_of(rows, None)
            shares_places = any(len(np.unique(places)) < len(places) for places in several)
            if shares_places and n_groups < _LEAST_GROUPS:
                continue
            position += _squared(every) if shares_places else 0.0
            squares.append(signal * abs(signal))
        alike = len(squares) > 1 and np.mean(squares) > _CLEAR * np.std(squares, ddof=1) / np.sqrt(len(squares))
        return float(np.clip(position / np.sum(squares), 0, 1)) if alike else None

    def _signals_of(self, rows: Sequence[IntArray], without: str | None) -> tuple[float, NDArray[np.float64], float]:
        """Signal of a treatment, those of controls in as many positions, and how many of these are independent."""
        found, groups, n_groups = [], [np.empty(0)], 0.0
        for number, (fold, own) in enumerate(zip(self.folds, rows, strict=True)):
            if len(own) < 2:
                continue
            found.append(signal_of(np.asarray(fold.values[own]), fold.places[own]))
            signals, n = self._of_controls(number, _pattern(fold, own), without)
            groups.append(signals)
            n_groups += n
        return float(np.mean(found)) if found else 0.0, np.concatenate(groups), n_groups

    def _of_controls(self, number: int, pattern: _Pattern, without: str | None) -> tuple[NDArray[np.float64], float]:
        """Signals of groups of controls with a pattern of plates, and how many of them are independent."""
        key = (number, pattern, without)
        if key not in self._signals:
            self._signals[key] = _group_signals(self.folds[number], pattern, without, self.seed)
        return self._signals[key]


def _squared(signals: NDArray[np.float64]) -> float:
    """Mean squared signal, of which negative ones count as negative."""
    return float((signals * np.abs(signals)).mean())


def share_of(position: float, signal: float) -> float | None:
    """Share of the squared signal of replicates that position explains; None for replicates that are not alike."""
    return float(np.clip(position / signal**2, 0, 1)) if signal > 0 else None


_Pattern: TypeAlias = "tuple[tuple[int, ...], ...]"


def _pattern(fold: FoldProfiles, rows: IntArray) -> _Pattern:
    """Return the plates of the wells in each position, as codes; positions in order of their plates."""
    places = fold.places[rows]
    return tuple(sorted(tuple(sorted(fold.plates[rows[places == place]].tolist())) for place in np.unique(places)))


def _group_signals(
    fold: FoldProfiles, pattern: _Pattern, without: str | None, seed: int
) -> tuple[NDArray[np.float64], float]:
    held = {
        plate: dict(zip(fold.places[own].tolist(), own.tolist(), strict=True)) for plate, own in fold.controls.items()
    }
    left_out = -1 if without is None else fold.place_code(without)

    def on_all(plates: tuple[int, ...]) -> set[int]:
        everywhere = set.intersection(*(set(held.get(plate, ())) for plate in plates))
        return everywhere - {left_out}

    usable = [sorted(on_all(plates)) for plates in pattern]
    n = len(set().union(*usable)) / len(pattern)
    if len(pattern) == 1:
        choices: list[tuple[int, ...]] = [(place,) for place in usable[0]]
    else:
        rng = np.random.default_rng(seed + 1)
        drawn = [tuple(int(rng.choice(own)) for own in usable) for _ in range(_DRAWN)] if all(usable) else []
        choices = sorted({places for places in drawn if len(set(places)) == len(places)})
    signals = []
    for places in choices:
        wells = [held[plate][place] for place, plates in zip(places, pattern, strict=True) for plate in plates]
        signals.append(signal_of(np.asarray(fold.values[wells]), fold.places[wells]))
    return np.array(signals), n if signals else 0.0


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
    return ControlPositions(folds, float((sums >= sums[0] - 1e-9).mean()), seed)
