"""Uneven illumination: one smooth function per plate and channel, estimated from its fields.

A microscope illuminates the middle of a field more than its corners. The average of many fields shows this
illumination, because cells lie at random. Two estimators differ only in how they average: ``"cellprofiler"`` (robust
average over fields, then smoothing, as CorrectIlluminationCalculate's *Regular / All* does) and ``"basic"`` (low-rank
plus sparse with a flat field that is smooth in the cosine domain, in module :mod:`phenoprint.images.basic`).

Both work on block means (at most 128 x 128 numbers per field), so memory is bounded whatever the size of the plate.

**Background.** The camera's offset is added after the optics and is not shaded. Dividing an image that still contains
it gives a bright rim (fractal-tasks-core#641), and an estimate made with it is too flat. Give ``offset`` when it is
known (the value of a field without light; about 100 counts on many sCMOS cameras), or ``dark=True`` to have a constant
offset estimated; :meth:`Illumination.apply` subtracts it before the division. Fluorescence of the medium is shaded like
the cells: it stays in the image and is measured as ``background`` by image quality.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from phenoprint.errors import ImageError, UnknownNameError, UsageError
from phenoprint.images.blocks import (
    AVERAGES,
    Float64,
    block_means,
    block_stack,
    choose_smoothing,
    robust_average,
    smooth_onto,
)

__all__ = ["Illumination", "estimate_illumination"]

Float32 = npt.NDArray[np.float32]

_SIGMAS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)


@dataclass(frozen=True, eq=False)
class Illumination:
    """The illumination function of one plate and channel.

    Attributes
    ----------
    flat
        (Y, X) float32, the relative brightness of the illumination, at least 1; images are divided by it. All ones
        where nothing could be estimated; `reason` then gives the cause.
    dark
        (Y, X) float32 or None: subtracted before the division, in the unit of the fields of the estimate.
    method
        ``"cellprofiler"``, ``"basic"`` or ``"none"``.
    n_fields
        Fields used for the estimate.
    n_skipped
        Fields left out because they were blank (one value everywhere) or held values that are not finite.
    reason
        Why `flat` is all ones; None otherwise.
    smoothing_px
        Sigma of the smoothing that was used.
    range
        Maximum over minimum of `flat`; 1.0 is even illumination.
    unevenness_before, unevenness_after
        Coefficient of variation of the average field over an 8 x 8 grid, before and after the correction. What
        remains after it is mostly cells that do not average out over few fields.
    split_half_error
        Median relative difference between the functions estimated from the even and from the odd fields; None with
        too few fields. Compare it with `range` - 1: more fields are needed where the error is as large as the effect.
    """

    flat: Float32
    dark: Float32 | None = None
    method: str = "none"
    n_fields: int = 0
    n_skipped: int = 0
    reason: str | None = None
    smoothing_px: float | None = None
    range: float = 1.0
    unevenness_before: float | None = None
    unevenness_after: float | None = None
    split_half_error: float | None = None

    @classmethod
    def identity(cls, shape: tuple[int, int], *, reason: str, **details: Any) -> Illumination:
        """Return a function of ones, which changes nothing.

        Parameters
        ----------
        shape
            (Y, X) of the fields.
        reason
            Why there is no correction.
        details
            Other attributes, such as `n_fields`.

        Examples
        --------
        >>> Illumination.identity((2, 3), reason="switched off").flat.shape
        (2, 3)
        """
        return cls(flat=np.ones(shape, dtype=np.float32), reason=reason, **details)

    def apply(self, pixels: npt.NDArray[Any]) -> Float32:
        """Subtract `dark` from an image and divide it by `flat`.

        Parameters
        ----------
        pixels
            (Y, X) of any integer or float type, in the unit of the fields of the estimate.

        Returns
        -------
        (Y, X) float32 in the same unit. Values below `dark` become 0. No pixel gets brighter, so an image in [0, 1]
        stays in [0, 1].

        Raises
        ------
        ImageError
            If the image has another shape than the function.

        Examples
        --------
        >>> function = Illumination(flat=np.array([[1.0, 2.0]], np.float32))
        >>> function.apply(np.array([[0.5, 0.5]])).tolist()
        [[0.5, 0.25]]
        """
        if pixels.shape != self.flat.shape:
            raise ImageError(
                f"illumination function of shape {self.flat.shape} cannot correct an image of shape "
                f"{pixels.shape}; estimate one for fields of this size (other binning or another microscope?)"
            )
        corrected = pixels.astype(np.float32)
        if self.dark is not None:
            corrected -= self.dark
            np.maximum(corrected, 0, out=corrected)
        corrected /= self.flat
        return corrected


def estimate_illumination(
    fields: Iterable[npt.NDArray[Any]],
    *,
    method: str = "cellprofiler",
    average: str = "trimmed",
    smoothing_px: float | None = None,
    offset: float = 0.0,
    dark: bool = False,
    min_fields: int = 5,
    max_fields: int = 500,
    seed: int = 0,
) -> Illumination:
    """Estimate the illumination function of one plate and channel.

    Parameters
    ----------
    fields
        (Y, X) images of one plate and channel. A generator is read once, with one field in memory at a time. Raw or
        in [0, 1]; `Illumination.apply` takes the same unit.
    method
        ``"cellprofiler"`` (average, smooth, rescale; fast, needs tens of fields) or ``"basic"`` (Peng et al.
        2017; better with few fields).
    average
        How ``"cellprofiler"`` combines the fields: ``"trimmed"`` (each field divided by its brightness, then the mean
        without the brightest fifth and the darkest twentieth of the fields at each place, which excludes debris and
        saturated wells), ``"median"`` (better where cells are sparse), or ``"mean"`` (as CellProfiler).
    smoothing_px
        Sigma of the smoothing in pixels. By default the widest of 1/16, 1/8, 1/4, 1/2 and 1 times the longer side
        that predicts left-out fields as well as the best of them.
    offset
        Camera offset in the unit of the fields; subtracted before the estimate, and by `Illumination.apply`.
    dark
        Whether to estimate a constant offset from the fields, added to `offset` (see the module's note). Needs fields
        that differ in brightness; `offset` alone is used where it cannot be estimated.
    min_fields
        With fewer usable fields the function is all ones, because cells and illumination cannot be separated.
    max_fields
        Largest number of fields used; of more, a random sample (reservoir sampling).
    seed
        Seed of that sample.

    Returns
    -------
    The function with its statistics; ones and a `reason` for blank or too few fields. Its minimum is 1, so the
    correction only dims: corrected images stay within [0, 1], and functions compare with those of public screens.
    (CorrectIlluminationCalculate's *Rescale* divides by the 2nd percentile in place of the minimum, which leaves the
    darkest fiftieth, the corners, too dark. A smooth function does not need that.)

    Raises
    ------
    UnknownNameError
        If `method` or `average` is unknown.
    UsageError
        If there is no field, or a number is out of range.
    ImageError
        If fields differ in shape or are not (Y, X).

    Notes
    -----
    Any average that scales with the brightness of the images estimates the same function: the values at one place are
    the values of all places times the illumination there. A trimmed mean may therefore replace the mean. The smoothing
    is a local quadratic fit with Gaussian weights; unlike a Gaussian filter it does not pull the rim of a vignette
    towards the middle.

    Measured on simulated fields (vignette from 1 to 2.2; 60 cells of 40 px in 540 px): ``"cellprofiler"`` is within 3 %
    (standard deviation) from 10 fields and 1 % from 96, ``"basic"`` within 1 % from 10. With ten fields of crowded
    cells both err by 5 %, which `split_half_error` shows.

    Examples
    --------
    >>> shade = np.linspace(1, 2, 32) * np.ones((24, 1))
    >>> brightness = np.random.default_rng(0).uniform(0.5, 1.0, 10)
    >>> found = estimate_illumination([level * shade for level in brightness], smoothing_px=8)
    >>> found.n_fields, round(found.range, 1)
    (10, 2.0)
    """
    if method not in _ESTIMATORS:
        raise UnknownNameError("illumination method", method, _ESTIMATORS)
    if average not in AVERAGES:
        raise UnknownNameError("illumination average", average, AVERAGES)
    if smoothing_px is not None and not 0 < smoothing_px < np.inf:
        raise UsageError(f"smoothing_px must be a positive number of pixels, got {smoothing_px}")
    if not 2 <= min_fields <= max_fields:
        raise UsageError(f"expected 2 <= min_fields <= max_fields, got {min_fields} and {max_fields}")
    grid = 64 if method == "basic" else 128
    shape, stack, n_skipped = block_stack(
        fields, grid=grid, offset=offset, max_fields=max_fields, needed=min_fields, seed=seed
    )
    n_fields = len(stack)
    if n_fields < min_fields:
        reason = (
            f"{n_fields} usable fields of {n_fields + n_skipped} (the others are blank or not finite), at least "
            f"{min_fields} are needed to separate illumination from cells: not corrected"
        )
        ones = Illumination.identity(shape, reason=reason, n_fields=n_fields, n_skipped=n_skipped)
        return replace(ones, dark=_constant(shape, offset))

    extra = 0.0
    if dark:
        from phenoprint.images.basic import constant_offset

        extra = constant_offset(stack)
        stack = np.maximum(stack - extra, 0)
    estimator = _ESTIMATORS[method]
    whole = estimator(stack, average)
    sigma = _chosen_smoothing(stack, average) if smoothing_px is None else smoothing_px / max(shape)
    error = None
    if n_fields >= 2 * min_fields:
        halves = [smooth_onto(estimator(stack[start::2], average), whole.shape, sigma=sigma) for start in (0, 1)]
        error = float(np.median(np.abs(halves[0] / halves[0].mean() - halves[1] / halves[1].mean())))
    flat = _rescaled(smooth_onto(whole, shape, sigma=sigma))
    mean_field = robust_average(stack, average)
    return Illumination(
        flat=flat.astype(np.float32),
        dark=_constant(shape, offset + extra),
        method=method,
        n_fields=n_fields,
        n_skipped=n_skipped,
        smoothing_px=sigma * max(shape),
        range=float(flat.max() / flat.min()),
        unevenness_before=_variation(mean_field),
        unevenness_after=_variation(mean_field / block_means(flat, grid)),
        split_half_error=error,
    )


def _chosen_smoothing(stack: Float64, average: str) -> float:
    """Choose sigma, as a fraction of the longer side, by predicting every fifth field from the others."""
    folds = np.array([robust_average(stack[start::5], average) for start in range(min(5, len(stack)))])
    folds /= folds.mean(axis=(1, 2), keepdims=True)
    return choose_smoothing(folds, _SIGMAS)


def _constant(shape: tuple[int, int], value: float) -> Float32 | None:
    return np.full(shape, value, dtype=np.float32) if value else None


def _rescaled(flat: Float64) -> Float64:
    """Set the minimum to 1, after raising values near zero: a division by them would amplify noise."""
    flat = np.maximum(flat, 0.05 * flat.mean())
    return np.asarray(flat / flat.min())


def _variation(field: Float64) -> float:
    """Return the coefficient of variation over an 8 x 8 grid, in which single cells hardly count."""
    coarse = block_means(field, 8)
    return float(coarse.std() / coarse.mean())


def _cellprofiler(stack: Float64, average: str) -> Float64:
    return robust_average(stack, average)


def _basic(stack: Float64, average: str) -> Float64:  # noqa: ARG001
    from phenoprint.images.basic import basic_flat_field

    return basic_flat_field(stack)


_ESTIMATORS = {"basic": _basic, "cellprofiler": _cellprofiler}
