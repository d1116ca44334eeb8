"""Screens that start from imported tables instead of images: what is there, and which steps go on from it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from phenoprint.errors import ConfigError
from phenoprint.store import Screen, hash_key, load_receipts

if TYPE_CHECKING:
    from phenoprint.pipeline.steps.base import Step

__all__ = ["import_config", "imported_keys", "imported_tables", "steps_after_import"]

# Which step makes a table when a run starts from images.
MADE_BY = {
    "cell": "measure",
    "profile_well": "aggregate",
    "profile_normalized": "recipe",
    "profile_selected": "recipe",
    "profile_consensus": "consensus",
}
_FROM_CELLS = ("flag_cells", "aggregate", "learn_states", "heterogeneity")
_FROM_WELLS = ("recipe", "consensus", "plate_acceptance", "calls", "dose_response", "project")


def imported_tables(screen: Screen) -> frozenset[str]:
    """Return the tables of cells and profiles that were imported into a screen."""
    return frozenset(unit for _, unit in load_receipts(screen.path, "import") if unit in MADE_BY)


def imported_keys(screen: Screen) -> dict[tuple[str, str], str]:
    """Return a key for every plate of every imported table, by the step that would have made it and plate.

    It changes with what was imported. A step of which several tables were imported rests on all of them.
    """
    keys: dict[tuple[str, str], list[str]] = {}
    for (plate, unit), receipt in load_receipts(screen.path, "import").items():
        if unit in MADE_BY:
            keys.setdefault((MADE_BY[unit], plate or ""), []).append(f"{unit} {receipt.key}")
    return {place: hash_key(sorted(found)) for place, found in keys.items()}


def steps_after_import(steps: Sequence[Step], imported: frozenset[str]) -> tuple[Step, ...]:
    """Return the steps that go on from imported tables; none of them replaces what was imported.

    Examples
    --------
    >>> from phenoprint.pipeline.steps import STEPS
    >>> [step.name for step in steps_after_import(STEPS, frozenset({"profile_well"}))][:3]
    ['recipe', 'consensus', 'plate_acceptance']
    """
    wanted: set[str] = set()
    if imported & {"cell", "profile_well", "profile_normalized", "profile_selected"}:
        wanted |= set(_FROM_WELLS)
    if "cell" in imported:
        wanted |= set(_FROM_CELLS)
    if "profile_well" in imported:
        wanted -= {"flag_cells", "aggregate"} if "cell" not in imported else {"aggregate"}
    if "profile_selected" in imported:
        wanted -= {"recipe"}
    if "profile_consensus" in imported:
        wanted -= {"consensus"}
    return tuple(step for step in steps if step.name in wanted)


def import_config(screen: Screen) -> str:
    """Return a commented ``screen.toml`` for imported tables.

    Raises
    ------
    ConfigError
        Where nothing was imported.
    """
    if not imported_tables(screen):
        raise ConfigError(
            f"{screen.path} holds no configuration and no imported tables: import some with 'phenoprint import SOURCE "
            f"-o {screen.path}', or start from images with 'phenoprint init DIR'"
        )
    wells = screen.table("well").collect()
    has_controls = "Metadata_pert_type" in wells.columns and (wells["Metadata_pert_type"] == "negcon").any()
    lines = [
        "# What to do with the imported tables. Lines with a # are optional; the values shown are the defaults.",
        "",
        "[screen]",
        f"name = {json.dumps(screen.path.resolve().name, ensure_ascii=False)}",
        "",
        "[profiles]",
        '# recipe = "phenoprint"     # or "phenoprint-sphering", "profiling-recipe", "jump-production", or steps of',
        "#                           # your own: [[profiles.recipe]] with operation = ... and its parameters",
        '# reference = "negcon"      # or "all", for plates without negative controls'
        if has_controls
        else 'reference = "all"           # no well is known as a negative control; "negcon" once some are',
        "",
    ]
    return "\n".join(lines)
