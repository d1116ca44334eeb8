"""Effects of treatments on each feature, against the negative controls of the same plates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.errors import UsageError
from phenoprint.profiles import Fit, MadRobust
from phenoprint.tables import (
    PERT_TYPE,
    PLATE,
    count,
    feature_columns,
    feature_matrix,
    get_table,
    mean,
    median,
    require_columns,
    to_polars,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import FrameLike

    Floats = NDArray[np.float64]

__all__ = ["FEWEST_CONTROLS", "Controls", "feature_effects", "fit_controls", "has_profile"]

FEWEST_CONTROLS = 3
"""Negative controls that a plate needs: two give no usable spread."""

_SCHEMA = get_table("feature_effect").schema_of(
    ("feature", "effect", "rank", "n_wells", "n_controls", "p_value", "q_value")
)


@dataclass(frozen=True)
class Controls:
    """The negative controls of a plate; every array has shape (features,).

    Attributes
    ----------
    fit
        Their median and robust spread, after pooling over plates.
    n, mean, squares
        How many have a value, their mean and their sum of squares about it, in spreads from the median.
    """

    fit: Fit
    n: Floats
    mean: Floats
    squares: Floats


def has_profile(values: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Whether each well of a matrix (features, wells) has at least half of the features."""
    there: NDArray[np.bool_] = np.isnan(values).mean(axis=0) <= 0.5 if len(values) else np.zeros(values.shape[1], bool)
    return there


def fit_controls(plates: Callable[[], Iterable[tuple[str, NDArray[np.floating]]]]) -> dict[str, Controls]:
    """Learn the centre and spread of the negative controls of each plate.

    Parameters
    ----------
    plates
        Called twice; each time all plates again: their names and the values of their negative controls, shape
        (features, wells), NaN where missing.

    Returns
    -------
    dict
        By plate; plates with fewer than three negative controls that have a profile are left out. The spread is
        1.4826 MAD, averaged with that of all plates where controls are few and held above a quarter of the standard
        deviation, as in the normalization ``mad_robust`` (`phenoprint.profiles.normalizers.MadRobust`).
    """

    def usable() -> Iterator[tuple[str, Floats]]:
        for plate, values in plates():
            kept = values[:, has_profile(values)].astype(np.float64)
            if kept.shape[1] >= FEWEST_CONTROLS:
                yield plate, kept

    normalizer = MadRobust()
    fits = {plate: normalizer.fit(values) for plate, values in usable()}
    pooled = dict(zip(fits, normalizer.pool(list(fits.values())), strict=True))
    found = {}
    for plate, values in usable():
        scaled = normalizer.apply(values, pooled[plate])
        middle = mean(scaled)
        squares = np.nansum((scaled - middle[:, None]) ** 2, axis=1)
        found[plate] = Controls(replace(pooled[plate], least=None), count(scaled), middle, squares)
    return found


def feature_effects(
    frame: FrameLike,
    *,
    treatment: str = "Metadata_perturbation",
    features: Sequence[str] | None = None,
    controls: Mapping[str, Controls] | None = None,
    top: int = 0,
) -> pl.DataFrame:
    """Measure how far each treatment moves each feature away from the negative controls of the same plates.

    Parameters
    ----------
    frame
        Well profiles with ``Metadata_Plate``, ``Metadata_pert_type`` and the treatment.
    treatment
        Column that names the treatment; wells without one are left out.
    features
        Features to measure; None: all.
    controls
        What `fit_controls` learned of each plate, in the order of `features`; None: learned from the ``negcon`` wells
        of the frame.
    top
        Features kept of each treatment, those with the largest absolute effect; 0 keeps all.

    Returns
    -------
    polars.DataFrame
        One row per treatment and feature, by treatment and rank: the treatment, ``feature``, ``effect`` (median over
        the treatment's wells of the difference to the median of the plate's negative controls, in robust spreads of
        these controls), ``rank`` (1 is the largest absolute effect of the treatment), ``n_wells``, ``n_controls``,
        ``p_value`` (t test, NULL where there is no variance), ``q_value`` (Benjamini and Hochberg over all
        features of the treatment). Wells on plates with fewer than three negative controls, and wells that lack more
        than half of the features, take no part; features that do not vary among the controls have no effect.

    Raises
    ------
    UnknownNameError
        For an absent column.
    UsageError
        For a `top` below 0.

    Notes
    -----
    The test is that of the treatment's coefficient in the linear model of plate and treatment, by least squares, over
    the treatment's wells and the negative controls of their plates. It does not change when the values of a plate are
    shifted and scaled, so that a normalization fitted on the same controls does not affect it. A treatment in
    one well is judged by the spread of the controls alone. But wells of a plate are not independent and controls have
    heavier tails than a normal distribution: negative controls taken for treatments reached p < 0.05 in 7 % of features
    on a plate with 56 controls (VarChAMP) and in 9 % with 6 controls per plate (BBBC021), and p < 0.001 in 1 % and 3 %.
    Use these p values to rank and filter; they are no error rates. Variances moderated over features (limma) made it
    worse.

    Examples
    --------
    >>> wells = pl.DataFrame(
    ...     {
    ...         "Metadata_Plate": ["p"] * 6,
    ...         "Metadata_pert_type": ["negcon"] * 5 + ["trt"],
    ...         "Metadata_perturbation": ["DMSO"] * 5 + ["a"],
    ...         "Cells_AreaShape_Area": [8.0, 9.0, 10.0, 11.0, 12.0, 14.4478],
    ...     }
    ... )
    >>> feature_effects(wells).select("Metadata_perturbation", pl.col("effect").round(3)).rows()
    [('a', 3.0)]
    """
    data = to_polars(frame)
    require_columns(data, [PLATE, PERT_TYPE, treatment], purpose="feature effects")
    if top < 0:
        raise UsageError(f"top is a number of features, 0 for all; found {top}")
    names = feature_columns(data) if features is None else list(features)
    is_control = pl.col(PERT_TYPE) == "negcon"
    if controls is None:
        groups = data.filter(is_control).sort(PLATE).partition_by(PLATE, maintain_order=True)
        controls = fit_controls(lambda: ((str(rows.item(0, PLATE)), feature_matrix(rows, names)) for rows in groups))
    treated = data.filter(
        ~is_control.fill_null(value=False) & pl.col(treatment).is_not_null() & pl.col(PLATE).is_in(list(controls))
    ).sort(treatment, PLATE)
    measured = feature_matrix(treated, names)
    usable = has_profile(measured)
    treated = treated.filter(pl.Series(usable))
    values: Floats = measured[:, usable].astype(np.float64)
    plates = treated[PLATE].to_numpy()
    for plate in dict.fromkeys(plates):
        here = plates == plate
        values[:, here] = MadRobust().apply(values[:, here], controls[plate].fit)
    parts = list(_by_treatment(treated[treatment], plates, values, controls, top))
    return _as_frame(treatment, names, parts)


@dataclass(frozen=True)
class _Effects:
    """The kept features of a treatment, largest effect first; arrays of one length."""

    treatment: str
    features: NDArray[np.intp]
    effect: Floats
    n_wells: Floats
    n_controls: Floats
    p_values: Floats
    q_values: Floats


def _by_treatment(
    names: pl.Series, plates: NDArray[np.object_], values: Floats, controls: Mapping[str, Controls], top: int
) -> Iterator[_Effects]:
    """Measure treatments one by one, from scaled wells (features, wells) sorted by treatment and plate."""
    from scipy.stats import false_discovery_control

    runs = names.rle().struct.unnest()
    start = 0
    for length, name in runs.iter_rows():
        here = slice(start, start + length)
        start += length
        block = values[:, here]
        effect = median(block)
        p_values, n_wells, n_controls = _test(block, plates[here], controls)
        known = ~np.isnan(effect)
        q_values = np.full(len(effect), np.nan)
        tested = ~np.isnan(p_values) & known
        q_values[tested] = false_discovery_control(p_values[tested])
        order = np.argsort(-np.abs(effect), kind="stable")[: int(known.sum())]  # NaN comes last
        kept = order[:top] if top else order
        yield _Effects(name, kept, effect[kept], n_wells[kept], n_controls[kept], p_values[kept], q_values[kept])


def _test(
    block: Floats, plates: NDArray[np.object_], controls: Mapping[str, Controls]
) -> tuple[Floats, Floats, Floats]:
    """Test the treatment's coefficient in the linear model of plate and treatment, feature by feature.

    The coefficient is the mean of the plates' differences, each with the weight ``n m / (n + m)`` of its n treated and
    m control wells; the residuals are those within controls, within treated wells, and between plates.
    """
    from scipy.special import stdtr

    zero = np.zeros(len(block))
    n_wells, n_controls, weights, freedom, residual = zero, zero, zero, zero - 1, zero
    weighted, squared = zero, zero
    for plate in dict.fromkeys(plates):
        wells, control = block[:, plates == plate], controls[plate]
        n = count(wells)
        m = np.where(n > 0, control.n, 0)
        middle = mean(wells)
        weight = np.divide(n * m, n + m, out=np.zeros(len(n)), where=n * m > 0)
        difference = np.where(weight > 0, middle - control.mean, 0.0)
        within = np.nansum((wells - middle[:, None]) ** 2, axis=1) + control.squares
        n_wells, n_controls = n_wells + n, n_controls + m
        weights, weighted = weights + weight, weighted + weight * difference
        squared = squared + weight * difference**2
        residual = residual + np.where(weight > 0, within, 0.0)
        freedom = freedom + np.where(weight > 0, n + m - 1, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        effect = weighted / weights
        between = np.maximum(squared - weights * effect**2, 0.0)
        t = effect / np.sqrt((residual + between) / freedom / weights)
    judged = (freedom > 0) & np.isfinite(t)
    p_values = np.full(len(block), np.nan)
    p_values[judged] = 2 * stdtr(freedom[judged], -np.abs(t[judged]))
    return p_values, n_wells, n_controls


def _as_frame(treatment: str, features: Sequence[str], parts: Sequence[_Effects]) -> pl.DataFrame:
    schema = pl.Schema({treatment: pl.String(), **_SCHEMA})
    if not parts:
        return pl.DataFrame(schema=schema)
    lengths = [len(part.features) for part in parts]
    which = np.repeat(np.arange(len(parts)), lengths)
    columns = {
        treatment: pl.Series([part.treatment for part in parts], dtype=pl.String).gather(which),
        "feature": pl.Series(list(features), dtype=pl.String).gather(np.concatenate([p.features for p in parts])),
        "effect": np.concatenate([part.effect for part in parts]),
        "rank": np.concatenate([np.arange(1, length + 1) for length in lengths]),
        "n_wells": np.concatenate([part.n_wells for part in parts]),
        "n_controls": np.concatenate([part.n_controls for part in parts]),
        "p_value": np.concatenate([part.p_values for part in parts]),
        "q_value": np.concatenate([part.q_values for part in parts]),
    }
    frame = pl.DataFrame(columns).with_columns(pl.col("p_value", "q_value").fill_nan(None))
    return frame.cast(schema)
