"""Profiles without morphology: cell count alone, well position alone, plate alone."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from phenoprint.errors import PlateMapError, SchemaError
from phenoprint.tables import (
    OBJECT_COUNT,
    PERT_TYPE,
    PLATE,
    Groups,
    metadata_columns,
    require_columns,
    to_polars,
    well_places,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import FrameLike

    Floats = NDArray[np.float64]

__all__ = ["baseline_profiles", "known_places"]

_MOST_PLATES: Final = 64
_CODE_LENGTH: Final = 128
_EDGE: Final = 0.25  # being at the edge counts as much as a quarter of the plate's width


def baseline_profiles(
    wells: FrameLike, *, by: Sequence[str] = (), count: str = OBJECT_COUNT, reference: pl.DataFrame | None = None
) -> dict[str, pl.DataFrame]:
    """Make profiles that hold no morphology, so that they can be scored by the same code as the real ones.

    Parameters
    ----------
    wells
        Metadata of well profiles; features are ignored.
    by
        Columns that make a treatment: one row per treatment, with the median count of its replicates, their mean
        position and the share of them on each plate. Default: one row per well.
    count
        The column with the number of cells, best of all cells that were found (before cells are left out).
    reference
        The negative controls that counts are relative to, with plate and `count`. Default: the rows of `wells` whose
        ``Metadata_pert_type`` is ``negcon``. A plate without any takes the median of all its wells.

    Returns
    -------
    dict of str to polars.DataFrame
        By name of the baseline, ``cell_count``, ``well_position`` and ``plate``: the metadata and a few features. One
        whose information is absent (no wells, counts, positions or plates) is absent; a row without it has NULL.

    Notes
    -----
    A number x, such as a log count, becomes a point on a circle, (cos x, sin x, -cos x, -sin x), scaled so that all
    numbers lie on a quarter of it: cosine, Pearson correlation and Euclidean distance then order pairs of wells by
    their difference in x. Position is row, column and whether the well is at the rim of the wells of its plate. Plates
    are orthogonal directions; of more than 64 plates random directions of 128 dimensions.

    Examples
    --------
    >>> wells = pl.DataFrame({
    ...     "Metadata_Plate": ["p"] * 3,
    ...     "Metadata_Well": ["A01", "B02", "C03"],
    ...     "Metadata_pert_type": ["negcon", "trt", "trt"],
    ...     "Metadata_Object_Count": [100, 50, 100],
    ... })
    >>> {name: frame.shape for name, frame in baseline_profiles(wells).items()}
    {'cell_count': (3, 8), 'well_position': (3, 16), 'plate': (3, 6)}
    """
    data = to_polars(wells)
    about = data.select(metadata_columns(data))
    require_columns(about, by, purpose="treatments")
    if not about.height:
        return {}
    found: dict[str, Floats] = {}
    if count in about.columns:
        found["cell_count"] = _relative_log_counts(about, count, reference)[:, None]
    places = known_places(about)
    if places is not None:
        found["well_position"] = _places_and_edge(about, places)
    if by:
        groups = Groups.of(about, by)
        first = np.array([rows[0] for rows in groups.rows()], dtype=np.intp)
        found = {
            name: np.array([_middle(values[rows], name) for rows in groups.rows()]).reshape(len(groups), -1)
            for name, values in found.items()
        }
        rows = about[first]
    else:
        groups, rows = None, about
    features = {name: _on_circles(values, joint=name == "well_position") for name, values in found.items()}
    if PLATE in about.columns:
        codes = _plate_codes(about[PLATE])
        features["plate"] = (
            codes if groups is None else np.array([codes[own].mean(axis=0) for own in groups.rows()])
        ).reshape(rows.height, -1)
    return {
        name: rows.hstack([pl.Series(f"{name}_{i}", column, nan_to_null=True) for i, column in enumerate(values.T)])
        for name, values in features.items()
    }


def _relative_log_counts(about: pl.DataFrame, count: str, reference: pl.DataFrame | None) -> Floats:
    """Log of (1 + cells) relative to the median control of the plate; shape (wells,), NaN where not counted."""
    plate = pl.col(PLATE) if PLATE in about.columns else pl.lit("")
    if reference is None:
        is_control = pl.col(PERT_TYPE) == "negcon" if PERT_TYPE in about.columns else pl.lit(value=False)
        reference = about.filter(is_control)
    log = (pl.col(count).cast(pl.Float64) + 1).log()
    of_controls = reference.group_by(plate.alias("_plate")).agg(log.median().alias("_controls"))
    keyed = about.select(plate.alias("_plate"), log.alias("_log"))
    joined = keyed.join(of_controls, on="_plate", how="left", maintain_order="left")
    usual = pl.coalesce(pl.col("_controls"), pl.col("_log").median().over("_plate"))
    relative = joined.select((pl.col("_log") - usual).alias("value"))["value"]
    return relative.fill_null(np.nan).to_numpy().astype(np.float64)


def _places_and_edge(about: pl.DataFrame, places: Floats) -> Floats:
    """Row, column, and whether it is the first or last of its plate, in plate widths; shape (wells, 3)."""
    names = about[PLATE].fill_null("").to_list() if PLATE in about.columns else [""] * about.height
    _, plates = np.unique(np.array(names, dtype=str), return_inverse=True)
    edge = np.zeros(len(places), dtype=bool)
    for plate in range(int(plates.max(initial=-1)) + 1):
        own = plates == plate
        inside = places[own]
        edge[own] = ((inside == inside.min(axis=0)) | (inside == inside.max(axis=0))).any(axis=1)
    span = max(float(np.ptp(places, axis=0).max(initial=0.0)), 1.0)
    return np.column_stack([places / span, _EDGE * edge])


def _middle(values: Floats, name: str) -> Floats:
    """Median of counts and mean of positions over the replicates; NaN where none is known."""
    known = values[~np.isnan(values).any(axis=1)]
    if not len(known):
        return np.full(values.shape[1], np.nan)
    middle: Floats = np.median(known, axis=0) if name == "cell_count" else known.mean(axis=0)
    return middle


def _on_circles(values: Floats, *, joint: bool) -> Floats:
    """Replace each column, shape (rows, columns), by four: the points of a quarter of a circle and their opposites.

    Scaled over all columns together where `joint`, else each by its own range.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # where no row is known
        low = np.nan_to_num(np.nanmin(values, axis=0))
        span = np.nan_to_num(np.nanmax(values, axis=0)) - low
    scale = np.full(len(span), span.max(initial=0.0)) if joint else span
    angles = (values - low) / np.where(scale > 0, scale, 1.0) * (np.pi / 2)
    points = np.stack([np.cos(angles), np.sin(angles)], axis=2).reshape(len(values), -1)
    return np.column_stack([points, -points])


def _plate_codes(plates: pl.Series) -> Floats:
    """One direction per plate and its opposite, shape (wells, dimensions); NaN without a plate."""
    names = plates.drop_nulls().unique().sort()
    n = len(names)
    random = np.random.default_rng(0).normal(size=(n, _CODE_LENGTH)) / np.sqrt(_CODE_LENGTH)
    codes = np.eye(n) if n <= _MOST_PLATES else random
    places = names.search_sorted(plates.fill_null(names[0] if n else "")).to_numpy()
    chosen = codes[places] if n else np.zeros((len(plates), 1))
    chosen[plates.is_null().to_numpy()] = np.nan
    return np.column_stack([chosen, -chosen])


def known_places(data: pl.DataFrame) -> NDArray[np.float64] | None:
    """Row and column of each well, 0-based, shape (rows, 2); None where a row has no position."""
    try:
        return well_places(data).astype(np.float64)
    except (PlateMapError, SchemaError):
        return None
