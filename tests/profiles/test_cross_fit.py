"""Cross-fitted profiles: held-out controls are treated like treatments without effect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import DataError
from phenoprint.profiles import (
    NORMALIZERS,
    RECIPES,
    Fit,
    RecipeLike,
    Standardize,
    apply_recipe,
    cross_fit,
    cross_fit_plates,
    cross_fit_with_status,
    plan_folds,
)
from phenoprint.simulation import simulate_profiles
from phenoprint.tables import feature_columns, feature_matrix

KEY = ["Metadata_Plate", "Metadata_Well"]
WITHOUT_EXTRA: dict[str, RecipeLike] = {
    "phenoprint": "phenoprint",
    "phenoprint-sphering": "phenoprint-sphering",
    "profiling-recipe": "profiling-recipe",
    "jump-production": RECIPES["jump-production"].without("harmony"),
    "jump-production-genetic": RECIPES["jump-production-genetic"].without("harmony"),
    "batch": [{"operation": "normalize"}, {"operation": "correct_batch", "method": "combat", "reference": "negcon"}],
    "count and position": [
        {"operation": "correct_count", "reference": "negcon"},
        {"operation": "correct_position", "reference": "negcon"},
        {"operation": "normalize", "method": "tvn"},
    ],
    "ranks": [{"operation": "normalize", "method": "percentile", "by": []}],
    "treatments": [{"operation": "normalize", "reference": "trt"}],
}


def small_screen(**changes: Any) -> pl.DataFrame:
    """Return wells without effects on two plates in two batches."""
    design = {"n_plates": 2, "n_replicates": 2, "plate_format": 96, "n_controls": 24, "n_features": 30, "n_batches": 2}
    return simulate_profiles("null", seed=1, **design | changes).wells


def fold_names(folds: list[pl.DataFrame]) -> list[list[str]]:
    """Return the names of the control wells of each fold."""
    is_control = pl.col("Metadata_pert_type") == "negcon"
    return [fold.filter(is_control).select(pl.concat_str(KEY, separator=" ")).to_series().to_list() for fold in folds]


@pytest.mark.parametrize("recipe", WITHOUT_EXTRA.values(), ids=WITHOUT_EXTRA.keys())
def test_a_treatment_and_a_held_out_control_can_change_places(recipe: RecipeLike) -> None:
    wells = small_screen()
    folds = plan_folds(wells, recipe)
    own = folds.controls.filter(Metadata_fold=0).row(0)
    other = wells.filter((pl.col("Metadata_Plate") == own[0]) & (pl.col("Metadata_pert_type") == "trt")).row(0)[:2]
    labels = ["Metadata_pert_type", "Metadata_compound", "Metadata_perturbation", "Metadata_moa"]
    place = {tuple(key): i for i, key in enumerate(wells.select(KEY).rows())}
    order = np.arange(wells.height)
    order[[place[own[:2]], place[other]]] = order[[place[other], place[own[:2]]]]
    swapped = wells.with_columns(wells.select(labels)[order])
    again = type(folds)(
        pl.DataFrame(
            [(*(other if row[:2] == own[:2] else row[:2]), row[2]) for row in folds.controls.rows()],
            schema=folds.controls.schema,
            orient="row",
        ),
        folds.status,
        folds.n,
    )
    _, (before, *_) = cross_fit_plates([wells], recipe, folds, list)
    _, (after, *_) = cross_fit_plates([swapped], recipe, again, list)
    first, second = before[0].sort(KEY), after[0].sort(KEY)
    features = feature_columns(first)
    assert features == feature_columns(second)
    assert first.select(KEY, *features).equals(second.select(KEY, *features))
    kinds = dict(second.select(pl.concat_str(KEY, separator=" "), "Metadata_pert_type").iter_rows())
    assert (kinds[" ".join(own[:2])], kinds[" ".join(other)]) == ("trt", "negcon")


def test_each_control_is_in_one_fold_and_all_other_wells_in_each() -> None:
    wells = small_screen(n_positive=4)
    folds = cross_fit(wells, n_folds=3)
    controls = fold_names(folds)
    assert sorted(name for own in controls for name in own) == sorted(
        wells.filter(Metadata_pert_type="negcon").select(pl.concat_str(KEY, separator=" ")).to_series()
    )
    others = wells.filter(pl.col("Metadata_pert_type") != "negcon").select(*KEY, "Metadata_pert_type").sort(KEY)
    for number, fold in enumerate(folds):
        kept = fold.filter(pl.col("Metadata_pert_type") != "negcon").select(*KEY, "Metadata_pert_type").sort(KEY)
        assert kept.equals(others)
        assert fold["Metadata_fold"].unique().to_list() == [number]


def test_a_fold_is_the_recipe_fitted_on_the_other_controls() -> None:
    wells = small_screen()
    recipe = [{"operation": "normalize", "method": "standardize"}]
    fold = cross_fit(wells, recipe)[0].sort(KEY)
    held_out = fold.filter(Metadata_pert_type="negcon").select(KEY)
    rest = wells.join(held_out, on=KEY, how="anti")
    expected = apply_recipe(rest, recipe)[-1].frame.filter(Metadata_pert_type="trt").sort(KEY)
    own = fold.filter(Metadata_pert_type="trt")
    np.testing.assert_allclose(*(feature_matrix(frame, feature_columns(fold)) for frame in (own, expected)), rtol=1e-5)


def test_plates_one_by_one_give_the_same_as_one_frame() -> None:
    wells = small_screen()
    whole = cross_fit(wells, "phenoprint-sphering")
    parts = cross_fit(wells.partition_by("Metadata_Plate"), "phenoprint-sphering")
    for one, other in zip(whole, parts, strict=True):
        features = feature_columns(one)
        assert features == feature_columns(other)
        values = (feature_matrix(frame.sort(KEY), features) for frame in (one, other))
        np.testing.assert_allclose(*values, rtol=1e-4, atol=1e-4)


@dataclass(frozen=True)
class Demanding(Standardize):
    """A normalization that refuses fewer than 20 reference wells."""

    name: ClassVar[str] = "demanding"

    def fit(self, reference: np.ndarray, *, blocks: np.ndarray | None = None) -> Fit:
        if reference.shape[1] < 20:
            raise DataError("20 wells are needed")
        return super().fit(reference, blocks=blocks)


def test_what_cannot_be_fitted_to_a_fold_is_one_frame_of_all_wells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NORMALIZERS._registered, "demanding", Demanding)
    wells = small_screen()
    made = cross_fit_with_status(wells, [{"operation": "normalize", "method": "demanding"}])
    (frame,) = made.folds
    assert frame.height == wells.height
    status = made.status.select("n_fitted", "n_held_out", "cross_fitted", "status")
    assert status.rows() == [(24, 0, False, "not_fitted")] * 2
    assert "20 wells are needed" in made.status["reason"][0]


def p_values(fold: pl.DataFrame, rng: np.random.Generator, n_draws: int = 199) -> np.ndarray:
    """Compare random groups of three treatment wells with groups of three controls.

    The score is the mean cosine similarity within the group less that to the other controls.
    """
    values = feature_matrix(fold, feature_columns(fold)).T.astype(np.float64)
    values = np.nan_to_num(values)
    values /= np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
    similarity = values @ values.T
    is_control = (fold["Metadata_pert_type"] == "negcon").to_numpy()
    controls, treated = np.flatnonzero(is_control), rng.permutation(np.flatnonzero(~is_control))

    def score(group: np.ndarray, others: np.ndarray) -> float:
        return float(similarity[np.ix_(group, group)].sum() / 6 - 0.5 - similarity[np.ix_(group, others)].mean())

    found = []
    for start in range(0, len(treated) - 2, 3):
        pool = np.concatenate([treated[start : start + 3], controls])
        own = score(pool[:3], pool[3:])
        orders = [rng.permutation(pool) for _ in range(n_draws)]
        null = np.array([score(order[:3], order[3:]) for order in orders])
        found.append((1 + (null >= own).sum()) / (1 + n_draws))
    return np.array(found)


def test_treatments_without_effect_differ_from_controls_of_the_fit_only() -> None:
    rng = np.random.default_rng(0)
    in_sample, out_of_sample = [], []
    for seed in range(4):
        design = {"n_plates": 1, "n_replicates": 1, "n_controls": 24, "n_features": 200}
        wells = simulate_profiles("null", seed=seed, **design).wells
        wells = wells.filter((pl.col("Metadata_pert_type") == "negcon") | (pl.int_range(pl.len()) % 3 == 0))
        in_sample.append(p_values(apply_recipe(wells, "phenoprint-sphering")[-1].frame, rng))
        out_of_sample += [p_values(fold, rng) for fold in cross_fit(wells, "phenoprint-sphering")]
    usual, fair = (np.concatenate(found) for found in (in_sample, out_of_sample))
    assert (usual < 0.05).mean() > 0.25
    assert 0.02 < (fair < 0.05).mean() < 0.08
