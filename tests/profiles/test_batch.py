"""Batch correction: what must come together, and what must stay."""

from __future__ import annotations

import sys

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import MissingExtraError, SchemaError, UnknownNameError, UsageError
from phenoprint.profiles import correct_batch, feature_columns

FEATURES = [f"F{i}" for i in range(8)]


def batches(*, shift: float = 4.0, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    frames = []
    for batch in range(3):
        kind = rng.integers(0, 3, 60)
        values = rng.normal(size=(60, 8)) * (1 + batch) + np.eye(8)[kind] * 5 + shift * batch
        frames.append(
            pl.DataFrame(values, schema=FEATURES).with_columns(
                Metadata_Batch=pl.lit(f"b{batch}"), Metadata_kind=pl.Series(kind).cast(pl.String)
            )
        )
    return pl.concat(frames).select("Metadata_Batch", "Metadata_kind", *FEATURES)


def spread_of_batches(frame: pl.DataFrame) -> float:
    means = frame.group_by("Metadata_Batch").agg(pl.col(FEATURES).mean()).select(FEATURES)
    return float(means.to_numpy().std(axis=0).max())


@pytest.mark.parametrize("method", ["center", "standardize"])
def test_moments_are_aligned(method: str) -> None:
    data = batches()
    result = correct_batch(data, method)
    assert spread_of_batches(data) > 1
    assert spread_of_batches(result) < 1e-9
    assert result.columns == data.columns
    np.testing.assert_allclose(result.select(FEATURES).mean().row(0), data.select(FEATURES).mean().row(0))
    sd = result.group_by("Metadata_Batch").agg(pl.col("F0").std(ddof=0)).sort("Metadata_Batch")["F0"].to_numpy()
    assert (np.ptp(sd) < 1e-9) == (method == "standardize")


def test_target_spread_is_the_one_within_batches() -> None:
    data = batches().filter((pl.col("Metadata_Batch") != "b2") | (pl.int_range(pl.len()) % 5 == 0))
    own = data.group_by("Metadata_Batch").agg(pl.len(), pl.col("F0").var(ddof=0))
    expected = np.sqrt(np.average(own["F0"].to_numpy(), weights=own["len"].to_numpy()))
    result = correct_batch(data, "standardize").group_by("Metadata_Batch").agg(pl.col("F0").std(ddof=0))
    np.testing.assert_allclose(result["F0"].to_numpy(), expected)


def test_reference_rows_keep_biology() -> None:
    data = batches(shift=2.0).with_columns(
        Metadata_pert_type=pl.when(pl.col("Metadata_kind") == "0").then(pl.lit("negcon")).otherwise(pl.lit("trt"))
    )
    # One batch holds only strong treatments beside its controls.
    strong = data.with_columns(
        pl.when((pl.col("Metadata_Batch") == "b1") & (pl.col("Metadata_pert_type") == "trt"))
        .then(pl.col("F7") + 50)
        .otherwise("F7")
        .alias("F7")
    )
    control = pl.col("Metadata_pert_type") == "negcon"
    result = correct_batch(strong, "center", reference=control)
    controls = result.filter(control)
    assert spread_of_batches(controls) < 1e-9
    effect = result.filter(~control & (pl.col("Metadata_Batch") == "b1"))["F7"].mean()
    assert effect - controls["F7"].mean() > 40  # type: ignore[operator]


def test_harmony_mixes_batches() -> None:
    pytest.importorskip("harmonypy")
    data = batches(shift=3.0).with_columns(pl.col(FEATURES).cast(pl.Float32))
    result = correct_batch(data)
    assert result.schema == data.schema
    assert spread_of_batches(result) < 0.5 * spread_of_batches(data)
    assert correct_batch(data, seed=0).equals(result)


def test_harmony_needs_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "harmonypy", None)
    with pytest.raises(MissingExtraError, match=r"phenoprint\[harmony\]"):
        correct_batch(batches())


def test_missing_values() -> None:
    holes = batches().with_columns(F3=pl.when(pl.int_range(pl.len()) > 2).then(pl.col("F3")))
    assert correct_batch(holes, "center")["F3"].null_count() == 3
    pytest.importorskip("harmonypy")
    with pytest.raises(SchemaError, match=r"complete features.*F3"):
        correct_batch(holes)


def test_wrong_use() -> None:
    data = batches()
    with pytest.raises(UnknownNameError, match="combar"):
        correct_batch(data, "combar")
    with pytest.raises(UsageError, match="at least two batches"):
        correct_batch(data.filter(Metadata_Batch="b0"), "center")
    with pytest.raises(UsageError, match="no row of Metadata_Batch=b2"):
        correct_batch(data, "center", reference=pl.col("Metadata_Batch") != "b2")
    with pytest.raises(UsageError, match="harmony takes no reference"):
        correct_batch(data, reference=pl.col("F0") > 0)
    with pytest.raises(SchemaError, match="NULL"):
        correct_batch(data.with_columns(Metadata_Batch=pl.lit(None, dtype=pl.String)), "center")
    assert feature_columns(data) == FEATURES
