"""Dose-response fits: against scipy on the same likelihood, coverage of intervals, hit calls, data without a curve."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from phenoprint.analysis import BENCHMARK, HIT_CALL, DoseFit, curve_band, curve_response, fit_dose_response
from phenoprint.analysis.dose_fit import Curve, control_summary, fit_many
from phenoprint.errors import UsageError

DOSES = np.repeat(10.0 ** np.linspace(-2, 2, 8), 2)


def hill(dose: np.ndarray, top: float, ec50: float, slope: float, bottom: float = 0.0) -> np.ndarray:
    """The curve in another form than the one that is fitted."""
    return bottom + (top - bottom) * dose**slope / (ec50**slope + dose**slope)


def bell(dose: np.ndarray, top: float, gain: float, loss: float) -> np.ndarray:
    return top / (1 + (gain / dose) ** 2) / (1 + (dose / loss) ** 2)


def fitted(response: np.ndarray, seed: int, *, doses: np.ndarray = DOSES, n_controls: int = 32) -> DoseFit:
    rng = np.random.default_rng(seed)
    return fit_dose_response(doses, response + rng.normal(size=len(doses)), rng.normal(size=n_controls))


def loss_of(doses: np.ndarray, y: np.ndarray, controls: np.ndarray, theta: np.ndarray) -> float:
    """Negative log likelihood as documented, of level, top, log EC50, log slope and log scale."""
    level, top, gain, slope, log_scale = theta
    mean, sd, n = control_summary(controls)
    residual = y - (level + (top - level) / (1 + np.exp(-np.exp(slope) * (np.log(doses) - gain))))
    scale, prior = np.exp(log_scale), np.log(sd * 0.8310)
    t = (2.5 * np.log1p((residual / scale) ** 2 / 4) + log_scale).sum()
    priors = ((log_scale - prior) / 0.5) ** 2 + 0.1 * (slope - np.log(1.5)) ** 2
    return float(t + 0.5 * priors + 0.5 * n * ((level - mean) / sd) ** 2)


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_parameters_and_interval_are_those_of_scipy_on_the_same_likelihood(seed: int) -> None:
    from scipy.optimize import minimize
    from scipy.stats import t

    rng = np.random.default_rng(seed)
    y, controls = hill(DOSES, 10.0, 1.0, 1.5) + rng.normal(size=len(DOSES)), rng.normal(size=24)
    fit = fit_dose_response(DOSES, y, controls)
    assert fit.model == "hill3"
    start = np.array([fit.bottom, fit.top, np.log(fit.ec50), np.log(fit.slope), np.log(fit.residual)])
    options = {"xatol": 1e-9, "fatol": 1e-11, "maxiter": 20_000, "maxfev": 20_000}
    best = minimize(lambda p: loss_of(DOSES, y, controls, p), start + 0.1, method="Nelder-Mead", options=options)
    np.testing.assert_allclose(start, best.x, atol=2e-3)
    # At both ends the likelihood, maximal over all other parameters, has fallen by the critical value, or by less
    # where another model reaches further.
    n = len(DOSES) + 2
    critical = n * np.log1p(t.ppf(0.975, n - 4) ** 2 / (n - 4))
    for end in (fit.ec50_low, fit.ec50_high):

        def held(p: np.ndarray, gain: float = float(np.log(end))) -> float:
            return loss_of(DOSES, y, controls, np.array([p[0], p[1], gain, p[2], p[3]]))

        profile = minimize(held, np.delete(best.x, 2), method="Nelder-Mead", options=options)
        assert 2 * (profile.fun - best.fun) > 0.97 * critical


@pytest.mark.parametrize(("kind", "truth"), [("flat", np.nan), ("step", 1.0), ("hill", 1.0), ("bell", np.nan)], ids=str)
def test_intervals_cover(kind: str, truth: float) -> None:
    """A small version of `tests/benchmarks/doses.py`."""
    grid = 10.0 ** np.linspace(-4, 4, 20_001)
    shapes = {
        "flat": lambda x: 0 * x,
        "step": lambda x: 8.0 * (x >= truth),
        "hill": lambda x: hill(x, 8.0, truth, 1.2),
        "bell": lambda x: bell(x, 9.0, 0.3, 20.0),
    }
    true = shapes[kind](grid)
    rising = slice(0, int(np.argmax(true)) + 1)
    ec50 = grid[rising][true[rising] <= true.max() / 2][-1]
    bmd = grid[rising][true[rising] <= BENCHMARK][-1]
    n = 60
    rng = np.random.default_rng(5)
    fits = fit_many(
        [
            Curve(DOSES, shapes[kind](DOSES) + rng.normal(size=len(DOSES)), control_summary(rng.normal(size=32)))
            for _ in range(n)
        ]
    )
    hits = np.mean([fit.hit_call >= HIT_CALL for fit in fits])
    if kind == "flat":
        assert hits <= 0.05
        assert np.mean([fit.status == "no_response" for fit in fits]) >= 0.9
        return
    assert hits >= 0.95
    if kind == "bell":
        assert sum(fit.model == "gain_loss" for fit in fits) > 0.9 * n

    def covered(name: str, value: float) -> float:
        ends = [(getattr(fit, f"{name}_low"), getattr(fit, f"{name}_high")) for fit in fits]
        return float(np.mean([not low > value and not high < value for low, high in ends]))

    least = 0.95 - 2.6 * np.sqrt(0.95 * 0.05 / n)
    assert covered("ec50", ec50) > least
    assert covered("bmd", bmd) > least
    widths = [np.log10(fit.ec50_high / fit.ec50_low) for fit in fits]
    assert np.nanmedian(widths) < 1.2


def test_one_bad_well_moves_little() -> None:
    rng = np.random.default_rng(0)
    y, controls = hill(DOSES, 10.0, 1.0, 1.5) + rng.normal(size=len(DOSES)), rng.normal(size=32)
    spoiled = y.copy()
    spoiled[3] += 30
    good, bad = fit_dose_response(DOSES, y, controls), fit_dose_response(DOSES, spoiled, controls)
    assert abs(np.log(bad.ec50 / good.ec50)) < 0.3
    assert (bad.status, bad.model) == ("ok", good.model)
    alone = rng.normal(size=8)
    alone[4] = 15  # a single well of a single dose is no response
    assert fit_dose_response(DOSES[::2], alone, controls).hit_call < HIT_CALL


def test_beyond_the_doses_there_are_bounds_and_no_numbers() -> None:
    late = fitted(hill(DOSES, 60.0, 400.0, 1.5), 1)
    assert (late.status, late.bmd_status) == ("above_highest_dose", "ok")
    assert np.isnan(late.ec50)
    assert np.isnan(late.ec50_high)
    assert 1 < late.ec50_low <= 100
    assert "above" in late.reason
    early = fitted(hill(DOSES, 10.0, 1e-4, 1.5), 2)
    assert (early.status, early.bmd_status) == ("below_lowest_dose", "below_lowest_dose")
    assert np.isnan([early.ec50, early.ec50_low, early.bmd, early.bmd_low]).all()
    assert 0.01 <= early.ec50_high < 1


def test_weak_responses_are_uncertain() -> None:
    calls = [fitted(hill(DOSES, 2.2, 3.0, 2.0), seed) for seed in range(12)]
    assert {"ok", "uncertain", "no_response"} & {fit.status for fit in calls}
    assert all((fit.status == "no_response") == (fit.hit_call < 0.5) or np.isnan(fit.ec50) for fit in calls)
    flat = fitted(0 * DOSES, 3)
    assert (flat.status, flat.model) == ("no_response", "constant")
    assert np.isnan([flat.ec50, flat.bmd, flat.top]).all()


def test_a_curve_from_a_level_of_its_own() -> None:
    doses = np.repeat(DOSES, 2)
    fit = fitted(hill(doses, 14.0, 1.0, 2.0, bottom=2.5), 4, doses=doses)
    assert fit.model == "hill4"
    assert fit.bottom == pytest.approx(2.5, abs=1)
    # Where the curve leaves its own level, not that of the controls.
    true_bmd = (BENCHMARK / (11.5 - BENCHMARK)) ** 0.5
    assert fit.bmd_low < true_bmd < fit.bmd_high
    assert fit.peak == pytest.approx(11.5, abs=1.5)


def test_data_without_a_curve() -> None:
    controls = np.random.default_rng(0).normal(size=8)
    few = fit_dose_response([1, 2, 3, 0, 0], [1, 2, 3, 1, 1], controls)
    assert (few.status, few.n_doses) == ("too_few_doses", 3)
    assert np.isnan([few.ec50, few.bmd, few.hit_call]).all()
    assert fit_dose_response(DOSES, DOSES, [0.0, 1.0]).status == "no_controls"
    assert fit_dose_response(DOSES, DOSES, [1.0] * 8).status == "constant_controls"
    assert fit_dose_response(DOSES, np.ones(len(DOSES)), controls).status == "constant_response"
    with_gaps = fit_dose_response([*DOSES, np.nan, 1.0], [*hill(DOSES, 9, 1, 1), 5, np.nan], controls)
    assert with_gaps.n_wells == len(DOSES)
    with pytest.raises(UsageError, match="one response per dose; found 16 doses and 2"):
        fit_dose_response(DOSES, [1, 2], controls)
    with pytest.raises(UsageError, match="0 or above"):
        fit_dose_response([-1, 1, 2, 3, 4], [1, 2, 3, 4, 5], controls)
    with pytest.raises(UsageError, match="level"):
        fit_dose_response(DOSES, DOSES, controls, level=95)
    with pytest.raises(UsageError, match="benchmark"):
        fit_dose_response(DOSES, DOSES, controls, benchmark=0)


def test_units_of_dose_and_response_and_the_order_of_wells_do_not_matter() -> None:
    rng = np.random.default_rng(3)
    y, controls = hill(DOSES, 10.0, 1.0, 1.5) + rng.normal(size=len(DOSES)), rng.normal(size=32)
    base, moved = (
        fit_dose_response(DOSES, y, controls),
        fit_dose_response(DOSES * 1e-9, y * 1e6 + 1e7, controls * 1e6 + 1e7),
    )
    assert moved.ec50 == pytest.approx(base.ec50 * 1e-9, rel=1e-4)
    assert moved.bmd_high == pytest.approx(base.bmd_high * 1e-9, rel=2e-2)
    assert moved.top == pytest.approx(base.top * 1e6 + 1e7, rel=1e-5)
    order = rng.permutation(len(DOSES))
    shuffled = fit_dose_response(DOSES[order], y[order], controls)
    for field in dataclasses.fields(base):
        before, after = getattr(base, field.name), getattr(shuffled, field.name)
        assert before == after or before == pytest.approx(after, rel=1e-2, nan_ok=True), field.name
    with_zero = fit_dose_response([*DOSES, 0, 0], [*y, 0.3, -0.3], controls)
    assert with_zero.n_wells == len(DOSES) + 2
    assert abs(np.log(with_zero.ec50 / base.ec50)) < 0.7


def test_bands_hold_the_curve() -> None:
    inside = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        y = hill(DOSES, 10.0, 1.0, 1.5) + rng.normal(size=len(DOSES))
        fit = fit_dose_response(DOSES, y, rng.normal(size=32))
        points = np.array([0.1, 1.0, 10.0])
        middle, low, high = curve_band(points, vars(fit), DOSES, y)
        shape = {
            name: getattr(fit, name) for name in ("bottom", "top", "gain_dose", "slope", "loss_dose", "loss_slope")
        }
        np.testing.assert_allclose(middle, curve_response(points, model=fit.model, **shape))
        inside.append((low < hill(points, 10, 1, 1.5)) & (hill(points, 10, 1, 1.5) < high))
    assert 0.8 <= np.mean(inside) < 1
