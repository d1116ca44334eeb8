"""Steps of recipes plate by plate give what they give on all plates at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from phenoprint.errors import PhenoprintError, UsageError
from phenoprint.profiles import NORMALIZERS, OPERATIONS, Fitted, RecipeStep, apply_recipe, run_recipe
from phenoprint.profiles.position import POSITION_METHODS
from phenoprint.tables import Result

KEYS = ["Metadata_Plate", "Metadata_Well"]
BY_PLATE = ["Metadata_Plate"]
NOT_FINITE = ["nan_input", "infinite_input"]
BY_REPLICATES = ("noise_removal", "replicate_reproducibility")

normalizations = [
    {"method": method, "by": by, "reference": reference}
    for method in NORMALIZERS.names()
    for by in (BY_PLATE, [], ["Metadata_Plate", "Metadata_Line"], ["Metadata_Line"])
    for reference in ("negcon", "all")
] + [
    {"method": "mad_robust", "pooling": 0, "floor": 0},
    {"method": "mad_robust", "raw": True, "min_cells": 5},
    {"method": "sphering", "kind": "PCA", "by": []},
    {"method": "sphering", "kind": "ZCA-cor", "regularization": 0, "by": []},
]
selections = [
    {},
    *({"operations": [name], "replicate_by": ["Metadata_perturbation"]} for name in sorted(OPERATIONS)),
    {"operations": ["drop_na_columns", "drop_outliers", "correlation_threshold"], "outlier_cutoff": 30.0},
    {"operations": ["correlation_threshold", "drop_outliers", "drop_na_columns"], "outlier_cutoff": 30.0},
    {"operations": ["correlation_threshold"], "signed_correlation": True, "greedy_correlation": False},
    {"operations": ["variance_threshold", "noise_removal"], "replicate_by": ["Metadata_perturbation"]},
]
invariants = [{}, {"reference": "all", "ratio": 0.5}, {"by": []}, {"by": ["Metadata_Plate", "Metadata_Line"]}]
positions = [
    {"method": method, "scale": scale, "reference": reference}
    for method in sorted(set(POSITION_METHODS) - {"well_mean"})
    for scale in (False, True)
    for reference in ("all", "negcon")
]


def screen(seed: int, *, few: bool, gaps: bool, absent: bool, infinite: bool) -> list[pl.DataFrame]:
    """Make plates of 24 wells: a constant feature, a copy, one of few values, one far out, and what is asked for.

    ``few``: a plate with one control; ``gaps``: NULLs, and wells without cells; ``absent``: a feature that a plate
    lacks; ``infinite``: NaN and infinite values.
    """
    rng = np.random.default_rng(seed)
    plates = []
    for number in range(int(rng.integers(1, 5))):
        n = 24
        controls = 1 if few and number == 0 else int(rng.integers(6, 12))
        kinds = np.array(["trt"] * n, dtype=object)
        kinds[rng.permutation(n)[:controls]] = "negcon"
        values = {f"Cells_F{k}": rng.normal(k, 1 + k, n) + rng.normal() for k in range(4)}
        values["Cells_Same"] = np.full(n, 3.0)
        values["Cells_Copy"] = -values["Cells_F0"] + 1e-3 * rng.normal(size=n)
        values["Cells_Few"] = rng.integers(0, 2, n).astype(float)
        values["Cells_Far"] = np.where(rng.random(n) < 0.05, 900.0, rng.normal(size=n))
        if infinite and number % 2 == 0:
            values["Cells_F1"][:2] = np.inf, np.nan
        frame = pl.DataFrame(
            {
                "Metadata_Plate": [f"p{number}"] * n,
                "Metadata_Well": [f"{row}{column:02d}" for row in "ABCD" for column in range(1, 7)],
                "Metadata_pert_type": pl.Series(kinds.tolist(), dtype=pl.String),
                "Metadata_perturbation": [f"t{i % 5}" for i in range(n)],
                "Metadata_Line": ["a" if i < n // 2 else "b" for i in range(n)],
                "Metadata_Object_Count": rng.integers(0, 50, n),
                **values,
            }
        )
        if gaps:
            hidden = pl.Series(rng.random(n) < 0.1)
            frame = frame.with_columns(
                pl.when(hidden).then(None).otherwise(pl.col("Cells_F2")).alias("Cells_F2"),
                pl.when(hidden).then(None).otherwise(pl.col("Metadata_pert_type")).alias("Metadata_pert_type"),
            )
            is_empty = pl.int_range(pl.len()) == int(rng.integers(n))
            frame = frame.with_columns(pl.when(~is_empty).then(pl.col("^Cells_.*$")).name.keep())
        if absent and number == 0:
            frame = frame.with_columns(Cells_F3=pl.lit(None, pl.Float64))
        plates.append(frame)
    return plates


plates_of_screens = st.builds(
    screen,
    st.integers(0, 2**32),
    few=st.booleans(),
    gaps=st.booleans(),
    absent=st.booleans(),
    infinite=st.booleans(),
)


def both(
    operation: str, parameters: dict[str, Any], plates: list[pl.DataFrame]
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame] | None:
    """Give frame and status of all plates at once and plate by plate; None where both refuse for the same reason."""
    try:
        (expected,) = apply_recipe(pl.concat(plates), [{"operation": operation, **parameters}])
    except PhenoprintError as error:
        with pytest.raises(type(error)):
            by_plates(operation, parameters, plates)
        return None
    frame, status = by_plates(operation, parameters, plates)
    assert_frame_equal(frame.sort(KEYS), expected.frame.sort(KEYS), check_exact=False, rel_tol=1e-7, abs_tol=1e-9)
    assert frame.columns == expected.frame.columns
    return frame, status, expected.frame, expected.status


def by_plates(
    operation: str, parameters: dict[str, Any], plates: list[pl.DataFrame]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Apply a step plate by plate."""

    def keep(step: RecipeStep, number: int, fitted: Fitted, results: Iterator[Result]) -> list[pl.DataFrame]:
        assert number == 1
        return [result.frame for result in results]

    ((step, made, status),) = run_recipe(plates, [{"operation": operation, **parameters}], keep)
    assert step.operation == operation
    return pl.concat(made), status


def distinct(status: pl.DataFrame, *columns: str) -> list[tuple[object, ...]]:
    """List the distinct rows of a status."""
    return status.select(columns).unique().sort(columns, nulls_last=True).rows()


@pytest.mark.parametrize("parameters", normalizations, ids=str)
@given(plates=plates_of_screens)
@settings(max_examples=8)
def test_normalizations(parameters: dict[str, Any], plates: list[pl.DataFrame]) -> None:
    made = both("normalize", parameters, plates)
    if made is None:
        return
    _, status, _, expected = made
    is_input = pl.col("status").is_in(NOT_FINITE)
    bad, expected_bad = (rows.filter(~is_input & (pl.col("status") != "ok")) for rows in (status, expected))
    columns = ("Metadata_Plate", "feature", "step", "status", "reason", "value")
    assert_frame_equal(
        bad.select(columns).sort(columns, nulls_last=True), expected_bad.select(columns).sort(columns, nulls_last=True)
    )
    counted = [
        rows.filter(is_input).group_by("feature", "status").agg(pl.col("value").sum()) for rows in (status, expected)
    ]
    assert_frame_equal(*(rows.sort("feature", "status") for rows in counted))


@pytest.mark.parametrize("parameters", selections, ids=str)
@given(plates=plates_of_screens)
@settings(max_examples=8)
def test_selections(parameters: dict[str, Any], plates: list[pl.DataFrame]) -> None:
    if not set(parameters.get("operations", ())) & set(BY_REPLICATES):
        parameters = {key: value for key, value in parameters.items() if key != "replicate_by"}
    made = both("select", parameters, plates)
    assert made is not None
    _, status, _, expected = made
    assert distinct(status, "Metadata_Plate", "feature", "step", "status") == distinct(
        expected, "Metadata_Plate", "feature", "step", "status"
    )
    assert status.height == expected.height


@pytest.mark.parametrize("limit", [0.5, 20.0])
@given(plates=plates_of_screens)
@settings(max_examples=8)
def test_limits(limit: float, plates: list[pl.DataFrame]) -> None:
    made = both("limit", {"limit": limit}, plates)
    assert made is not None
    _, status, _, expected = made
    summed = [rows.group_by("feature", "status").agg(pl.col("value").sum()) for rows in (status, expected)]
    assert_frame_equal(*(rows.sort("feature", "status") for rows in summed))
    assert set(status["Metadata_Plate"]) <= {plate["Metadata_Plate"][0] for plate in plates}


@pytest.mark.parametrize("parameters", positions, ids=str)
@given(plates=plates_of_screens)
@settings(max_examples=5)
def test_positions(parameters: dict[str, Any], plates: list[pl.DataFrame]) -> None:
    made = both("correct_position", parameters, plates)
    if made is None:
        return
    _, status, _, expected = made
    for word in ("zero_mad", *NOT_FINITE):
        assert distinct(status.filter(status=word), "feature") == distinct(expected.filter(status=word), "feature")
    names = {plate["Metadata_Plate"][0] for plate in plates}
    assert set(status["Metadata_Plate"]) == names
    of_features = status.filter(pl.col("feature") != "")
    assert of_features.select("Metadata_Plate", "feature").unique().height == len(names) * 8


@given(plates=plates_of_screens)
@settings(max_examples=5)
def test_counts(plates: list[pl.DataFrame]) -> None:
    assert both("correct_count", {"by": BY_PLATE}, plates) is not None


@pytest.mark.parametrize("parameters", invariants, ids=str)
@given(plates=plates_of_screens)
@settings(max_examples=8)
def test_invariant_features(parameters: dict[str, Any], plates: list[pl.DataFrame]) -> None:
    made = both("drop_invariant", parameters, plates)
    assert made is not None
    _, status, _, expected = made
    assert_frame_equal(status, expected)


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("correct_position", {"method": "well_mean"}),
        ("correct_position", {"by": ["Metadata_Plate", "Metadata_Line"], "method": "loess"}),
        ("correct_count", {}),
        ("correct_batch", {"batch": "Metadata_Plate", "method": "combat"}),
    ],
)
def test_what_needs_all_plates_together(operation: str, parameters: dict[str, Any]) -> None:
    plates = [*screen(3, few=False, gaps=False, absent=False, infinite=False) * 2]
    plates = [plate.with_columns(Metadata_Plate=pl.lit(f"p{i}")) for i, plate in enumerate(plates)]
    made = both(operation, parameters, plates)
    assert made is not None
    assert_frame_equal(made[1], made[3])


@pytest.mark.parametrize("operation", ["normalize", "select", "limit", "correct_position"])
def test_a_plate_without_wells_changes_nothing(operation: str) -> None:
    plates = screen(1, few=False, gaps=True, absent=False, infinite=False)
    with_empty = [*plates, plates[0].clear()]
    frame, _ = by_plates(operation, {}, with_empty)
    assert_frame_equal(frame, by_plates(operation, {}, plates)[0])


@pytest.mark.parametrize("operation", ["normalize", "select"])
def test_no_plate_is_an_error(operation: str) -> None:
    with pytest.raises(UsageError, match="at least one plate"):
        by_plates(operation, {}, [])
