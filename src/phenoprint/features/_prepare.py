"""Checks what a caller gives and brings it into the few forms that the kernels are compiled for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from phenoprint.errors import UsageError
from phenoprint.features._context import COMPARTMENTS, Field

__all__ = ["SOURCES", "check_labels", "number_rows", "prepare_field"]

SOURCES = ("Nuclei", "Cells")
"""The compartments that a caller gives; the cytoplasm is derived."""

_FLOAT_LEVELS = 65535

Labels = Mapping[str, npt.NDArray[np.integer]]
Rows = dict[str, npt.NDArray[np.int32]]


def prepare_field(pixels: npt.NDArray[np.generic], labels: Labels, channels: Sequence[str]) -> Field:
    """Check pixels ``(C, Y, X)``, labels and channel names, derive the cytoplasm and number the rows.

    Raises
    ------
    UsageError
        If anything does not fit; the message says what and what to do.
    """
    if isinstance(channels, str) or len(set(channels)) != len(channels):
        raise UsageError(f"channels must be a list of different names, not {channels!r}")
    if pixels.ndim != 3:
        raise UsageError(f"pixels must have the shape (C, Y, X), not {pixels.shape}; stack the channels first")
    if len(channels) != pixels.shape[0]:
        raise UsageError(
            f"{pixels.shape[0]} channels in pixels of shape {pixels.shape}, but {len(channels)} names: "
            f"{', '.join(map(str, channels))}; give one name a channel"
        )
    given = check_labels(labels)
    shape = given["Nuclei"].shape
    if shape != pixels.shape[1:]:
        raise UsageError(
            f"labels have the shape {shape}, the image {pixels.shape[1:]}; labels must be made on the same image"
        )
    scaled, levels = _to_unit(pixels)
    numbers, rows = number_rows(given)
    nuclei = rows["Nuclei"]
    # What another cell's nucleus covers is no cytoplasm either.
    rows["Cytoplasm"] = np.where(nuclei > 0, np.int32(0), rows["Cells"])
    ordered = {name: np.ascontiguousarray(rows[name], np.int32) for name in COMPARTMENTS}
    return Field(scaled, channels, numbers, ordered, levels=levels)


def check_labels(labels: Labels) -> dict[str, npt.NDArray[np.integer]]:
    """Return both label images as arrays after checking kind, shape and sign.

    Raises
    ------
    UsageError
        If one is missing, they differ in shape, or hold anything but whole numbers from 0.
    """
    missing = [name for name in SOURCES if name not in labels]
    if missing:
        raise UsageError(
            f"labels lack {', '.join(missing)} and hold {', '.join(map(str, labels)) or 'nothing'}; "
            "both Nuclei and Cells are needed, the cytoplasm is derived from them"
        )
    given = {name: np.asarray(labels[name]) for name in SOURCES}
    for name, each in given.items():
        if each.ndim != 2 or each.size == 0 or each.shape != given["Nuclei"].shape:
            raise UsageError(
                f"labels of {name} have the shape {each.shape}, those of Nuclei {given['Nuclei'].shape}; "
                "both must be images (Y, X) of the same size"
            )
        if not np.issubdtype(each.dtype, np.integer):
            raise UsageError(f"labels of {name} must be whole numbers, not {each.dtype}; convert with astype(int)")
        if np.issubdtype(each.dtype, np.signedinteger) and each.min() < 0:
            raise UsageError(f"labels of {name} go down to {each.min()}; 0 is background and objects count up")
    return given


def number_rows(labels: Labels) -> tuple[npt.NDArray[np.int64], Rows]:
    """Object numbers that occur in any label image, ascending, and labels renumbered to their rows plus one."""
    top = max(int(each.max()) for each in labels.values())
    if top <= 4 * max(each.size for each in labels.values()):
        seen = np.zeros(top + 1, bool)
        for each in labels.values():
            seen[each.reshape(-1)] = True
        seen[0] = False
        numbers = np.flatnonzero(seen)
        if len(numbers) == top:
            return numbers, {name: each.astype(np.int32, copy=False) for name, each in labels.items()}
        table = np.cumsum(seen, dtype=np.int32)
        table[~seen] = 0
        return numbers, {name: table[each] for name, each in labels.items()}
    numbers = np.unique(np.concatenate([np.unique(each) for each in labels.values()])).astype(np.int64)
    numbers = numbers[numbers > 0]
    return numbers, {
        name: np.where(each > 0, np.searchsorted(numbers, each) + 1, 0).astype(np.int32)
        for name, each in labels.items()
    }


def _to_unit(pixels: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float32], int]:
    """Scale integers by their maximum; return float32 pixels and the number of grey levels below full scale."""
    if pixels.dtype.kind in "ui":
        levels = int(np.iinfo(pixels.dtype).max)
        if levels < 1 << 24:  # whole numbers that single precision holds: one rounding, as in double
            scaled = np.divide(pixels, np.float32(levels), dtype=np.float32)
        else:
            scaled = (pixels / np.float64(levels)).astype(np.float32)
        return scaled, min(levels, _FLOAT_LEVELS)
    if pixels.dtype.kind != "f":
        raise UsageError(f"pixels must be integers or floats, not {pixels.dtype}")
    scaled = np.ascontiguousarray(pixels, np.float32)
    for c, channel in enumerate(scaled):
        if not np.isfinite(channel).all():
            raise UsageError(
                f"channel {c} holds {int((~np.isfinite(channel)).sum())} pixels that are not finite; "
                "replace them before measuring"
            )
    return scaled, _FLOAT_LEVELS
