"""What packages make follows the declarations of tables."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from phenoprint.features import object_table
from phenoprint.pipeline import RunResult
from phenoprint.plates import PLATE_MAP_SCHEMA, READING_SCHEMA, parse_plate_map, perturbation_table, reconcile
from phenoprint.plates.reconcile import SITE
from phenoprint.plates.well_table import KEYS
from phenoprint.tables import METADATA_PREFIX, SITE_KEY, WELL_KEY, column_comment, get_table, table_names, validate

IMAGES = pl.DataFrame(
    {
        "Metadata_Plate": ["P"],
        "Metadata_Well": ["A01"],
        "Metadata_Site": ["1"],
        "Metadata_Channel": ["DNA"],
        "path": ["a.tif"],
    }
)


def undeclared(frame: pl.DataFrame, table: str) -> list[str]:
    """Columns of a frame that no declaration explains."""
    declared = get_table(table)
    others = [name for name in frame.columns if name not in declared.schema]
    if not declared.holds_features:
        return others
    return [name for name in others if name.startswith(METADATA_PREFIX) and column_comment(table, name) is None]


def test_a_column_that_no_table_declares_is_found() -> None:
    frame = pl.DataFrame(schema={"Metadata_Plate": pl.String, "level_3": pl.String, "Metadata_mine": pl.String})
    assert undeclared(frame, "step_score") == ["Metadata_Plate", "level_3", "Metadata_mine"]
    assert undeclared(frame.drop("level_3"), "cell") == ["Metadata_mine"]
    assert undeclared(frame.select("Metadata_Plate"), "profile_consensus") == []


def test_a_run_makes_declared_tables_of_declared_columns(tiny_run: RunResult) -> None:
    screen = tiny_run.screen
    assert not tiny_run.is_partial
    made = set(screen.tables())
    assert made <= set(table_names())
    absent = {"exclusion", "projection", "treatment_projection", "site_feature"}
    assert set(table_names()) - made == absent, "not asked for, of more wells, or of imports only"
    found = {name: screen.table(name).collect() for name in sorted(made)}
    assert {name: extra for name, frame in found.items() if (extra := undeclared(frame, name))} == {}
    for name, frame in found.items():
        validate(frame, name)


def test_the_readme_lists_every_table_and_saved_view(tiny_run: RunResult, project_root: Path) -> None:
    listed = (project_root / "README.md").read_text("utf-8").split("| table | one row per |")[1].split("\n\n")[0]
    names = re.findall(r"`(\w+)`", " ".join(line.split("|")[1] for line in listed.splitlines()[1:]))
    assert len(names) == len(set(names))
    assert set(names) == set(tiny_run.screen.describe()["table_name"]) | set(table_names())


def test_plates_and_features_below_follow_the_declarations() -> None:
    assert (tuple(KEYS), tuple(SITE)) == (WELL_KEY, SITE_KEY)
    well, reading = get_table("well").schema, get_table("plate_map_reading").schema
    assert well.items() >= pl.Schema(PLATE_MAP_SCHEMA).items()
    assert reading == pl.Schema(READING_SCHEMA)
    wells = parse_plate_map("well,compound,dose,moa\nA1,x,3 uM,kinase\nA2,DMSO,,\n", source="map.csv")
    found = reconcile(IMAGES, wells)
    assert found.wells.schema.items() <= well.items()
    assert found.problems.schema == get_table("problem").schema
    assert perturbation_table(found.wells).schema == get_table("perturbation").schema
    labels = np.ones((4, 4), np.int32)
    assert object_table({"Nuclei": labels, "Cells": labels}).schema.items() <= get_table("object").schema.items()


@pytest.mark.parametrize("name", table_names())
def test_units_are_those_of_the_field_and_in_no_comment(name: str) -> None:
    for column in get_table(name).columns:
        assert column.unit in {"", "px", "%", "byte", "ns"}, "one spelling per unit"
        assert column.unit or not column.comment.endswith((", px", ", percent", ", bytes")), column.name
        assert "µ" not in column.comment
        if column.name.endswith("_px"):
            assert column.unit == "px"
        assert column.description.endswith(f"[{column.unit}]") or not column.unit
