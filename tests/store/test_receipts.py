"""Receipts and keys."""

import subprocess
import sys
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phenoprint.errors import UsageError
from phenoprint.store import (
    TABLE,
    Output,
    Receipt,
    hash_key,
    ledger_rows,
    load_receipts,
    read_receipt,
    receipt_steps,
    record_table,
    remove_receipt,
    write_receipt,
)

from .conftest import ODD_PLATES


@dataclass(frozen=True)
class Settings:
    sigma: float = 1.0


class Colour(Enum):
    RED = "red"


def test_a_receipt_is_read_as_it_was_written(tmp_path):
    rows = ledger_rows("segment", "000123", "A01", unit_of_count="cells", n_in=9, lost={"zu klein, µ": 2})
    receipt = Receipt(
        "segment",
        "A01",
        "000123",
        "k" * 32,
        seconds=1.5,
        peak_rss_mb=300.0,
        parameters={"sigma": 1.0, "channels": ["DNA"], "folder": Path("a") / "b", "area": float("inf")},
        inputs={"a.tif": "ff"},
        outputs={"masks/a.tif": Output(12, 1, "h")},
        ledger=rows.to_dicts(),
        software="0.1.0",
    )
    path = write_receipt(tmp_path, receipt)
    assert path == tmp_path / "receipts" / "segment" / "000123" / "A01.json"
    back = read_receipt(path)
    assert back.parameters["folder"] == "a/b"
    assert replace(back, parameters={}, ledger=()) == replace(receipt, parameters={}, ledger=())
    assert pl.DataFrame(back.ledger, schema=rows.schema).equals(rows)
    assert receipt.started.endswith("+00:00")


def test_failures_keep_their_error(tmp_path):
    write_receipt(tmp_path, Receipt("s", "A01", "P", "k", status="failed", error=("ImageError", "truncated")))
    [receipt] = load_receipts(tmp_path, "s").values()
    assert (receipt.status, receipt.error) == ("failed", ("ImageError", "truncated"))


def test_receipts_of_odd_plates_and_units_are_found_again(tmp_path):
    for plate in [*ODD_PLATES, None, "+screen", "_screen"]:
        for unit in ("A01", "a/b", "row A"):
            write_receipt(tmp_path, Receipt("my step/1", unit, plate, "k"))
    found = load_receipts(tmp_path, "my step/1")
    assert set(found) == {(p, u) for p in [*ODD_PLATES, None, "+screen", "_screen"] for u in ("A01", "a/b", "row A")}
    assert load_receipts(tmp_path, "other") == {}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"step": "s"}', b"\xff\xfe"])
def test_a_broken_receipt_counts_as_none(tmp_path, content):
    path = write_receipt(tmp_path, Receipt("s", "A01", "P", "k"))
    path.write_bytes(content)
    assert read_receipt(path) is None
    assert load_receipts(tmp_path, "s") == {}


def test_a_receipt_with_a_flipped_bit_is_ignored_or_unchanged(tmp_path):
    receipt = Receipt("s", "A01", "P", "k", outputs={"a": Output(2, 3, "h")}, seconds=1.25)
    path = write_receipt(tmp_path, receipt)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        assert read_receipt(path) in (None, read_receipt_of(tmp_path, whole)), place


def read_receipt_of(folder, content):
    path = folder / "whole.json"
    path.write_bytes(content)
    return read_receipt(path)


def test_tables_of_many_units_have_a_receipt_that_is_no_step(tmp_path):
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "a.parquet").write_bytes(b"abc")
    record_table(tmp_path, "ingest", [tmp_path / "tables" / "a.parquet"])
    [receipt] = load_receipts(tmp_path, TABLE).values()
    assert receipt.outputs["tables/a.parquet"].bytes == 3
    assert receipt_steps(tmp_path) == []


def test_a_forgotten_unit_has_no_receipt(tmp_path):
    write_receipt(tmp_path, Receipt("s", "A01", "P", "k"))
    for _ in range(2):
        remove_receipt(tmp_path, "s", "P", "A01")
    assert load_receipts(tmp_path, "s") == {}


def test_different_values_have_different_keys():
    values = [1, 1.0, True, "1", None, "None", [1], {"a": 1}, {"a": 1.0}, Settings(), Settings(2.0), [[1], 2], [1, [2]]]
    assert len({hash_key(value) for value in values}) == len(values)
    assert hash_key("a", "b") != hash_key("ab")
    assert hash_key({"a": 1, "b": 2}) == hash_key({"b": 2, "a": 1})
    assert hash_key({"x", "y"}) == hash_key({"y", "x"})
    assert hash_key(np.int64(3), np.float64(0.1)) == hash_key(3, 0.1)
    assert hash_key(Colour.RED) == hash_key("red")
    assert hash_key(np.zeros(3)) != hash_key(np.zeros((3, 1)))
    assert hash_key(np.zeros(3, "f4")) != hash_key(np.zeros(3, "i4"))
    assert len(hash_key()) == 32


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(plain)
def test_keys_are_repeatable(value):
    assert hash_key(value) == hash_key(value)


def test_keys_are_the_same_in_another_process():
    code = "from phenoprint.store import hash_key; print(hash_key({'b', 'a'}, {'y': 1, 'x': 'é'}, 0.1))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == hash_key({"a", "b"}, {"x": "é", "y": 1}, 0.1)


def test_things_without_a_form_are_refused():
    for value in (object(), b"bytes", {1: 2}, pl.DataFrame()):
        with pytest.raises(UsageError):
            hash_key(value)
