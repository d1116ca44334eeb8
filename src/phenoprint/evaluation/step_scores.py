"""Scores of each step of a recipe: replicates, batches, positions and mechanisms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.errors import PhenoprintError, UsageError
from phenoprint.evaluation.mechanisms import moa_accuracy
from phenoprint.evaluation.mixing import batch_mixing, position_leakage
from phenoprint.evaluation.replicates import replicate_reproducibility
from phenoprint.evaluation.retrieval import average_precision
from phenoprint.evaluation.step_profiles import by_kind, drawn_plates, on_one_scale, replicates_apart
from phenoprint.evaluation.variance_shares import position_variance, variance_between
from phenoprint.profiles import consensus
from phenoprint.tables import Groups, feature_columns, frame_of, require_columns, to_polars

if TYPE_CHECKING:
    from phenoprint.tables import FrameLike, Result

__all__ = ["STEP_SCORES", "TREATMENT_SCORES", "score_steps"]

STEP_SCORES: Mapping[str, str] = MappingProxyType(
    {
        "replicate_retrieval": "Retrieval of a treatment's wells on other plates, and in other positions where the "
        "layout offers such, against the other treatments of the same plate: mean normalized average precision, as in "
        "`compare`; baseline: treatments shuffled within each plate. Larger is better.",
        "control_retrieval": "Retrieval of a treatment's wells against the negative controls of the same plate: mean "
        "normalized average precision; baseline: treatments shuffled within each plate, above 0 since wells normalized "
        "to few controls are more similar to each other than to these controls. Larger is better.",
        "reproducible_share": "Share of treatments whose replicates are more similar than 95% of random sets of as "
        "many wells of different treatments. Larger is better.",
        "moa_consistency": "Share of treatments with the same mechanism as their nearest neighbour of another "
        "compound; baseline: labels shuffled between compounds. Larger is better.",
        "moa_by_count": "The same by cell count alone. Profiles with a similar score contain no more than the count.",
        "batch_mixing": "Batches among the neighbours of a well: 0 only one, 1 as many as by chance; computed on wells "
        "of treatments in every batch, or on controls if those are few. Larger is better.",
        "plate_variance": "Adjusted share of variance that the plate explains, on wells of treatments on every plate, "
        "or on controls if those are few: 0 by chance. Smaller is better.",
        "batch_variance": "The same for the batch. Smaller is better.",
        "treatment_variance": "Adjusted share of variance of the treated wells that the treatment explains: 0 by "
        "chance. Larger is better.",
        "position_leakage": "Retrieval of wells in the same position of other plates, with other treatments, against "
        "all wells: mean normalized average precision. Smaller is better.",
        "position_variance": "Adjusted share of variance within a plate that row and column explain: 0 by chance. "
        "Smaller is better.",
        "n_features": "Number of features after the step.",
    }
)
"""The scores of `score_steps`, in order, with their meaning."""

TREATMENT_SCORES = frozenset(
    {"replicate_retrieval", "control_retrieval", "reproducible_share", "moa_consistency", "moa_by_count"}
)
"""The scores computed over treatments; the others are computed over wells."""

_N_NULL = 200  # random sets or shuffles per baseline; the standard error of a share is then below 0.04

_Score = tuple[float | None, float | None, int]


@dataclass(frozen=True)
class _Profiles:
    """Profiles after a step, on a common scale, and the columns that describe them."""

    frame: pl.DataFrame
    treated: pl.DataFrame
    controls: pl.DataFrame
    n_features: int
    treatment: list[str]
    label: str | None
    plate: str
    batch: str
    metric: str
    seed: int


def score_steps(
    steps: Sequence[Result],
    *,
    level3: FrameLike | None = None,
    treatment: Sequence[str] = ("Metadata_compound",),
    label: str | None = "Metadata_moa",
    plate: str = "Metadata_Plate",
    batch: str | None = None,
    metric: str = "cosine",
    max_wells: int = 2500,
    seed: int = 0,
) -> pl.DataFrame:
    """Score the profiles after each step of a recipe: replicates, batches, positions, mechanisms.

    Parameters
    ----------
    steps
        Results of `phenoprint.profiles.apply_recipe`.
    level3
        The profiles before the recipe; scored first, as number 0 and step ``level3``.
    treatment
        Columns that define a treatment; controls are identified by ``Metadata_pert_type`` if the profiles have it.
    label
        Column of the mechanism; None: not scored.
    plate
        Column of the plate.
    batch
        Column that should mix; None: ``Metadata_Batch`` if it has several values, else the plate.
    metric
        Similarity of profiles.
    max_wells
        With more wells, whole plates are drawn up to this number of wells: plates that share a treatment are drawn
        together, so that replicates are kept; the plates are the same for every step.
    seed
        Seed of this draw and of the baselines.

    Returns
    -------
    polars.DataFrame
        One row per step and score, in order: ``step`` (String), ``number`` (Int32, from 1; 0 for `level3`), ``score``
        (String, a key of `STEP_SCORES`), ``value`` (Float64, NULL if undefined), ``baseline`` (Float64, expected by
        chance, NULL if unknown), ``n`` and ``n_total`` (Int64: number of treatments for `TREATMENT_SCORES`, else of
        wells, that the value is based on, and their total), ``reason`` (String, why the value is NULL). A share of
        fewer than `LEAST_TREATMENTS` treatments is not meaningful.

    Raises
    ------
    UnknownNameError
        If the first profiles lack a column of `treatment`, `plate` or `batch`.
    UsageError
        For no profiles, or `max_wells` below 2.

    Notes
    -----
    Features in their own units, as measured on the images, cannot be compared by cosine, since integrated
    intensities would dominate. If the spreads of a step's features differ more than a hundredfold (90% against 10%
    quantile), or a typical feature is more than five spreads from zero, every feature is therefore scaled to median 0
    and MAD (times 1.4826) 1 over all wells of all plates, which preserves effects of plate, batch and position, and
    clipped to 20 spreads. Normalized profiles are scored without scaling, since a normalization also determines the
    weights of features.

    The scores are computed on the plates that the recipe was fitted to: they describe the steps and do not estimate
    the performance on other plates; for that see `compare`.

    Examples
    --------
    >>> from phenoprint.profiles import apply_recipe
    >>> rng = np.random.default_rng(0)
    >>> wells = pl.DataFrame({"Metadata_Plate": ["p", "q"] * 20, "Metadata_compound": list("aabb") * 10}).with_columns(
    ...     area=pl.Series(rng.normal(size=40)) + 9 * (pl.col("Metadata_Plate") == "q")
    ... )
    >>> steps = apply_recipe(wells, [{"operation": "normalize", "method": "standardize", "reference": "all"}])
    >>> scores = score_steps(steps, level3=wells, metric="euclidean", label=None)
    >>> [share > 0.9 for share in scores.filter(score="plate_variance")["value"]]
    [True, False]
    """
    stages = [] if level3 is None else [("level3", 0, to_polars(level3))]
    stages += [(step.name, number, step.frame) for number, step in enumerate(steps, start=1)]
    if not stages:
        raise UsageError("expected the results of apply_recipe, or level-3 profiles; found neither")
    first = stages[0][2]
    require_columns(first, [*treatment, plate, *([batch] if batch else [])], purpose="scores of steps")
    if not treatment or max_wells < 2:
        raise UsageError(f"treatment needs a column and max_wells 2 or more; found {list(treatment)} and {max_wells}")
    has_batches = "Metadata_Batch" in first.columns and first.get_column("Metadata_Batch").n_unique() > 1
    plates = drawn_plates(first, treatment, plate, max_wells=max_wells, seed=seed)
    rows = []
    for name, number, frame in stages:
        kept = frame if plates is None or plate not in frame.columns else frame.filter(pl.col(plate).is_in(plates))
        scaled = on_one_scale(kept)
        treated, controls = by_kind(scaled)
        profiles = _Profiles(
            scaled,
            treated,
            controls,
            n_features=len(feature_columns(frame)),
            treatment=list(treatment),
            label=label,
            plate=plate,
            batch=batch or ("Metadata_Batch" if has_batches else plate),
            metric=metric,
            seed=seed,
        )
        rows += [(name, number, *row) for row in _scored(profiles)]
    return frame_of("step_score", rows)


def _scored(profiles: _Profiles) -> list[tuple[str, float | None, float | None, int, int, str | None]]:
    found: dict[str, tuple[float | None, float | None, int, str | None]] = {}
    for names, scorer in _SCORERS.items():
        try:
            scores = scorer(profiles)
        except PhenoprintError as problem:
            found |= dict.fromkeys(names, (None, None, 0, str(problem)))
            continue
        for name, (value, baseline, n) in zip(names, scores, strict=True):
            if value is None or np.isnan(value):
                found[name] = (None, baseline, n, _NOTHING[name])
            else:
                found[name] = (float(value), baseline, n, None)
    named = [name for name in profiles.treatment if name in profiles.treated.columns]
    n_treatments = profiles.treated.select(named).drop_nulls().unique().height if named else 0
    rows = []
    for name in STEP_SCORES:
        value, baseline, n, reason = found[name]
        n_total = n_treatments if name in TREATMENT_SCORES else profiles.frame.height
        rows.append((name, value, baseline, n, n_total, reason))
    return rows


def _replicates(profiles: _Profiles) -> list[_Score]:
    """Score with negatives on the same plate, so that plate differences cannot help to retrieve replicates."""
    _need(profiles, profiles.treatment, profiles.plate)
    keys = profiles.treatment
    apart = replicates_apart(profiles.treated, keys, profiles.plate)[1]

    def scored(treated: pl.DataFrame) -> pl.DataFrame:
        return average_precision(
            replicates_apart(treated, keys, profiles.plate)[0],
            pos_sameby=keys,
            pos_diffby=apart,
            neg_sameby=[profiles.plate],
            neg_diffby=keys,
            metric=profiles.metric,
        )

    return [_beside_shuffled(profiles, scored)]


def _among_controls(profiles: _Profiles) -> list[_Score]:
    _need(profiles, profiles.treatment, profiles.plate, "Metadata_pert_type")
    if not profiles.controls.height:
        raise UsageError("no well has Metadata_pert_type 'negcon'")
    role, own = "Metadata_ is control", "Metadata_ own"
    # Controls are not replicates of each other: each has its own number, all treated wells have the same.
    controls = profiles.controls.with_columns(
        pl.lit(value=True).alias(role), pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias(own)
    )

    def scored(treated: pl.DataFrame) -> pl.DataFrame:
        marked = treated.with_columns(pl.lit(value=False).alias(role), pl.lit(0, dtype=pl.Int64).alias(own))
        precision = average_precision(
            pl.concat([marked, controls]),
            pos_sameby=[*profiles.treatment, own],
            neg_sameby=[profiles.plate],
            neg_diffby=[role],
            metric=profiles.metric,
        )
        return precision.filter(~pl.col(role))

    return [_beside_shuffled(profiles, scored)]


def _beside_shuffled(profiles: _Profiles, scored: Callable[[pl.DataFrame], pl.DataFrame]) -> _Score:
    """Score the treated wells, and again with treatments shuffled within each plate."""
    keys = profiles.treatment
    treated = profiles.treated.drop_nulls([*keys, profiles.plate])
    rng = np.random.default_rng(profiles.seed)
    order = np.arange(treated.height, dtype=np.intp)
    for rows in Groups.of(treated, [profiles.plate]).rows():
        order[rows] = rng.permutation(rows)
    value, n = _mean_by_treatment(scored(treated), keys)
    chance, _ = _mean_by_treatment(scored(treated.with_columns(treated.select(keys)[order])), keys)
    return (value, chance, n)


def _mean_by_treatment(scored: pl.DataFrame, keys: list[str]) -> tuple[float | None, int]:
    grouped = scored.group_by(keys, maintain_order=True)  # sums in a fixed order: the same to the last bit
    means = grouped.agg(pl.col("normalized_average_precision").mean())["normalized_average_precision"].drop_nulls()
    value = means.mean()
    return (float(value) if isinstance(value, float) else None, len(means))


def _reproducible(profiles: _Profiles) -> list[_Score]:
    _need(profiles, profiles.treatment)
    found = replicate_reproducibility(
        profiles.treated, profiles.treatment, metric=profiles.metric, null_size=_N_NULL, seed=profiles.seed
    )
    return [(found.fraction, 1 - found.quantile, found.n_groups)]


def _mechanisms(profiles: _Profiles) -> list[_Score]:
    if profiles.label is None:
        raise UsageError("no column of mechanisms was named")
    _need(profiles, profiles.treatment, profiles.label)
    # Doses of one compound must not count as neighbours.
    same = "Metadata_compound" if "Metadata_compound" in profiles.frame.columns else profiles.treatment[0]
    known = profiles.treated.drop_nulls([*profiles.treatment, profiles.label, same])
    if not known.height:
        raise UsageError(f"no treated well has a {profiles.label}")
    if known.get_column(profiles.label).n_unique() < 2:
        raise UsageError(f"all treated wells have the same {profiles.label}, so every neighbour has it")
    treatments = consensus(known, list(dict.fromkeys([*profiles.treatment, profiles.label, same])))
    found = moa_accuracy(
        treatments, profiles.label, [same], metric=profiles.metric, n_shuffles=_N_NULL, seed=profiles.seed
    )
    chance = None if np.isnan(found.shuffled_accuracy) else found.shuffled_accuracy
    return [(found.accuracy, chance, found.n), (found.count_accuracy, chance, found.n)]


def _batches(profiles: _Profiles) -> list[_Score]:
    _need(profiles, profiles.batch)
    found = batch_mixing(_alike(profiles, profiles.batch), profiles.batch, metric=profiles.metric)
    return [(found.mixing, 1.0, found.n)]


def _leakage(profiles: _Profiles) -> list[_Score]:
    _need(profiles, profiles.treatment, profiles.plate, "Metadata_Well")
    treated = profiles.treated.drop_nulls(profiles.treatment)
    value = position_leakage(treated, profiles.treatment, plate=profiles.plate, metric=profiles.metric)
    return [(value, 0.0, treated.height)]


def _position(profiles: _Profiles) -> list[_Score]:
    _need(profiles, profiles.plate)
    return [(position_variance(profiles.frame, profiles.plate), 0.0, profiles.frame.height)]


def _treatments(profiles: _Profiles) -> list[_Score]:
    _need(profiles, profiles.treatment)
    return [(variance_between(profiles.treated, profiles.treatment), 0.0, profiles.treated.height)]


def _plates(profiles: _Profiles) -> list[_Score]:
    _need(profiles, profiles.plate)
    wells = _alike(profiles, profiles.plate)
    return [(variance_between(wells, [profiles.plate]), 0.0, wells.height)]


def _between_batches(profiles: _Profiles) -> list[_Score]:
    _need(profiles, profiles.batch)
    wells = _alike(profiles, profiles.batch)
    return [(variance_between(wells, [profiles.batch]), 0.0, wells.height)]


def _alike(profiles: _Profiles, by: str) -> pl.DataFrame:
    """Select wells that are comparable between plates or batches: of treatments in each of them, or else controls.

    Controls are the second choice because most steps are fitted to them. A sphering makes the controls that it was
    fitted to dissimilar, whatever its effect on other wells.
    """
    if set(profiles.treatment) <= set(profiles.treated.columns):
        treated = profiles.treated.drop_nulls([*profiles.treatment, by])
        everywhere = pl.col(by).n_unique().over(profiles.treatment) == pl.col(by).n_unique()
        shared = treated.filter(everywhere)
        if 2 * shared.height >= treated.height > 0:
            return shared
    return profiles.controls if profiles.controls.height else profiles.treated


def _need(profiles: _Profiles, *columns: str | list[str]) -> None:
    names = [name for given in columns for name in ([given] if isinstance(given, str) else given)]
    absent = [name for name in names if name not in profiles.frame.columns]
    if absent:
        raise UsageError(f"the profiles have no {', '.join(absent)}")


_Scorer = Callable[[_Profiles], list[_Score]]

_SCORERS: Mapping[tuple[str, ...], _Scorer] = MappingProxyType(
    {
        ("replicate_retrieval",): _replicates,
        ("control_retrieval",): _among_controls,
        ("reproducible_share",): _reproducible,
        ("moa_consistency", "moa_by_count"): _mechanisms,
        ("batch_mixing",): _batches,
        ("plate_variance",): _plates,
        ("batch_variance",): _between_batches,
        ("treatment_variance",): _treatments,
        ("position_leakage",): _leakage,
        ("position_variance",): _position,
        ("n_features",): lambda profiles: [(float(profiles.n_features), None, profiles.frame.height)],
    }
)

_NOTHING: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(STEP_SCORES, "no pairs or groups to score")
    | {
        "reproducible_share": "no treatment has at least two usable wells and at most as many as there are treatments",
        "moa_consistency": "no treatment has a neighbour of another compound",
        "moa_by_count": "some treatment has no Metadata_Object_Count",
        "position_leakage": "no position has different treatments on different plates",
        "position_variance": "no plate has enough wells for a row and column effect, or no feature varies",
    }
)
