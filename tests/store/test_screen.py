"""The screen folder: opening, writing, locking, querying."""

import errno
import json
import os
import socket
import subprocess
import sys
import textwrap
import time

import polars as pl
import pytest

from phenoprint import store
from phenoprint.errors import (
    SchemaError,
    ScreenError,
    ScreenLockedError,
    ScreenNotFoundError,
    UnknownNameError,
    UsageError,
)
from phenoprint.store import Receipt, Screen, create, lock, write_receipt

from .conftest import make_cells


def test_create_and_open(tmp_path):
    made = create(tmp_path / "s" / "my screen", config_text='[screen]\nname = "Ünïcode"\n')
    opened = store.open(str(made.path))
    assert opened == made
    assert opened.name == "Ünïcode"
    assert "Ünïcode" in opened.config_text
    assert store.open(made.path / "screen.toml") == made
    assert create(made.path).config_text == made.config_text


@pytest.mark.parametrize("text", ["", "not [toml", "screen = 3"])
def test_the_folder_names_a_screen_without_a_name(tmp_path, text):
    assert create(tmp_path / "here", config_text=text).name == "here"


def test_what_is_not_a_screen_is_described(tmp_path):
    create(tmp_path / "real")
    with pytest.raises(ScreenNotFoundError, match=r"does not exist; screens beside it: real.*phenoprint run"):
        store.open(tmp_path / "rael")
    with pytest.raises(ScreenNotFoundError, match=r"holds screens \(real\)"):
        store.open(tmp_path)
    images = tmp_path / "images"
    images.mkdir()
    for k in range(3):
        (images / f"{k}.tif").touch()
    with pytest.raises(
        ScreenNotFoundError, match=r"neither screen.toml nor tables; it holds 3 x .tif.*phenoprint init"
    ):
        store.open(images)
    with pytest.raises(ScreenNotFoundError, match="that is a file"):
        store.open(images / "0.tif")
    with pytest.raises(ScreenError, match=r"a file has that name"):
        create(images / "0.tif")


def test_writing_splits_plates_and_replaces_only_them(screen):
    both = pl.concat([make_cells("P1", "A01"), make_cells("P2", "A01")])
    paths = screen.write("cell", both)
    assert len(paths) == 2
    screen.write("cell", make_cells("P2", "A01", n=1), "P2")
    assert dict(screen.table("cell").collect().group_by("Metadata_Plate").len().rows()) == {"P1": 5, "P2": 1}
    assert screen.tables() == ["cell"]
    with pytest.raises(SchemaError, match=r"plate 'P1': the frame holds rows of plates \['P2'\]"):
        screen.write("cell", make_cells("P2", "A01"), "P1")
    with pytest.raises(UsageError, match=r"one file for the whole screen"):
        screen.write("feature", pl.DataFrame({"feature": ["Cells_F0"]}), "P1")
    with pytest.raises(UnknownNameError, match=r"did you mean 'cell'"):
        screen.write("cells", both)


def test_steps_may_write_rows_of_their_own(screen):
    for step in ("a", "b"):
        rows = store.ledger_rows(step, "P", "A01", unit_of_count="cells", n_in=1)
        screen.write("ledger", rows, "P", part=step)
        screen.write("ledger", rows, "P", part=step)
    assert sorted(screen.sql("SELECT step FROM ledger")["step"]) == ["a", "b"]


def test_empty_frames_and_single_file_tables(screen):
    screen.write("cell", make_cells("P", "A01", n=0), "P")
    assert screen.table("cell").collect().height == 0
    screen.write("feature", pl.DataFrame({"feature": ["Cells_F0"]}))
    assert screen.table("feature").collect().height == 1
    assert screen.sql("SELECT count(*) AS n FROM cell")["n"][0] == 0


def test_status_counts_everything(filled):
    filled.write_part("cell", make_cells("000123", "B02"), plate="000123", well="B02")
    write_receipt(filled.path, Receipt("segment", "A01", "000123", "k", seconds=2.0))
    write_receipt(
        filled.path, Receipt("segment", "B02", "000123", "k", status="failed", error=("ImageError", "truncated"))
    )
    state = filled.status()
    cell = state.tables.row(by_predicate=pl.col("table") == "cell", named=True)
    assert (cell["rows"], cell["plates"], cell["files"], cell["waiting_parts"]) == (10, 1, 1, 1)
    assert state.steps.rows() == [("segment", "000123", 1, 1, 2.0)]
    assert state.failures.rows() == [("segment", "000123", "B02", "ImageError", "truncated")]
    assert state.held_by is None
    assert not state.catalog_is_current
    filled.rebuild_catalog()
    assert filled.status().catalog_is_current


def test_unknown_tables_and_columns_offer_the_closest(filled):
    with pytest.raises(UnknownNameError, match=r"unknown table 'cel'; did you mean 'cell'"):
        filled.sql("SELECT * FROM cel")
    with pytest.raises(UnknownNameError, match=r"unknown column 'Metadata_Wel'; did you mean 'Metadata_Well'"):
        filled.sql("SELECT Metadata_Wel FROM cell")
    with pytest.raises(UnknownNameError, match=r"unknown column 'Cells_F9'; did you mean 'Cells_F"):
        filled.sql("SELECT c.Cells_F9 FROM cell c")
    with pytest.raises(UnknownNameError, match=r"did you mean 'well_summary'"):
        filled.table("well_sumary")


def test_thousands_of_columns_are_not_listed(screen):
    screen.write("cell", make_cells("P", "A01", features=500))
    with pytest.raises(UnknownNameError, match=r"did you mean 'Cells_F49") as caught:
        screen.sql("SELECT Cells_F49x FROM cell")
    assert len(str(caught.value)) < 400
    assert "more (DESCRIBE" in str(caught.value)


@pytest.mark.parametrize("query", ["SELEC 1", "SELECT 'a'::INTEGER", "SELECT sum('x')", ""])
def test_queries_that_are_no_queries(filled, query):
    if query:
        with pytest.raises(UsageError, match=r"not valid"):
            filled.sql(query)
    else:
        assert filled.sql(query).height == 0


@pytest.mark.parametrize(
    "query", ["DROP TABLE well", "CREATE TABLE x (a INT)", "DELETE FROM well", "UPDATE well SET Metadata_moa = 'x'"]
)
def test_a_query_cannot_change_the_catalog(filled, query):
    with pytest.raises(UsageError, match=r"only reads"):
        filled.sql(query)
    assert filled.sql("SELECT count(*) AS n FROM well")["n"][0] == 4


def test_tables_and_views_are_frames(filled):
    assert isinstance(filled.table("cell"), pl.LazyFrame)
    assert filled.table("wells_flagged").collect()["Metadata_Well"].unique().sort().to_list() == ["B01", "B02"]
    with pytest.raises(UnknownNameError):
        filled.table("nothing_like_it")


HERE = socket.gethostname()
HOLD = """
import sys, time
from phenoprint import store
with store.open(sys.argv[1]).lock():
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def hold_elsewhere(screen: Screen, seconds: float) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLD), str(screen.path), str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline().strip() == "held"
    return process


def test_two_runs_cannot_lock_one_screen(screen):
    process = hold_elsewhere(screen, 60)
    try:
        with pytest.raises(ScreenLockedError) as caught, screen.lock(timeout_s=0.05):
            pass
        message = str(caught.value)
        assert f"process {process.pid} on " in message
        assert "since 20" in message
        assert "is released when that process ends" in message
        assert screen.status().held_by.pid == process.pid
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert lock.holder(screen.path) is None
    with screen.lock():
        assert lock.holder(screen.path) is not None
    assert lock.holder(screen.path) is None


def test_a_lock_that_cannot_be_tried_is_held_by_a_process_that_lives(screen, monkeypatch):
    def read_only(*_args, **_options):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(lock, "FileLock", read_only)
    note = screen.path / "screen.lock.json"
    for pid, host, held in ((os.getpid(), HERE, True), (2**22 + 1, HERE, False), (1, "elsewhere", True)):
        note.write_text(json.dumps({"pid": pid, "host": host, "since": "2026-01-01"}))
        assert (lock.holder(screen.path) is not None) == held, (pid, host)


def test_a_run_waits_for_the_lock_for_the_given_time(screen):
    process = hold_elsewhere(screen, 0.3)
    start = time.monotonic()
    with screen.lock(timeout_s=30):
        assert time.monotonic() - start > 0.05
    process.wait()
    process.stdout.close()


def test_the_lock_is_free_after_an_error(screen):
    with pytest.raises(RuntimeError), screen.lock():
        raise RuntimeError
    with screen.lock():
        pass


def test_queries_work_while_a_run_holds_the_lock(filled):
    with filled.lock():
        assert filled.sql("SELECT count(*) AS n FROM cell")["n"][0] == 10
