"""Readouts that need no configuration: cell counts, and the distance of each well to the controls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.analysis.effects import FEWEST_CONTROLS, has_profile
from phenoprint.tables import (
    OBJECT_COUNT,
    PERT_TYPE,
    WELL_KEY,
    feature_columns,
    feature_matrix,
    frame_of,
    median,
    require_columns,
    to_polars,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import FrameLike

    Floats = NDArray[np.float64]

__all__ = ["DEFAULT_READOUTS", "default_readouts", "distance_to_controls"]


DEFAULT_READOUTS = {
    "cell_count": "cells",
    "cell_count_relative": "ratio to the median negative control of the plate",
    "distance_to_controls": "ratio to the median negative control of the plate",
}
"""Readouts that every well gets, with their units."""

_NO_PROFILE = "no profile: the well lacks more than half of the features"
_FEW = f"fewer than {FEWEST_CONTROLS} negative controls with a profile on the plate"


def default_readouts(frame: FrameLike) -> pl.DataFrame:
    """Make the readouts that need no configuration: cell counts and the distance to the negative controls.

    Parameters
    ----------
    frame
        Selected well profiles (level 4b) with ``Metadata_Plate``, ``Metadata_Well`` and ``Metadata_pert_type``; where
        there is ``Metadata_Object_Count``, it is the number of cells that went into the profile.

    Returns
    -------
    polars.DataFrame
        One row per well and readout: ``Metadata_Plate``, ``Metadata_Well``, ``readout``, ``value``, ``unit``,
        ``n_cells``, ``reason`` (why there is no value). ``cell_count`` in cells; ``cell_count_relative`` as a ratio to
        the median of the plate's negative controls; ``distance_to_controls`` as in `distance_to_controls`.

    Raises
    ------
    UnknownNameError
        For an absent column.

    Examples
    --------
    >>> wells = pl.DataFrame(
    ...     {
    ...         "Metadata_Plate": ["p"] * 4,
    ...         "Metadata_Well": ["A01", "A02", "A03", "A04"],
    ...         "Metadata_pert_type": ["negcon"] * 3 + ["trt"],
    ...         "Metadata_Object_Count": [90, 100, 110, 50],
    ...         "Cells_AreaShape_Area": [-1.0, 0.0, 1.0, 6.0],
    ...     }
    ... )
    >>> table = default_readouts(wells)
    >>> table.filter(Metadata_Well="A04").select("readout", "value").rows()
    [('cell_count', 50.0), ('cell_count_relative', 0.5), ('distance_to_controls', 4.0)]
    """
    data = to_polars(frame)
    require_columns(data, [*WELL_KEY, PERT_TYPE], purpose="readouts of wells")
    parts = [frame_of("readout")]
    for _, rows in data.sort(WELL_KEY).group_by("Metadata_Plate", maintain_order=True):
        parts += _of_plate(rows)
    return pl.concat(parts).sort("readout", *WELL_KEY)


def _of_plate(rows: pl.DataFrame) -> list[pl.DataFrame]:
    """Make the readouts of a plate, a frame for each."""
    is_control = (rows[PERT_TYPE] == "negcon").fill_null(value=False).to_numpy()
    known = (
        rows[OBJECT_COUNT].cast(pl.Float64)
        if OBJECT_COUNT in rows.columns
        else pl.Series([None] * rows.height, dtype=pl.Float64)
    )
    counts = known.fill_null(np.nan).to_numpy()
    of_controls = counts[is_control & ~np.isnan(counts)]
    usual = float(np.median(of_controls)) if len(of_controls) else np.nan
    relative = counts / usual if usual > 0 else np.full(len(counts), np.nan)
    uncounted = np.where(np.isnan(counts), "the cells were not counted", "")
    without = "no negative control of the plate has cells"
    values = feature_matrix(rows, feature_columns(rows)).astype(np.float64)
    distance, reasons = distance_to_controls(values, is_control)
    found = {
        "cell_count": (counts, uncounted),
        "cell_count_relative": (relative, np.where((uncounted == "") & np.isnan(relative), without, uncounted)),
        "distance_to_controls": (distance, reasons),
    }
    return [
        rows.select(WELL_KEY).with_columns(
            pl.lit(name).alias("readout"),
            pl.Series("value", value, nan_to_null=True),
            pl.lit(DEFAULT_READOUTS[name]).alias("unit"),
            known.cast(pl.Int64).alias("n_cells"),
            pl.Series("reason", [text or None for text in reason.tolist()], dtype=pl.String),
        )
        for name, (value, reason) in found.items()
    ]


def distance_to_controls(
    values: NDArray[np.floating], is_control: NDArray[np.bool_]
) -> tuple[Floats, NDArray[np.str_]]:
    """Measure how far each well of a plate is from its negative controls; 1 is the distance of a typical control.

    Parameters
    ----------
    values
        Normalized and selected features, shape (features, wells), NaN where missing.
    is_control
        Which wells are negative controls, shape (wells,).

    Returns
    -------
    tuple
        Distances, shape (wells,), and for each well why it has none; an empty text where it has one.

    Notes
    -----
    The root mean square over features of the difference to the median of the controls, divided by the median of that
    number over the controls. A control is compared with the other controls, never with itself. No covariance is
    estimated: the controls of a plate are fewer than its features, and the selection has removed near-copies.

    Examples
    --------
    >>> distance, _ = distance_to_controls(np.array([[-1.0, 0.0, 1.0, 6.0]]), np.array([True, True, True, False]))
    >>> distance.tolist()
    [1.0, 0.0, 1.0, 4.0]
    """
    usable = has_profile(values)
    reasons = np.where(usable, "", _NO_PROFILE)
    distance = np.full(values.shape[1], np.nan)
    controls = np.flatnonzero(usable & is_control)
    if len(controls) < FEWEST_CONTROLS:
        return distance, np.where(usable, _FEW, _NO_PROFILE)
    center = median(values[:, controls])
    distance[usable] = _root_mean_square(values[:, usable] - center[:, None])
    for well in controls:
        others = median(values[:, controls[controls != well]])
        distance[well] = _root_mean_square((values[:, well] - others)[:, None])[0]
    usual = float(np.median(distance[controls]))
    if not usual > 0:
        return np.full(len(distance), np.nan), np.where(usable, "the negative controls do not differ", _NO_PROFILE)
    return distance / usual, reasons


def _root_mean_square(difference: NDArray[np.floating]) -> Floats:
    """Over the features that are there, of a matrix (features, wells)."""
    there = ~np.isnan(difference)
    total = np.nansum(difference.astype(np.float64) ** 2, axis=0)
    root: Floats = np.sqrt(
        np.divide(total, there.sum(axis=0), out=np.full(len(total), np.nan), where=there.any(axis=0))
    )
    return root
