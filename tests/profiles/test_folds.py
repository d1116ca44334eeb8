"""How negative controls are divided into folds."""

from __future__ import annotations

import polars as pl
import pytest

from phenoprint.errors import UsageError
from phenoprint.profiles import RECIPES, Folds, plan_folds

POSITIONS = [f"{row}{col:02d}" for row in "ABCDEFGHIJKLMNOP" for col in (1, 2, 23, 24)]


def plates_of(controls: dict[str, list[str]]) -> pl.DataFrame:
    """Return wells: the controls of each plate, and two treatments."""
    rows = [
        (plate, well, kind)
        for plate, own in controls.items()
        for well, kind in [*((well, "negcon") for well in own), ("H10", "trt"), ("H11", "poscon")]
    ]
    return pl.DataFrame(rows, schema=["Metadata_Plate", "Metadata_Well", "Metadata_pert_type"], orient="row")


def fold_of(folds: Folds) -> dict[tuple[str, str], int | None]:
    """Return the fold of each control."""
    return {(plate, well): fold for plate, well, fold in folds.controls.rows()}


@pytest.mark.parametrize("n_folds", [2, 3, 5])
def test_folds_are_balanced_on_each_plate_and_a_position_keeps_its_fold(n_folds: int) -> None:
    wells = plates_of(dict.fromkeys("abc", POSITIONS[:33]))
    folds = plan_folds(wells, n_folds=n_folds)
    sizes = folds.controls.group_by("Metadata_Plate", "Metadata_fold").len()
    assert sizes.height == 3 * n_folds
    for _, own in sizes.group_by("Metadata_Plate"):
        assert own["len"].max() - own["len"].min() <= 1  # type: ignore[operator]
    assert folds.controls.group_by("Metadata_Well").agg(pl.col("Metadata_fold").n_unique())["Metadata_fold"].max() == 1
    assert folds.status["status"].unique().to_list() == ["ok"]
    assert folds.status.select(pl.col("n_fitted") + pl.col("n_held_out")).to_series().unique().to_list() == [33]


def test_a_plate_without_some_controls_keeps_the_folds_of_the_others() -> None:
    whole = plates_of({"a": POSITIONS[:16], "b": POSITIONS[:16], "c": POSITIONS[1:16]})
    fold = fold_of(plan_folds(whole))
    assert all(fold["a", well] == fold["b", well] == fold["c", well] for well in POSITIONS[1:16])


def test_plates_of_different_layouts_are_each_balanced() -> None:
    layouts = {f"p{i}": [POSITIONS[(7 * i + 11 * j) % 64] for j in range(9)] for i in range(6)}
    sizes = plan_folds(plates_of(layouts)).controls.group_by("Metadata_Plate", "Metadata_fold").len()
    assert sorted(sizes["len"].unique()) == [4, 5]


def test_folds_depend_on_the_seed_and_not_on_the_order_of_rows() -> None:
    wells = plates_of(dict.fromkeys("ab", POSITIONS))
    first = plan_folds(wells)
    assert first.controls.equals(plan_folds(wells.sample(fraction=1, shuffle=True, seed=3)).controls)
    assert not first.controls.equals(plan_folds(wells, seed=1).controls)
    # At random over the plate: no column of controls is in one fold only.
    column = first.controls.with_columns(pl.col("Metadata_Well").str.slice(1).alias("column"))
    assert column.group_by("column").agg(pl.col("Metadata_fold").n_unique())["Metadata_fold"].to_list() == [2] * 4


@pytest.mark.parametrize(
    ("n", "n_fitted", "n_held_out", "status"),
    [
        (8, [4, 4], [4, 4], "ok"),
        (6, [3, 3], [3, 3], "ok"),
        (5, [3, 3], [2, 2], "few_controls"),
        (4, [3, 3], [1, 1], "few_controls"),
        (3, [1, 2], [2, 1], "reference_all"),
        (1, [0, 1], [1, 0], "reference_all"),
        (0, [0, 0], [0, 0], "no_controls"),
    ],
)
def test_few_controls_leave_enough_to_fit_on(n: int, n_fitted: list[int], n_held_out: list[int], status: str) -> None:
    wells = plates_of({"few": POSITIONS[:n], "many": POSITIONS})
    found = plan_folds(wells).status.filter(Metadata_Plate="few")
    assert sorted(found["n_fitted"]) == sorted(n_fitted)
    assert sorted(found["n_held_out"]) == sorted(n_held_out)
    assert status in found["status"].to_list()
    assert found["cross_fitted"].all()


@pytest.mark.parametrize(("n", "status"), [(3, "too_few_controls"), (0, "no_controls")])
def test_a_screen_without_enough_controls_is_one_fold(n: int, status: str) -> None:
    folds = plan_folds(plates_of({"a": POSITIONS[:n]}))
    assert folds.is_single
    assert folds.status.select("n_held_out", "cross_fitted", "status").rows() == [(0, False, status)]


def test_a_recipe_that_uses_no_control_is_one_fold() -> None:
    folds = plan_folds(plates_of({"a": POSITIONS}), "profiling-recipe")
    assert folds.is_single
    assert folds.status.select("n_fitted", "n_held_out", "cross_fitted", "status").rows() == [
        (0, 64, True, "symmetric")
    ]


def test_steps_that_use_labels_are_named() -> None:
    select = {"operation": "select", "operations": ["noise_removal"], "replicate_by": ["Metadata_compound"]}
    folds = plan_folds(plates_of({"a": POSITIONS}), [{"operation": "normalize"}, select])
    assert folds.status["status"].to_list() == ["supervised"] * 2
    assert "select" in folds.status["reason"][0]


def test_more_wells_to_fit_on_can_be_asked_for() -> None:
    recipe = [{"operation": "normalize", "min_reference": 6}]
    found = plan_folds(plates_of({"a": POSITIONS[:8]}), recipe).status
    assert found["n_fitted"].to_list() == [6, 6]


@pytest.mark.parametrize(
    "recipe", [[{"operation": "consensus"}], [*RECIPES["phenoprint"].to_list(), {"operation": "consensus"}]]
)
def test_a_consensus_cannot_be_cross_fitted(recipe: list[dict[str, str]]) -> None:
    with pytest.raises(UsageError, match="consensus"):
        plan_folds(plates_of({"a": POSITIONS}), recipe)


def test_one_fold_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 2 folds"):
        plan_folds(plates_of({"a": POSITIONS}), n_folds=1)
