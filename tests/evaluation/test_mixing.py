"""Batch mixing and position leakage: by hand, against scipy, and on planted structure."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats

from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.evaluation import batch_mixing, position_leakage


def cloud(*, shift: float, n: int = 120, batches: int = 3, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    batch = np.repeat(np.arange(batches), n // batches)
    values = rng.normal(size=(n, 6)) + shift * np.eye(6)[batch]
    return pl.DataFrame(values, schema=[f"F{i}" for i in range(6)]).with_columns(
        Metadata_Batch=pl.Series([f"b{b}" for b in batch])
    )


def test_against_a_loop_over_profiles() -> None:
    data = cloud(shift=2.0)
    values = data.select(pl.selectors.starts_with("F")).to_numpy()
    batch = data["Metadata_Batch"].to_numpy()
    distance = ((values[:, None] - values[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distance, np.inf)
    accepted, simpson = [], []
    for i in range(120):
        near = batch[np.argsort(distance[i])[:12]]
        counts = np.array([(near == b).sum() for b in ("b0", "b1", "b2")])
        accepted.append(stats.chisquare(counts, [4, 4, 4]).pvalue >= 0.05)
        simpson.append(1 / ((counts / 12) ** 2).sum())
    ours = batch_mixing(data, k=12, metric="euclidean")
    assert ours.acceptance == pytest.approx(np.mean(accepted))
    assert ours.inverse_simpson == pytest.approx(np.mean(simpson))
    assert (ours.n, ours.k, ours.n_batches) == (120, 12, 3)


def test_mixed_and_apart() -> None:
    mixed = [batch_mixing(cloud(shift=0, n=300, seed=seed), metric="euclidean") for seed in range(5)]
    assert np.mean([m.mixing for m in mixed]) == pytest.approx(1, abs=0.05)
    assert np.mean([m.acceptance for m in mixed]) > 0.85
    apart = batch_mixing(cloud(shift=50.0), metric="euclidean")
    assert apart.mixing < 0.01
    assert apart.acceptance == 0
    assert apart.inverse_simpson == pytest.approx(1, abs=0.01)
    middle = batch_mixing(cloud(shift=2.0), metric="euclidean").mixing
    assert 0.1 < middle < 0.9


def layout(*, leak: float, seed: int = 0, same: bool = False) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    place = rng.normal(size=(24, 10))
    frames = []
    for plate in range(4):
        order = np.arange(24) if same else rng.permutation(24)
        values = rng.normal(size=(24, 10)) + leak * place
        frames.append(
            pl.DataFrame(values, schema=[f"F{i}" for i in range(10)]).with_columns(
                Metadata_Plate=pl.lit(f"p{plate}"),
                Metadata_Well=pl.Series([f"A{i + 1:02d}" for i in range(24)]),
                Metadata_compound=pl.Series([f"c{i}" for i in order]),
            )
        )
    return pl.concat(frames)


def test_position_leaks_or_not() -> None:
    assert position_leakage(layout(leak=5.0)) > 0.9  # type: ignore[operator]
    clean = [position_leakage(layout(leak=0.0, seed=seed)) for seed in range(5)]
    assert abs(float(np.mean(clean))) < 0.05  # type: ignore[arg-type]
    assert position_leakage(layout(leak=5.0, same=True)) is None  # position and treatment are one


def test_wrong_use() -> None:
    with pytest.raises(UsageError, match="at least two batches"):
        batch_mixing(cloud(shift=0).filter(Metadata_Batch="b0"))
    with pytest.raises(UsageError, match="k must be"):
        batch_mixing(cloud(shift=0), k=0)
    with pytest.raises(UnknownNameError, match="Metadata_Lot"):
        batch_mixing(cloud(shift=0), "Metadata_Lot")
