"""Compiled fits of dose-response curves; imported only where they run, since numba is slow to load.

A curve has the parameters ``c`` (level of the controls), ``offset`` (of treated wells without an effect from the
controls), ``height``, ``gain`` (log dose of half the gain), ``slope`` (its logarithm), ``gap`` (logarithm of the
distance from the gain to the loss in log dose), ``loss_slope`` (its logarithm) and ``control_sd`` (the logarithm of the
standard deviation of the controls). Doses are natural logarithms, minus infinity for dose 0.
"""

# Compiled loops take flat arguments; numba infers the types.
# ruff: noqa: PLR0911, PLR0912, PLR0915, PLR0917
# mypy: allow-untyped-defs, disable-error-code="no-untyped-call,untyped-decorator"

from __future__ import annotations

import math

import numpy as np
from numba import njit

__all__ = ["CONSTANT", "GAIN_LOSS", "HILL3", "HILL4", "fit_curves"]

CONSTANT, HILL3, HILL4, GAIN_LOSS = 0, 1, 2, 3
C, OFFSET, HEIGHT, GAIN, SLOPE, GAP, LOSS_SLOPE, CONTROL_SD = range(8)
N_PARAMETERS = 8
# Parameters of the mean, and the two of the spread and level that every model has.
COUNTS = np.array([2, 5, 6, 7])
FREE = np.array(
    [
        [True, False, False, False, False, False, False, False],
        [True, False, True, True, True, False, False, False],
        [True, True, True, True, True, False, False, False],
        [True, False, True, True, True, True, True, False],
    ]
)
# Degrees of freedom of Student's t, as in tcpl; its scale over the standard deviation for normal errors.
NU = 4.0
T_SCALE = 0.8310
# Prior standard deviation of the logarithm of the treated wells' scale about that of the controls.
SCALE_PRIOR = 0.5
# Weak normal priors: on the logarithm of the slope, so that doses that cannot resolve it give one answer, and on the
# offset, in standard deviations of the controls, so that an effect at the lowest dose is not taken for a level.
USUAL_SLOPE, SLOPE_PRECISION, OFFSET_PRECISION = math.log(1.5), 0.1, 1.0
EC50, BMD, PEAK = 0, 1, 2
LOG10 = math.log(10.0)


@njit(cache=True, error_model="numpy")
def _mean_and_gradient(model, p, x, gradient):
    """Return the curve at log dose `x`; write its derivatives by the parameters."""
    for j in range(N_PARAMETERS):
        gradient[j] = 0.0
    gradient[C] = 1.0
    if model == CONSTANT or x == -np.inf:
        return p[C]
    slope = math.exp(p[SLOPE])
    u = min(max(slope * (x - p[GAIN]), -40.0), 40.0)
    gain = 1.0 / (1.0 + math.exp(-u))
    steep = gain * (1.0 - gain)
    if model != GAIN_LOSS:
        gradient[HEIGHT] = gain
        gradient[GAIN] = -p[HEIGHT] * slope * steep
        gradient[SLOPE] = p[HEIGHT] * u * steep
        if model == HILL4:
            gradient[OFFSET] = 1.0
            return p[C] + p[OFFSET] + p[HEIGHT] * gain
        return p[C] + p[HEIGHT] * gain
    gap, fall = math.exp(p[GAP]), math.exp(p[LOSS_SLOPE])
    v = min(max(fall * (x - p[GAIN] - gap), -40.0), 40.0)
    left = 1.0 / (1.0 + math.exp(v))
    lost = left * (1.0 - left)
    gradient[HEIGHT] = gain * left
    gradient[GAIN] = p[HEIGHT] * (-slope * steep * left + fall * gain * lost)
    gradient[SLOPE] = p[HEIGHT] * u * steep * left
    gradient[GAP] = p[HEIGHT] * gain * lost * fall * gap
    gradient[LOSS_SLOPE] = -p[HEIGHT] * gain * lost * v
    return p[C] + p[HEIGHT] * gain * left


@njit(cache=True, error_model="numpy")
def _response(model, p, x):
    """Return the curve at log dose `x` less its level at the lowest doses."""
    if model == CONSTANT or x == -np.inf:
        return 0.0
    gain = 1.0 / (1.0 + math.exp(-min(max(math.exp(p[SLOPE]) * (x - p[GAIN]), -40.0), 40.0)))
    if model != GAIN_LOSS:
        return p[HEIGHT] * gain
    v = min(max(math.exp(p[LOSS_SLOPE]) * (x - p[GAIN] - math.exp(p[GAP])), -40.0), 40.0)
    return p[HEIGHT] * gain / (1.0 + math.exp(v))


@njit(cache=True, error_model="numpy")
def _peak_place(model, p):
    """Return the log dose of the largest gain-loss response, by golden-section search."""
    low, high = p[GAIN] - 3.0, p[GAIN] + math.exp(p[GAP]) + 3.0
    share = 0.6180339887498949
    a, b = high - share * (high - low), low + share * (high - low)
    fa, fb = abs(_response(model, p, a)), abs(_response(model, p, b))
    for _ in range(40):
        if fa > fb:
            high, b, fb = b, a, fa
            a = high - share * (high - low)
            fa = abs(_response(model, p, a))
        else:
            low, a, fa = a, b, fb
            b = low + share * (high - low)
            fb = abs(_response(model, p, b))
    return 0.5 * (low + high)


@njit(cache=True, error_model="numpy")
def _rise(model, p, level, high):
    """Return the log dose below `high` where the absolute gain-loss response reaches `level`, by bisection."""
    low = min(p[GAIN], high) - 30.0
    for _ in range(50):
        middle = 0.5 * (low + high)
        if abs(_response(model, p, middle)) < level:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


@njit(
    "f8(i8, i8, f8[::1], f8)",
    cache=True,
    error_model="numpy",
)
def _quantity(kind, model, p, factor):
    """Return log EC50, log benchmark dose (infinite where the curve stays below) or the largest response."""
    if model != GAIN_LOSS:
        if kind == EC50:
            return p[GAIN]
        if kind == PEAK:
            return p[HEIGHT]
        share = factor * math.exp(p[CONTROL_SD]) / max(abs(p[HEIGHT]), 1e-300)
        if share >= 1.0:
            return np.inf
        return p[GAIN] + math.log(share / (1.0 - share)) / math.exp(p[SLOPE])
    place = _peak_place(model, p)
    peak = _response(model, p, place)
    if kind == PEAK:
        return peak
    level = 0.5 * abs(peak) if kind == EC50 else factor * math.exp(p[CONTROL_SD])
    if level >= abs(peak):
        return np.inf
    return _rise(model, p, level, place)


@njit(cache=True, error_model="numpy")
def _scale(squares, start, prior):
    """Return the logarithm of the scale of t-distributed residuals with a normal prior on it."""
    log_scale = start
    for _ in range(20):
        variance = NU * math.exp(2.0 * log_scale)
        slope = -1.0 / SCALE_PRIOR**2
        value = (prior - log_scale) / SCALE_PRIOR**2 - len(squares)
        for square in squares:
            share = square / (variance + square)
            value += (NU + 1.0) * share
            slope -= (NU + 1.0) * 2.0 * share * (1.0 - share)
        step = min(max(-value / slope, -1.0), 1.0)
        log_scale += step
        if abs(step) < 1e-7:
            break
    return log_scale


@njit(cache=True, error_model="numpy")
def _loss(model, p, x, y, control, start, squares):
    """Return the negative log likelihood without constants, and the log scale of the treated wells.

    `control` is the mean, standard deviation and number of the controls.
    """
    gradient = np.empty(N_PARAMETERS)
    for i in range(len(x)):
        squares[i] = (y[i] - _mean_and_gradient(model, p, x[i], gradient)) ** 2
    prior = math.log(control[1] * T_SCALE)
    log_scale = _scale(squares, start, prior)
    variance = NU * math.exp(2.0 * log_scale)
    loss = len(x) * log_scale + 0.5 * ((log_scale - prior) / SCALE_PRIOR) ** 2
    for square in squares:
        loss += 0.5 * (NU + 1.0) * math.log(1.0 + square / variance)
    loss += 0.5 * control[2] * ((p[C] - control[0]) / control[1]) ** 2
    loss += 0.5 * OFFSET_PRECISION * (p[OFFSET] / control[1]) ** 2
    if model != CONSTANT:
        loss += 0.5 * SLOPE_PRECISION * (p[SLOPE] - USUAL_SLOPE) ** 2
    # The controls' own standard deviation: chi-squared, minimal at the observed value.
    ratio = p[CONTROL_SD] - math.log(control[1])
    loss += (control[2] - 1.0) * (ratio + 0.5 * (math.exp(-2.0 * ratio) - 1.0))
    return loss, log_scale


@njit(cache=True, error_model="numpy")
def _solve(matrix, vector, free):
    """Solve the normal equations of the free parameters; the step of the others is 0."""
    where = np.empty(len(free), np.int64)
    n = 0
    for j in range(len(free)):
        if free[j]:
            where[n] = j
            n += 1
    small, right = np.empty((n, n)), np.empty(n)
    for i in range(n):
        right[i] = vector[where[i]]
        for j in range(n):
            small[i, j] = matrix[where[i], where[j]]
    # Cholesky
    for i in range(n):
        for j in range(i + 1):
            total = small[i, j]
            for k in range(j):
                total -= small[i, k] * small[j, k]
            if i == j:
                small[i, i] = math.sqrt(max(total, 1e-12))
            else:
                small[i, j] = total / small[j, j]
    for i in range(n):
        total = right[i]
        for k in range(i):
            total -= small[i, k] * right[k]
        right[i] = total / small[i, i]
    for i in range(n - 1, -1, -1):
        total = right[i]
        for k in range(i + 1, n):
            total -= small[k, i] * right[k]
        right[i] = total / small[i, i]
    step = np.zeros(len(vector))
    for i in range(n):
        step[where[i]] = right[i]
    return step


@njit(
    "Tuple((f8[::1], f8, f8))(i8, f8[::1], b1[::1], f8[::1], f8[::1], f8[::1], f8[:, ::1], i8, f8, f8, f8, f8, i8)",
    cache=True,
    error_model="numpy",
)
def _minimise(model, p, free, x, y, control, bounds, kind, target, width, factor, start, n_steps):
    """Minimise the loss by damped Gauss-Newton steps, with bounds; `kind` of 0 or above pulls a quantity to `target`.

    Returns the parameters, the loss without the pull, and the log scale.
    """
    squares = np.empty(len(x))
    gradient = np.empty(N_PARAMETERS)
    pull_gradient = np.zeros(N_PARAMETERS)
    p = p.copy()
    loss, log_scale = _loss(model, p, x, y, control, start, squares)
    value = 0.0
    pull = 0.0
    if kind >= 0:
        value = _quantity(kind, model, p, factor)
        if not np.isfinite(value):
            return p, np.inf, log_scale
        pull = 0.5 * ((value - target) / width) ** 2
    damping = 1e-3
    for _ in range(n_steps):
        matrix = np.zeros((N_PARAMETERS, N_PARAMETERS))
        vector = np.zeros(N_PARAMETERS)
        variance = math.exp(2.0 * log_scale)
        for i in range(len(x)):
            residual = y[i] - _mean_and_gradient(model, p, x[i], gradient)
            weight = (NU + 1.0) / (NU + residual * residual / variance) / variance
            for j in range(N_PARAMETERS):
                if gradient[j] != 0.0:
                    vector[j] += weight * residual * gradient[j]
                    for k in range(j + 1):
                        matrix[j, k] += weight * gradient[j] * gradient[k]
        inverse = control[2] / control[1] ** 2
        matrix[C, C] += inverse
        vector[C] += inverse * (control[0] - p[C])
        matrix[OFFSET, OFFSET] += OFFSET_PRECISION / control[1] ** 2
        vector[OFFSET] -= OFFSET_PRECISION * p[OFFSET] / control[1] ** 2
        matrix[SLOPE, SLOPE] += SLOPE_PRECISION
        vector[SLOPE] -= SLOPE_PRECISION * (p[SLOPE] - USUAL_SLOPE)
        ratio = p[CONTROL_SD] - math.log(control[1])
        matrix[CONTROL_SD, CONTROL_SD] += (control[2] - 1.0) * 2.0 * math.exp(-2.0 * ratio)
        vector[CONTROL_SD] -= (control[2] - 1.0) * (1.0 - math.exp(-2.0 * ratio))
        if kind >= 0:
            for j in range(N_PARAMETERS):
                pull_gradient[j] = 0.0
                if free[j]:
                    moved = p.copy()
                    moved[j] += 1e-4
                    up = _quantity(kind, model, moved, factor)
                    moved[j] -= 2e-4
                    down = _quantity(kind, model, moved, factor)
                    if np.isfinite(up) and np.isfinite(down):
                        pull_gradient[j] = (up - down) / 2e-4
            for j in range(N_PARAMETERS):
                vector[j] += (target - value) / width**2 * pull_gradient[j]
                for k in range(j + 1):
                    matrix[j, k] += pull_gradient[j] * pull_gradient[k] / width**2
        for j in range(N_PARAMETERS):
            for k in range(j):
                matrix[k, j] = matrix[j, k]
        held = free.copy()
        for j in range(N_PARAMETERS):
            at_low = p[j] <= bounds[j, 0] and vector[j] < 0
            at_high = p[j] >= bounds[j, 1] and vector[j] > 0
            if at_low or at_high:
                held[j] = False
        if held.sum() == 0:
            break
        better = False
        change = 0.0
        for _ in range(12):
            damped = matrix.copy()
            for j in range(N_PARAMETERS):
                damped[j, j] += damping * max(matrix[j, j], 1e-6)
            step = _solve(damped, vector, held)
            trial = p + step
            for j in range(N_PARAMETERS):
                trial[j] = min(max(trial[j], bounds[j, 0]), bounds[j, 1])
            trial_loss, trial_scale = _loss(model, trial, x, y, control, log_scale, squares)
            trial_pull = 0.0
            trial_value = 0.0
            if kind >= 0:
                trial_value = _quantity(kind, model, trial, factor)
                trial_pull = 0.5 * ((trial_value - target) / width) ** 2 if np.isfinite(trial_value) else np.inf
            if trial_loss + trial_pull < loss + pull:
                change = loss + pull - trial_loss - trial_pull
                p, loss, log_scale, pull, value = trial, trial_loss, trial_scale, trial_pull, trial_value
                damping = max(damping * 0.2, 1e-9)
                better = True
                break
            damping = max(damping, 1e-6) * 6.0
        if not better or change < 1e-7:
            break
    return p, loss, log_scale


@njit(cache=True, error_model="numpy")
def _start_height(shape, y, level, scale):
    """Fit ``y = level + height * shape`` with the weights of Student's t; return the height and the loss."""
    height = 0.0
    for round_ in range(4):
        up, down = 0.0, 1e-9
        for i in range(len(y)):
            residual = y[i] - level - height * shape[i]
            weight = 1.0 if round_ == 0 else 1.0 / (NU + (residual / scale) ** 2)
            up += weight * shape[i] * (y[i] - level)
            down += weight * shape[i] ** 2
        height = up / down
    loss = 0.0
    for i in range(len(y)):
        loss += math.log(1.0 + ((y[i] - level - height * shape[i]) / scale) ** 2 / NU)
    return height, loss


@njit(cache=True, error_model="numpy")
def _fit_model(model, x, y, control, bounds, doses):
    """Fit one model from the best starts of a grid; return parameters, loss and log scale."""
    free = FREE[model].copy()
    best = np.zeros(N_PARAMETERS)
    best[C] = control[0]
    best[CONTROL_SD] = math.log(control[1])
    prior = math.log(control[1] * T_SCALE)
    if model == CONSTANT:
        return _minimise(model, best, free, x, y, control, bounds, -1, 0.0, 1.0, 0.0, prior, 50)
    n_starts = 3
    starts = np.zeros((n_starts, N_PARAMETERS))
    losses = np.full(n_starts, np.inf)
    shape = np.empty(len(x))
    spread = max(control[1], 0.5 * _median(np.abs(y - _median(y.copy()))))
    slopes = np.array([0.7, 1.5, 4.0, 12.0])
    falls = np.array([1.5, 4.0])
    gaps = np.array([1.2, 2.3, 3.6, 5.0])
    n_gaps, n_falls = (len(gaps), len(falls)) if model == GAIN_LOSS else (1, 1)
    for place in range(2 * len(doses) + 1):
        middle = doses[min(place // 2, len(doses) - 1)]
        if place % 2 and place // 2 + 1 < len(doses):
            middle = 0.5 * (middle + doses[place // 2 + 1])
        elif place == 2 * len(doses) - 1:
            middle = doses[-1] + 1.0
        elif place == 2 * len(doses):
            middle = doses[0] - 1.0
        for slope in slopes:
            for gap in range(n_gaps):
                for fall in range(n_falls):
                    for i in range(len(x)):
                        shape[i] = 0.0
                        if x[i] > -np.inf:
                            shape[i] = 1.0 / (1.0 + math.exp(-min(max(slope * (x[i] - middle), -40.0), 40.0)))
                            if model == GAIN_LOSS:
                                v = falls[fall] * (x[i] - middle - gaps[gap])
                                shape[i] /= 1.0 + math.exp(min(max(v, -40.0), 40.0))
                    height, loss = _start_height(shape, y, control[0], spread)
                    worst = _least(-losses)
                    if loss < losses[worst]:
                        losses[worst] = loss
                        for j in range(N_PARAMETERS):
                            starts[worst, j] = best[j]
                        starts[worst, HEIGHT] = height
                        starts[worst, GAIN] = middle
                        starts[worst, SLOPE] = math.log(slope)
                        if model == GAIN_LOSS:
                            starts[worst, GAP] = math.log(gaps[gap])
                            starts[worst, LOSS_SLOPE] = math.log(falls[fall])
    least, log_scale = np.inf, prior
    for number in range(n_starts):
        p, loss, found = _minimise(model, starts[number], free, x, y, control, bounds, -1, 0.0, 1.0, 0.0, prior, 100)
        if loss < least:
            best, least, log_scale = p, loss, found
    return best, least, log_scale


@njit(cache=True, error_model="numpy")
def _profile_end(kind, model, p, rise, loss, log_scale, x, y, control, bounds, factor, sign, limit, critical):
    """Walk along the profile likelihood of a quantity to where it falls by `critical`; infinite beyond `limit`.

    The second value is a lower loss than that of the optimum, where the walk finds one, with its parameters.
    """
    free = FREE[model].copy()
    free[CONTROL_SD] = kind == BMD
    estimate = _quantity(kind, model, p, factor)
    inside, outside = estimate, np.nan
    inside_rise = rise
    outside_rise = 0.0
    step = 0.15
    here = p.copy()
    for _ in range(60):
        if np.isnan(outside):
            target = inside + sign * step
            step *= 1.6
            if sign * (target - limit) > 0:
                target = limit + sign * 1e-3
        else:
            # Secant on the square root of the rise, which is nearly straight, kept off the ends.
            low, high = math.sqrt(max(inside_rise, 0.0)), math.sqrt(outside_rise)
            share = (math.sqrt(critical) - low) / max(high - low, 1e-9)
            target = inside + min(max(share, 0.15), 0.85) * (outside - inside)
        q, found, _ = _minimise(model, here, free, x, y, control, bounds, kind, target, 0.01, factor, log_scale, 60)
        rise = 2.0 * (found - loss)
        reached = _quantity(kind, model, q, factor)
        if rise < -2e-3:
            return np.nan, found, q
        if not np.isfinite(rise) or rise > critical:
            if not np.isfinite(reached) or sign * (reached - inside) <= 0:
                reached = target
            outside, outside_rise = reached, (rise if np.isfinite(rise) else critical * 4)
        else:
            if sign * (reached - inside) <= 1e-6 and not np.isnan(outside):
                break
            if sign * (reached - inside) <= 1e-6:
                # The quantity cannot be moved further: bounds of the parameters.
                return sign * np.inf, loss, p
            inside, inside_rise, here = reached, rise, q
            if np.isnan(outside) and sign * (inside - limit) >= 0:
                return sign * np.inf, loss, p
        if not np.isnan(outside) and abs(outside - inside) < 2e-3:
            break
    return 0.5 * (inside + outside), loss, p


@njit(cache=True, error_model="numpy")
def _t_cdf(t):
    """Cumulative distribution of Student's t with 4 degrees of freedom."""
    share = t / math.sqrt(t * t + 4.0)
    return 0.5 + 0.75 * (share - share**3 / 3.0)


@njit(cache=True, error_model="numpy")
def _beyond(p, log_scale, x, y, doses, cutoff, sign):
    """Return the probability that the median of some dose, and two wells at least, lie beyond the cut-off.

    One bad well is no response, whatever its value.
    """
    no_dose, no_well, one_well = 1.0, 1.0, 0.0
    scale = math.exp(log_scale)
    for dose in doses:
        own = np.empty(len(y))
        n = 0
        for i in range(len(y)):
            if x[i] == dose:
                own[n] = y[i]
                n += 1
        no_dose *= _t_cdf((cutoff - sign * (_median(own[:n]) - p[C] - p[OFFSET])) * math.sqrt(n) / scale)
        for value in own[:n]:
            inside = _t_cdf((cutoff - sign * (value - p[C] - p[OFFSET])) / scale)
            one_well = one_well * inside + no_well * (1.0 - inside)
            no_well *= inside
    return (1.0 - no_dose) * max(1.0 - no_well - one_well, 0.0)


@njit(cache=True, error_model="numpy")
def _median(values):
    """Return the median of a few values; sorts them in place."""
    n = len(values)
    for i in range(1, n):
        value = values[i]
        j = i
        while j > 0 and values[j - 1] > value:
            values[j] = values[j - 1]
            j -= 1
        values[j] = value
    return 0.5 * (values[(n - 1) // 2] + values[n // 2])


@njit(cache=True, error_model="numpy")
def _copy(values, into):
    """Copy an array; assigning it to a slice compiles slowly."""
    for i in range(len(values)):
        into[i] = values[i]


@njit(cache=True, error_model="numpy")
def _least(values):
    """Return where the smallest value is."""
    place = 0
    for i in range(1, len(values)):
        if values[i] < values[place]:
            place = i
    return place


@njit(cache=True, error_model="numpy")
def _normal_cdf(z):
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


@njit(cache=True, error_model="numpy")
def _reached(model, p, x, y, control, bounds, factor, log_scale, target):
    """Fit under the condition that the benchmark response is reached at `target`; return parameters and loss."""
    q = p.copy()
    place = _peak_place(model, q) if model == GAIN_LOSS else bounds[GAIN, 1] + 10.0
    peak = abs(_response(model, q, place))
    wanted = 1.5 * factor * math.exp(q[CONTROL_SD])
    if peak < wanted:
        q[HEIGHT] *= wanted / max(peak, 1e-6)
        if q[HEIGHT] == 0.0:
            q[HEIGHT] = wanted
    free = FREE[model].copy()
    free[CONTROL_SD] = True
    q, loss, _ = _minimise(model, q, free, x, y, control, bounds, BMD, target, 0.01, factor, log_scale, 100)
    return q, loss


@njit(cache=True, error_model="numpy")
def _interval(kind, model, p, loss, log_scale, x, y, control, bounds, factor, limits, critical, ends):
    """Write the ends of the profile-likelihood interval of a quantity; see `_profile_end` for what is returned."""
    estimate = _quantity(kind, model, p, factor)
    for side in range(2):
        sign = -1.0 if side == 0 else 1.0
        limit = limits[side]
        here, rise = p, 0.0
        if sign * (estimate - limit) >= 0:
            ends[side] = sign * np.inf
            continue
        if not np.isfinite(estimate):
            here, found = _reached(model, p, x, y, control, bounds, factor, log_scale, limits[1 - side])
            rise = 2.0 * (found - loss)
            if not rise < critical:
                ends[side] = -sign * np.inf
                continue
        end, found, q = _profile_end(
            kind, model, here, rise, loss, log_scale, x, y, control, bounds, factor, sign, limit, critical
        )
        if np.isnan(end):
            return found, q
        ends[side] = end
    return loss, p


@njit(cache=True, error_model="numpy")
def _fit_one(x, y, doses, control, factor, critical, out, criteria):
    """Fit all models to one curve, and write the row of results; see `fit_curves`."""
    low, high = doses[0], doses[-1]
    limits = np.array([low, high])
    narrowest = np.inf
    for i in range(1, len(doses)):
        narrowest = min(narrowest, doses[i] - doses[i - 1])
    steepest = math.log(max(8.0, 200.0 / narrowest))
    bounds = np.array(
        [
            [-np.inf, np.inf],
            [-np.inf, np.inf],
            [-np.inf, np.inf],
            [low - LOG10, high + LOG10],
            [math.log(0.3), steepest],
            [math.log(0.5 * LOG10), math.log(high - low + LOG10)],
            [math.log(0.3), math.log(8.0)],
            [-np.inf, np.inf],
        ]
    )
    n = len(x) + control[2]
    parameters = np.zeros((4, N_PARAMETERS))
    losses, scales = np.full(4, np.inf), np.zeros(4)
    for model in range(4):
        count = COUNTS[model]
        criteria[model] = np.inf
        # A model with more parameters than doses can tell apart is no candidate.
        if model == CONSTANT or count - 2 <= len(doses):
            p, losses[model], scales[model] = _fit_model(model, x, y, control, bounds, doses)
            _copy(p, parameters[model])
            correction = 2.0 * count * (count + 1.0) / max(n - count - 1.0, 0.5)
            criteria[model] = 2.0 * losses[model] + 2.0 * count + correction
    ends = np.full((2, 2), np.nan)
    own = np.empty((2, 2))
    if _least(criteria) != CONSTANT:
        for model in range(1, 4):
            for _ in range(3):
                room = critical[model] - (criteria[model] - criteria[_least(criteria)])
                better = False
                for kind in range(2):
                    if room > 0 and not better:
                        found, q = _interval(
                            kind,
                            model,
                            parameters[model],
                            losses[model],
                            scales[model],
                            x,
                            y,
                            control,
                            bounds,
                            factor,
                            limits,
                            room,
                            own[kind],
                        )
                        if found < losses[model]:
                            # The walk found a better optimum: all is measured again from there.
                            better = True
                            p, loss, scale = _minimise(
                                model,
                                q,
                                FREE[model].copy(),
                                x,
                                y,
                                control,
                                bounds,
                                -1,
                                0.0,
                                1.0,
                                0.0,
                                scales[model],
                                100,
                            )
                            criteria[model] += 2.0 * (loss - losses[model])
                            _copy(p, parameters[model])
                            losses[model], scales[model] = loss, scale
                if not better:
                    break
            if room > 0:
                for kind in range(2):
                    ends[kind, 0] = np.fmin(ends[kind, 0], own[kind, 0])
                    ends[kind, 1] = np.fmax(ends[kind, 1], own[kind, 1])
    best = _least(criteria)
    active = 1 + _least(criteria[1:])
    p, loss, log_scale = parameters[active], losses[active], scales[active]
    cutoff = factor * control[1]
    peak = _quantity(PEAK, active, p, factor)
    sign = 1.0 if peak >= 0 else -1.0
    better_fit = 1.0 / (1.0 + math.exp(min(max(0.5 * (criteria[active] - criteria[CONSTANT]), -500.0), 500.0)))
    beyond = _beyond(p, log_scale, x, y, doses, cutoff, sign)
    q, found, _ = _minimise(
        active, p, FREE[active].copy(), x, y, control, bounds, PEAK, sign * cutoff, 0.01, factor, log_scale, 60
    )
    drop = math.sqrt(max(2.0 * (found - loss), 0.0)) if np.isfinite(found) else 40.0
    top = _normal_cdf(drop if abs(peak) >= cutoff else -drop)
    out[0] = best
    out[1], out[2], out[3], out[4] = better_fit * beyond * top, better_fit, beyond, top
    out[5] = _quantity(EC50, active, p, factor)
    out[6], out[7] = ends[EC50, 0], ends[EC50, 1]
    out[8] = _quantity(BMD, active, p, factor)
    out[9], out[10] = ends[BMD, 0], ends[BMD, 1]
    out[11] = peak
    out[12] = log_scale
    out[13] = active
    out[14] = loss
    _copy(p, out[15:23])


@njit(cache=True, error_model="numpy")
def fit_curves(starts, x, y, dose_starts, doses, controls, factor, critical, out, criteria):
    """Fit many curves.

    Parameters
    ----------
    starts
        Where each curve starts in `x` and `y`, and where the last ends, shape (curves + 1,).
    x
        Natural logarithm of the dose, minus infinity at dose 0, shape (wells,).
    y
        Responses, shape (wells,).
    dose_starts, doses
        The same for the distinct doses above 0 of each curve, as logarithms, ascending.
    controls
        Mean, standard deviation and number of the controls, shape (curves, 3).
    factor
        Benchmark response in standard deviations of the controls.
    critical
        Rise of twice the loss at the ends of an interval, shape (curves, 4), by model.
    out
        Written, shape (curves, 23): best model by AICc, hit call and its three factors, log EC50 with low and high,
        log benchmark dose with low and high, largest response, log scale of the treated wells, model of the
        numbers (that with a response if the best is constant), loss, eight parameters.
    criteria
        Written, shape (curves, 4): AICc of each model.
    """
    for curve in range(len(starts) - 1):
        first, last = starts[curve], starts[curve + 1]
        own = doses[dose_starts[curve] : dose_starts[curve + 1]]
        _fit_one(
            x[first:last], y[first:last], own, controls[curve], factor, critical[curve], out[curve], criteria[curve]
        )
