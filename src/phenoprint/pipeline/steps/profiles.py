"""Steps from well profiles (level 3) to those of treatments (level 5)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import polars as pl

from phenoprint.errors import DataError
from phenoprint.pipeline.recipe import after_4a, level_4a, recipe_of, reference_kind
from phenoprint.pipeline.steps.base import Outcome, Scope, Step, Unit
from phenoprint.store import encode_name, ledger_rows

if TYPE_CHECKING:
    from phenoprint.pipeline.config import ScreenConfig
    from phenoprint.pipeline.context import Context
    from phenoprint.profiles import Recipe, StepResult

__all__ = ["ApplyRecipe", "Consensus"]

WELL = ["Metadata_Plate", "Metadata_Well"]
_EVERY_STEP = "*"
# A spread that was pooled over plates, or a value that was limited, is a note on a feature, not its loss.
_IS_LOST = ~pl.col("status").is_in(["ok", "pooled", "limited", "skipped"]) & ~pl.col("step").str.ends_with("_check")


class ApplyRecipe(Step):
    """Take well profiles through the steps of the recipe: normalized, corrected, selected (levels 4a and 4b)."""

    name = "recipe"
    title = "Recipe"
    scope = Scope.SCREEN
    needs = ("aggregate",)
    tables = ("profile_normalized", "profile_selected", "profile_step", "step_score", "feature_status")
    parts: ClassVar = {"feature_status": "recipe", "profile_step": _EVERY_STEP}

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return the steps, what the profiles rest on, and the seed of the scores."""
        recipe = recipe_of(config.profiles)
        return {
            "recipe": recipe.name,
            "steps": recipe.to_list(),
            "reference": reference_kind(recipe),
            "seed": config.evaluation.seed,
        }

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Apply all steps, keep what each of them made, and score what it did to replicates, batches and positions."""
        from phenoprint.evaluation import score_steps
        from phenoprint.profiles import iterate_recipe

        given = "profile_well" if "profile_normalized" not in context.imported else "profile_normalized"
        profiles = context.profiles(given)
        counts = profiles.get_column("Metadata_Object_Count", default=pl.Series([None]))
        recipe = recipe_of(context.config.profiles, has_counts=counts.null_count() < len(counts))
        if given == "profile_normalized":  # what was imported normalized goes on from there
            recipe = after_4a(recipe)
        _check_reference(recipe, profiles)
        seed = context.config.evaluation.seed
        told = partial(score_steps, treatment=["Metadata_perturbation"], seed=seed)
        scores = [told([], level3=profiles)]
        kept_as = level_4a(recipe)
        before, normalized, paths = profiles, profiles, set[Path]()
        statuses, ledgers = [], []
        for number, result in enumerate(iterate_recipe(profiles, recipe), start=1):
            ledgers.append(_ledger(result, before))
            statuses.append(result.status)
            paths |= _keep(context, result, number)
            scores.append(told([result]).with_columns(number=pl.lit(number, pl.Int32)))
            before = result.frame
            normalized = before if result.name == kept_as else normalized
        _check_features(before, statuses)
        tables = {
            **({"profile_normalized": normalized.sort(WELL)} if given == "profile_well" else {}),
            "profile_selected": before.sort(WELL),
            "step_score": pl.concat(scores),
            "feature_status": pl.concat(statuses),
        }
        files = tuple(sorted(path.relative_to(context.path).as_posix() for path in paths))
        return Outcome(tables, pl.concat(ledgers), files)


def _check_reference(recipe: Recipe, profiles: pl.DataFrame) -> None:
    """Raise where a recipe rests on negative controls and there is none."""
    if reference_kind(recipe) != "negcon":
        return
    known = profiles["Metadata_pert_type"] if "Metadata_pert_type" in profiles.columns else pl.Series([None])
    if not (known == "negcon").any():
        raise DataError(
            "no well to normalize against: no well is annotated as negcon "
            '(set Metadata_pert_type in the plate map, or profiles.reference = "all")'
        )


def _check_features(profiles: pl.DataFrame, statuses: list[pl.DataFrame]) -> None:
    """Raise where a recipe left no feature to say anything with."""
    from phenoprint.profiles import feature_columns

    if feature_columns(profiles):
        return
    lost = pl.concat(statuses).filter(_IS_LOST).group_by("step", "status").agg(pl.len(), pl.col("reason").first())
    told = "; ".join(
        f"{step}: {count} x {status} ({reason})" for step, status, count, reason in lost.sort("step", "status").rows()
    )
    raise DataError(f"the recipe left no feature; {told or 'the profiles came without'}")


def _keep(context: Context, result: StepResult, number: int) -> set[Path]:
    """Write what a step made, a file a plate and step."""
    name, place = pl.lit(result.name).alias("Metadata_Step"), pl.lit(number, pl.Int32).alias("Metadata_Step_Number")
    rows = result.frame.sort(WELL).with_columns(name, place)
    part = f"{number:02d}_{encode_name(result.name)}"
    return set(context.screen.write("profile_step", rows, part=part))


def _ledger(result: StepResult, before: pl.DataFrame) -> pl.DataFrame:
    """Balance the features of a step over the screen and on each plate, and the wells of each plate."""
    from phenoprint.profiles import feature_columns

    features = feature_columns(before)
    dropped = set(features) - set(feature_columns(result.frame))
    lost = result.status.filter(_IS_LOST)
    why = dict(lost.select("feature", "status").unique("feature", keep="first", maintain_order=True).iter_rows())
    reasons: dict[str, int] = {}
    for name in sorted(dropped):
        reason = why.get(name, "not kept by the step")
        reasons[reason] = reasons.get(reason, 0) + 1
    rows = [ledger_rows(result.name, None, unit_of_count="features", n_in=len(features), lost=reasons)]
    # A feature that cannot be used on one plate stays for the others: it is that plate's loss.
    on_plate = lost.filter(pl.col("Metadata_Plate").is_not_null() & ~pl.col("feature").is_in(list(dropped)))
    for (plate,), status in on_plate.group_by("Metadata_Plate", maintain_order=True):
        counts = dict(status.unique("feature").group_by("status").len().sort("status").iter_rows())
        n_in = len(features) - len(dropped)
        rows.append(ledger_rows(result.name, str(plate), unit_of_count="features", n_in=n_in, lost=counts))
    left = dict(result.frame.group_by("Metadata_Plate").len().iter_rows())
    for plate, count in before.group_by("Metadata_Plate").len().sort("Metadata_Plate").iter_rows():
        gone = {"left out by the step": count - left.get(plate, 0)}
        rows.append(ledger_rows(result.name, plate, unit_of_count="wells", n_in=count, lost=gone))
    return pl.concat(rows)


class Consensus(Step):
    """Sum the wells of a treatment up to one profile (level 5)."""

    name = "consensus"
    title = "Consensus"
    scope = Scope.SCREEN
    needs = ("recipe",)
    tables = ("profile_consensus",)

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return the statistic."""
        return {"statistic": config.profiles.consensus}

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Take the consensus of wells that share compound and dose."""
        from phenoprint.profiles import consensus

        profiles = context.profiles("profile_selected")
        known = profiles.filter(pl.col("Metadata_perturbation").is_not_null())
        frame = consensus(known, by=["Metadata_perturbation"], statistic=context.config.profiles.consensus)
        lost = {"not annotated, or annotated as empty": profiles.height - known.height}
        ledger = ledger_rows(self.name, None, unit_of_count="wells", n_in=profiles.height, lost=lost)
        return Outcome({"profile_consensus": frame.sort("Metadata_perturbation")}, ledger)
