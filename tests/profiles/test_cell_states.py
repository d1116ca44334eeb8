"""Cell states: against scikit-learn, and on planted subpopulations."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from scipy import stats

from phenoprint.errors import DataError, SchemaError, UnknownNameError, UsageError
from phenoprint.profiles import CellStates, learn_cell_states, responding_share, stable_cell_states

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


def blobs(*, distinct: bool, seed: int = 0, wells: int = 8, per_well: int = 150) -> pl.DataFrame:
    """Control cells of three distinct kinds, or of one continuous kind without structure."""
    rng = np.random.default_rng(seed)
    n = wells * per_well
    values = rng.normal(size=(n, 6))
    if distinct:
        values += np.array([[0, 0, 0, 0, 0, 0], [7, -7, 0, 0, 0, 0], [0, 0, 7, 7, 0, 0]])[rng.integers(0, 3, n)]
    names = np.repeat([f"A{well:02d}" for well in range(1, wells + 1)], per_well)
    about = pl.DataFrame({"Metadata_Plate": ["p"] * n, "Metadata_Well": names})
    return about.hstack(pl.DataFrame(values, schema=[f"Cells_F{i}" for i in range(6)]))


def test_states_are_kept_only_where_halves_of_the_controls_agree() -> None:
    found = stable_cell_states(blobs(distinct=True), candidates=(8, 5, 3, 2))
    assert found.is_stable
    assert found.n_states == 3
    assert found.agreement is not None
    assert found.agreement > 0.95
    none = stable_cell_states(blobs(distinct=False), candidates=(8, 5))
    assert not none.is_stable
    assert none.agreement is not None
    assert none.agreement < 0.5
    wells = none.describe(blobs(distinct=False))
    assert wells["Cells_State_Entropy"].null_count() == wells.height
    assert wells["Cells_State_Fraction_1"].null_count() == wells.height
    assert wells["Cells_State_Responding"].null_count() == 0
    few = stable_cell_states(blobs(distinct=True, wells=3))
    assert (few.is_stable, few.agreement) == (False, None)
    again = stable_cell_states(blobs(distinct=True), candidates=(8, 5, 3, 2))
    assert again.to_dict() == found.to_dict()


def test_the_interval_of_the_share_of_responders_covers_it() -> None:
    """Cells of a well are correlated; an interval for independent cells would be far too narrow."""
    rng = np.random.default_rng(0)
    n, n_controls, n_wells = 150, 16, 400

    def far(share: float, wells: int) -> np.ndarray:
        baseline = rng.beta(0.05 * 60, 0.95 * 60, wells)
        return rng.binomial(n, baseline + (1 - baseline) * share)

    for share in (0.0, 0.2):
        covered, found, positive = [], [], []
        for _ in range(20):
            made = responding_share(far(share, 20), [n] * 20, far(0.0, n_controls), [n] * n_controls)
            covered += ((made.low <= share) & (share <= made.high)).tolist()
            found += made.share.tolist()
            positive += (made.p < 0.05).tolist()
        assert len(found) == n_wells
        assert 0.9 <= np.mean(covered) <= 1.0
        assert np.mean(found) == pytest.approx(share, abs=0.02)
        assert np.mean(positive) <= 0.09 if share == 0 else np.mean(positive) > 0.9
    naive = responding_share(far(0.0, 200), [n] * 200, [8] * 16, [n] * 16)
    assert np.mean((naive.low <= 0) & (naive.high >= 0)) < 0.85
    few = responding_share([30], [100], [5, 5, 5], [100] * 3)
    assert np.isnan([few.low[0], few.p[0]]).all()


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
