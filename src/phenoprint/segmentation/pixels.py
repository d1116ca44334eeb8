"""What `segment` accepts as pixels, and which channel is which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from phenoprint.errors import ImageError, UnknownNameError, UsageError

__all__ = ["CELL_CHANNELS", "NUCLEUS_CHANNELS", "cell_channels", "checked_pixels", "nucleus_channel", "to_unit"]

Array = np.ndarray[Any, Any]

NUCLEUS_CHANNELS = (
    "DNA",
    "DAPI",
    "Hoechst",
    "Nuclei",
    "Nucleus",
    "Nuclear",
    "DRAQ5",
    "H2B",
    "NuclearDNA",
    "HOECHST 33342",
)
"""Names of a nuclear stain, best first; compared without case, spaces, dashes and underscores."""

CELL_CHANNELS = (
    "AGP",
    "RNA",
    "ER",
    "CellMask",
    "Cells",
    "Cytoplasm",
    "Actin",
    "Phalloidin",
    "Membrane",
    "Tubulin",
    "GFP",
    "Mito",
)
"""Channels that outline a whole cell, best first. AGP (actin, Golgi, plasma membrane) and RNA fill it evenly."""

NOT_FLUORESCENT = ("brightfield", "bf", "phase", "dic", "transmitted", "tl", "brightfieldlow", "brightfieldhigh")


def to_unit(pixels: Array) -> Array:
    """Pixels as float32 in [0, 1]: integers divided by the maximum of their type, floats as they are.

    Parameters
    ----------
    pixels
        Array of any shape; booleans count as 0 and 1.

    Raises
    ------
    ImageError
        The type is neither integer nor float, or a value is NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> to_unit(np.array([0, 255], "uint8")).tolist()
    [0.0, 1.0]
    """
    if pixels.dtype == np.bool_:
        return pixels.astype(np.float32)
    if np.issubdtype(pixels.dtype, np.integer):
        return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    if not np.issubdtype(pixels.dtype, np.floating):
        raise ImageError(f"pixels must be integers or floats, found {pixels.dtype}")
    # A sum is NaN or infinite if any value is: one pass, no copy.
    if not np.isfinite(pixels.sum(dtype=np.float64)):
        bad = int(pixels.size - np.isfinite(pixels).sum())
        raise ImageError(
            f"{bad} of {pixels.size} pixels are NaN or infinite; segmentation needs a number everywhere: "
            "check the illumination correction, or fill them before"
        )
    return pixels.astype(np.float32)


def checked_pixels(pixels: Array, channels: Sequence[str]) -> Array:
    """Field as ``(C, Y, X)`` float32 in [0, 1].

    Raises
    ------
    UsageError
        Not three-dimensional, without pixels, or not one channel name a plane.
    ImageError
        See `to_unit`.
    """
    array = np.asarray(pixels)
    if isinstance(channels, str):
        raise UsageError(f"channels must be a list of names, one a plane, found the text {channels!r}")
    if array.ndim != 3:
        hint = "; for one channel give pixels[None]" if array.ndim == 2 else ""
        raise UsageError(f"pixels must be (C, Y, X), found {array.ndim} dimensions of shape {array.shape}{hint}")
    if len(channels) != array.shape[0]:
        raise UsageError(
            f"pixels {array.shape} have {array.shape[0]} planes but {len(channels)} channels are named: "
            f"{list(channels)}"
        )
    doubled = sorted({name for name in channels if list(channels).count(name) > 1})
    if doubled:
        raise UsageError(f"channel names must differ, {', '.join(doubled)} occurs more than once in {list(channels)}")
    if array.size == 0:
        raise ImageError(f"the field has no pixels: shape {array.shape}")
    return to_unit(array)


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def nucleus_channel(channels: Sequence[str], wanted: str | None = None) -> int:
    """Find the nuclear channel.

    Parameters
    ----------
    channels
        Names, one a plane.
    wanted
        The name to take; None looks for the names of `NUCLEUS_CHANNELS`.

    Raises
    ------
    UnknownNameError
        `wanted` is not among them.
    UsageError
        None of the usual names is there.
    """
    if wanted is not None:
        if wanted in channels:
            return list(channels).index(wanted)
        raise UnknownNameError("nucleus_channel", wanted, channels)
    plain = [_plain(name) for name in channels]
    for name in NUCLEUS_CHANNELS:
        if _plain(name) in plain:
            return plain.index(_plain(name))
    # "Hoechst33342" or "DAPI_460": the stain with more behind it.
    for name in NUCLEUS_CHANNELS[:3]:
        for index, given in enumerate(plain):
            if given.startswith(_plain(name)):
                return index
    raise UsageError(
        f"no nuclear channel: looked for {', '.join(NUCLEUS_CHANNELS)} and found {', '.join(channels) or 'none'}; "
        "name it with nucleus_channel=..."
    )


def cell_channels(
    channels: Sequence[str], *, nucleus: int, wanted: str | Sequence[str] | None = None
) -> tuple[int, ...]:
    """Find the channels whose mean outlines the cells; none when nothing shows them.

    Parameters
    ----------
    channels
        Names, one a plane.
    nucleus
        Index of the nuclear channel, never chosen by itself.
    wanted
        One name or several; an empty sequence asks for none. None takes the first of `CELL_CHANNELS` that is
        there, else every other channel that is not a transmitted-light one.

    Raises
    ------
    UnknownNameError
        A wanted name is not among them.
    """
    if wanted is not None:
        names = [wanted] if isinstance(wanted, str) else list(wanted)
        for name in names:
            if name not in channels:
                raise UnknownNameError("cell channel", name, channels)
        return tuple(list(channels).index(name) for name in names)
    plain = [_plain(name) for name in channels]
    for name in CELL_CHANNELS:
        for index, given in enumerate(plain):
            if given == _plain(name) and index != nucleus:
                return (index,)
    return tuple(index for index, given in enumerate(plain) if index != nucleus and given not in NOT_FLUORESCENT)
