"""Parts of a plate and their merging, also after a kill at any point."""

import os
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phenoprint.errors import LostRowsError, SchemaError, ScreenError, UsageError
from phenoprint.store import (
    Screen,
    StoredWell,
    _merge,
    compact,
    create,
    parts,
    pending_wells,
    read_table,
    stored_wells,
    write_part,
)
from phenoprint.store import parquet as parquet_module

from .conftest import ODD_PLATES, make_cells

KEYS = ["Metadata_Plate", "Metadata_Well", "Metadata_Site", "Metadata_ObjectNumber"]


def put(folder: Path, well: str, *, plate: str = "P", key: str | None = None, **options) -> None:
    write_part(folder, "cell", make_cells(plate, well, **options), plate=plate, well=well, key=key)


def rows(folder: Path) -> pl.DataFrame:
    return read_table(folder, "cell").collect().sort(KEYS)


def test_parts_become_one_sorted_file(tmp_path):
    for well in ("B02", "A01", "A10"):
        put(tmp_path, well, n=3)
    assert rows(tmp_path).height == 0
    merged = compact(tmp_path, "cell", "P")
    assert merged == tmp_path / "tables" / "cell" / "P" / "cell.parquet"
    on_disk = pl.read_parquet(merged, hive_partitioning=False)
    assert on_disk.select(KEYS).rows() == sorted(on_disk.select(KEYS).rows())
    assert on_disk.height == 9
    assert not (tmp_path / "parts" / "cell").exists()
    assert pq.read_metadata(merged).num_row_groups == 1


def test_new_parts_replace_their_wells_and_only_theirs(tmp_path):
    for well in ("A01", "A02", "A03"):
        put(tmp_path, well, n=3, key="old")
    compact(tmp_path, "cell", "P")
    put(tmp_path, "A02", n=5, offset=100, key="new")
    put(tmp_path, "A03", n=0, key="new")
    put(tmp_path, "A04", n=1, key="new")
    assert pending_wells(tmp_path, "cell", "P") == {
        "A02": StoredWell(5, "new"),
        "A03": StoredWell(0, "new"),
        "A04": StoredWell(1, "new"),
    }
    expected = {
        "A01": StoredWell(3, "old"),
        "A02": StoredWell(5, "new"),
        "A03": StoredWell(0, "new"),
        "A04": StoredWell(1, "new"),
    }
    assert stored_wells(tmp_path, "cell", "P") == expected
    compact(tmp_path, "cell", "P")
    assert stored_wells(tmp_path, "cell", "P") == expected
    assert pending_wells(tmp_path, "cell", "P") == {}
    counts = dict(rows(tmp_path).group_by("Metadata_Well").len().rows())
    assert counts == {"A01": 3, "A02": 5, "A04": 1}
    assert rows(tmp_path).filter(pl.col("Metadata_Well") == "A02")["Cells_F0"].min() == 101


def test_compacting_without_parts_does_nothing(tmp_path):
    assert compact(tmp_path, "cell", "P") is None
    put(tmp_path, "A01")
    merged = compact(tmp_path, "cell", "P")
    before = (merged.stat().st_mtime_ns, merged.read_bytes())
    assert compact(tmp_path, "cell", "P") == merged
    assert (merged.stat().st_mtime_ns, merged.read_bytes()) == before


def test_wells_that_are_gone_are_dropped_everywhere(tmp_path):
    for well in ("A01", "A02", "A03"):
        put(tmp_path, well, n=2)
    compact(tmp_path, "cell", "P")
    put(tmp_path, "A03", n=4)
    put(tmp_path, "A04", n=4)
    compact(tmp_path, "cell", "P", drop=["A02", "A04", "H12"])
    assert set(stored_wells(tmp_path, "cell", "P")) == {"A01", "A03"}
    assert dict(rows(tmp_path).group_by("Metadata_Well").len().rows()) == {"A01": 2, "A03": 4}
    compact(tmp_path, "cell", "P", drop=["A01", "A03"])
    assert rows(tmp_path).height == 0
    assert "Cells_F0" in rows(tmp_path).columns


def test_columns_follow_the_wells_that_stay(tmp_path):
    put(tmp_path, "A01", features=3)
    put(tmp_path, "A02", features=3)
    compact(tmp_path, "cell", "P")
    put(tmp_path, "A01", features=2)
    put(tmp_path, "A03", features=4)
    compact(tmp_path, "cell", "P")
    assert stored_wells(tmp_path, "cell", "P")["A01"].absent == ("Cells_F2", "Cells_F3")
    compact(tmp_path, "cell", "P", drop=["A03"])
    frame = rows(tmp_path)
    assert "Cells_F3" not in frame.columns
    assert frame.filter(pl.col("Metadata_Well") == "A01")["Cells_F2"].null_count() == 5
    put(tmp_path, "A02", features=2)
    compact(tmp_path, "cell", "P")
    assert "Cells_F2" not in rows(tmp_path).columns


@pytest.mark.parametrize("plate", ODD_PLATES)
def test_odd_plates(tmp_path, plate):
    put(tmp_path, "A01", plate=plate)
    compact(tmp_path, "cell", plate)
    assert rows(tmp_path)["Metadata_Plate"].unique().to_list() == [plate]


def test_parts_are_checked(tmp_path):
    with pytest.raises(SchemaError, match=r"plate 'P', well 'A02'.*5 rows of others.*well 'A01'"):
        write_part(tmp_path, "cell", make_cells("P", "A01"), plate="P", well="A02")
    bad = make_cells("P", "A01").with_columns(Cells_F0=pl.lit(float("nan"), dtype=pl.Float32))
    with pytest.raises(SchemaError, match=r"NaN"):
        write_part(tmp_path, "cell", bad, plate="P", well="A01")
    with pytest.raises(UsageError, match=r"'feature' is not written well by well"):
        write_part(tmp_path, "feature", pl.DataFrame(), plate="P", well="A01")
    with pytest.raises(UsageError):
        compact(tmp_path, "activity", "P")
    assert list(tmp_path.rglob("*.parquet")) == []


def test_identifiers_are_added_where_the_frame_has_none(tmp_path):
    frame = make_cells("x", "y").drop("Metadata_Plate", "Metadata_Well")
    write_part(tmp_path, "cell", frame, plate="P", well="A01")
    compact(tmp_path, "cell", "P")
    assert rows(tmp_path).select("Metadata_Plate", "Metadata_Well").unique().rows() == [("P", "A01")]


def test_a_file_by_another_hand_is_merged_too(tmp_path):
    path = tmp_path / "tables" / "cell" / "P" / "cell.parquet"
    path.parent.mkdir(parents=True)
    pl.concat([make_cells("P", "B01"), make_cells("P", "A01")]).write_parquet(path)
    put(tmp_path, "A02")
    compact(tmp_path, "cell", "P")
    assert {well: stored.rows for well, stored in stored_wells(tmp_path, "cell", "P").items()} == {
        "A01": 5,
        "A02": 5,
        "B01": 5,
    }


def test_a_part_written_while_merging_waits_for_the_next_time(tmp_path, monkeypatch):
    put(tmp_path, "A01", n=2)
    real = parts.merge

    def merge_then_rewrite(*args, **kwargs):
        real(*args, **kwargs)
        put(tmp_path, "A01", n=7)

    monkeypatch.setattr(parts, "merge", merge_then_rewrite)
    compact(tmp_path, "cell", "P")
    monkeypatch.undo()
    assert pending_wells(tmp_path, "cell", "P") == {"A01": StoredWell(7)}
    compact(tmp_path, "cell", "P")
    assert rows(tmp_path).height == 7


def test_many_row_groups_have_the_same_rows_as_one(tmp_path, monkeypatch):
    for folder, size in ((tmp_path / "one", 10**6), (tmp_path / "many", 7)):
        monkeypatch.setattr(_merge, "group_rows", lambda _, size=size: size)
        for well, n in (("A01", 10), ("A02", 0), ("A03", 25), ("B01", 1)):
            put(folder, well, n=n)
        compact(folder, "cell", "P")
        put(folder, "A03", n=13, features=4)
        compact(folder, "cell", "P")
    assert rows(tmp_path / "one").equals(rows(tmp_path / "many"))
    merged = tmp_path / "many" / "tables" / "cell" / "P" / "cell.parquet"
    sizes = [pq.read_metadata(merged).row_group(i).num_rows for i in range(4)]
    assert sizes == [7, 7, 7, 3]


def test_rows_that_vanish_while_merging_are_an_error_and_the_earlier_file_stays(tmp_path, monkeypatch):
    put(tmp_path, "A01", n=3)
    compact(tmp_path, "cell", "P")
    put(tmp_path, "A02", n=3)
    real = _merge._part_tables
    monkeypatch.setattr(_merge, "_part_tables", lambda used: ((w, i, t.slice(1)) for w, i, t in real(used)))
    with pytest.raises(LostRowsError, match=r"6 rows, 5 were read; the earlier file stays"):
        compact(tmp_path, "cell", "P")
    monkeypatch.undo()
    assert rows(tmp_path).height == 3
    assert set(pending_wells(tmp_path, "cell", "P")) == {"A02"}


class Killed(BaseException):
    """Stands for the end of the process."""


def kill_points(monkeypatch, after: int) -> list[int]:
    """Let the process die at the n-th system call that changes the disk."""
    calls = [0]

    def deadly(real):
        def call(*args, **kwargs):
            if calls[0] == after:
                raise Killed
            calls[0] += 1
            return real(*args, **kwargs)

        return call

    for owner, name in ((os, "fsync"), (Path, "replace"), (Path, "unlink"), (Path, "mkdir"), (Path, "rmdir")):
        monkeypatch.setattr(owner, name, deadly(getattr(owner, name)))
    monkeypatch.setattr(
        parquet_module.pq.ParquetWriter, "write_table", deadly(parquet_module.pq.ParquetWriter.write_table)
    )
    return calls


def test_killed_anywhere_compacts_to_the_same(tmp_path, monkeypatch):
    def prepare(folder: Path) -> None:
        for well in ("A01", "A02"):
            put(folder, well, n=3)
        compact(folder, "cell", "P")
        put(folder, "A02", n=5, offset=50)
        put(folder, "A03", n=2)

    prepare(tmp_path / "whole")
    compact(tmp_path / "whole", "cell", "P")
    expected = rows(tmp_path / "whole")
    died = 0
    for after in range(40):
        folder = tmp_path / str(after)
        prepare(folder)
        with monkeypatch.context() as patch:
            kill_points(patch, after)
            try:
                compact(folder, "cell", "P")
            except Killed:
                died += 1
            else:
                break
        seen = rows(folder).height  # a reader meanwhile sees the earlier or the new rows, never a mixture
        assert seen in (6, expected.height)
        compact(folder, "cell", "P")
        assert rows(folder).equals(expected)
        assert pending_wells(folder, "cell", "P") == {}
    assert died > 5
    assert rows(folder).equals(expected)


def test_a_full_disk_keeps_the_parts(tmp_path, monkeypatch):
    put(tmp_path, "A01")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(ScreenError, match=r"no room to write .*cell.parquet"):
            compact(tmp_path, "cell", "P")
    assert set(pending_wells(tmp_path, "cell", "P")) == {"A01"}
    compact(tmp_path, "cell", "P")
    assert rows(tmp_path).height == 5


wells_strategy = st.dictionaries(st.sampled_from(["A01", "A02", "A10", "B01", "AA01"]), st.integers(0, 4), max_size=5)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(wells_strategy, st.booleans(), st.sets(st.sampled_from(["A01", "B01"]))), max_size=4))
def test_after_any_history_every_well_has_the_rows_written_last(tmp_path_factory, history):
    folder = create(tmp_path_factory.mktemp("screen")).path
    model: dict[str, int] = {}
    for written, merge, dropped in history:
        for well, n in written.items():
            put(folder, well, n=n)
        model |= written
        if merge:
            compact(folder, "cell", "P")
        if dropped:
            compact(folder, "cell", "P", drop=dropped)
            model = {well: n for well, n in model.items() if well not in dropped}
    assert {well: stored.rows for well, stored in stored_wells(folder, "cell", "P").items()} == model
    compact(folder, "cell", "P")
    assert dict(rows(folder).group_by("Metadata_Well").len().rows()) == {well: n for well, n in model.items() if n}


def test_a_screen_offers_the_same(screen: Screen):
    screen.write_part("cell", make_cells("P", "A01"), plate="P", well="A01", key="k")
    assert screen.stored_wells("cell", "P") == {"A01": StoredWell(5, "k")}
    screen.compact("cell", "P")
    assert screen.sql("SELECT count(*) AS n FROM cell")["n"][0] == 5
    screen.write("cell", make_cells("P", "B01", n=2), "P")
    assert screen.stored_wells("cell", "P") == {"B01": StoredWell(2)}
