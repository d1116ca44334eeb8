"""ComBat against the published equations written out feature by feature, and what it must leave."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.profiles import correct_batch
from phenoprint.profiles.combat import fit_combat


def johnson(rows: np.ndarray, batch: list[int], covariate: list[int] | None = None) -> np.ndarray:
    """Johnson et al. 2007, equations 2.1 to 3.1, scalar by scalar, as R's sva does it."""
    n, width = rows.shape
    batches = sorted(set(batch))
    design = [
        [float(b == c) for c in batches] + ([] if covariate is None else [float(covariate[i])])
        for i, b in enumerate(batch)
    ]
    x = np.array(design)
    standard, expected, sigma = np.zeros_like(rows), np.zeros_like(rows), np.zeros(width)
    for g in range(width):
        beta = np.linalg.solve(x.T @ x, x.T @ rows[:, g])
        grand = sum(batch.count(b) / n * beta[k] for k, b in enumerate(batches))
        sigma[g] = np.sqrt(sum((rows[i, g] - x[i] @ beta) ** 2 for i in range(n)) / n)
        for i in range(n):
            expected[i, g] = grand + (0 if covariate is None else beta[-1] * covariate[i])
            standard[i, g] = (rows[i, g] - expected[i, g]) / sigma[g]
    out = np.zeros_like(rows)
    for b in batches:
        members = [i for i in range(n) if batch[i] == b]
        m = len(members)
        gamma = [float(np.mean(standard[members, g])) for g in range(width)]
        delta = [float(np.var(standard[members, g], ddof=1)) for g in range(width)]
        bar, tau = np.mean(gamma), np.var(gamma, ddof=1)
        mean_d, var_d = np.mean(delta), np.var(delta, ddof=1)
        lam, theta = (mean_d**2 + 2 * var_d) / var_d, (mean_d**3 + mean_d * var_d) / var_d
        for g in range(width):
            star, scale = gamma[g], delta[g]
            for _ in range(2000):
                star = (m * tau * gamma[g] + scale * bar) / (m * tau + scale)
                squares = sum((standard[i, g] - star) ** 2 for i in members)
                scale = (theta + squares / 2) / (m / 2 + lam - 1)
            for i in members:
                out[i, g] = sigma[g] / np.sqrt(scale) * (standard[i, g] - star) + expected[i, g]
    return out


def data(seed: int = 0, n: int = 12, width: int = 6) -> tuple[np.ndarray, list[int], list[int]]:
    rng = np.random.default_rng(seed)
    batch = [0] * n + [1] * (n - 4) + [2] * (n + 3)
    kind = [int(i % 2) for i in range(len(batch))]
    rows = rng.normal(size=(len(batch), width)) * (1 + np.array(batch)[:, None]) + np.array(batch)[:, None] * 3
    return rows + np.array(kind)[:, None] * 2, batch, kind


def table(rows: np.ndarray, batch: list[int], kind: list[int]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=[f"F{i}" for i in range(rows.shape[1])]).with_columns(
        Metadata_Batch=pl.Series([f"b{b}" for b in batch]), Metadata_kind=pl.Series([str(k) for k in kind])
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("with_covariate", [False, True])
def test_equals_the_published_equations(seed: int, with_covariate: bool) -> None:
    rows, batch, kind = data(seed)
    ours = correct_batch(table(rows, batch, kind), "combat", covariates=["Metadata_kind"] if with_covariate else [])
    expected = johnson(rows, batch, kind if with_covariate else None)
    np.testing.assert_allclose(ours.select(pl.selectors.starts_with("F")).to_numpy(), expected, rtol=1e-6, atol=1e-6)


def test_without_shrinkage_it_is_alignment() -> None:
    rows, batch, kind = data(n=30)
    ours = correct_batch(table(rows, batch, kind), "combat", shrink=False)
    moments = ours.group_by("Metadata_Batch").agg(pl.col("F0").mean().alias("m"), pl.col("F0").std().alias("s"))
    assert np.ptp(moments["m"].to_numpy()) < 1e-9
    assert np.ptp(moments["s"].to_numpy()) < 1e-9


def test_covariates_keep_what_differs_between_unbalanced_batches() -> None:
    rng = np.random.default_rng(5)
    batch = np.repeat([0, 1], 40)
    kind = np.concatenate([np.arange(40) < 30, np.arange(40) < 10]).astype(int)  # treated: 30 of 40, 10 of 40
    rows = rng.normal(size=(80, 20)) + 5 * kind[:, None] + 2 * batch[:, None]
    frame = table(rows, batch.tolist(), kind.tolist())
    effects = []
    for covariates in ([], ["Metadata_kind"]):
        fixed = correct_batch(frame, "combat", covariates=covariates)
        means = fixed.group_by("Metadata_kind").agg(pl.col("F0").mean()).sort("Metadata_kind")["F0"]
        effects.append(means[1] - means[0])
    assert effects[1] == pytest.approx(5, abs=0.6)
    assert effects[0] < effects[1]


def test_shrinkage_pulls_locations_together() -> None:
    rows, batch, _ = data(n=6, width=40)
    fitted = fit_combat(rows, np.array(batch))
    assert (fitted.location.std(axis=1) < fitted.raw_location.std(axis=1)).all()
    assert (fitted.scale.std(axis=1) < fitted.raw_scale.std(axis=1)).all()
    mean_only = fit_combat(rows, np.array(batch), mean_only=True)
    assert (mean_only.scale == 1).all()
    assert (mean_only.location.std(axis=1) < mean_only.raw_location.std(axis=1)).all()


def test_missing_values_and_constant_features() -> None:
    rows, batch, kind = data()
    hole = rows.copy()
    hole[3, 1] = np.nan
    hole[:, 4] = 7.0
    ours = correct_batch(table(hole, batch, kind), "combat")
    assert ours["F1"].null_count() == 1
    assert ours["F1"].is_finite().sum() == len(batch) - 1
    assert ours["F4"].to_list() == [7.0] * len(batch)
    with pytest.raises(UsageError, match="complete features"):
        correct_batch(table(hole, batch, kind), "combat", covariates=["Metadata_kind"])


def test_wrong_use() -> None:
    rows, batch, kind = data()
    frame = table(rows, batch, kind)
    with pytest.raises(UnknownNameError, match="mean_only"):
        correct_batch(frame, "combat", mean_onyl=True)
    with pytest.raises(UsageError, match="confounded with the batches"):
        correct_batch(
            frame.with_columns(Metadata_kind=pl.col("Metadata_Batch")), "combat", covariates=["Metadata_kind"]
        )
    with pytest.raises(UsageError, match="at least two reference rows per batch"):
        fit_combat(rows[:13], np.array(batch[:13]))


@pytest.mark.parametrize("method", ["tvn", "sphering"])
def test_whitening_methods_by_batch(method: str) -> None:
    rows, batch, kind = data(n=40)
    ours = correct_batch(table(rows, batch, kind), method, regularization=0)
    for name in ("b0", "b1", "b2"):
        values = ours.filter(Metadata_Batch=name).select(pl.selectors.starts_with("F")).to_numpy()
        np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-9)
        np.testing.assert_allclose(np.cov(values.T), np.eye(6), atol=1e-6 if method == "sphering" else 0.6)
