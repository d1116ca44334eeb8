"""Steps from well profiles (level 3) to those of treatments (level 5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import polars as pl

from phenoprint.errors import DataError
from phenoprint.pipeline.exclusions import well_ledger
from phenoprint.pipeline.imported import require_all_plates
from phenoprint.pipeline.notes import reference_verdicts
from phenoprint.pipeline.phenotypes import keep_parameter, left_out
from phenoprint.pipeline.recipe import normalizer_packages, recipe_of, reference_kind
from phenoprint.pipeline.recipe_run import Profiles, RecipeRun
from phenoprint.pipeline.screen_files import drop_table
from phenoprint.pipeline.steps.base import Outcome, Scope, Step, Unit
from phenoprint.pipeline.wellprofiles import WellProfiles
from phenoprint.store import ledger_rows, remove_file
from phenoprint.tables import WELL_KEY, frame_of

if TYPE_CHECKING:
    from phenoprint.pipeline.config import ScreenConfig
    from phenoprint.pipeline.context import Context

__all__ = ["ApplyRecipe", "Consensus"]

_EVERY_STEP = "*"
# Statuses of features that are kept.
_NOTES = (
    "ok",
    "pooled",
    "limited",
    "imputed",
    "skipped",
    "reference_all",
    "few_cells",
    "worse",
    "not_converged",
    "nan_input",
    "infinite_input",
)
_IS_LOST = ~pl.col("status").is_in(_NOTES)


class ApplyRecipe(Step):
    """Apply the recipe to well profiles: normalize, correct, select (levels 4a and 4b)."""

    name = "recipe"
    title = "Recipe"
    scope = Scope.SCREEN
    needs = ("profile_well", "well", "exclusion")
    uses = ("profile_heterogeneity",)
    instead: ClassVar = {"profile_well": "profile_normalized"}
    tables = (
        "profile_selected",
        "profile_normalized",
        "profile_step",
        "step_score",
        "feature_status",
        "plate_acceptance",
    )
    parts: ClassVar = {"feature_status": "recipe", "profile_step": _EVERY_STEP, "plate_acceptance": "reference"}

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return the steps, the kind of the reference wells, and the seed of the scores."""
        recipe = recipe_of(config.profiles)
        return {
            "recipe": recipe.name,
            "steps": recipe.to_list(),
            "reference": reference_kind(recipe),
            "seed": config.evaluation.seed,
            "distributions": config.heterogeneity.in_profiles,
            **normalizer_packages(recipe),
        }

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Apply all steps, and store and score the result of each step."""
        try:
            return self._apply(RecipeRun.of(context))
        except Exception:
            _drop_models(context.path, keep=set())  # without a receipt, earlier steps' models are invalid
            raise

    def _apply(self, run: RecipeRun) -> Outcome:
        from phenoprint.profiles import run_recipe

        context = run.context
        # Levels 4a and 4b are files of the steps: those of another recipe must not remain beside the new ones.
        drop_table(context.path, "profile_step", part=_EVERY_STEP)
        wells = run.scored_wells()
        scores = [run.score(None, 0, run.given, wells)]
        statuses, ledgers, paths = [run.not_applied()], [run.excluded()], set[Path]()
        before = run.given
        steps = run_recipe(run.given, run.recipe, run.keep)
        for number, (step, after, status) in enumerate(steps, start=1):
            if not isinstance(after, Profiles):
                raise TypeError(f"expected the Profiles that were kept; found {type(after).__name__}")
            ledgers.append(_ledger(step.name, status, before, after))
            statuses.append(status)
            paths |= set(after.files)
            scores.append(run.score(step.name, number, after, wells))
            before = after
        _check_features(before, statuses)
        statuses.append(_extreme(before))
        _drop_models(context.path, keep=paths)
        status = pl.concat(statuses)
        tables = {
            "step_score": pl.concat(scores),
            "feature_status": status,
            "plate_acceptance": reference_verdicts(status),
        }
        files = tuple(sorted(path.relative_to(context.path).as_posix() for path in paths))
        return Outcome(tables, pl.concat(ledgers), files)


def _extreme(profiles: Profiles) -> pl.DataFrame:
    """List the features that a recipe keeps although they have extreme values."""
    from phenoprint.profiles import EXTREME, extreme_features

    largest: dict[str, float] = {}
    for plate in profiles:
        for name, value in extreme_features(plate).items():
            largest[name] = max(value, largest.get(name, 0.0))
    reason = f"values of {EXTREME:,.0f} spreads or more, which dominate all others; the recipe keeps them"
    rows = [(None, name, "recipe", "extreme", reason, value) for name, value in largest.items()]
    return frame_of("feature_status", rows)


def _drop_models(folder: Path, *, keep: set[Path]) -> None:
    for path in set((folder / "models").glob("[0-9][0-9]*_*.npz")) - keep:
        remove_file(path)


def _check_features(profiles: Profiles, statuses: list[pl.DataFrame]) -> None:
    """Raise where a recipe left no feature."""
    if set(profiles.features) - profiles.empty_everywhere:
        return
    lost = pl.concat(statuses).filter(_IS_LOST).group_by("step", "status").agg(pl.len(), pl.col("reason").first())
    losses = "; ".join(
        f"{step}: {count} x {status} ({reason})" for step, status, count, reason in lost.sort("step", "status").rows()
    )
    raise DataError(f"the recipe left no feature; {losses or 'the given profiles have none'}")


def _ledger(step: str, status: pl.DataFrame, before: Profiles, after: Profiles) -> pl.DataFrame:
    """Balance the features of a step over the screen and on each plate, and the wells of each plate.

    A feature without any value after a step counts as lost, like a dropped feature, and does not enter the next step.
    """
    lost_rows = status.filter(_IS_LOST & (pl.col("step") == step))
    why: dict[tuple[str | None, str], str] = {}
    for plate, name, word in lost_rows.select("Metadata_Plate", "feature", "status").iter_rows():
        why.setdefault((plate, name), word)
        why.setdefault((None, name), word)
    is_renamed = not set(after.features) <= set(before.features)
    kept = set(after.features)
    entering = [name for name in before.features if name not in before.empty_everywhere]
    gone = [name for name in entering if name not in kept or name in after.empty_everywhere]

    def reasons(names: Iterable[str], plate: str | None = None) -> dict[str, int]:
        found: dict[str, int] = {}
        for name in sorted(names):
            other = "replaced by the step" if is_renamed and name not in kept else "without a value"
            reason = why.get((plate, name)) or why.get((None, name)) or other
            found[reason] = found.get(reason, 0) + 1
        return found

    rows = [ledger_rows(step, None, unit_of_count="features", n_in=len(entering), lost=reasons(gone))]
    # A feature without values on one plate only is kept; it counts as lost on that plate.
    stay = set(entering) - set(gone)
    for plate, empty in after.empty.items():
        there = stay - before.empty.get(plate, frozenset())
        if lost := there & empty:
            rows.append(ledger_rows(step, plate, unit_of_count="features", n_in=len(there), lost=reasons(lost, plate)))
    for plate, n_in in before.n_wells.items():
        n_out = after.n_wells.get(plate, 0)
        gone_wells = {"left out by the step": n_in - n_out}
        rows.append(ledger_rows(step, plate, unit_of_count="wells", n_in=n_in, lost=gone_wells))
    return pl.concat(rows)


class Consensus(Step):
    """Make one profile per treatment from its wells (level 5)."""

    name = "consensus"
    title = "Consensus"
    scope = Scope.SCREEN
    needs = ("profile_selected", "exclusion")
    tables = ("profile_consensus", "feature_status")
    parts: ClassVar = {"feature_status": "consensus"}

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return the statistic, and the nuisance features to keep."""
        return {"statistic": config.profiles.consensus, **keep_parameter(config)}

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Compute the consensus of wells with the same compound and dose, for one block of treatments at a time."""
        from phenoprint.profiles import consensus_blocks

        require_all_plates(context.screen, "profile_selected")
        given = WellProfiles.of(context, "profile_selected")
        known = given.wells.filter(pl.col("Metadata_perturbation").is_not_null())
        blocks = given.treatments(known) if known.height else [given.read(known)]
        frame = consensus_blocks(blocks, ["Metadata_perturbation"], context.config.profiles.consensus)
        lost = {"not annotated, or annotated as empty": given.wells.height - known.height}
        ledger = ledger_rows(self.name, None, unit_of_count="wells", n_in=given.wells.height, lost=lost)
        if "profile_selected" in context.given:
            wells = context.table("profile_selected").select(WELL_KEY).collect()
            ledger = pl.concat([well_ledger(wells, context.exclusions(by_hand=True)), ledger])
        out = left_out(context, "profile_selected", given.schema)
        reasons = [status for status, _ in out.values()]
        if reasons:
            features = {reason: reasons.count(reason) for reason in sorted(set(reasons))}
            n_features = len(given.features) + len(out)
            rows = ledger_rows(self.name, None, unit_of_count="features", n_in=n_features, lost=features)
            ledger = pl.concat([ledger, rows])
        statuses = [(None, name, self.name, *why, None) for name, why in out.items()]
        status = frame_of("feature_status", statuses)
        tables = {"profile_consensus": frame.sort("Metadata_perturbation"), "feature_status": status}
        return Outcome(tables, ledger)
