"""How far a treatment is from the negative controls of its plates, and how far chance alone would take it.

Two distances: Mahalanobis, between the mean of the treatment's wells and that of the controls, in the shrunk
covariance of the controls; and energy, between the two sets of wells (Székely and Rizzo, J Stat Plan Inference
143:1249, 2013). Both are judged against the same distances after the labels of treatment and controls are permuted
within each plate. For each order of labels, the covariance is that of the wells that then count as controls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from phenoprint.errors import UsageError
from phenoprint.evaluation.control_space import ControlSpace
from phenoprint.evaluation.label_orders import label_orders, label_test, n_label_orders

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.evaluation.permutations import PermutationTest

    Floats = NDArray[np.float64]

__all__ = ["ControlDistance", "OneWellNull", "energy_distance", "mahalanobis_squares"]

# A treatment in more wells is tested by so many of them, drawn evenly over plates: the time of a permutation grows with
# the third power of their number.
_MOST_WELLS = 32
_LEAST_CONTROLS = 2


def energy_distance(first: Floats, second: Floats) -> float:
    """Return the energy distance between two sets of points.

    ``2 E|X - Y| - E|X - X'| - E|Y - Y'|`` with Euclidean distances, and averages over all pairs, those of a point with
    itself included; 0 only for equal distributions.

    Parameters
    ----------
    first, second
        Shape (points, features).

    Raises
    ------
    UsageError
        If either is empty, or their features differ in number.

    Examples
    --------
    >>> energy_distance(np.array([[0.0], [2.0]]), np.array([[5.0]]))
    7.0
    """
    from scipy.spatial.distance import cdist

    if not len(first) or not len(second) or first.shape[1] != second.shape[1]:
        raise UsageError(
            "the energy distance needs two sets of points with the same features, neither empty; found shapes "
            f"{first.shape} and {second.shape}"
        )
    between, within, rest = (cdist(a, b).mean() for a, b in ((first, second), (first, first), (second, second)))
    return float(2 * between - within - rest)


def mahalanobis_squares(vectors: Mapping[str, Floats]) -> float:
    """Return the squared length of the mean vector over the wells of all plates; see `ControlSpace.vectors`."""
    stacked = np.concatenate(list(vectors.values()))
    return float((stacked.mean(axis=0) ** 2).sum())


def _euclidean(points: Floats) -> Floats:
    """Return the distances between points, shape (points, points), zero on the diagonal."""
    centred = points - points.mean(axis=0)
    lengths = (centred**2).sum(axis=1)
    squared = lengths[:, None] + lengths[None, :] - 2 * (centred @ centred.T)
    np.fill_diagonal(squared, 0.0)
    distance: Floats = np.sqrt(np.maximum(squared, 0.0))
    return distance


@dataclass(frozen=True)
class ControlDistance:
    """The distances of a treatment to the controls of its plates.

    Attributes
    ----------
    squared, expected
        Squared Mahalanobis distance, and its mean over permuted labels.
    noise
        Variance of the difference between the means, as a multiple of that of a single well.
    mahalanobis_test
        Of the Mahalanobis distance.
    energy
        Energy distance; the wells of each plate are centred first, so that plates do not add to it.
    energy_test
        Of the energy distance.
    n_wells, n_controls
        Wells of the treatment on plates with controls, and controls of these plates.
    """

    squared: float
    expected: float
    noise: float
    mahalanobis_test: PermutationTest
    energy: float
    energy_test: PermutationTest
    n_wells: int
    n_controls: int

    @property
    def squared_effect(self) -> float:
        """Squared distance beyond that expected by chance, relative to that of a single well without effect."""
        return (self.squared / self.expected - 1) * self.noise

    @classmethod
    def of(cls, space: ControlSpace, wells: Mapping[str, Floats], *, null_size: int, seed: int) -> ControlDistance:
        """Measure the wells of a treatment by permuting labels within plates.

        Parameters
        ----------
        space
            The controls, which the profiles were not fitted on.
        wells
            By plate of `space`: deviations of the wells from the mean of the plate's controls, shape (wells,
            features), no value missing.
        null_size
            Permutations drawn where there are more.
        seed
            Seed of the draws.
        """
        from phenoprint.evaluation.compiled_distances import permuted_energy, permuted_mahalanobis

        n_wells = sum(len(values) for values in wells.values())
        squared = mahalanobis_squares({plate: space.vectors(values) for plate, values in wells.items()})
        judged = _some(wells, seed)
        pool = _Pool(space, judged)
        orders = label_orders(pool.sizes, null_size, seed)
        n_orders = n_label_orders(pool.sizes)
        shift = permuted_mahalanobis(pool.gram(), orders, pool.weights(), pool.held())
        energy = permuted_energy(pool.distances(), orders, pool.n_controls)
        tests = [label_test(scores, n_orders=n_orders, null_size=null_size) for scores in (shift, energy)]
        return cls(
            squared,
            tests[0].chance * _noise(space, wells) / _noise(space, judged),
            _noise(space, wells),
            tests[0],
            float(energy[0]) if judged is wells else _pooled_energy(space, wells),
            tests[1],
            n_wells,
            pool.n_controls,
        )


def _noise(space: ControlSpace, wells: Mapping[str, Floats]) -> float:
    n = sum(len(values) for values in wells.values())
    return 1 / n + sum((len(values) / n) ** 2 / len(space.controls[plate]) for plate, values in wells.items())


def _some(wells: Mapping[str, Floats], seed: int) -> Mapping[str, Floats]:
    """Return all wells, or some of them where they are many: evenly over plates, then at random."""
    n = sum(len(values) for values in wells.values())
    if n <= _MOST_WELLS:
        return wells
    rng = np.random.default_rng([seed, n])
    places = [(turn, rng.random(), plate, int(row)) for plate, values in wells.items()
              for turn, row in enumerate(rng.permutation(len(values)))]  # fmt: skip
    chosen: dict[str, list[int]] = {}
    for _, _, plate, row in sorted(places)[:_MOST_WELLS]:
        chosen.setdefault(plate, []).append(row)
    return {plate: wells[plate][sorted(rows)] for plate, rows in sorted(chosen.items())}


def _pooled_energy(space: ControlSpace, wells: Mapping[str, Floats]) -> float:
    """Return the energy distance over all wells of a treatment, those of each plate centred."""
    centred = [_centred(np.concatenate([values, space.deviations[plate]])) for plate, values in wells.items()]
    treated = np.concatenate([c[: len(wells[plate])] for plate, c in zip(wells, centred, strict=True)])
    controls = np.concatenate([c[len(wells[plate]) :] for plate, c in zip(wells, centred, strict=True)])
    return energy_distance(treated, controls)


def _centred(values: Floats) -> Floats:
    return np.asarray(values - values.mean(axis=0))


class _Pool:
    """The wells of a treatment and the controls of their plates, plate by plate, the treated ones first."""

    def __init__(self, space: ControlSpace, wells: Mapping[str, Floats]) -> None:
        self.space = space
        self.plates = list(wells)
        self.sizes = tuple((len(wells[p]), len(wells[p]) + len(space.controls[p])) for p in self.plates)
        self.n_controls = sum(total - treated for treated, total in self.sizes)
        self._wells = wells
        flags = [np.arange(total) < treated for treated, total in self.sizes]
        self.is_treated = np.concatenate(flags)
        self.plate_of = np.repeat(np.arange(len(self.plates)), [total for _, total in self.sizes])
        self.plate_of_treated = self.plate_of[self.is_treated]

    def _same_plate(self, values: list[float]) -> Floats:
        """Return a matrix of treated wells that holds a value of their plate where two share it, else 0."""
        same = self.plate_of_treated[:, None] == self.plate_of_treated[None, :]
        return np.where(same, np.array(values)[self.plate_of_treated][:, None], 0.0)

    def weights(self) -> Floats:
        """Weight of each treated well in the difference of the means, for wells centred by plate."""
        n = len(self.plate_of_treated)
        by_plate = np.array([total / (n * (total - treated)) for treated, total in self.sizes])
        return np.asarray(by_plate[self.plate_of_treated])

    def held(self) -> Floats:
        """Return what the treated wells hold of the covariance of the pool, inverted and divided by the weight."""
        shared = self._same_plate([1 / total for _, total in self.sizes])
        return np.asarray((np.eye(len(shared)) - shared) / max(self.space.weight, 1e-300))

    def gram(self) -> Floats:
        """Products of the wells, centred by plate, in the inverse of the shrunk covariance of all of them."""
        parts = [part for p in self.plates for part in (self.space.vectors(self._wells[p]), self.space.controls[p])]
        vectors = np.concatenate(parts)
        gram = vectors @ vectors.T
        if self.space.weight > 0:  # the treated wells join the covariance
            own = self.is_treated
            shared = self._same_plate([1 / (total - treated) for treated, total in self.sizes])
            added = (np.eye(len(shared)) + shared) / self.space.weight + gram[np.ix_(own, own)]
            gram = gram - gram[:, own] @ np.linalg.solve(added, gram[own])
        return self._centre(self._centre(gram).T)

    def _centre(self, rows: Floats) -> Floats:
        sums = np.zeros((len(self.plates), rows.shape[1]))
        np.add.at(sums, self.plate_of, rows)
        means = sums / np.array([total for _, total in self.sizes])[:, None]
        return np.ascontiguousarray(rows - means[self.plate_of])

    def distances(self) -> Floats:
        """Euclidean distances between the wells, those of each plate centred."""
        parts = [_centred(np.concatenate([self._wells[p], self.space.deviations[p]])) for p in self.plates]
        return np.ascontiguousarray(_euclidean(np.concatenate(parts)))


class OneWellNull:
    """Distances of single controls to the others of their plate, over all plates: the null of single wells.

    Parameters
    ----------
    space
        The controls of many plates. Each of them in turn is left out of the mean and of the covariance.
    """

    def __init__(self, space: ControlSpace) -> None:
        self.space = space
        squares, energies = [], []
        for plate, vectors in space.controls.items():
            n = len(vectors)
            if n <= _LEAST_CONTROLS:
                continue
            lengths = (vectors**2).sum(axis=1)
            held = (1 - 1 / n) / max(space.weight, 1e-300)
            left_out = (n / (n - 1)) ** 2 * lengths * held / np.maximum(held - lengths, 1e-300)
            # A treatment is compared with one control more, in the covariance and in the mean.
            squares.append(left_out * (1 - space.weight) * (1 + 1 / n) / (1 + 1 / (n - 1)))
            distance = _euclidean(space.deviations[plate])
            sums = distance.sum(axis=1)
            rest = (sums.sum() - 2 * sums) / ((n - 1) * (n - 2))
            energies.append(2 * sums / (n - 1) - rest)
        self.squares = np.concatenate([*squares, np.empty(0)])
        self.energies = np.concatenate([*energies, np.empty(0)])

    def judge(self, plate: str, well: Floats) -> ControlDistance | None:
        """Measure one well, shape (features,), as deviation from the plate's controls; None without a null."""
        n = len(self.space.controls[plate])
        if not len(self.squares) or n < _LEAST_CONTROLS:
            return None
        squared = float((self.space.vectors(well[None]) ** 2).sum())
        distance = _euclidean(np.concatenate([well[None], self.space.deviations[plate]]))
        within = distance[1:, 1:].sum()
        reach = 2 * distance[0, 1:].mean()
        unbiased = float(reach - within / (n * (n - 1)))
        return ControlDistance(
            squared,
            float(self.squares.mean()),
            1 + 1 / n,
            _against(self.squares, squared),
            float(reach - within / n**2),
            _against(self.energies, unbiased),
            1,
            n,
        )


def _against(null: Floats, score: float) -> PermutationTest:
    return label_test(np.concatenate([[score], null]), n_orders=None, null_size=len(null))
