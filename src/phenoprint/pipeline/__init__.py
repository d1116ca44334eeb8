"""Steps, planner, receipts and executors: from a configuration to a finished screen."""

from __future__ import annotations

from phenoprint.pipeline.config import ScreenConfig, load_config, parse_config
from phenoprint.pipeline.runner import RunResult, run_screen
from phenoprint.pipeline.setup import Proposal, plate_drawings, propose, write_proposal
from phenoprint.pipeline.simulation import SimulatedScreen, simulate_screen
from phenoprint.pipeline.status import ScreenState, screen_state, screen_summary
from phenoprint.pipeline.verify import Verification, verify_screen

__all__ = [
    "Proposal",
    "RunResult",
    "ScreenConfig",
    "ScreenState",
    "SimulatedScreen",
    "Verification",
    "load_config",
    "parse_config",
    "plate_drawings",
    "propose",
    "run_screen",
    "screen_state",
    "screen_summary",
    "simulate_screen",
    "verify_screen",
    "write_proposal",
]
