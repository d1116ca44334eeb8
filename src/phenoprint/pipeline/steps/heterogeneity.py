"""Steps that describe the distribution of the cells of a well, which its median does not show."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import polars as pl

from phenoprint.errors import DataError
from phenoprint.pipeline.phenotypes import left_out
from phenoprint.pipeline.steps.aggregation import judged_cells, well_batches
from phenoprint.pipeline.steps.base import Outcome, Scope, Step, Unit
from phenoprint.store import hash_key, ledger_rows, remove_file, strict_join, write_bytes
from phenoprint.tables import CELL_KEY, WELL_KEY

if TYPE_CHECKING:
    from phenoprint.pipeline.config import ScreenConfig
    from phenoprint.pipeline.context import Context
    from phenoprint.profiles import FittedNormalization

__all__ = ["Heterogeneity", "LearnStates"]

STATES_FILE = "models/cell_states.json"
# Most control cells of a plate that wells are compared with, and most of all plates that states are learned on.
_CONTROLS_A_PLATE, _CONTROLS_IN_ALL = 5_000, 50_000
# States and distances are measured in the selected features, at most this many of them.
_MOST_FEATURES = 500
_NO_FEATURE = "none of the selected features was measured on cells"


class LearnStates(Step):
    """Learn the states of the control cells of all plates."""

    name = "learn_states"
    title = "Cell states"
    scope = Scope.SCREEN
    needs = ("well", "cell", "cell_quality", "cell_rule", "profile_selected", "exclusion")
    uses = ("image_quality",)
    tables = ("feature_status",)
    files = ("cell_states",)
    parts: ClassVar = {"feature_status": "learn_states"}

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return whether states are wanted, of which cells, and the seed."""
        return _parameters(config)

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Learn states on control cells, each normalized to the controls of its plate."""
        from phenoprint.profiles import learn_cell_states

        path = context.path / STATES_FILE
        remove_file(path)
        if not context.config.profiles.heterogeneity:
            return Outcome()
        plates = sorted(context.table("well").select("Metadata_Plate").unique().collect()["Metadata_Plate"])
        features = heterogeneity_features(context)
        share = max(200, _CONTROLS_IN_ALL // max(1, len(plates)))
        parts = []
        for plate in plates:
            controls = control_cells(Unit(plate), context, features, most=min(share, _CONTROLS_A_PLATE))
            if controls.height:
                parts.append(fit_to_controls(controls).apply(controls))
        if not features:
            return self._skipped(_NO_FEATURE)
        if not parts:
            return self._skipped("no control cells: states are learned on the cells of negative controls")
        try:
            states = learn_cell_states(pl.concat(parts), reference=None, seed=context.config.evaluation.seed)
        except DataError as error:
            return self._skipped(str(error))
        text = json.dumps(states.to_dict())
        write_bytes(path, text.encode())
        return Outcome({"feature_status": _status([])}, files=(STATES_FILE,), digest=hash_key(text))

    def _skipped(self, reason: str) -> Outcome:
        """Record why there are no states; the run continues without them."""
        row = (None, "", self.name, "skipped", reason, None)
        return Outcome({"feature_status": _status([row])}, digest=hash_key(reason))


def _parameters(config: ScreenConfig) -> dict[str, Any]:
    """Return what decides which cells are compared with which."""
    profiles = config.profiles
    return {
        "wanted": profiles.heterogeneity,
        "reference": profiles.reference,
        "seed": config.evaluation.seed,
        "cells": config.section("cell_quality"),
        "sites": config.section("quality"),
    }


def _status(rows: list[tuple[object, ...]]) -> pl.DataFrame:
    from phenoprint.tables import frame_of

    return frame_of("feature_status", rows)


class Heterogeneity(Step):
    """Describe the wells of a plate by states of their cells and by distances of distributions to the controls."""

    name = "heterogeneity"
    title = "Heterogeneity"
    scope = Scope.PLATE
    needs = (
        "well",
        "cell",
        "cell_quality",
        "cell_rule",
        "profile_well",
        "profile_selected",
        "cell_states",
        "exclusion",
    )
    uses = ("image_quality",)
    tables = ("profile_heterogeneity", "feature_status")
    parts: ClassVar = {"feature_status": "heterogeneity"}

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return whether it is wanted, and of which cells."""
        return _parameters(config)

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Compare the cells of each well with control cells of its plate, a few wells at a time."""
        if not context.config.profiles.heterogeneity:
            return Outcome()
        wells = context.profiles("profile_well", plate=unit.plate, columns="^Metadata_.*$").select(WELL_KEY)
        features = heterogeneity_features(context)
        if not features:
            return self._skipped(unit, wells, _NO_FEATURE)
        controls = control_cells(unit, context, features, most=_CONTROLS_A_PLATE)
        if controls.is_empty():
            return self._skipped(unit, wells, "no control cells on this plate to compare with")
        fitted = fit_to_controls(controls)
        described = [_describe(cells, fitted, controls, context) for cells in _kept_cells(unit, context, features)]
        frame = pl.concat(described, how="diagonal").sort(WELL_KEY)
        joined = strict_join(wells, frame, on=WELL_KEY, expect="1:1").sort(WELL_KEY)
        lost = {"no cell that counts": wells.join(frame, on=WELL_KEY, how="anti").height}
        ledger = ledger_rows(self.name, unit.plate, unit_of_count="wells", n_in=wells.height, lost=lost)
        return Outcome({"profile_heterogeneity": joined}, ledger)

    def _skipped(self, unit: Unit, wells: pl.DataFrame, reason: str) -> Outcome:
        """Record why no well of a plate is described."""
        row = (unit.plate, "", self.name, "skipped", reason, None)
        lost = {reason: wells.height}
        ledger = ledger_rows(self.name, unit.plate, unit_of_count="wells", n_in=wells.height, lost=lost)
        return Outcome({"feature_status": _status([row])}, ledger)


def heterogeneity_features(context: Context) -> list[str]:
    """Return the features that are used: those selected for profiles, evenly spaced ones of them if there are many."""
    from phenoprint.tables import feature_columns

    measured = set(context.table("cell").collect_schema().names())
    chosen = feature_columns(context.table("profile_selected").head(0).collect())
    out = left_out(context, "profile_selected", chosen)
    names = [name for name in chosen if name in measured and name not in out]
    step = max(1, -(-len(names) // _MOST_FEATURES))
    return names[::step]


def control_cells(unit: Unit, context: Context, features: list[str], *, most: int) -> pl.DataFrame:
    """Return unflagged cells of a plate's reference wells; a seeded sample where there are more than ``most``."""
    wells = context.wells(unit.plate)
    if context.config.profiles.reference == "negcon":
        wells = wells.filter(pl.col("Metadata_pert_type") == "negcon")
    judged = judged_cells(unit, context).filter(
        pl.col("_reason").is_null() & pl.col("Metadata_Well").is_in(wells["Metadata_Well"].implode())
    )
    if judged.height > most:
        seed = context.config.evaluation.seed + zlib.crc32(unit.plate.encode())
        judged = judged.sort(CELL_KEY).sample(most, seed=seed)
    here = (pl.col("Metadata_Plate") == unit.plate) & pl.col("Metadata_Well").is_in(
        judged["Metadata_Well"].unique().implode()
    )
    cells = context.table("cell").filter(here).select(*CELL_KEY, *features)
    return cells.join(judged.select(CELL_KEY).lazy(), on=CELL_KEY, how="semi").collect().sort(CELL_KEY)


def fit_to_controls(controls: pl.DataFrame) -> FittedNormalization:
    """Fit median and MAD of a plate's control cells, so that cells are measured in spreads of the controls."""
    from phenoprint.profiles import fit_normalization

    return fit_normalization(controls, "mad_robust", by=["Metadata_Plate"])


def _kept_cells(unit: Unit, context: Context, features: list[str]) -> Iterator[pl.DataFrame]:
    """Read the cells of a plate that are not flagged, a few wells at a time."""
    judged = judged_cells(unit, context)
    here = pl.col("Metadata_Plate") == unit.plate
    for wells in well_batches(judged):
        chosen = pl.col("Metadata_Well").is_in(wells)
        kept = judged.filter(chosen & pl.col("_reason").is_null()).select(CELL_KEY)
        cells = context.table("cell").filter(here & chosen).select(*CELL_KEY, *features)
        yield cells.join(kept.lazy(), on=CELL_KEY, how="semi").collect().sort(CELL_KEY)


def _describe(
    cells: pl.DataFrame, fitted: FittedNormalization, controls: pl.DataFrame, context: Context
) -> pl.DataFrame:
    """Return states and distances of some wells; the sampled controls are a group of their own."""
    from phenoprint.profiles import CellStates, distribution_profiles

    is_control = "Metadata_is_reference"
    both = pl.concat(
        [
            fitted.apply(cells).with_columns(pl.lit(value=False).alias(is_control)),
            fitted.apply(controls).with_columns(pl.lit(value=True).alias(is_control), Metadata_Well=pl.lit("controls")),
        ]
    )
    distances = distribution_profiles(both, reference=pl.col(is_control), by=WELL_KEY).filter(
        pl.col("Metadata_Well") != "controls"
    )
    path = context.path / STATES_FILE
    if not path.is_file():
        return distances
    states = CellStates.from_dict(json.loads(path.read_text(encoding="utf-8")))
    fractions = states.describe(both.filter(~pl.col(is_control)).drop(is_control), by=WELL_KEY)
    return strict_join(fractions, distances, on=WELL_KEY, expect="1:1")
