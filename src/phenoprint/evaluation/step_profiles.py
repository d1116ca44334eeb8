"""Prepare profiles for scores: draw plates, split kinds of wells, scale features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from phenoprint.tables import WELL, feature_columns, feature_matrix, mad, median, well_places, with_features

__all__ = ["by_kind", "drawn_plates", "on_one_scale", "replicates_apart"]

_OWN_UNITS = 100.0  # ratio of the features' spreads (90% to 10% quantile); below some tens for scaled profiles
_FAR = 5.0  # distance of a typical feature's centre from zero, in spreads; near zero for centred profiles
_LIMIT = 20.0  # spreads
_PLACE = "Metadata_ place"


def drawn_plates(
    frame: pl.DataFrame, treatment: Sequence[str], plate: str, *, max_wells: int, seed: int
) -> list[str] | None:
    """Draw plates that share treatments up to `max_wells` wells; None if all plates fit.

    Examples
    --------
    >>> wells = pl.DataFrame({"Metadata_Plate": list("pqrs") * 2, "Metadata_compound": list("aaaabbbb")})
    >>> drawn_plates(wells, ["Metadata_compound"], "Metadata_Plate", max_wells=4, seed=0)
    ['r', 'p']
    """
    if frame.height <= max_wells:
        return None
    treated = by_kind(frame)[0].select(*treatment, plate).drop_nulls()
    sizes = dict(frame.group_by(plate).len().iter_rows())
    plates_of = treated.group_by(list(treatment)).agg(pl.col(plate).unique().sort()).sort(list(treatment))
    rng = np.random.default_rng(seed)
    drawn: dict[str, None] = {}
    total = 0
    # Treatments in random order, then the plates without treatments.
    order = rng.permutation(plates_of.height).tolist()
    groups = [plates_of.get_column(plate)[number].to_list() for number in order]
    for group in [*groups, sorted(name for name in sizes if name is not None)]:
        for name in rng.permutation(np.array(group, dtype=object)).tolist():
            if name in drawn:
                continue
            if drawn and total + sizes[name] > max_wells:
                return list(drawn)
            drawn[name] = None
            total += sizes[name]
    return list(drawn)


def by_kind(profiles: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Separate treated wells and negative controls; without Metadata_pert_type all wells are in both."""
    if "Metadata_pert_type" not in profiles.columns:
        return profiles, profiles
    is_control = (pl.col("Metadata_pert_type") == "negcon").fill_null(value=False)
    return profiles.filter(~is_control), profiles.filter(is_control)


def on_one_scale(frame: pl.DataFrame) -> pl.DataFrame:
    """Scale features in their own units to median 0 and MAD 1 over all wells; scaled profiles are unchanged."""
    features = feature_columns(frame)
    values = feature_matrix(frame, features)
    if not values.size:
        return frame
    center, spread = median(values), mad(values)
    varies = spread > 0
    if not varies.any():
        return frame
    low, high = np.quantile(spread[varies], [0.1, 0.9])
    far = np.median(np.abs(center[varies]) / spread[varies])
    if high <= _OWN_UNITS * low and far <= _FAR:
        return frame
    # A feature with the same value in most wells has no spread to divide by; it is set to 0.
    scale = np.where(varies, spread, np.inf)[:, None]
    scaled = np.clip((values - center[:, None]) / scale, -_LIMIT, _LIMIT)
    return with_features(frame, features, scaled.astype(values.dtype))


def replicates_apart(treated: pl.DataFrame, treatment: Sequence[str], plate: str) -> tuple[pl.DataFrame, list[str]]:
    """Return the columns in which two wells must differ to count as replicates: the plate, and the position.

    Wells in the same position may be alike because of the position. Where most treatments on several plates have the
    same position on all of them, the layout offers no other pairs, and only the plate is named.

    Examples
    --------
    >>> wells = {"Metadata_Plate": list("pqpq"), "Metadata_Well": ["A01", "B07", "C01", "C05"], "t": list("aabb")}
    >>> replicates_apart(pl.DataFrame(wells), ["t"], "Metadata_Plate")[1]
    ['Metadata_Plate', 'Metadata_ place']
    """
    if WELL not in treated.columns or treated.get_column(WELL).null_count():
        return treated, [plate]
    place = well_places(treated)
    placed = treated.with_columns(pl.Series(_PLACE, place[:, 0] * 10_000 + place[:, 1]))
    repeated = (
        placed.drop_nulls([*treatment, plate])
        .group_by(list(treatment))
        .agg(pl.col(plate).n_unique().alias("plates"), pl.col(_PLACE).n_unique().alias("places"))
        .filter(pl.col("plates") > 1)
    )
    is_offered = repeated.filter(pl.col("places") > 1).height > repeated.height / 2
    return placed, [plate, _PLACE] if is_offered else [plate]
