"""Distances of treatments to controls, against formulas by hand and reference packages."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis
from scipy.stats import energy_distance as scipy_energy
from scipy.stats import kstest
from sklearn.covariance import LedoitWolf
from sklearn.metrics import pairwise_distances

from phenoprint.errors import UsageError
from phenoprint.evaluation import energy_distance
from phenoprint.evaluation.compiled_distances import permuted_energy, permuted_mahalanobis
from phenoprint.evaluation.control_space import ControlSpace, ledoit_wolf_shrinkage
from phenoprint.evaluation.distances import ControlDistance, OneWellNull, _Pool
from phenoprint.evaluation.label_orders import label_orders, label_test, n_label_orders, tail_p_value


def _by_pairs(x: np.ndarray, y: np.ndarray) -> float:
    """Energy distance by scikit-learn's pairwise distances (as dcor's V-statistic)."""
    return (
        2 * pairwise_distances(x, y).mean() - pairwise_distances(x).mean() - pairwise_distances(y).mean()
    )  # fmt: skip


@pytest.mark.parametrize("features", [1, 3, 200])
def test_energy_distance_equals_that_of_pairwise_distances(features: int) -> None:
    rng = np.random.default_rng(features)
    x, y = rng.normal(size=(5, features)), 100 + 2 * rng.normal(size=(9, features))
    assert energy_distance(x, y) == pytest.approx(_by_pairs(x, y), rel=1e-9)


def test_energy_distance_of_one_feature_is_the_square_of_scipy_s() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=6), rng.exponential(size=11)
    assert energy_distance(x[:, None], y[:, None]) == pytest.approx(scipy_energy(x, y) ** 2, rel=1e-9)


def test_energy_distance_is_zero_between_equal_sets() -> None:
    x = np.random.default_rng(0).normal(size=(7, 4))
    assert energy_distance(x, x) == pytest.approx(0, abs=1e-12)


def test_energy_distance_refuses_sets_that_cannot_be_compared() -> None:
    with pytest.raises(UsageError, match=r"found shapes \(0, 3\) and \(2, 3\)"):
        energy_distance(np.empty((0, 3)), np.ones((2, 3)))
    with pytest.raises(UsageError, match="same features"):
        energy_distance(np.ones((2, 2)), np.ones((2, 3)))


@pytest.mark.parametrize(("n", "p"), [(20, 50), (50, 20)])
def test_the_space_of_controls_is_the_ledoit_wolf_covariance(n: int, p: int) -> None:
    rng = np.random.default_rng(n)
    controls = rng.normal(size=(n, p)) @ rng.normal(size=(p, p)) + 5
    reference = LedoitWolf().fit(controls)
    assert ledoit_wolf_shrinkage(controls - controls.mean(axis=0)) == pytest.approx(reference.shrinkage_, rel=1e-9)
    space = ControlSpace.of({"p": controls})
    well = rng.normal(size=p)
    length = np.linalg.norm(space.vectors((well - controls.mean(axis=0))[None]))
    unbiased = reference.covariance_ * n / (n - 1)
    wanted = mahalanobis(well, controls.mean(axis=0), np.linalg.inv(unbiased))
    assert length == pytest.approx(wanted, rel=1e-6)


def test_there_is_no_space_of_controls_that_do_not_vary() -> None:
    assert ControlSpace.of({"p": np.ones((5, 3))}) is None
    assert ControlSpace.of({"p": np.ones((1, 3))}) is None
    assert ControlSpace.of({}) is None


def test_with_one_control_per_plate_all_directions_count_alike() -> None:
    rng = np.random.default_rng(0)
    space = ControlSpace.of({f"p{i}": rng.normal(size=(1, 3)) for i in range(4)})
    assert (space.weight, space.shrinkage) == (0.0, 1.0)
    found = ControlDistance.of(space, {f"p{i}": np.full((1, 3), 9.0) for i in range(4)}, null_size=1000, seed=0)
    assert found.mahalanobis_test.p_value == pytest.approx(2 / 16)  # exchanging all wells changes no distance
    assert found.mahalanobis_test.n_orders == 16


def _design(p: int = 7) -> tuple[dict[str, np.ndarray], ControlSpace, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    controls = {f"p{i}": rng.normal(size=(n, p)) * np.arange(1, p + 1) for i, n in enumerate((4, 5, 3, 6))}
    space = ControlSpace.of(controls)
    wells = {"p0": rng.normal(size=(2, p)), "p2": rng.normal(size=(1, p))}
    return controls, space, wells


def _refitted(
    order: list[int], controls: dict[str, np.ndarray], space: ControlSpace, wells: dict[str, np.ndarray]
) -> float:
    """Squared distance of some wells to the rest, with the covariance of the rest, from the definition."""
    start, difference, left = 0, 0, []
    for plate, treated in wells.items():
        values = np.concatenate([treated + space.centers[plate], controls[plate]])
        own = [place - start for place in order if start <= place < start + len(values)]
        rest = np.delete(values, own, axis=0)
        difference = difference + (values[own] - rest.mean(axis=0)).sum(axis=0) / len(order)
        left.append(rest - rest.mean(axis=0))
        start += len(values)
    left += [own - own.mean(axis=0) for plate, own in controls.items() if plate not in wells]
    scatter = np.concatenate(left)
    covariance = space.floor * np.eye(scatter.shape[1]) + space.weight * scatter.T @ scatter
    return difference @ np.linalg.solve(covariance, difference)


def test_permuted_mahalanobis_distances_are_those_of_a_covariance_that_is_fitted_again() -> None:
    controls, space, wells = _design()
    pool = _Pool(space, wells)
    orders = label_orders(pool.sizes, 10_000, 0)
    assert len(orders) == n_label_orders(pool.sizes) == 60
    fast = permuted_mahalanobis(pool.gram(), orders, pool.weights(), pool.held())
    wanted = [_refitted(order.tolist(), controls, space, wells) for order in orders]
    np.testing.assert_allclose(fast, wanted, rtol=1e-9)


def test_permuted_energy_distances_are_those_of_the_sets() -> None:
    _, space, wells = _design()
    pool = _Pool(space, wells)
    orders = label_orders(pool.sizes, 10_000, 0)
    distance = pool.distances()
    fast = permuted_energy(distance, orders, pool.n_controls)
    everyone = np.arange(len(distance))
    for order, value in zip(orders, fast, strict=True):
        rest = np.setdiff1d(everyone, order)
        wanted = (
            2 * distance[np.ix_(order, rest)].mean()
            - distance[np.ix_(order, order)].mean()
            - distance[np.ix_(rest, rest)].mean()
        )
        assert value == pytest.approx(wanted, rel=1e-9)


def test_a_shift_of_a_whole_plate_changes_no_distance() -> None:
    controls, _, wells = _design()
    before = ControlDistance.of(ControlSpace.of(controls), wells, null_size=1000, seed=0)
    moved = {plate: values + 50 * (plate == "p2") for plate, values in controls.items()}
    after = ControlDistance.of(ControlSpace.of(moved), wells, null_size=1000, seed=0)
    assert after.squared == pytest.approx(before.squared)
    assert after.energy == pytest.approx(before.energy)
    assert after.mahalanobis_test.p_value == before.mahalanobis_test.p_value
    assert after.energy_test.p_value == before.energy_test.p_value


def test_a_treatment_in_hundreds_of_wells_is_tested_by_some_of_them() -> None:
    rng = np.random.default_rng(3)
    space = ControlSpace.of({f"p{i}": rng.normal(size=(8, 5)) for i in range(6)})
    wells = {f"p{i}": rng.normal(size=(50, 5)) + 1 for i in range(6)}
    found = ControlDistance.of(space, wells, null_size=500, seed=0)
    assert found.n_wells == 300
    assert found.mahalanobis_test.p_value < 0.01
    assert found.energy_test.p_value < 0.01


def test_single_controls_are_far_from_others_as_often_as_chance_has_it() -> None:
    rng = np.random.default_rng(4)
    p_values = []
    for _ in range(30):
        space = ControlSpace.of({f"p{i}": rng.normal(size=(12, 20)) for i in range(4)})
        null = OneWellNull(space)
        p_values += [
            null.judge("p1", well - space.centers["p1"]).mahalanobis_test.p_value for well in rng.normal(size=(10, 20))
        ]
    assert kstest(p_values, "uniform").pvalue > 0.001
    assert np.mean(np.array(p_values) < 0.2) == pytest.approx(0.2, abs=0.08)


def test_orders_are_all_of_them_or_as_many_as_asked_with_the_observed_one_first() -> None:
    assert label_orders(((1, 3),), 100, 0).tolist() == [[0], [1], [2]]
    drawn = label_orders(((2, 10), (1, 8)), 50, 0)
    assert drawn.shape == (51, 3)
    assert drawn[0].tolist() == [0, 1, 10]
    assert drawn[:, :2].max() < 10 <= drawn[:, 2].min()
    assert all(len(set(order)) == 3 for order in drawn.tolist())


@pytest.mark.parametrize("draw", ["exponential", "standard_normal", "standard_t"])
def test_a_fitted_tail_is_near_the_true_one(draw: str) -> None:
    rng = np.random.default_rng(5)
    sample = getattr(rng, draw)
    many = np.sort(sample(*((5,) if draw == "standard_t" else ()), size=1_000_000))
    score = many[-20]  # p of 2e-5
    found = [
        tail_p_value(sample(*((5,) if draw == "standard_t" else ()), size=10_000), score, smallest=0.0)
        for _ in range(40)
    ]
    assert 0.4 < np.median(found) / 2e-5 < 5


def test_p_values_stop_at_what_the_numbers_of_wells_allow() -> None:
    null = np.random.default_rng(0).normal(size=10_000)
    assert tail_p_value(null, 50.0, smallest=1e-6) == 1e-6
    assert label_test(np.array([3.0, 1.0, 2.0]), n_orders=3, null_size=10).p_value == pytest.approx(1 / 3)
