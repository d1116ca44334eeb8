"""Ranks among the reference wells: normal scores and percentiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from phenoprint.profiles.normalizers import Fit, Normalizer
from phenoprint.tables import count, median

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import FloatArray, IntArray

__all__ = ["Percentile", "Rank", "RankFit"]

_BLOM = 0.375


@dataclass(frozen=True)
class RankFit(Fit):
    """Sorted reference values.

    Attributes
    ----------
    ordered
        Shape (features, reference wells), ascending, NaN last.
    """

    ordered: FloatArray | None = None


@dataclass(frozen=True)
class _Ranked(Normalizer):
    """Base of `Rank` and `Percentile`: the rank of a value among the reference values."""

    spread_name: ClassVar[str] = "range"
    done: ClassVar[str] = "ranked among {n} reference values"

    def fit(self, reference: FloatArray, *, blocks: IntArray | None = None) -> RankFit:
        """Sort the reference values."""
        del blocks
        ordered = np.sort(reference, axis=1)
        n = count(reference)
        if ordered.shape[1]:
            last = np.maximum(n - 1, 0).astype(np.intp)
            spread = (ordered[np.arange(len(ordered)), last] - ordered[:, 0]).astype(np.float64)
        else:
            spread = np.full(len(ordered), np.nan)
        return RankFit(center=median(reference), scale=spread, spread=spread, n=n, ordered=ordered)

    def _share(self, values: FloatArray, fit: Fit, offset: float) -> NDArray[np.float64]:
        """Return (rank - offset) / (n + 1 - 2 offset); NaN if missing or if the reference does not vary."""
        from phenoprint.profiles.compiled_ranks import mid_ranks

        ordered = fit.ordered if isinstance(fit, RankFit) else None
        if ordered is None:
            raise TypeError("ranks need a RankFit, which contains the reference values")
        n = np.where(fit.scale > 0, fit.n, 0).astype(np.int64)
        ranks = np.empty(values.shape, dtype=np.float64)
        mid_ranks(ordered, n, values, ranks)
        ranks -= offset
        ranks /= (n + 1 - 2 * offset)[:, None]
        return ranks


@dataclass(frozen=True)
class Rank(_Ranked):
    """Replace each value by the normal score of its rank among the reference values (Blom).

    ``norm.ppf((rank - 3/8) / (n + 1/4))`` with the mean rank of equal values; a value between two reference values
    has the rank between theirs, a value below or above all of them 1/2 or n + 1/2.

    Notes
    -----
    Blom, Statistical Estimates and Transformed Beta-Variables, 1958; the offset 3/8 is that of the JUMP production
    recipe, which breaks ties at random, whereas we use the mean rank. ``pycytominer``'s ``inverse_normal`` interpolates
    the empirical distribution at 1,000 quantiles and maps the extremes to plus and minus 5.2, so that the minimum and
    maximum of every plate dominate; it agrees with ours in order, but not in value.
    """

    name: ClassVar[str] = "rank"

    def apply(self, values: FloatArray, fit: Fit) -> NDArray[np.float64]:
        """Transform wells, shape (features, wells), to normal scores."""
        from scipy.special import ndtri

        scores: NDArray[np.float64] = ndtri(self._share(values, fit, _BLOM))
        return scores


@dataclass(frozen=True)
class Percentile(_Ranked):
    """Replace each value by its percentile among the reference values, 0 to 100.

    ``100 (rank - 1/2) / n`` with the mean rank of equal values: 50 for the median, 0 below and 100 above all values
    (scipy's ``percentileofscore`` of kind ``mean``).
    """

    name: ClassVar[str] = "percentile"

    def apply(self, values: FloatArray, fit: Fit) -> NDArray[np.float64]:
        """Transform wells, shape (features, wells), to percentiles."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return 100 * self._share(values, fit, 0.5)
