"""Flat field by low-rank and sparse decomposition (BaSiC).

A compact implementation of the model of Peng, T. et al., *A BaSiC tool for background and shading correction of optical
microscopy images*, Nat Commun 8, 14836 (2017): every field is its brightness times a common flat field, which is smooth
because few of its cosine coefficients differ from zero, plus sparse residuals (the cells).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from phenoprint.images.blocks import smooth_onto

__all__ = ["basic_flat_field", "constant_offset"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

# Weight of the sum of cosine coefficients, a fifth of the authors' automatic choice, which flattens the function of few
# or crowded fields by up to a third. The smoothing by the caller removes the remaining roughness.
_SMOOTHNESS = 1 / 4000
_MAX_LEVELS = 32
_MAX_REWEIGHTINGS = 10
_MAX_ITERATIONS = 500
_INDEPENDENT_WINDOWS = 16


def basic_flat_field(stack: Float64) -> Float64:
    """Estimate the flat field common to a stack of small fields.

    Parameters
    ----------
    stack
        (fields, rows, columns), not negative, without camera offset.

    Returns
    -------
    (rows, columns) float64 with mean 1.

    Notes
    -----
    First, the values at each place are sorted over the fields. The k-th smallest values of all places are a "field"
    that varies with the illumination rather than with cells, which fits the model far better. An L1 fit is then
    reweighted until the flat field changes by less than 0.1 percent, so that places covered by cells have little
    weight.
    """
    from scipy.fft import dctn

    images = _sorted_levels(stack / stack.mean()).astype(np.float32)
    smoothness = _SMOOTHNESS * float(np.abs(dctn(images.mean(axis=0), norm="ortho")).sum())
    weight = np.ones_like(images)
    flat = np.ones(stack.shape[1:], dtype=np.float32)
    for _ in range(_MAX_REWEIGHTINGS):
        previous = flat
        flat, gain, residual = _decompose(images, weight, smoothness)
        fitted = float(np.abs(gain).mean() * flat.mean())
        weight = 1 / (np.abs(residual / (fitted + 1e-6)) + 0.1)
        weight /= weight.mean()
        flat = flat / flat.mean()
        if np.abs(flat - previous).sum() < 1e-3 * np.abs(previous).sum():
            break
    return flat.astype(np.float64)


def _sorted_levels(stack: Float64) -> Float64:
    """Sort over the fields at each place, and average adjacent levels to a bounded number."""
    ordered = np.sort(stack, axis=0)
    n_levels = min(len(ordered), _MAX_LEVELS)
    starts = (np.arange(n_levels + 1) * len(ordered)) // n_levels
    sums = np.add.reduceat(ordered, starts[:-1], axis=0)
    return np.asarray(sums / np.diff(starts)[:, None, None])


def _decompose(images: Float32, weight: Float32, smoothness: float) -> tuple[Float32, Float32, Float32]:
    """Minimise smoothness * |cosine(flat)| + |weight * residual| with images = gain * flat + residual.

    Linearised augmented Lagrangian with increasing penalty; returns flat, gain (one per field) and residual.
    """
    from scipy.fft import dctn, idctn

    norm = float(np.linalg.norm(images.reshape(len(images), -1), 2))
    scale = float(np.linalg.norm(images))
    penalty, ceiling = 12.5 / norm, 12.5 / norm * 1e7
    step = 10.0  # the authors' linearisation constant for the update of the flat field
    coefficients = np.zeros(images.shape[1:], dtype=np.float32)
    gain = images.mean(axis=(1, 2))
    residual = np.zeros_like(images)
    multiplier = np.zeros_like(images)
    flat = np.zeros(images.shape[1:], dtype=np.float32)
    for _ in range(_MAX_ITERATIONS):
        fitted = gain[:, None, None] * flat
        gap = images - fitted - residual + multiplier / penalty
        coefficients = coefficients + dctn(gap.mean(axis=0) / step, norm="ortho")
        limit = smoothness / (step * penalty)
        coefficients = np.sign(coefficients) * np.maximum(np.abs(coefficients) - limit, 0)
        flat = idctn(coefficients, norm="ortho")
        fitted = gain[:, None, None] * flat
        target = images - fitted + multiplier / penalty
        residual = np.sign(target) * np.maximum(np.abs(target) - weight / penalty, 0)
        clean = images - residual
        gain = np.maximum(clean.mean(axis=(1, 2)) / clean.mean(), 0)
        gap = images - gain[:, None, None] * flat - residual
        multiplier = multiplier + penalty * gap
        penalty = min(penalty * 1.5, ceiling)
        if np.linalg.norm(gap) < 1e-5 * scale:
            break
    return flat, gain, residual


def constant_offset(stack: Float64) -> float:
    """Estimate the camera's constant offset from fields of differing brightness.

    Parameters
    ----------
    stack
        (fields, rows, columns), not negative.

    Returns
    -------
    The offset in the unit of the fields, below the darkest value. It is 0 if it is less than twice its standard error,
    as with even illumination or fields of one brightness, from which it cannot be estimated.

    Notes
    -----
    With an offset c, the sorted values of a place are flat * q + c, where q are the levels of the field. With a wrong c
    the estimated function depends on the level. The result is the c for which the functions of the darker and of the
    brighter half of the levels agree best.
    """
    levels = _sorted_levels(stack)
    levels = levels[: max(2, int(0.9 * len(levels)))]
    half = len(levels) // 2
    dark, bright = (
        smooth_onto(part.mean(axis=0), part.shape[1:], sigma=0.25) for part in (levels[:half], levels[half:])
    )
    # dark = c + flat * a and bright = c + flat * b with a < b: (dark - c) / mean(dark - c) = (bright - c) /
    # mean(bright - c) is linear in c.
    mean_dark, mean_bright = float(dark.mean()), float(bright.mean())
    if mean_bright - mean_dark < 1e-3 * mean_bright:
        return 0.0
    numerator = dark * mean_bright - bright * mean_dark
    denominator = (mean_bright - bright) - (mean_dark - dark)
    power = float((denominator**2).sum())
    if power == 0:
        return 0.0
    offset = float((numerator * denominator).sum()) / power
    # Smoothed maps have about as many independent values as smoothing windows.
    residual = float(((numerator - offset * denominator) ** 2).sum())
    standard_error = float(np.sqrt(residual / power / _INDEPENDENT_WINDOWS))
    if offset < 2 * standard_error:
        return 0.0
    return min(offset, 0.98 * float(levels[0].min()))
