"""Similarities, probabilities and conformal p values of mechanisms, against slow code by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize

from phenoprint.evaluation import to_vectors
from phenoprint.evaluation.class_fit import fit_classes, least_compounds
from phenoprint.evaluation.class_probabilities import class_evidence, conformal_p, fit_logistic, logistic
from phenoprint.evaluation.class_similarities import class_similarities
from phenoprint.evaluation.class_tightness import class_tightness


def test_similarities_by_hand() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40, 6))
    compounds = rng.integers(0, 12, 40)
    labels = rng.random((40, 4)) < 0.3
    labels[:8] = False
    vectors = to_vectors(pl.DataFrame(values, schema=[f"F{i}" for i in range(6)]), "cosine")
    found = class_similarities(vectors, compounds, labels)
    cosine = values @ values.T / np.outer(*[np.linalg.norm(values, axis=1)] * 2)
    for row in range(40):
        others = [i for i in range(40) if labels[i].any() and compounds[i] != compounds[row]]
        best = max(others, key=lambda i: cosine[row, i])
        assert found.nearest[row] == best
        assert found.similarity[row] == pytest.approx(cosine[row, best], abs=1e-5)
        for name in range(4):
            # A compound whose doses have different labels counts once per label.
            units = {(compounds[i], tuple(labels[i])) for i in others if labels[i, name]}
            highest = [
                max(cosine[row, i] for i in others if (compounds[i], tuple(labels[i])) == unit) for unit in units
            ]
            assert found.n_compounds[row, name] == len(units)
            assert found.mean[row, name] == pytest.approx(np.mean(highest), abs=1e-5, nan_ok=True)
            assert found.highest[row, name] == pytest.approx(max(highest), abs=1e-5)


def test_tightness_without_the_own_compound_by_hand() -> None:
    rng = np.random.default_rng(3)
    values, compounds = rng.normal(size=(24, 5)), rng.integers(0, 8, 24)
    labels = rng.random((24, 3)) < 0.5
    members, weights = np.flatnonzero(rng.random(24) < 0.7), rng.random(24)
    vectors = to_vectors(pl.DataFrame(values, schema=[f"F{i}" for i in range(5)]), "cosine")
    found = class_tightness(vectors, compounds, labels, members, weights[members])
    cosine = values @ values.T / np.outer(*[np.linalg.norm(values, axis=1)] * 2)

    def sums(name: int, without: int) -> tuple[float, float]:
        total, size = 0.0, 0.0
        for member in (i for i in members if labels[i, name] and compounds[i] != without):
            others = {compounds[j] for j in range(24) if labels[j, name]} - {compounds[member], without}
            highest = [
                max(cosine[member, j] for j in range(24) if labels[j, name] and compounds[j] == other)
                for other in others
            ]
            if others:
                total, size = total + weights[member] * np.mean(highest), size + weights[member]
        return total, size

    full = [sums(name, -1) for name in range(3)]
    usual = sum(total for total, _ in full) / sum(size for _, size in full)
    for row in range(24):
        for name in range(3):
            total, size = sums(name, compounds[row]) if labels[row, name] else full[name]
            assert found[row, name] == pytest.approx((total + usual) / (size + 1), abs=1e-5)


def test_without_another_compound_there_is_no_similarity() -> None:
    vectors = to_vectors(pl.DataFrame({"F0": [1.0, 0.9, 0.1], "F1": [0.0, 0.2, 1.0]}), "cosine")
    found = class_similarities(vectors, np.array([0, 0, 1]), np.array([[True, False], [True, False], [False, True]]))
    assert np.isnan(found.mean[0, 0])
    assert found.nearest.tolist() == [2, 2, 1]
    nothing = class_similarities(vectors, np.arange(3), np.zeros((3, 0), dtype=bool))
    assert nothing.nearest.tolist() == [-1, -1, -1]


def test_margins_are_over_the_best_other_mechanism() -> None:
    evidence = class_evidence(np.array([[0.9, 0.5, np.nan]]), np.array([[0.8, 0.7, np.nan]]))
    assert evidence[0, 0] == pytest.approx([0.9, 0.8, 0.4, 0.1])
    assert evidence[0, 1] == pytest.approx([0.5, 0.7, -0.4, -0.1])
    assert np.isnan(evidence[0, 2]).all()


def test_the_regression_is_the_minimum_of_its_loss() -> None:
    rng = np.random.default_rng(1)
    x, weights = rng.normal(size=(300, 2)) * [1, 50], rng.random(300)
    y = rng.random(300) < 1 / (1 + np.exp(-(0.5 + x @ [1.5, -0.02])))
    beta = fit_logistic(x, y, weights)
    n1, n0 = weights[y].sum(), weights[~y].sum()
    target = np.where(y, (n1 + 1) / (n1 + 2), 1 / (n0 + 2))
    z = (x - x.mean(axis=0)) / x.std(axis=0)

    def loss(at: np.ndarray) -> float:
        score = at[0] + z @ at[1:]
        return float(weights @ (np.logaddexp(0, score) - target * score) + 0.5e-3 * weights.sum() * (at[1:] ** 2).sum())

    best = minimize(loss, np.zeros(3), method="BFGS", tol=1e-10).x
    assert logistic(x, beta) == pytest.approx(1 / (1 + np.exp(-(best[0] + z @ best[1:]))), abs=1e-5)


def test_pairs_that_can_be_separated_are_not_certain() -> None:
    x = np.arange(20.0)[:, None]
    beta = fit_logistic(x, x[:, 0] > 9.5, np.ones(20))
    p = logistic(x, beta)
    assert 0.01 < p[0] < 0.1  # not 1e-10
    assert 0.9 < p[-1] < 0.99


def test_conformal_p_by_hand() -> None:
    """Compounds have weight 1; a treatment's own compound does not count."""
    calibration, compounds = np.array([0.1, 0.2, 0.5, 0.7]), np.array([4, 4, 5, 6])
    p = conformal_p(np.array([[0.5, 0.15], [0.15, np.nan]]), np.array([9, 4]), calibration, compounds)
    assert p[0].tolist() == [(1 + 1 + 1) / 4, (1 + 0.5) / 4]
    assert p[1, 0] == pytest.approx(1 / 3)
    assert np.isnan(p[1, 1])


@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_conformal_coverage_with_doses_that_go_together(coverage: float) -> None:
    rng = np.random.default_rng(2)
    held = []
    for _ in range(300):
        n_doses = rng.integers(1, 6, 41)
        compounds = np.repeat(np.arange(41), n_doses)
        fit = rng.normal(size=41)[compounds] + 0.3 * rng.normal(size=len(compounds))
        new = compounds == 40
        p = conformal_p(fit[new][:, None], np.full(new.sum(), 40), fit[~new], compounds[~new])
        held.append((p[:, 0] > 1 - coverage).mean())
    assert coverage - 0.03 < np.mean(held) < coverage + 0.05


def test_compounds_that_a_level_needs() -> None:
    assert [least_compounds(level) for level in (0.5, 0.8, 0.9, 0.99)] == [1, 4, 9, 99]


def test_probabilities_of_noise_do_not_favour_the_own_label() -> None:
    """A fit on the compound itself gives 0.32. A little is left, since similarities of other compounds to it remain."""
    rng = np.random.default_rng(4)
    difference = []
    for _ in range(40):
        vectors = to_vectors(pl.DataFrame(rng.normal(size=(24, 8)), schema=[f"F{i}" for i in range(8)]), "cosine")
        labels = np.eye(2, dtype=bool)[rng.permutation(np.arange(24) % 2)]
        ones = np.ones(24, dtype=bool)
        fit = fit_classes(vectors, np.arange(24), labels, ones, strength=rng.normal(size=24))
        difference.append((fit.probability[labels] - fit.probability[~labels]).mean())
        assert fit.reason is None
    assert np.mean(difference) < 0.15
