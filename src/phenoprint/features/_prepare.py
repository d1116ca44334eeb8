"""Checks of the input, and its conversion to the array types that the kernels are compiled for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from phenoprint.errors import UsageError
from phenoprint.features._field import COMPARTMENTS, Field
from phenoprint.pixels import check_field, check_labels, cytoplasm, to_unit

__all__ = ["number_rows", "prepare_field"]

_FLOAT_LEVELS = 65535

LabelImages = Mapping[str, npt.NDArray[np.integer]]
Rows = dict[str, npt.NDArray[np.int32]]


def prepare_field(pixels: npt.NDArray[np.generic], labels: LabelImages, channels: Sequence[str]) -> Field:
    """Check pixels ``(C, Y, X)``, labels and channel names, derive the cytoplasm and assign the rows.

    Raises
    ------
    UsageError
        If pixels, labels and names do not fit together.
    """
    pixels = check_field(pixels, channels)
    given = check_labels(labels)
    shape = given["Nuclei"].shape
    if shape != pixels.shape[1:]:
        raise UsageError(
            f"labels have the shape {shape}, the image {pixels.shape[1:]}; labels must be made on the same image"
        )
    scaled, levels = _finite_unit(pixels)
    numbers, rows = number_rows(given)
    rows["Cytoplasm"] = cytoplasm(rows["Nuclei"], rows["Cells"])
    ordered = {name: np.ascontiguousarray(rows[name], np.int32) for name in COMPARTMENTS}
    return Field(scaled, channels, numbers, ordered, levels=levels)


def number_rows(labels: LabelImages) -> tuple[npt.NDArray[np.int64], Rows]:
    """Return the object numbers in any label image, ascending, and the labels renumbered to their rows plus one."""
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


def _finite_unit(pixels: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float32], int]:
    """Scale pixels to [0, 1]; also return the number of grey levels below full scale."""
    scaled = to_unit(pixels)
    if pixels.dtype.kind in "ui":
        return scaled, min(int(np.iinfo(pixels.dtype).max), _FLOAT_LEVELS)
    for c, channel in enumerate(scaled):
        if not np.isfinite(channel).all():
            raise UsageError(
                f"channel {c} holds {int((~np.isfinite(channel)).sum())} pixels that are not finite; "
                "replace them before measuring"
            )
    return scaled, _FLOAT_LEVELS
