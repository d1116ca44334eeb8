"""Cells of each well before any was left out."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from phenoprint.pipeline.config import ScreenConfig
from phenoprint.pipeline.context import Context
from phenoprint.pipeline.found_cells import with_found_cells
from phenoprint.store import Screen
from phenoprint.tables import frame_of


def test_flagged_cells_count_and_wells_without_cells_have_none(tmp_path: Path) -> None:
    config = ScreenConfig.model_validate({"screen": {"name": "screen"}})
    context = Context(tmp_path, config, tmp_path, ())
    wells = pl.DataFrame(
        {
            "Metadata_Plate": ["p", "p", "q", "q"],
            "Metadata_Well": ["A01", "A02", "A01", "A02"],
            "Metadata_Object_Count": [2, 0, 7, None],
        }
    )
    found, words = with_found_cells(context, wells)
    assert found["Metadata_Found_Count"].to_list() == [2, 0, 7, None]
    assert words.startswith("cells of the profiles")
    bare, words = with_found_cells(context, wells.drop("Metadata_Object_Count"))
    assert bare["Metadata_Found_Count"].null_count() == 4
    assert words == "cells were not counted"
    cells = [("p", "A01", "1", k, k < 3, None, False) for k in range(1, 6)]
    Screen(tmp_path).write("cell_quality", frame_of("cell_quality", cells), "p")
    found, words = with_found_cells(context, wells)
    assert found["Metadata_Found_Count"].to_list() == [5, 0, 7, None]
    assert words.startswith("cells of the profiles")
    found, words = with_found_cells(context, wells.filter(Metadata_Plate="p"))
    assert found["Metadata_Found_Count"].to_list() == [5, 0]
    assert words == "cells found, before any was left out"
