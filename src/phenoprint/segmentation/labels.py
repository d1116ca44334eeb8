"""Small tools for label images ``(Y, X)`` int32, 0 background."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from phenoprint.errors import UsageError

__all__ = ["cytoplasm", "fill_holes", "keep_labels", "touching_border"]

Array = np.ndarray[Any, Any]


def cytoplasm(labels: Mapping[str, Array]) -> Array:
    """Cells without their nuclei.

    The nucleus is cut out as it is, not shrunk, so nucleus and cytoplasm together are the cell.

    Parameters
    ----------
    labels
        ``{"Nuclei": (Y, X), "Cells": (Y, X)}`` integer labels with shared numbers, as `segment` returns them.

    Returns
    -------
    ndarray
        ``(Y, X)`` int32; the number of a cell that is all nucleus does not occur.

    Raises
    ------
    UsageError
        One of the two is missing, or their shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> cytoplasm({"Nuclei": np.array([[0, 1, 0]]), "Cells": np.array([[1, 1, 0]])}).tolist()
    [[1, 0, 0]]
    """
    missing = [name for name in ("Nuclei", "Cells") if name not in labels]
    if missing:
        raise UsageError(
            f"cytoplasm needs labels of 'Nuclei' and 'Cells'; {' and '.join(missing)} missing among {sorted(labels)}"
        )
    nuclei, cells = np.asarray(labels["Nuclei"]), np.asarray(labels["Cells"])
    if nuclei.shape != cells.shape:
        raise UsageError(f"Nuclei {nuclei.shape} and Cells {cells.shape} must have one shape")
    return np.where(nuclei > 0, 0, cells).astype(np.int32)


def fill_holes(mask: Array, *, largest: float) -> Array:
    """Fill enclosed background of at most `largest` pixels.

    Parameters
    ----------
    mask
        ``(Y, X)`` boolean.
    largest
        Larger holes are gaps between objects, not holes in one, and stay.
    """
    from scipy.ndimage import label

    holes, count = label(~mask)
    if count == 0:
        return mask
    filled = np.bincount(holes.ravel()) <= largest
    filled[0] = False
    filled[touching_border(holes)] = False
    return np.asarray(mask | filled[holes])


def touching_border(labels: Array) -> Array:
    """Numbers of the objects with a pixel in the first or last row or column, ascending, without 0."""
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    numbers = np.unique(edge)
    return np.asarray(numbers[numbers > 0])


def keep_labels(labels: Array, keep: Array) -> tuple[Array, Array]:
    """Drop objects and number the rest 1..n in their old order.

    Parameters
    ----------
    labels
        ``(Y, X)`` int32.
    keep
        Boolean by object number, index 0 (background) ignored.

    Returns
    -------
    labels, lookup
        New ``(Y, X)`` int32 labels, and the new number (0: dropped) of each old one.
    """
    keep = keep.copy()
    keep[0] = False
    lookup = np.where(keep, np.cumsum(keep), 0).astype(np.int32)
    return lookup[labels], lookup
