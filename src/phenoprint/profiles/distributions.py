"""Differences between the distributions of a well's cells and of its plate's control cells, per feature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.errors import DataError, UnknownNameError, UsageError
from phenoprint.profiles.reference_wells import reference_rows
from phenoprint.tables import WELL_KEY, Groups, count, feature_columns, feature_matrix, feature_series, mean, to_polars

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import FloatArray, FrameLike

    Vector = NDArray[np.float64]

__all__ = ["DISTRIBUTION_MEASURES", "bimodality", "distribution_profiles"]

DISTRIBUTION_MEASURES = ("bimodality", "ks", "wasserstein")
"""Measures of `distribution_profiles`."""

_SUFFIX = {"bimodality": "Bimodality", "ks": "KS", "wasserstein": "Wasserstein"}


def distribution_profiles(
    cells: FrameLike,
    *,
    reference: pl.Expr,
    by: Sequence[str] = WELL_KEY,
    plate: Sequence[str] = ("Metadata_Plate",),
    features: Sequence[str] | None = None,
    measures: Sequence[str] = ("wasserstein", "ks", "bimodality"),
    max_controls: int = 5000,
    seed: int = 0,
) -> pl.DataFrame:
    """Compare the distribution of each feature between the cells of a well and the control cells of the plate.

    Parameters
    ----------
    cells
        Cells of one or several plates.
    reference
        A polars expression for the control cells. A control well is compared with all control cells of its plate,
        including its own.
    by
        Keys of a well; they include those of the plate.
    plate
        Keys of a plate.
    features
        Features to compare; None: all.
    measures
        ``"wasserstein"``: area between the two distribution functions, in the feature's unit, positive if the values of
        the cells are larger on average; ``"ks"``: largest difference between the functions, positive if the values of
        the cells are larger there; ``"bimodality"``: Sarle's coefficient of the well's cells, above 5/9 for
        distributions with two modes.
    max_controls
        Largest number of control cells per plate; if there are more, they are drawn at random.
    seed
        Seed of the draw.

    Returns
    -------
    polars.DataFrame
        One row per well, sorted: the keys, ``Metadata_Object_Count`` (cells) and Float32 features named
        ``<feature>_Wasserstein``, ``<feature>_KS``, ``<feature>_Bimodality``; NULL if cells or controls have no
        value; bimodality is also NULL for fewer than four cells or no variation.

    Raises
    ------
    DataError
        If a plate has no control cell.
    UnknownNameError, UsageError
        For unknown measures or features, or a `plate` that is not part of `by`.

    Examples
    --------
    >>> wells = ["A01", "A01", "A02", "A02"]
    >>> cells = pl.DataFrame({"Metadata_Plate": ["p"] * 4, "Metadata_Well": wells, "area": [1.0, 3.0, 4.0, 6.0]})
    >>> controls = pl.col("Metadata_Well") == "A01"
    >>> distribution_profiles(cells, reference=controls, measures=["wasserstein"]).rows()
    [('p', 'A01', 2, 0.0), ('p', 'A02', 2, 3.0)]
    """
    data = to_polars(cells)
    for name in measures:
        if name not in DISTRIBUTION_MEASURES:
            raise UnknownNameError("measure of distributions", name, DISTRIBUTION_MEASURES)
    if not set(plate) <= set(by):
        raise UsageError(f"keys of a well must include those of its plate; found by={list(by)}, plate={list(plate)}")
    names = feature_columns(data) if features is None else list(features)
    unknown = sorted(set(names) - set(data.columns))
    if unknown:
        raise UnknownNameError("feature", unknown[0], data.columns)
    chosen = reference_rows(data, reference)
    wells = Groups.of(data, by)
    out = {name: np.full((len(names), len(wells)), np.nan) for name in measures}
    place = np.empty(data.height, dtype=np.intp)
    place[wells.order] = np.repeat(np.arange(len(wells)), wells.sizes)
    plates = Groups.of(data, plate)
    for key, rows in plates.items():
        values = feature_matrix(data[rows], names)
        controls = np.flatnonzero(chosen[rows])
        if not len(controls) and ("ks" in measures or "wasserstein" in measures):
            raise DataError(f"expected control cells on each plate; found none on {key}: check the plate map's negcon")
        if len(controls) > max_controls:
            rng = np.random.default_rng(seed)
            controls = np.sort(rng.choice(controls, max_controls, replace=False))
        ordered = np.sort(values[:, controls], axis=1)
        n_controls = count(ordered).astype(np.int64)
        own = place[rows]
        order = np.argsort(own, kind="stable")
        starts = np.flatnonzero(np.diff(own[order], prepend=-1))
        for members in np.split(order, starts[1:]):
            well = own[members[0]]
            block = np.sort(values[:, members], axis=1)
            if "ks" in measures or "wasserstein" in measures:
                earth, ks = _distances(block, ordered, n_controls)
                if "wasserstein" in measures:
                    out["wasserstein"][:, well] = earth
                if "ks" in measures:
                    out["ks"][:, well] = ks
            if "bimodality" in measures:
                out["bimodality"][:, well] = bimodality(block)
    columns = [
        column
        for name in measures
        for column in feature_series([f"{feature}_{_SUFFIX[name]}" for feature in names], out[name].astype(np.float32))
    ]
    return wells.keys.with_columns(pl.Series("Metadata_Object_Count", wells.sizes, dtype=pl.Int64), *columns)


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


def _distances(block: FloatArray, ordered: FloatArray, n_controls: NDArray[np.int64]) -> tuple[Vector, Vector]:
    from phenoprint.profiles.compiled_ranks import distances_of_sorted

    earth, ks = np.empty(len(block)), np.empty(len(block))
    distances_of_sorted(block, count(block).astype(np.int64), ordered, n_controls, earth, ks)
    return earth, ks
