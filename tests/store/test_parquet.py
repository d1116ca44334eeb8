"""Atomic Parquet and tables over several plates."""

import errno
import os
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phenoprint.errors import DamagedTableError, SchemaError, ScreenError, UnknownNameError
from phenoprint.store import _atomic, read_table, write_parquet
from phenoprint.store.layout import decode_name, encode_name, plate_of, table_files
from phenoprint.store.parquet import group_rows, to_arrow

from .conftest import ODD_PLATES, make_cells


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.name.endswith(_atomic.TEMPORARY_SUFFIX)]


def test_round_trip_sorted_with_null_and_no_float_dictionary(tmp_path):
    frame = make_cells("P", "B01").with_columns(Cells_F1=pl.lit(None, dtype=pl.Float32))
    both = pl.concat([frame, make_cells("P", "A01")])
    path = tmp_path / "deep" / "er" / "cell.parquet"
    size = write_parquet(both, path, sort_by=["Metadata_Well", "Metadata_ObjectNumber"], metadata={"who": "é"})
    assert size == path.stat().st_size
    back = pl.read_parquet(path)
    assert back.equals(both.sort("Metadata_Well", "Metadata_ObjectNumber"))
    meta = pq.read_metadata(path)
    assert meta.metadata[b"who"].decode() == "é"
    columns = {meta.row_group(0).column(i).path_in_schema: meta.row_group(0).column(i) for i in range(meta.num_columns)}
    assert not columns["Cells_F0"].has_dictionary_page
    assert not columns["Cells_F0"].is_stats_set
    assert columns["Metadata_Well"].has_dictionary_page
    assert columns["Metadata_Well"].statistics.min == "A01"
    assert columns["Cells_F0"].compression == "ZSTD"
    assert columns["Cells_F0"].physical_type == "FLOAT"


def test_row_groups_hold_a_plate_and_wide_tables_less():
    narrow = to_arrow(make_cells("P", "A01")).schema
    assert group_rows(narrow) == 122_880
    wide = to_arrow(make_cells("P", "A01", features=3000)).schema
    assert 8_000 < group_rows(wide) < 15_000


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EIO])
def test_a_failed_write_leaves_the_earlier_file_and_no_temporary_one(tmp_path, monkeypatch, code):
    path = tmp_path / "x.parquet"
    write_parquet(pl.DataFrame({"x": [1]}), path)
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(code, os.strerror(code))))
    with pytest.raises(ScreenError) as caught:
        write_parquet(pl.DataFrame({"x": [2]}), path)
    message = str(caught.value)
    assert str(path) in message
    if code == errno.ENOSPC:
        assert "MiB are free" in message
        assert "run again" in message
    assert pl.read_parquet(path)["x"].to_list() == [1]
    assert leftovers(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_is_reported_when_arrow_writes(tmp_path, monkeypatch):
    real_open = Path.open
    monkeypatch.setattr(
        Path,
        "open",
        lambda self, mode="r", **k: (
            real_open(Path("/dev/full"), "wb", buffering=0) if "x" in mode else real_open(self, mode, **k)
        ),
    )
    with pytest.raises(ScreenError, match=r"no room to write .*x.parquet.*Free some space"):
        write_parquet(pl.DataFrame({"x": [1.0] * 1000}), tmp_path / "x.parquet")


def test_an_exception_or_interrupt_leaves_nothing(tmp_path):
    def half(kind):
        with _atomic.atomic_file(tmp_path / "a") as handle:
            handle.write(b"half")
            raise kind

    for kind in (ValueError, KeyboardInterrupt):
        with pytest.raises(kind):
            half(kind)
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_folder_is_named(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(ScreenError, match=r"cannot write"):
        write_parquet(pl.DataFrame({"x": [1]}), blocked / "x.parquet")


def test_windows_waits_for_readers(tmp_path, monkeypatch):
    calls = []
    real = Path.replace

    def stubborn(self, target):
        calls.append(1)
        if len(calls) < 3:
            raise PermissionError(errno.EACCES, "in use")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", stubborn)
    monkeypatch.setattr(_atomic.os, "name", "nt")
    source = tmp_path / "s"
    source.write_text("new")
    _atomic.replace(source, tmp_path / "t")
    monkeypatch.undo()
    assert len(calls) == 3
    assert (tmp_path / "t").read_text() == "new"


@given(st.text(min_size=1, max_size=30).filter(lambda t: t.encode("utf-8", "replace").decode() == t))
def test_names_survive_encoding_and_are_safe(name):
    encoded = encode_name(name)
    assert decode_name(encoded) == name
    assert not set(encoded) & set('/\\:*?"<>|= ,\0')
    assert encoded not in (".", "..")
    assert encoded.isascii()
    assert not encoded.endswith(".")
    assert not encoded.startswith(("_", "."))


@pytest.mark.parametrize("device", ["con", "NUL", "com1", "aux.txt", "LPT9"])
def test_device_names_of_windows_are_avoided(device):
    assert encode_name(device).split(".")[0].lower() != device.split(".")[0].lower()
    assert decode_name(encode_name(device)) == device


def test_odd_plates_stay_text_and_are_found(screen):
    for k, plate in enumerate(ODD_PLATES):
        screen.write("cell", make_cells(plate, "A01", features=1 + k % 2))
    table = screen.table("cell")
    assert table.collect_schema()["Metadata_Plate"] == pl.String
    frame = table.collect()
    assert sorted(frame["Metadata_Plate"].unique()) == sorted(ODD_PLATES)
    assert {plate_of(screen.path, path) for path in table_files(screen.path, "cell")} == set(ODD_PLATES)
    one = table.filter(pl.col("Metadata_Plate") == "a=b").collect()
    assert one.height == 5
    sql = screen.sql("SELECT Metadata_Plate, count(*) AS n, count(Cells_F1) AS m FROM cell GROUP BY ALL")
    assert sorted(sql["Metadata_Plate"]) == sorted(ODD_PLATES)
    assert sql["n"].unique().to_list() == [5]
    assert sorted(sql["m"].unique()) == [0, 5]
    assert screen.sql("SELECT count(*) AS n FROM cell WHERE Metadata_Plate = '000123'")["n"][0] == 5


def test_every_file_is_complete_by_itself(screen):
    [path] = screen.write("cell", make_cells("000123", "A01"))
    assert pl.read_parquet(path, hive_partitioning=False)["Metadata_Plate"].unique().to_list() == ["000123"]
    import pandas as pd

    assert pd.read_parquet(path)["Metadata_Plate"].unique().tolist() == ["000123"]


def test_plates_may_differ_in_columns(screen):
    screen.write("cell", make_cells("P1", "A01", features=2))
    screen.write("cell", make_cells("P2", "A01", features=3))
    frame = screen.table("cell").collect().sort("Metadata_Plate", "Metadata_ObjectNumber")
    assert frame.columns[-3:] == ["Cells_F0", "Cells_F1", "Cells_F2"]
    assert frame.filter(pl.col("Metadata_Plate") == "P1")["Cells_F2"].null_count() == 5
    assert frame.filter(pl.col("Metadata_Plate") == "P2")["Cells_F2"].null_count() == 0


def test_types_that_disagree_are_refused(screen):
    rows = {"Metadata_Plate": ["P1"], "Metadata_Well": ["A01"], "extra": [1]}
    screen.write("well", pl.DataFrame(rows))
    screen.write("well", pl.DataFrame(rows | {"Metadata_Plate": ["P2"], "extra": ["one"]}))
    with pytest.raises(SchemaError, match=r"column 'extra' is Int64 in .*P1.* and String in .*P2"):
        screen.table("well")


def test_a_table_without_files_is_empty_and_typed(screen):
    frame = screen.table("cell").collect()
    assert frame.height == 0
    assert frame.schema["Metadata_ObjectNumber"] == pl.Int32
    with pytest.raises(UnknownNameError):
        read_table(screen.path, "cel")


def test_a_broken_file_is_named(screen):
    [path] = screen.write("cell", make_cells("P1", "A01"))
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(DamagedTableError, match=r"table 'cell' is damaged: .*cell.parquet.*Run the screen again"):
        screen.table("cell")


def test_rows_without_plate_are_kept(screen):
    from phenoprint.store import ledger_rows

    rows = pl.concat(
        [
            ledger_rows("select", None, unit_of_count="features", n_in=10, lost={"constant": 3}),
            ledger_rows("select", "P1", "A01", unit_of_count="cells", n_in=10),
        ]
    )
    screen.write("ledger", rows)
    back = screen.table("ledger").collect()
    assert sorted(back["Metadata_Plate"].to_list(), key=str) == [None, "P1"]
    assert screen.sql("SELECT reason FROM lost WHERE Metadata_Plate IS NULL")["reason"].to_list() == ["constant"]


def test_a_file_without_the_column_of_its_plate_is_damaged(screen):
    folder = screen.path / "tables" / "cell" / "000123"
    folder.mkdir(parents=True)
    make_cells("x", "A01").drop("Metadata_Plate").write_parquet(folder / "cell.parquet")
    for ask in (lambda: screen.table("cell"), lambda: screen.stored_wells("cell", "000123")):
        with pytest.raises(DamagedTableError, match=r"it has no column Metadata_Plate"):
            ask()


def test_what_parquet_has_no_form_for_is_named(tmp_path):
    frame = pl.DataFrame({"x": [{}]}, schema={"x": pl.Struct({})})
    with pytest.raises(SchemaError, match=r"x.parquet cannot be written: Parquet cannot store a column"):
        write_parquet(frame, tmp_path / "x.parquet")
    assert leftovers(tmp_path) == []
