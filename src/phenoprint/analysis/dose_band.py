"""Confidence band of a fitted dose-response curve, for drawing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from phenoprint.analysis.dose_fit import T_SCALE, critical_rise, curve_response

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["curve_band"]

_NU = 4.0
_SHAPES = {"hill3": (60, 14, 1, 1), "hill4": (60, 14, 1, 1), "gain_loss": (30, 5, 10, 5)}


def curve_band(
    at: ArrayLike, fit: Mapping[str, Any], dose: ArrayLike, response: ArrayLike
) -> tuple[Floats, Floats, Floats]:
    """Evaluate a fitted curve with a pointwise band of about 95 %, for drawing.

    Parameters
    ----------
    at
        Doses to draw at, above 0, shape (points,).
    fit
        A row of table ``dose_response``, or the attributes of a `DoseFit`, with a model.
    dose, response
        The treated wells, shape (wells,).

    Returns
    -------
    tuple
        Curve, lower and upper end, each of shape (points,).

    Notes
    -----
    The profile likelihood of the curve's value at each point, over a grid of its doses and slopes: level and height
    are linear given these. Wells have the weights of the fit, and the level is known as well as the controls know it.
    The choice of the model is not part of it: over simulated curves, 80 to 90 % lay within.

    Examples
    --------
    >>> fit = {"model": "constant", "bottom": 1.0, "level": 1.0, "noise": 2.0, "residual": 2.0, "n_controls": 16}
    >>> [ends.round(1).tolist() for ends in curve_band([1.0], fit, [1.0, 2.0], [0.0, 2.0])]
    [[1.0], [-0.4], [2.4]]
    """
    x, y = np.asarray(dose, dtype=np.float64), np.asarray(response, dtype=np.float64)
    points = np.asarray(at, dtype=np.float64)
    model, scale = str(fit["model"]), float(fit["residual"])
    names = ("model", "bottom", "top", "gain_dose", "slope", "loss_dose", "loss_slope")
    shape = {"top": 0.0, "gain_dose": 1.0, "slope": 1.0} | {n: fit[n] for n in names if fit.get(n) is not None}
    middle, here = curve_response(points, **shape), curve_response(x, **shape)
    weights = (_NU + 1) / (_NU + ((y - here) / scale) ** 2) / scale**2
    known = 0.0 if model == "hill4" else float(fit["n_controls"]) / float(fit["noise"]) ** 2
    shares = _shapes(model, x[x > 0], np.concatenate([x, points]))
    s, along = shares[:, : len(x)], shares[:, len(x) :]
    # Normal equations of level and height, for every shape at once.
    a11 = weights.sum() + known
    a12, a22 = s @ weights, (s**2) @ weights + 1e-9
    b1, b2 = weights @ y + known * float(fit["level"]), s @ (weights * y)
    determinant = np.maximum(a11 * a22 - a12**2, 1e-12)
    level, height = (a22 * b1 - a12 * b2) / determinant, (a11 * b2 - a12 * b1) / determinant
    residual = (y - level[:, None] - height[:, None] * s) / scale
    loss = (_NU + 1) * np.log1p(residual**2 / _NU).sum(axis=1) + known * (level - float(fit["level"])) ** 2
    room = critical_rise(len(x), model) - (loss - loss.min())
    kept = room > 0
    a22, a12, determinant, along = a22[kept, None], a12[kept, None], determinant[kept, None], along[kept]
    variance = (a22 - 2 * a12 * along + a11 * along**2) / determinant / T_SCALE**2
    half = np.sqrt(room[kept, None] * np.maximum(variance, 0))
    curves = level[kept, None] + height[kept, None] * along
    low, high = (curves - half).min(axis=0), (curves + half).max(axis=0)
    return middle, np.minimum(low, middle), np.maximum(high, middle)


def _shapes(model: str, doses: Floats, x: Floats) -> Floats:
    """Return curves from 0 to 1 at `x` over a grid of doses and slopes, shape (shapes, points)."""
    if model == "constant":
        return np.zeros((1, len(x)))
    n_gains, n_slopes, n_gaps, n_falls = _SHAPES[model]
    low, high = doses.min() / 10, doses.max() * 10
    gain, slope, gap, fall = (
        axis.ravel()
        for axis in np.meshgrid(
            np.geomspace(low, high, n_gains),
            np.geomspace(0.3, 12, n_slopes),
            np.geomspace(3.2, high / low, n_gaps),
            np.geomspace(0.3, 8, n_falls),
        )
    )
    with np.errstate(divide="ignore", over="ignore"):
        share = 1 / (1 + (gain[:, None] / x) ** slope[:, None])
        if model == "gain_loss":
            share = share / (1 + (x / (gain * gap)[:, None]) ** fall[:, None])
    values: Floats = share
    return values
