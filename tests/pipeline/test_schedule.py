"""Which steps run, in which order, and that they read and write only what they declare."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from phenoprint.pipeline import parse_config, step_order
from phenoprint.pipeline.context import Context
from phenoprint.pipeline.imported import GIVEN
from phenoprint.pipeline.ingest import image_root
from phenoprint.pipeline.prepare import read_base
from phenoprint.pipeline.schedule import Schedule
from phenoprint.pipeline.steps import STEPS, Outcome, Scope, Step, Unit
from phenoprint.store import open as open_screen
from phenoprint.tables import get_table

PIXELS = {
    "illumination",
    "quality",
    "calibrate",
    "segment",
    "thumbnail",
    "measure",
    "flag_images",
    "gallery",
}
CELLS = {"flag_cells", "judge_cell_rules", "learn_states", "heterogeneity", "heterogeneity_gain"}
TREATMENTS = {
    "cross_fit",
    "activity",
    "calibration",
    "consistency",
    "retrieval",
    "hits",
    "well_readouts",
    "neighbours",
    "feature_effects",
    "plate_acceptance",
    "mechanisms",
    "dose_response",
    "project",
    "cluster_profiles",
    "cluster_signatures",
}
# Tables that a declared name includes, and the table of notes on the features of others.
INCLUDED = {
    "site": "image",
    "plate": "well",
    "perturbation": "well",
    "feature": "well",
    "plate_acceptance": "exclusion",
}
# The file of a step by which another reads its rows of a table that later steps write, too.
ROWS_OF = {"well_medians": "readout"}
NOTES = "feature_status"


@pytest.mark.parametrize(
    ("imported", "expected"),
    [
        ({"cell"}, CELLS | {"aggregate", "recipe", "consensus"} | TREATMENTS),
        ({"cell", "profile_well"}, CELLS | {"recipe", "consensus"} | TREATMENTS),
        ({"cell", "profile_selected"}, CELLS | {"aggregate", "consensus"} | TREATMENTS),
        ({"profile_well"}, {"recipe", "consensus"} | TREATMENTS),
        ({"profile_well", "profile_consensus"}, {"recipe"} | TREATMENTS),
        ({"profile_normalized"}, {"recipe", "consensus"} | TREATMENTS),
        ({"profile_normalized", "profile_selected"}, {"consensus"} | TREATMENTS),
        ({"profile_selected"}, {"consensus"} | TREATMENTS),
        ({"profile_selected", "profile_consensus"}, TREATMENTS),
    ],
    ids=lambda names: "+".join(sorted(names)),
)
def test_the_steps_follow_from_what_was_imported(imported: set[str], expected: set[str]) -> None:
    schedule = Schedule.of(STEPS, imported | (GIVEN - {"image"}))
    assert {step.name for step in schedule.steps} == expected
    assert set(schedule.left_out) == {step.name for step in STEPS} - expected


def test_treatments_without_wells_run_no_step() -> None:
    assert Schedule.of(STEPS, {"profile_consensus", "exclusion"}).steps == ()


def test_a_recipe_starts_from_normalized_profiles_where_they_were_imported() -> None:
    given = {"well", "exclusion", "profile_well", "profile_normalized"}
    assert Schedule.of(STEPS, given).depends_on["recipe"] == (
        "profile_normalized",
        "well",
        "exclusion",
        "plate_acceptance",
    )
    assert Schedule.of(STEPS).depends_on["recipe"] == (
        "aggregate",
        "well",
        "exclusion",
        "heterogeneity",
        "plate_acceptance",
    )


@pytest.mark.parametrize("listed", [STEPS, STEPS[::-1], STEPS[7:] + STEPS[:7]])
def test_a_step_comes_after_what_it_depends_on_however_they_are_listed(listed: tuple[Step, ...]) -> None:
    schedule = Schedule.of(listed)
    done = set(GIVEN)
    for step in schedule.steps:
        assert set(schedule.depends_on[step.name]) <= done, step.name
        done.add(step.name)
    assert len(schedule.steps) == len(STEPS)


def test_the_listed_order_is_kept_where_needs_allow_it() -> None:
    assert step_order() == tuple(step.name for step in STEPS)


class First(Step):
    """Needs what `Second` makes."""

    name, title, scope = "first", "First", Scope.SCREEN
    needs, tables = ("score",), ("activity",)

    def run(self, unit: Unit, context: Context) -> Outcome:
        return Outcome()


class Second(First):
    """Needs what `First` makes."""

    name = "second"
    needs, tables = ("activity",), ("score",)


def test_steps_that_need_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="first, second"):
        Schedule.of([First(), Second()])


def test_every_name_is_declared_and_made_by_some_step() -> None:
    made = GIVEN.union(*(step.makes for step in STEPS))
    for step in STEPS:
        assert {*step.needs, *step.uses} <= made, step.name
        for table in step.tables:
            get_table(table)


@pytest.mark.parametrize("step", [step for step in STEPS if step.scope is not Scope.WELL], ids=lambda step: step.name)
def test_a_step_reads_only_what_it_declares(step: Step, own_screen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: set[str] = set()
    from phenoprint.store import parquet

    original: Callable[..., pl.LazyFrame] = parquet.read_table

    def recording(root: Path, name: str, *args: Any, **kwargs: Any) -> pl.LazyFrame:
        read.add(name)
        return original(root, name, *args, **kwargs)

    for module in [module for name, module in sys.modules.items() if name.startswith("phenoprint.")]:
        if vars(module).get("read_table") is original:
            monkeypatch.setattr(module, "read_table", recording)
    config = parse_config((own_screen / "screen.toml").read_text())
    images = open_screen(own_screen).table("image").select("Metadata_Channel", "Metadata_Plate").unique().collect()
    read.clear()
    channels = tuple(images["Metadata_Channel"].unique())
    root = image_root(config, read_base(own_screen))
    context = Context(own_screen, config, root, channels, time.time_ns())
    unit = Unit(images["Metadata_Plate"][0]) if step.scope is Scope.PLATE else Unit()
    step.run(unit, context)
    assert read or step.name == "retrieval"  # without rules of retrieval there is nothing to read
    undeclared = {INCLUDED.get(name, name) for name in read} - {*step.needs, *step.uses, NOTES}
    undeclared -= {ROWS_OF.get(name) for name in step.uses}
    assert not undeclared
