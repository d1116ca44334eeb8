"""Statistics of blocks of features: shape (features, rows) in, (features,) float64 out, NaN is missing.

Medians come from a full sort along the contiguous axis: numpy sorts floats with SIMD and puts NaN last, so
one sort answers for missing values too and beats a partition followed by masking.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.profiles.frames import FloatArray

__all__ = ["MAD_SCALE", "STATISTICS", "count", "mad", "mean", "median", "quantile", "sd"]

_CHUNK = 2**22  # values

Statistic: TypeAlias = Callable[["FloatArray"], "NDArray[np.float64]"]

MAD_SCALE = 1.4826
"""Makes the median absolute deviation of a normal sample estimate its standard deviation (pycytominer's
digits)."""


def count(block: FloatArray) -> NDArray[np.float64]:
    """Count the values that are there."""
    there: NDArray[np.float64] = (block.shape[1] - np.isnan(block).sum(axis=1)).astype(np.float64)
    return there


def mean(block: FloatArray) -> NDArray[np.float64]:
    """Average in float64; NaN where no value is there."""
    n = count(block)
    total: NDArray[np.float64] = np.nansum(block, axis=1, dtype=np.float64)
    result = np.full(len(block), np.nan)
    np.divide(total, n, out=result, where=n > 0)
    return result


def sd(block: FloatArray, *, ddof: int = 1) -> NDArray[np.float64]:
    """Take the standard deviation in float64, two passes; NaN where not more than `ddof` values are there."""
    n = count(block)
    center = mean(block)
    total = np.empty(len(block))
    step = max(1, _CHUNK // max(1, block.shape[1]))  # the float64 copy stays small beside the block
    for start in range(0, len(block), step):
        part = slice(start, start + step)
        deviation = block[part] - center[part, None]
        total[part] = np.nansum(deviation * deviation, axis=1)
    variance = np.full(len(block), np.nan)
    np.divide(total, n - ddof, out=variance, where=n > ddof)
    result: NDArray[np.float64] = np.sqrt(variance)
    return result


def quantile(block: FloatArray, q: float) -> NDArray[np.float64]:
    """Quantile with linear interpolation (numpy's default) of the values that are there."""
    if block.shape[1] == 0:
        return np.full(len(block), np.nan)
    ordered = np.sort(block, axis=1)
    last = np.maximum(block.shape[1] - np.isnan(ordered).sum(axis=1) - 1, 0)
    position = last * q
    low = np.floor(position).astype(np.intp)
    high = np.minimum(low + 1, last)
    rows = np.arange(len(block))
    below = ordered[rows, low].astype(np.float64)
    above = ordered[rows, high].astype(np.float64)
    result: NDArray[np.float64] = below + (above - below) * (position - low)
    return result


def median(block: FloatArray) -> NDArray[np.float64]:
    """Median of the values that are there; the mean of the middle two, in float64."""
    return quantile(block, 0.5)


def mad(block: FloatArray) -> NDArray[np.float64]:
    """Median absolute deviation from the median, times 1.4826."""
    return MAD_SCALE * median(np.abs(block - median(block)[:, None]))


STATISTICS: Mapping[str, Statistic] = MappingProxyType(
    {"count": count, "mad": mad, "mean": mean, "median": median, "sd": sd}
)
"""Statistics that `aggregate` knows by name."""
