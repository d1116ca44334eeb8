"""Plate by plate gives what all plates at once give."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from phenoprint.errors import SchemaError, UsageError
from phenoprint.profiles import (
    consensus,
    consensus_blocks,
    fit_plates,
    normalize_with_status,
    select_features_with_status,
    select_plates,
    selection,
)
from phenoprint.profiles.correlations import CorrelationMoments
from phenoprint.profiles.moments import RunningMoments, RunningSample
from phenoprint.tables import feature_columns

NEGCON = pl.col("Metadata_pert_type") == "negcon"


def plates(*, n: int = 6, wells: int = 40, missing: float = 0.02, seed: int = 0) -> list[pl.DataFrame]:
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(5, 14))
    frames = []
    for number in range(n):
        values = rng.normal(size=(wells, 5)) @ mixing + 0.4 * rng.normal(size=(wells, 14)) + number
        values = np.column_stack([values, values[:, 0] * 2 + 1e-3 * rng.normal(size=wells), np.ones(wells)])
        values[rng.random(values.shape) < missing] = np.nan
        values[rng.random(wells) < 0.5, 7] = np.nan
        if number == 3:
            values[30, 2] = 1e6
        names = [f"Cells_F{i}" for i in range(14)] + ["Cells_Twin", "Cells_Flat"]
        frames.append(
            pl.DataFrame(values.astype(np.float32), schema=names, nan_to_null=True).select(
                pl.lit(f"p{number}").alias("Metadata_Plate"),
                pl.Series("Metadata_compound", [f"c{(i + 7 * number) % 24}" for i in range(wells)]),
                pl.Series("Metadata_pert_type", ["negcon"] * 10 + ["trt"] * (wells - 10)),
                pl.all(),
            )
        )
    return frames


@pytest.mark.parametrize("method", ["mad_robust", "standardize", "rank"])
def test_fit_is_the_same(method: str) -> None:
    frames = plates()
    expected, status = normalize_with_status(pl.concat(frames), method, reference=NEGCON)
    fitted = fit_plates(iter(frames), method, reference=NEGCON)
    ours = pl.concat([fitted.apply(frame) for frame in frames])
    assert ours.equals(expected)
    columns = ["Metadata_Plate", "feature"]
    assert fitted.status.sort(columns).equals(status.filter(pl.col("status") != "ok").sort(columns))


@pytest.mark.parametrize("missing", [0.0, 0.02])
def test_selection_is_the_same(missing: float) -> None:
    frames = plates(missing=missing)
    fitted = fit_plates(frames, reference=NEGCON)
    expected, status = select_features_with_status(pl.concat([fitted.apply(f) for f in frames]), na_cutoff=0.3)
    choice = select_plates([fitted.apply(frame) for frame in frames], na_cutoff=0.3)
    assert list(choice.kept) == feature_columns(expected)
    assert choice.n_rows == 240
    assert choice.status["status"].to_list() == status["status"].to_list()
    assert {"ok", "missing_values", "outlier", "correlated"} <= set(choice.status["status"])
    close = choice.status["value"].fill_null(0).to_numpy() - status["value"].fill_null(0).to_numpy()
    assert np.abs(close / np.maximum(1, status["value"].fill_null(0).abs().to_numpy())).max() < 1e-5
    assert pl.concat([choice.apply(fitted.apply(f)) for f in frames]).equals(expected)


@pytest.mark.parametrize("held", [2**30, 2000, 1])
def test_replicates_and_frequencies_are_the_same(monkeypatch: pytest.MonkeyPatch, held: int) -> None:
    """However few features a pass may hold."""
    monkeypatch.setattr(selection, "_HELD_BYTES", held)
    row = pl.int_range(pl.len())
    frames = [f.with_columns(pl.when(row != 13).then(pl.col("Metadata_compound"))) for f in plates()]
    effect = pl.col("Metadata_compound").str.slice(1).cast(pl.Float32) * 0.3
    frames = [
        f.with_columns(pl.col("Cells_F1", "Cells_F8") + effect, Cells_F5=(row % 7).cast(pl.Float32)) for f in frames
    ]
    operations = ["noise_removal", "variance_threshold", "replicate_reproducibility"]
    options = {"replicate_by": ["Metadata_compound"], "noise_cutoff": 3.0, "unique_cut": 0.2}
    expected, status = select_features_with_status(pl.concat(frames), operations, rows=~NEGCON, **options)
    choice = select_plates(frames, operations, rows=~NEGCON, sample_rows=None, **options)
    assert {"ok", "noisy", "low_variance", "not_reproducible"} <= set(status["status"])
    assert list(choice.kept) == feature_columns(expected)
    assert choice.status.drop("value", "reason").equals(status.drop("value", "reason"))
    ours, theirs = (s["value"].fill_null(0).to_numpy() for s in (choice.status, status))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_a_sampled_frequency_is_reported_as_sampled() -> None:
    frames = plates()
    whole = select_plates(frames, ["variance_threshold"]).status.filter(feature="Cells_Flat")
    some = select_plates(frames, ["variance_threshold"], sample_rows=100).status.filter(feature="Cells_Flat")
    assert some["status"].to_list() == whole["status"].to_list() == ["constant"]
    assert "every 4th of 240 rows" in some["reason"].item()
    assert whole["reason"].item() == "every value is the same"


class Passes(list[pl.DataFrame]):
    """Plates that count how often they are read."""

    n = 0

    def __iter__(self) -> Iterator[pl.DataFrame]:
        self.n += 1
        return super().__iter__()


def test_ties_are_settled_in_another_pass() -> None:
    """Two features whose sums of correlations differ by less than float32 can resolve."""
    frames = plates(missing=0)
    frames = [f.with_columns(Cells_F9=pl.col("Cells_F2") + 1e-3 * pl.col("Cells_F9")) for f in frames]
    read = Passes(frames)
    expected, _ = select_features_with_status(pl.concat(frames), ["correlation_threshold"], correlation=0.5)
    choice = select_plates(read, ["correlation_threshold"], correlation=0.5)
    assert list(choice.kept) == feature_columns(expected)
    assert read.n in (2, 3)


@pytest.mark.parametrize("statistic", ["median", "mean", "modz"])
@pytest.mark.parametrize("n_blocks", [1, 5])
def test_consensus_is_the_same(statistic: str, n_blocks: int) -> None:
    by = ["Metadata_compound"]
    whole = pl.concat(plates())
    block = pl.col("Metadata_compound").hash() % n_blocks
    varied = whole.with_columns(Metadata_Note=pl.when(block == 0).then(pl.int_range(pl.len())).otherwise(-1))
    blocks = [rows for _, rows in varied.group_by(block, maintain_order=True)]
    ours = consensus_blocks(iter(blocks), by, statistic)
    assert_frame_equal(ours, consensus(varied, by, statistic))
    assert "Metadata_Note" not in ours.columns  # constant within the treatments of some blocks, but not of all


def test_a_feature_missing_on_one_plate_is_null_there_and_reported() -> None:
    frames = plates()
    frames[2] = frames[2].drop("Cells_F4")
    fitted = fit_plates(frames, reference=NEGCON)
    row = fitted.status.filter(Metadata_Plate="p2", feature="Cells_F4")
    assert row["status"].to_list() == ["all_null"]
    with pytest.raises(SchemaError, match="Cells_F4"):
        fitted.apply(frames[2])
    with pytest.raises(SchemaError, match=r"lacks \['Cells_F4'\]"):
        select_plates(frames)
    aligned = fitted.apply(frames[2].with_columns(Cells_F4=pl.lit(None, dtype=pl.Float32)))
    assert aligned["Cells_F4"].null_count() == aligned.height


def test_running_moments_keep_digits_far_from_zero() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(1e6, 1, size=(3, 1000))
    values[1, ::3] = np.nan
    moments = RunningMoments(3)
    for start in range(0, 1000, 37):
        moments.add(values[:, start : start + 37])
    np.testing.assert_allclose(moments.mean, np.nanmean(values, axis=1), rtol=1e-14)
    np.testing.assert_allclose(moments.variance, np.nanvar(values, axis=1), rtol=1e-6)
    np.testing.assert_array_equal(moments.largest, np.nanmax(np.abs(values), axis=1))
    assert moments.n_rows == 1000
    assert moments.n.tolist() == [1000, 666, 1000]


def test_running_sample_is_even() -> None:
    sample = RunningSample(100)
    for start in range(0, 1000, 30):
        sample.add(np.arange(start, min(start + 30, 1000), dtype=float)[None, :])
    held = sample.values[0]
    assert len(held) <= 100
    assert set(np.diff(held)) == {16.0}
    assert held[0] == 0


@pytest.mark.parametrize("missing_from", [0, 3, 99])
def test_correlations_by_blocks(missing_from: int) -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(6, 60)) + rng.normal(size=60)
    values[2, missing_from * 10 : missing_from * 10 + 4] = np.nan
    moments = CorrelationMoments(np.nanmean(values, axis=1), np.nanstd(values, axis=1))
    for start in range(0, 60, 10):
        moments.add(values[:, start : start + 10])
    whole = CorrelationMoments(np.nanmean(values, axis=1), np.nanstd(values, axis=1))
    whole.add(values)
    np.testing.assert_allclose(moments.result(), whole.result(), atol=1e-6)
    expected = pl.DataFrame(values.T).to_pandas().corr().to_numpy()
    np.testing.assert_allclose(moments.result(), expected, atol=1e-5)


def test_wrong_use() -> None:
    frames = plates()
    with pytest.raises(UsageError, match="must lie within one frame"):
        fit_plates([*frames, frames[0]])
    with pytest.raises(UsageError, match="none"):
        fit_plates([])
    with pytest.raises(SchemaError, match="the same features"):
        fit_plates([*frames, frames[0].drop("Cells_F1")], "sphering", by=[])
    with pytest.raises(UsageError, match="at least one plate"):
        select_plates([])
    with pytest.raises(UsageError, match="replicate_by"):
        select_plates(frames, ["noise_removal"])
    with pytest.raises(UsageError, match="in one block; found in several"):
        consensus_blocks(frames, ["Metadata_compound"])
    with pytest.raises(UsageError, match="at least one block"):
        consensus_blocks([], ["Metadata_compound"])
