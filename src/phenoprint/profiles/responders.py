"""The share of responding cells of a well, with an interval that includes the differences between control wells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Vector = NDArray[np.float64]

__all__ = ["Responders", "responding_share"]


@dataclass(frozen=True)
class Responders:
    """Shares of responding cells, shape (wells,) each; NaN where a well has no cell.

    Attributes
    ----------
    share
        Share beyond what controls show; negative values occur by chance.
    low, high
        95% interval; NaN with fewer than four control wells.
    p
        Probability of such a share without responding cells, one-sided; NaN with fewer than four control wells.
    correlation
        Correlation of the cells of a control well.
    """

    share: Vector
    low: Vector
    high: Vector
    p: Vector
    correlation: float


def responding_share(
    far: ArrayLike, n: ArrayLike, control_far: ArrayLike, control_n: ArrayLike, *, baseline: float = 0.05
) -> Responders:
    """Estimate the share of responding cells of wells, with intervals.

    Cells of a well are not independent: control wells differ by more than the chance of single cells. Their
    overdispersion gives the correlation of the cells of a well, which makes the interval wider.

    Parameters
    ----------
    far, n
        Cells beyond the limit of the controls, and all cells, of each well; shape (wells,).
    control_far, control_n
        The same for the control wells of the plate.
    baseline
        Share of control cells beyond the limit.

    Notes
    -----
    Wilson's interval with the effective number of cells ``n / (1 + (n - 1) r)``; r from the moments of the control
    wells (Williams, J R Stat Soc C 31:144, 1982).

    Examples
    --------
    >>> found = responding_share([60, 11], [200, 200], [8, 12, 10, 9, 13], [200] * 5)
    >>> found.share.round(2).tolist(), found.low.round(2).tolist()
    ([0.26, 0.01], [0.18, -0.03])
    """
    from scipy import stats

    beyond, total = np.asarray(far, dtype=np.float64), np.asarray(n, dtype=np.float64)
    own, cells = np.asarray(control_far, dtype=np.float64), np.asarray(control_n, dtype=np.float64)
    own, cells = own[cells > 1], cells[cells > 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(total > 0, beyond / total, np.nan)
    nothing = np.full(len(total), np.nan)
    share = (found - baseline) / (1 - baseline)
    if len(own) < 4:
        return Responders(share, nothing, nothing.copy(), nothing.copy(), float("nan"))
    variance = baseline * (1 - baseline)
    inflation = float(np.mean((own - cells * baseline) ** 2 / (cells * variance)))
    typical = float(np.mean(cells - 1))
    correlation = min(1.0, max(0.0, (inflation - 1) / typical))
    effective = total / (1 + np.maximum(total - 1, 0) * correlation)
    width = float(stats.t.ppf(0.975, len(own) - 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 1 + width**2 / effective
        middle = (found + width**2 / (2 * effective)) / scale
        half = width / scale * np.sqrt(found * (1 - found) / effective + width**2 / (4 * effective**2))
        distance = (found - baseline) / np.sqrt(variance / effective)
    low, high = ((middle + sign * half - baseline) / (1 - baseline) for sign in (-1, 1))
    return Responders(share, low, high, stats.t.sf(distance, len(own) - 1), correlation)
