"""Cell states and distributions: against scikit-learn and scipy, and on planted subpopulations."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from phenoprint.errors import DataError, SchemaError, UnknownNameError, UsageError
from phenoprint.profiles import CellStates, distribution_profiles, learn_cell_states
from phenoprint.profiles.distributions import bimodality
from phenoprint.tables import feature_columns

NEGCON = pl.col("Metadata_pert_type") == "negcon"


def cells(*, seed: int = 0, per_well: int = 200) -> pl.DataFrame:
    """Two states, 70 and 30 percent in controls; A03 is all of the second, A04 has a fifth of its cells far away."""
    rng = np.random.default_rng(seed)
    frames = []
    for plate in ("p0", "p1"):
        for well, share, far in (("A01", 0.3, 0), ("A02", 0.3, 0), ("A03", 1.0, 0), ("A04", 0.3, 0.2)):
            second = rng.random(per_well) < share
            values = rng.normal(size=(per_well, 5)) + second[:, None] * np.array([6, -6, 0, 0, 0])
            values[rng.random(per_well) < far, 4] += 30
            frames.append(
                pl.DataFrame(values.astype(np.float32), schema=[f"Cells_F{i}" for i in range(5)]).select(
                    pl.lit(plate).alias("Metadata_Plate"),
                    pl.lit(well).alias("Metadata_Well"),
                    pl.lit("negcon" if well < "A03" else "trt").alias("Metadata_pert_type"),
                    pl.all(),
                )
            )
    return pl.concat(frames)


@pytest.mark.parametrize("method", ["kmeans", "gmm"])
def test_planted_states_are_found(method: str) -> None:
    data = cells()
    states = learn_cell_states(data, reference=NEGCON, n_states=2, method=method)
    wells = states.describe(data)
    rows = {(r["Metadata_Plate"], r["Metadata_Well"]): r for r in wells.to_dicts()}
    assert rows["p0", "A01"]["Cells_State_Fraction_1"] == pytest.approx(0.7, abs=0.08)
    assert rows["p1", "A03"]["Cells_State_Fraction_2"] > 0.98
    assert rows["p1", "A03"]["Cells_State_Entropy"] < 0.15
    share = rows["p0", "A01"]["Cells_State_Fraction_1"]
    assert rows["p0", "A01"]["Cells_State_Entropy"] == pytest.approx(
        stats.entropy([share, 1 - share], base=2), abs=1e-5
    )
    assert rows["p0", "A04"]["Cells_State_Responding"] == pytest.approx(0.2, abs=0.08)
    controls = [rows[plate, well]["Cells_State_Responding"] for plate in ("p0", "p1") for well in ("A01", "A02")]
    assert abs(np.mean(controls)) < 0.02  # what controls show by chance is taken off
    total = wells.select(pl.sum_horizontal(pl.selectors.contains("Fraction")))
    np.testing.assert_allclose(total.to_numpy(), 1, atol=1e-6)


@pytest.mark.parametrize("method", ["kmeans", "gmm"])
def test_assignment_equals_scikit_learn(method: str) -> None:
    from sklearn.cluster import KMeans
    from sklearn.mixture import GaussianMixture

    data = cells()
    states = learn_cell_states(data, reference=NEGCON, n_states=4, method=method, seed=3)
    points, _ = states._points(data)
    controls, _ = states._points(data.filter(NEGCON))
    if method == "gmm":
        theirs = GaussianMixture(4, covariance_type="diag", random_state=3).fit(controls).predict(points)
    else:
        theirs = KMeans(4, n_init=4, random_state=3).fit(controls).predict(points)
    ours = states.assign(data)
    pairs = set(zip(ours.tolist(), theirs.tolist(), strict=True))
    assert len(pairs) == 4  # one name of theirs for each of ours
    sizes = np.bincount(states.assign(data.filter(NEGCON)))[1:]
    assert (np.diff(sizes) <= 0).all()


def test_seeded_stored_and_applied_again() -> None:
    data = cells()
    first = learn_cell_states(data, reference=NEGCON, n_states=3, max_cells=500)
    again = learn_cell_states(data, reference=NEGCON, n_states=3, max_cells=500)
    assert first.describe(data).equals(again.describe(data))
    read = CellStates.from_dict(json.loads(json.dumps(first.to_dict())))
    assert read.describe(data).equals(first.describe(data))


def test_incomplete_cells_have_no_state() -> None:
    data = cells().with_columns(
        pl.when(pl.int_range(pl.len()) % 50 != 0).then(pl.col("Cells_F1")),
        Cells_Hole=pl.when(pl.int_range(pl.len()) % 2 == 0).then(1.0),
        Cells_Flat=pl.lit(1.0),
    )
    states = learn_cell_states(data, reference=NEGCON, n_states=2)
    assert states.features == tuple(f"Cells_F{i}" for i in range(5))
    assert (states.assign(data) == 0).sum() == 32
    assert states.describe(data)["Metadata_State_Cells"].to_list() == [196] * 8
    empty = data.with_columns(pl.when(pl.col("Metadata_Well") != "A02").then(pl.col("Cells_F0")).alias("Cells_F0"))
    well = states.describe(empty).filter(Metadata_Well="A02", Metadata_Plate="p0")
    assert well["Cells_State_Fraction_1"].item() is None
    assert well["Metadata_State_Cells"].item() == 0


def test_distances_are_scipys() -> None:
    data = cells(per_well=60)
    data = data.with_columns(
        pl.when(pl.int_range(pl.len()) % 7 != 0).then(pl.col("Cells_F2").round(0)).alias("Cells_F2")
    )
    ours = distribution_profiles(data, reference=NEGCON)
    assert ours.height == 8
    for row in ours.to_dicts():
        plate = data.filter(Metadata_Plate=row["Metadata_Plate"])
        controls, own = plate.filter(NEGCON), plate.filter(Metadata_Well=row["Metadata_Well"])
        for name in feature_columns(data):
            x, y = own[name].drop_nulls().to_numpy(), controls[name].drop_nulls().to_numpy()
            assert abs(row[f"{name}_Wasserstein"]) == pytest.approx(
                stats.wasserstein_distance(x, y), rel=1e-5, abs=1e-6
            )
            assert abs(row[f"{name}_KS"]) == pytest.approx(stats.ks_2samp(x, y).statistic, abs=1e-6)
            if abs(x.mean() - y.mean()) > 1e-4:
                assert np.sign(row[f"{name}_Wasserstein"]) == np.sign(x.mean() - y.mean())
    third = ours.filter(Metadata_Well="A03")
    assert (third["Cells_F0_Wasserstein"] > 3).all()
    assert (third["Cells_F1_KS"] < -0.6).all()


@given(arrays(np.float64, (1, 25), elements=st.floats(-100, 100).map(lambda v: round(v, 2)), unique=True))
@settings(max_examples=60, deadline=None)
def test_bimodality_is_that_of_scipys_moments(values: np.ndarray) -> None:
    n = 25
    skew, excess = stats.skew(values[0], bias=False), stats.kurtosis(values[0], bias=False)
    expected = (skew**2 + 1) / (excess + 3 * (n - 1) ** 2 / ((n - 2) * (n - 3)))
    assert bimodality(values)[0] == pytest.approx(expected, rel=1e-6)


def test_bimodality_of_known_shapes() -> None:
    rng = np.random.default_rng(0)
    shapes = np.stack([rng.normal(size=50_000), rng.random(50_000), np.sign(rng.random(50_000) - 0.5), np.ones(50_000)])
    found = bimodality(shapes)
    np.testing.assert_allclose(found[:3], [1 / 3, 5 / 9, 1], atol=0.01)
    assert np.isnan(found[3])
    assert np.isnan(bimodality(shapes[:1, :3])[0])


def test_wrong_use() -> None:
    data = cells(per_well=30)
    with pytest.raises(UnknownNameError, match="did you mean 'kmeans'"):
        learn_cell_states(data, reference=NEGCON, method="kmean")
    with pytest.raises(UsageError, match="two states"):
        learn_cell_states(data, reference=NEGCON, n_states=1)
    with pytest.raises(DataError, match="at least 200 complete control cells; found 120"):
        learn_cell_states(data, reference=NEGCON, n_states=20)
    states = learn_cell_states(data, reference=NEGCON, n_states=2)
    with pytest.raises(SchemaError, match="Cells_F3"):
        states.assign(data.drop("Cells_F3"))
    with pytest.raises(DataError, match=r"none on \('p1',\)"):
        distribution_profiles(data, reference=NEGCON & (pl.col("Metadata_Plate") == "p0"))
    with pytest.raises(UnknownNameError, match="wasserstein"):
        distribution_profiles(data, reference=NEGCON, measures=["emd"])
    with pytest.raises(UsageError, match="keys of a well"):
        distribution_profiles(data, reference=NEGCON, by=["Metadata_Well"])
