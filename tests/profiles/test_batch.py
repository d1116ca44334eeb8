"""Batch correction: what must come together, and what must stay."""

from __future__ import annotations

import sys

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import DataError, MissingExtraError, SchemaError, UnknownNameError, UsageError
from phenoprint.evaluation.mixing import batch_mixing
from phenoprint.profiles import correct_batch, correct_batch_with_status
from phenoprint.profiles.effects import corrected
from phenoprint.tables import feature_columns

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


def test_harmony_mixes_batches(capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("harmonypy")
    data = batches(shift=3.0).with_columns(pl.col(FEATURES).cast(pl.Float32))
    result = correct_batch(data, n_clusters=6)
    assert result.schema == data.schema
    assert result.select("Metadata_Batch", "Metadata_kind").equals(data.select("Metadata_Batch", "Metadata_kind"))
    assert spread_of_batches(result) < 0.5 * spread_of_batches(data)
    assert correct_batch(data, n_clusters=6, seed=0).equals(result)
    assert not correct_batch(data, n_clusters=6, seed=1).equals(result)
    default = correct_batch(data)
    assert spread_of_batches(default) < spread_of_batches(data)
    assert batch_mixing(default).mixing > batch_mixing(data).mixing + 0.1
    assert capfd.readouterr() == ("", "")


def test_harmony_distinguishes_profiles_from_features() -> None:
    """As many profiles as features: the batches of rows must not be taken for those of columns."""
    pytest.importorskip("harmonypy")
    rng = np.random.default_rng(0)
    names = [f"F{i}" for i in range(60)]
    values = rng.normal(size=(60, 60)) + np.repeat([0.0, 3.0], 30)[:, None]
    data = pl.DataFrame(values, schema=names).with_columns(Metadata_Batch=pl.Series(["a"] * 30 + ["b"] * 30))
    result = correct_batch(data, n_clusters=2)
    gap = result.group_by("Metadata_Batch").agg(pl.col(names).mean()).select(pl.col(names).max() - pl.col(names).min())
    assert np.mean(gap.row(0)) < 2  # 3 before
    same = [np.corrcoef(result[:30][name].to_numpy(), data[:30][name].to_numpy())[0, 1] for name in names]
    assert np.mean(same) > 0.5


def test_harmony_continues_and_reports() -> None:
    """Wells without cells stay empty; a feature with gaps is NULL and reported, and so are too few rounds."""
    pytest.importorskip("harmonypy")
    row = pl.int_range(pl.len())
    data = batches(shift=3.0).with_columns(pl.when(row != 5).then(pl.col(FEATURES)))
    holes = data.with_columns(F3=pl.when(row > 11).then(pl.col("F3")), F4=pl.lit(None, dtype=pl.Float64))
    with pytest.raises(SchemaError, match=r"1 have missing values.*F3"):
        correct_batch(holes)
    done = correct_batch_with_status(holes, n_clusters=6, max_iterations=1)
    said = {row["feature"]: row["status"] for row in done.status.to_dicts()}
    assert said["F3"] == "missing_values"
    assert said["F4"] == "all_null"
    assert said[""] == "not_converged"
    assert "" not in set(correct_batch_with_status(data, n_clusters=6).status["feature"])
    assert done.frame.select(FEATURES).null_count().row(0) == (1, 1, 1, 180, 180, 1, 1, 1)
    assert done.parameters["n_clusters"] == 6
    assert done.arrays["clusters"].shape == (179, 6)
    few = data.filter(row < 70).drop_nulls("F0")
    assert correct_batch_with_status(few).parameters["n_clusters"] == 34
    for wrong in (data.filter(row.is_in([0, 1, 100])), data.with_columns(pl.col(FEATURES) * (row != 7))):
        with pytest.raises(DataError, match="Harmony"):
            correct_batch(wrong)
    with pytest.raises(UsageError, match="n_clusters"):
        correct_batch(data, n_clusters=0)


def test_harmony_needs_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "harmonypy", None)
    with pytest.raises(MissingExtraError, match=r"phenoprint\[harmony\]"):
        correct_batch(batches())


@pytest.mark.parametrize("method", ["center", "standardize", "combat"])
def test_what_was_fitted_can_be_read(method: str) -> None:
    """The arrays suffice to correct again, the effects show that batches explain nothing any more."""
    data = batches()
    done = correct_batch_with_status(data, method)
    assert done.frame.equals(correct_batch(data, method))
    assert done.parameters["method"] == method
    assert done.parameters["batches"] == ["b0", "b1", "b2"]
    assert set(done.status["status"]) == {"ok"}
    assert done.status.filter(feature="F1")["value"].item() == done.effects.filter(feature="F1")["effect_before"].item()
    assert done.effects["effect_before"].min() > 0.2  # type: ignore[operator]
    assert done.effects["effect_after"].max() < 0.02  # type: ignore[operator]
    fitted = done.arrays
    own = data.filter(Metadata_Batch="b1")["F2"].to_numpy()
    if method == "combat":
        unit = (own - fitted["grand_mean"][2]) / fitted["sd"][2]
        again = (unit - fitted["location"][1, 2]) / np.sqrt(fitted["scale"][1, 2]) * fitted["sd"][2]
        again += fitted["grand_mean"][2]
    else:
        ratio = fitted["target_spread"][2] / fitted["spread"][2, 1] if method == "standardize" else 1
        again = (own - fitted["center"][2, 1]) * ratio + fitted["target_center"][2]
    np.testing.assert_allclose(done.frame.filter(Metadata_Batch="b1")["F2"].to_numpy(), again)


def test_sphering_and_tvn_keep_what_they_fitted() -> None:
    for method in ("sphering", "tvn"):
        done = correct_batch_with_status(batches(), method)
        assert done.arrays["0/center"].shape == (8,)
        assert {"correct", "normalize"} <= set(done.status["step"])
        assert done.frame.equals(correct_batch(batches(), method))


def test_a_correction_that_makes_it_worse_is_reported() -> None:
    done = corrected(
        pl.DataFrame({"a": [1.0], "b": [1.0], "c": [1.0]}),
        ["a", "b", "c"],
        "none",
        np.array([0.1, -0.2, np.nan]),
        np.array([0.3, 0.005, 0.5]),
        what="batch",
        parameters={},
        arrays={},
    )
    assert done.status["status"].to_list() == ["worse", "ok", "ok"]
    assert done.status["reason"][0] == "batch explained 0.100 of the variance, 0.300 after"


@pytest.mark.parametrize("method", ["center", "standardize", "combat"])
def test_a_feature_that_one_batch_lacks(method: str) -> None:
    """It is NULL there and reported, and the other batches are corrected as if that batch were not there."""
    here = pl.col("Metadata_Batch") == "b1"
    data = batches().with_columns(F3=pl.when(~here).then(pl.col("F3")))
    done = correct_batch_with_status(data, method, **({"shrink": False} if method == "combat" else {}))
    assert done.frame.filter(here)["F3"].null_count() == 60
    assert done.status.filter(feature="F3")["status"].to_list() == ["all_null"]
    assert "Metadata_Batch=b1" in done.status.filter(feature="F3")["reason"].item()
    without = correct_batch(data.filter(~here), method, **({"shrink": False} if method == "combat" else {}))
    np.testing.assert_allclose(done.frame.filter(~here)["F3"].to_numpy(), without["F3"].to_numpy(), rtol=1e-9)


def test_missing_values() -> None:
    holes = batches().with_columns(F3=pl.when(pl.int_range(pl.len()) > 11).then(pl.col("F3")))
    assert correct_batch(holes, "center")["F3"].null_count() == 12
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
