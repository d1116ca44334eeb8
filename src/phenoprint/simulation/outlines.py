"""Outlines of cells and nuclei: ellipses with lobes, as tables of the radius by direction."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["DIRECTIONS", "outline_tables"]

DIRECTIONS = 64
"""Number of directions of an outline table, at equal angles from -pi."""

FloatArray = NDArray[np.float64]


def outline_tables(
    rng: np.random.Generator,
    radii: FloatArray,
    *,
    axis_ratios: FloatArray,
    angles: FloatArray,
    irregularities: FloatArray,
    harmonics: int,
) -> FloatArray:
    """Draw closed outlines.

    Parameters
    ----------
    rng
        Random generator of the lobes.
    radii
        (n,) radius of a circle of the same area, px.
    axis_ratios
        (n,) ratio of the long to the short axis of the ellipse.
    angles
        (n,) direction of the long axis, radians from +x towards +y.
    irregularities
        (n,) root mean square size of the lobes relative to the radius.
    harmonics
        Largest number of lobes around the outline; the smallest is 2, and finer lobes are smaller.

    Returns
    -------
    numpy.ndarray
        float64 (n, DIRECTIONS): radius in the directions -pi to pi, px.
    """
    n = len(radii)
    theta = np.linspace(-np.pi, np.pi, DIRECTIONS, endpoint=False)
    turned = theta - angles[:, None]
    ratio = axis_ratios[:, None]
    ellipse = 1 / np.sqrt(np.cos(turned) ** 2 / ratio + np.sin(turned) ** 2 * ratio)
    orders = np.arange(2, harmonics + 1)
    fade = orders**-0.7
    fade *= np.sqrt(2) / np.sqrt((fade**2).sum())
    sizes = rng.rayleigh(np.sqrt(0.5), (n, len(orders))) * fade * irregularities[:, None]
    phases = rng.uniform(0, 2 * np.pi, (n, len(orders)))
    lobes = np.einsum("nk,nkt->nt", sizes, np.cos(orders[:, None] * theta + phases[:, :, None]))
    table = ellipse * np.maximum(1 + lobes, 0.25)
    # Lobes add area, so the outline is scaled to the area given by the traits.
    area = np.sqrt((table**2).mean(axis=1, keepdims=True))
    return np.asarray(table / np.where(area > 0, area, 1) * radii[:, None])
