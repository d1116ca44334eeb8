"""Counts that balance, and joins that lose nothing."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phenoprint.errors import LostRowsError, SchemaError, UsageError
from phenoprint.store import check_balance, concat_ledgers, ledger_rows, strict_join
from phenoprint.tables import validate

losses = st.dictionaries(st.text(min_size=1, max_size=8), st.integers(0, 50), max_size=5)


@given(losses, st.integers(0, 500))
def test_rows_balance_for_any_losses(lost, survivors):
    n_in = survivors + sum(lost.values())
    rows = ledger_rows("step", "P", "A01", unit_of_count="cells", n_in=n_in, n_out=survivors, lost=lost)
    check_balance(rows)
    validate(rows, "ledger")
    assert rows["n_lost"].sum() == n_in - survivors
    assert rows["n_out"].unique().to_list() == [survivors]
    assert set(rows["reason"].drop_nulls()) == {reason for reason, n in lost.items() if n}
    assert rows.height == max(1, sum(n > 0 for n in lost.values()))


@given(losses, st.integers(0, 500), st.integers(-3, 3).filter(bool))
def test_any_miscount_is_found(lost, survivors, slip):
    n_in = survivors + sum(lost.values())
    with pytest.raises(LostRowsError, match=r"plate 'P', well 'A01', step 'step', cells"):
        ledger_rows("step", "P", "A01", unit_of_count="cells", n_in=n_in + slip, n_out=survivors, lost=lost)
    rows = ledger_rows("step", "P", "A01", unit_of_count="cells", n_in=n_in, lost=lost)
    with pytest.raises(LostRowsError, match=r"do not balance.*plate 'P', well 'A01', step 'step'"):
        check_balance(rows.with_columns(pl.col("n_out") + slip))


def test_more_cannot_be_lost_than_came_in():
    with pytest.raises(LostRowsError, match=r"3 in and 5 lost"):
        ledger_rows("s", "P", unit_of_count="wells", n_in=3, lost={"gone": 5})
    with pytest.raises(LostRowsError):
        ledger_rows("s", "P", unit_of_count="wells", n_in=3, lost={"gone": -1})


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"n_out": pl.Series([7, 8])}, "disagree"),
        ({"reason": pl.Series(["a", "a"])}, "reason twice"),
        ({"reason": pl.Series(["a", None])}, "no reason"),
        ({"n_in": pl.Series([-7, -7]), "n_out": pl.Series([-10, -10])}, "below zero"),
    ],
)
def test_crooked_entries_are_found(change, what):
    rows = ledger_rows("s", "P", "A01", unit_of_count="cells", n_in=10, lost={"a": 1, "b": 2})
    with pytest.raises(LostRowsError, match=what):
        check_balance(rows.with_columns(**change))


def test_ledgers_are_joined_and_checked():
    rows = [ledger_rows("s", "P", well, unit_of_count="cells", n_in=2) for well in ("B01", "A01", None)]
    assert concat_ledgers(rows)["Metadata_Well"].to_list() == ["A01", "B01", None]
    assert concat_ledgers([]).height == 0


keys = st.lists(st.sampled_from("abcdef"), max_size=8)


@given(keys, keys, st.sampled_from(["inner", "left", "full"]), st.sampled_from(["1:1", "m:1", "1:m"]))
def test_a_strict_join_is_complete_or_refused(left_keys, right_keys, how, expect):
    schema = {"k": pl.String}
    left = pl.DataFrame({"k": left_keys}, schema=schema).with_row_index("i")
    right = pl.DataFrame({"k": right_keys}, schema=schema).with_row_index("j")
    try:
        joined = strict_join(left, right, ["k"], how=how, expect=expect)
    except LostRowsError:
        doubled = (len(set(left_keys)) < len(left_keys) and expect != "m:1") or (
            len(set(right_keys)) < len(right_keys) and expect != "1:m"
        )
        unpaired = set(left_keys) ^ set(right_keys)
        assert doubled or unpaired
        return
    lefts, rights = joined["i"].drop_nulls(), joined["j"].drop_nulls()
    if expect != "1:m":  # left rows are records
        assert sorted(lefts) == list(range(len(left_keys)))
    if expect == "1:m" and how == "inner":
        assert sorted(rights) == list(range(len(right_keys)))
    if expect == "1:1":
        assert sorted(lefts) == list(range(len(left_keys)))
        assert sorted(rights) == list(range(len(right_keys)))
    pairs = joined.drop_nulls(["i", "j"])
    assert all(left_keys[i] == right_keys[j] for i, j in zip(pairs["i"], pairs["j"], strict=True))


def test_lost_rows_are_named():
    cells = pl.DataFrame({"Metadata_Plate": ["P", "P"], "Metadata_Well": ["A01", "H14"], "x": [1, 2]})
    wells = pl.DataFrame({"Metadata_Plate": ["P"], "Metadata_Well": ["A01"], "dose": [5.0]})
    keys_ = ["Metadata_Plate", "Metadata_Well"]
    with pytest.raises(LostRowsError, match=r"would lose 1 of the 2 left rows.*Metadata_Well 'H14'"):
        strict_join(cells, wells, keys_, how="inner", expect="m:1")
    kept = strict_join(cells, wells, keys_, how="left", expect="m:1")
    assert kept["dose"].to_list() == [5.0, None]


def test_multiplied_rows_are_named():
    left = pl.DataFrame({"k": ["a"]})
    right = pl.DataFrame({"k": ["a", "a"], "v": [1, 2]})
    with pytest.raises(LostRowsError, match=r"would multiply rows: 2 of the 2 right rows share a key, such as k 'a'"):
        strict_join(left, right, ["k"], expect="m:1")


def test_columns_on_both_sides_and_keys_of_two_types_are_refused():
    left = pl.DataFrame({"k": ["a"], "v": [1]})
    with pytest.raises(SchemaError, match=r"columns v are on both sides"):
        strict_join(left, pl.DataFrame({"k": ["a"], "v": [2]}), ["k"])
    with pytest.raises(SchemaError, match=r"is String on the left and Int64 on the right"):
        strict_join(left, pl.DataFrame({"k": [1]}), ["k"])
    with pytest.raises(SchemaError, match=r"right frame of the join has no column k"):
        strict_join(left, pl.DataFrame({"z": [1]}), ["k"])
    with pytest.raises(UsageError):
        strict_join(left, left, ["k"], how="outer")


def test_null_keys_match_nothing():
    left = pl.DataFrame({"k": ["a", None], "v": [1, 2]})
    right = pl.DataFrame({"k": ["a", None], "w": [3, 4]})
    with pytest.raises(LostRowsError, match=r"find no partner, such as k None"):
        strict_join(left, right, ["k"], how="inner")
