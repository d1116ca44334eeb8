"""Normal scores and percentiles against scipy."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from phenoprint.profiles import fit_normalization, normalize, normalize_with_status


def plates(seed: int = 0, n: int = 40) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "Metadata_Plate": ["p0"] * n + ["p1"] * n,
            "Metadata_pert_type": (["negcon"] * 12 + ["trt"] * (n - 12)) * 2,
            "x": rng.normal(size=2 * n),
            "y": rng.integers(0, 6, 2 * n).astype(float),  # ties
        }
    )


def blom(values: np.ndarray) -> np.ndarray:
    return stats.norm.ppf((stats.rankdata(values) - 3 / 8) / (len(values) + 1 / 4))


@pytest.mark.parametrize("method", ["rank", "inverse_normal"])
def test_normal_scores_are_bloms(method: str) -> None:
    data = plates()
    ours = normalize(data, method)
    for plate in ("p0", "p1"):
        before, after = data.filter(Metadata_Plate=plate), ours.filter(Metadata_Plate=plate)
        for name in ("x", "y"):
            np.testing.assert_allclose(after[name].to_numpy(), blom(before[name].to_numpy()), atol=1e-12)


def test_percentiles_are_scipys() -> None:
    data = plates()
    controls = pl.col("Metadata_pert_type") == "negcon"
    ours = normalize(data, "percentile", by=[], reference=controls)
    for name in ("x", "y"):
        reference = data.filter(controls)[name].to_numpy()
        expected = [stats.percentileofscore(reference, value, kind="mean") for value in data[name].to_list()]
        np.testing.assert_allclose(ours[name].to_numpy(), expected, atol=1e-12)
    assert ours["x"].min() >= 0  # type: ignore[operator]
    assert ours["x"].max() <= 100  # type: ignore[operator]


def test_missing_values_and_flat_features() -> None:
    data = pl.DataFrame({"x": [3.0, None, 1.0, float("nan"), 2.0], "flat": [1.0] * 5})
    result, status = normalize_with_status(data, "rank", by=[])
    np.testing.assert_allclose(result["x"].drop_nulls().to_numpy(), blom(np.array([3.0, 1.0, 2.0])))
    assert result["x"].null_count() == 2
    assert result["flat"].null_count() == 5
    assert status.select("feature", "status").rows() == [("x", "ok"), ("flat", "zero_range"), ("x", "nan_input")]
    assert "ranked among 3 reference values" in status["reason"][0]


@given(arrays(np.float64, (15,), elements=st.floats(-1e6, 1e6), unique=True))
@settings(max_examples=50, deadline=None)
def test_order_stays_and_monotone_maps_change_nothing(values: np.ndarray) -> None:
    frame = pl.DataFrame({"x": values})
    scores = normalize(frame, "rank", by=[])["x"].to_numpy()
    assert (np.argsort(scores) == np.argsort(values)).all()
    doubled = normalize(pl.DataFrame({"x": values * 2}), "rank", by=[])["x"].to_numpy()
    np.testing.assert_array_equal(scores, doubled)
    np.testing.assert_allclose(scores + scores[::-1] * 0, scores)
    assert abs(scores.sum()) < 1e-9


def test_fitted_ranks_apply_to_wells_that_came_later() -> None:
    fitted = fit_normalization(pl.DataFrame({"x": [1.0, 2.0, 3.0, 4.0]}), "percentile", by=[])
    later = fitted.apply(pl.DataFrame({"x": [0.0, 2.0, 2.5, 9.0]}))
    assert later["x"].to_list() == [0.0, 37.5, 50.0, 100.0]


def test_raw_mad_by_hand() -> None:
    frame = pl.DataFrame({"x": [1.0, 2.0, 3.0, 5.0, 9.0]})  # median 3, MAD 2
    raw = normalize(frame, by=[], raw=True, floor=0)["x"].to_list()
    assert raw == [-1.0, -0.5, 0.0, 1.0, 3.0]
    scaled = normalize(frame, by=[], floor=0)["x"].to_numpy()
    np.testing.assert_allclose(scaled * 1.4826, raw)
