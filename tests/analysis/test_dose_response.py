"""Hill fits: recovered parameters, intervals that cover, and data without a curve."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phenoprint.analysis import dose_curves, fit_hill, hill_response
from phenoprint.errors import UsageError

DOSES = np.repeat(250 / 2.0 ** np.arange(9), 4)


def hill(dose: np.ndarray, bottom: float, top: float, ec50: float, slope: float) -> np.ndarray:
    """The curve in another form than the one that is fitted."""
    return bottom + (top - bottom) * dose**slope / (ec50**slope + dose**slope)


@given(
    st.floats(3, 80),
    st.floats(0.7, 4),
    st.floats(-100, 100),
    st.floats(0.1, 50),
    st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_recovers_noise_free_curves(ec50: float, slope: float, bottom: float, height: float, falls: bool) -> None:
    top = bottom - height if falls else bottom + height
    doses = np.append(DOSES, [0.0, 0.0])
    fit = fit_hill(doses, hill(doses, bottom, top, ec50, slope))
    assert fit.status == "ok", fit
    assert fit.ec50 == pytest.approx(ec50, rel=1e-3)
    assert fit.slope == pytest.approx(slope, rel=1e-3)
    assert fit.bottom == pytest.approx(bottom, abs=2e-3 * height)
    assert fit.top == pytest.approx(top, abs=2e-3 * height)
    assert fit.r2 == pytest.approx(1, abs=1e-6)
    ours = hill_response(doses, bottom=fit.bottom, top=fit.top, ec50=fit.ec50, slope=fit.slope)
    np.testing.assert_allclose(ours, hill(doses, bottom, top, ec50, slope), atol=1e-3 * height)


def test_agrees_with_scipys_curve_fit() -> None:
    from scipy.optimize import curve_fit
    from scipy.stats import t

    rng = np.random.default_rng(0)
    y = hill(DOSES, 1.0, 5.0, 20.0, 1.3) + rng.normal(0, 0.3, len(DOSES))
    fit = fit_hill(DOSES, y)
    (bottom, top, log_ec50, log_slope), covariance = curve_fit(
        lambda x, b, t, e, s: hill(x, b, t, np.exp(e), np.exp(s)), DOSES, y, p0=[0, 4, np.log(10), 0]
    )
    half = t.ppf(0.975, len(y) - 4) * np.sqrt(np.diag(covariance))
    assert fit.ec50 == pytest.approx(np.exp(log_ec50), rel=1e-4)
    assert (fit.bottom, fit.top, fit.slope) == pytest.approx((bottom, top, np.exp(log_slope)), rel=1e-3)
    assert (fit.ec50_low, fit.ec50_high) == pytest.approx(
        (np.exp(log_ec50 - half[2]), np.exp(log_ec50 + half[2])), rel=2e-3
    )
    assert (fit.top_low, fit.top_high) == pytest.approx((top - half[1], top + half[1]), rel=2e-3)


def test_intervals_cover() -> None:
    rng = np.random.default_rng(1)
    fits = [fit_hill(DOSES, hill(DOSES, 0.0, 1.0, 15.0, 1.5) + rng.normal(0, 0.1, len(DOSES))) for _ in range(60)]
    covered = np.mean([fit.ec50_low <= 15.0 <= fit.ec50_high for fit in fits])
    assert covered > 0.95 - 3 * np.sqrt(0.95 * 0.05 / 60)
    assert all(fit.ec50_high / fit.ec50_low < 3 for fit in fits)


def test_no_response_is_said_at_its_rate() -> None:
    rng = np.random.default_rng(2)
    statuses = [fit_hill(DOSES, rng.normal(size=len(DOSES))).status for _ in range(60)]
    assert statuses.count("no_response") > 48
    assert fit_hill(DOSES, np.ones(len(DOSES))).status == "no_response"


def test_data_without_a_curve() -> None:
    few = fit_hill([1, 2, 3, 0, 0], [1, 2, 3, 1, 1])
    assert few.status == "too_few_doses"
    assert np.isnan(few.ec50)
    assert "3 doses above 0" in few.reason
    outside = fit_hill(DOSES, hill(DOSES, 0.0, 1.0, 5e4, 1.0) + 1e-4 * np.sin(np.arange(len(DOSES))))
    assert outside.status == "extrapolated"
    with_gaps = fit_hill(np.append(DOSES, np.nan), np.append(hill(DOSES, 0, 1, 20, 1), 5))
    assert with_gaps.n == len(DOSES)
    with pytest.raises(UsageError, match="one response per dose; found 36 doses and 2"):
        fit_hill(DOSES, [1, 2])
    with pytest.raises(UsageError, match="0 or above"):
        fit_hill([-1, 1, 2, 3, 4], [1, 2, 3, 4, 5])
    with pytest.raises(UsageError, match="level"):
        fit_hill(DOSES, DOSES, level=95)


def test_scale_of_dose_and_response_does_not_matter() -> None:
    rng = np.random.default_rng(3)
    y = hill(DOSES, 1.0, 2.0, 20.0, 1.0) + rng.normal(0, 0.05, len(DOSES))
    base, moved = fit_hill(DOSES, y), fit_hill(DOSES * 1e-9, y * 1e6 + 1e7)
    assert moved.ec50 == pytest.approx(base.ec50 * 1e-9, rel=1e-3)
    assert moved.top == pytest.approx(base.top * 1e6 + 1e7, rel=1e-4)
    assert moved.r2 == pytest.approx(base.r2, abs=1e-6)


def test_dose_curve_finds_its_middle_and_leaves_controls_out() -> None:
    doses = np.repeat([0.1, 0.3, 1.0, 3.0, 10.0, 30.0], 3)
    wells = pl.DataFrame(
        {
            "Metadata_Plate": "P",
            "Metadata_Well": [f"A{i + 1:02d}" for i in range(18)] + ["B01"],
            "Metadata_compound": "drug",
            "Metadata_Concentration": [*doses, 500.0],
            "Metadata_Concentration_Unit": "uM",
            "Metadata_pert_type": ["trt"] * 18 + ["poscon"],
        }
    )
    response = np.append(2 * doses / (doses + 2.0), 50.0) + np.random.default_rng(0).normal(0, 0.01, 19)
    values = wells.select("Metadata_Plate", "Metadata_Well").with_columns(
        pl.lit("ratio").alias("readout"), pl.Series("value", response)
    )
    curve = dose_curves(values, wells, ["ratio"]).row(0, named=True)
    assert curve["ec50"] == pytest.approx(2.0, rel=0.1)
    assert (curve["n_wells"], curve["n_doses"], curve["status"]) == (18, 6, "ok")
    assert dose_curves(values, wells, []).is_empty()
    few = dose_curves(values, wells.filter(pl.col("Metadata_Concentration") < 1), ["ratio"]).row(0, named=True)
    assert (few["status"], few["ec50"], few["r2"]) == ("too_few_doses", None, None)  # NULL: NaN is refused by the store
