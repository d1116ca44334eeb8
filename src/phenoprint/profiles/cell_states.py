"""Cell states learned from control cells, and the share of each state among the cells of a well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from phenoprint.errors import DataError, SchemaError, UnknownNameError, UsageError
from phenoprint.profiles.reference_wells import reference_rows
from phenoprint.tables import (
    WELL_KEY,
    Groups,
    feature_columns,
    feature_matrix,
    feature_series,
    rows_with_values,
    to_polars,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import FrameLike

    Matrix = NDArray[np.float64]

__all__ = ["CellStates", "learn_cell_states", "stable_cell_states"]

_BASELINE = 0.05  # share of control cells that count as responding
_FEWEST_WELLS = 2  # control wells of each half
_HALF_CELLS = 5_000  # cells of each half of the controls by which stability is judged


@dataclass(frozen=True)
class CellStates:
    """States of control cells.

    Attributes
    ----------
    features
        Features that were used, in the order of `center`.
    center, scale
        Mean and standard deviation of the control cells, shape (features,).
    components
        Principal axes, shape (components, features), and `deviations` along them, shape (components,).
    means, variances, weights
        Parameters of the states along the components, shapes (states, components), (states, components), (states,).
        For kmeans all variances are 1 and all weights are equal, so that the nearest mean decides.
    limit
        Distance from the centre of the controls, each component in units of its deviation, that contains 95% of them.
    method, seed
        As given to `learn_cell_states`.
    agreement
        Adjusted Rand index of the states of control cells by the two halves of the control wells; None where it was not
        judged.
    is_stable
        Whether cells are given states. Otherwise only the share of responding cells is described.
    """

    features: tuple[str, ...]
    center: Matrix
    scale: Matrix
    components: Matrix
    deviations: Matrix
    means: Matrix
    variances: Matrix
    weights: Matrix
    limit: float
    method: str
    seed: int
    agreement: float | None = None
    is_stable: bool = True

    @property
    def n_states(self) -> int:
        """Number of states."""
        return len(self.means)

    def assign(self, cells: FrameLike) -> NDArray[np.int32]:
        """Return the state of each cell, from 1, shape (cells,); 0 for a cell with a missing feature."""
        points, complete = self._points(to_polars(cells))
        states = np.zeros(len(complete), dtype=np.int32)
        states[complete] = np.argmax(self._scores(points), axis=1) + 1
        return states

    def describe(self, cells: FrameLike, by: Sequence[str] = WELL_KEY) -> pl.DataFrame:
        """Describe wells by the states of their cells.

        Parameters
        ----------
        cells
            Cells with the features, normalized in the same way as the cells that the states were learned on.
        by
            Keys of a well.

        Returns
        -------
        polars.DataFrame
            One row per well, sorted: the keys, ``Metadata_State_Cells`` (cells that have all features), and as features
            ``Cells_State_Fraction_1`` and so on (sum 1), ``Cells_State_Entropy`` (of the fractions, in bits), both NULL
            where the states are not stable, and ``Cells_State_Responding``: the share of cells that are farther from
            the centre of the controls than 95% of the control cells, rescaled so that 0 is expected for control wells
            (negative values occur by chance) and 1 means all cells.
        """
        data = to_polars(cells)
        points, complete = self._points(data)
        groups = Groups.of(data, by)
        state = np.zeros(data.height, dtype=np.intp)
        state[complete] = np.argmax(self._scores(points), axis=1)
        far = np.zeros(data.height)
        far[complete] = _distance(points, self.deviations) > self.limit
        codes = groups.codes[complete]
        counts = np.zeros((len(groups), self.n_states))
        np.add.at(counts, (codes, state[complete]), 1)
        total = counts.sum(axis=1)
        known = np.where(total > 0, total, np.nan)
        fractions = counts / known[:, None]
        logs = np.log2(np.where(fractions > 0, fractions, 1))
        entropy = np.where(np.isnan(known), np.nan, -(fractions * logs).sum(axis=1))
        share = np.bincount(codes, weights=far[complete], minlength=len(groups)) / known
        names = [f"Cells_State_Fraction_{i}" for i in range(1, self.n_states + 1)]
        if not self.is_stable:
            fractions, entropy = np.full_like(fractions, np.nan), np.full_like(entropy, np.nan)
        values = np.vstack([fractions.T, entropy, (share - _BASELINE) / (1 - _BASELINE)]).astype(np.float32)
        columns = feature_series([*names, "Cells_State_Entropy", "Cells_State_Responding"], values)
        return groups.keys.with_columns(pl.Series("Metadata_State_Cells", total.astype(np.int64)), *columns)

    def count_far(self, cells: FrameLike, by: Sequence[str] = WELL_KEY) -> pl.DataFrame:
        """Count the cells of each well, and those farther from the centre of the controls than 95% of the controls.

        Returns
        -------
        polars.DataFrame
            One row per well, sorted: the keys, ``n_cells`` (cells that have all features) and ``n_far``.
        """
        data = to_polars(cells)
        points, complete = self._points(data)
        groups = Groups.of(data, by)
        codes = groups.codes[complete]
        far = _distance(points, self.deviations) > self.limit
        counts = np.bincount(codes, minlength=len(groups))
        beyond = np.bincount(codes[far], minlength=len(groups))
        return groups.keys.with_columns(n_cells=pl.Series(counts), n_far=pl.Series(beyond))

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain lists and values, for JSON."""
        return {
            name: value.tolist()
            if isinstance(value, np.ndarray)
            else list(value)
            if isinstance(value, tuple)
            else value
            for name, value in vars(self).items()
        }

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> CellStates:
        """Restore states from the result of `to_dict`."""
        arrays = ("center", "scale", "components", "deviations", "means", "variances", "weights")
        made = record | {name: np.array(record[name], dtype=np.float64) for name in arrays}
        return cls(**made | {"features": tuple(record["features"])})

    def _points(self, data: pl.DataFrame) -> tuple[Matrix, NDArray[np.bool_]]:
        absent = sorted(set(self.features) - set(data.columns))
        if absent:
            raise SchemaError(f"{len(absent)} of {len(self.features)} features of the states are absent: {absent[:5]}")
        values = feature_matrix(data, self.features)
        complete = np.asarray(~np.isnan(values).any(axis=0), dtype=bool)
        rows = (values[:, complete].T - self.center) / self.scale
        return rows @ self.components.T, complete

    def _scores(self, points: Matrix) -> Matrix:
        """Return the log of density times weight of each state, up to a constant, shape (cells, states)."""
        precision = 1 / self.variances
        squares = (points**2) @ precision.T - 2 * points @ (self.means * precision).T
        constant = (self.means**2 * precision + np.log(self.variances)).sum(axis=1) - 2 * np.log(self.weights)
        scores: Matrix = -(squares + constant) / 2
        return scores


def learn_cell_states(
    cells: FrameLike,
    *,
    reference: pl.Expr | None,
    n_states: int = 8,
    method: str = "kmeans",
    n_components: int = 20,
    max_cells: int = 50_000,
    seed: int = 0,
) -> CellStates:
    """Learn the states of control cells by clustering along their principal components.

    Parameters
    ----------
    cells
        Cells, normalized by plate (``normalize(cells, reference=...)``), so that plates are comparable.
    reference
        A polars expression for the control cells; None: all.
    n_states
        Number of states.
    method
        ``"kmeans"``, or ``"gmm"``: a mixture of normal distributions with diagonal covariances.
    n_components
        Largest number of principal components.
    max_cells
        Largest number of control cells; if there are more, they are drawn at random.
    seed
        Seed of the draw and of the clustering.

    Returns
    -------
    CellStates
        The states, the most frequent among the control cells first.

    Raises
    ------
    DataError
        For fewer than ten complete control cells per state, or if no feature varies.
    UnknownNameError, UsageError
        For an unknown method, or fewer than two states.

    Examples
    --------
    >>> cells = pl.DataFrame({"Metadata_Well": ["A01"] * 20, "area": [0.0, 1.0] * 10, "round": [5.0, 9.0] * 10})
    >>> states = learn_cell_states(cells, reference=None, n_states=2)
    >>> states.describe(cells, ["Metadata_Well"]).select("^.*Fraction.*$").row(0)
    (0.5, 0.5)
    """
    if method not in ("kmeans", "gmm"):
        raise UnknownNameError("method of cell states", method, ["gmm", "kmeans"])
    if n_states < 2 or n_components < 1:
        raise UsageError(f"expected two states and one component or more; found {n_states} and {n_components}")
    data = to_polars(cells)
    features = feature_columns(data)
    values = feature_matrix(data.filter(reference_rows(data, reference)), features).astype(np.float64)
    values = values[:, rows_with_values(values)]  # a plate that could not be normalized has no values
    filled = np.isnan(values).mean(axis=1) < 0.05 if values.shape[1] else np.zeros(len(features), dtype=bool)
    values = values[filled]
    rows = values[:, ~np.isnan(values).any(axis=0)].T
    rng = np.random.default_rng(seed)
    if len(rows) > max_cells:
        rows = rows[np.sort(rng.choice(len(rows), max_cells, replace=False))]
    if len(rows) < 10 * n_states:
        raise DataError(f"{n_states} states need at least {10 * n_states} complete control cells; found {len(rows)}")
    spread = rows.std(axis=0)
    varies = spread > 1e-9 * np.maximum(np.abs(rows.mean(axis=0)), 1e-300)
    if not varies.any():
        raise DataError("cell states need a feature that varies among the control cells; found none")
    names = [name for name, ok in zip(features, filled.tolist(), strict=True) if ok]
    rows, spread = rows[:, varies], spread[varies]
    center = rows.mean(axis=0)
    standard = (rows - center) / spread
    power, axes = np.linalg.eigh(standard.T @ standard / len(standard))
    order = np.argsort(power)[::-1][: min(n_components, int((power > 1e-9 * power.max()).sum()))]
    components = axes[:, order].T
    # The sign of an axis is arbitrary: its largest entry is made positive.
    components *= np.sign(components[np.arange(len(order)), np.abs(components).argmax(axis=1)])[:, None]
    points = standard @ components.T
    means, variances, weights, labels = _cluster(points, n_states, method, seed)
    by_share = np.argsort(-np.bincount(labels, minlength=n_states), kind="stable")
    deviations = np.sqrt(power[order])
    return CellStates(
        features=tuple(name for name, ok in zip(names, varies.tolist(), strict=True) if ok),
        center=center,
        scale=spread,
        components=components,
        deviations=deviations,
        means=means[by_share],
        variances=variances[by_share],
        weights=weights[by_share],
        limit=float(np.quantile(_distance(points, deviations), 1 - _BASELINE)),
        method=method,
        seed=seed,
    )


def stable_cell_states(
    cells: FrameLike,
    *,
    by: Sequence[str] = WELL_KEY,
    candidates: Sequence[int] = (8, 5, 3, 2),
    least_agreement: float = 0.6,
    splits: int = 3,
    n_components: int = 20,
    max_cells: int = 50_000,
    seed: int = 0,
) -> CellStates:
    """Learn the states of control cells that two halves of the control wells agree on best.

    The control wells are split at random, states are learned on each half, and all cells are given states by both. The
    number of states with the largest median adjusted Rand index is learned on all cells; it is stable where the index
    reaches `least_agreement`.

    Parameters
    ----------
    cells
        Control cells, normalized by plate.
    by
        Keys of a well.
    candidates
        Numbers of states.
    least_agreement
        Smallest agreement; 0 is expected by chance, 1 is perfect.
    splits
        Number of random splits.
    n_components, max_cells, seed
        As for `learn_cell_states`.

    Returns
    -------
    CellStates
        With ``agreement``; not stable where no number of states reaches the limit, or there are fewer than four wells.

    Raises
    ------
    DataError
        As `learn_cell_states`, for the smallest number of states.

    Notes
    -----
    Hubert and Arabie, J Classif 2:193, 1985; stability of clusters under splitting: Lange et al., Neural Comput
    16:1299, 2004. A continuum can be cut at the same place twice: stable states need not be distinct ones.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> kind = rng.random(800) < 0.5
    >>> cells = pl.DataFrame({"Metadata_Plate": ["p"] * 800, "Metadata_Well": np.repeat(["A1", "A2", "A3", "A4"], 200)})
    >>> values = rng.normal(size=(800, 3)) + 6 * kind[:, None]
    >>> states = stable_cell_states(cells.with_columns(pl.DataFrame(values, schema=["a", "b", "c"])))
    >>> states.n_states, states.is_stable
    (2, True)
    """
    data = to_polars(cells)
    order = sorted(set(candidates), reverse=True)
    options: dict[str, Any] = {"n_components": n_components, "seed": seed}
    groups = Groups.of(data, by)
    rng = np.random.default_rng(seed)
    halves = [_half(groups, rng) for _ in range(splits)] if len(groups) >= 2 * _FEWEST_WELLS else []
    best: tuple[int, float] | None = None
    for n_states in order:
        try:
            agreement = [_agreement(data, first, n_states, options) for first in halves]
        except DataError:  # too few cells for so many states
            continue
        if not agreement:
            break
        middle = float(np.median(agreement))
        if best is None or middle > best[1]:
            best = (n_states, middle)
    n_states, found = best if best is not None else (order[-1], None)
    states = learn_cell_states(data, reference=None, n_states=n_states, max_cells=max_cells, **options)
    return replace(states, agreement=found, is_stable=found is not None and found >= least_agreement)


def _half(groups: Groups, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return whether each cell is of the first half of the wells; plates are split evenly."""
    plates = groups.keys.to_series(0)
    first = np.zeros(len(groups), dtype=bool)
    for number, plate in enumerate(plates.unique().sort()):
        wells = rng.permutation(np.flatnonzero((plates == plate).to_numpy()))
        first[wells[number % 2 :: 2]] = True
    return first[groups.codes]


def _agreement(data: pl.DataFrame, first: NDArray[np.bool_], n_states: int, options: dict[str, Any]) -> float:
    """Return the adjusted Rand index between the states that two halves give to all cells."""
    from sklearn.metrics import adjusted_rand_score

    labels = [
        learn_cell_states(
            data.filter(pl.Series(half)), reference=None, n_states=n_states, max_cells=_HALF_CELLS, **options
        ).assign(data)
        for half in (first, ~first)
    ]
    known = (labels[0] > 0) & (labels[1] > 0)
    return float(adjusted_rand_score(labels[0][known], labels[1][known]))


def _cluster(points: Matrix, n_states: int, method: str, seed: int) -> tuple[Matrix, Matrix, Matrix, NDArray[np.intp]]:
    if method == "gmm":
        from sklearn.mixture import GaussianMixture

        mixture = GaussianMixture(n_states, covariance_type="diag", random_state=seed, reg_covar=1e-6, n_init=1)
        labels = mixture.fit_predict(points)
        return mixture.means_, mixture.covariances_, mixture.weights_, np.asarray(labels, dtype=np.intp)
    from sklearn.cluster import KMeans

    clusters = KMeans(n_states, n_init=4, random_state=seed).fit(points)
    means = np.asarray(clusters.cluster_centers_, dtype=np.float64)
    return means, np.ones_like(means), np.full(n_states, 1 / n_states), np.asarray(clusters.labels_, dtype=np.intp)


def _distance(points: Matrix, deviations: Matrix) -> Matrix:
    distance: Matrix = np.sqrt(((points / deviations) ** 2).sum(axis=1))
    return distance
