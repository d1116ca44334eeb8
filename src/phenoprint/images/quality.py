"""Image quality of a field: focus, saturation, background, noise and intensities of each channel.

Measures that CellProfiler's MeasureImageQuality has are computed as there, on raw pixels in [0, 1] (integers divided by
the maximum of their type). :mod:`phenoprint.images.quality_flags` evaluates the values.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from phenoprint.errors import ImageError, UsageError

__all__ = ["QUALITY_COLUMNS", "focus_slope", "image_quality"]

Float64 = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]

_PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
QUALITY_COLUMNS = (
    "focus_slope",
    "local_focus",
    "saturated_percent",
    "minimum_percent",
    "background",
    "noise",
    *(f"p{percent:02d}" for percent in _PERCENTILES),
    "mean",
    "sd",
)
_LOCAL_FOCUS_PX = 20
# Full scale of 8, 10, 12, 14 and 16 bit cameras, unshifted or shifted to 16 bits.
_FULL_SCALES = frozenset({255, 1023, 4095, 16383, 65535, 65472, 65520, 65532})


def image_quality(pixels: npt.NDArray[Any], *, channels: Sequence[str]) -> pl.DataFrame:
    """Measure the quality of one field's images.

    Parameters
    ----------
    pixels
        (C, Y, X) raw pixels of any integer or float type; floats are expected in [0, 1].
    channels
        Name of each channel, in the order of `pixels`.

    Returns
    -------
    One row per channel, sorted as `channels`: ``Metadata_Channel`` and the Float32 columns

    - ``focus_slope``: slope of log power over log spatial frequency (:func:`focus_slope`); more negative is
      blurrier,
    - ``local_focus``: CellProfiler's LocalFocusScore over windows of 20 px; larger is sharper,
    - ``saturated_percent``: percentage of pixels at full scale. Full scale is the maximum of the type, or of a 10, 12
      or 14 bit camera if the brightest pixel has this value, or the brightest value if many pixels have it,
    - ``minimum_percent``: percentage of pixels at the smallest value of the image,
    - ``background``: median of the pixels that remain after repeated removal of bright pixels,
    - ``noise``: standard deviation of the pixel noise, from diagonal differences of neighbours in uniform regions,
    - ``p01`` ... ``p99``: percentiles; ``mean``; ``sd``.

    Intensities are in [0, 1]. Undefined values are NULL: the focus of an image without contrast, and all values of an
    image with pixels that are not finite.

    Raises
    ------
    UsageError
        If names and channels differ in number, or a name occurs twice.
    ImageError
        If `pixels` is not (C, Y, X), or empty.

    Examples
    --------
    >>> field = np.random.default_rng(0).integers(0, 4095, (1, 64, 64), dtype=np.uint16)
    >>> image_quality(field, channels=["DNA"]).select("Metadata_Channel", "saturated_percent").row(0)
    ('DNA', 0.0)
    """
    if pixels.ndim != 3 or 0 in pixels.shape:
        raise ImageError(f"expected pixels of shape (C, Y, X) with at least one pixel, got {pixels.shape}")
    if len(channels) != len(pixels) or len(set(channels)) != len(channels):
        raise UsageError(
            f"expected {len(pixels)} different channel names for pixels {pixels.shape}, got {list(channels)}"
        )
    rows = [_measure(plane) for plane in pixels]
    values = np.array(rows, dtype=np.float32)
    columns = {name: pl.Series(values[:, place], dtype=pl.Float32) for place, name in enumerate(QUALITY_COLUMNS)}
    frame = pl.DataFrame({"Metadata_Channel": pl.Series(list(channels), dtype=pl.String), **columns})
    return frame.with_columns(pl.col(QUALITY_COLUMNS).fill_nan(None))


def _measure(plane: npt.NDArray[Any]) -> list[float]:
    """Return the values of one image in the order of `QUALITY_COLUMNS`; NaN if undefined."""
    values, counts, unit = _value_counts(plane)
    if not len(values):
        return [np.nan] * len(QUALITY_COLUMNS)
    scaled = plane.astype(np.float32) * np.float32(unit)
    mean = float(np.average(values, weights=counts))
    sd = float(np.sqrt(np.average((values - mean) ** 2, weights=counts)))
    return [
        focus_slope(scaled),
        _local_focus(scaled),
        _saturated_percent(values, counts, plane.dtype),
        100 * float(counts[0]) / plane.size,
        _background(values, counts) * unit,
        _noise(scaled),
        *(_percentiles(values, counts) * unit),
        mean * unit,
        sd * unit,
    ]


def _value_counts(plane: npt.NDArray[Any]) -> tuple[Float64, npt.NDArray[np.int64], float]:
    """Return the values that occur, ascending, their counts, and the factor that scales them to [0, 1].

    All measures but focus and noise are computed from these, because 16-bit images have few different values.
    """
    if plane.dtype.kind == "b":
        plane = plane.view(np.uint8)
    if plane.dtype.kind == "u" and plane.dtype.itemsize <= 2:
        counts = np.bincount(plane.ravel())
        values = np.flatnonzero(counts)
        return values.astype(np.float64), counts[values], 1 / np.iinfo(plane.dtype).max
    if plane.dtype.kind == "f" and not np.isfinite(plane).all():
        return np.empty(0), np.empty(0, dtype=np.int64), 1.0
    found, counts = np.unique(plane, return_counts=True)
    return found.astype(np.float64), counts, 1.0 if plane.dtype.kind == "f" else 1 / np.iinfo(plane.dtype).max


def _percentiles(values: Float64, counts: npt.NDArray[np.int64]) -> Float64:
    """Return linearly interpolated percentiles, equal to numpy.percentile of the pixels."""
    last = np.cumsum(counts) - 1
    position = np.array(_PERCENTILES) / 100 * last[-1]
    below = np.floor(position)
    low = values[np.searchsorted(last, below)]
    high = values[np.searchsorted(last, np.minimum(below + 1, last[-1]))]
    return np.asarray(low + (high - low) * (position - below))


def _saturated_percent(values: Float64, counts: npt.NDArray[np.int64], dtype: np.dtype[Any]) -> float:
    share = 100 * float(counts[-1]) / float(counts.sum())
    brightest = values[-1]
    full_scales = {1.0}
    if dtype.kind in "iu":
        full_scales = {float(np.iinfo(dtype).max), *(_FULL_SCALES if dtype.itemsize > 1 else ())}
    if brightest in full_scales:
        return share
    # A clipped detector of unknown full scale gives a peak at the end of a sparse tail of the histogram.
    tail = counts[-21:-1]
    piled_up = len(tail) == 20 and counts[-1] >= 50 and counts[-1] > 20 * tail.mean()
    return share if piled_up else 0.0


def _background(values: Float64, counts: npt.NDArray[np.int64]) -> float:
    """Remove values more than 2.5 robust deviations above the median until nothing changes; return the median."""
    end = len(values)
    for _ in range(20):
        median = _weighted_median(values[:end], counts[:end])
        below = values[:end] <= median
        deviation = median - _weighted_median(values[:end][below], counts[:end][below])
        # The lower quartile of a normal distribution lies 0.6745 deviations below the median. Cells, on the bright
        # side, do not affect it.
        limit = median + 2.5 * max(deviation / 0.6745, np.finfo(float).tiny)
        kept = int(np.searchsorted(values[:end], limit, side="right"))
        if kept == end:
            break
        end = kept
    return _weighted_median(values[:end], counts[:end])


def _weighted_median(values: Float64, counts: npt.NDArray[np.int64]) -> float:
    below = np.cumsum(counts)
    return float(values[np.searchsorted(below, below[-1] / 2)])


def _noise(plane: npt.NDArray[np.float32]) -> float:
    """Median over tiles of 16 x 16 px of the root mean square of diagonal second differences."""
    height, width = (length - length % 2 for length in plane.shape)
    if not height or not width:
        return np.nan
    even = plane[0:height:2, 0:width:2]
    detail = even - plane[0:height:2, 1:width:2] - plane[1:height:2, 0:width:2] + plane[1:height:2, 1:width:2]
    power = _tile_means(detail * detail, 8)
    return float(np.sqrt(np.median(power)) / 2)


def _tile_means(plane: npt.NDArray[np.float32], side: int) -> Float64:
    """Average square tiles; incomplete ones at the end are ignored unless there are no others."""
    rows, columns = (max(length // side, 1) for length in plane.shape)
    height, width = (min(side, length) for length in plane.shape)
    cut = plane[: rows * height, : columns * width].reshape(rows, height, columns, width)
    return np.asarray(cut.mean(axis=(1, 3), dtype=np.float64))


def _local_focus(plane: npt.NDArray[np.float32]) -> float:
    """Return CellProfiler's LocalFocusScore: variance over median of the windows' normalized variances."""
    centred = plane - plane.mean(dtype=np.float64).astype(np.float32)
    mean = _tile_means(centred, _LOCAL_FOCUS_PX)
    variance = np.maximum(_tile_means(centred * centred, _LOCAL_FOCUS_PX) - mean**2, 0)
    level = mean + float(plane.mean(dtype=np.float64))
    usable = level > 0
    if not usable.any():
        return np.nan
    normalized = variance[usable] / level[usable]
    median = float(np.median(normalized))
    # The variance of windows of one value is rounding error.
    return float(normalized.var() / median) if median > 1e-9 else np.nan


def focus_slope(plane: npt.NDArray[Any]) -> float:
    """Return the slope of the log-log power spectrum of an image.

    Parameters
    ----------
    plane
        (Y, X) of any integer or float type; the result does not depend on gain or offset.

    Returns
    -------
    CellProfiler's ``ImageQuality_PowerLogLogSlope``: about +1 for noise (the power is summed over rings of increasing
    size), -1 to -2.5 for cells in focus, lower if blurred. NaN for an image without contrast or smaller than 32 px.

    Notes
    -----
    As `rps` of CellProfiler's centrosome (radii from 2 to an eighth of the shorter side, with negative frequencies
    counted at the radius of the next smaller positive one), then the slope of log power over log radius. Only the
    frequencies in use are transformed.
    """
    from scipy import fft

    height, width = plane.shape
    widest = int(min(height, width) / 8)
    if widest < 4:
        return np.nan
    centred = plane.astype(np.float32) - np.float32(plane.mean(dtype=np.float64))
    columns, near_ring, far_ring = _rings(height, width)
    half = fft.rfft(centred, axis=1)[:, :columns]
    spectrum = fft.fft(half, axis=0)
    power = (spectrum.real.astype(np.float64) ** 2 + spectrum.imag.astype(np.float64) ** 2).ravel()
    total = np.bincount(near_ring, power, minlength=widest) + np.bincount(far_ring, power, minlength=widest)
    radii = np.arange(2, widest)
    total = total[2:widest]
    # An image of one value has some power by rounding.
    if not (total > 1e-12 * plane.size).all() or not np.ptp(plane) > 0:
        return np.nan
    x, y = np.log(radii), np.log(total)
    x = x - x.mean()
    return float((x * y).sum() / (x * x).sum())


@lru_cache(maxsize=8)
def _rings(height: int, width: int) -> tuple[int, Index, Index]:
    """Return the number of columns of the half spectrum in use, and the rings of each entry and of its mirror image.

    The entry (-y, -x) of the full spectrum has the power of (y, x). Index k has the radius min(k, n - 1 - k) along its
    axis, so that the radius of a mirror image is smaller by one. Unused entries have ring 0.
    """
    widest = int(min(height, width) / 8)
    columns = min(widest + 2, width // 2 + 1)
    y, x = np.arange(height)[:, None], np.arange(columns)[None, :]

    def ring(row: Index, column: Index) -> Index:
        row, column = np.minimum(row, height - 1 - row), np.minimum(column, width - 1 - column)
        label = np.floor(np.sqrt(row**2 + column**2)).astype(np.intp) + 1
        return np.where(label < widest, label, 0)

    near = ring(y, x)
    has_mirror = (x > 0) & (2 * x != width)
    far = np.where(has_mirror, ring((height - y) % height, (width - x) % width), 0)
    return columns, near.ravel(), far.ravel()
