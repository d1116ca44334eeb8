"""Differences between the distributions of a well's cells and of control cells, feature by feature.

Location, spread and shape are measured separately, so that a column responds to one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from phenoprint.errors import UnknownNameError
from phenoprint.tables import count, mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import FloatArray

    Vector = NDArray[np.float64]
    Counts = NDArray[np.int64]

__all__ = ["DISTRIBUTION_MEASURES", "UNSIGNED", "Sorted", "bimodality", "check_measures", "compare_cells"]

DISTRIBUTION_MEASURES = ("bimodality", "energy", "ks", "shape", "shift", "spread", "tail", "wasserstein")
"""Measures of `compare_cells`."""

UNSIGNED = ("energy", "ks", "shape", "wasserstein")
"""Measures that are distances: 0 or more."""

_IQR = 1.3489795003921634  # interquartile range of a normal distribution with a standard deviation of 1
_CLIPPED = 10.0  # robust standard deviations: a speck of dust must not outweigh all cells
_TAIL = 0.05  # share of the control cells in each tail


@dataclass(frozen=True)
class Sorted:
    """Cells sorted by each feature.

    Attributes
    ----------
    values
        Shape (features, cells), ascending, NaN last.
    n
        Number of values, shape (features,).
    center, scale
        Median, and interquartile range in units of the standard deviation of a normal distribution, shape (features,);
        NaN without values, and for a scale of 0.
    scaled
        Values without centre and scale, limited to ten spreads, shape (features, cells).
    """

    values: FloatArray
    n: Counts
    center: Vector
    scale: Vector
    scaled: FloatArray

    @classmethod
    def of(cls, values: FloatArray, *, is_sorted: bool = False) -> Sorted:
        """Sort cells, shape (features, cells)."""
        ordered = values if is_sorted else np.sort(values, axis=1)
        n = count(ordered).astype(np.int64)
        low, center, high = (_quantile(ordered, n, share) for share in (0.25, 0.5, 0.75))
        scale = (high - low) / _IQR
        scale[~(scale > 0)] = np.nan
        with np.errstate(invalid="ignore"):
            scaled = np.clip((ordered - center[:, None]) / scale[:, None], -_CLIPPED, _CLIPPED)
        return cls(ordered, n, center, scale, scaled.astype(ordered.dtype))

    @property
    def tails(self) -> tuple[Vector, Vector]:
        """The limits of the lower and upper tail, in spreads from the centre, shape (features,) each."""
        return _quantile(self.scaled, self.n, _TAIL), _quantile(self.scaled, self.n, 1 - _TAIL)


def check_measures(measures: Sequence[str]) -> None:
    """Raise UnknownNameError for a name that is not in `DISTRIBUTION_MEASURES`."""
    for name in measures:
        if name not in DISTRIBUTION_MEASURES:
            raise UnknownNameError("measure of distributions", name, DISTRIBUTION_MEASURES)


def compare_cells(cells: Sorted, controls: Sorted, measures: Sequence[str]) -> dict[str, Vector]:
    """Measure how the distribution of each feature differs between the cells of a well and control cells.

    Parameters
    ----------
    cells, controls
        Cells with the same features.
    measures
        - ``"shift"``: difference of the medians, in the root mean square of both spreads; signed;
        - ``"spread"``: logarithm (base 2) of the ratio of the interquartile ranges; positive if the cells vary more;
        - ``"shape"``: Wasserstein distance of both after their own centre and scale are removed;
        - ``"tail"``: share of the cells, without centre and scale, above the 95th percentile of the controls minus the
          share below the 5th; positive where a subpopulation has larger values;
        - ``"wasserstein"``: Wasserstein-1 distance, in spreads of the controls;
        - ``"energy"``: energy distance, the square root of twice the integrated squared difference between the
          distribution functions, in the root of a spread of the controls;
        - ``"ks"``: largest difference between the distribution functions;
        - ``"bimodality"``: Sarle's coefficient of the well's cells, above 5/9 for distributions with two modes.

    Returns
    -------
    dict
        By measure: shape (features,); NaN where it is not known.

    Examples
    --------
    >>> cells, controls = (Sorted.of(np.arange(9.0)[None] * width + at) for width, at in ((2, 5), (1, 0)))
    >>> found = compare_cells(cells, controls, ["shift", "spread", "shape"])
    >>> {name: round(values.item(), 2) for name, values in found.items()}
    {'shift': 1.92, 'spread': 1.0, 'shape': 0.0}
    """
    check_measures(measures)
    found: dict[str, Vector] = {}
    if "shift" in measures:
        # With the spread of both, a mere change of spread does not look like a shift.
        found["shift"] = (cells.center - controls.center) / np.sqrt((cells.scale**2 + controls.scale**2) / 2)
    if "spread" in measures:
        found["spread"] = np.log2(cells.scale / controls.scale)
    if "shape" in measures:
        found["shape"] = _distances(cells.scaled, cells, controls.scaled, controls)[0]
    if "tail" in measures:
        low, high = controls.tails
        with np.errstate(invalid="ignore"):
            beyond = (cells.scaled > high[:, None]).sum(axis=1) - (cells.scaled < low[:, None]).sum(axis=1)
        known = np.isfinite(cells.scale) & np.isfinite(controls.scale)
        found["tail"] = np.where(known, beyond / np.maximum(cells.n, 1), np.nan)
    if {"wasserstein", "energy", "ks"}.intersection(measures):
        earth, energy, ks = _distances(cells.values, cells, controls.values, controls)
        found["wasserstein"], found["energy"] = earth / controls.scale, energy / np.sqrt(controls.scale)
        found["ks"] = ks
    if "bimodality" in measures:
        found["bimodality"] = bimodality(cells.values)
    return {name: found[name] for name in measures}


def bimodality(block: FloatArray) -> Vector:
    """Compute Sarle's bimodality coefficient, (skewness^2 + 1) / kurtosis, with the corrections for samples.

    Parameters
    ----------
    block
        Shape (features, cells), NaN where missing.

    Returns
    -------
    numpy.ndarray
        Shape (features,): 5/9 for a uniform distribution, 1/3 for a normal one, near 1 for two separate points; NaN
        for fewer than four values or no variation.
    """
    n = count(block)
    deviation = block - mean(block)[:, None]
    m2, m3, m4 = (np.nansum(deviation**power, axis=1, dtype=np.float64) / np.maximum(n, 1) for power in (2, 3, 4))
    known = (n > 3) & (m2 > (1e-6 * np.abs(mean(block))) ** 2) & (m2 > 0)
    size, unit = np.where(known, n, 4.0), np.where(known, m2, 1.0)
    skew = np.sqrt(size * (size - 1)) / (size - 2) * m3 / unit**1.5
    excess = (size - 1) / ((size - 2) * (size - 3)) * ((size + 1) * m4 / unit**2 - 3 * (size - 1))
    below = excess + 3 * (size - 1) ** 2 / ((size - 2) * (size - 3))
    coefficient = np.full(len(block), np.nan)
    np.divide(skew**2 + 1, below, out=coefficient, where=known)
    return coefficient


def _quantile(ordered: FloatArray, n: Counts, share: float) -> Vector:
    """Return a quantile of sorted values with linear interpolation, shape (features,); NaN without values."""
    if not ordered.shape[1]:
        return np.full(len(ordered), np.nan)
    place = share * np.maximum(n - 1, 0)
    below = np.floor(place).astype(np.int64)
    rows = np.arange(len(ordered))
    low, high = ordered[rows, below], ordered[rows, np.minimum(below + 1, np.maximum(n - 1, 0))]
    found: Vector = low + (place - below) * (high.astype(np.float64) - low)
    return found


def _distances(
    values: FloatArray, cells: Sorted, reference: FloatArray, controls: Sorted
) -> tuple[Vector, Vector, Vector]:
    from phenoprint.profiles.compiled_ranks import distances_of_sorted

    earth, energy, ks = (np.empty(len(values)) for _ in range(3))
    is_known = np.isfinite(values[:, :1]).any(axis=1) & np.isfinite(reference[:, :1]).any(axis=1)
    n, m = np.where(is_known, cells.n, 0), np.where(is_known, controls.n, 0)
    distances_of_sorted(values, n, reference, m, earth, energy, ks)
    return earth, energy, ks
