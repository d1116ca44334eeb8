"""Measurements of whole images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Frame", "image_ranks", "intensity_statistics"]


@dataclass(frozen=True)
class Frame:
    """The whole image as one object.

    Attributes
    ----------
    rows, columns : ndarray
        Row and column of every pixel, int32 ``(Y * X,)``.
    offsets : ndarray
        0 and the number of pixels, int64.
    box : ndarray
        The image's own box, int32 ``(1, 4)``.
    """

    rows: npt.NDArray[np.int32]
    columns: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    box: npt.NDArray[np.int32]

    @classmethod
    def of(cls, shape: tuple[int, int]) -> Frame:
        """Return the frame of an image of shape (Y, X)."""
        height, width = shape
        return cls(
            rows=np.repeat(np.arange(height, dtype=np.int32), width),
            columns=np.tile(np.arange(width, dtype=np.int32), height),
            offsets=np.array([0, height * width], np.int64),
            box=np.array([[0, 0, height, width]], np.int32),
        )


def image_ranks(flat: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Return the dense ranks of the values in each channel ``(C, Y * X)``, from 0, and the largest rank ``(C,)``."""
    from phenoprint.features._kernels_pixels import radix_order, rank_values

    everywhere = np.arange(flat.shape[1], dtype=np.int32)
    scratch = [np.empty(len(everywhere), kind) for kind in (np.int32, np.uint32, np.int32, np.uint32)]
    ranks = np.empty(flat.shape, np.int32)
    tops = [rank_values(*radix_order(channel, everywhere, *scratch), ranks[c]) for c, channel in enumerate(flat)]
    return ranks, np.array(tops, np.int64)


def intensity_statistics(values: npt.NDArray[np.float32]) -> dict[str, float]:
    """Return the intensity statistics of one channel, by CellProfiler's names."""
    last = len(values) - 1
    # Linear interpolation, as in numpy's percentile.
    quartiles = np.array([0.25, 0.5, 0.75]) * last
    below = quartiles.astype(np.int64)
    above = np.minimum(below + 1, last)
    ordered = np.partition(values, np.unique(np.concatenate([[0, last], below, above])))
    low, high = ordered[below].astype(np.float64), ordered[above].astype(np.float64)
    lower, median, upper = low + (high - low) * (quartiles - below)
    apart = np.partition(np.abs(values - np.float32(median)), np.unique([below[1], above[1]]))
    total = float(values.sum(dtype=np.float64))
    return {
        "TotalIntensity": total,
        "MeanIntensity": total / len(values),
        "MedianIntensity": float(median),
        "StdIntensity": float(values.std(dtype=np.float64)),
        "MADIntensity": float((np.float64(apart[below[1]]) + np.float64(apart[above[1]])) / 2),
        "MaxIntensity": float(ordered[-1]),
        "MinIntensity": float(ordered[0]),
        "TotalArea": float(len(values)),
        "PercentMaximal": 100.0 * float(np.mean(values == ordered[-1])),
        "PercentMinimal": 100.0 * float(np.mean(values == ordered[0])),
        "LowerQuartileIntensity": float(lower),
        "UpperQuartileIntensity": float(upper),
    }
