"""Hits: treatments ranked by their distance to held-out controls, with what else is known of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import polars as pl

from phenoprint.errors import UsageError
from phenoprint.evaluation.activity import combined, corrected_p, correlation_of_folds
from phenoprint.evaluation.fold_distances import FoldControls, FoldDistance
from phenoprint.evaluation.fold_profiles import treated_wells
from phenoprint.tables import (
    COMPOUND,
    DOSE,
    DOSE_UNIT,
    MOA,
    PERT_TYPE,
    PERTURBATION,
    WELL_KEY,
    declared_columns,
    feature_columns,
    frame_of,
    metadata_columns,
    to_polars,
)

if TYPE_CHECKING:
    from phenoprint.tables import FrameLike

__all__ = ["HitLimits", "describe_treated", "find_hits", "rank_hits"]

_ABOUT: Final = [COMPOUND, DOSE, DOSE_UNIT, MOA, PERT_TYPE]


@dataclass(frozen=True, kw_only=True)
class HitLimits:
    """What makes a hit.

    Attributes
    ----------
    distance
        The distance whose corrected p value decides: ``"mahalanobis"`` or ``"energy"``.
    max_q
        Largest p value after correction for all treatments (Benjamini and Hochberg).
    min_effect
        Smallest effect size.
    min_inducing_share
        Smallest share of induced features.
    needs_agreement
        Whether replicates must agree better than random groups of wells, where there are replicates.
    """

    distance: Literal["mahalanobis", "energy"] = "mahalanobis"
    max_q: float = 0.05
    min_effect: float = 0.0
    min_inducing_share: float = 0.0
    needs_agreement: bool = False

    def __post_init__(self) -> None:
        """Check all values."""
        if self.distance not in ("mahalanobis", "energy"):
            raise UsageError(f"distance must be 'mahalanobis' or 'energy'; found {self.distance!r}")
        if not 0 < self.max_q <= 1 or not 0 <= self.min_inducing_share <= 1 or not self.min_effect >= 0:
            raise UsageError(
                "max_q must lie between 0 and 1, min_inducing_share between 0 and 1, min_effect at 0 or above; found "
                f"{self.max_q}, {self.min_inducing_share}, {self.min_effect}"
            )


def find_hits(
    folds: Sequence[FrameLike],
    *,
    limits: HitLimits | None = None,
    counts: pl.DataFrame | None = None,
    active: pl.DataFrame | None = None,
    agreement: pl.DataFrame | None = None,
    is_cross_fitted: bool = True,
    null_size: int = 10_000,
    spreads: float = 3.0,
    seed: int = 0,
) -> pl.DataFrame:
    """Rank the treatments of a screen by their distance to the negative controls.

    Parameters
    ----------
    folds
        Cross-fitted profiles, one frame per fold: all treatments, and the negative controls that the profiles of the
        fold were not fitted on.
    limits
        What makes a hit; None: `HitLimits()`.
    counts
        What `relative_counts` returned.
    active, agreement
        Tables ``activity`` and ``replicate_agreement``.
    is_cross_fitted
        Whether the controls were held out; otherwise p values are too small, and the reason says so.
    null_size
        Permutations of labels drawn for each treatment where there are more.
    spreads
        A feature is induced if it differs from the controls by more than so many robust standard deviations.
    seed
        Seed of the draws.

    Returns
    -------
    polars.DataFrame
        Table ``hit``; see `rank_hits`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> wells = pl.DataFrame({
    ...     "Metadata_Plate": ["p"] * 30,
    ...     "Metadata_Well": [f"A{i:02d}" for i in range(30)],
    ...     "Metadata_pert_type": ["trt"] * 6 + ["negcon"] * 24,
    ...     "Metadata_perturbation": ["a"] * 3 + ["b"] * 3 + ["DMSO"] * 24,
    ... }).hstack(pl.DataFrame(rng.normal(size=(30, 8)), schema=list("stuvwxyz")))
    >>> shifted = wells.with_columns(s=pl.col("s") + 6 * (pl.col("Metadata_perturbation") == "a"))
    >>> held_out = [shifted.filter(pl.col("Metadata_pert_type").ne("negcon") | (pl.int_range(30) % 2 == k))
    ...             for k in range(2)]
    >>> find_hits(held_out).select("Metadata_perturbation", "status", "rank").rows()
    [('a', 'hit', 1), ('b', 'not a hit', 2)]
    """
    frames = [to_polars(fold) for fold in folds]
    parts = []
    for frame in frames:
        controls = FoldControls.of(frame.filter(pl.col(PERT_TYPE) == "negcon"), feature_columns(frame))
        parts.append(controls.distances(treated_wells(frame), null_size=null_size, seed=seed, spreads=spreads))
    wells = pl.concat([frame.select(metadata_columns(frame)) for frame in frames], how="diagonal_relaxed")
    return rank_hits(
        describe_treated(wells.unique(WELL_KEY)),
        parts,
        limits=limits,
        counts=counts,
        active=active,
        agreement=agreement,
        is_cross_fitted=is_cross_fitted,
    )


def describe_treated(wells: pl.DataFrame) -> pl.DataFrame:
    """Return one row per treatment, sorted, with what the wells say of it and how many they are."""
    about = [name for name in _ABOUT if name in wells.columns]
    return (
        treated_wells(wells)
        .sort(WELL_KEY)
        .group_by(PERTURBATION, maintain_order=True)
        .agg(pl.col(about).drop_nulls().first(), pl.len().cast(pl.Int64).alias("n_wells"))
        .sort(PERTURBATION)
    )


def rank_hits(
    treatments: pl.DataFrame,
    distances: Sequence[Mapping[str, FoldDistance]],
    *,
    limits: HitLimits | None = None,
    counts: pl.DataFrame | None = None,
    active: pl.DataFrame | None = None,
    agreement: pl.DataFrame | None = None,
    is_cross_fitted: bool = True,
) -> pl.DataFrame:
    """Judge and rank treatments by the distances of all folds.

    Parameters
    ----------
    treatments
        One row per treatment: ``Metadata_perturbation``, what is known of it, and ``n_wells``, its wells with a
        profile (0 for none).
    distances
        By fold, what `FoldControls.distances` returned.
    limits, counts, active, agreement, is_cross_fitted
        As in `find_hits`.

    Returns
    -------
    polars.DataFrame
        Table ``hit``, one row per treatment, hits first, then by effect.

    Notes
    -----
    The effect is the squared Mahalanobis distance less that expected by chance, relative to that of a single well
    without effect: 0 without an effect, whatever the number of wells, and 1 where the treatment moves the profile as
    far as the noise of one well does. It is the root of the mean over folds. A treatment whose activity is that of its
    well position is no hit.
    """
    limits = HitLimits() if limits is None else limits
    joined = treatments.join(_over_folds(distances), on=PERTURBATION, how="left")
    joined = joined.with_columns(
        *(
            pl.Series(name, corrected_p(joined[of].to_list()), dtype=pl.Float64).fill_nan(None)
            for name, of in (("q_value", "p_value"), ("energy_q_value", "energy_p_value"))
        ),
        pl.lit(is_cross_fitted).alias("is_cross_fitted"),
    )
    for other in (counts, _of_activity(active), _of_agreement(agreement)):
        if other is not None:
            joined = joined.join(other, on=PERTURBATION, how="left")
    joined = _complete(joined)
    judged = _judge(joined, limits)
    order = judged.sort(
        ["is_hit", "effect", "p_value", PERTURBATION],
        descending=[True, True, False, False],
        nulls_last=True,
    )
    ranked = order.with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int32).alias("rank"))
    return declared_columns(ranked, "hit")


def _over_folds(distances: Sequence[Mapping[str, FoldDistance]]) -> pl.DataFrame:
    """Average the distances of each treatment over folds, and combine its p values as activity does."""
    names = sorted({name for fold in distances for name in fold})
    found = [[fold[name] for fold in distances if name in fold] for name in names]
    known = [[each.distance for each in own if each.distance is not None] for own in found]
    tests = {
        "": [[distance.mahalanobis_test for distance in own] for own in known],
        "energy_": [[distance.energy_test for distance in own] for own in known],
    }
    columns: dict[str, list[object]] = {
        PERTURBATION: list(names),
        "n_judged": [max(each.n_wells for each in own) for own in found],
        "n_controls": [sum(each.n_controls for each in own) for own in found],
        "n_features": [min(each.n_features for each in own) for own in found],
        "inducing_share": [_mean([e.inducing_share for e in own if e.inducing_share is not None]) for own in found],
        "effect": [_root(_mean([distance.squared_effect for distance in own])) for own in known],
        "mahalanobis_distance": [_root(_mean([distance.squared for distance in own])) for own in known],
        "energy_distance": [_mean([distance.energy for distance in own]) for own in known],
    }
    for prefix, of_folds in tests.items():
        shared = correlation_of_folds(of_folds)
        columns[prefix + "p_value"] = [combined(own, shared) if own else None for own in of_folds]
        if not prefix:
            columns["smallest_p"] = [combined(own, shared, smallest=True) if own else None for own in of_folds]
    template = frame_of("hit").with_columns(pl.lit(0, pl.Int64).alias("n_judged"))
    return pl.DataFrame(columns, schema={name: template.schema[name] for name in columns})


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _root(squared: float | None) -> float | None:
    return None if squared is None else float(np.sqrt(max(squared, 0.0)))


def _of_activity(active: pl.DataFrame | None) -> pl.DataFrame | None:
    if active is None:
        return None
    names = {
        "mean_average_precision": "mean_average_precision",
        "corrected_p_value": "activity_q_value",
        "below_corrected_p": "is_active",
        "status": "activity_status",
    }
    return active.select(PERTURBATION, **{new: pl.col(old) for old, new in names.items() if old in active.columns})


def _of_agreement(agreement: pl.DataFrame | None) -> pl.DataFrame | None:
    if agreement is None:
        return None
    return agreement.select(PERTURBATION, "is_reproducible", replicate_similarity=pl.col("median_similarity"))


def _complete(joined: pl.DataFrame) -> pl.DataFrame:
    """Add the columns of the table that are not known, as NULL."""
    template = frame_of("hit")
    absent = [name for name in template.columns if name not in joined.columns]
    return joined.with_columns(pl.lit(None, dtype=template.schema[name]).alias(name) for name in absent)


def _judge(joined: pl.DataFrame, limits: HitLimits) -> pl.DataFrame:
    """Add whether each treatment is a hit, its status, and the reason in words."""
    q = pl.col("q_value" if limits.distance == "mahalanobis" else "energy_q_value")
    is_far = q <= limits.max_q
    # Where position makes wells alike, activity has compared the treatment with controls in one position.
    is_position = ((pl.col("activity_status") == "judged against control positions") & ~pl.col("is_active")).fill_null(
        value=False
    )
    disagrees = pl.lit(limits.needs_agreement) & ~pl.col("is_reproducible").fill_null(value=True)
    shortfalls = (
        (~is_far, pl.lit("its distance is within that of the controls")),
        (is_position, pl.lit("its wells resemble each other no more than controls in one position do")),
        (pl.col("effect") < limits.min_effect, pl.lit(f"the effect is below {limits.min_effect:g}")),
        (
            pl.col("inducing_share") < limits.min_inducing_share,
            pl.lit(f"fewer than {limits.min_inducing_share:.0%} of the features are induced"),
        ),
        (disagrees, pl.lit("its replicates do not agree")),
    )
    shortfall = pl.coalesce(*(pl.when(test.fill_null(value=False)).then(why) for test, why in shortfalls))
    has_distance = pl.col("p_value").is_not_null()
    is_hit = pl.when(has_distance).then(shortfall.is_null())
    stuck = (pl.col("smallest_p") > limits.max_q).fill_null(value=False)
    status = (
        pl.when(pl.col("n_wells") == 0)
        .then(pl.lit("no profile"))
        .when(~has_distance)
        .then(pl.lit("no controls"))
        .when(pl.col("n_judged") == 1)
        .then(pl.lit("one well"))
        .when(stuck)
        .then(pl.lit("cannot pass"))
        .when(is_far & is_position)
        .then(pl.lit("position"))
        .when(shortfall.is_null())
        .then(pl.lit("hit"))
        .otherwise(pl.lit("not a hit"))
    )
    judged = joined.with_columns(is_hit.alias("is_hit"), status.alias("status"), shortfall.alias("_short"))
    return judged.with_columns(_reason().alias("reason"))


def _reason() -> pl.Expr:
    """Return the reason in words."""
    status, short = pl.col("status"), pl.col("_short")
    one = pl.lit("one well, judged against single controls of all plates")
    said = (
        pl.when(status == "no profile")
        .then(pl.lit("no well of the treatment has a profile"))
        .when(status == "no controls")
        .then(pl.lit("too few held-out negative controls on its plates, or they do not vary"))
        .when(status == "one well")
        .then(pl.when(short.is_null()).then(one).otherwise(one + ": " + short))
        .when(status == "cannot pass")
        .then(
            pl.lit("these numbers of wells cannot reach the limit, whatever the effect: the smallest p is ")
            + pl.col("smallest_p").round_sig_figs(2).cast(pl.String)
        )
        .otherwise(short)
    )
    toxic = pl.when(pl.col("toxicity") == "toxic").then(pl.lit("fewer cells than the controls"))
    unknown = (pl.col("activity_status") == "position not judged") & pl.col("is_hit")
    place = pl.when(unknown).then(pl.lit("too few controls share a position to know what position alone does"))
    fitted = pl.when(~pl.col("is_cross_fitted") & pl.col("p_value").is_not_null()).then(
        pl.lit("p values are too small: the profiles were normalized with the controls that they are compared with")
    )
    whole = pl.concat_str(said, toxic, place, fitted, separator="; ", ignore_nulls=True)
    return pl.when(whole == "").then(None).otherwise(whole)
