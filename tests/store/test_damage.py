"""Damaged Parquet files are detected and named."""

import os

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from phenoprint.errors import DamagedTableError
from phenoprint.store import damaged_tables
from phenoprint.store.catalog import DamagedTableWarning
from phenoprint.store.damage import file_damage
from phenoprint.store.layout import table_files

from .conftest import make_cells


def flip_bit(path, byte, bit=0):
    content = bytearray(path.read_bytes())
    content[byte] ^= 1 << bit
    path.write_bytes(content)


def feature_bytes(path):
    """Where each feature's column begins and ends: a page header of some 30 bytes, then values."""
    meta = pq.read_metadata(path)
    for group in range(meta.num_row_groups):
        for index in range(meta.num_columns):
            column = meta.row_group(group).column(index)
            if not column.has_dictionary_page:
                yield column.data_page_offset, column.data_page_offset + column.total_compressed_size


def test_a_whole_screen_has_no_damaged_table(filled):
    found = damaged_tables(filled.path)
    assert found.schema == {"table": pl.String, "path": pl.String, "reason": pl.String}
    assert found.height == 0


def test_one_flipped_bit_in_the_values_is_noticed_and_named(screen):
    [path] = screen.write("cell", make_cells("000123", "A01", n=2000, features=4))
    screen.write("cell", make_cells("P2", "A01"))
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    spans = list(feature_bytes(path))
    assert len(spans) == 4
    for k in range(40):
        start, end = spans[k % len(spans)]
        flip_bit(path, int(rng.integers(start + 100, end)), int(rng.integers(8)))
        found = damaged_tables(screen.path)
        assert found["table"].to_list() == ["cell"]
        assert found["path"].to_list() == [path.relative_to(screen.path).as_posix()]
        assert found["reason"][0]
        assert damaged_tables(screen.path, ["well"]).height == 0
        path.write_bytes(whole)
    assert damaged_tables(screen.path).height == 0


@pytest.mark.parametrize("content", [b"", b"PAR1 not really", b"PAR1" + bytes(100) + b"PAR1"])
def test_a_file_without_a_footer_is_damaged(screen, content):
    [path] = screen.write("cell", make_cells("P", "A01"))
    path.write_bytes(content)
    assert damaged_tables(screen.path, pages=False)["table"].to_list() == ["cell"]


def test_a_truncated_file_and_lost_rows_are_damaged(screen, monkeypatch):
    [path] = screen.write("cell", make_cells("P", "A01"))
    assert file_damage(path) is None
    path.write_bytes(path.read_bytes()[:-5])
    assert file_damage(path)
    assert "No such file" in (file_damage(path.with_name("gone.parquet")) or "")


@pytest.fixture
def hurt(filled):
    """A screen of two plates; of one, the file of cells has lost its end."""
    filled.write("cell", make_cells("P2", "A01"))
    [path] = [path for path in table_files(filled.path, "cell") if path.parent.name == "000123"]
    path.write_bytes(path.read_bytes()[:-20])
    return filled


@pytest.mark.filterwarnings("ignore::phenoprint.store.catalog.DamagedTableWarning")
def test_a_damaged_table_is_left_out_and_the_others_can_be_queried(hurt):
    assert hurt.sql("SELECT count(*) AS n FROM well")["n"][0] == 4
    assert hurt.table("well").collect().height == 4
    left = dict(hurt.left_out().select("name", "table").rows())
    assert left["cell"] == "cell"
    assert {"well_summary", "cells_annotated", "wells_flagged"} <= set(left)
    assert "lost" not in left
    assert hurt.sql("SELECT count(*) AS n FROM lost")["n"][0] == 0
    assert "000123" in hurt.left_out()["path"][0]
    for query in ("SELECT * FROM cell", "SELECT * FROM cells_annotated", "SELECT n_cells FROM well_summary"):
        with pytest.raises(DamagedTableError, match=r"table 'cell' is damaged: .*000123/cell.parquet.*Run the screen"):
            hurt.sql(query)
    for name in ("cell", "cells_annotated"):
        with pytest.raises(DamagedTableError, match=r"table 'cell' is damaged"):
            hurt.table(name)


def test_a_query_beside_a_damaged_table_warns(hurt):
    with pytest.warns(
        DamagedTableWarning, match=r"left out because a file is damaged or missing: cell, cells_annotated, .*cell.parq"
    ):
        hurt.sql("SELECT count(*) FROM well")


def test_status_names_a_damaged_table_and_counts_the_others(hurt):
    state = hurt.status()
    assert state.damaged["table"].to_list() == ["cell"]
    assert "000123" in state.damaged["path"][0]
    rows = dict(state.tables.select("table", "rows").rows())
    assert rows["cell"] is None
    assert rows["well"] == 4


@pytest.mark.filterwarnings("ignore::phenoprint.store.catalog.DamagedTableWarning")
def test_one_flipped_bit_leaves_a_small_table_out(filled):
    rows = [f"compound {k}" for k in range(500)]
    filled.write("activity", pl.DataFrame({"Metadata_perturbation": rows}))
    assert filled.sql("SELECT count(*) AS n FROM activity")["n"][0] == 500
    [path] = table_files(filled.path, "activity")
    column = pq.read_metadata(path).row_group(0).column(0)
    flip_bit(path, column.data_page_offset - 50)
    with pytest.raises(DamagedTableError, match=r"table 'activity' is damaged"):
        filled.sql("SELECT * FROM activity")
    filled.write("activity", pl.DataFrame({"Metadata_perturbation": rows}))
    assert filled.sql("SELECT count(*) AS n FROM activity")["n"][0] == 500
    assert filled.left_out().height == 0


def test_a_damaged_page_of_a_view_is_named_by_the_query_that_reads_it(screen):
    [path] = screen.write("cell", make_cells("P", "A01", n=3000))
    screen.rebuild_catalog()
    stat = path.stat()
    start, end = next(feature_bytes(path))
    content = bytearray(path.read_bytes())
    content[start + 40 : end] = bytes(end - start - 40)
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(DamagedTableError, match=r"table 'cell' is damaged: tables/cell/P/cell.parquet"):
        screen.sql("SELECT sum(Cells_F0) FROM cells_annotated")


def test_damage_is_not_copied_into_a_merged_file(screen):
    screen.write_part("cell", make_cells("P", "A01", n=2000), plate="P", well="A01")
    path = screen.compact("cell", "P")
    start, end = next(feature_bytes(path))
    flip_bit(path, (start + end) // 2)
    damaged = path.read_bytes()
    screen.write_part("cell", make_cells("P", "A02"), plate="P", well="A02")
    with pytest.raises(DamagedTableError, match=r"cell.parquet is damaged .*Run the screen again"):
        screen.compact("cell", "P")
    assert path.read_bytes() == damaged
    path.unlink()
    screen.compact("cell", "P")
    assert set(screen.stored_wells("cell", "P")) == {"A02"}


def test_plates_that_disagree_on_a_type_leave_the_table_out(filled):
    rows = {"Metadata_Plate": ["P1"], "Metadata_Well": ["A01"], "extra": [1]}
    filled.write("well", pl.DataFrame(rows))
    filled.write("well", pl.DataFrame(rows | {"Metadata_Plate": ["P2"], "extra": ["one"]}))
    with pytest.warns(DamagedTableWarning, match=r"column 'extra' is Int64 in .*P1.* and String in .*P2"):
        assert filled.sql("SELECT count(*) AS n FROM cell")["n"][0] == 10


@pytest.mark.filterwarnings("ignore::phenoprint.store.catalog.DamagedTableWarning")
def test_a_column_that_is_there_twice_is_our_error(screen):
    [path] = screen.write("cell", make_cells("P", "A01"))
    table = pq.read_table(path)
    pq.write_table(table.append_column("Cells_F0", table["Cells_F0"]), path)
    assert damaged_tables(screen.path)["reason"].to_list() == ["several columns are called Cells_F0"]
    assert screen.status().damaged["table"].to_list() == ["cell"]
    for ask in (
        lambda: screen.table("cell"),
        lambda: screen.sql("SELECT * FROM cell"),
        lambda: screen.stored_wells("cell", "P"),
    ):
        with pytest.raises(DamagedTableError, match=r"one name|more than one occurrence"):
            ask()
