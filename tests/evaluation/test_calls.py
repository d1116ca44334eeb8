"""From profiles to calls, on profiles whose answer is known."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from phenoprint.evaluation import replicate_agreement


def profiles(*, replicates: int = 4, controls: int = 12, seed: int = 0) -> pl.DataFrame:
    """Three mechanisms of two compounds each, one inert compound, controls; 30 features."""
    rng = np.random.default_rng(seed)
    axes = {moa: rng.normal(size=30) * 3 for moa in ("alpha", "beta", "gamma")}
    rows, values = [], []
    for compound, moa in [(f"{m}-{i}", m) for m in axes for i in (1, 2)] + [("inert", None)]:
        for _ in range(replicates):
            rows.append((compound, moa, "trt"))
            values.append((axes[moa] if moa else 0.0) + rng.normal(size=30) * 0.5)
    for _ in range(controls):
        rows.append(("DMSO", None, "negcon"))
        values.append(rng.normal(size=30) * 0.5)
    frame = pl.DataFrame(rows, schema=["Metadata_compound", "Metadata_moa", "Metadata_pert_type"], orient="row")
    features = pl.DataFrame(np.array(values), schema=[f"Cells_F_{i}" for i in range(30)])
    described = frame.with_columns(
        pl.lit("P").alias("Metadata_Plate"),
        pl.Series("Metadata_Well", [f"{chr(65 + i // 24)}{i % 24 + 1:02d}" for i in range(frame.height)]),
        (pl.col("Metadata_compound") + "@1 uM").alias("Metadata_perturbation"),
        pl.lit(1.0).alias("Metadata_Concentration"),
        pl.lit("uM").alias("Metadata_Concentration_Unit"),
        pl.lit(100).cast(pl.Int64).alias("Metadata_Object_Count"),
    )
    return pl.concat([described, features], how="horizontal")


def test_replicates_are_scored() -> None:
    agreement, null, score = replicate_agreement(profiles())
    assert score.select("score", "baseline").rows() == [("replicates_reproducible", "none")]
    assert 0.8 < score["value"][0] <= 1.0
    assert score.select("n", "n_total", "is_headline").rows() == [(7, 7, False)]
    assert agreement["is_reproducible"].mean() == score["value"][0]
    assert agreement["n_replicates"].unique().to_list() == null["n_replicates"].unique().to_list() == [4]
    assert agreement["threshold"][0] == pytest.approx(null["median_similarity"].quantile(0.95, "linear"))
