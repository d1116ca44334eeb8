"""Recipes: the public ones reproduce published tables, each step's result is kept, TOML goes there and back."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import ConfigError, MissingExtraError, SchemaError, UnknownNameError
from phenoprint.profiles import RECIPES, Recipe, apply_recipe, normalize, recipe_named
from phenoprint.tables import Result, feature_columns, get_table


def wells(*, plates: int = 4, batches: int = 2, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    frames = []
    for number in range(plates):
        values = rng.normal(size=(96, 12)) + number + 5
        values[:, 11] = values[:, 10] + 0.01 * rng.normal(size=96)
        treatment = rng.permutation(96)
        frames.append(
            pl.DataFrame(values, schema=[f"Cells_F{i}" for i in range(12)]).select(
                pl.lit(f"p{number}").alias("Metadata_Plate"),
                pl.Series("Metadata_Well", [f"{'ABCDEFGH'[i // 12]}{i % 12 + 1:02d}" for i in range(96)]),
                pl.lit(f"b{number % batches}").alias("Metadata_Batch"),
                pl.Series("Metadata_pert_type", np.where(treatment < 24, "negcon", "trt")),
                pl.Series(
                    "Metadata_compound",
                    np.where(treatment < 24, "DMSO", np.char.add("c", (treatment % 18).astype(str))),
                ),
                pl.Series("Metadata_Object_Count", rng.integers(20, 200, 96)),
                pl.all(),
            )
        )
    return pl.concat(frames)


def test_every_step_is_kept_and_reported() -> None:
    data = wells()
    steps = apply_recipe(data)
    assert [step.name for step in steps] == ["normalize", "limit", "select"]
    control = pl.col("Metadata_pert_type") == "negcon"
    assert steps[0].frame.equals(normalize(data, reference=control))
    assert "Cells_F11" not in steps[2].frame.columns or "Cells_F10" not in steps[2].frame.columns
    for step in steps:
        assert step.status.schema == get_table("feature_status").schema
        assert set(step.status["step"]) <= {step.name}
        assert step.frame.height == data.height


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_presets_run_and_survive_toml(name: str) -> None:
    recipe = RECIPES[name]
    lines = []
    for step in recipe.to_list():
        lines.append("[[recipe]]")
        lines += [f"{key} = {str(v).lower() if isinstance(v, bool) else repr(v)}" for key, v in step.items()]
    read = tomllib.loads("\n".join(lines))["recipe"]
    again = Recipe.of(recipe.name, read, recipe.description)
    assert again == recipe
    without = again.without("harmony") if name.startswith("jump") else again
    steps = apply_recipe(wells(), without)
    assert [step.name for step in steps] == [step.name for step in without.steps]
    final = steps[-1].frame.select(feature_columns(steps[-1].frame))
    assert final.width > 5
    assert np.isfinite(final.to_numpy()).all()


def test_harmony_needs_its_extra_and_two_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "harmonypy", None)
    with pytest.raises(MissingExtraError, match="harmony"):
        apply_recipe(wells(), "jump-production")
    steps = apply_recipe(wells(batches=1), "jump-production")
    assert steps[-1].status["status"].to_list() == ["skipped"]
    assert "the same Metadata_Batch" in steps[-1].status["reason"].item()
    assert steps[-1].frame.equals(steps[-2].frame)


def test_effects_of_corrections_are_reported() -> None:
    steps = apply_recipe(
        wells(), [{"operation": "correct_position", "reference": "all"}, {"operation": "correct_count"}]
    )
    assert [step.name for step in steps] == ["correct_position", "correct_count"]
    for step in steps:
        assert step.status.height == 12
        assert step.status["value"].null_count() == 0
        assert "of the variance" in step.status["reason"][0]


def test_sparse_wells_are_masked_at_the_fit_and_stay_visible() -> None:
    data = wells()
    steps = apply_recipe(data, [{"operation": "normalize", "min_cells": 100, "reference": "negcon"}])
    enough = (pl.col("Metadata_pert_type") == "negcon") & (pl.col("Metadata_Object_Count") >= 100)
    assert steps[0].frame.equals(normalize(data, reference=enough))
    assert steps[0].frame.height == data.height


def drop_invariant(data: pl.DataFrame, **parameters: Any) -> Result:
    """Apply this operation alone."""
    (step,) = apply_recipe(data, [{"operation": "drop_invariant", **parameters}])
    return step


def test_drop_invariant_by_hand() -> None:
    data = pl.DataFrame(
        {
            "Metadata_Plate": ["p"] * 5 + ["q"] * 5,
            "fine": [1.0, 2, 3, 4, 5] * 2,
            "flat_on_q": [1.0, 2, 3, 4, 5, 1, 1, 1, 1, 5],
            "far_off": [1000.0, 1000.5, 1001, 1000, 1000.5] * 2,  # MAD 0.5 of 1000.5
            "empty": [None] * 10,
        }
    )
    frame, status = drop_invariant(data, reference="all")
    assert feature_columns(frame) == ["fine"]
    words = {row["feature"]: (row["status"], row["value"]) for row in status.to_dicts()}
    assert words["fine"] == ("ok", pytest.approx(1 / 3))
    assert words["flat_on_q"] == ("invariant", 0.0)
    assert words["far_off"] == ("invariant", pytest.approx(0.5 / 1000.5))
    assert words["empty"][0] == "invariant"


def test_a_plate_with_too_few_controls_does_not_decide_what_is_invariant() -> None:
    data = wells()
    few = data.with_columns(
        Metadata_pert_type=pl.when((pl.col("Metadata_Plate") == "p0") & (pl.int_range(pl.len()) > 12))
        .then(pl.lit("trt"))
        .otherwise("Metadata_pert_type")
    )
    n_controls = few.filter(Metadata_Plate="p0", Metadata_pert_type="negcon").height
    few = few.filter(
        (pl.col("Metadata_Plate") != "p0")
        | (pl.col("Metadata_pert_type") != "negcon")
        | (pl.int_range(pl.len()).over("Metadata_Plate", "Metadata_pert_type") < 2)
    )
    assert n_controls > 2
    assert few.filter(Metadata_Plate="p0", Metadata_pert_type="negcon").height == 2
    assert len(feature_columns(drop_invariant(few).frame)) == 12
    no_controls = few.with_columns(Metadata_pert_type=pl.lit("trt"))
    frame, status = drop_invariant(no_controls)
    assert feature_columns(frame) == feature_columns(drop_invariant(few, reference="all").frame)
    assert status.filter(status="reference_all")["Metadata_Plate"].to_list() == sorted(set(few["Metadata_Plate"]))
    tiny = no_controls.group_by("Metadata_Plate", maintain_order=True).head(2)
    frame, status = drop_invariant(tiny)
    assert feature_columns(frame) == []
    assert status["reason"].unique().to_list() == ["no plate has 3 reference values"]


@pytest.mark.real
def test_classic_recipe_is_the_published_chain(real_data: Path) -> None:
    """Level 4a to the printed digits and the features of level 4b, from the published level 3."""
    stem = real_data / "varchamp_golden" / "2022_08_08_PPL8_100-800"
    level3, level4a, level4b = (
        pl.read_csv(f"{stem}_{name}.csv.gz", infer_schema_length=None).sort("Metadata_Well")
        for name in ("augmented", "normalized", "normalized_feature_select_batch")
    )
    normalized, selected = apply_recipe(level3, "profiling-recipe")
    names = [name for name in feature_columns(level3) if name in level4a.columns]
    mine = normalized.frame.select(names).to_numpy().astype(float)
    theirs = level4a.select(pl.col(names).cast(pl.Float64, strict=False)).to_numpy()
    defined = np.isfinite(mine)
    np.testing.assert_allclose(mine[defined], theirs[defined], rtol=5e-5, atol=1e-12)
    ours, published = set(feature_columns(selected.frame)), set(feature_columns(level4b))
    assert len(ours ^ published) <= 0.05 * len(published), (len(ours - published), len(published - ours))


def test_wrong_use() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'jump-production'"):
        recipe_named("jump_production")
    with pytest.raises(UnknownNameError, match="operation of a recipe 'normalise'"):
        Recipe.of("r", [{"operation": "normalise"}])
    with pytest.raises(ConfigError, match=r"step 2 .* needs an operation"):
        Recipe.of("r", [{"operation": "select"}, {"method": "rank"}])
    with pytest.raises(ConfigError, match="'select' is used twice"):
        Recipe.of("r", [{"operation": "select"}, {"operation": "select"}])
    with pytest.raises(UnknownNameError, match="parameter of the step 'limit'"):
        Recipe.of("r", [{"operation": "limit", "most": 3}])
    with pytest.raises(UnknownNameError, match="parameter of normalization method 'mad_robust'"):
        apply_recipe(wells(), [{"operation": "normalize", "epsilon": 0}])
    with pytest.raises(SchemaError, match="Metadata_pert_type"):
        apply_recipe(wells().drop("Metadata_pert_type"))
    with pytest.raises(UnknownNameError, match="step of 'jump-production'"):
        RECIPES["jump-production"].without("combat")


def counted(counts: list[int | None], kind: str = "negcon") -> pl.DataFrame:
    """Return wells of a plate with numbers of cells; the feature is the number of the well."""
    wells = {"Metadata_Plate": "p", "Metadata_pert_type": kind, "Metadata_Object_Count": counts}
    return pl.DataFrame(wells).with_columns(area=pl.int_range(pl.len()).cast(pl.Float64))


@pytest.mark.parametrize(
    ("counts", "used", "note"),
    [
        ([100, 100, 100, 29, 30, 80], [0, 1, 2, 4, 5], None),
        ([20, 20, 22, 9, 10, 20], [0, 1, 2, 4, 5], 10.0),
        ([0, 20, 20, 20, 20, 4], [1, 2, 3, 4], 10.0),
        ([None] * 6, [0, 1, 2, 3, 4, 5], None),
        ([100, None, 100, 100, 100, 100], [0, 2, 3, 4, 5], None),
    ],
)
def test_reference_wells_have_30_cells_or_half_of_what_is_usual(
    counts: list[int | None], used: list[int], note: float | None
) -> None:
    step = {"operation": "normalize", "method": "standardize", "min_cells": "enough"}
    (made,) = apply_recipe(counted(counts), [step])
    expected = [(number - np.mean(used)) for number in range(6)]
    ratio = made.frame["area"].to_numpy() / np.array(expected)
    np.testing.assert_allclose(ratio, ratio[0])
    found = made.status.filter(status="few_cells")["value"].to_list()
    assert found == ([] if note is None else [note])


def test_a_position_is_corrected_by_controls_only_where_they_are_spread() -> None:
    rng = np.random.default_rng(0)
    wells = [(f"{row}{col:02d}", col) for row in "ABCD" for col in range(1, 9)]
    frame = pl.DataFrame({"Metadata_Plate": "p", "Metadata_Well": [name for name, _ in wells]})
    frame = frame.with_columns(area=pl.Series(rng.normal(size=32) + [col for _, col in wells]))
    step = [{"operation": "correct_position"}]
    for columns, is_enough in ((range(1, 3), False), (range(1, 9, 2), False), (range(1, 8), True)):
        kinds = ["negcon" if col in columns else "trt" for _, col in wells]
        (made,) = apply_recipe(frame.with_columns(Metadata_pert_type=pl.Series(kinds)), step)
        assert ("reference_all" not in made.status["status"]) is is_enough
