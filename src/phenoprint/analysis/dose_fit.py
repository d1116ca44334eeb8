"""Fits of dose-response curves: models, intervals by profile likelihood, a continuous hit call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from phenoprint.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["BENCHMARK", "HIT_CALL", "DoseFit", "curve_response", "fit_dose_response", "fit_many"]

BENCHMARK: Final = 1.349
"""Benchmark response in standard deviations of the controls: 10 % more of the treated than of the controls lie beyond
the 98.5th percentile of the controls (Crump, Risk Anal 15:79, 1995), as in tcplfit2 and the EPA's BMDS."""

HIT_CALL: Final = 0.9
"""Hit call from which a curve counts as a response, as in ToxCast."""

LEAST_DOSES: Final = 4
LEAST_CONTROLS: Final = 3
T_SCALE: Final = 0.8310
"""Scale of Student's t with 4 degrees of freedom fitted to normal values, in their standard deviations."""
MODELS: Final = ("constant", "hill3", "hill4", "gain_loss")
_NAN = float("nan")
# Fitted parameters of the mean, by model, for the degrees of freedom of the intervals.
_MEAN_PARAMETERS = (1, 4, 5, 6)
# Hit call below which a curve has no numbers.
_NO_CALL = 0.5


@dataclass(frozen=True)
class DoseFit:
    """A fitted dose-response curve; numbers that do not exist are NaN.

    Attributes
    ----------
    model
        ``constant``; ``hill3`` (from the level of the controls); ``hill4`` (from a level of its own); ``gain_loss``
        (bell: a Hill gain times a Hill loss); empty without a fit. Chosen by AICc.
    ec50, ec50_low, ec50_high
        Dose of half the largest response, on the rising side, with the ends of its interval; an end that is NaN lies
        beyond the doses.
    bmd, bmd_low, bmd_high
        Benchmark dose, where the curve has left its level at the lowest doses by the benchmark response, with its
        interval. That level is the controls', but for ``hill4``.
    hit_call
        0 to 1; see `fit_dose_response`.
    peak
        Largest response of the curve, from its level at the lowest doses, with its sign.
    bottom, top, slope, gain_dose, loss_dose, loss_slope
        Parameters of the curve for `curve_response`: level at the lowest doses, plateau, Hill slopes, doses of half
        gain and half loss. They draw the curve; only `ec50` is an estimate.
    level, noise, residual
        Mean and standard deviation of the controls, and scale of the treated wells about the curve.
    r2
        Share of the variance of the treated wells that the curve explains.
    n_wells, n_doses, n_controls
        Treated wells, doses above 0, controls.
    status, bmd_status
        ``ok``; ``uncertain`` (hit call from 0.5 to 0.9); ``no_response``; ``above_highest_dose``,
        ``below_lowest_dose`` (a bound and no number); ``too_few_doses``, ``no_controls``, ``constant_controls``,
        ``constant_response`` (no fit). `status` is about the EC50, `bmd_status` about the benchmark dose.
    reason
        Why, in a sentence; empty where there is nothing to add.
    """

    status: str
    bmd_status: str
    reason: str = ""
    model: str = ""
    ec50: float = _NAN
    ec50_low: float = _NAN
    ec50_high: float = _NAN
    bmd: float = _NAN
    bmd_low: float = _NAN
    bmd_high: float = _NAN
    hit_call: float = _NAN
    peak: float = _NAN
    bottom: float = _NAN
    top: float = _NAN
    slope: float = _NAN
    gain_dose: float = _NAN
    loss_dose: float = _NAN
    loss_slope: float = _NAN
    level: float = _NAN
    noise: float = _NAN
    residual: float = _NAN
    r2: float = _NAN
    n_wells: int = 0
    n_doses: int = 0
    n_controls: int = 0


@dataclass(frozen=True)
class Curve:
    """Data of one curve: doses (0 or above) and responses of the wells, and the controls' mean, SD and number."""

    dose: Floats
    response: Floats
    controls: tuple[float, float, int]


def fit_dose_response(
    dose: ArrayLike, response: ArrayLike, controls: ArrayLike, *, level: float = 0.95, benchmark: float = BENCHMARK
) -> DoseFit:
    """Fit a dose-response curve beside the negative controls.

    Parameters
    ----------
    dose
        Shape (wells,), 0 or above, any unit. Wells at dose 0 are at the level of the controls.
    response
        Shape (wells,). Pairs with NaN are left out.
    controls
        Responses of the negative controls, shape (controls,).
    level
        Of the intervals.
    benchmark
        Benchmark response in standard deviations of the controls.

    Returns
    -------
    DoseFit
        Data without a curve are no error; `status` and `reason` describe them.

    Raises
    ------
    UsageError
        For shapes that differ, negative doses, or a level outside 0 to 1.

    Notes
    -----
    Treated wells have errors of Student's t with 4 degrees of freedom, as in tcpl, so that one bad well moves a curve
    little. Their scale has a normal prior on its logarithm about that of the controls (SD 0.5), so that few wells can
    be judged; weak priors hold the slope near 1.5 and the offset of ``hill4`` near 0. The controls enter by mean and
    standard deviation; their uncertainty is part of the likelihood, also for the benchmark response.

    Candidates are a constant, Hill curves from the level of the controls or from a level of their own, and a gain-loss
    curve. The one with the smallest AICc is chosen. Intervals are by profile likelihood over all candidates within
    reach: an end is where the smallest AICc of any candidate rises by the critical value of the t distribution over the
    smallest of all, so that they hold the uncertainty about the model. Measured coverage: `tests/benchmarks/doses.py`.

    The hit call follows Sheffield et al. (tcplfit2, Bioinformatics 38:1157, 2022): the product of the AICc weight of
    the curve against the constant, the probability that the median of some dose lies beyond the benchmark response,
    and the probability that the curve's largest response does. The second also demands two wells beyond it, so
    that one bad well is no hit.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> dose = np.repeat([0.1, 0.3, 1, 3, 10, 30, 100], 3)
    >>> fit = fit_dose_response(dose, 10 / (1 + 5 / dose) + rng.normal(size=21), rng.normal(size=16))
    >>> fit.status, fit.model, fit.ec50_low < 5 < fit.ec50_high, round(fit.hit_call, 2)
    ('ok', 'hill3', True, 1.0)
    """
    x, y = np.asarray(dose, dtype=np.float64).ravel(), np.asarray(response, dtype=np.float64).ravel()
    if x.shape != y.shape:
        raise UsageError(f"expected one response per dose; found {len(x)} doses and {len(y)} responses")
    there = np.isfinite(x) & np.isfinite(y)
    x, y = x[there], y[there]
    if (x < 0).any():
        raise UsageError(f"doses must be 0 or above; found {x.min()}")
    return fit_many([Curve(x, y, control_summary(controls))], level=level, benchmark=benchmark)[0]


def control_summary(controls: ArrayLike, *, n_lost: int = 1) -> tuple[float, float, int]:
    """Return mean, standard deviation and number of the controls, with values beyond three robust spreads pulled in.

    Parameters
    ----------
    controls
        Values, shape (controls,); NaN is left out.
    n_lost
        Degrees of freedom that their centre cost: the number of plates whose centre was subtracted.

    Examples
    --------
    >>> control_summary([1.0, 2.0, 3.0])
    (2.0, 1.0, 3)
    """
    values = np.asarray(controls, dtype=np.float64).ravel()
    values = values[np.isfinite(values)]
    if len(values) < LEAST_CONTROLS:
        return _NAN, _NAN, len(values)
    if len(values) >= 8:  # a spread of fewer is too uncertain to call a value wild
        middle = np.median(values)
        reach = 3 * 1.4826 * np.median(np.abs(values - middle))
        if reach > 0:
            values = np.clip(values, middle - reach, middle + reach)
    squares = float(((values - values.mean()) ** 2).sum())
    freedom = max(len(values) - n_lost, 1)
    return float(values.mean()), float(np.sqrt(squares / freedom)), len(values)


def fit_many(curves: Sequence[Curve], *, level: float = 0.95, benchmark: float = BENCHMARK) -> list[DoseFit]:
    """Fit many curves in compiled code; see `fit_dose_response`.

    Raises
    ------
    UsageError
        For a level or a benchmark response that is not possible.
    """
    if not 0 < level < 1:
        raise UsageError(f"level must lie between 0 and 1; found {level}")
    if not benchmark > 0:
        raise UsageError(f"the benchmark response must be above 0; found {benchmark}")
    found: list[DoseFit | None] = [_unfit(curve) for curve in curves]
    fitted = [i for i, fit in enumerate(found) if fit is None]
    if fitted:
        for i, fit in zip(fitted, _compiled([curves[i] for i in fitted], level, benchmark), strict=True):
            found[i] = fit
    return [fit for fit in found if fit is not None]


def curve_response(
    dose: ArrayLike,
    *,
    model: str,
    bottom: float,
    top: float,
    gain_dose: float,
    slope: float,
    loss_dose: float = _NAN,
    loss_slope: float = _NAN,
) -> Floats:
    """Evaluate a fitted curve.

    Parameters
    ----------
    dose
        Doses of any shape, 0 or above, in the unit of `gain_dose`; dose 0 gives `bottom`.
    model, bottom, top, gain_dose, slope, loss_dose, loss_slope
        As in `DoseFit`; a constant needs `bottom` only.

    Returns
    -------
    numpy.ndarray
        Responses, of the shape of `dose`.

    Notes
    -----
    Hill, J Physiol 40:iv, 1910. The gain-loss curve is that of tcpl (Filer et al., Bioinformatics 33:618, 2017).

    Examples
    --------
    >>> curve_response([0.0, 20.0], model="hill3", bottom=1.0, top=5.0, gain_dose=20.0, slope=1.5).tolist()
    [1.0, 3.0]
    """
    x = np.asarray(dose, dtype=np.float64)
    if model == "constant":
        return np.full(x.shape, bottom)
    with np.errstate(divide="ignore", over="ignore"):
        share = 1 / (1 + (gain_dose / x) ** slope)
        if model == "gain_loss":
            share = share / (1 + (x / loss_dose) ** loss_slope)
    values: Floats = bottom + (top - bottom) * share
    return values


def critical_rise(n_wells: ArrayLike, model: str, *, level: float = 0.95) -> Floats:
    """Return how much twice the loss may rise within an interval, by Student's t for the treated wells there are."""
    from scipy.stats import t

    n = np.asarray(n_wells, dtype=np.float64) + 2  # two observations for the prior on the scale
    freedom = np.maximum(n - _MEAN_PARAMETERS[MODELS.index(model)], 1)
    rise: Floats = n * np.log1p(t.ppf(0.5 + level / 2, freedom) ** 2 / freedom)
    return rise


def _unfit(curve: Curve) -> DoseFit | None:
    """Return the status of data that cannot be fitted; None where they can."""
    doses = curve.dose[curve.dose > 0]
    n_doses, n_controls = len(np.unique(doses)), curve.controls[2]
    counts: dict[str, Any] = {"n_wells": len(curve.dose), "n_doses": n_doses, "n_controls": n_controls}
    if n_doses < LEAST_DOSES:
        reason = f"{n_doses} doses above 0 with a value; {LEAST_DOSES} are needed"
        return DoseFit("too_few_doses", "too_few_doses", reason, **counts)
    if n_controls < LEAST_CONTROLS:
        reason = f"{n_controls} negative controls with a value on the plates of the compound; {LEAST_CONTROLS} needed"
        return DoseFit("no_controls", "no_controls", reason, **counts)
    if np.ptp(curve.response) == 0:
        return DoseFit("constant_response", "constant_response", "every well has the same response", **counts)
    if not curve.controls[1] > 1e-9 * max(abs(curve.controls[0]), float(np.abs(curve.response).max())):
        return DoseFit("constant_controls", "constant_controls", "the negative controls do not vary", **counts)
    return None


def _compiled(curves: Sequence[Curve], level: float, benchmark: float) -> list[DoseFit]:
    from phenoprint.analysis.compiled_doses import fit_curves

    sizes = np.array([len(curve.dose) for curve in curves])
    starts = np.concatenate([[0], np.cumsum(sizes)])
    # Plain numbers of order one: neither the unit of the dose nor that of the response matters.
    scales = np.array([curve.controls[1] for curve in curves])
    shifts = np.array([curve.controls[0] for curve in curves])
    units = np.array([np.exp(np.log(curve.dose[curve.dose > 0]).mean()) for curve in curves])
    x = np.concatenate([_log(curve.dose / unit) for curve, unit in zip(curves, units, strict=True)])
    y = np.concatenate([(c.response - shift) / scale for c, shift, scale in zip(curves, shifts, scales, strict=True)])
    distinct = [np.unique(x[a:b][x[a:b] > -np.inf]) for a, b in pairwise(starts)]
    dose_starts = np.concatenate([[0], np.cumsum([len(own) for own in distinct])])
    controls = np.column_stack([np.zeros(len(curves)), np.ones(len(curves)), [c.controls[2] for c in curves]])
    critical = np.column_stack([critical_rise(sizes, model, level=level) for model in MODELS])
    out = np.full((len(curves), 23), np.nan)
    criteria = np.full((len(curves), 4), np.nan)
    fit_curves(starts, x, y, dose_starts, np.concatenate(distinct), controls, float(benchmark), critical, out, criteria)
    return [
        _as_fit(curve, row, x[a:b], unit)
        for curve, row, a, b, unit in zip(curves, out, starts[:-1], starts[1:], units, strict=True)
    ]


def _log(dose: Floats) -> Floats:
    """Natural logarithm, minus infinity at dose 0."""
    return np.log(dose, out=np.full(dose.shape, -np.inf), where=dose > 0)


def _as_fit(curve: Curve, row: Floats, log_dose: Floats, unit: float) -> DoseFit:
    """Turn a row of the compiled fit into doses and responses of the data."""
    chosen = int(row[0])
    shift, scale, n_controls = curve.controls
    c, offset, height, gain, slope, gap, loss_slope = row[15:22]
    low, high = float(log_dose[log_dose > -np.inf].min()), float(log_dose.max())
    n_doses = len(np.unique(log_dose[log_dose > -np.inf]))
    facts: dict[str, Any] = {
        "hit_call": float(row[1]) if chosen else 0.0,
        "level": shift,
        "noise": scale,
        "residual": float(np.exp(row[12])) * scale,
        "n_wells": len(curve.dose),
        "n_doses": n_doses,
        "n_controls": n_controls,
    }
    if not chosen:
        reason = f"a constant fits best (hit call {row[1]:.2g})"
        level = float(shift + row[15] * scale)
        return DoseFit("no_response", "no_response", reason, "constant", bottom=level, **facts)
    model = MODELS[chosen]
    bottom = float(shift + (c + offset) * scale)
    with np.errstate(over="ignore"):
        shape = {
            "bottom": bottom,
            "top": float(bottom + height * scale),
            "slope": float(np.exp(slope)),
            "gain_dose": float(np.exp(gain) * unit),
        }
        if model == "gain_loss":
            loss = {"loss_dose": float(np.exp(gain + np.exp(gap)) * unit), "loss_slope": float(np.exp(loss_slope))}
            shape |= loss
    curve_at = np.where(curve.dose > 0, curve_response(curve.dose, model=model, **shape), shift + c * scale)
    total = float(((curve.response - curve.response.mean()) ** 2).sum())
    facts |= shape
    facts["r2"] = 1 - float(((curve.response - curve_at) ** 2).sum()) / total
    facts["peak"] = float(row[11]) * scale
    if row[1] < _NO_CALL:
        reason = f"hit call {row[1]:.2g}, below {_NO_CALL}"
        return DoseFit("no_response", "no_response", reason, model, **facts)
    sure = "ok" if row[1] >= HIT_CALL else "uncertain"
    ec50, ec50_status, ec50_reason = _within("EC50", row[5:8], (low, high), unit, sure)
    bmd, bmd_status, bmd_reason = _within("benchmark dose", row[8:11], (low, high), unit, sure)
    reasons = [ec50_reason, bmd_reason]
    if sure != "ok":
        reasons.insert(0, f"hit call {row[1]:.2g}, below {HIT_CALL}")
    return DoseFit(
        ec50_status,
        bmd_status,
        "; ".join(reason for reason in reasons if reason),
        model,
        *ec50,
        *bmd,
        **facts,
    )


def _within(
    name: str, found: Floats, limits: tuple[float, float], unit: float, sure: str
) -> tuple[tuple[float, float, float], str, str]:
    """Return estimate and ends of a dose, none beyond the doses given, with status and reason."""
    estimate, low, high = (float(value) for value in found)
    lowest, highest = limits
    ends = (
        float(np.exp(min(low, highest)) * unit) if low > lowest else _NAN,
        float(np.exp(max(high, lowest)) * unit) if high < highest else _NAN,
    )
    if estimate > highest:
        bound = float(np.exp(min(max(low, lowest), highest)) * unit)
        return (_NAN, bound, _NAN), "above_highest_dose", f"the {name} is above {bound:.3g}"
    if estimate < lowest:
        bound = float(np.exp(max(min(high, highest), lowest)) * unit)
        return (_NAN, _NAN, bound), "below_lowest_dose", f"the {name} is below {bound:.3g}"
    missing = [side for side, end in zip(("low", "high"), ends, strict=True) if np.isnan(end)]
    reason = f"the {' and the '.join(missing)} end of the {name} is beyond the doses" if missing else ""
    return (float(np.exp(estimate) * unit), *ends), sure, reason
