"""Label images ``(Y, X)``: whole numbers, 0 is background, one number per object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from phenoprint.errors import UsageError

__all__ = ["check_labels", "cytoplasm", "fill_holes", "keep_labels", "touching_border"]

Labels = npt.NDArray[np.integer[Any]]


def check_labels(labels: Mapping[str, Labels]) -> dict[str, Labels]:
    """Check the label images of one field.

    Parameters
    ----------
    labels
        ``{"Nuclei": (Y, X), "Cells": (Y, X)}``; other entries are ignored.

    Returns
    -------
    dict
        Both as arrays, not copied.

    Raises
    ------
    UsageError
        If one is missing, their shapes differ, or they hold anything but whole numbers from 0.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.zeros((4, 4), np.int32)
    >>> sorted(check_labels({"Nuclei": labels, "Cells": labels}))
    ['Cells', 'Nuclei']
    """
    compartments = ("Nuclei", "Cells")
    if missing := [name for name in compartments if name not in labels]:
        raise UsageError(
            f"labels lack {', '.join(missing)} and hold {', '.join(map(str, labels)) or 'nothing'}; "
            "both Nuclei and Cells are needed, the cytoplasm is derived from them"
        )
    given = {name: np.asarray(labels[name]) for name in compartments}
    for name, each in given.items():
        if each.ndim != 2 or each.size == 0 or each.shape != given["Nuclei"].shape:
            raise UsageError(
                f"labels of {name} have the shape {each.shape}, those of Nuclei {given['Nuclei'].shape}; "
                "both must be images (Y, X) of the same size"
            )
        if not np.issubdtype(each.dtype, np.integer):
            raise UsageError(f"labels of {name} must be whole numbers, not {each.dtype}; convert with astype(int)")
        if np.issubdtype(each.dtype, np.signedinteger) and each.min() < 0:
            raise UsageError(f"labels of {name} include {each.min()}; use 0 for background and 1, 2, ... for objects")
    return given


def cytoplasm(nuclei: Labels, cells: Labels) -> npt.NDArray[np.int32]:
    """Return the cells without their nuclei.

    The nucleus is cut out as it is, not shrunk, so that nucleus and cytoplasm together are the cell.

    Parameters
    ----------
    nuclei, cells
        Labels ``(Y, X)`` with shared numbers.

    Returns
    -------
    ndarray
        ``(Y, X)`` int32. A pixel of any nucleus, also of another cell's, is background; the number of a cell that is
        all nucleus does not occur.

    Examples
    --------
    >>> import numpy as np
    >>> cytoplasm(np.array([[0, 1, 0]]), np.array([[1, 1, 0]])).tolist()
    [[1, 0, 0]]
    """
    return np.where(nuclei > 0, 0, cells).astype(np.int32)


def fill_holes(mask: npt.NDArray[np.bool_], *, largest: float) -> npt.NDArray[np.bool_]:
    """Fill background enclosed by foreground.

    Parameters
    ----------
    mask
        ``(Y, X)``.
    largest
        Pixels of the largest hole to fill; larger ones are gaps between objects and stay open.

    Examples
    --------
    >>> import numpy as np
    >>> ring = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool)
    >>> bool(fill_holes(ring, largest=1).all())
    True
    """
    from scipy.ndimage import label

    holes, count = label(~mask)
    if count == 0:
        return mask
    filled = np.bincount(holes.ravel()) <= largest
    filled[0] = False
    filled[touching_border(holes)] = False
    return np.asarray(mask | filled[holes])


def touching_border(labels: Labels) -> Labels:
    """Return the numbers of the objects with a pixel in the first or last row or column, ascending, without 0.

    Parameters
    ----------
    labels
        ``(Y, X)``.

    Examples
    --------
    >>> import numpy as np
    >>> touching_border(np.array([[0, 3, 0], [0, 2, 0], [1, 0, 0]])).tolist()
    [1, 3]
    """
    numbers = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    return numbers[numbers > 0]


def keep_labels(labels: Labels, keep: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Drop objects and number the others 1..n in their old order.

    Parameters
    ----------
    labels
        ``(Y, X)``.
    keep
        Whether to keep each object, by number; index 0 (background) is ignored.

    Returns
    -------
    labels, lookup
        New labels ``(Y, X)`` int32, and the new number of each old one (0: dropped).

    Examples
    --------
    >>> import numpy as np
    >>> keep_labels(np.array([[0, 1, 2, 3]]), np.array([True, False, True, True]))[0].tolist()
    [[0, 0, 1, 2]]
    """
    keep = keep.copy()
    keep[0] = False
    lookup = np.where(keep, np.cumsum(keep), 0).astype(np.int32)
    return lookup[labels], lookup
