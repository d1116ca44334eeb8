"""Uneven illumination: one smooth function a plate and channel, estimated from its fields and divided out.

A microscope lights the middle of a field more than its corners. Over many fields the cells average out and
the lamp stays. Two estimators share everything but the averaging: ``"cellprofiler"`` (robust average over
fields, then smoothing, as CorrectIlluminationCalculate's *Regular / All* does) and ``"basic"`` (low-rank plus
sparse with a flat field that is smooth in the cosine domain, in module :mod:`phenoprint.images.basic`).

Both work on block means (at most 128 x 128 numbers a field), so memory is bounded whatever the plate's size.

**Background.** Camera offset is added after the optics and is not shaded. Dividing an image that still holds
it bends it into a bright rim (fractal-tasks-core#641), and an estimate made with it comes out too shallow.
Give ``offset`` when you know it (a field without light; about 100 counts on many sCMOS cameras), or
``dark=True`` to have a constant offset estimated; :meth:`Illumination.apply` then subtracts it before the
division. Fluorescence of the medium is shaded like the cells: it is left in, and measured as ``background``
by image quality.
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

_RESCALES = ("mean", "minimum")
_SIGMAS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)


@dataclass(frozen=True, eq=False)
class Illumination:
    """The illumination function of one plate and channel.

    Attributes
    ----------
    flat
        (Y, X) float32, the relative brightness of the light, without unit; an image is divided by it. All
        ones where nothing could be estimated, and then `reason` says why.
    dark
        (Y, X) float32 or None: what is subtracted first, in the unit of the fields it was estimated from.
    method
        ``"cellprofiler"``, ``"basic"`` or ``"none"``.
    n_fields
        Fields that entered the estimate (blank ones are not among them).
    n_skipped
        Fields left out because they were blank (one value everywhere) or held values that are not finite.
    reason
        Why `flat` is all ones; None otherwise.
    smoothing_px
        Sigma of the smoothing that was used.
    range
        Brightest over darkest place of `flat` (1.0 is even).
    unevenness_before, unevenness_after
        Coefficient of variation of the average field over an 8 x 8 partition, before and after the
        correction. What is left after it is mostly cells that few fields do not average out.
    split_half_error
        Median relative difference of the functions estimated from every second field, None where there were
        too few. Compare it with `range` - 1: an error as large as the effect asks for more fields.
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
        """Return a function of ones that changes nothing.

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
        """Divide an image by the illumination function, after subtracting the dark part.

        Parameters
        ----------
        pixels
            (Y, X) of any integer or float type, in the unit of the fields of the estimate.

        Returns
        -------
        (Y, X) float32 in the same unit. Values below the dark part become 0. With the default rescaling no
        pixel gets brighter, so that an image in [0, 1] stays in [0, 1].

        Raises
        ------
        ImageError
            The image has another shape than the function.
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
    object_diameter_px: float | None = None,
    rescale: str = "minimum",
    offset: float = 0.0,
    dark: bool = False,
    min_fields: int = 5,
    max_fields: int = 500,
    seed: int = 0,
) -> Illumination:
    """Estimate how unevenly the fields of a plate and channel are lit.

    Parameters
    ----------
    fields
        (Y, X) images of one plate and channel, one after the other (a generator is read once, one field in
        memory at a time). Raw or in [0, 1]; `apply` wants the same unit.
    method
        ``"cellprofiler"`` (average, smooth, rescale; fast, needs tens of fields) or ``"basic"`` (Peng et al.
        2017; better with few fields).
    average
        How fields are combined by ``"cellprofiler"``: ``"trimmed"`` (each field divided by its brightness, then
        the mean without the brightest fifth and the darkest twentieth at each place: debris and saturated
        wells do not count), ``"median"`` (better where cells are sparse), or ``"mean"`` (CellProfiler's).
    smoothing_px
        Sigma of the smoothing in pixels. By default the widest of 1/16, 1/8, 1/4, 1/2 and 1 times the longer
        side that predicts left-out fields as well as the best of them. (CellProfiler's automatic choice,
        `object_diameter_px` / 3.5, divides cells by themselves unless there are several hundred fields.)
    object_diameter_px
        Diameter of a cell in pixels: the smoothing chosen by default is never narrower.
    rescale
        ``"minimum"``: the darkest place is 1 and correction only dims. It is the default because corrected
        images stay within [0, 1] and functions compare with those of public screens:
        CorrectIlluminationCalculate's *Rescale* does the same with the 2nd percentile for the minimum, and so
        leaves the darkest fiftieth, the corners, too dark; a smooth function needs no such guard. ``"mean"``:
        mean 1, which leaves the mean intensity of a plate as it was.
    offset
        Camera offset in the unit of the fields; subtracted before estimating, and by `apply`.
    dark
        Estimate a constant offset from the fields, above `offset` (see the module's note). Needs fields that
        differ in brightness; where it cannot be told it stays `offset`.
    min_fields
        With fewer usable fields the function is all ones: cells cannot be told from light.
    max_fields
        Fields kept for the estimate; of more, an even random choice (reservoir sampling).
    seed
        Of that choice.

    Returns
    -------
    The function with its statistics; ones and a `reason` for blank or too few fields.

    Raises
    ------
    UnknownNameError
        An unknown `method`, `average` or `rescale`.
    UsageError
        No field at all, or a number out of range.
    ImageError
        Fields of different shapes, or not (Y, X).

    Notes
    -----
    Any average that scales with the image's brightness estimates the same function, since the values at a
    place are those of everywhere times the light there; that is why a trimmed mean may replace the mean.
    Smoothing is a local quadratic fit with Gaussian weights, which unlike a Gaussian filter does not pull the
    rim of a vignette towards the middle.

    Measured on simulated fields (vignette from 1 to 2.2; 60 cells of 40 px in 540 px): ``"cellprofiler"`` is
    within 3 % (standard deviation) from 10 fields and 1 % from 96, ``"basic"`` within 1 % from 10. With ten
    fields of crowded cells both err by 5 %; with none of light to tell, `split_half_error` shows it.
    """
    if method not in _ESTIMATORS:
        raise UnknownNameError("illumination method", method, _ESTIMATORS)
    if average not in AVERAGES:
        raise UnknownNameError("illumination average", average, AVERAGES)
    if rescale not in _RESCALES:
        raise UnknownNameError("illumination rescaling", rescale, _RESCALES)
    for name, value in (("smoothing_px", smoothing_px), ("object_diameter_px", object_diameter_px)):
        if value is not None and not 0 < value < np.inf:
            raise UsageError(f"{name} must be a positive number of pixels, got {value}")
    if not 2 <= min_fields <= max_fields:
        raise UsageError(f"expected 2 <= min_fields <= max_fields, got {min_fields} and {max_fields}")
    grid = 64 if method == "basic" else 128
    shape, stack, n_skipped = block_stack(
        fields, grid=grid, offset=offset, max_fields=max_fields, needed=min_fields, seed=seed
    )
    n_fields = len(stack)
    if n_fields < min_fields:
        reason = (
            f"{n_fields} usable fields of {n_fields + n_skipped} (the others blank or not finite), at least "
            f"{min_fields} needed to tell light from cells: not corrected"
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
    if smoothing_px is None:
        sigma = _chosen_smoothing(stack, average, least=(object_diameter_px or 0.0) / max(shape))
    else:
        sigma = smoothing_px / max(shape)
    error = None
    if n_fields >= 2 * min_fields:
        halves = [smooth_onto(estimator(stack[start::2], average), whole.shape, sigma=sigma) for start in (0, 1)]
        error = float(np.median(np.abs(halves[0] / halves[0].mean() - halves[1] / halves[1].mean())))
    flat = _rescaled(smooth_onto(whole, shape, sigma=sigma), rescale)
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


def _chosen_smoothing(stack: Float64, average: str, *, least: float) -> float:
    """Choose sigma, as a fraction of the longer side, by predicting every fifth field from the others."""
    folds = np.array([robust_average(stack[start::5], average) for start in range(min(5, len(stack)))])
    folds /= folds.mean(axis=(1, 2), keepdims=True)
    return choose_smoothing(folds, tuple(max(least, sigma) for sigma in _SIGMAS))


def _constant(shape: tuple[int, int], value: float) -> Float32 | None:
    return np.full(shape, value, dtype=np.float32) if value else None


def _rescaled(flat: Float64, rescale: str) -> Float64:
    """Keep away from zero, so that no place is divided by next to nothing, and set the scale."""
    flat = np.maximum(flat, 0.05 * flat.mean())
    return np.asarray(flat / (flat.min() if rescale == "minimum" else flat.mean()))


def _variation(field: Float64) -> float:
    """Coefficient of variation over an 8 x 8 partition of the field, where single cells hardly count."""
    coarse = block_means(field, 8)
    return float(coarse.std() / coarse.mean())


def _cellprofiler(stack: Float64, average: str) -> Float64:
    return robust_average(stack, average)


def _basic(stack: Float64, average: str) -> Float64:  # noqa: ARG001
    from phenoprint.images.basic import basic_flat_field

    return basic_flat_field(stack)


_ESTIMATORS = {"basic": _basic, "cellprofiler": _cellprofiler}
