"""Damaged Parquet files are noticed and named."""

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from phenoprint.store import damaged_tables
from phenoprint.store.damage import file_damage

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
