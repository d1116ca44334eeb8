# ruff: noqa: S608
"""The catalog: keys, comments, views, rebuilding, and known faults of DuckDB."""

import os
import shutil
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from phenoprint import store
from phenoprint.errors import SchemaError, ScreenError
from phenoprint.store import Screen, _catalog_file, catalog, create
from phenoprint.tables import nan_to_null, table_names

from .conftest import make_cells, make_wells


def dump(screen: Screen) -> dict[str, object]:
    """Everything a catalog holds, as values."""
    with catalog.connect(screen.path) as connection:
        names = [row[0] for row in connection.execute("SHOW TABLES").fetchall()]
        # Without ORDER BY no order is promised.
        rows = {name: sorted(connection.sql(f'SELECT * FROM "{name}"').fetchall(), key=repr) for name in names}
        comments = connection.execute(
            "SELECT table_name, column_name, comment FROM duckdb_columns() ORDER BY ALL"
        ).fetchall()
        constraints = connection.execute(
            "SELECT table_name, constraint_text FROM duckdb_constraints() ORDER BY ALL"
        ).fetchall()
    return {"rows": rows, "comments": comments, "constraints": constraints}


def test_an_empty_screen_answers_every_query(screen):
    for name in [*table_names(), "well_summary", "wells_flagged", "cells_annotated", "lost", "profile"]:
        assert screen.sql(f"SELECT * FROM {name}").height == 0, name
    assert screen.sql("SELECT Metadata_Well FROM cell").schema["Metadata_Well"] == pl.String


def test_rebuilding_is_deterministic(filled):
    first = dump(filled)
    filled.rebuild_catalog()
    assert dump(filled) == first


def test_keys_and_references_are_declared_where_rows_fulfil_them(filled):
    with catalog.connect(filled.path) as connection:
        held = connection.execute(
            "SELECT table_name, constraint_type FROM duckdb_constraints() WHERE constraint_type <> 'NOT NULL'"
        ).fetchall()
    assert ("well", "PRIMARY KEY") in held
    assert ("well", "FOREIGN KEY") in held
    assert ("site", "FOREIGN KEY") in held
    filled.write(
        "site",
        pl.DataFrame(
            {"Metadata_Plate": ["000123"], "Metadata_Well": ["H12"], "Metadata_Site": ["1"], "status": ["ok"]}
        ),
    )
    with catalog.connect(filled.path) as connection:
        held = connection.execute("SELECT table_name, constraint_type FROM duckdb_constraints()").fetchall()
    assert ("site", "PRIMARY KEY") in held
    assert ("site", "FOREIGN KEY") not in held
    assert filled.sql("SELECT Metadata_Well FROM site")["Metadata_Well"].to_list() == ["H12"]


def test_comments_describe_tables_and_columns(filled):
    frame = filled.sql(
        "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE column_name = 'Metadata_Plate'"
    )
    assert set(frame.filter(pl.col("comment").is_not_null())["table_name"]) >= {"well", "cell", "image_quality"}
    views = filled.sql("SELECT comment FROM duckdb_views() WHERE view_name = 'wells_flagged'")
    assert "problem" in views["comment"][0]
    tables = filled.sql("SELECT comment FROM duckdb_tables() WHERE table_name = 'well'")
    assert tables["comment"][0]


def test_views_name_their_columns(filled):
    sql = filled.sql("SELECT sql FROM duckdb_views() WHERE view_name IN ('cell', 'cells_annotated', 'well_summary')")
    for text in sql["sql"]:
        assert "*" not in text.replace("count(*)", "").replace("/*", "").replace("*.parquet", "")
        assert "Metadata_Well" in text


def test_saved_views_have_the_expected_rows(filled):
    summary = filled.sql("SELECT * FROM well_summary ORDER BY Metadata_Well")
    assert summary["n_cells"].to_list() == [4, 6, 0, 0]
    assert summary["n_sites_failed"].to_list() == [0, 0, 0, 1]
    assert summary["Metadata_compound"].to_list() == ["DMSO", "Wortmannin", "Größe µ", None]
    flagged = filled.sql("SELECT Metadata_Well, kind, reason FROM wells_flagged")
    assert flagged.rows() == [
        ("B01", "images", "annotated, but without images"),
        ("B02", "annotation", "has images, but no annotation in the plate map"),
        ("B02", "cells", "no cell found"),
        ("B02", "site", "site 1: failed, truncated file"),
    ]
    cells = filled.sql("SELECT * FROM cells_annotated")
    assert cells.height == 10
    assert cells.columns[:4] == ["Metadata_Plate", "Metadata_Well", "Metadata_Site", "Metadata_ObjectNumber"]
    assert len(set(cells.columns)) == len(cells.columns)
    assert set(cells["Metadata_compound"]) == {"DMSO", "Wortmannin"}


def test_saved_views_show_quality_exclusions_and_losses(filled):
    quality = pl.DataFrame(
        {
            "Metadata_Plate": ["000123"] * 3,
            "Metadata_Well": ["A02", "A02", "A01"],
            "Metadata_Site": ["1", "2", "1"],
            "Metadata_Channel": ["DNA"] * 3,
            "is_flagged": [True, True, False],
            "reasons": ["blurred\nsaturated: 2 %; limit 1 %; A;B", "blurred", None],
        }
    )
    filled.write("image_quality", quality)
    filled.write(
        "exclusion",
        pl.DataFrame({"scope": ["well"], "Metadata_Plate": ["000123"], "Metadata_Well": ["A01"], "reason": ["a; z"]}),
    )
    filled.write(
        "ledger", store.ledger_rows("segment", "000123", "A02", unit_of_count="cells", n_in=9, lost={"small": 3})
    )
    flagged = filled.sql("SELECT Metadata_Well, kind, reason FROM wells_flagged WHERE Metadata_Well LIKE 'A%'")
    assert flagged.rows() == [
        ("A01", "excluded", "excluded: a; z"),
        ("A02", "quality", "blurred (2 sites)"),
        ("A02", "quality", "saturated: 2 %; limit 1 %; A;B (1 site)"),
    ]
    summary = filled.sql("SELECT n_sites_flagged, is_excluded FROM well_summary ORDER BY Metadata_Well")
    assert summary["n_sites_flagged"].to_list() == [0, 2, 0, 0]
    assert summary["is_excluded"].to_list() == [True, False, False, False]
    assert filled.sql("SELECT n_lost, reason FROM lost").rows() == [(3, "small")]
    filled.write("exclusion", pl.DataFrame({"scope": ["plate"], "Metadata_Plate": ["000123"], "reason": ["spill"]}))
    assert filled.sql("SELECT is_excluded FROM well_summary")["is_excluded"].all()


def test_profile_is_the_highest_level(filled):
    profile = pl.DataFrame(
        {
            "Metadata_Plate": ["000123"],
            "Metadata_Well": ["A01"],
            "Metadata_Object_Count": [4],
            "Metadata_compound": ["DMSO"],
            "Cells_F0": [1.0],
        }
    )
    filled.write("profile_well", profile)
    assert filled.sql("SELECT Cells_F0 FROM profile")["Cells_F0"].to_list() == [1.0]
    filled.write("profile_normalized", profile.with_columns(Cells_F0=pl.lit(2.0)))
    frame = filled.sql("SELECT * FROM profile")
    assert frame["Cells_F0"].to_list() == [2.0]
    assert frame["Metadata_pert_type"].to_list() == ["negcon"]
    assert len(set(frame.columns)) == len(frame.columns)


def test_the_catalog_follows_the_parquet(filled):
    assert filled.sql("SELECT count(*) AS n FROM exclusion")["n"][0] == 0
    assert catalog.is_current(filled.path)
    filled.write("exclusion", pl.DataFrame({"scope": ["plate"], "Metadata_Plate": ["000123"], "reason": ["spill"]}))
    assert not catalog.is_current(filled.path)
    assert filled.sql("SELECT count(*) AS n FROM exclusion")["n"][0] == 1
    assert catalog.is_current(filled.path)


@pytest.mark.parametrize("name", ["moved", "it's here", "a,b; c", "[1] é*", "{x}"])
def test_a_screen_can_be_moved(filled, tmp_path, name):
    filled.rebuild_catalog()
    moved = Screen(tmp_path / name)
    shutil.move(filled.path, moved.path)
    assert moved.sql("SELECT count(*) AS n FROM cell")["n"][0] == 10
    moved.write("cell", make_cells("P2", "A01"))
    assert moved.sql("SELECT count(*) AS n FROM cell")["n"][0] == 15


def test_a_screen_never_reads_another_ones_files(filled, tmp_path, monkeypatch):
    other = create(tmp_path / "other")
    other.write("activity", pl.DataFrame({"Metadata_perturbation": ["theirs"]}))
    filled.write("activity", pl.DataFrame({"Metadata_perturbation": ["ours"]}))
    monkeypatch.chdir(other.path)
    assert filled.sql("SELECT Metadata_perturbation AS p FROM activity")["p"].to_list() == ["ours"]
    filled.rebuild_catalog()
    assert filled.sql("SELECT count(*) AS n FROM cell")["n"][0] == 10


def test_a_relative_path_works_too(filled, monkeypatch):
    monkeypatch.chdir(filled.path.parent)
    assert store.open(filled.path.name).sql("SELECT count(*) AS n FROM cell")["n"][0] == 10


def test_readers_with_the_old_catalog_open_are_not_disturbed(filled):
    filled.rebuild_catalog()
    with closing(duckdb.connect(filled.path / "screen.duckdb", read_only=True)) as reader:
        assert reader.execute("SELECT count(*) FROM well").fetchone() == (4,)
        filled.write("well", make_wells("000123", ["A01"]))
        if os.name != "nt":
            assert filled.sql("SELECT count(*) AS n FROM well")["n"][0] == 1
        assert reader.execute("SELECT count(*) FROM well").fetchone() == (4,)


def test_a_catalog_that_is_no_catalog_is_replaced(filled):
    (filled.path / "screen.duckdb").write_bytes(b"garbage" * 1000)
    assert filled.sql("SELECT count(*) AS n FROM cell")["n"][0] == 10


def test_readers_that_wait_for_a_rebuild_do_not_repeat_it(filled, monkeypatch):
    built = []
    real = _catalog_file.build

    def build(folder: Path, target: Path) -> None:
        built.append(target.name)
        real(folder, target)

    monkeypatch.setattr(_catalog_file, "build", build)
    answers = []
    readers = [
        threading.Thread(target=lambda: answers.append(filled.sql("SELECT count(*) AS n FROM cell")["n"][0]))
        for _ in range(6)
    ]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert answers == [10] * 6
    assert len(built) == 1


def test_nothing_is_left_over(filled):
    filled.rebuild_catalog()
    names = [path.name for path in filled.path.iterdir()]
    assert not [name for name in names if "tmp" in name or "wal" in name]


def test_a_table_of_another_program_can_be_queried(filled):
    folder = filled.path / "tables" / "my_notes"
    folder.mkdir()
    pl.DataFrame({"note": ["x"]}).write_parquet(folder / "my_notes.parquet")
    assert filled.sql("SELECT note FROM my_notes")["note"].to_list() == ["x"]
    assert filled.table("my_notes").collect()["note"].to_list() == ["x"]


def test_sql_and_numpy_agree_because_missing_is_null(screen):
    """DuckDB 2.0 counts and orders wrongly over Parquet that holds NaN; with NULL it agrees with numpy."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(384 * 6, 4)).astype(np.float32)
    values[rng.random(values.shape) < 0.1] = np.nan
    wells = [f"{row}{col:02d}" for row in "ABCDEFGHIJKLMNOP" for col in range(1, 25)]
    frame = pl.DataFrame(values, schema=[f"Cells_F{k}" for k in range(4)], orient="row").with_columns(
        Metadata_Plate=pl.lit("P"),
        Metadata_Well=pl.Series(np.repeat(wells, 6)),
        Metadata_Site=pl.lit("1"),
        Metadata_ObjectNumber=pl.Series(np.tile(np.arange(1, 7, dtype=np.int32), 384)),
    )
    with pytest.raises(SchemaError, match=r"NaN"):
        screen.write("cell", frame)
    screen.write("cell", nan_to_null(frame))
    result = screen.sql(
        "SELECT Metadata_Well, median(Cells_F1) AS m, count(Cells_F1) AS n, count(*) FILTER (isnan(Cells_F1)) AS bad "
        "FROM cell GROUP BY Metadata_Well ORDER BY Metadata_Well"
    )
    grid = values[:, 1].reshape(384, 6)
    assert result["bad"].sum() == 0
    np.testing.assert_array_equal(result["n"], np.isfinite(grid).sum(axis=1)[np.argsort(wells)])
    np.testing.assert_allclose(result["m"].to_numpy(), np.nanmedian(grid, axis=1)[np.argsort(wells)], rtol=1e-6)


CLIENT = """
import sys, duckdb
with duckdb.connect(sys.argv[1], read_only=True) as connection:
    for name in ("cell", "cells_annotated", "well", "well_summary"):
        print(connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0])
"""


def plain_client(screen: Screen, cwd: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, str(screen.path / "screen.duckdb")],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.split() or [done.stderr[-300:]]


@pytest.mark.parametrize("name", ["moved", "it's, [here] ü"])
def test_any_client_reads_the_catalog_from_anywhere(filled, tmp_path, name):
    filled.rebuild_catalog()
    assert plain_client(filled, Path("/")) == ["10", "10", "4", "4"]
    moved = Screen(tmp_path / name)
    shutil.move(filled.path, moved.path)
    assert not catalog.is_current(moved.path)  # its views look where the screen was
    moved.sql("SELECT 1")
    assert plain_client(moved, tmp_path) == ["10", "10", "4", "4"]


def test_tables_on_another_disk_are_read(filled, tmp_path):
    shutil.move(filled.path / "tables" / "cell", tmp_path / "cell")
    (filled.path / "tables" / "cell").symlink_to(tmp_path / "cell", target_is_directory=True)
    assert filled.sql("SELECT count(*) AS n FROM cell")["n"][0] == 10
    linked = Screen(tmp_path / "linked")
    linked.path.symlink_to(filled.path, target_is_directory=True)
    assert linked.sql("SELECT count(*) AS n FROM cell")["n"][0] == 10


FULL = """
import resource, sys
from phenoprint import store
screen = store.open(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    screen.rebuild_catalog()
except store_error as error:
    print(error)
"""


@pytest.mark.skipif(os.name == "nt", reason="file sizes are limited by signals of POSIX")
@pytest.mark.parametrize("room", [8_000, 40_000, 300_000])
def test_a_disk_that_fills_up_leaves_the_earlier_catalog(filled, room):
    filled.rebuild_catalog()
    before = (filled.path / "screen.duckdb").read_bytes()
    rows = {"Metadata_perturbation": [f"{k:032x}" for k in range(40_000)]}
    filled.write("activity", pl.DataFrame(rows))
    code = FULL.replace("store_error", "__import__('phenoprint.errors').errors.ScreenError")
    done = subprocess.run(
        [sys.executable, "-c", code, str(filled.path), str(room)], capture_output=True, text=True, check=True
    )
    assert "cannot be made" in done.stdout
    assert "MiB are free on the disk" in done.stdout
    assert (filled.path / "screen.duckdb").read_bytes() == before
    assert not [path.name for path in filled.path.iterdir() if "tmp" in path.name]
    assert filled.sql("SELECT count(*) AS n FROM activity")["n"][0] == 40_000


def swap(target: Path, statement: str) -> None:
    with closing(duckdb.connect(target)) as connection:
        connection.execute(statement)


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("DROP VIEW lost", "lost"),
        ("DELETE FROM site", "site"),
        ("UPDATE catalog_state SET fingerprint = ''", "catalog_state"),
        ("CREATE TABLE stranger (x INT)", "stranger"),
        (None, "cannot be read back"),
    ],
)
def test_a_catalog_that_is_not_what_was_meant_is_not_installed(filled, monkeypatch, statement, what):
    filled.rebuild_catalog()
    before = (filled.path / "screen.duckdb").read_bytes()
    real = _catalog_file.fill

    def fill(folder: Path, target: Path, **options: object) -> object:
        content = real(folder, target, **options)
        if statement is None:
            target.write_bytes(target.read_bytes()[:4096])
        else:
            swap(target, statement)
        return content

    monkeypatch.setattr(_catalog_file, "fill", fill)
    with pytest.raises(ScreenError, match=rf"cannot be made: what was written .*{what}.*MiB are free"):
        filled.rebuild_catalog()
    assert (filled.path / "screen.duckdb").read_bytes() == before
