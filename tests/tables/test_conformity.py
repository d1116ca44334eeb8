"""Declared tables, and which frames they accept."""

import polars as pl
import pytest

from phenoprint.errors import SchemaError, UnknownNameError
from phenoprint.tables import conform, declared_columns, frame_of, get_table, nan_to_null, table_names, validate

CONTRACT = {
    "activity", "cell", "cell_quality", "cluster", "exclusion", "feature", "feature_status", "image", "image_quality",
    "ledger", "moa_prediction", "object", "perturbation", "plate", "plate_acceptance", "profile_consensus",
    "profile_normalized", "profile_selected", "profile_well", "projection", "site", "well",
}  # fmt: skip


def cells(**columns):
    base = {
        "Metadata_Plate": ["P", "P"],
        "Metadata_Well": ["A01", "A01"],
        "Metadata_Site": ["1", "1"],
        "Metadata_ObjectNumber": pl.Series([1, 2], dtype=pl.Int32),
        "Cells_A": pl.Series([1.0, None], dtype=pl.Float32),
    }
    return pl.DataFrame(base | columns)


def test_every_table_of_the_contract_is_declared_with_described_columns():
    assert set(table_names()) >= CONTRACT
    for name in table_names():
        table = get_table(name)
        names = [column.name for column in table.columns]
        assert len(names) == len(set(names))
        assert set(table.sort_by) <= set(names)
        assert all(column.description for column in table.columns)
        assert all(not c.nullable for c in table.columns if c.name in table.key)


def test_unknown_table_offers_the_closest():
    with pytest.raises(UnknownNameError, match=r"did you mean 'profile_well'"):
        get_table("profile_wel")


@pytest.mark.parametrize("name", sorted(CONTRACT))
def test_empty_frames_are_valid(name):
    validate(frame_of(name), name)


def test_a_good_frame_passes():
    validate(cells(), "cell")


def test_missing_and_wrong_columns_are_named_together():
    bad = cells(Metadata_Plate=[123, 123], Cells_B=[1.0, 2.0]).drop("Metadata_Site")
    with pytest.raises(SchemaError, match=r"Metadata_Plate is Int64.*Metadata_Site is missing.*Cells_B") as caught:
        validate(bad, "cell")
    assert "text" in str(caught.value)


def test_nan_is_an_error_that_nan_to_null_removes():
    bad = cells(Cells_A=pl.Series([1.0, float("nan")], dtype=pl.Float32))
    with pytest.raises(SchemaError, match=r"Cells_A: NaN found"):
        validate(bad, "cell")
    good = nan_to_null(bad)
    validate(good, "cell")
    assert good["Cells_A"].to_list() == [1.0, None]
    assert bad["Cells_A"].is_nan().sum() == 1


def test_nan_to_null_keeps_infinity_and_other_columns():
    frame = pl.DataFrame({"x": [float("inf"), float("nan")], "n": [1, 2], "t": ["nan", "b"]})
    assert nan_to_null(frame).rows() == [(float("inf"), 1, "nan"), (None, 2, "b")]
    assert nan_to_null(frame.select("n")).equals(frame.select("n"))


def test_a_key_may_occur_once():
    with pytest.raises(SchemaError, match=r"2 of 2 rows share a key.*Metadata_ObjectNumber 1"):
        validate(cells(Metadata_ObjectNumber=pl.Series([1, 1], dtype=pl.Int32)), "cell")


def test_required_values_may_not_be_null():
    with pytest.raises(SchemaError, match=r"Metadata_Well is NULL in 1 of 2"):
        validate(cells(Metadata_Well=["A01", None]), "cell")


def test_conform_casts_orders_and_fills_without_touching_the_input():
    frame = pl.DataFrame(
        {
            "Cells_B": [1, 2],
            "Metadata_extra": ["a", "b"],
            "Metadata_ObjectNumber": [1, 2],
            "Cells_A": [0.5, None],
            "Metadata_Site": ["1", "1"],
            "Metadata_Well": ["A01", "A01"],
            "Metadata_Plate": ["0001", "0001"],
        }
    )
    before = frame.clone()
    result = conform(frame, "cell")
    assert result.columns == [*frame_of("cell").columns, "Metadata_extra", "Cells_B", "Cells_A"]
    assert result.schema["Cells_B"] == pl.Float32
    assert result.schema["Metadata_ObjectNumber"] == pl.Int32
    assert frame.equals(before)
    well = conform(pl.DataFrame({"Metadata_Plate": ["P"], "Metadata_Well": ["A01"]}), "well")
    assert well.schema["Metadata_Concentration"] == pl.Float64
    assert well["has_images"].to_list() == [None]


def test_conform_never_turns_numbers_into_identifiers_or_fractions_into_counts():
    with pytest.raises(SchemaError, match=r"Metadata_Plate is Int64"):
        conform(cells(Metadata_Plate=[1, 1]), "cell")
    with pytest.raises(SchemaError, match=r"Metadata_ObjectNumber is Float64"):
        conform(cells(Metadata_ObjectNumber=[1.5, 2.0]), "cell")
    with pytest.raises(SchemaError, match=r"does not fit"):
        conform(cells(Metadata_ObjectNumber=[2**40, 1]), "cell")


def test_text_cannot_be_a_feature():
    with pytest.raises(SchemaError, match=r"Cells_B: features are Float32, found String"):
        conform(cells(Cells_B=["a", "b"]), "cell")


def test_rows_become_a_frame_of_the_declared_columns():
    rows = [{"score": "a", "baseline": "none", "value": float("nan"), "n": 3}, {"score": "b", "baseline": "none"}]
    assert frame_of("score", rows).schema == get_table("score").schema
    assert frame_of("score", rows).select("score", "value", "n").rows() == [("a", None, 3), ("b", None, None)]
    assert frame_of("plate", [("P", "B", 96, 1, 2, 3, 4)])["n_images"].to_list() == [4]
    with pytest.raises(SchemaError, match=r"'score' does not declare the columns valeu"):
        frame_of("score", [{"score": "a", "baseline": "none"}, {"score": "b", "baseline": "none", "valeu": 1.0}])


def test_declared_columns_leave_out_all_others():
    frame = pl.DataFrame({"n": [1], "score": ["a"], "baseline": ["none"], "mine": [2.0]})
    assert "mine" not in declared_columns(frame, "score").columns
    assert declared_columns(frame, "score").schema == get_table("score").schema
