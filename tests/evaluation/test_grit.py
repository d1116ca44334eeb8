"""Grit: against the plain formula, on screens without effects, and without controls."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from phenoprint.evaluation import grit, replicate_agreement
from phenoprint.profiles import apply_recipe, cross_fit
from phenoprint.simulation import simulate_profiles
from phenoprint.tables import feature_columns


def by_hand(fold: pl.DataFrame, name: str) -> float:
    """Grit as in cytominer-eval: z score by mean and standard deviation (n) of the controls, mean over replicates."""
    features = feature_columns(fold)
    own = fold.filter(Metadata_perturbation=name)
    replicates = own.select(features).to_numpy()
    scores = []
    for i in range(len(replicates)):
        others = [j for j in range(len(replicates)) if j != i]
        plates = own["Metadata_Plate"].gather(others).unique().to_list()
        controls = fold.filter(pl.col("Metadata_pert_type") == "negcon", pl.col("Metadata_Plate").is_in(plates))
        null = [np.corrcoef(replicates[i], row)[0, 1] for row in controls.select(features).to_numpy()]
        alike = np.array([np.corrcoef(replicates[i], replicates[j])[0, 1] for j in others])
        scores.append(((alike - np.mean(null)) / np.std(null)).mean())
    return float(np.mean(scores))


def wells(design: str = "mechanism", **changes: object) -> pl.DataFrame:
    given = {"n_features": 40, "n_compounds": 20, "n_controls": 12, "n_plates": 2, **changes}
    return simulate_profiles(design, **given).wells


def test_grit_is_that_of_the_plain_formula_over_folds() -> None:
    """Four replicates on two plates, so that two of the others lie on one plate."""
    folds = cross_fit(wells(n_replicates=4))
    found = grit(folds)
    for name, value in found.head(3).select("Metadata_perturbation", "grit").iter_rows():
        assert value == pytest.approx(np.mean([by_hand(fold, name) for fold in folds]), rel=1e-4)
    assert found.equals(grit([fold.sample(fraction=1, shuffle=True, seed=1) for fold in folds]))


def test_p_values_are_small_for_effects_only() -> None:
    inert = grit(cross_fit(wells("null", n_compounds=150, layout="random", n_replicates=2)), null_size=300)
    for level in (0.05, 0.2):
        share = (inert["grit_p_value"] < level).mean()
        assert share == pytest.approx(level, abs=3 * np.sqrt(level * (1 - level) / 150))
    assert inert["grit"].mean() == pytest.approx(0, abs=0.3)
    simulated = simulate_profiles("mechanism", n_compounds=40, n_plates=2, n_controls=12, layout="random")
    found = grit(cross_fit(simulated.wells), null_size=300)
    acting = simulated.truth.filter("is_active")["Metadata_perturbation"].implode()
    is_acting = pl.col("Metadata_perturbation").is_in(acting)
    assert found.filter(is_acting)["grit"].median() > found.filter(~is_acting)["grit"].quantile(0.9)
    assert (found.filter(is_acting)["grit_p_value"] < 0.05).mean() > 0.6


def test_what_has_no_grit_is_null() -> None:
    plain = apply_recipe(wells(n_replicates=2))[-1].frame
    assert grit([plain])["grit"].null_count() == 0
    treated = grit([plain.filter(pl.col("Metadata_pert_type") != "negcon")])
    assert (treated["grit"].null_count(), treated["grit_p_value"].null_count()) == (treated.height, treated.height)
    first = plain.unique("Metadata_perturbation", keep="first").filter(pl.col("Metadata_pert_type") == "trt")
    assert grit([first]).is_empty()
    assert grit([]).is_empty()


def test_grit_is_in_the_table_and_follows_control_positions() -> None:
    plain = apply_recipe(wells(n_replicates=2))[-1].frame
    scores = grit([plain])
    active = scores.select("Metadata_perturbation", position_p_value=pl.lit(0.7))
    table = replicate_agreement(plain, active={"none": active}, grit=scores)[0]
    assert table["grit"].to_list() == scores.sort("Metadata_perturbation")["grit"].to_list()
    assert table["grit_p_value"].min() >= 0.7
    assert replicate_agreement(plain)[0]["grit"].null_count() == table.height
