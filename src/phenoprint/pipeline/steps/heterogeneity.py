"""Steps that describe the distribution of the cells of a well, which its median does not show."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import polars as pl

from phenoprint.errors import DataError
from phenoprint.pipeline.phenotypes import keep_parameter, left_out
from phenoprint.pipeline.steps.aggregation import judged_cells, well_batches
from phenoprint.pipeline.steps.base import Outcome, Scope, Step, Unit
from phenoprint.store import hash_key, ledger_rows, remove_file, strict_join, write_bytes
from phenoprint.tables import CELL_KEY, WELL_KEY, frame_of

if TYPE_CHECKING:
    from phenoprint.pipeline.config import ScreenConfig
    from phenoprint.pipeline.context import Context
    from phenoprint.profiles import CellStates, ControlDistributions, FittedNormalization

__all__ = ["Heterogeneity", "LearnStates"]

STATES_FILE = "models/cell_states.json"
# Most control cells of a plate that wells are compared with, and most of all plates that states are learned on.
_CONTROLS_A_PLATE, _CONTROLS_IN_ALL = 5_000, 50_000
# Redundant features are found on the wells of so many plates.
_PLATES_READ = 4
_NO_FEATURE = "none of the features of well profiles was measured on cells"


class LearnStates(Step):
    """Choose the features whose distributions are compared, and learn the states of the control cells of all plates."""

    name = "learn_states"
    title = "Cell states"
    version = 2
    scope = Scope.SCREEN
    needs = ("well", "cell", "cell_quality", "cell_rule", "profile_well", "exclusion")
    uses = ("image_quality",)
    tables = ("feature_status",)
    files = ("cell_states",)
    parts: ClassVar = {"feature_status": "learn_states"}

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return whether states are wanted, of which cells and features, and the seed."""
        return _parameters(config)

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Learn as many states as two halves of the control wells agree on, each cell normalized to its plate."""
        from phenoprint.profiles import stable_cell_states

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
        section = context.config.heterogeneity
        states: CellStates | None = None
        reason = ""
        if not features:
            reason = _NO_FEATURE
        elif not parts:
            reason = "no control cells: states are learned on the cells of negative controls"
        else:
            try:
                states = stable_cell_states(
                    pl.concat(parts),
                    candidates=section.states,
                    least_agreement=section.least_agreement,
                    seed=context.config.evaluation.seed,
                )
            except DataError as error:
                reason = str(error)
        if states is not None and not states.is_stable:
            reason = _unstable(states, section.least_agreement)
        record = {"features": features, "reason": reason, "states": None if states is None else states.to_dict()}
        text = json.dumps(record)
        write_bytes(path, text.encode())
        agreement = None if states is None else states.agreement
        status = "unstable" if states is not None else "skipped"
        rows = [(None, "", self.name, status, reason, agreement)] if reason else []
        return Outcome(
            {"feature_status": frame_of("feature_status", rows)}, files=(STATES_FILE,), digest=hash_key(text)
        )


def _unstable(states: CellStates, least: float) -> str:
    if states.agreement is None:
        return "states are not given: fewer than four control wells have cells, so that halves cannot be compared"
    return (
        f"states are not given: halves of the control wells agree on {states.n_states} states with an adjusted Rand "
        f"index of {states.agreement:.2f} at best, and {least:g} is needed (heterogeneity.least_agreement)"
    )


def _parameters(config: ScreenConfig) -> dict[str, Any]:
    """Return what decides which cells are compared with which."""
    profiles, section = config.profiles, config.heterogeneity
    return {
        "wanted": profiles.heterogeneity,
        "reference": profiles.reference,
        "seed": config.evaluation.seed,
        "cells": config.section("cell_quality"),
        "sites": config.section("quality"),
        "features": section.max_features,
        "states": section.states,
        "agreement": section.least_agreement,
        **keep_parameter(config),
    }


@dataclass(frozen=True)
class _Plate:
    """What the wells of a plate are compared with."""

    fitted: FittedNormalization
    controls: ControlDistributions
    states: CellStates | None
    reason: str


class Heterogeneity(Step):
    """Describe the wells of a plate by states of their cells and by how these are distributed."""

    name = "heterogeneity"
    title = "Heterogeneity"
    version = 2
    scope = Scope.PLATE
    needs = ("well", "cell", "cell_quality", "cell_rule", "profile_well", "cell_states", "exclusion")
    uses = ("image_quality",)
    tables = ("profile_heterogeneity", "heterogeneity", "feature_status")
    parts: ClassVar = {"feature_status": "heterogeneity"}

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return whether it is wanted, and of which cells and features."""
        return _parameters(config)

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Compare the cells of each well with control cells of its plate, a few wells at a time."""
        from phenoprint.profiles import FEWEST_PER_WELL

        if not context.config.profiles.heterogeneity:
            return Outcome()
        wells = context.profiles("profile_well", plate=unit.plate, columns="^Metadata_.*$")
        record = json.loads((context.path / STATES_FILE).read_text(encoding="utf-8"))
        features: list[str] = record["features"]
        if not features:
            return self._skipped(unit, wells, _NO_FEATURE)
        n_controls = wells.filter(pl.col("Metadata_pert_type") == "negcon").height
        most = max(_CONTROLS_A_PLATE, FEWEST_PER_WELL * n_controls)
        controls = control_cells(unit, context, features, most=most)
        if controls.is_empty():
            return self._skipped(unit, wells, "no control cells on this plate to compare with")
        plate = _plate(controls, record, features, context.config.evaluation.seed)
        profiles, rows, counts = [], [], []
        for cells in _kept_cells(unit, context, features):
            scaled = plate.fitted.apply(cells)
            frame, found = _described(scaled, plate)
            profiles.append(frame)
            rows += found
            if plate.states is not None:
                counts.append(plate.states.count_far(scaled, by=WELL_KEY))
        frame = pl.concat(profiles, how="diagonal").sort(WELL_KEY)
        joined = strict_join(wells.select(WELL_KEY), frame, on=WELL_KEY, expect="1:1").sort(WELL_KEY)
        table = pl.concat([frame_of("heterogeneity", rows), _of_states(frame, counts, plate)])
        table = _corrected(table.join(wells.select(WELL_KEY), on=WELL_KEY, how="semi"), wells)
        lost = {"no cell that counts": wells.join(frame, on=WELL_KEY, how="anti").height}
        ledger = ledger_rows(self.name, unit.plate, unit_of_count="wells", n_in=wells.height, lost=lost)
        return Outcome({"profile_heterogeneity": joined, "heterogeneity": table}, ledger)

    def _skipped(self, unit: Unit, wells: pl.DataFrame, reason: str) -> Outcome:
        """Record why no well of a plate is described."""
        row = (unit.plate, "", self.name, "skipped", reason, None)
        lost = {reason: wells.height}
        ledger = ledger_rows(self.name, unit.plate, unit_of_count="wells", n_in=wells.height, lost=lost)
        return Outcome({"feature_status": frame_of("feature_status", [row])}, ledger)


def heterogeneity_features(context: Context) -> list[str]:
    """Return the features that are compared: phenotypes measured on cells that are not redundant between wells.

    The choice rests on the well profiles before the recipe, so that the result can enter the recipe.
    """
    from phenoprint.profiles import normalize, select_features
    from phenoprint.tables import feature_columns

    measured = set(context.table("cell").collect_schema().names())
    schema = context.table("profile_well").collect_schema()
    out = left_out(context, "profile_well", schema.names())
    plates = context.table("profile_well").select("Metadata_Plate").unique().collect()["Metadata_Plate"].sort()
    frames = [
        context.profiles("profile_well", plate=plate, schema=schema).drop(list(out)) for plate in plates[:_PLATES_READ]
    ]
    wells = pl.concat(frames)
    names = [name for name in feature_columns(wells) if name in measured]
    if wells.height >= 2 and names:
        kept = select_features(normalize(wells, min_reference=1), ["drop_na_columns", "correlation_threshold"])
        names = [name for name in feature_columns(kept) if name in measured]
    step = max(1, -(-len(names) // context.config.heterogeneity.max_features))
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


def _plate(controls: pl.DataFrame, record: Mapping[str, Any], features: list[str], seed: int) -> _Plate:
    """Fit what the wells of a plate are compared with."""
    from phenoprint.profiles import CellStates, ControlDistributions

    fitted = fit_to_controls(controls)
    compared = ControlDistributions.of(fitted.apply(controls), features, by=WELL_KEY, seed=seed)
    states = None if record["states"] is None else CellStates.from_dict(record["states"])
    return _Plate(fitted, compared, states, record["reason"])


def _described(cells: pl.DataFrame, plate: _Plate) -> tuple[pl.DataFrame, list[dict[str, object]]]:
    """Return columns and sizes of the differences of some wells."""
    from phenoprint.profiles import ASPECTS, FEWEST_CELLS, FEWEST_CONTROL_WELLS
    from phenoprint.tables import Groups, feature_matrix, feature_series

    controls = plate.controls
    groups = Groups.of(cells, WELL_KEY)
    n_controls = len(controls.wells)
    values = feature_matrix(cells, list(controls.features))
    out = {name: np.full((len(controls.features), len(groups)), np.nan, np.float32) for name in ASPECTS}
    rows: list[dict[str, object]] = []
    for place, (key, members) in enumerate(groups.items()):
        about = dict(zip(WELL_KEY, key, strict=True)) | {"n_cells": len(members), "n_control_wells": n_controls}
        reason = None
        if len(members) < FEWEST_CELLS:
            reason = ("few_cells", f"{len(members)} cells, {FEWEST_CELLS} needed")
        elif not controls.nulls:
            reason = ("few_controls", f"{n_controls} control wells with cells, {FEWEST_CONTROL_WELLS} needed")
        if reason is not None:
            rows += [about | {"aspect": name, "status": reason[0], "reason": reason[1]} for name in ASPECTS]
            continue
        well = tuple(map(str, key))
        found = controls.compare(values[:, members], well)
        relative = controls.relative(found, len(members), well)
        for name, (size, p) in controls.size(found, len(members), well).items():
            out[name][:, place] = relative[name]
            known = np.where(np.isfinite(relative[name]), np.abs(relative[name]), -1.0)
            strongest = int(known.argmax())
            row = about | {"aspect": name, "value": size, "p": p, "status": "ok"}
            if known[strongest] >= 0:
                row |= {"feature": controls.features[strongest], "feature_value": float(relative[name][strongest])}
            else:
                row |= {"status": "not_known", "reason": "no feature varies among the control cells"}
            rows.append(row)
    columns = [
        column
        for name, matrix in out.items()
        for column in feature_series([f"{feature}_{name.capitalize()}" for feature in controls.features], matrix)
    ]
    frame = groups.keys.with_columns(pl.Series("Metadata_Object_Count", groups.sizes, dtype=pl.Int64), *columns)
    if plate.states is None:
        return frame, rows
    return strict_join(frame, plate.states.describe(cells, by=WELL_KEY), on=WELL_KEY, expect="1:1"), rows


def _of_states(frame: pl.DataFrame, counts: list[pl.DataFrame], plate: _Plate) -> pl.DataFrame:
    """Return the share of responders of each well with its interval, and whether there are states."""
    from phenoprint.profiles import responding_share

    n_controls = len(plate.controls.wells)
    if plate.states is None:
        about = frame.select(*WELL_KEY, pl.col("Metadata_Object_Count").alias("n_cells"))
        why = {"n_control_wells": n_controls, "status": "no_states", "reason": plate.reason}
        return frame_of(
            "heterogeneity",
            [row | why | {"aspect": aspect} for aspect in ("responders", "states") for row in about.to_dicts()],
        )
    wells = pl.concat(counts)
    names = {key[-1] for key in plate.controls.wells}
    own = wells.filter(pl.col("Metadata_Well").is_in(sorted(names)))
    found = responding_share(wells["n_far"], wells["n_cells"], own["n_far"], own["n_cells"])
    n_controls = own.height
    is_known = n_controls >= 4
    about = wells.select(*WELL_KEY, "n_cells", n_control_wells=pl.lit(n_controls))
    few = f"no interval: {n_controls} control wells with cells, 4 needed"
    responders = about.with_columns(
        aspect=pl.lit("responders"),
        value=pl.Series(found.share),
        low=pl.Series(found.low),
        high=pl.Series(found.high),
        p=pl.Series(found.p),
        status=pl.lit("ok" if is_known else "few_controls"),
        reason=pl.lit(None if is_known else few, pl.String),
    )
    stable = plate.states.is_stable
    states = about.with_columns(
        aspect=pl.lit("states"),
        value=pl.lit(plate.states.agreement, pl.Float64),
        status=pl.lit("ok" if stable else "unstable"),
        reason=pl.lit(None if stable else plate.reason, pl.String),
    )
    both = pl.concat([responders, states], how="diagonal")
    return pl.concat(
        [frame_of("heterogeneity"), both.with_columns(pl.selectors.float().fill_nan(None))], how="diagonal_relaxed"
    )


def _corrected(table: pl.DataFrame, wells: pl.DataFrame) -> pl.DataFrame:
    """Add q over the wells of the plate that are no negative controls, aspect by aspect."""
    from scipy import stats

    is_control = (pl.col("Metadata_pert_type") == "negcon").fill_null(value=False)
    tested = wells.filter(~is_control).select(WELL_KEY)
    parts = []
    for _, rows in table.filter(pl.col("p").is_not_null()).join(tested, on=WELL_KEY, how="semi").group_by("aspect"):
        q = stats.false_discovery_control(rows["p"].to_numpy())
        parts.append(rows.select(*WELL_KEY, "aspect", q=pl.Series(q)))
    if not parts:
        return table
    return table.drop("q").join(pl.concat(parts), on=[*WELL_KEY, "aspect"], how="left").select(table.columns)
