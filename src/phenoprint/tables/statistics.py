"""Statistics of blocks of features: shape (features, rows) in, (features,) float64 out, NaN is missing.

Medians use a full sort along the contiguous axis: numpy sorts floats with SIMD and puts NaN last, so that one
sort also separates the missing values. This is faster than a partition followed by masking.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from phenoprint.errors import UnknownNameError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables.frames import FloatArray

__all__ = [
    "MAD_SCALE",
    "STATISTICS",
    "count",
    "mad",
    "mean",
    "median",
    "quantile",
    "sd",
    "statistic_named",
    "trimmed_mean",
]

_CHUNK = 2**22  # values

Statistic: TypeAlias = Callable[["FloatArray"], "NDArray[np.float64]"]

MAD_SCALE = 1.4826
"""Makes the median absolute deviation of a normal sample estimate its standard deviation (pycytominer's
digits)."""


def count(block: FloatArray) -> NDArray[np.float64]:
    """Count the values that are not missing."""
    number: NDArray[np.float64] = (block.shape[1] - np.isnan(block).sum(axis=1)).astype(np.float64)
    return number


def mean(block: FloatArray) -> NDArray[np.float64]:
    """Average in float64; NaN for a feature without values."""
    result: NDArray[np.float64] = block.sum(axis=1, dtype=np.float64)
    result /= max(block.shape[1], 1)
    holes = np.flatnonzero(np.isnan(result)) if block.shape[1] else np.arange(len(block))
    if len(holes):  # only these need the slower sum
        n = count(block[holes])
        total = np.nansum(block[holes], axis=1, dtype=np.float64)
        result[holes] = np.divide(total, n, out=np.full(len(holes), np.nan), where=n > 0)
    return result


def sd(block: FloatArray, *, ddof: int = 1) -> NDArray[np.float64]:
    """Return the standard deviation in float64, in two passes; NaN for a feature of `ddof` values or fewer."""
    center = mean(block)
    n = np.full(len(block), float(block.shape[1]))
    total = np.empty(len(block))
    step = max(1, _CHUNK // max(1, block.shape[1]))  # the float64 copy stays small beside the block
    for start in range(0, len(block), step):
        part = slice(start, start + step)
        deviation = block[part] - center[part, None]
        total[part] = np.einsum("ij,ij->i", deviation, deviation)
        holes = np.flatnonzero(np.isnan(total[part]))
        if len(holes):
            n[start + holes] = count(block[start + holes])
            total[start + holes] = np.nansum(deviation[holes] ** 2, axis=1)
    variance = np.full(len(block), np.nan)
    np.divide(total, n - ddof, out=variance, where=n > ddof)
    result: NDArray[np.float64] = np.sqrt(variance)
    return result


def quantile(block: FloatArray, q: float) -> NDArray[np.float64]:
    """Return a quantile of the values that are not missing, with linear interpolation (numpy's default)."""
    if block.shape[1] == 0:
        return np.full(len(block), np.nan)
    ordered = np.sort(block, axis=1)
    last = np.full(len(block), block.shape[1] - 1, dtype=np.intp)
    holes = np.flatnonzero(np.isnan(ordered[:, -1]))  # NaN is sorted last: others have none
    last[holes] = np.maximum(block.shape[1] - np.isnan(ordered[holes]).sum(axis=1) - 1, 0)
    position = last * q
    low = np.floor(position).astype(np.intp)
    high = np.minimum(low + 1, last)
    rows = np.arange(len(block))
    below = ordered[rows, low].astype(np.float64)
    above = ordered[rows, high].astype(np.float64)
    result: NDArray[np.float64] = below + (above - below) * (position - low)
    return result


def median(block: FloatArray) -> NDArray[np.float64]:
    """Return the median of the values that are not missing, in float64."""
    return quantile(block, 0.5)


def mad(block: FloatArray) -> NDArray[np.float64]:
    """Return the median absolute deviation from the median, times 1.4826."""
    return MAD_SCALE * median(np.abs(block - median(block)[:, None]))


def trimmed_mean(block: FloatArray, *, trim: float = 0.1) -> NDArray[np.float64]:
    """Average the values after cutting a share `trim` of them at either end (scipy's rule)."""
    ordered = np.sort(block, axis=1)
    n = count(block)
    cut = np.floor(trim * n)
    place = np.arange(block.shape[1])
    kept = (place >= cut[:, None]) & (place < (n - cut)[:, None])
    total = np.where(kept, ordered, 0).sum(axis=1, dtype=np.float64)
    result = np.full(len(block), np.nan)
    np.divide(total, n - 2 * cut, out=result, where=n > 2 * cut)
    return result


STATISTICS: Mapping[str, Statistic] = MappingProxyType(
    {"count": count, "mad": mad, "mean": mean, "median": median, "sd": sd, "trimmed_mean": trimmed_mean}
)
"""Statistics of `aggregate` by name, beside the quantiles ``q00`` to ``q100`` (``q05``, ``q97.5``, ...)."""

_QUANTILE = re.compile(r"q(\d{1,3}(?:\.\d+)?)")


def statistic_named(name: str) -> Statistic:
    """Find a statistic by its name in `STATISTICS` or, such as ``q25``, a quantile in percent.

    Raises
    ------
    UnknownNameError
        For another name, or a quantile above 100.

    Examples
    --------
    >>> statistic_named("q25")(np.array([[0.0, 1.0, 2.0, 3.0, 4.0]])).tolist()
    [1.0]
    """
    if name in STATISTICS:
        return STATISTICS[name]
    matched = _QUANTILE.fullmatch(name)
    if matched is None or float(matched[1]) > 100:
        raise UnknownNameError("statistic", name, [*STATISTICS, "q00 to q100"])
    return partial(quantile, q=float(matched[1]) / 100)
