# ruff: noqa: S608
"""Common tools read the folder of every table, with plates as text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pandas as pd
import polars as pl
import pyarrow.dataset as ds
import pytest

from phenoprint.errors import DamagedTableError
from phenoprint.store import Screen, create, ledger_rows, own_files, step_part
from phenoprint.store.layout import plate_folders, plate_of, table_files
from phenoprint.store.parquet import read_table
from phenoprint.tables import get_table

from .conftest import ODD_PLATES, make_cells

if TYPE_CHECKING:
    from phenoprint.pipeline import RunResult

PLATES = ["000123", "0124"]


@pytest.fixture(scope="module")
def two_plates(tiny_run: RunResult, tmp_path_factory: pytest.TempPathFactory) -> Screen:
    """Every table of the finished tiny screen, written for two plates whose names look like numbers."""
    target = create(tmp_path_factory.mktemp("two") / "two plates")
    for name in tiny_run.screen.tables():
        frame = tiny_run.screen.table(name).collect()
        if not get_table(name).per_plate:
            target.write(name, frame)
            continue
        held = pl.col("Metadata_Plate").is_not_null()
        copies = [
            frame.with_columns(Metadata_Plate=pl.when(held).then(pl.lit(plate))).filter(held | (plate == PLATES[0]))
            for plate in PLATES
        ]
        target.write(name, pl.concat(copies))
    return target


def plates_of(values: list[object]) -> set[object]:
    return {value for value in values if value is not None and value == value}  # noqa: PLR0124 - NaN is unlike itself


READERS = {
    "pandas": lambda path: pl.from_pandas(pd.read_parquet(path)),
    "pyarrow": lambda path: pl.from_arrow(ds.dataset(path).to_table()),
    "pyarrow and R, hive detected": lambda path: pl.from_arrow(ds.dataset(path, partitioning="hive").to_table()),
    "polars": pl.read_parquet,
    "polars, hive": lambda path: pl.read_parquet(path, hive_partitioning=True),
    "polars, pattern": lambda path: pl.scan_parquet(path / "**/*.parquet").collect(),
    "duckdb": lambda path: duckdb.connect().sql(f"FROM read_parquet('{path}/**/*.parquet')").pl(),
}


@pytest.mark.parametrize("reader", READERS)
def test_every_table_is_read_by_every_tool(two_plates, reader):
    names = two_plates.tables()
    assert len(names) > 20
    for name in names:
        expected = two_plates.table(name).collect()
        found = READERS[reader](two_plates.path / "tables" / name)
        assert found.shape == expected.shape, name
        assert set(found.columns) == set(expected.columns), name
        if "Metadata_Plate" in expected.columns:
            plates = plates_of(found["Metadata_Plate"].to_list())
            assert plates == plates_of(expected["Metadata_Plate"].to_list()), name
            assert all(isinstance(plate, str) for plate in plates)
            assert plates == set(PLATES) or not get_table(name).per_plate


def test_rows_without_plate_are_not_hidden_from_other_tools(screen):
    lost = ledger_rows("select", None, unit_of_count="features", n_in=10, lost={"constant": 3})
    screen.write("ledger", pl.concat([lost, ledger_rows("select", "_P1", "A01", unit_of_count="cells", n_in=10)]))
    folder = screen.path / "tables" / "ledger"
    for name, read in READERS.items():
        assert read(folder)["Metadata_Plate"].to_list() in ([None, "_P1"], ["_P1", None]), name


def test_a_folder_above_the_screen_adds_no_column(tmp_path):
    screen = create(tmp_path / "lab=1" / "screen")
    screen.write("cell", make_cells("000123", "A01"))
    for frame in (screen.sql("SELECT * FROM cell"), screen.table("cell").collect()):
        assert frame.columns == make_cells("000123", "A01").columns


def test_plates_are_read_from_the_paths_of_files(tmp_path):
    screen = create(tmp_path / "tables")
    for plate in [*ODD_PLATES, "cell", "_hidden", "+screen", "__HIVE_DEFAULT_PARTITION__"]:
        [path] = screen.write("cell", make_cells(plate, "A01"))
        assert plate_of(screen.path, path) == plate
        screen.write_part("cell", make_cells(plate, "A02"), plate=plate, well="A02")
    screen.write("feature", pl.DataFrame({"feature": ["Cells_F0"]}))
    [whole] = table_files(screen.path, "feature")
    assert plate_of(screen.path, whole) is None
    expected = {plate_of(screen.path, path) for path in table_files(screen.path, "cell")}
    for root in ("tables", "parts"):
        assert {plate for table, plate, _ in plate_folders(screen.path, root) if table == "cell"} == expected
    assert {table for table, _, _ in plate_folders(screen.path)} == {"cell"}
    assert screen.sql("SELECT count(DISTINCT Metadata_Plate) AS n FROM cell")["n"][0] == len(expected)
    assert all(isinstance(path, Path) for _, _, path in plate_folders(screen.path))


def step_rows(plate: str, name: str, number: int, **features: float) -> pl.DataFrame:
    """Make profiles of two wells after a step."""
    return pl.DataFrame(
        {
            "Metadata_Plate": [plate] * 2,
            "Metadata_Well": ["A01", "A02"],
            "Metadata_Step": [name] * 2,
            "Metadata_Step_Number": pl.Series([number] * 2, dtype=pl.Int32),
            **{feature: pl.Series([value, -value], dtype=pl.Float32) for feature, value in features.items()},
        }
    )


def test_levels_4a_and_4b_are_files_of_the_steps_that_made_them(screen: Screen) -> None:
    for plate in ("P1", "P2"):
        first = step_part(1, "normalize", ["profile_normalized"])
        screen.write("profile_step", step_rows(plate, "normalize", 1, Cells_A=1.0, Cells_B=2.0), plate, part=first)
        last = step_part(2, "a+4a.b", ["profile_selected"])
        screen.write("profile_step", step_rows(plate, "a+4a.b", 2, Cells_A=3.0), plate, part=last)
    assert {"profile_step", "profile_normalized", "profile_selected"} <= set(screen.tables())
    assert not (screen.path / "tables" / "profile_selected").exists()
    for table, features in (("profile_normalized", ["Cells_A", "Cells_B"]), ("profile_selected", ["Cells_A"])):
        frame = screen.table(table).collect()
        assert [name for name in frame.columns if not name.startswith("Metadata_")] == features
        assert not {"Metadata_Step", "Metadata_Step_Number"} & set(frame.columns)
        assert frame.height == 4
        keys = ["Metadata_Plate", "Metadata_Well"]
        assert screen.sql(f"SELECT * FROM {table}").sort(keys).equals(frame.sort(keys))
        own = read_table(screen.path, table, plate="P2", schema=frame.schema).collect()
        assert own.equals(frame.filter(Metadata_Plate="P2"))
    assert screen.sql("SELECT count(*) FROM profile_step").item() == 8
    # An imported table has files of its own, which come first.
    given = step_rows("P1", "", 0, Cells_A=9.0).drop("Metadata_Step", "Metadata_Step_Number")
    (path,) = screen.write("profile_normalized", given)
    assert table_files(screen.path, "profile_normalized") == own_files(screen.path, "profile_normalized") == [path]
    assert screen.sql("SELECT max(Cells_A) FROM profile_normalized").item() == 9.0


def test_a_missing_or_damaged_file_of_a_step_is_one_of_its_level(screen: Screen) -> None:
    part = step_part(1, "normalize", ["profile_normalized", "profile_selected"])
    (path,) = screen.write("profile_step", step_rows("P1", "normalize", 1, Cells_A=1.0), "P1", part=part)
    path.write_bytes(path.read_bytes()[:-1])
    assert set(screen.left_out()["name"]) >= {"profile_step", "profile_normalized", "profile_selected"}
    with pytest.raises(DamagedTableError, match=r"01_normalize\+4a\+4b"):
        screen.table("profile_selected").collect()
