"""Distributions of a plate's control cells, and what control wells differ by when nothing was done to them.

The wells of the controls are the units: what a control well with as many cells differs by from the other control wells
is the null, so that it includes the differences between wells and does not shrink with the number of cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.profiles.distributions import UNSIGNED, Sorted, check_measures, compare_cells
from phenoprint.tables import (
    METADATA_PREFIX,
    WELL_KEY,
    Groups,
    feature_matrix,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import FloatArray

    Matrix = NDArray[np.float64]

__all__ = [
    "ASPECTS",
    "FEWEST_CELLS",
    "FEWEST_CONTROL_WELLS",
    "FEWEST_PER_WELL",
    "ControlDistributions",
]

ASPECTS = ("shift", "spread", "shape", "tail")
"""Measures that separate location, spread and shape."""

FEWEST_CELLS = 8
"""Fewest cells of a well that is compared."""

FEWEST_CONTROL_WELLS = 4
"""Fewest control wells for a null."""

FEWEST_PER_WELL = 150
"""Cells that are kept of each control well, however many wells there are."""

_PRIOR = 4.0  # degrees of freedom of the typical variance, which steadies that of single features


@dataclass(frozen=True)
class _Null:
    """What control wells with some number of cells differ by from the other control wells.

    Attributes
    ----------
    n_cells
        Number of cells.
    wells
        Places of the control wells that have as many, ascending.
    values
        By measure: shape (wells, features).
    """

    n_cells: int
    wells: NDArray[np.intp]
    values: dict[str, Matrix]


@dataclass(frozen=True)
class ControlDistributions:
    """Control cells of one plate.

    Attributes
    ----------
    features
        The features.
    measures
        What is compared (see `phenoprint.profiles.compare_cells`).
    wells
        Names of the control wells.
    values, codes
        Sorted control cells, shape (features, cells), and the well of each value as a place in `wells`.
    nulls
        What control wells differ by, by number of cells; empty with fewer than four control wells.
    """

    features: tuple[str, ...]
    measures: tuple[str, ...]
    wells: tuple[tuple[str, ...], ...]
    values: FloatArray
    codes: NDArray[np.int32]
    nulls: tuple[_Null, ...] = ()
    _others: dict[int, Sorted] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        cells: pl.DataFrame,
        features: Sequence[str],
        *,
        by: Sequence[str] = WELL_KEY,
        measures: Sequence[str] = ASPECTS,
        max_cells: int = 5000,
        seed: int = 0,
    ) -> ControlDistributions:
        """Sort the control cells of a plate and measure how its control wells differ.

        Parameters
        ----------
        cells
            Cells of the control wells of one plate.
        features
            Features to compare.
        by
            Keys of a well.
        measures
            What to compare.
        max_cells
            Largest number of cells, shared equally between the control wells, but at least 150 of each; more are drawn
            at random.
        seed
            Seed of the draws.
        """
        check_measures(measures)
        # In one order, whatever that of the rows, so that the same cells are drawn.
        known = [name for name in cells.columns if name.startswith(METADATA_PREFIX)]
        cells = cells.sort(*known, *features[:3], nulls_last=True)
        groups = Groups.of(cells, by)
        rng = np.random.default_rng(seed)
        most = max(FEWEST_PER_WELL, max_cells // max(1, len(groups)))
        chosen = [
            np.sort(rng.choice(rows, most, replace=False)) if len(rows) > most else np.asarray(rows)
            for _, rows in groups.items()
        ]
        places = np.concatenate(chosen) if chosen else np.empty(0, dtype=np.intp)
        well_of = np.repeat(np.arange(len(chosen), dtype=np.int32), [len(rows) for rows in chosen])
        matrix = feature_matrix(cells, list(features))[:, places]
        order = np.argsort(matrix, axis=1, kind="stable")
        made = cls(
            tuple(features),
            tuple(measures),
            tuple(tuple(map(str, row)) for row in groups.keys.rows()),
            np.take_along_axis(matrix, order, axis=1),
            well_of[order],
        )
        if len(chosen) < FEWEST_CONTROL_WELLS:
            return made
        return cls(made.features, made.measures, made.wells, made.values, made.codes, made._nulls(matrix, well_of, rng))

    def without(self, well: int | None) -> Sorted:
        """Return the control cells without those of one control well."""
        key = -1 if well is None else well
        if key not in self._others:
            if well is None:
                kept = self.values
            else:
                stays = self.codes != well
                kept = self.values[stays].reshape(len(self.values), -1) if len(self.values) else self.values
            for other in set(self._others) - {-1}:
                del self._others[other]  # one at a time: each is as large as the control cells
            self._others[key] = Sorted.of(kept, is_sorted=True)
        return self._others[key]

    def compare(self, cells: FloatArray, well: tuple[str, ...] | None = None) -> dict[str, Matrix]:
        """Compare cells, shape (features, cells), with the control cells, by measure.

        The distances of a control well are to the cells of the other control wells. Signed differences are to all of
        them, since only their differences between wells are used.
        """
        own = self.wells.index(well) if well in self.wells else None
        return self._compared(Sorted.of(cells), own)

    def _compared(self, cells: Sorted, own: int | None) -> dict[str, Matrix]:
        signed = [name for name in self.measures if name not in UNSIGNED]
        distances = [name for name in self.measures if name in UNSIGNED]
        found = compare_cells(cells, self.without(None), signed) if signed else {}
        return found | (compare_cells(cells, self.without(own), distances) if distances else {})

    def relative(
        self, found: dict[str, Matrix], n_cells: int, well: tuple[str, ...] | None = None
    ) -> dict[str, Matrix]:
        """Express differences in standard deviations of control wells with as many cells; NaN without a null.

        A control well is compared with the other ones only.
        """
        made = {}
        for name, values in found.items():
            null = self._at(name, n_cells, well)
            if null is None:
                made[name] = np.full(len(self.features), np.nan)
                continue
            center, spread = _moments(null.sum(axis=0), (null**2).sum(axis=0), len(null))
            with np.errstate(divide="ignore", invalid="ignore"):
                made[name] = np.where(spread > 0, (values - center) / spread, np.nan)
        return made

    def size(
        self, found: dict[str, Matrix], n_cells: int, well: tuple[str, ...] | None = None
    ) -> dict[str, tuple[float, float]]:
        """Return the size of each difference over all features, and its p value among control wells.

        Each well, this one and the control wells, is compared with all the others, so that without an effect it is like
        any of them.

        Parameters
        ----------
        found
            What `compare` returned.
        n_cells
            Number of cells of the well.
        well
            Its name, so that a control well is compared with the other ones only.

        Returns
        -------
        dict
            By measure: root mean square over features in standard deviations of the other wells (of distances, those
            above the mean only), and p by Student's t of its logarithm; NaN without a null.
        """
        from scipy import stats

        made = {}
        for name, values in found.items():
            null = self._at(name, n_cells, well)
            made[name] = (float("nan"), float("nan"))
            if null is None:
                continue
            sizes = _sizes(np.vstack([null, values]), name)
            own, others = sizes[-1], np.log(sizes[:-1][sizes[:-1] > 0])
            if not own >= 0 or len(others) < FEWEST_CONTROL_WELLS - 1:
                continue
            spread = float(others.std(ddof=1)) * np.sqrt(1 + 1 / len(others))
            p = float("nan")
            if spread > 0:
                distance = (np.log(max(own, 1e-12)) - others.mean()) / spread
                p = float(stats.t.sf(distance, len(others) - 1))
            made[name] = (float(own), p)
        return made

    def _at(self, name: str, n_cells: int, well: tuple[str, ...] | None) -> Matrix | None:
        """Return what control wells with so many cells differ by, shape (wells, features); None without a null."""
        if not self.nulls or n_cells < FEWEST_CELLS:
            return None
        low, high, share = self._around(n_cells)
        wells, first, second = np.intersect1d(low.wells, high.wells, return_indices=True)
        if low is high or len(wells) < FEWEST_CONTROL_WELLS:
            wells, values = low.wells, low.values[name]
        else:
            values = (1 - share) * low.values[name][first] + share * high.values[name][second]
        own = self.wells.index(well) if well in self.wells else -1
        others: Matrix = values[wells != own]
        return others if len(others) >= FEWEST_CONTROL_WELLS - 1 else None

    def _around(self, n_cells: int) -> tuple[_Null, _Null, float]:
        """Return the nulls below and above a number of cells, and where it lies between them."""
        sizes = [null.n_cells for null in self.nulls]
        above = next((place for place, size in enumerate(sizes) if size >= n_cells), len(sizes) - 1)
        below = max(0, above - 1) if sizes[above] > n_cells else above
        low, high = self.nulls[below], self.nulls[above]
        if below == above:
            return low, high, 0.0
        return low, high, float(np.log(n_cells / low.n_cells) / np.log(high.n_cells / low.n_cells))

    def _nulls(self, matrix: FloatArray, well_of: NDArray[np.int32], rng: np.random.Generator) -> tuple[_Null, ...]:
        """Draw as many cells from each control well and compare them with those of the others."""
        sizes = np.bincount(well_of, minlength=len(self.wells))
        top = int(np.sort(sizes)[len(sizes) // 2]) if len(sizes) else 0
        grid = [n for n in (FEWEST_CELLS * 2**step for step in range(20)) if n < top]
        grid.append(max(top, FEWEST_CELLS))
        drawn: dict[int, list[dict[str, Matrix]]] = {n: [] for n in grid}
        there: dict[int, list[int]] = {n: [] for n in grid}
        for well in range(len(self.wells)):
            rows = rng.permutation(np.flatnonzero(well_of == well))
            for n in grid:
                if len(rows) >= n:
                    drawn[n].append(self._compared(Sorted.of(matrix[:, rows[:n]]), well))
                    there[n].append(well)
        made = []
        for n in grid:
            if len(drawn[n]) >= FEWEST_CONTROL_WELLS:
                values = {name: np.stack([found[name] for found in drawn[n]]) for name in self.measures}
                made.append(_Null(n, np.array(there[n], dtype=np.intp), values))
        return tuple(made)


def _moments(total: Matrix, squares: Matrix, n: int) -> tuple[Matrix, Matrix]:
    """Return mean and standard deviation of a further well from sums over wells, shape (..., features).

    The variance of a feature is steadied by the median over features (as in limma; Smyth, Stat Appl Genet Mol Biol 3:3,
    2004): with few control wells, some variances would be close to 0.
    """
    center = total / n
    variance = np.maximum(squares - n * center**2, 0) / (n - 1)
    known = np.isfinite(variance).any(axis=-1, keepdims=True)
    typical = np.nanmedian(np.where(known, variance, 1.0), axis=-1, keepdims=True)
    steadied = (_PRIOR * typical + (n - 1) * variance) / (_PRIOR + n - 1)
    return center, np.sqrt(steadied * (1 + 1 / n))


def _sizes(values: Matrix, name: str) -> Matrix:
    """Return how far each well is from the others: root mean square over features, shape (wells,)."""
    n = len(values) - 1
    center, spread = _moments(values.sum(axis=0) - values, (values**2).sum(axis=0) - values**2, n)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(spread > 0, (values - center) / spread, np.nan)
        if name in UNSIGNED:
            relative = np.maximum(relative, 0)
        known = np.isfinite(relative)
        sizes: Matrix = np.sqrt(np.where(known, relative, 0.0) ** 2 @ np.ones(relative.shape[1]) / known.sum(axis=1))
    return sizes
