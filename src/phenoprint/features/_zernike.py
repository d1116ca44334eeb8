"""Zernike moments from power sums."""

from __future__ import annotations

from functools import cache
from math import comb, factorial

import numpy as np
import numpy.typing as npt

__all__ = ["ZERNIKE_INDEXES", "zernike_moments"]

ZERNIKE_INDEXES = tuple((n, m) for n in range(10) for m in range(n % 2, n + 1, 2))
"""The 30 pairs (n, m) of orders 0 to 9 with m >= 0, in CellProfiler's order."""


@cache
def _coefficients() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return real and imaginary part of each moment as coefficients of x**a * y**b, ``(30, 10, 10)``.

    The angle is measured from the y axis, z = y + ix, as in CellProfiler.
    """
    real = np.zeros((len(ZERNIKE_INDEXES), 10, 10))
    imaginary = np.zeros_like(real)
    for k, (n, m) in enumerate(ZERNIKE_INDEXES):
        for s in range((n - m) // 2 + 1):
            radial = (-1) ** s * factorial(n - s)
            radial //= factorial(s) * factorial((n + m) // 2 - s) * factorial((n - m) // 2 - s)
            power = (n - m) // 2 - s
            for t in range(power + 1):
                for q in range(m + 1):
                    value = radial * comb(power, t) * comb(m, q) * (1, 1, -1, -1)[q % 4]
                    target = imaginary if q % 2 else real
                    target[k, 2 * t + q, 2 * (power - t) + m - q] += value
    return real, imaginary


def zernike_moments(
    sums: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Convert power sums ``(n, 10, 10)`` [x power, y power] to real and imaginary moments ``(n, 30)``."""
    real, imaginary = _coefficients()
    flat = sums.reshape(len(sums), 100)
    # Not `@`: for such a small product the threads of BLAS take longer than the work.
    return (
        np.einsum("ns,ks->nk", flat, real.reshape(-1, 100)),
        np.einsum("ns,ks->nk", flat, imaginary.reshape(-1, 100)),
    )
