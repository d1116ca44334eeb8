"""Sorted values and ranks of every channel, by object and over all objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Ordered", "order_values"]

PixelLists = tuple[str, npt.NDArray[np.int32], npt.NDArray[np.int64]]


@dataclass(frozen=True)
class Ordered:
    """Results of one sort per channel.

    Attributes
    ----------
    values
        By compartment: the values of every channel, sorted within each object, ``(C, P)``.
    codes
        Dense rank of the value of every foreground pixel, ``(C, F)``.
    rows
        By compartment: the positions of its pixels in the foreground, ``(P,)``.
    """

    values: Mapping[str, npt.NDArray[np.float32]]
    codes: npt.NDArray[np.int32]
    rows: Mapping[str, npt.NDArray[np.int32]]


def order_values(flat: npt.NDArray[np.float32], lists: Sequence[PixelLists]) -> Ordered:
    """Sort the pixels of all compartments together, once per channel.

    Parameters
    ----------
    flat
        Channels ``(C, Y * X)``.
    lists
        Name, pixels and offsets of each compartment. A pixel is in at most two: a cell, and its nucleus or cytoplasm.
    """
    from phenoprint.features._kernels_pixels import distribute, enrol, radix_order, rank_values

    lengths = np.array([len(pixels) for _, pixels, _ in lists])
    index = np.full(flat.shape[1], -1, np.int32)
    room = min(int(lengths.sum()), len(index))
    foreground = np.full(room, -1, np.int32)
    owners = np.full((room, 2), -1, np.int32)
    rows = {name: np.empty(len(pixels), np.int32) for name, pixels, _ in lists}
    count = first = 0
    for name, pixels, offsets in lists:
        count = enrol(pixels, offsets, first, index, foreground, owners, rows[name])
        first += len(offsets) - 1
    # One block (C, P) per compartment, one after another.
    blocks = np.cumsum([0, *lengths * len(flat)])
    values = np.empty(blocks[-1], np.float32)
    codes = np.empty((len(flat), count), np.int32)
    scratch = [np.empty(count, kind) for kind in (np.int32, np.uint32, np.int32, np.uint32)]
    for c, channel in enumerate(flat):
        order, ascending = radix_order(channel, foreground[:count], *scratch)
        rank_values(order, ascending, codes[c])
        starts = [offsets[:-1] + blocks[k] + c * lengths[k] for k, (_, _, offsets) in enumerate(lists)]
        distribute(order, ascending, owners, np.concatenate(starts), values)
    return Ordered(
        {name: values[blocks[k] : blocks[k + 1]].reshape(len(flat), -1) for k, (name, _, _) in enumerate(lists)},
        codes,
        rows,
    )
