"""Bad input: a named error or a status row each, never a silent drop, and no row is ever lost."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import DataError, SchemaError, UnknownNameError, UsageError
from phenoprint.profiles import (
    NORMALIZERS,
    aggregate,
    aggregate_with_status,
    apply_recipe,
    consensus,
    correct_batch,
    correct_count,
    correct_position,
    feature_columns,
    fit_plates,
    normalize,
    normalize_with_status,
    select_features_with_status,
)

NEGCON = pl.col("Metadata_pert_type") == "negcon"
METHODS = sorted(set(NORMALIZERS) - {"inverse_normal"})
BY_FEATURE = sorted(set(METHODS) - {"sphering", "tvn"})


def plates(*, n: int = 3, wells: int = 24, controls: int = 8, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.concat(
        pl.DataFrame(rng.normal(size=(wells, 4)), schema=[f"Cells_F{i}" for i in range(4)]).select(
            pl.lit(f"p{plate}").alias("Metadata_Plate"),
            pl.Series("Metadata_Well", [f"A{i + 1:02d}" for i in range(wells)]),
            pl.Series("Metadata_pert_type", ["negcon"] * controls + ["trt"] * (wells - controls)),
            pl.lit(f"b{plate % 2}").alias("Metadata_Batch"),
            pl.Series("Metadata_compound", [f"c{i % 8}" for i in range(wells)]),
            pl.all(),
        )
        for plate in range(n)
    )


def statuses(status: pl.DataFrame, plate: str) -> set[str]:
    return set(status.filter(Metadata_Plate=plate, step="normalize")["status"])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n_controls", [0, 1])
def test_plates_without_or_with_one_control(method: str, n_controls: int) -> None:
    data = plates().filter(
        (pl.col("Metadata_Plate") != "p1") | ~NEGCON | (pl.col("Metadata_Well") <= f"A{n_controls:02d}")
    )
    with pytest.raises(DataError, match=r"Metadata_Plate=p1"):
        normalize(data, method, reference=NEGCON)
    frame, status = normalize_with_status(data, method, reference=NEGCON)
    assert frame.height == data.height
    assert statuses(status, "p1") == {"too_few_reference"}
    assert statuses(status, "p0") == {"ok"}
    assert frame.filter(Metadata_Plate="p1").select(feature_columns(frame)).null_count().sum_horizontal().item() > 0
    assert frame.filter(Metadata_Plate="p0")["Cells_F0"].null_count() == 0


@pytest.mark.parametrize("method", METHODS)
def test_all_null_and_constant_features(method: str) -> None:
    here = pl.col("Metadata_Plate") == "p1"
    data = plates().with_columns(
        Cells_F1=pl.when(here).then(None).otherwise(pl.col("Cells_F1")),
        Cells_Flat=pl.lit(2.5),
        Cells_Null=pl.lit(None, dtype=pl.Float64),
    )
    frame, status = normalize_with_status(data, method, reference=NEGCON)
    found = {(r["Metadata_Plate"], r["feature"]): r["status"] for r in status.filter(step="normalize").to_dicts()}
    for feature in ("Cells_Flat", "Cells_Null"):
        assert frame[feature].null_count() == frame.height
    if method in BY_FEATURE:
        assert found["p1", "Cells_F1"] == found["p0", "Cells_Null"] == "all_null"
        assert found["p0", "Cells_Flat"].startswith("zero_")
        assert frame.filter(~here)["Cells_F1"].null_count() == 0
    else:  # features are transformed together: one that profiles lack is left out everywhere, and told
        assert found[None, "Cells_F1"] == found[None, "Cells_Null"] == "missing_values"
    assert frame["Cells_F0"].null_count() == 0


@pytest.mark.parametrize("method", BY_FEATURE)
def test_infinite_values_are_missing(method: str) -> None:
    data = plates().with_columns(
        Cells_F2=pl.when(pl.int_range(pl.len()) == 20).then(float("inf")).otherwise(pl.col("Cells_F2"))
    )
    frame = normalize(data, method, reference=NEGCON)
    assert frame["Cells_F2"].null_count() == 1
    expected = normalize(plates(), method, reference=NEGCON)["Cells_F2"].to_numpy()
    np.testing.assert_allclose(np.delete(frame["Cells_F2"].to_numpy(), 20), np.delete(expected, 20))
    status = aggregate_with_status(data).status
    assert status.filter(status="infinite_input")["feature"].to_list() == ["Cells_F2"]


def test_duplicated_keys_are_counted_not_lost() -> None:
    data = plates()
    twice = pl.concat([data, data.head(3)])
    assert normalize(twice).height == data.height + 3
    wells = aggregate(twice)
    assert wells.height == data.height
    assert wells["Metadata_Object_Count"].sum() == data.height + 3
    assert wells.filter(Metadata_Plate="p0")["Metadata_Object_Count"].to_list()[:4] == [2, 2, 2, 1]
    with pytest.raises(UsageError, match="several"):
        fit_plates([data, data.head(3)])


def test_a_feature_missing_on_one_plate() -> None:
    parts = [part for _, part in plates().group_by("Metadata_Plate", maintain_order=True)]
    parts[1] = parts[1].drop("Cells_F3")
    fitted = fit_plates(parts, reference=NEGCON)
    assert fitted.status.rows_by_key(["Metadata_Plate", "feature"])["p1", "Cells_F3"][0][1] == "all_null"
    joined = pl.concat(parts, how="diagonal")
    frame, status = normalize_with_status(joined, reference=NEGCON)
    assert statuses(status.filter(feature="Cells_F3"), "p1") == {"all_null"}
    selected = select_features_with_status(frame)
    assert selected.status.filter(feature="Cells_F3")["status"].item() == "missing_values"


@pytest.mark.parametrize("dtype", [pl.UInt8, pl.Int8, pl.UInt16, pl.Int64])
def test_integers_do_not_overflow(dtype: type[pl.DataType]) -> None:
    top = {pl.UInt8: 255, pl.Int8: 127, pl.UInt16: 65_535, pl.Int64: 2**53}[dtype]
    values = [top - 9, top, top - 3, top - 1, top - 7, top - 5]
    data = pl.DataFrame({"Metadata_Plate": ["p"] * 6, "x": pl.Series(values, dtype=dtype)})
    wide = data.cast({"x": pl.Float64})
    assert normalize(data, "standardize").equals(normalize(wide, "standardize"))
    assert aggregate(data, ["Metadata_Plate"], "mean")["x"].item() == pytest.approx(
        np.mean(np.array(values, dtype=float))
    )
    assert consensus(data, ["Metadata_Plate"], "mean")["x"].item() == pytest.approx(
        np.mean(np.array(values, dtype=float))
    )


def test_mixed_dtypes() -> None:
    data = (
        plates()
        .cast({"Cells_F0": pl.Float32, "Cells_F1": pl.Float64})
        .with_columns(Cells_F2=(pl.col("Cells_F2") * 100).cast(pl.Int32))
    )
    assert normalize(data)["Cells_F0"].dtype == pl.Float64
    narrow = normalize(data.cast(dict.fromkeys(feature_columns(data), pl.Float32)))
    np.testing.assert_allclose(narrow["Cells_F1"].to_numpy(), normalize(data)["Cells_F1"].to_numpy(), rtol=1e-4)
    text = data.with_columns(Cells_F3=pl.col("Cells_F3").cast(pl.String))
    for call in (normalize, aggregate, select_features_with_status, correct_position):
        with pytest.raises(SchemaError, match=r"Cells_F3 \(String\)"):
            call(text)


def test_outliers_of_ten_to_the_thirteenth() -> None:
    data = plates().with_columns(
        Cells_F1=pl.when(pl.int_range(pl.len()) == 20).then(1e13).otherwise(pl.col("Cells_F1")).cast(pl.Float32)
    )
    steps = apply_recipe(data)
    assert steps[0].frame["Cells_F1"][20] > 1e12
    assert steps[1].frame["Cells_F1"].max() == 20.0
    told = steps[1].status.filter(feature="Cells_F1").row(0, named=True)
    assert (told["status"], told["value"]) == ("limited", 1.0)
    assert "Cells_F1" in steps[2].frame.columns
    unlimited = select_features_with_status(steps[0].frame)
    assert unlimited.status.filter(feature="Cells_F1")["status"].item() == "outlier"
    others = normalize(plates(), reference=NEGCON)
    np.testing.assert_allclose(steps[0].frame["Cells_F0"].to_numpy(), others["Cells_F0"].to_numpy(), rtol=1e-5)
    huge = data.with_columns(Cells_F1=pl.col("Cells_F1").cast(pl.Float64) * 1e200)  # whose square is infinite
    frame, status = normalize_with_status(huge, reference=NEGCON)
    assert frame["Cells_F1"].null_count() == frame.height
    assert set(status.filter(feature="Cells_F1")["status"]) == {"all_null"}
    assert aggregate_with_status(huge).status.filter(status="infinite_input")["value"].to_list() == [72.0]


@pytest.mark.parametrize("method", METHODS)
def test_an_empty_plate(method: str) -> None:
    """A plate without cells, every value NULL, costs the others nothing."""
    data = plates().with_columns(
        pl.when(pl.col("Metadata_Plate") != "p2").then(pl.col(f"Cells_F{i}")).alias(f"Cells_F{i}") for i in range(4)
    )
    frame, status = normalize_with_status(data, method, reference=NEGCON)
    assert frame.height == data.height
    assert statuses(status, "p2") <= {"all_null", "too_few_reference"}
    assert statuses(status, "p0") == {"ok"}
    assert frame.filter(pl.col("Metadata_Plate") != "p2")["Cells_F0"].null_count() == 0
    assert select_features_with_status(frame).frame.height == data.height
    nothing = data.clear()
    assert normalize_with_status(nothing, method).frame.height == 0
    assert aggregate(nothing).height == 0


def test_keys_that_are_null_or_nan() -> None:
    data = plates().with_columns(Metadata_dose=pl.when(pl.int_range(pl.len()) > 3).then(1.0).otherwise(float("nan")))
    null = data.with_columns(Metadata_Plate=pl.when(pl.int_range(pl.len()) > 3).then(pl.col("Metadata_Plate")))
    for frame, by, name in ((data, ["Metadata_dose"], "Metadata_dose"), (null, ["Metadata_Plate"], "Metadata_Plate")):
        for call in (aggregate, consensus):
            with pytest.raises(SchemaError, match=rf"NULL {name} in 4 of 72 rows"):
                call(frame, by)
        with pytest.raises(SchemaError, match=name):
            normalize(frame, by=by)
        kept = aggregate(frame, by, null_keys="group")
        assert kept["Metadata_Object_Count"].sum() == 72
    with pytest.raises(SchemaError, match="Metadata_Batch"):
        correct_batch(data.with_columns(Metadata_Batch=pl.lit(None, dtype=pl.String)), "combat")


def test_absent_metadata_is_named() -> None:
    data = plates()
    with pytest.raises(UnknownNameError, match="Metadata_Plate"):
        normalize(data.drop("Metadata_Plate"))
    with pytest.raises(UnknownNameError, match="Metadata_Batch"):
        correct_batch(data.drop("Metadata_Batch"), "combat")
    with pytest.raises(UnknownNameError, match="Metadata_Object_Count"):
        correct_count(data)
    with pytest.raises(SchemaError, match="Metadata_Row and Metadata_Col"):
        correct_position(data.drop("Metadata_Well"))


def test_inputs_are_not_changed() -> None:
    data = plates()
    before = data.clone()
    for method in METHODS:
        normalize(data, method, reference=NEGCON)
    correct_batch(data, "combat")
    correct_position(data)
    consensus(data, statistic="modz")
    apply_recipe(data)
    assert data.equals(before)
