"""Bad input: a named error or a status row each, never a silent drop, and no row is ever lost."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import DataError, PhenoprintError, SchemaError, UnknownNameError, UsageError
from phenoprint.profiles import (
    BATCH_METHODS,
    NORMALIZERS,
    POSITION_METHODS,
    RECIPES,
    CellRule,
    Limit,
    aggregate,
    aggregate_with_status,
    apply_recipe,
    cell_quality,
    consensus,
    consensus_blocks,
    consensus_with_status,
    correct_batch,
    correct_batch_with_status,
    correct_count,
    correct_position,
    distribution_profiles,
    fit_plates,
    learn_cell_states,
    limit_values_with_status,
    normalize,
    normalize_with_status,
    preview_cell_quality,
    select_features_with_status,
    select_plates,
)
from phenoprint.tables import Result, feature_columns

NEGCON = pl.col("Metadata_pert_type") == "negcon"
METHODS = sorted(set(NORMALIZERS.names()) - {"inverse_normal"})
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
    else:  # features are transformed together: one that profiles lack is left out everywhere, and reported
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
    steps = apply_recipe(data, [{"operation": "normalize"}, {"operation": "limit"}, {"operation": "select"}])
    assert steps[0].frame["Cells_F1"][20] > 1e12
    assert steps[1].frame["Cells_F1"].max() == 20.0
    reported = steps[1].status.filter(feature="Cells_F1").row(0, named=True)
    assert (reported["status"], reported["value"]) == ("limited", 1.0)
    assert "Cells_F1" in steps[2].frame.columns
    unlimited = select_features_with_status(steps[0].frame)
    assert unlimited.status.filter(feature="Cells_F1")["status"].item() == "outlier"
    others = normalize(plates(), reference=NEGCON)
    np.testing.assert_allclose(steps[0].frame["Cells_F0"].to_numpy(), others["Cells_F0"].to_numpy(), rtol=1e-5)
    huge = data.with_columns(Cells_F1=pl.col("Cells_F1").cast(pl.Float64) * 1e200)  # whose square is infinite
    frame, status = normalize_with_status(huge, reference=NEGCON)
    assert frame["Cells_F1"].null_count() == frame.height
    assert set(status.filter(feature="Cells_F1")["status"]) == {"all_null", "infinite_input"}
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


def grid() -> pl.DataFrame:
    """The same plates with wells in four rows, controls all over and cell counts."""
    well = pl.int_range(pl.len()) % 24
    rows = pl.Series("Metadata_Well", [f"{'ABCD'[i // 6]}{i % 6 + 1:02d}" for i in range(24)] * 3)
    return plates().with_columns(
        rows,
        Metadata_pert_type=pl.when(well % 3 == 0).then(pl.lit("negcon")).otherwise(pl.lit("trt")),
        Metadata_Object_Count=20 + well * 7 % 31,
    )


ROW, P1 = pl.int_range(pl.len()), pl.col("Metadata_Plate") == "p1"
CASES: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "none": lambda data: data,
    "no controls": lambda data: data.filter(~(P1 & NEGCON)),
    "one control": lambda data: data.filter(~(P1 & NEGCON) | (pl.col("Metadata_Well") == "A01")),
    "all null": lambda data: data.with_columns(Cells_F1=pl.lit(None, dtype=pl.Float64)),
    "all nan": lambda data: data.with_columns(Cells_F1=pl.lit(float("nan"))),
    "constant": lambda data: data.with_columns(Cells_F1=pl.lit(2.5)),
    "infinite": lambda data: data.with_columns(Cells_F2=pl.when(ROW != 20).then("Cells_F2").otherwise(float("inf"))),
    "duplicates": lambda data: pl.concat([data, data.head(3)]),
    "absent on a plate": lambda data: data.with_columns(Cells_F3=pl.when(~P1).then("Cells_F3")),
    "integers": lambda data: data.with_columns(
        Cells_F0=(pl.col("Cells_F0") * 40 + 120).clip(0, 255).cast(pl.UInt8), Cells_F1=(2**53 - ROW).cast(pl.Int64)
    ),
    "mixed": lambda data: data.with_columns(
        pl.col("Cells_F0").cast(pl.Float32), Cells_F2=(pl.col("Cells_F2") * 100).cast(pl.Int32)
    ),
    "text": lambda data: data.with_columns(pl.col("Cells_F3").cast(pl.String)),
    "outlier": lambda data: data.with_columns(Cells_F1=pl.when(ROW != 20).then("Cells_F1").otherwise(1e13)),
    "enormous": lambda data: data.with_columns(Cells_F1=pl.when(ROW != 20).then("Cells_F1").otherwise(1e200)),
    "empty plate": lambda data: data.with_columns(
        pl.when(Metadata_Plate="p2").then(None).otherwise(pl.col(f"Cells_F{i}")).alias(f"Cells_F{i}") for i in range(4)
    ),
    "no rows": lambda data: data.clear(),
    "nan key": lambda data: data.with_columns(
        pl.when(ROW > 3).then(1.0).otherwise(float("nan")).alias(f"Metadata_{name}")
        for name in ("Plate", "Batch", "compound")
    ),
    "null key": lambda data: data.with_columns(
        pl.when(ROW > 3).then(f"Metadata_{name}").alias(f"Metadata_{name}") for name in ("Plate", "Batch", "compound")
    ),
}
RULE = CellRule("large", (Limit("Cells_F1", "above", z=2.0, absolute=1.0),))
Outcome: TypeAlias = "pl.DataFrame | Result"


def by_plate(data: pl.DataFrame) -> list[pl.DataFrame]:
    return [part for _, part in data.group_by("Metadata_Plate", maintain_order=True)]


def fitted_by_plate(data: pl.DataFrame) -> Result:
    parts = by_plate(data)
    fitted = fit_plates(parts, reference=NEGCON)
    return Result(pl.concat([fitted.apply(part) for part in parts]), fitted.status)


def selected_by_plate(data: pl.DataFrame) -> Result:
    parts = by_plate(data)
    choice = select_plates(parts)
    return Result(pl.concat([choice.apply(part) for part in parts]), choice.status)


def consensus_by_block(data: pl.DataFrame) -> pl.DataFrame:
    return consensus_blocks(data.partition_by("Metadata_compound"), ["Metadata_compound"])


def recipe(data: pl.DataFrame, name: str) -> Result:
    steps = apply_recipe(data, name)
    return Result(steps[-1].frame, pl.concat(step.status for step in steps))


FUNCTIONS: dict[str, Callable[[pl.DataFrame], Outcome]] = {
    "aggregate": aggregate_with_status,
    "cell_quality": lambda data: cell_quality(data, rules=[RULE], reference=NEGCON),
    "cell_states": lambda data: learn_cell_states(data, reference=NEGCON, n_states=2).describe(data),
    "consensus": consensus_with_status,
    "consensus_blocks": consensus_by_block,
    "correct_count": lambda data: correct_count(data, ["Metadata_Plate"], reference=NEGCON),
    "distribution_profiles": lambda data: distribution_profiles(data, reference=NEGCON),
    "fit_plates": fitted_by_plate,
    "limit": partial(limit_values_with_status, limit=20.0),
    "modz": partial(consensus_with_status, statistic="modz"),
    "preview": lambda data: preview_cell_quality(data, cell_quality(data, rules=[RULE]), reference=NEGCON),
    "select": select_features_with_status,
    "select by replicates": partial(
        select_features_with_status,
        operations=["noise_removal", "replicate_reproducibility"],
        replicate_by=["Metadata_compound"],
        noise_cutoff=3.0,
        reproducibility_cutoff=-2.0,
    ),
    "select_plates": selected_by_plate,
    **{f"batch {name}": partial(correct_batch_with_status, method=name, reference=NEGCON) for name in BATCH_METHODS},
    "batch harmony": correct_batch_with_status,
    **{f"normalize {name}": partial(normalize_with_status, method=name, reference=NEGCON) for name in METHODS},
    **{f"position {name}": partial(correct_position, method=name, reference=NEGCON) for name in POSITION_METHODS},
    **{f"recipe {name}": partial(recipe, name=name) for name in RECIPES},
}
KEYS = {  # groups a plate, a batch or a compound; None: keys do not matter
    **dict.fromkeys(["limit", "select", "select by replicates", "select_plates"]),
    **dict.fromkeys(["consensus", "consensus_blocks", "modz"], "Metadata_compound"),
}
REFUSED: dict[str, tuple[tuple[str, ...], str]] = {  # case: functions (or beginnings of names), message
    "no controls": (
        ("batch c", "batch s", "batch t", "cell_", "correct_c", "distr", "position l", "position m", "position s"),
        "Metadata_Batch=b1|at least|on each plate|no reference cell of p1",
    ),
    "one control": (
        ("batch co", "batch sp", "batch t", "cell_st", "correct_c", "position l", "position m", "position s"),
        "at least",
    ),
    "empty plate": (("cell_st",), "at least"),
    "no rows": (("batch", "cell_st", "consensus_b", "fit", "preview", "select_"), "at least|no control cell"),
    "text": (("",), r"Cells_F3 \(String\)"),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_raises_with_the_name_or_reports(name: str, case: str) -> None:
    """A named error, or complete rows whose gaps have a reason; nothing infinite, no warning, no foreign error."""
    if "harmony" in name or "jump" in name:
        pytest.importorskip("harmonypy")
    data = CASES[case](grid())
    refused, message = REFUSED.get(case, ((), ""))
    key = KEYS.get(name, "Metadata_Batch" if name.startswith("batch") else "Metadata_Plate")
    if case in ("nan key", "null key") and key and (name, case) != ("consensus_blocks", "null key"):
        refused, message = (name,), f"NULL {key} in 4 of"
    if name.startswith(refused) and not (case == "text" and name in ("cell_quality", "preview")):
        with pytest.raises(PhenoprintError, match=message):
            FUNCTIONS[name](data)
        return
    try:
        found = FUNCTIONS[name](data)
    except PhenoprintError:
        if name.startswith("recipe jump") and case != "none":
            return  # what their Harmony and their cell counts need is tested with the recipes
        raise
    frame = found if isinstance(found, pl.DataFrame) else found.frame
    is_row_by_row = name.startswith(("batch", "cell_q", "correct", "fit", "limit", "norm", "pos", "recipe", "select"))
    assert frame.height == data.height or not is_row_by_row
    floats = [column for column, dtype in frame.schema.items() if dtype.is_float() and column[:9] != "Metadata_"]
    assert all(frame[column].drop_nulls().is_finite().all() for column in floats)
    if isinstance(found, pl.DataFrame):
        return
    reported = set(found.status.filter(~pl.col("status").is_in(["ok", "worse"]))["feature"])
    reported |= set(found.status.filter(pl.col("reason").str.contains("count as missing"))["feature"])
    for feature in feature_columns(data):
        if feature not in frame.columns:
            assert feature in reported
        elif is_row_by_row:
            was = data[feature].cast(pl.Float64).is_finite().fill_null(value=False)
            gone = was & frame[feature].is_null()
            came_infinite = data[feature].cast(pl.Float64).fill_null(0).is_finite().not_().any()
            assert not (gone.any() or came_infinite) or feature in reported


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


def test_absent_groups_of_a_step_are_named() -> None:
    steps = [{"operation": "normalize", "method": "standardize", "by": ["Metadata_Batch"], "reference": "negcon"}]
    with pytest.raises(UnknownNameError, match="Metadata_Batch"):
        apply_recipe(plates().drop("Metadata_Batch"), steps)


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
