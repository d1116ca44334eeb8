"""The profiles of all wells as one frame: by their features, or by principal components where there are many."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from phenoprint.pipeline.wellprofiles import WellProfiles

__all__ = ["MOST_VALUES", "profiles_in_memory"]

# Up to so many values (such as 10,000 wells of 1,000 features) wells are mapped and clustered by their features, above
# it by 50 principal components of these.
MOST_VALUES = 10_000_000


def profiles_in_memory(
    given: WellProfiles, *, most_values: int = MOST_VALUES
) -> tuple[pl.DataFrame, tuple[str, float] | None]:
    """Return the profiles of all wells; with more than `most_values` values, their leading principal components.

    Returns
    -------
    tuple
        One row per well; and, for components, what was done in a sentence and the share of the variance that they hold.
    """
    if given.wells.height * len(given.features) <= most_values:
        return given.read(given.wells), None
    from phenoprint.analysis import leading_components

    vectors = given.vectors(given.wells, metric="euclidean")
    points, share = leading_components(vectors.values)
    values = np.full((given.wells.height, points.shape[1]), np.nan, np.float32)
    values[vectors.rows] = points
    names = [f"Component_{number:02d}" for number in range(1, points.shape[1] + 1)]
    components = pl.DataFrame(values, schema=names, nan_to_null=True)
    reason = (
        f"{len(points):,} wells are mapped and clustered by the {len(names)} leading principal components of "
        f"{len(vectors.features):,} features, which hold {share:.0%} of the variance: with more than "
        f"{most_values:,} values, not all features are in memory at once"
    )
    return given.wells.hstack(components), (reason, share)
