"""The covariance of negative controls, shrunk, and the Mahalanobis space that it makes.

Controls are fewer than features, so their covariance is shrunk towards a multiple of the identity by the intensity of
Ledoit and Wolf (J Multivar Anal 88:365, 2004). It is inverted through the controls, never as a matrix of features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["ControlSpace", "ledoit_wolf_shrinkage"]

# A covariance that is shrunk less has no stable inverse.
_LEAST_SHRINKAGE = 1e-3
_LEAST_SPREAD = 1e-12  # mean variance of a feature; below it, the controls do not differ


def ledoit_wolf_shrinkage(deviations: Floats) -> float:
    """Return the weight of the identity in the shrunk covariance, 0 to 1.

    Parameters
    ----------
    deviations
        Deviations from the mean, shape (rows, features).

    Returns
    -------
    float
        As ``sklearn.covariance.ledoit_wolf_shrinkage(..., assume_centered=True)``; 1 where the rows do not differ.

    Examples
    --------
    >>> values = np.random.default_rng(0).normal(size=(40, 10))
    >>> round(ledoit_wolf_shrinkage(values - values.mean(axis=0)), 3)
    0.832
    """
    n, p = deviations.shape
    wide = p > n
    gram = deviations @ deviations.T if wide else deviations.T @ deviations
    lengths = (deviations**2).sum(axis=1)
    squared = float((gram**2).sum()) / n**2  # squared Frobenius norm of the covariance
    middle = float(lengths.sum()) / (n * p)
    spread = (squared - p * middle**2) / p
    if not spread > 0:
        return 1.0
    noise = (float((lengths**2).sum()) / n - squared) / (n * p)
    return float(min(max(noise, 0.0), spread) / spread)


@dataclass(frozen=True)
class ControlSpace:
    """Negative controls of several plates, and wells as vectors whose distances are Mahalanobis distances.

    Attributes
    ----------
    centers
        Mean of the controls, shape (features,), by plate.
    controls
        The controls by plate, as vectors, shape (controls, features).
    deviations
        The controls by plate as deviations from their mean, not scaled, shape (controls, features).
    axes
        Orthonormal directions in which the controls vary, shape (features, directions).
    scales
        Variance along each of them, shrunk, shape (directions,).
    floor
        Variance along all other directions.
    weight
        Weight of a well in the shrunk covariance, which is ``floor * I + weight * sum of outer products``.
    shrinkage
        Weight of the identity, 0 to 1.
    """

    centers: Mapping[str, Floats]
    controls: Mapping[str, Floats]
    deviations: Mapping[str, Floats]
    axes: Floats
    scales: Floats
    floor: float
    weight: float
    shrinkage: float

    @classmethod
    def of(cls, plates: Mapping[str, Floats]) -> ControlSpace | None:
        """Learn the space of the controls of each plate, shape (controls, features); None where they do not vary.

        Parameters
        ----------
        plates
            One control or more of each plate, no value missing. With one of each, there is no covariance within plates:
            the space is that of the features, scaled by the variance over plates.
        """
        if not plates:
            return None
        centers = {plate: values.mean(axis=0) for plate, values in plates.items()}
        deviations = {plate: values - centers[plate] for plate, values in plates.items()}
        stacked = np.concatenate(list(deviations.values()))
        n, p = stacked.shape
        freedom = n - len(plates)
        if not p:
            return None
        if freedom < 1:
            middles = np.stack(list(centers.values()))
            stacked, freedom = middles - middles.mean(axis=0), max(n - 1, 1)
            whole = float((stacked**2).sum()) / (freedom * p)
            return cls._plain(centers, deviations, whole) if whole > _LEAST_SPREAD else None
        spread = float((stacked**2).sum()) / (freedom * p)
        if not spread > _LEAST_SPREAD:
            return None
        shrinkage = max(ledoit_wolf_shrinkage(stacked), _LEAST_SHRINKAGE)
        floor, weight = shrinkage * spread, (1 - shrinkage) / freedom
        axes, lengths = _directions(stacked)
        empty = cls(centers, {}, deviations, axes, floor + weight * lengths, floor, weight, shrinkage)
        vectors = {plate: empty.vectors(values) for plate, values in deviations.items()}
        return cls(centers, vectors, deviations, axes, empty.scales, floor, weight, shrinkage)

    @classmethod
    def _plain(cls, centers: Mapping[str, Floats], deviations: Mapping[str, Floats], floor: float) -> ControlSpace:
        """Return a space with the same variance in all directions."""
        p = len(next(iter(centers.values())))
        controls = {plate: values / np.sqrt(floor) for plate, values in deviations.items()}
        return cls(centers, controls, deviations, np.empty((p, 0)), np.empty(0), floor, 0.0, 1.0)

    def vectors(self, deviations: Floats) -> Floats:
        """Scale deviations from the mean of the plate's controls, shape (wells, features), to unit variance."""
        along = deviations @ self.axes
        factor = 1 / np.sqrt(self.scales) - 1 / np.sqrt(self.floor)
        scaled: Floats = deviations / np.sqrt(self.floor) + (along * factor) @ self.axes.T
        return scaled


def _directions(deviations: Floats) -> tuple[Floats, Floats]:
    """Return orthonormal directions, shape (features, directions), and the sum of squares along each."""
    n, p = deviations.shape
    if p <= n:
        lengths, axes = np.linalg.eigh(deviations.T @ deviations)
        kept = lengths > lengths[-1] * 1e-10
        return np.asarray(axes[:, kept]), np.asarray(lengths[kept])
    lengths, sides = np.linalg.eigh(deviations @ deviations.T)
    kept = lengths > lengths[-1] * 1e-10
    axes = deviations.T @ (sides[:, kept] / np.sqrt(lengths[kept]))
    return np.asarray(axes), np.asarray(lengths[kept])
