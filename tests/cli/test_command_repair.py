"""``phenoprint repair`` rebuilds the catalog and prints where it lies."""

import json
import shutil
from contextlib import closing

import duckdb
import polars as pl

from phenoprint.store import create, record_table


def test_the_catalog_of_a_moved_screen_is_repaired(tmp_path, call):
    screen = create(tmp_path / "first")
    screen.write("profile_well", pl.DataFrame({"Metadata_Plate": ["P"], "Metadata_Well": ["A01"], "Cells_F0": [1.0]}))
    screen.rebuild_catalog()
    shutil.move(tmp_path / "first", tmp_path / "second")
    code, out, _ = call("repair", tmp_path / "second", "--json")
    assert code == 0
    answer = json.loads(out)
    assert answer["left_out"] == []
    with closing(duckdb.connect(answer["catalog"], read_only=True)) as connection:
        assert connection.execute("SELECT Cells_F0 FROM profile_well").fetchall() == [(1.0,)]
    code, out, _ = call("repair", tmp_path / "second")
    assert (code, out.split()) == (0, ["catalog", answer["catalog"]])


def test_what_is_left_out_is_listed(tmp_path, call):
    screen = create(tmp_path / "screen")
    paths = screen.write("activity", pl.DataFrame({"Metadata_perturbation": ["P"]}))
    record_table(screen.path, "activity", paths)
    paths[0].unlink()
    code, out, _ = call("repair", screen.path, "--json")
    assert code == 3
    [row] = json.loads(out)["left_out"]
    assert (row["name"], row["reason"]) == ("activity", "the file is missing")
    code, out, _ = call("repair", screen.path)
    assert code == 3
    assert "is missing" in out
