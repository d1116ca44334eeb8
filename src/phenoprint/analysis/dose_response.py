"""Dose-response curves."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.errors import UsageError
from phenoprint.tables import WELL_KEY, frame_of, get_table

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["HillFit", "dose_curves", "fit_hill", "hill_response"]


@dataclass(frozen=True)
class HillFit:
    """A fitted Hill curve ``bottom + (top - bottom) / (1 + (ec50 / dose) ** slope)``.

    Attributes
    ----------
    ec50
        Dose whose response is midway between bottom and top, in the doses' unit; NaN without a fit.
    ec50_low, ec50_high
        Its 95% (or `level`) interval; from the curvature at the optimum on the scale of log dose.
    slope
        Hill slope, above 0; the direction is in top and bottom.
    bottom, top
        Response at dose 0 and at infinite dose; ``top < bottom`` for a falling curve.
    bottom_low, bottom_high, top_low, top_high, slope_low, slope_high
        Their intervals.
    r2
        Share of the variance explained.
    p_value
        F test of the curve against no effect of the dose.
    n
        Values used.
    status
        ``ok``; ``no_response`` (p above 0.05: the parameters mean nothing); ``extrapolated`` (EC50 outside
        the doses: only a bound); ``loose`` (the interval of the EC50 spans more than a hundredfold);
        ``too_few_doses`` or ``not_converged`` (all NaN).
    reason
        Why it has this status, in a sentence.
    """

    ec50: float
    ec50_low: float
    ec50_high: float
    slope: float
    bottom: float
    top: float
    r2: float
    status: str
    reason: str
    n: int = 0
    p_value: float = float("nan")
    slope_low: float = float("nan")
    slope_high: float = float("nan")
    bottom_low: float = float("nan")
    bottom_high: float = float("nan")
    top_low: float = float("nan")
    top_high: float = float("nan")


def fit_hill(dose: ArrayLike, response: ArrayLike, *, level: float = 0.95) -> HillFit:
    """Fit a four-parameter Hill curve by least squares.

    Parameters
    ----------
    dose
        Shape (wells,), 0 or above, any unit; dose 0 (untreated wells) pins the bottom.
    response
        Shape (wells,). Pairs with NaN are left out.
    level
        Of the intervals.

    Returns
    -------
    HillFit
        Data without a curve are no error; `status` holds the reason.

    Raises
    ------
    UsageError
        For shapes that differ, negative doses, or a level outside 0 to 1.

    Notes
    -----
    Bounded least squares (scipy) from the best of 246 pairs of EC50 and slope; EC50 is searched from a
    thousandth of the lowest to a thousandfold of the highest dose, the slope from 0.1 to 20. Intervals use
    Student's t with n - 4 degrees of freedom.

    Examples
    --------
    >>> dose = np.array([0, 1, 3, 10, 30, 100, 300.0])
    >>> fit = fit_hill(dose, 1 + 4 / (1 + (20 / np.maximum(dose, 1e-9)) ** 1.5))
    >>> round(fit.ec50, 3), round(fit.slope, 3), round(fit.bottom, 3), round(fit.top, 3), fit.status
    (20.0, 1.5, 1.0, 5.0, 'ok')
    """
    x, y = np.asarray(dose, dtype=np.float64).ravel(), np.asarray(response, dtype=np.float64).ravel()
    if x.shape != y.shape:
        raise UsageError(f"expected one response per dose; found {len(x)} doses and {len(y)} responses")
    if not 0 < level < 1:
        raise UsageError(f"level must lie between 0 and 1; found {level}")
    there = np.isfinite(x) & np.isfinite(y)
    x, y = x[there], y[there]
    if (x < 0).any():
        raise UsageError(f"doses must be 0 or above; found {x.min()}")
    n_doses = len(np.unique(x[x > 0]))
    if n_doses < 4 or len(x) < 5:
        return _without(len(x), "too_few_doses", f"{n_doses} doses above 0 and {len(x)} values; 4 and 5 needed")
    if np.ptp(y) == 0:
        return _without(len(x), "no_response", "every response is the same")
    return _fit(x, y, level)


def hill_response(dose: ArrayLike, *, bottom: float, top: float, ec50: float, slope: float) -> NDArray[np.float64]:
    """Evaluate a Hill curve, ``bottom + (top - bottom) / (1 + (ec50 / dose) ** slope)``.

    Parameters
    ----------
    dose
        Doses of any shape, 0 or above, in the unit of `ec50`; dose 0 gives `bottom`.
    bottom, top, ec50, slope
        As in `HillFit`.

    Returns
    -------
    numpy.ndarray
        Responses, of the shape of `dose`.

    Notes
    -----
    Hill, J Physiol 40:iv, 1910.

    Examples
    --------
    >>> hill_response([0.0, 20.0], bottom=1.0, top=5.0, ec50=20.0, slope=1.5).tolist()
    [1.0, 3.0]
    """
    return _curve(np.array([bottom, top, np.log(ec50), np.log(slope)]), _log(np.asarray(dose, dtype=np.float64)))


def dose_curves(values: pl.DataFrame, wells: pl.DataFrame, readouts: Collection[str]) -> pl.DataFrame:
    """Fit a Hill curve per compound and readout.

    Parameters
    ----------
    values
        ``Metadata_Plate``, ``Metadata_Well``, ``readout``, ``value``.
    wells
        The well table; curves are fitted to ``trt`` wells with a dose.
    readouts
        Which readouts to fit.

    Returns
    -------
    polars.DataFrame
        Table ``dose_response``: one row per compound and readout with EC50 and its 95% interval in
        ``Metadata_Concentration_Unit``, slope, bottom, top, r2, number of wells and doses, status and reason.

    Examples
    --------
    >>> doses = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0]
    >>> names = [f"A{i:02d}" for i in range(1, 7)]
    >>> values = pl.DataFrame({"Metadata_Plate": "P", "Metadata_Well": names, "readout": "ratio"}).with_columns(
    ...     pl.Series("value", hill_response(doses, bottom=0, top=1, ec50=2, slope=1))
    ... )
    >>> wells = values.select("Metadata_Plate", "Metadata_Well").with_columns(
    ...     pl.lit("trt").alias("Metadata_pert_type"),
    ...     pl.lit("a").alias("Metadata_compound"),
    ...     pl.Series("Metadata_Concentration", doses),
    ...     pl.lit("uM").alias("Metadata_Concentration_Unit"),
    ... )
    >>> dose_curves(values, wells, ["ratio"]).select(pl.col("ec50").round(3), "n_doses", "status").rows()
    [(2.0, 6, 'ok')]
    """
    treated = wells.filter((pl.col("Metadata_pert_type") == "trt") & pl.col("Metadata_Concentration").is_not_null())
    wanted = values.filter(pl.col("readout").is_in(list(readouts))).drop_nulls("value")
    joined = wanted.join(treated, on=WELL_KEY, how="inner")
    by = ["readout", "Metadata_compound", "Metadata_Concentration_Unit"]
    columns, rows = get_table("dose_response").schema.names(), []
    for key, group in joined.sort(*by, "Metadata_Concentration").group_by(by, maintain_order=True):
        fit = fit_hill(group["Metadata_Concentration"].to_numpy(), group["value"].to_numpy())
        counts = {"n_wells": group.height, "n_doses": group["Metadata_Concentration"].n_unique()}
        row = dict(zip(by, key, strict=True)) | vars(fit) | counts
        rows.append({name: row[name] for name in columns})
    return frame_of("dose_response", rows)


def _fit(x: NDArray[np.float64], y: NDArray[np.float64], level: float) -> HillFit:
    from scipy import optimize, stats

    # Plain numbers of order one: neither the unit of the dose nor that of the response matters.
    shift, scale = float(y.mean()), float(np.ptp(y))
    z, log_dose = (y - shift) / scale, _log(x)
    finite = log_dose[np.isfinite(log_dose)]
    low, high = float(finite.min() - np.log(1e3)), float(finite.max() + np.log(1e3))
    lower, upper = np.array([-5, -5, low, np.log(0.1)]), np.array([5, 5, high, np.log(20)])
    best = optimize.least_squares(
        lambda p: _curve(p, log_dose) - z,
        np.clip(_start(log_dose, z), lower + 1e-6, upper - 1e-6),
        jac=lambda p: _gradient(p, log_dose),
        bounds=(lower, upper),
        x_scale="jac",
        max_nfev=500,
    )
    if best.status < 0:
        return _without(len(x), "not_converged", f"least squares did not converge: {best.message}")
    bottom, top, log_ec50, log_slope = best.x
    residual, total = 2 * best.cost, float(((z - z.mean()) ** 2).sum())
    freedom = len(x) - 4
    # No freedom is left with four values; a perfect fit has no residual: both make the variance degenerate.
    p_value = float(stats.f.sf((total - residual) / 3 / max(residual / freedom, 1e-300), 3, freedom))
    covariance = np.linalg.pinv(best.jac.T @ best.jac) * residual / freedom
    half = stats.t.ppf(0.5 + level / 2, freedom) * np.sqrt(np.maximum(np.diag(covariance), 0))
    ec50, slope = float(np.exp(log_ec50)), float(np.exp(log_slope))
    with np.errstate(over="ignore"):
        ec50_low, ec50_high = (float(np.exp(log_ec50 + sign * half[2])) for sign in (-1, 1))
        slope_low, slope_high = (float(np.exp(log_slope + sign * half[3])) for sign in (-1, 1))
    status, reason = _verdict(p_value, ec50, (ec50_low, ec50_high), x)
    return HillFit(
        ec50=ec50,
        ec50_low=ec50_low,
        ec50_high=ec50_high,
        slope=slope,
        bottom=float(bottom * scale + shift),
        top=float(top * scale + shift),
        r2=1 - residual / total,
        status=status,
        reason=reason,
        n=len(x),
        p_value=p_value,
        slope_low=slope_low,
        slope_high=slope_high,
        bottom_low=float((bottom - half[0]) * scale + shift),
        bottom_high=float((bottom + half[0]) * scale + shift),
        top_low=float((top - half[1]) * scale + shift),
        top_high=float((top + half[1]) * scale + shift),
    )


def _start(log_dose: NDArray[np.float64], z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Find the best start on a grid of EC50 and slope; bottom and top follow by linear least squares."""
    from scipy.special import expit

    finite = log_dose[np.isfinite(log_dose)]
    middles, slopes = np.meshgrid(np.linspace(finite.min(), finite.max(), 41), np.log([0.3, 0.6, 1, 1.6, 3, 6]))
    middle, slope = middles.ravel(), slopes.ravel()
    shape = expit(np.exp(slope)[:, None] * (log_dose - middle[:, None]))
    centered = shape - shape.mean(axis=1, keepdims=True)
    variance = (centered**2).sum(axis=1)
    product = centered @ z
    best = int(np.argmax(np.divide(product**2, variance, out=np.zeros_like(variance), where=variance > 1e-12)))
    height = product[best] / variance[best]
    bottom = z.mean() - height * shape[best].mean()
    return np.array([bottom, bottom + height, middle[best], slope[best]])


def _gradient(parameters: NDArray[np.float64], log_dose: NDArray[np.float64]) -> NDArray[np.float64]:
    """Differentiate the curve by (bottom, top, log EC50, log slope), shape (wells, 4)."""
    from scipy.special import expit

    bottom, top, log_ec50, log_slope = parameters
    slope = np.exp(log_slope)
    distance = np.where(np.isfinite(log_dose), log_dose - log_ec50, 0.0)  # flat at dose 0
    share = np.where(np.isfinite(log_dose), expit(slope * distance), 0.0)
    steepness = (top - bottom) * slope * share * (1 - share)
    return np.column_stack([1 - share, share, -steepness, steepness * distance])


def _verdict(p_value: float, ec50: float, interval: tuple[float, float], x: NDArray[np.float64]) -> tuple[str, str]:
    doses = x[x > 0]
    if not p_value < 0.05:
        return "no_response", f"the dose explains no more than chance (F test, p = {p_value:.2g})"
    if not doses.min() <= ec50 <= doses.max():
        return (
            "extrapolated",
            f"EC50 {ec50:.3g} lies outside the doses {doses.min():.3g} to {doses.max():.3g}",
        )
    if not interval[1] < 100 * interval[0]:
        return "loose", f"EC50 between {interval[0]:.3g} and {interval[1]:.3g}, more than a hundredfold"
    return "ok", f"F test p = {p_value:.2g}"


def _without(n: int, status: str, reason: str) -> HillFit:
    nan = float("nan")
    return HillFit(nan, nan, nan, nan, nan, nan, nan, status, reason, n=n)


def _log(dose: NDArray[np.float64]) -> NDArray[np.float64]:
    """Natural logarithm, minus infinity at dose 0."""
    return np.log(dose, out=np.full(dose.shape, -np.inf), where=dose > 0)


def _curve(parameters: NDArray[np.float64], log_dose: NDArray[np.float64]) -> NDArray[np.float64]:
    """Hill curve of (bottom, top, log EC50, log slope) over log dose, shape kept."""
    from scipy.special import expit

    bottom, top, log_ec50, log_slope = parameters
    curve: NDArray[np.float64] = bottom + (top - bottom) * expit(np.exp(log_slope) * (log_dose - log_ec50))
    return curve
