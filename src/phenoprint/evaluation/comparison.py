"""Comparison of recipes on held-out plates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from phenoprint.errors import PhenoprintError, UsageError
from phenoprint.evaluation.mechanisms import moa_accuracy
from phenoprint.evaluation.mixing import batch_mixing, position_leakage
from phenoprint.evaluation.retrieval import average_precision
from phenoprint.evaluation.step_profiles import by_kind, replicates_apart
from phenoprint.profiles import Recipe, RecipeLike, consensus, recipe_named
from phenoprint.tables import feature_columns, require_columns, to_polars

if TYPE_CHECKING:
    from phenoprint.tables import FrameLike

__all__ = ["SCORES", "Comparison", "apply_held_out", "compare"]

SCORES = ("replicate_retrieval", "batch_mixing", "position_leakage", "moa_consistency")
"""The scores of `compare`; larger is better except for position_leakage."""


@dataclass(frozen=True, repr=False)
class Comparison:
    """Result of `compare`, printed as one line; the tables are `scores`, `summary` and `choices`.

    Attributes
    ----------
    scores
        One row per recipe, fold and part (``train`` or ``held_out``): ``recipe``, ``fold``, ``part``, ``n_plates``,
        ``n_features``, the columns of `SCORES` (NULL if the score is undefined), ``error`` (why a recipe failed).
    summary
        One row per recipe: the mean of each score over the held-out parts, best by `criterion` first.
    choices
        One row per fold: the recipe that was best on the training plates by `criterion`, and its score on the held-out
        plates, which were not used for the choice. The mean of these scores estimates the performance of the choice.
    criterion
        As in `compare`.
    held_out
        One row for each value of the column that is left out (plate, or batch), with the ``fold`` that leaves it out.
    """

    scores: pl.DataFrame
    summary: pl.DataFrame
    choices: pl.DataFrame
    criterion: str
    held_out: pl.DataFrame

    def __repr__(self) -> str:
        """Write the best recipe, its score and the number of folds on one line."""
        first, value = self.summary.select("recipe", self.criterion).row(0)
        score = "undefined" if value is None else f"{value:.3f}"
        recipes, folds = self.summary.height, self.held_out["fold"].n_unique()
        return f"compare({self.criterion}): {first} = {score} held out, best of {recipes} recipes over {folds} folds"


def compare(
    frame: FrameLike,
    recipes: Sequence[RecipeLike] | Mapping[str, RecipeLike] = ("phenoprint", "profiling-recipe"),
    *,
    treatment: Sequence[str] = ("Metadata_compound",),
    label: str | None = "Metadata_moa",
    plate: str = "Metadata_Plate",
    batch: str | None = None,
    leave_out: str | None = None,
    folds: int = 2,
    criterion: str = "replicate_retrieval",
    metric: str = "cosine",
    seed: int = 0,
) -> Comparison:
    """Score recipes on replicate retrieval, batch mixing, position leakage and mechanisms, leaving plates out.

    Parameters
    ----------
    frame
        Well profiles (level 3).
    recipes
        Names, recipes or lists of steps; a mapping gives names to lists.
    treatment
        Columns that define a treatment; controls are identified by ``Metadata_pert_type`` if the frame has it.
    label
        Column of the mechanism; None, or an absent column: not scored.
    plate
        Column of the plate.
    batch
        Column that should mix; None: ``Metadata_Batch`` if it has several values, else the plate.
    leave_out
        Column whose values are left out together, such as the batch; None: the plate.
    folds
        Number of parts to which plates are assigned at random; each part is held out once.
    criterion
        One of `SCORES`, by which a recipe is chosen on the training plates.
    metric
        Similarity of profiles.
    seed
        Seed of the assignment of plates to folds.

    Returns
    -------
    Comparison
        The scores. Parameters over plates (the selected features, a sphering on all controls) are fitted to the
        training plates; parameters of a plate are fitted to the wells of that plate.

    Raises
    ------
    UsageError
        For fewer plates than folds, or an unknown criterion.

    Notes
    -----
    No single score is sufficient. On BBBC021, where replicate plates have the same treatments, normalization to all
    wells of a plate retrieves replicates slightly better than normalization to controls (0.77 against 0.72), because
    the composition of the plate helps, while the score of mechanisms falls from 0.80 to 0.55 and batches mix worse.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> wells = pl.DataFrame({"Metadata_Plate": list("pqrs") * 4, "Metadata_compound": list("aaaabbbbccccdddd")})
    >>> wells = wells.with_columns(area=pl.Series(rng.normal(size=16)), mean=pl.Series(rng.normal(size=16)))
    >>> recipes = {"standardize": [{"operation": "normalize", "method": "standardize", "reference": "all"}]}
    >>> made = compare(wells, recipes, label=None)
    >>> made.scores.select("recipe", "fold", "part", "n_plates").row(1)
    ('standardize', 0, 'held_out', 2)
    """
    data = to_polars(frame)
    require_columns(data, [*treatment, plate], purpose="the comparison")
    if criterion not in SCORES:
        raise UsageError(f"criterion must be one of {list(SCORES)}; found {criterion!r}")
    named = _named(recipes)
    unit = leave_out or plate
    require_columns(data, [unit], purpose="leaving out")
    units = data.get_column(unit).drop_nulls().unique().sort().to_list()
    if folds < 2 or len(units) < folds:
        raise UsageError(f"expected at least two folds and as many values of {unit}; found {folds} and {len(units)}")
    fold_of = np.random.default_rng(seed).permutation(len(units)) % folds
    has_batches = "Metadata_Batch" in data.columns and data.get_column("Metadata_Batch").n_unique() > 1
    mixed = batch or ("Metadata_Batch" if has_batches else plate)
    rows: list[dict[str, Any]] = []
    for fold in range(folds):
        held_units = [name for name, number in zip(units, fold_of, strict=True) if number == fold]
        is_held = pl.col(unit).is_in(held_units)
        train, held = data.filter(~is_held), data.filter(is_held)
        for name, recipe in named.items():
            parts: tuple[pl.DataFrame | None, pl.DataFrame | None] = (None, None)
            error = None
            try:
                parts = apply_held_out(train, held, recipe)
            except PhenoprintError as problem:
                error = f"{type(problem).__name__}: {problem}"
            for part, profiles, before in zip(("train", "held_out"), parts, (train, held), strict=True):
                row: dict[str, Any] = {"recipe": name, "fold": fold, "part": part}
                row |= {"n_plates": before.get_column(plate).n_unique(), "n_features": None}
                row |= dict.fromkeys(SCORES) | {"error": error}
                if profiles is not None:
                    row["n_features"] = len(feature_columns(profiles))
                    row |= _scores(profiles, treatment, label=label, plate=plate, batch=mixed, metric=metric)
                rows.append(row)
    scores = pl.DataFrame(rows, schema=_SCHEMA)
    summary = (
        scores.filter(part="held_out")
        .group_by("recipe", maintain_order=True)
        .agg(pl.col("n_features").mean(), *(pl.col(name).mean() for name in SCORES))
        .sort(criterion, descending=criterion != "position_leakage", nulls_last=True, maintain_order=True)
    )
    held_out = pl.DataFrame({unit: units, "fold": fold_of}).cast({"fold": pl.Int64}).sort("fold", unit)
    return Comparison(scores, summary, _choices(scores, criterion), criterion, held_out)


_SCHEMA: dict[str, type[pl.DataType]] = {
    "recipe": pl.String,
    "fold": pl.Int64,
    "part": pl.String,
    "n_plates": pl.Int64,
    "n_features": pl.Int64,
    **dict.fromkeys(SCORES, pl.Float64),
    "error": pl.String,
}


def _named(recipes: Sequence[RecipeLike] | Mapping[str, RecipeLike]) -> dict[str, Recipe]:
    if isinstance(recipes, Mapping):
        return {name: recipe_named(recipe) for name, recipe in recipes.items()}
    made = [recipe_named(recipe) for recipe in recipes]
    names = [recipe.name for recipe in made]
    if len(set(names)) < len(names) or not names:
        raise UsageError(f"recipes need different names; found {names}. Pass a mapping from names to recipes")
    return dict(zip(names, made, strict=True))


def apply_held_out(train: FrameLike, held: FrameLike, recipe: RecipeLike) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Apply a recipe to training plates, and with the parameters fitted to them to held-out plates.

    Parameters
    ----------
    train, held
        Well profiles of different plates.
    recipe
        As in `apply_recipe`.

    Returns
    -------
    tuple of polars.DataFrame
        Both, transformed. Features that the selection drops on the training plates are dropped from both; a
        normalization without groups is fitted to the training plates; all other operations are fitted to each plate
        (or batch) separately.
    """
    first, second = to_polars(train), to_polars(held)
    for step in recipe_named(recipe).steps:
        fitted = step.fit([first])
        own = fitted if fitted.holds_elsewhere else step.fit([second])
        first, second = fitted.apply(first).frame, own.apply(second).frame
    return first, second


def _scores(
    profiles: pl.DataFrame, treatment: Sequence[str], *, label: str | None, plate: str, batch: str, metric: str
) -> dict[str, float | None]:
    treated, controls = by_kind(profiles)
    treated = treated.drop_nulls(list(treatment))
    return {
        "replicate_retrieval": _or_none(lambda: _retrieval(treated, treatment, plate, metric)),
        "batch_mixing": _or_none(
            lambda: batch_mixing(controls if controls.height else treated, batch, metric=metric).mixing
        ),
        "position_leakage": _or_none(lambda: position_leakage(treated, treatment, plate=plate, metric=metric)),
        "moa_consistency": None
        if label is None or label not in profiles.columns
        else _or_none(lambda: _consistency(treated, treatment, label, metric)),
    }


def _retrieval(treated: pl.DataFrame, treatment: Sequence[str], plate: str, metric: str) -> float | None:
    """Compute the mean normalized average precision of replicates on other plates, against wells of the same plate.

    Wells in the same position are no replicates where the layout offers others.

    Negatives are on the same plate, as in the JUMP protocol: differences between plates or batches then impair the
    retrieval of replicates and cannot help it, even if a treatment is in one batch only.
    """
    placed, apart = replicates_apart(treated, treatment, plate)
    scored = average_precision(
        placed,
        pos_sameby=list(treatment),
        pos_diffby=apart,
        neg_sameby=[plate],
        neg_diffby=list(treatment),
        metric=metric,
    )
    grouped = scored.group_by(list(treatment), maintain_order=True)  # sums in a fixed order, for identical results
    per_treatment = grouped.agg(pl.col("normalized_average_precision").mean())
    mean = per_treatment.select(pl.col("normalized_average_precision").mean()).item()
    return None if mean is None else float(mean)


def _consistency(treated: pl.DataFrame, treatment: Sequence[str], label: str, metric: str) -> float:
    known = treated.drop_nulls([label])
    profiles = consensus(known, list(dict.fromkeys([*treatment, label])))
    return moa_accuracy(profiles, label, [treatment[0]], metric=metric, n_shuffles=0).accuracy


def _or_none(score: Any) -> float | None:
    """Return the score, or None if there are no pairs, too few batches or no complete feature."""
    try:
        value = score()
    except PhenoprintError:
        return None
    return None if value is None or np.isnan(value) else float(value)


def _choices(scores: pl.DataFrame, criterion: str) -> pl.DataFrame:
    wanted = pl.col(criterion) if criterion != "position_leakage" else -pl.col(criterion)
    best = (
        scores.filter(part="train")
        .with_columns(wanted=wanted)
        .drop_nulls("wanted")
        .sort("fold", "wanted", descending=[False, True], maintain_order=True)
        .group_by("fold", maintain_order=True)
        .agg(pl.col("recipe").first())
    )
    held = scores.filter(part="held_out").drop("part", "error")
    return best.join(held, on=["fold", "recipe"], how="left").sort("fold")
