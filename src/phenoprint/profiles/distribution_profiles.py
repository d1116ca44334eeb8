"""Well profiles of distributions: how the cells of each well differ from the control cells of its plate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.errors import DataError, UnknownNameError, UsageError
from phenoprint.profiles.control_distributions import ASPECTS, FEWEST_CELLS, ControlDistributions
from phenoprint.profiles.distributions import check_measures
from phenoprint.profiles.reference_wells import reference_rows
from phenoprint.tables import OBJECT_COUNT, WELL_KEY, Groups, feature_columns, feature_matrix, feature_series, to_polars

if TYPE_CHECKING:
    from phenoprint.tables import FrameLike

__all__ = ["distribution_profiles"]

_SUFFIX = {"ks": "KS"}


def distribution_profiles(
    cells: FrameLike,
    *,
    reference: pl.Expr,
    by: Sequence[str] = WELL_KEY,
    plate: Sequence[str] = ("Metadata_Plate",),
    features: Sequence[str] | None = None,
    measures: Sequence[str] = ASPECTS,
    relative: bool = True,
    max_controls: int = 5000,
    seed: int = 0,
) -> pl.DataFrame:
    """Compare the distribution of each feature between the cells of a well and the control cells of its plate.

    Parameters
    ----------
    cells
        Cells of one or several plates.
    reference
        A polars expression for the control cells. A control well is compared with the cells of the other control
        wells of its plate.
    by
        Keys of a well; they include those of the plate.
    plate
        Keys of a plate.
    features
        Features to compare; None: all.
    measures
        What to compare; see `phenoprint.profiles.distributions.compare_cells`.
    relative
        Whether differences are expressed in standard deviations of control wells with as many cells; otherwise in the
        units of the measure.
    max_controls
        Largest number of control cells per plate, shared equally between its control wells, but at least 150 of each.
    seed
        Seed of the draws.

    Returns
    -------
    polars.DataFrame
        One row per well, sorted: the keys, ``Metadata_Object_Count`` (cells) and Float32 features named
        ``<feature>_Shift`` and so on after their measure; NULL where a value is not known, for fewer than eight cells,
        and, for relative differences, on plates with fewer than four control wells.

    Raises
    ------
    DataError
        If a plate has no control cell.
    UnknownNameError, UsageError
        For unknown measures or features, or a `plate` that is not part of `by`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> wells = np.repeat([f"A{number:02d}" for number in range(1, 11)], 100)
    >>> values = rng.normal(size=1000) * np.where(wells == "A10", 3, 1)
    >>> cells = pl.DataFrame({"Metadata_Plate": ["p"] * 1000, "Metadata_Well": wells, "area": values})
    >>> found = distribution_profiles(cells, reference=pl.col("Metadata_Well") < "A09")
    >>> treated = found.filter(Metadata_Well="A10")
    >>> bool(treated["area_Spread"].item() > 5), bool(abs(treated["area_Shape"].item()) < 3)
    (True, True)
    """
    data = to_polars(cells)
    check_measures(measures)
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
    keys = [tuple(map(str, row)) for row in wells.keys.rows()]
    for key, rows in Groups.of(data, plate).items():
        here = data[rows]
        controls = here.filter(pl.Series(chosen[rows]))
        if controls.is_empty():
            raise DataError(f"expected control cells on each plate; found none on {key}: check the plate map's negcon")
        fitted = ControlDistributions.of(controls, names, by=by, measures=measures, max_cells=max_controls, seed=seed)
        values = feature_matrix(here, names)
        own = place[rows]
        order = np.argsort(own, kind="stable")
        starts = np.flatnonzero(np.diff(own[order], prepend=-1))
        for members in np.split(order, starts[1:]):
            well = int(own[members[0]])
            if len(members) < FEWEST_CELLS:
                continue
            found = fitted.compare(values[:, members], keys[well])
            for name, each in (fitted.relative(found, len(members), keys[well]) if relative else found).items():
                out[name][:, well] = each
    columns = [
        column
        for name in measures
        for column in feature_series(
            [f"{feature}_{_SUFFIX.get(name, name.capitalize())}" for feature in names], out[name].astype(np.float32)
        )
    ]
    return wells.keys.with_columns(pl.Series(OBJECT_COUNT, wells.sizes, dtype=pl.Int64), *columns)
