"""Effects of treatments on features, against the negative controls of their plates."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats

from phenoprint.analysis import feature_effects, fit_controls
from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.tables import feature_columns

PLATE, KIND, NAME = "Metadata_Plate", "Metadata_pert_type", "Metadata_perturbation"


def screen(
    *, plates: int = 2, n_controls: int = 8, treatments: int = 6, each: int = 2, features: int = 40, seed: int = 0
) -> pl.DataFrame:
    """Wells of some plates; treatment t1 raises F1, t2 lowers F2, and so on."""
    rng = np.random.default_rng(seed)
    kinds = ["negcon"] * n_controls + ["trt"] * treatments * each
    names = ["DMSO"] * n_controls + [f"t{i}" for i in range(treatments) for _ in range(each)]
    frames = []
    for p in range(plates):
        values = rng.normal(size=(len(names), features)) * np.linspace(0.5, 3, features) + 10 * p
        for row, name in enumerate(names):
            if name.startswith("t"):
                k = int(name[1:])
                values[row, k] += (-1) ** k * 40
        frames.append(
            pl.DataFrame({PLATE: f"P{p}", KIND: kinds, NAME: names}).hstack(
                [pl.Series(f"F{k}", values[:, k]) for k in range(features)]
            )
        )
    return pl.concat(frames)


def test_effects_equal_a_computation_with_pandas() -> None:
    """One plate: nothing is pooled, so that median and MAD of the controls are all there is to it."""
    data = screen(plates=1)
    found = feature_effects(data).to_pandas().pivot_table(index=NAME, columns="feature", values="effect")
    frame = data.to_pandas()
    names = feature_columns(data)
    controls = frame[frame[KIND] == "negcon"][names]
    spread = 1.4826 * (controls - controls.median()).abs().median()
    spread = np.maximum(spread, 0.25 * controls.std())
    scaled = (frame[names] - controls.median()) / spread
    expected = scaled[frame[KIND] == "trt"].groupby(frame[NAME]).median()
    pd.testing.assert_frame_equal(found[names], expected, check_names=False, check_dtype=False, rtol=1e-5)


def test_the_feature_that_was_moved_comes_first_with_its_sign() -> None:
    first = feature_effects(screen()).filter(rank=1).sort(NAME)
    assert first["feature"].to_list() == [f"F{k}" for k in range(6)]
    assert (first["effect"] > 0).to_list() == [True, False] * 3
    assert first["q_value"].max() < 1e-4
    assert first["n_wells"].to_list() == [4] * 6
    assert first["n_controls"].to_list() == [16] * 6


def test_the_test_is_that_of_a_linear_model() -> None:
    """Against least squares of plate and treatment with dummy variables."""
    data = screen(plates=3, each=2, features=1, treatments=1)
    found = feature_effects(data)
    plates = [
        (str(p), rows.filter(pl.col(KIND) == "negcon").select("F0").to_numpy().T) for (p,), rows in data.group_by(PLATE)
    ]
    controls = fit_controls(lambda: plates)
    y = np.concatenate(
        [
            (rows["F0"].to_numpy() - controls[str(p)].fit.center) / controls[str(p)].fit.scale
            for (p,), rows in data.group_by(PLATE, maintain_order=True)
        ]
    )
    plates = pd.get_dummies(data[PLATE].to_pandas()).to_numpy(float)
    design = np.column_stack([plates, (data[KIND] == "trt").to_numpy().astype(float)])
    beta, rss, *_ = np.linalg.lstsq(design, y, rcond=None)
    freedom = len(y) - design.shape[1]
    error = np.sqrt(rss[0] / freedom * np.linalg.inv(design.T @ design)[-1, -1])
    assert found["p_value"].item() == pytest.approx(2 * stats.t.sf(abs(beta[-1] / error), freedom), rel=1e-9)


def test_p_values_are_even_where_nothing_acts_and_wells_are_independent() -> None:
    data = screen(plates=2, treatments=1, each=2, features=3000, seed=5)
    p = feature_effects(data)["p_value"].to_numpy()[1:]  # the first is the feature that was moved
    assert stats.kstest(p, "uniform").pvalue > 0.05
    assert (p < 0.01).mean() == pytest.approx(0.01, abs=0.005)


def test_p_values_do_not_depend_on_how_a_plate_was_scaled() -> None:
    data = screen(plates=1)
    found, scaled = (feature_effects(d) for d in (data, data.with_columns(pl.col("^F.*$") * 0.01 - 7)))
    np.testing.assert_allclose(scaled["p_value"], found["p_value"], rtol=1e-6)
    np.testing.assert_allclose(scaled["effect"], found["effect"], rtol=1e-5)


def test_q_values_are_those_of_one_treatment() -> None:
    data = screen()
    whole = feature_effects(data)
    for name in ("t0", "t3"):
        rows = whole.filter(pl.col(NAME) == name)
        np.testing.assert_allclose(rows["q_value"], stats.false_discovery_control(rows["p_value"]), rtol=1e-9)
        alone = feature_effects(data.filter((pl.col(KIND) == "negcon") | (pl.col(NAME) == name)))
        assert alone.equals(rows)


def test_top_keeps_the_first_and_changes_nothing_else() -> None:
    data = screen()
    whole = feature_effects(data)
    assert feature_effects(data, top=5).equals(whole.filter(pl.col("rank") <= 5))
    with pytest.raises(UsageError, match="0 for all"):
        feature_effects(data, top=-1)


def test_the_order_of_rows_is_of_no_account() -> None:
    data = screen()
    mixed = data.sample(fraction=1, shuffle=True, seed=3)
    expected, found = feature_effects(data), feature_effects(mixed)
    assert found.drop("effect", "p_value", "q_value").equals(expected.drop("effect", "p_value", "q_value"))
    np.testing.assert_allclose(found["p_value"], expected["p_value"], rtol=1e-9)


def test_what_cannot_be_measured_is_left_out_and_not_zero() -> None:
    data = screen(plates=1).with_columns(
        F7=pl.lit(4.0),  # does not vary
        F8=pl.when(pl.col(NAME) == "t1").then(None).otherwise(pl.col("F8")),
        F9=pl.when((pl.col(NAME) == "t1") & (pl.int_range(pl.len()) % 2 == 0)).then(None).otherwise(pl.col("F9")),
    )
    found = feature_effects(data)
    assert "F7" not in set(found["feature"])
    one = found.filter(pl.col(NAME) == "t1")
    assert "F8" not in set(one["feature"])
    assert one.filter(feature="F9")["n_wells"].item() == 1
    assert one.filter(feature="F1")["n_wells"].item() == 2
    assert not found["effect"].is_nan().any()


def test_wells_without_controls_or_profile_take_no_part() -> None:
    data = screen(plates=2)
    few = data.filter((pl.col(PLATE) == "P0") | (pl.col(KIND) == "trt") | (pl.int_range(pl.len()).over(PLATE) < 2))
    assert set(feature_effects(few)["n_wells"]) == {2}  # those of P0
    assert feature_effects(data.filter(pl.col(KIND) == "trt")).is_empty()
    empty = data.with_columns(
        pl.when((pl.col(NAME) == "t0") & (pl.col(PLATE) == "P1")).then(None).otherwise(pl.col(f"F{k}")).alias(f"F{k}")
        for k in range(40)
    )
    assert set(feature_effects(empty).filter(pl.col(NAME) == "t0")["n_wells"]) == {2}


def test_wells_whose_role_is_not_known_are_treatments() -> None:
    data = screen().with_columns(pl.when(pl.col(NAME) == "t2").then(None).otherwise(pl.col(KIND)).alias(KIND))
    assert "t2" in set(feature_effects(data)[NAME])


def test_a_column_that_is_absent_is_named() -> None:
    with pytest.raises(UnknownNameError, match="Metadata_pert_type"):
        feature_effects(screen().drop(KIND))
