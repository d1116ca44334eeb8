# ruff: noqa: S608
"""The catalog for other clients and DuckDB versions, after a move, on read-only media, and with missing files."""

import errno
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import duckdb
import polars as pl
import pytest

import phenoprint
from phenoprint.errors import DamagedTableError, ScreenError
from phenoprint.store import Receipt, Screen, _catalog_file, catalog, damage, record_table, write_receipt
from phenoprint.store.catalog import DamagedTableWarning
from phenoprint.tables import table_names

from .conftest import make_cells, make_wells


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the catalogs of screens that cannot be written away from the user's own."""
    monkeypatch.setattr(_catalog_file, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def direct(path: Path, sql: str) -> list[tuple[object, ...]]:
    """Answer a query as another program does, with its own connection."""
    with closing(duckdb.connect(path, read_only=True)) as connection:
        return connection.execute(sql).fetchall()


@pytest.fixture
def make_read_only(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[Screen], None]:
    """Mount a folder over itself, read-only; where only an administrator may do that, let it look read-only."""

    def make(screen: Screen) -> None:
        folder = str(screen.path)
        bind = ["mount", "--bind", folder, folder]
        if shutil.which("mount") and subprocess.run(bind, check=False, capture_output=True).returncode == 0:
            request.addfinalizer(lambda: subprocess.run(["umount", "-l", folder], check=True))
            subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        else:
            monkeypatch.setattr(_catalog_file.os, "access", lambda *_: False)

    return make


def test_older_versions_of_duckdb_read_the_catalog(filled):
    """The format of 1.0 is read by 1.1 and all later versions; that of 2.0 by 2.0 only."""
    filled.rebuild_catalog()
    [(tags,)] = direct(filled.path / "screen.duckdb", "SELECT tags FROM duckdb_databases() WHERE NOT internal")
    assert tags["storage_version"] == "v1.0.0+"


def test_saved_views_use_functions_that_older_versions_have(filled):
    """``if`` as a function is of DuckDB 2.0: before, CASE does the same. These are of 1.1 and of all later versions."""
    filled.rebuild_catalog()
    path = filled.path / "screen.duckdb"
    views = direct(path, "SELECT sql FROM duckdb_views() WHERE NOT internal")
    queries = [sql.partition(" AS ")[2] for (sql,) in views]
    trees = [json.loads(direct(path, f"SELECT json_serialize_sql($${query}$$)")[0][0]) for query in queries]
    assert not [tree for tree in trees if tree["error"]]
    known = {"read_parquet", "count", "count_star", "min", "nullif", "string_split", "chr", "unnest", "list_value"}
    assert {name for tree in trees for name in functions(tree) if name.isidentifier()} <= known


def functions(node: object) -> list[str]:
    """Names of the functions and operators in a parsed query."""
    if isinstance(node, dict):
        own = [node["function_name"]] if "function_name" in node else []
        return own + [name for inner in node.values() for name in functions(inner)]
    return [name for inner in node for name in functions(inner)] if isinstance(node, list) else []


def test_the_version_of_duckdb_does_not_make_a_catalog_stale(filled, monkeypatch):
    filled.rebuild_catalog()
    monkeypatch.setattr(duckdb, "__version__", "1.5.0")
    assert catalog.is_current(filled.path)


def test_every_column_of_tables_and_views_has_a_comment(filled):
    filled.write("feature", pl.DataFrame({"feature": ["Cells_F0"], "description": ["brightness"], "unit": ["a.u."]}))
    filled.write(
        "profile_well", pl.DataFrame({"Metadata_Plate": ["000123"], "Metadata_Well": ["A01"], "Cells_F0": 1.0})
    )
    filled.rebuild_catalog()
    rows = direct(
        filled.path / "screen.duckdb",
        "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal",
    )
    found = {(table, column): comment for table, column, comment in rows}
    assert [key for key, comment in found.items() if comment is None] == [
        (view, f"Cells_F{k}") for view in ("cell", "cells_annotated") for k in (1, 2)
    ]
    for view in ("cell", "cells_annotated", "profile_well", "profile"):
        assert found[view, "Cells_F0"] == "brightness, a.u."
    assert found["cells_annotated", "Metadata_compound"] == found["well", "Metadata_compound"]


def test_a_view_of_very_many_features_is_not_commented_one_by_one(filled, monkeypatch):
    """The time grows with the square of their number: table feature describes them."""
    monkeypatch.setattr("phenoprint.store._comments.MOST_COMMENTED", 2)
    filled.write("feature", pl.DataFrame({"feature": ["Cells_F0"], "description": ["brightness"], "unit": ["1"]}))
    frame = filled.sql("SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'cell'")
    assert dict(frame.iter_rows())["Cells_F0"] is None
    assert dict(frame.iter_rows())["Metadata_Plate"] is not None
    assert dict(filled.describe("cell").select("column", "comment").iter_rows())["Cells_F0"] == "brightness"


def test_only_cells_and_features_stay_outside_the_catalog(filled):
    """A declared table is a view only if it has a row per cell or columns of features."""
    filled.rebuild_catalog()
    path = filled.path / "screen.duckdb"
    views = {name for (name,) in direct(path, "SELECT view_name FROM duckdb_views() WHERE NOT internal")}
    profiles = {"well", "normalized", "selected", "step", "consensus", "heterogeneity", "cross_fitted"}
    wide = {"cell", "object", "cell_quality", "site_feature", *(f"profile_{level}" for level in profiles)}
    assert views & set(table_names()) == wide


def test_other_clients_read_small_tables_of_a_moved_screen_before_it_is_opened(filled, tmp_path):
    filled.rebuild_catalog()
    shutil.move(filled.path, tmp_path / "moved")
    assert direct(tmp_path / "moved" / "screen.duckdb", "SELECT count(*) FROM well") == [(4,)]
    with pytest.raises(duckdb.IOException):
        direct(tmp_path / "moved" / "screen.duckdb", "SELECT count(*) FROM cell")


def test_opening_a_moved_screen_repairs_its_catalog(filled, tmp_path):
    filled.rebuild_catalog()
    shutil.move(filled.path, tmp_path / "moved")
    phenoprint.open(tmp_path / "moved")
    assert direct(tmp_path / "moved" / "screen.duckdb", "SELECT count(*) FROM cells_annotated") == [(10,)]


def test_opening_a_screen_that_did_not_move_changes_nothing(filled):
    phenoprint.open(filled.path)
    assert not (filled.path / "screen.duckdb").exists()
    filled.rebuild_catalog()
    filled.write("cell", make_cells("P2", "A01"))
    before = (filled.path / "screen.duckdb").stat().st_mtime_ns
    phenoprint.open(filled.path)
    assert (filled.path / "screen.duckdb").stat().st_mtime_ns == before


@pytest.mark.parametrize("has_catalog", [False, True])
def test_read_only_media_are_queried(filled, tmp_path, make_read_only, cache, has_catalog):
    if has_catalog:
        filled.rebuild_catalog()
    copied = Screen(tmp_path / "copy")
    shutil.copytree(filled.path, copied.path)
    make_read_only(copied)
    before = sorted(copied.path.rglob("*"))
    assert copied.sql("SELECT count(*) AS n FROM cells_annotated")["n"][0] == 10
    [path] = cache.glob("*.duckdb")
    built = path.stat().st_mtime_ns
    assert copied.sql("SELECT count(*) AS n FROM well")["n"][0] == 4
    assert path.stat().st_mtime_ns == built  # made once
    assert catalog.is_current(copied.path)
    assert direct(path, "SELECT count(*) FROM cells_annotated") == [(10,)]
    assert copied.rebuild_catalog() == path
    assert sorted(copied.path.rglob("*")) == before


@pytest.mark.parametrize(("number", "is_cached"), [(errno.EROFS, True), (errno.EACCES, True), (errno.ENOSPC, False)])
def test_a_folder_that_turns_out_to_be_read_only(filled, monkeypatch, cache, number, is_cached):
    real = _catalog_file.FileLock

    def lock(path: Path, **options: float) -> object:
        if path.is_relative_to(filled.path):
            raise OSError(number, os.strerror(number), str(path))
        return real(path, **options)

    monkeypatch.setattr(_catalog_file, "FileLock", lock)
    if is_cached:
        assert filled.rebuild_catalog().parent == cache
    else:  # a full disk is reported
        with pytest.raises(ScreenError, match="no room"):
            filled.rebuild_catalog()
    assert filled.sql("SELECT count(*) AS n FROM cell")["n"][0] == 10


def test_a_query_needs_neither_a_writable_screen_nor_a_cache(filled, monkeypatch, cache):
    cache.write_text("a file is in the way")
    monkeypatch.setattr(_catalog_file.os, "access", lambda *_: False)
    assert filled.sql("SELECT count(*) AS n FROM cell")["n"][0] == 10
    assert not (filled.path / "screen.duckdb").exists()
    with pytest.raises(ScreenError, match="cannot write"):
        filled.rebuild_catalog()


def test_catalogs_of_long_ago_leave_the_cache(filled, make_read_only, cache):
    cache.mkdir()
    old, new = cache / "old.duckdb", cache / "new.duckdb"
    for path, days in ((old, 40), (new, 3)):
        path.touch()
        os.utime(path, times=(time.time() - days * 86_400,) * 2)
    make_read_only(filled)
    filled.sql("SELECT 1")
    assert not old.exists()
    assert new.exists()


def record(screen: Screen, table: str) -> list[Path]:
    """Write the receipt of a table's files, as a run does."""
    files = sorted((screen.path / "tables" / table).rglob("*.parquet"))
    record_table(screen.path, table, files)
    return files


@pytest.mark.parametrize("table", ["well", "cell"])
def test_a_table_whose_files_were_deleted_is_reported(filled, table):
    record(filled, table)
    shutil.rmtree(filled.path / "tables" / table)
    with pytest.warns(DamagedTableWarning, match=rf"{table}.*is missing"):
        assert filled.sql("SELECT count(*) AS n FROM site")["n"][0] == 3
    with pytest.warns(DamagedTableWarning), pytest.raises(DamagedTableError, match=rf"'{table}'.*is missing"):
        filled.sql(f"SELECT * FROM {table}")
    lost = filled.left_out()
    assert {table, "cells_annotated", "well_summary"} <= set(lost["name"])
    assert filled.status().damaged.rows() == [(table, f"tables/{table}/000123/{table}.parquet", "the file is missing")]


def test_one_plate_that_was_deleted_is_reported(filled):
    filled.write("cell", make_cells("P2", "A01"))
    first, second = record(filled, "cell")
    filled.rebuild_catalog()
    second.unlink()
    with pytest.warns(DamagedTableWarning), pytest.raises(DamagedTableError, match=r"tables/cell/P2/cell\.parquet"):
        filled.sql("SELECT count(*) FROM cell")
    assert first.exists()


def test_a_file_that_is_back_is_read_again(filled, tmp_path):
    [path] = record(filled, "cell")
    shutil.move(path, tmp_path / "cell.parquet")
    with pytest.warns(DamagedTableWarning):
        filled.sql("SELECT 1")
    shutil.move(tmp_path / "cell.parquet", path)
    assert filled.sql("SELECT count(*) AS n FROM cell")["n"][0] == 10


def test_receipts_of_wells_name_no_table_and_are_not_read(filled, monkeypatch):
    for unit in ("A01", "AF48"):
        write_receipt(filled.path, Receipt("measure", unit, "000123", "k"))
    record(filled, "well")
    read = []
    real = damage.read_receipt
    monkeypatch.setattr(damage, "read_receipt", lambda path: (read.append(path.stem), real(path))[1])
    assert damage.missing_files(filled.path) == {}
    assert read == ["well"]


def test_an_import_of_a_plate_that_is_replaced_leaves_no_missing_file(filled):
    filled.write("well", make_wells("P2", ["A01"]))
    record(filled, "well")
    shutil.rmtree(filled.path / "tables" / "well" / "P2")
    record(filled, "well")
    assert filled.left_out().height == 0
