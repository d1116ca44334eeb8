"""Steps, planner, receipts and executors: from a configuration to a finished screen.

Names load when they are first used: the command line reads events and configurations without the weight of the rest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phenoprint.pipeline.analyse import analyse_screen
    from phenoprint.pipeline.config import ScreenConfig, load_config, parse_config
    from phenoprint.pipeline.datasets import (
        fetch_dataset,
        list_manifests,
        load_manifest,
        phenoprint_home,
        verify_dataset,
    )
    from phenoprint.pipeline.doctor import Finding, examine
    from phenoprint.pipeline.events import Event, Message, StepFinished, StepStarted, UnitFinished
    from phenoprint.pipeline.finish import RunResult
    from phenoprint.pipeline.imported import imported_tables, write_import_config
    from phenoprint.pipeline.notes import recipe_notes
    from phenoprint.pipeline.plan import schedule_of, step_order
    from phenoprint.pipeline.platemaps import count_kinds, wells_by_kind
    from phenoprint.pipeline.recovery import truth_found
    from phenoprint.pipeline.runner import run_screen
    from phenoprint.pipeline.setup import Proposal, plate_drawings, propose, write_proposal
    from phenoprint.pipeline.similar import Similar, find_similar
    from phenoprint.pipeline.simulated_screen import SimulatedScreen, simulate_screen
    from phenoprint.pipeline.status import ScreenState, screen_notes, screen_state, screen_summary
    from phenoprint.pipeline.study_noise import noise_of_screen, simulated_noise
    from phenoprint.pipeline.verify import Verification, verify_screen

__all__ = [
    "Event",
    "Finding",
    "Message",
    "Proposal",
    "RunResult",
    "ScreenConfig",
    "ScreenState",
    "Similar",
    "SimulatedScreen",
    "StepFinished",
    "StepStarted",
    "UnitFinished",
    "Verification",
    "analyse_screen",
    "count_kinds",
    "examine",
    "fetch_dataset",
    "find_similar",
    "imported_tables",
    "list_manifests",
    "load_config",
    "load_manifest",
    "noise_of_screen",
    "parse_config",
    "phenoprint_home",
    "plate_drawings",
    "propose",
    "recipe_notes",
    "run_screen",
    "schedule_of",
    "screen_notes",
    "screen_state",
    "screen_summary",
    "simulate_screen",
    "simulated_noise",
    "step_order",
    "truth_found",
    "verify_dataset",
    "verify_screen",
    "wells_by_kind",
    "write_import_config",
    "write_proposal",
]

_HOMES = {
    "notes": ("recipe_notes",),
    "platemaps": ("count_kinds", "wells_by_kind"),
    "plan": ("schedule_of", "step_order"),
    "events": ("Event", "Message", "StepFinished", "StepStarted", "UnitFinished"),
    "datasets": ("fetch_dataset", "list_manifests", "load_manifest", "phenoprint_home", "verify_dataset"),
    "doctor": ("Finding", "examine"),
    "config": ("ScreenConfig", "load_config", "parse_config"),
    "imported": ("imported_tables", "write_import_config"),
    "recovery": ("truth_found",),
    "analyse": ("analyse_screen",),
    "finish": ("RunResult",),
    "runner": ("run_screen",),
    "setup": ("Proposal", "plate_drawings", "propose", "write_proposal"),
    "similar": ("Similar", "find_similar"),
    "simulated_screen": ("SimulatedScreen", "simulate_screen"),
    "status": ("ScreenState", "screen_notes", "screen_state", "screen_summary"),
    "study_noise": ("noise_of_screen", "simulated_noise"),
    "verify": ("Verification", "verify_screen"),
}


def __getattr__(name: str) -> Any:
    """Load a name from its module the first time it is asked for."""
    for module, names in _HOMES.items():
        if name in names:
            value = getattr(import_module(f"phenoprint.pipeline.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'phenoprint.pipeline' has no attribute {name!r}")
