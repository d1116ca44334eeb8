"""Features that the answers of a run leave out: those that are not phenotypes, and those with extreme values.

A recipe leaves such features out itself. Profiles that were imported selected (level 4b) or as treatments (level 5) go
through no recipe, and profiles before the selection hold every feature: here the same rule is applied to them as they
are read. The tables keep all their columns.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import polars as pl

from phenoprint.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from phenoprint.pipeline.config import ScreenConfig
    from phenoprint.pipeline.context import Context
    from phenoprint.pipeline.events import Message
    from phenoprint.store import Screen

__all__ = ["keep_parameter", "left_out", "nuisance_message", "treatment_profiles"]

# Made by a recipe, which has judged the features already.
_JUDGED = ("profile_selected", "profile_cross_fitted", "profile_consensus")


def keep_parameter(config: ScreenConfig) -> dict[str, list[str]]:
    """Return the setting that decides what counts as a phenotype, for the key of a step."""
    return {"keep_features": list(config.profiles.keep_features)}


def treatment_profiles(context: Context) -> pl.DataFrame:
    """Return the consensus profiles without the features that are not phenotypes."""
    frame = context.table("profile_consensus").collect()
    return frame.drop(list(left_out(context, "profile_consensus", frame.columns)))


def left_out(context: Context, table: str, columns: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return the features of a table that are not used, each with status and reason as in ``feature_status``.

    Raises
    ------
    UsageError
        If no feature would be left.
    """
    from phenoprint.profiles import nuisance_features

    if table in _JUDGED and table not in context.given:
        return {}
    names = [name for name in columns if not name.startswith("Metadata_")]
    # Tables of one screen may hold different features: what a table lacks need not be kept there.
    keep = [entry for entry in context.config.profiles.keep_features if any(fnmatchcase(n, entry) for n in names)]
    found = {n: ("nuisance", f"not a phenotype: {reason}") for n, reason in nuisance_features(names, keep).items()}
    if table in context.given:
        noted = context.table("feature_status").filter((pl.col("step") == "import") & (pl.col("status") == "extreme"))
        blown = dict(noted.select("feature", "reason").collect().iter_rows())
        kept = {name for name in blown if any(fnmatchcase(name, entry) for entry in keep)}
        found |= {name: ("extreme", blown[name]) for name in names if name in blown and name not in {*kept, *found}}
    if names and len(found) == len(names):
        raise UsageError(
            f"none of the {len(names)} features of {table} is a phenotype, such as {names[0]} "
            f'({found[names[0]][1]}); name those to keep: profiles.keep_features = ["{names[0]}"] in screen.toml'
        )
    return found


def nuisance_message(screen: Screen) -> list[Message]:
    """Return a message with the number of columns that were not phenotypes; none if there were none."""
    from phenoprint.pipeline.events import Message

    noted = screen.table("feature_status").filter(pl.col("status") == "nuisance").select("feature").unique()
    n = noted.collect().height
    text = (
        "left out of the selected profiles because they are not phenotypes (measured on whole images, positions, "
        f"object numbers): {n} of the columns; table feature_status lists them, profiles.keep_features keeps them"
    )
    return [Message(text)] if n else []
