"""The noise of wells for studies of power: that of the controls of a screen, or simulated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from phenoprint.errors import UsageError
from phenoprint.evaluation import ControlNoise
from phenoprint.pipeline.exclusions import exclusions_of, without_excluded
from phenoprint.tables import METADATA_PREFIX, PERT_TYPE, PLATE, WELL_KEY

if TYPE_CHECKING:
    from phenoprint.store import Screen

__all__ = ["noise_of_screen", "simulated_noise"]

_SIMULATED_WELLS = 320


def noise_of_screen(screen: Screen) -> tuple[ControlNoise, str]:
    """Learn the noise of the negative controls of a screen from its selected profiles, and describe them in words.

    Raises
    ------
    UsageError
        If the screen has no selected profiles, or too few negative controls.
    """
    from phenoprint.profiles import nuisance_features

    if "profile_selected" not in screen.tables():
        raise UsageError(
            f"{screen.path} has no selected profiles to learn the noise of controls from: run it first "
            "('phenoprint run'), or leave the screen out for simulated controls"
        )
    kinds = screen.table("well").filter(pl.col(PERT_TYPE) == "negcon").select(WELL_KEY)
    rows = screen.table("profile_selected").join(kinds, on=WELL_KEY, how="semi").collect()
    rows = without_excluded(rows, exclusions_of(screen.path)).sort(WELL_KEY)
    features = [name for name in rows.columns if not name.startswith(METADATA_PREFIX)]
    noise = ControlNoise.of(rows.drop(list(nuisance_features(features, []))))
    n_plates = rows[PLATE].n_unique()
    plates = f"{n_plates} plate{'' if n_plates == 1 else 's'}"
    return noise, f"{rows.height} negative controls on {plates}, {noise.n_features} features"


def simulated_noise(*, seed: int = 0) -> tuple[ControlNoise, str]:
    """Learn the noise of simulated wells, and describe them in words."""
    from phenoprint.profiles import normalize
    from phenoprint.simulation import simulate_profiles

    simulated = simulate_profiles(
        "null", n_plates=1, n_replicates=1, n_compounds=1, n_controls=_SIMULATED_WELLS, seed=seed
    )
    wells = simulated.wells.filter(pl.col(PERT_TYPE) == "negcon")
    noise = ControlNoise.of(normalize(wells, method="standardize"))
    return noise, f"simulated controls, {noise.n_features} features; give a screen to use its own"
