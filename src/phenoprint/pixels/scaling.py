"""Pixels of one field: their shape, their channels and their scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from phenoprint.errors import UsageError

__all__ = ["check_field", "to_unit"]


def check_field(pixels: npt.ArrayLike, channels: Sequence[str]) -> npt.NDArray[Any]:
    """Check that an array is one field with one name per channel.

    Parameters
    ----------
    pixels
        ``(C, Y, X)``.
    channels
        The C names.

    Returns
    -------
    ndarray
        The pixels as an array, not copied.

    Raises
    ------
    UsageError
        If the array is not three-dimensional, the number of names differs from C, or a name occurs twice.

    Examples
    --------
    >>> import numpy as np
    >>> check_field(np.zeros((2, 4, 4)), ["DNA", "ER"]).shape
    (2, 4, 4)
    """
    array = np.asarray(pixels)
    if isinstance(channels, str):
        raise UsageError(f"channels must be a list of different names, one per channel, not the text {channels!r}")
    if array.ndim != 3:
        hint = "pass pixels[None] for a single channel" if array.ndim == 2 else "stack the channels first"
        raise UsageError(f"pixels must have the shape (C, Y, X), not {array.shape}; {hint}")
    if len(channels) != len(array):
        raise UsageError(
            f"pixels of shape {array.shape} need a list of {len(array)} channel names, one per channel; "
            f"given: {', '.join(map(str, channels)) or 'none'}"
        )
    if twice := sorted({str(name) for name in channels if list(channels).count(name) > 1}):
        raise UsageError(f"channels must have different names; {', '.join(twice)} occurs more than once")
    return array


def to_unit(pixels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Scale pixels to [0, 1] as CellProfiler does.

    Parameters
    ----------
    pixels
        Array of any shape. Integers are divided by the maximum of their type, whatever the bit depth of the camera.
        Booleans become 0 and 1. Floats are taken as they are and expected in [0, 1].

    Returns
    -------
    ndarray
        float32 of the same shape; floats that are not finite stay so.

    Raises
    ------
    UsageError
        If the type is neither integer, boolean nor float.

    Examples
    --------
    >>> import numpy as np
    >>> to_unit(np.array([0, 255], np.uint8)).tolist()
    [0.0, 1.0]
    """
    kind = pixels.dtype.kind
    if kind in "bf":
        return pixels.astype(np.float32)
    if kind not in "iu":
        raise UsageError(f"pixels must be integers or floats, not {pixels.dtype}")
    largest = np.iinfo(pixels.dtype).max
    # float32 holds 8 and 16 bits exactly; wider types are divided before they are rounded
    precise = np.float32 if pixels.dtype.itemsize <= 2 else np.float64
    return np.asarray(np.divide(pixels, precise(largest), dtype=precise), np.float32)
